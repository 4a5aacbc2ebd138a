"""What a Mirror's spec asks for, and how one of its tables differs from a live one.

Only fields that the spec sets are ever compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from peerdb_operator.api.mirror import (
    AddedTables,
    ColumnSpec,
    DeletionPolicy,
    DropSpec,
    MirrorSpec,
    RunState,
    SnapshotSpec,
    TableSpec,
)
from peerdb_operator.peerdb.models import DEFAULT_ENGINE, Column, TableMapping


def mapping_of(table: TableSpec) -> TableMapping:
    """The mapping that adds a table, and that PeerDB shows once it has been added."""
    return TableMapping(
        source=table.source,
        destination=table.destination,
        exclude=tuple(sorted(table.exclude or ())),
        partition_key=table.partition_key or "",
        engine="" if table.engine is None else table.engine.wire,
        sharding_key=table.sharding_key or "",
        policy_name=table.policy_name or "",
        partition_by_expr=table.partition_by_expr or "",
        columns=tuple(sorted(map(_column_of, table.columns or ()), key=Column.key)),
    )


def _column_of(column: ColumnSpec) -> Column:
    return Column(
        column.source_name,
        column.destination_name or "",
        column.destination_type or "",
        column.ordering or 0,
        column.partitioning or 0,
        bool(column.nullable_enabled),
    )


def differences(table: TableSpec, live: TableMapping) -> tuple[str, ...]:
    """The spec's names of the set fields whose live value is another."""
    pairs: tuple[tuple[str, object, object], ...] = (
        ("destination", table.destination, live.destination),
        ("exclude", None if table.exclude is None else set(table.exclude), set(live.exclude)),
        ("partitionKey", table.partition_key, live.partition_key),
        ("engine", None if table.engine is None else table.engine.wire, live.engine or DEFAULT_ENGINE),
        ("shardingKey", table.sharding_key, live.sharding_key),
        ("policyName", table.policy_name, live.policy_name),
        ("partitionByExpr", table.partition_by_expr, live.partition_by_expr),
    )
    named = tuple([name for name, asked, shown in pairs if asked is not None and asked != shown])
    return named if table.columns is None else named + _column_differences(table.columns, live.columns)


def _column_differences(desired: tuple[ColumnSpec, ...], live: tuple[Column, ...]) -> tuple[str, ...]:
    """The set fields that differ, and the live columns that the list lacks although PeerDB treats them specially.

    Columns match by source name. PeerDB treats a column that is not in its list like an entry without any field.
    """
    by_source: dict[str, list[Column]] = {}
    for column in sorted(set(live), key=Column.key):
        by_source.setdefault(column.source, []).append(column)
    found: list[str] = []
    for wanted in desired:
        entries = by_source.pop(wanted.source_name, [Column(wanted.source_name)])
        fields = dict.fromkeys(name for entry in entries for name in _differing_fields(wanted, entry))
        found.extend(f"columns[{wanted.source_name}].{name}" for name in fields)
    special = (name for name, entries in by_source.items() if not all(entry.is_plain for entry in entries))
    return (*found, *(f"columns[{name}]" for name in special))


def _differing_fields(column: ColumnSpec, live: Column) -> tuple[str, ...]:
    """An empty destination is the source's name."""
    pairs: tuple[tuple[str, object, object], ...] = (
        ("destinationName", column.destination_name, live.destination or live.source),
        ("destinationType", column.destination_type, live.destination_type),
        ("ordering", column.ordering, live.ordering),
        ("partitioning", column.partitioning, live.partitioning),
        ("nullableEnabled", column.nullable_enabled, live.nullable),
    )
    return tuple(name for name, asked, shown in pairs if asked is not None and asked != shown)


_NO_SNAPSHOT: Final = SnapshotSpec()
_NO_DROP: Final = DropSpec()


@dataclass(frozen=True, slots=True)
class Desired:
    """All that one generation of a Mirror asks for.

    ``invalid``: why the spec cannot be applied; then only the run state is followed.
    """

    mirror: str
    generation: int
    state: RunState = RunState.RUNNING
    tables: tuple[TableSpec, ...] | None = None
    batch_size: int | None = None
    idle_timeout: int | None = None
    snapshot: SnapshotSpec = _NO_SNAPSHOT
    settings: tuple[tuple[str, str], ...] = ()
    deletion_policy: DeletionPolicy = DeletionPolicy.DROP
    drop: DropSpec = _NO_DROP
    invalid: str = ""

    @property
    def wants_running(self) -> bool:
        """Whether the mirror should run."""
        return self.state is RunState.RUNNING

    @property
    def skip_snapshot(self) -> bool:
        """Whether the rows that an added table has are left out."""
        return self.snapshot.added_tables is AddedTables.SKIP


def desired_from(spec: MirrorSpec, mirror: str, generation: int) -> Desired:
    """What a parsed spec asks for; ``mirror`` is PeerDB's name of it. No side effects."""
    return Desired(
        mirror=mirror,
        generation=generation,
        state=spec.state,
        tables=None if spec.tables is None else tuple(spec.tables),
        batch_size=spec.batch_size,
        idle_timeout=spec.idle_timeout_seconds,
        snapshot=spec.snapshot or _NO_SNAPSHOT,
        settings=tuple(sorted((spec.settings or {}).items())),
        deletion_policy=spec.deletion_policy,
        drop=spec.drop or _NO_DROP,
    )

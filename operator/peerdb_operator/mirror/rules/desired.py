"""What a Mirror's spec asks for, in the form that decisions use.

Owns the translation from the API's models. Only fields that the spec sets are ever compared, hence the many ``None``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from peerdb_operator.api.mirror import (
    AddedTables,
    ColumnSpec,
    DeletionPolicy,
    DestinationMetadata,
    MirrorSpec,
    RunState,
    SnapshotSpec,
    Statistics,
    TableSpec,
)
from peerdb_operator.peerdb.models import DEFAULT_ENGINE, Column, TableMapping


@dataclass(frozen=True, slots=True)
class DesiredColumn:
    """One entry of a table's ``columns``; ``None`` leaves a field to PeerDB."""

    source: str
    destination: str | None = None
    destination_type: str | None = None
    ordering: int | None = None
    partitioning: int | None = None
    nullable: bool | None = None

    def as_column(self) -> Column:
        """The column that PeerDB shows once its table has been added."""
        return Column(
            source=self.source,
            destination=self.destination or "",
            destination_type=self.destination_type or "",
            ordering=self.ordering or 0,
            partitioning=self.partitioning or 0,
            nullable=bool(self.nullable),
        )

    def differs_from(self, live: Column) -> tuple[str, ...]:
        """The spec's names of the set fields whose live value is another; an empty destination is the source's name."""
        pairs: tuple[tuple[str, object, object], ...] = (
            ("destinationName", self.destination, live.destination or live.source),
            ("destinationType", self.destination_type, live.destination_type),
            ("ordering", self.ordering, live.ordering),
            ("partitioning", self.partitioning, live.partitioning),
            ("nullableEnabled", self.nullable, live.nullable),
        )
        return tuple(name for name, desired, seen in pairs if desired is not None and desired != seen)


@dataclass(frozen=True, slots=True)
class DesiredTable:
    """One table of the spec; ``None`` leaves a field to PeerDB."""

    source: str
    destination: str
    exclude: frozenset[str] | None = None
    partition_key: str | None = None
    engine: str | None = None
    sharding_key: str | None = None
    policy_name: str | None = None
    partition_by_expr: str | None = None
    columns: tuple[DesiredColumn, ...] | None = None

    def as_mapping(self) -> TableMapping:
        """The mapping that is sent, and that PeerDB shows once this table has been added."""
        return TableMapping(
            source=self.source,
            destination=self.destination,
            exclude=tuple(sorted(self.exclude or ())),
            partition_key=self.partition_key or "",
            engine=self.engine or "",
            sharding_key=self.sharding_key or "",
            policy_name=self.policy_name or "",
            partition_by_expr=self.partition_by_expr or "",
            columns=tuple(sorted((column.as_column() for column in self.columns or ()), key=Column.key)),
        )

    def differs_from(self, live: TableMapping) -> tuple[str, ...]:
        """The spec's names of the set fields whose live value is another."""
        pairs: tuple[tuple[str, object, object], ...] = (
            ("destination", self.destination, live.destination),
            ("exclude", self.exclude, frozenset(live.exclude)),
            ("partitionKey", self.partition_key, live.partition_key),
            ("engine", self.engine, live.engine or DEFAULT_ENGINE),
            ("shardingKey", self.sharding_key, live.sharding_key),
            ("policyName", self.policy_name, live.policy_name),
            ("partitionByExpr", self.partition_by_expr, live.partition_by_expr),
        )
        named = tuple(name for name, asked, live in pairs if asked is not None and asked != live)
        return named if self.columns is None else named + _column_differences(self.columns, live.columns)


def _column_differences(desired: tuple[DesiredColumn, ...], live: tuple[Column, ...]) -> tuple[str, ...]:
    """The set fields that differ, and the live columns that the list lacks although PeerDB treats them specially.

    Columns match by source name. PeerDB treats a column that is not in its list like an entry without any field.
    """
    by_source: dict[str, list[Column]] = {}
    for column in sorted(set(live), key=Column.key):
        by_source.setdefault(column.source, []).append(column)
    found: list[str] = []
    for wanted in desired:
        entries = by_source.pop(wanted.source, [Column(wanted.source)])
        fields = dict.fromkeys(name for entry in entries for name in wanted.differs_from(entry))
        found.extend(f"columns[{wanted.source}].{name}" for name in fields)
    special = (name for name, entries in by_source.items() if not all(entry.is_plain for entry in entries))
    return (*found, *(f"columns[{name}]" for name in special))


@dataclass(frozen=True, slots=True)
class DesiredSnapshot:
    """The snapshot settings of the spec; ``None`` leaves a value to PeerDB."""

    rows_per_partition: int | None = None
    partitions_override: int | None = None
    max_parallel_workers: int | None = None
    tables_in_parallel: int | None = None


@dataclass(frozen=True, slots=True)
class DropFlags:
    """The flags of a drop request: ``statistics`` deletes PeerDB's counters, ``keep_destination`` keeps its table."""

    statistics: bool = False
    keep_destination: bool = False

    def encode(self) -> str:
        """One word for the journal, so that a repeated request is the identical one."""
        statistics = "Delete" if self.statistics else "Keep"
        metadata = "Keep" if self.keep_destination else "Delete"
        return f"statistics={statistics},destinationMetadata={metadata}"

    @classmethod
    def decode(cls, text: str) -> DropFlags:
        """The flags of a journal entry; anything unreadable means the defaults of the API."""
        return cls(statistics="statistics=Delete" in text, keep_destination="destinationMetadata=Keep" in text)


@dataclass(frozen=True, slots=True)
class Desired:
    """All that one generation of a Mirror asks for.

    ``invalid``: why the spec cannot be applied; then only the run state is followed.
    """

    mirror: str
    generation: int
    state: RunState = RunState.RUNNING
    tables: tuple[DesiredTable, ...] | None = None
    batch_size: int | None = None
    idle_timeout: int | None = None
    snapshot: DesiredSnapshot = DesiredSnapshot()
    settings: tuple[tuple[str, str], ...] = ()
    skip_snapshot: bool = False
    deletion_policy: DeletionPolicy = DeletionPolicy.DROP
    drop: DropFlags = field(default_factory=DropFlags)
    invalid: str = ""

    @property
    def wants_running(self) -> bool:
        """Whether the mirror should run."""
        return self.state is RunState.RUNNING


def desired_from(spec: MirrorSpec, mirror: str, generation: int) -> Desired:
    """What a parsed spec asks for; ``mirror`` is PeerDB's name of it. No side effects."""
    drop = spec.drop
    return Desired(
        mirror=mirror,
        generation=generation,
        state=spec.state,
        tables=None if spec.tables is None else tuple(_table(table) for table in spec.tables),
        batch_size=spec.batch_size,
        idle_timeout=spec.idle_timeout_seconds,
        snapshot=_snapshot(spec.snapshot),
        settings=tuple(sorted((spec.settings or {}).items())),
        skip_snapshot=spec.snapshot is not None and spec.snapshot.added_tables is AddedTables.SKIP,
        deletion_policy=spec.deletion_policy,
        drop=DropFlags(
            statistics=drop is not None and drop.statistics is Statistics.DELETE,
            keep_destination=drop is not None and drop.destination_metadata is DestinationMetadata.KEEP,
        ),
    )


def _table(spec: TableSpec) -> DesiredTable:
    return DesiredTable(
        source=spec.source,
        destination=spec.destination,
        exclude=None if spec.exclude is None else frozenset(spec.exclude),
        partition_key=spec.partition_key,
        engine=None if spec.engine is None else spec.engine.wire,
        sharding_key=spec.sharding_key,
        policy_name=spec.policy_name,
        partition_by_expr=spec.partition_by_expr,
        columns=None if spec.columns is None else tuple(_column(column) for column in spec.columns),
    )


def _column(spec: ColumnSpec) -> DesiredColumn:
    return DesiredColumn(
        source=spec.source_name,
        destination=spec.destination_name,
        destination_type=spec.destination_type,
        ordering=spec.ordering,
        partitioning=spec.partitioning,
        nullable=spec.nullable_enabled,
    )


def _snapshot(spec: SnapshotSpec | None) -> DesiredSnapshot:
    if spec is None:
        return DesiredSnapshot()
    return DesiredSnapshot(
        spec.rows_per_partition, spec.partitions_override, spec.max_parallel_workers, spec.tables_in_parallel
    )

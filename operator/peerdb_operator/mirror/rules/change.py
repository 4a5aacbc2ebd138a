"""The difference between a spec and a live mirror, and the next update that makes it smaller, or why none may."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.table import TableSpec
from peerdb_operator.mirror.rules.desired import Desired, differences, mapping_of
from peerdb_operator.peerdb.models import ConfigUpdate, MirrorConfig, TableMapping


def identity(edit: ConfigUpdate) -> str:
    """A hash of the difference itself, whatever else the config holds (32 hex digits); ``status.bounds`` keeps it."""
    snapshot = (edit.rows_per_partition, edit.partitions_override, edit.max_parallel_workers, edit.tables_in_parallel)
    plain = [
        _keys(edit.additions),
        sorted(table.source for table in edit.removals),
        [
            edit.batch_size or None,
            edit.idle_timeout or None,
            [value or None for value in snapshot],
            sorted(edit.env.items()),
        ],
    ]
    return _hash(plain)


def in_words(edit: ConfigUpdate) -> str:
    """The edit for messages: at most five names of a kind."""
    parts = []
    if edit.additions:
        parts.append(f"add {listed([table.source for table in edit.additions])}")
    if edit.removals:
        parts.append(f"remove {listed([table.source for table in edit.removals])}")
    if edit.sets_anything:
        parts.append("change settings")
    return ", ".join(parts) or "nothing"


def precheck_key(edit: ConfigUpdate, desired: Desired) -> str:
    """What a precheck's answer belongs to: the generation, the additions, and whether they are copied."""
    return _hash([desired.generation, desired.skip_snapshot, _keys(edit.additions)])


def _keys(tables: tuple[TableMapping, ...]) -> list[str]:
    return sorted(json.dumps(table.key()) for table in tables)


def _hash(plain: list[object]) -> str:
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()[:32]


def wire_size(table: TableMapping) -> int:
    """Bytes of one mapping in a request, generously: PeerDB's field names, quotes and separators included."""
    overhead = 260 + 130 * len(table.columns) + 4 * len(table.exclude)
    return overhead + len(json.dumps(table.key()).encode())


def listed(names: list[str], most: int = 5) -> str:
    """Names for a message: the first few and the number of the others."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def settings_edit(desired: Desired, config: MirrorConfig) -> ConfigUpdate:
    """The settings that the spec sets and the live config does not have."""
    snapshot = desired.snapshot
    return ConfigUpdate(
        batch_size=_changed(desired.batch_size, config.batch_size),
        idle_timeout=_changed(desired.idle_timeout, config.idle_timeout),
        rows_per_partition=_changed(snapshot.rows_per_partition, config.rows_per_partition),
        partitions_override=_changed(snapshot.partitions_override, config.partitions_override),
        max_parallel_workers=_changed(snapshot.max_parallel_workers, config.max_parallel_workers),
        tables_in_parallel=_changed(snapshot.tables_in_parallel, config.tables_in_parallel),
        env={key: value for key, value in desired.settings if config.env.get(key) != value},
    )


def _changed(value: int | None, live: int) -> int:
    return 0 if value is None or value == live else value


@dataclass(frozen=True, slots=True)
class Blocked:
    """A difference that may not be sent now. The whole difference waits: a removal without its addition loses a table.

    ``until``: when it may be tried again by time alone; None: when something else changes.
    """

    reason: Reason
    message: str
    until: float | None = None


@dataclass(frozen=True, slots=True)
class TableDiff:
    """The tables of the spec against the live ones."""

    added: tuple[TableMapping, ...]
    removed: tuple[TableMapping, ...]
    remapped: tuple[tuple[TableSpec, tuple[str, ...]], ...]

    @property
    def takes_away(self) -> bool:
        """Whether bringing the mirror to the spec would remove or remap a live table."""
        return bool(self.removed or self.remapped)


def diff_tables(desired: Desired, config: MirrorConfig) -> TableDiff:
    """The difference of tables, by source; empty when the spec has no list. No side effects."""
    return config.once("diff", desired, lambda: _diff_tables(desired, config))


def _diff_tables(desired: Desired, config: MirrorConfig) -> TableDiff:
    if desired.tables is None:
        return TableDiff((), (), ())
    live = config.by_source
    sources = {table.source for table in desired.tables}
    remapped = ((table, differences(table, live[table.source])) for table in desired.tables if table.source in live)
    return TableDiff(
        added=tuple(mapping_of(table) for table in desired.tables if table.source not in live),
        removed=tuple(table for table in config.tables if table.source not in sources),
        remapped=tuple((table, fields) for table, fields in remapped if fields),
    )


def next_change(desired: Desired, config: MirrorConfig, *, edit_bytes: int) -> ConfigUpdate | Blocked | None:
    """The next single edit towards the spec, why there is none, or None when nothing differs. No side effects."""
    return config.once(("change", edit_bytes), desired, lambda: _next_change(desired, config, edit_bytes))


def _next_change(desired: Desired, config: MirrorConfig, edit_bytes: int) -> ConfigUpdate | Blocked | None:
    diff = diff_tables(desired, config)
    settings = settings_edit(desired, config)
    if not (diff.added or diff.takes_away) and settings == ConfigUpdate():
        return None
    for check in (_empty_mirror, _remapped, _shared_destinations, _emptying, _freed_destinations, _oversize):
        refusal = check(desired, config, diff, edit_bytes)
        if refusal is not None:
            return refusal
    return _cut(desired, config, diff, settings, edit_bytes)


def describe_conflict(diff: TableDiff) -> str:
    """Describe what taking a mirror over would take away."""
    parts = []
    if diff.removed:
        parts.append(f"remove {listed([table.source for table in diff.removed])}")
    if diff.remapped:
        parts.append(f"change the mapping of {_remapped_names(diff)}")
    return " and ".join(parts)


def _remapped_names(diff: TableDiff) -> str:
    return listed([f"{table.source} ({listed(list(fields))})" for table, fields in diff.remapped])


def _empty_mirror(_desired: Desired, config: MirrorConfig, diff: TableDiff, _bytes: int) -> Blocked | None:
    if config.tables or not diff.added:
        return None
    return Blocked(
        Reason.MIRROR_EMPTY,
        "the mirror has no table left in PeerDB, and adding one to an empty mirror wedges it for good; "
        f"drop and create the mirror again (waiting: {listed([table.source for table in diff.added])})",
    )


def _remapped(_desired: Desired, _config: MirrorConfig, diff: TableDiff, _bytes: int) -> Blocked | None:
    if not diff.remapped:
        return None
    tables = _remapped_names(diff)
    return Blocked(
        Reason.TABLE_CHANGE_REJECTED,
        f"spec.tables: PeerDB cannot change the mapping of a live table: {tables}; put the old mapping back, or take "
        "the table out of the list, wait for Ready, empty its destination table, then add it with the new mapping. "
        "All other edits wait",
    )


def _shared_destinations(_desired: Desired, config: MirrorConfig, diff: TableDiff, _bytes: int) -> Blocked | None:
    twice = [name for name, count in Counter(table.destination for table in diff.added).items() if count > 1]
    if twice:
        return Blocked(
            Reason.DESTINATION_IN_USE,
            f"spec.tables: two added tables share the destination {listed(twice)}; give each its own",
        )
    removed = {table.source for table in diff.removed}
    feeders = {table.destination: table.source for table in config.tables if table.source not in removed}
    fed = [(table, feeders[table.destination]) for table in diff.added if table.destination in feeders]
    if fed:
        names = listed([f"{table.source} onto {table.destination}, fed by {feeder}" for table, feeder in fed])
        return Blocked(
            Reason.DESTINATION_IN_USE,
            f"spec.tables: destination in use: {names}; choose another destination. All other edits wait",
        )
    return None


def _emptying(_desired: Desired, config: MirrorConfig, diff: TableDiff, _bytes: int) -> Blocked | None:
    stays = len(diff.removed) < len(config.tables) or len(_freed(config, diff)) < len(diff.added)
    if stays or not diff.removed:
        return None
    names = listed([f"{table.source} onto {table.destination}" for table in diff.added])
    return Blocked(
        Reason.TABLE_CHANGE_REJECTED,
        f"spec.tables: replacing every table onto its own destination would empty the mirror first: {names}; "
        "keep one table, or drop and create the mirror again",
    )


def _freed_destinations(desired: Desired, config: MirrorConfig, diff: TableDiff, _bytes: int) -> Blocked | None:
    freed = _freed(config, diff)
    if desired.skip_snapshot or not freed:
        return None
    holder = {table.destination: table.source for table in diff.removed}
    names = listed([f"{table.destination} still holds the rows of {holder[table.destination]}" for table in freed])
    return Blocked(
        Reason.DESTINATION_IN_USE,
        f"spec.tables: {names}; choose another destination, or set spec.snapshot.addedTables to Skip to add "
        "without a copy. All other edits wait",
    )


def _oversize(_desired: Desired, _config: MirrorConfig, diff: TableDiff, edit_bytes: int) -> Blocked | None:
    large = [table.source for table in (*diff.added, *diff.removed) if wire_size(table) > edit_bytes]
    if not large:
        return None
    return Blocked(
        Reason.EDIT_TOO_LARGE,
        f"spec.tables: the mapping of {listed(large)} alone is larger than {edit_bytes // 1024} KiB; "
        "shorten its exclude or columns list",
    )


def _freed(config: MirrorConfig, diff: TableDiff) -> tuple[TableMapping, ...]:
    """Additions whose destination is still held by a table that is to be removed."""
    held = {table.destination for table in config.tables}
    return tuple(table for table in diff.added if table.destination in held)


def _cut(
    desired: Desired, config: MirrorConfig, diff: TableDiff, settings: ConfigUpdate, edit_bytes: int
) -> ConfigUpdate:
    """The first request of the difference: never an empty live list, never over the size, freed destinations later."""
    freed = {table.source for table in _freed(config, diff)}
    addable = [table for table in diff.added if table.source not in freed]
    replaces_all = len(diff.removed) == len(config.tables)
    budget = edit_bytes - sum(len(key) + len(value) + 16 for key, value in settings.env.items())
    additions, budget = _take(addable, budget)
    removable = () if replaces_all else diff.removed
    removals, _ = _take(removable, budget)
    skips = desired.skip_snapshot and bool(additions)
    return replace(settings, additions=additions, removals=removals, skip_snapshot=skips)


def _take(tables: Sequence[TableMapping], budget: int) -> tuple[tuple[TableMapping, ...], int]:
    """As many leading tables as fit into the budget, and what is left of it."""
    taken = 0
    for size in map(wire_size, tables):
        if size > budget:
            break
        taken += 1
        budget -= size
    return tuple(tables[:taken]), budget

"""Which edit comes next, or why none may be sent.

Owns the rules that keep an update harmless (PeerDB v0.37 flow/workflows/cdc_flow.go processCDCFlowConfigUpdate skips,
wedges or loses those that break them). Does not know when an edit is sent: that is the planner's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from peerdb_operator.core.config import LiveConfig, TableMapping
from peerdb_operator.core.desired import Desired, TableWish
from peerdb_operator.core.edit import Edit, SettingsEdit, listed, settings_edit, wire_size
from peerdb_operator.core.reasons import Reason

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Withheld:
    """A difference that may not be sent now. The whole difference waits: a removal without its addition loses a table.

    ``until``: when it may be tried again by time alone; None: when something else changes.
    """

    reason: Reason
    message: str
    until: float | None = None


@dataclass(frozen=True, slots=True)
class TableDiff:
    """The tables of the spec against the live ones."""

    added: tuple[TableWish, ...]
    removed: tuple[TableMapping, ...]
    remapped: tuple[tuple[TableWish, tuple[str, ...]], ...]

    @property
    def takes_away(self) -> bool:
        """Whether bringing the mirror to the spec would remove or remap a live table."""
        return bool(self.removed or self.remapped)


def diff_tables(desired: Desired, config: LiveConfig) -> TableDiff:
    """The difference of tables, by source; empty when the spec has no list. No side effects."""
    if desired.tables is None:
        return TableDiff((), (), ())
    live = config.by_source
    wished = {wish.source for wish in desired.tables}
    remapped = ((wish, wish.differs_from(live[wish.source])) for wish in desired.tables if wish.source in live)
    return TableDiff(
        added=tuple(wish for wish in desired.tables if wish.source not in live),
        removed=tuple(table for table in config.tables if table.source not in wished),
        remapped=tuple((wish, fields) for wish, fields in remapped if fields),
    )


def next_change(desired: Desired, config: LiveConfig, *, edit_bytes: int) -> Edit | Withheld | None:
    """The next single edit towards the spec, why there is none, or None when nothing differs. No side effects."""
    diff = diff_tables(desired, config)
    settings = settings_edit(desired, config)
    if not (diff.added or diff.takes_away) and settings.is_empty:
        return None
    for check in (_empty_mirror, _remapped, _shared_destinations, _emptying, _freed_destinations, _oversize):
        refusal = check(desired, config, diff, edit_bytes)
        if refusal is not None:
            return refusal
    return _cut(config, diff, settings, edit_bytes)


def describe_conflict(diff: TableDiff) -> str:
    """What taking a mirror over would take away, in words."""
    parts = []
    if diff.removed:
        parts.append(f"remove {listed([table.source for table in diff.removed])}")
    if diff.remapped:
        parts.append(f"change the mapping of {_remapped_names(diff)}")
    return " and ".join(parts)


def _remapped_names(diff: TableDiff) -> str:
    return listed([f"{wish.source} ({listed(list(fields))})" for wish, fields in diff.remapped])


def _empty_mirror(_desired: Desired, config: LiveConfig, diff: TableDiff, _bytes: int) -> Withheld | None:
    if config.tables or not diff.added:
        return None
    return Withheld(
        Reason.MIRROR_EMPTY,
        "the mirror has no table left in PeerDB, and adding one to an empty mirror wedges it for good; "
        f"drop and create the mirror again (waiting: {listed([wish.source for wish in diff.added])})",
    )


def _remapped(_desired: Desired, _config: LiveConfig, diff: TableDiff, _bytes: int) -> Withheld | None:
    if not diff.remapped:
        return None
    tables = _remapped_names(diff)
    return Withheld(
        Reason.TABLE_CHANGE_REJECTED,
        f"spec.tables: PeerDB cannot change the mapping of a live table: {tables}; put the old mapping back, or take "
        "the table out of the list, wait for Ready, empty its destination table, then add it with the new mapping. "
        "All other edits wait",
    )


def _shared_destinations(_desired: Desired, config: LiveConfig, diff: TableDiff, _bytes: int) -> Withheld | None:
    twice = [name for name, count in Counter(wish.destination for wish in diff.added).items() if count > 1]
    if twice:
        return Withheld(
            Reason.DESTINATION_IN_USE,
            f"spec.tables: two added tables share the destination {listed(twice)}; give each its own",
        )
    removed = {table.source for table in diff.removed}
    feeders = {table.destination: table.source for table in config.tables if table.source not in removed}
    fed = [(wish, feeders[wish.destination]) for wish in diff.added if wish.destination in feeders]
    if fed:
        told = listed([f"{wish.source} onto {wish.destination}, fed by {feeder}" for wish, feeder in fed])
        return Withheld(
            Reason.DESTINATION_IN_USE,
            f"spec.tables: destination in use: {told}; choose another destination. All other edits wait",
        )
    return None


def _emptying(_desired: Desired, config: LiveConfig, diff: TableDiff, _bytes: int) -> Withheld | None:
    stays = len(diff.removed) < len(config.tables) or len(_freed(config, diff)) < len(diff.added)
    if stays or not diff.removed:
        return None
    told = listed([f"{wish.source} onto {wish.destination}" for wish in diff.added])
    return Withheld(
        Reason.TABLE_CHANGE_REJECTED,
        f"spec.tables: replacing every table onto its own destination would empty the mirror first: {told}; "
        "keep one table, or drop and create the mirror again",
    )


def _freed_destinations(desired: Desired, config: LiveConfig, diff: TableDiff, _bytes: int) -> Withheld | None:
    freed = _freed(config, diff)
    if desired.skip_snapshot or not freed:
        return None
    holder = {table.destination: table.source for table in diff.removed}
    told = listed([f"{wish.destination} still holds the rows of {holder[wish.destination]}" for wish in freed])
    return Withheld(
        Reason.DESTINATION_IN_USE,
        f"spec.tables: {told}; choose another destination, or set spec.snapshot.addedTables to Skip to add without a "
        "copy. All other edits wait",
    )


def _oversize(_desired: Desired, _config: LiveConfig, diff: TableDiff, edit_bytes: int) -> Withheld | None:
    mappings = (*(wish.as_mapping() for wish in diff.added), *diff.removed)
    large = [table.source for table in mappings if wire_size(table) > edit_bytes]
    if not large:
        return None
    return Withheld(
        Reason.EDIT_TOO_LARGE,
        f"spec.tables: the mapping of {listed(large)} alone is larger than {edit_bytes // 1024} KiB; "
        "shorten its exclude or columns list",
    )


def _freed(config: LiveConfig, diff: TableDiff) -> tuple[TableWish, ...]:
    """Additions whose destination is still held by a table that is to be removed."""
    held = {table.destination for table in config.tables}
    return tuple(wish for wish in diff.added if wish.destination in held)


def _cut(config: LiveConfig, diff: TableDiff, settings: SettingsEdit, edit_bytes: int) -> Edit:
    """The first request of the difference: never an empty live list, never over the size, freed destinations later."""
    freed = {wish.source for wish in _freed(config, diff)}
    addable = [wish for wish in diff.added if wish.source not in freed]
    replaces_all = len(diff.removed) == len(config.tables)
    budget = edit_bytes - sum(len(key) + len(value) + 16 for key, value in settings.env)
    additions, budget = _take([(wish, wire_size(wish.as_mapping())) for wish in addable], budget)
    removable = () if replaces_all else diff.removed
    removals, _ = _take([(table, wire_size(table)) for table in removable], budget)
    return Edit(tuple(additions), tuple(removals), settings)


def _take(sized: Iterable[tuple[T, int]], budget: int) -> tuple[list[T], int]:
    """As many leading items as fit into the budget, and what is left of it."""
    taken: list[T] = []
    for item, size in sized:
        if size > budget:
            break
        taken.append(item)
        budget -= size
    return taken, budget

"""One update of a mirror: what it carries, what the config is afterwards, how large it is.

Owns the values; ``change`` decides which edit is sent.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace

from peerdb_operator.core.config import LiveConfig, SnapshotValues, TableMapping
from peerdb_operator.core.desired import Desired, SnapshotWish, TableWish


@dataclass(frozen=True, slots=True)
class SettingsEdit:
    """The settings part of an edit; ``None`` and absent keys stay unchanged (PeerDB reads 0 as "unchanged" too)."""

    batch_size: int | None = None
    idle_timeout: int | None = None
    snapshot: SnapshotWish = field(default_factory=SnapshotWish)
    env: tuple[tuple[str, str], ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be set."""
        return self == SettingsEdit()


@dataclass(frozen=True, slots=True)
class Edit:
    """One update: additions, removals and settings together."""

    additions: tuple[TableWish, ...] = ()
    removals: tuple[TableMapping, ...] = ()
    settings: SettingsEdit = SettingsEdit()

    @property
    def is_empty(self) -> bool:
        """Whether the edit would change nothing."""
        return not self.additions and not self.removals and self.settings.is_empty

    def applied_to(self, config: LiveConfig) -> LiveConfig:
        """The config once PeerDB has applied this edit to ``config``."""
        gone = {table.source for table in self.removals}
        kept = tuple(table for table in config.tables if table.source not in gone)
        settings = self.settings
        return LiveConfig(
            tables=kept + tuple(wish.as_mapping() for wish in self.additions),
            batch_size=settings.batch_size or config.batch_size,
            idle_timeout=settings.idle_timeout or config.idle_timeout,
            snapshot=_snapshot_after(config.snapshot, settings.snapshot),
            env=tuple(sorted({**dict(config.env), **dict(settings.env)}.items())),
        )

    def identity(self) -> str:
        """A hash of the difference itself, whatever else the config holds (32 hex digits)."""
        settings = self.settings
        plain = [
            sorted(json.dumps(wish.as_mapping().key()) for wish in self.additions),
            sorted(table.source for table in self.removals),
            [settings.batch_size, settings.idle_timeout, _values(settings.snapshot), list(settings.env)],
        ]
        return hashlib.sha256(json.dumps(plain).encode()).hexdigest()[:32]

    def names(self) -> str:
        """The edit in words, for messages: at most five names of a kind."""
        parts = []
        if self.additions:
            parts.append(f"add {listed([wish.source for wish in self.additions])}")
        if self.removals:
            parts.append(f"remove {listed([table.source for table in self.removals])}")
        if not self.settings.is_empty:
            parts.append("change settings")
        return ", ".join(parts) or "nothing"


def precheck_key(edit: Edit, desired: Desired) -> str:
    """What a precheck's answer belongs to: the generation, the additions, and whether they are copied."""
    plain = [
        desired.generation,
        desired.skip_snapshot,
        sorted(json.dumps(wish.as_mapping().key()) for wish in edit.additions),
    ]
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()[:32]


def wire_size(table: TableMapping) -> int:
    """Bytes of one mapping in a request, generously: PeerDB's field names, quotes and separators included."""
    overhead = 260 + 130 * len(table.columns) + 4 * len(table.exclude)
    return overhead + len(json.dumps(table.key()).encode())


def listed(names: list[str], most: int = 5) -> str:
    """Names for a message: the first few and the number of the others."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def settings_edit(desired: Desired, config: LiveConfig) -> SettingsEdit:
    """The settings that the spec sets and the live config does not have."""
    env = dict(config.env)
    wish, live = desired.snapshot, config.snapshot
    return SettingsEdit(
        batch_size=_changed(desired.batch_size, config.batch_size),
        idle_timeout=_changed(desired.idle_timeout, config.idle_timeout),
        snapshot=SnapshotWish(
            rows_per_partition=_changed(wish.rows_per_partition, live.rows_per_partition),
            partitions_override=_changed(wish.partitions_override, live.partitions_override),
            max_parallel_workers=_changed(wish.max_parallel_workers, live.max_parallel_workers),
            tables_in_parallel=_changed(wish.tables_in_parallel, live.tables_in_parallel),
        ),
        env=tuple((key, value) for key, value in desired.settings if env.get(key) != value),
    )


def _changed(wished: int | None, live: int) -> int | None:
    return None if wished is None or wished == live else wished


def _values(wish: SnapshotWish) -> list[int | None]:
    return [wish.rows_per_partition, wish.partitions_override, wish.max_parallel_workers, wish.tables_in_parallel]


def _snapshot_after(live: SnapshotValues, wish: SnapshotWish) -> SnapshotValues:
    return replace(
        live,
        rows_per_partition=wish.rows_per_partition or live.rows_per_partition,
        partitions_override=wish.partitions_override or live.partitions_override,
        max_parallel_workers=wish.max_parallel_workers or live.max_parallel_workers,
        tables_in_parallel=wish.tables_in_parallel or live.tables_in_parallel,
    )

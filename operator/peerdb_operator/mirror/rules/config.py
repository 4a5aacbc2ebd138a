"""What a mirror's editable configuration is, as PeerDB reports it, and its fingerprint.

Owns the comparison form: tables keyed by source, ``exclude`` as a set, 64-bit numbers as integers. The client knows how
PeerDB writes these things; ``change`` knows how they differ from a spec.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True, slots=True)
class Column:
    """One column rule of a table mapping, every field filled."""

    source: str
    destination: str = ""
    destination_type: str = ""
    ordering: int = 0
    partitioning: int = 0
    nullable: bool = False

    def key(self) -> tuple[str, str, str, int, int, bool]:
        """The column as a plain tuple that sorts and serialises."""
        return (self.source, self.destination, self.destination_type, self.ordering, self.partitioning, self.nullable)

    @property
    def is_plain(self) -> bool:
        """Whether the column arrives as it would if it were not listed."""
        return self in {Column(self.source), Column(self.source, self.source)}


@dataclass(frozen=True, slots=True)
class TableMapping:
    """A live table mapping, every field filled. Its identity is ``source`` (PeerDB keys everything by it)."""

    source: str
    destination: str
    exclude: frozenset[str] = frozenset()
    partition_key: str = ""
    engine: str = "CH_ENGINE_REPLACING_MERGE_TREE"
    sharding_key: str = ""
    policy_name: str = ""
    partition_by_expr: str = ""
    columns: frozenset[Column] = frozenset()

    def key(self) -> list[object]:
        """The mapping as plain values in a fixed order."""
        return [
            self.source,
            self.destination,
            sorted(self.exclude),
            self.partition_key,
            self.engine,
            self.sharding_key,
            self.policy_name,
            self.partition_by_expr,
            sorted(column.key() for column in self.columns),
        ]


@dataclass(frozen=True, slots=True)
class SnapshotValues:
    """The four live snapshot settings; 0 means PeerDB's own default."""

    rows_per_partition: int = 0
    partitions_override: int = 0
    max_parallel_workers: int = 0
    tables_in_parallel: int = 0


@dataclass(frozen=True)
class LiveConfig:
    """All editable live fields of one mirror."""

    tables: tuple[TableMapping, ...] = ()
    batch_size: int = 0
    idle_timeout: int = 0
    snapshot: SnapshotValues = SnapshotValues()
    env: tuple[tuple[str, str], ...] = ()

    @cached_property
    def by_source(self) -> dict[str, TableMapping]:
        """The live tables by source."""
        return {table.source: table for table in self.tables}

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all editable fields that does not depend on the order of tables or keys (32 hex digits)."""
        values = self.snapshot
        plain = [
            sorted((table.key() for table in self.tables), key=lambda key: str(key[0])),
            self.batch_size,
            self.idle_timeout,
            [
                values.rows_per_partition,
                values.partitions_override,
                values.max_parallel_workers,
                values.tables_in_parallel,
            ],
            sorted(self.env),
        ]
        return hashlib.sha256(json.dumps(plain, separators=(",", ":")).encode()).hexdigest()[:32]

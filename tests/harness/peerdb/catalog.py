"""What outlives a mirror: its log lines, its copy statistics; and the databases at both ends.

Owns plain storage. Logs are never deleted; statistics go only with ``dropMirrorStats`` (PeerDB v0.37
flow/activities/flowable.go DeleteMirrorStats).
"""

from __future__ import annotations

import datetime as dt
import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from tests.harness.peerdb.config import Table

ANY_PUBLICATION: Final = "*"


def copy_name(mirror: str, source: str, run: str) -> str:
    """The flow name of a copy (PeerDB v0.37 flow/workflows/snapshot_flow.go cloneTable)."""
    return re.sub("[^a-zA-Z0-9_]+", "_", f"clone_{mirror}_{source}_{run}")


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the log table; ``at`` in seconds since the epoch."""

    id: int
    flow: str
    message: str
    level: str
    at: float


@dataclass(slots=True)
class Journal:
    """The log table, oldest first."""

    lines: list[Line] = field(default_factory=list)

    def add(self, flow: str, message: str, level: str, at: float) -> None:
        """Append a line under the next id."""
        self.lines.append(Line(len(self.lines) + 1, flow, message, level, at))


@dataclass(slots=True)
class Clone:
    """The copy of one table: runs from ``start`` to ``end``; None as end means that it makes no progress."""

    table: Table
    start: float
    end: float | None
    run: str
    partitions: int = 1
    rows: int = 50
    frozen_at: float | None = None

    def done(self, now: float) -> float:
        """The part that is copied, 0 to 1."""
        if self.end is None:
            return 0.0
        now = now if self.frozen_at is None else min(now, self.frozen_at)
        return 1.0 if now >= self.end else max(now - self.start, 0.0) / (self.end - self.start)

    def name(self, mirror: str) -> str:
        """The flow name under which this copy logs."""
        return copy_name(mirror, self.table.source, self.run)


@dataclass(slots=True)
class Stats:
    """Copy statistics by mirror name; they survive the row."""

    clones: dict[str, list[Clone]] = field(default_factory=dict)

    def of(self, mirror: str) -> list[Clone]:
        """All copies recorded under this name, also those of earlier mirrors."""
        return self.clones.get(mirror, [])

    def copying(
        self, mirror: str, tables: Iterable[Table], *, start: float, end: float | None, run: str, partitions: int,
        rows: int,
    ) -> None:  # fmt: skip
        """Record that these tables are being copied."""
        known = self.clones.setdefault(mirror, [])
        known += [Clone(table, start, end, run, partitions, rows) for table in tables]


@dataclass(slots=True)
class Databases:
    """What the source and destination hold, as far as PeerDB meets it.

    ``source_tables``: the tables that exist (None: every well-formed name does). ``publications``: the tables of each
    custom publication, under ``*`` those of any other (a name that is neither does not exist; None: every publication
    exists and holds every table). ``filled``: destinations with rows in them; copies add to it, removals and drops
    leave it alone. ``missing_columns``: a column that a destination table lacks. The ``no_...`` sets except single
    things from what the others allow.
    """

    source_tables: set[str] | None = None
    publications: dict[str, set[str]] | None = None
    filled: set[str] = field(default_factory=set)
    missing_columns: dict[str, str] = field(default_factory=dict)
    no_sources: set[str] = field(default_factory=set)
    no_publications: set[str] = field(default_factory=set)
    not_published: set[tuple[str, str]] = field(default_factory=set)

    def has_source(self, table: str) -> bool:
        """Whether a source table exists."""
        return table not in self.no_sources and (self.source_tables is None or table in self.source_tables)

    def published(self, publication: str, table: str) -> bool:
        """Whether a custom publication carries a table."""
        if (publication, table) in self.not_published:
            return False
        known = self.publications
        return known is None or table in known.get(publication, known.get(ANY_PUBLICATION, set()))

    def has_publication(self, publication: str) -> bool:
        """Whether a custom publication exists."""
        if publication in self.no_publications:
            return False
        return self.publications is None or not {publication, ANY_PUBLICATION}.isdisjoint(self.publications)


def well_formed(identifier: str) -> bool:
    """Whether a source identifier is ``schema.table``: exactly one dot, both parts non-empty."""
    schema, dot, table = identifier.partition(".")
    return bool(schema and dot and table) and "." not in table


@functools.lru_cache(maxsize=1024)
def rfc3339(moment: float) -> str:
    """A protojson timestamp: UTC, fraction of 0, 3 or 6 digits."""
    micros = round(moment * 1_000_000)
    seconds, rest = divmod(micros, 1_000_000)
    head = dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    if rest == 0:
        return f"{head}Z"
    return f"{head}.{rest // 1000:03d}Z" if rest % 1000 == 0 else f"{head}.{rest:06d}Z"

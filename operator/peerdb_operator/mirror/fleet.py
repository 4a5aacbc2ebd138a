"""Two reads per tick that serve all Mirrors, and the Mirrors that they wake.

``GET mirrors/list`` is compared with what reconciles saw last, and each row of ``POST mirrors/logs`` is given to the
mirror that it is about. A difference only wakes an object: decisions need an observation of their own reconcile.

A poll that fails says that PeerDB could not be asked. The log is read onwards from the newest row seen, so a failed
read loses nothing; a PeerDB whose ids begin anew (another catalog) is noticed by a newest page now and then.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from peerdb_operator.api.times import parse_time
from peerdb_operator.errors import PeerDBError
from peerdb_operator.mirror.outage import OutageReporter
from peerdb_operator.mirror.rules.conditions import AWAY
from peerdb_operator.mirror.rules.flow import is_open
from peerdb_operator.mirror.rules.limits import Limits
from peerdb_operator.mirror.store import CachedMirror, MirrorStore
from peerdb_operator.peerdb.client import ListedMirror, LogLevel, LogRow, PeerDBClient
from peerdb_operator.ports import Clock, Wake
from peerdb_operator.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

CLONE = "clone_"
RUN_ID = re.compile(r"_[0-9a-f]{8}_[0-9a-f]{4}_[0-9a-f]{4}_[0-9a-f]{4}_[0-9a-f]{12}$")
ROUNDING_MS = 1
"""By how much two forms of one createdAt may differ; no mirror is dropped and created within it."""
ERROR_LENGTH = 500
CLOCKS_APART = 86_400.0
"""By how much PeerDB's clock may be ahead of ours, in seconds."""
ROWS = 200
"""Rows per page. ``numPerPage`` 0 would return nothing (PeerDB v0.37 flow/cmd/mirror_status.go ListMirrorLogs)."""

PAGES = 5
"""Pages per tick while there are more new rows than fit on one; the others wait for the next tick."""

NEWEST_EVERY = 30
"""Ticks from one newest page to the next."""

_NO_UPPER_BOUND = -1


@dataclass(frozen=True, slots=True)
class FleetPoll:
    """What one poll of PeerDB showed of all its mirrors.

    ``began_at`` is when its first request was begun. ``mirrors`` is ``None`` exactly when the list failed,
    and ``error`` then says why; an empty tuple is a PeerDB without mirrors. ``log_rows`` are the rows that are new
    since the poll before, oldest first; after a failed logs call the next poll has them.
    """

    began_at: float
    mirrors: tuple[ListedMirror, ...] | None
    log_rows: tuple[LogRow, ...] = ()
    error: PeerDBError | None = None


class FleetReader:
    """Compares polls with the cache."""

    def __init__(self, store: MirrorStore, limits: Limits) -> None:
        self._store = store
        self._limits = limits
        self._marked: set[str] = set()
        self._blinded: set[str] = set()
        """The Mirrors whose outage began with a failed tick, not with an observation of their own."""
        self.answered_at = float("-inf")
        """When the newest list was asked for that PeerDB has answered."""

    def mark(self, uids: Iterable[str]) -> None:
        """Wake these at the next tick, whatever it shows."""
        self._marked.update(uids)

    @property
    def has_no_mirrors(self) -> bool:
        """Whether there is nothing to poll for."""
        return len(self._store) == 0

    def compare(self, poll: FleetPoll, now: float) -> list[str]:
        """The uids to wake after one poll."""
        woken, self._marked = self._marked, set()
        woken.update(self._errors(poll.log_rows, now))
        if poll.mirrors is None:
            woken.update(self._outage(poll, now))
        else:
            self.answered_at = poll.began_at
            rows = {row.name: row for row in poll.mirrors}
            for entry in self._awake():
                if poll.began_at <= entry.commanded_at:
                    continue
                row = rows.get(entry.view.mirror)
                self._forget_outage(entry)
                if poll.began_at >= entry.observed_at and row is not None and _is_another(entry, row):
                    entry.history, entry.sample_at = replace(entry.history, replaced=True), 0.0
                    woken.add(entry.view.uid)
                elif _surprises(entry, row):
                    woken.add(entry.view.uid)
            self._blinded.clear()
        return sorted(woken)

    def _awake(self) -> list[CachedMirror]:
        """The Mirrors that PeerDB is asked about, without those in a reconcile at this moment."""
        return [entry for entry in self._store if not entry.busy and entry.is_looked_at]

    def _forget_outage(self, entry: CachedMirror) -> None:
        """End an outage that status does not report and no observation of the Mirror itself has met."""
        if entry.view.uid in self._blinded and not _reports_outage(entry, long=False):
            entry.history = replace(entry.history, unknown_since=None)

    def _outage(self, poll: FleetPoll, now: float) -> list[str]:
        """Start the outage of every Mirror; wake those whose status does not report it in time."""
        if poll.error is None:
            return []
        late = []
        for entry in self._awake():
            if entry.history.unknown_since is None:
                entry.history = replace(entry.history, unknown_since=now, streak=None, not_found_since=None)
                self._blinded.add(entry.view.uid)
            lasts = now - (entry.history.unknown_since or now)
            if lasts >= self._limits.outage_quiet and not _reports_outage(
                entry, long=lasts >= self._limits.outage_unknown
            ):
                late.append(entry.view.uid)
        return late

    def _errors(self, rows: Iterable[LogRow], now: float) -> list[str]:
        woken = []
        for row in rows:
            # PeerDB's clock, whose times are compared with each other. One that is mad must not open an error for ever.
            at = min(row.time, now + CLOCKS_APART)
            for entry in self._owners(row.mirror_name):
                was_open = is_open(entry.error, entry.history.batch_end)
                if entry.error is None or at >= entry.error[1]:
                    entry.error = (" ".join(entry.without_secrets(row.message).split())[:ERROR_LENGTH], at)
                if not was_open and is_open(entry.error, entry.history.batch_end):
                    woken.append(entry.view.uid)
        return woken

    def _owners(self, name: str) -> list[CachedMirror]:
        """The Mirrors whose own log this row is: named like the mirror, or like a copy of one of its tables."""
        exact = self._store.claimants(name)
        if exact or not name.startswith(CLONE) or not RUN_ID.search(name):
            return exact
        body = RUN_ID.sub("", name.removeprefix(CLONE))
        cuts = [place for place, letter in enumerate(body) if letter == "_"]
        return [
            entry for cut in cuts for entry in self._store.copied_as(body[:cut]) if body[cut + 1 :] in entry.sources
        ]


def _surprises(entry: CachedMirror, row: ListedMirror | None) -> bool:
    """Whether the list differs from the newest observation of a reconcile."""
    if entry.history.unknown_since is not None:
        return True
    if row is None:
        return entry.view.status.state != "Missing"
    return row.state != entry.history.word


def _is_another(entry: CachedMirror, row: ListedMirror) -> bool:
    """Whether the list shows another mirror under the name than the one seen last."""
    known = _milliseconds(entry.peerdb_created_at)
    return known is not None and abs(row.created_at_ms - known) > ROUNDING_MS


def _milliseconds(created_at: str) -> int | None:
    """A createdAt as the list has it: microseconds cut off; None for a text that is no time."""
    try:
        return round(parse_time(created_at) * 1e6) // 1000
    except ValueError:
        return None


def _reports_outage(entry: CachedMirror, *, long: bool) -> bool:
    conditions = {condition.type: condition for condition in entry.view.status.conditions}
    synced, ready = conditions.get("Synced"), conditions.get("Ready")
    if synced is None or ready is None or synced.reason not in AWAY:
        return False
    return not long or ready.status.value == "Unknown"


class FleetObserver:
    """Makes one ``FleetPoll`` per tick. While there are no Mirrors, PeerDB is not asked."""

    def __init__(
        self,
        *,
        peerdb: PeerDBClient,
        reader: FleetReader,
        clock: Clock,
        metrics: Metrics,
        outage: OutageReporter,
        refusal: Callable[[], PeerDBError | None] = lambda: None,
    ) -> None:
        """``refusal``: why no Mirror is observed although PeerDB answers."""
        self._peerdb = peerdb
        self._reader = reader
        self._clock = clock
        self._metrics = metrics
        self._outage = outage
        self._refusal = refusal
        self._log = _LogReader(peerdb)

    async def poll(self, wake: Wake) -> None:
        """One tick. An Event about an outage may take long, so it comes last."""
        if self._reader.has_no_mirrors:
            self._metrics.record_no_fleet_poll()
            return
        began_at = self._clock.now()
        (mirrors, error), rows = await asyncio.gather(self._list(), self._rows())
        self._metrics.record_fleet_poll(answered=error is None, now=self._clock.now())
        for uid in self._reader.compare(FleetPoll(began_at, mirrors, rows, error), self._clock.now()):
            wake(uid)
        await self._outage.observe(error or self._refusal())

    async def _list(self) -> tuple[tuple[ListedMirror, ...] | None, PeerDBError | None]:
        try:
            rows = await self._peerdb.list_mirrors()
        except PeerDBError as error:
            return None, error
        return tuple(rows), None

    async def _rows(self) -> tuple[LogRow, ...]:
        try:
            return await self._log.new_rows()
        except PeerDBError as error:
            logger.debug("The log of PeerDB could not be read: %s", error)
            return ()


class _LogReader:
    """Reads every row of level error once, oldest first."""

    def __init__(self, peerdb: PeerDBClient) -> None:
        self._peerdb = peerdb
        self._newest: int | None = None
        self._reads = 0

    async def new_rows(self) -> tuple[LogRow, ...]:
        """Rows since the last call; the first call returns the newest page. Raises PeerDBError."""
        self._reads += 1
        if self._newest is None or self._reads % NEWEST_EVERY == 0:
            page = await self._page()
            reached = max((row.id for row in page), default=0)
            if self._newest is None or reached < self._newest:
                self._newest = reached
                return page
        rows: list[LogRow] = []
        for _ in range(PAGES):
            try:
                page = await self._page(after=self._newest)
            except PeerDBError:
                if not rows:
                    raise
                break
            rows += page
            self._newest = max((row.id for row in page), default=self._newest)
            if len(page) < ROWS:
                break
        return tuple(rows)

    async def _page(self, after: int | None = None) -> tuple[LogRow, ...]:
        # Newer rows are asked for by an absent upper bound; PeerDB then takes the oldest of them.
        before = 0 if after is None else _NO_UPPER_BOUND
        found = await self._peerdb.logs(level=LogLevel.ERROR, num_per_page=ROWS, after_id=after or 0, before_id=before)
        return tuple(sorted(found, key=lambda row: row.id))

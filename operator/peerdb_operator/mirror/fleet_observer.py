"""The fleet observer: two reads per tick that serve all Mirrors.

Owns the rhythm of ``GET mirrors/list`` and ``POST mirrors/logs`` and the place reached in PeerDB's log. Leaves what a
row means for a Mirror to the controller. While there are no Mirrors, PeerDB is not asked.

A tick that fails is a look too: it says that PeerDB could not be asked. The log is read onwards from the newest row
seen, so a failed read loses nothing; a PeerDB whose ids begin anew (another catalog) is noticed by a newest page now
and then.
"""

import asyncio
import logging
from collections.abc import Callable

from peerdb_operator.errors import PeerDBError
from peerdb_operator.mirror.outage import OutageReporter
from peerdb_operator.peerdb.client import ListedMirror, LogLevel, LogRow, PeerDBClient
from peerdb_operator.ports import Clock, Controller, FleetPoll
from peerdb_operator.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

ROWS = 200
"""Rows per page. ``numPerPage`` 0 would return nothing (PeerDB v0.37 flow/cmd/mirror_status.go ListMirrorLogs)."""

PAGES = 5
"""Pages per tick while there are more new rows than fit on one; the rest waits for the next tick."""

NEWEST_EVERY = 30
"""Ticks from one newest page to the next."""

_NO_UPPER_BOUND = -1


class FleetObserver:
    """Feeds the controller one ``FleetPoll`` per tick and wakes whom it names."""

    def __init__(
        self,
        peerdb: PeerDBClient,
        controller: Controller,
        wake: Callable[[str], None],
        clock: Clock,
        tick: float,
        metrics: Metrics | None = None,
        outage: OutageReporter | None = None,
    ) -> None:
        self._peerdb = peerdb
        self._controller = controller
        self._wake = wake
        self._clock = clock
        self._tick = tick
        self._metrics = metrics or Metrics()
        self._outage = outage
        self._log = _LogReader(peerdb)

    async def run(self) -> None:
        """Look once per tick, for ever. A look that takes longer than a tick is followed by the next at once."""
        while True:
            began = self._clock.now()
            await self.look()
            await self._clock.sleep(max(0.0, began + self._tick - self._clock.now()))

    async def look(self) -> None:
        """One tick. Raises nothing but ``CancelledError``."""
        try:
            if not self._controller.known_versions():
                self._metrics.record_no_fleet_poll()
                return
            began_at = self._clock.now()
            (mirrors, error), rows = await asyncio.gather(self._list(), self._rows())
            self._metrics.record_fleet_poll(answered=error is None, now=self._clock.now())
            look = FleetPoll(began_at=began_at, mirrors=mirrors, log_rows=rows, error=error)
            for uid in self._controller.fleet(look):
                self._wake(uid)
            if self._outage is not None:
                await self._outage.observe(error or self._controller.refusal())
        except Exception:
            # A bug here must not end the observation of all mirrors: the next tick tries again.
            logger.exception("A look at the fleet ended with an error that nobody classified")

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
            page = await self._page(after=self._newest)
            rows += page
            self._newest = max((row.id for row in page), default=self._newest)
            if len(page) < ROWS:
                break
        return tuple(rows)

    async def _page(self, after: int | None = None) -> tuple[LogRow, ...]:
        # Newer rows are asked for by an absent upper bound; PeerDB then takes the oldest of them.
        found = await (
            self._peerdb.logs(level=LogLevel.ERROR, num_per_page=ROWS)
            if after is None
            else self._peerdb.logs(level=LogLevel.ERROR, num_per_page=ROWS, after_id=after, before_id=_NO_UPPER_BOUND)
        )
        return tuple(sorted(found, key=lambda row: row.id))

"""The simulated world: clock, timers, catalog, databases, log. No I/O, no wall clock, no asyncio.

Owns time (a heap of timers, run by ``run_until``) and the one place where a mirror's row changes. What happens at a
timer, and what a request does, is written in ``workflow``, ``drops`` and the handlers, which all work on a ``World``.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from random import Random
from typing import cast

from tests.harness.peerdb.batches import Batches
from tests.harness.peerdb.catalog import Databases, Journal, Stats
from tests.harness.peerdb.config import Config
from tests.harness.peerdb.events import EventLog, SignalWhat
from tests.harness.peerdb.knobs import Knobs, Scope, in_scope
from tests.harness.peerdb.mirror import Mirror, Phase, Row, Signal, Timer, Workflow
from tests.harness.peerdb.spans import FAILING_SYNC_STOP, RESTARTED_STOP, Span, draw
from tests.harness.peerdb.values import Status

HEARTBEAT_TIMEOUT = 60.0


class World:
    """Everything that exists in the simulation. Times are seconds since the epoch, UTC."""

    def __init__(self, *, now: float, rng: Random, knobs: Knobs) -> None:
        self.now = now
        self.rng = rng
        self.knobs = knobs
        self.log = EventLog()
        self.mirrors: dict[str, Mirror] = {}
        self.journal = Journal()
        self.stats = Stats()
        self.databases = Databases()
        self.batches = Batches(lambda: self.now, lambda: self.knobs.batch_seconds, self.flows, self.holds_rows_back)
        self.settings: dict[str, str] = {}
        self.peers: dict[str, str] = {"src": "POSTGRES", "dst": "CLICKHOUSE"}
        self.choose: Callable[[str, str, tuple[str, ...]], str] = self._choose_by_knob
        self.hold: frozenset[Span] = frozenset()
        self.held: list[Timer] = []
        self.workers_back_at = float("-inf")
        self._heap: list[Timer] = []
        self._frozen: list[tuple[float, Timer]] = []
        self._seq = 0
        self._next_row_id = 1

    # -- time ----------------------------------------------------------------------------------------------------

    def after(
        self, wait: Span | float, action: Callable[[], None], *, mirror: str = "", work: bool = True,
    ) -> Timer:  # fmt: skip
        """Have ``action`` called after a span (or a number of seconds) of simulated time."""
        seconds = self.draw(wait) if isinstance(wait, Span) else wait
        self._seq += 1
        name = wait.value if isinstance(wait, Span) else ""
        timer = Timer(self.now + seconds, self._seq, action, name, mirror, work)
        if wait in self.hold:
            self.held.append(timer)
        elif work and self.frozen:
            self._frozen.append((seconds, timer))
        else:
            heapq.heappush(self._heap, timer)
        return timer

    def draw(self, span: Span) -> float:
        """Seconds for a span under the knobs of the moment."""
        fixed = getattr(self.knobs, span.value)
        if span is Span.STOP and fixed is None:
            if self.now < self.workers_back_at + HEARTBEAT_TIMEOUT:
                return max(self.workers_back_at + self.rng.uniform(*RESTARTED_STOP) - self.now, 0.1)
            if self.knobs.failing_sync:
                return self.rng.uniform(*FAILING_SYNC_STOP)
        return draw(span, fixed, self.rng)

    def run_until(self, moment: float) -> None:
        """Let time pass up to ``moment``; what is due happens in order. Time never runs backwards."""
        heap = self._heap
        while heap and heap[0].due <= moment:
            timer = heapq.heappop(heap)
            if timer.cancelled:
                continue
            self.now = max(self.now, timer.due)
            self.fire(timer)
        self.now = max(self.now, moment)

    def fire(self, timer: Timer) -> None:
        """Let a timer happen now."""
        timer.cancelled = True
        if timer in self.held:
            self.held.remove(timer)
        cast("Callable[[], None]", timer.action)()

    def cancel(self, timer: Timer | None) -> None:
        """Forget a timer; None and a timer that has fired are fine."""
        if timer is not None:
            timer.cancelled = True
            if timer in self.held:
                self.held.remove(timer)

    def next_due(self) -> float | None:
        """When the next timer fires, or None when nothing is under way."""
        while self._heap and self._heap[0].cancelled:
            heapq.heappop(self._heap)
        return self._heap[0].due if self._heap else None

    @property
    def frozen(self) -> bool:
        """Whether workflows stand still: no worker, or no Temporal that would give it work."""
        return self.knobs.workers_down or self.knobs.temporal_down

    def set_knobs(self, knobs: Knobs) -> None:
        """Turn knobs; workflows freeze and thaw with them."""
        self.batches.catch_up_all()
        was, had_workers = self.frozen, not self.knobs.workers_down
        self.knobs = knobs
        if not had_workers and not knobs.workers_down:
            self.workers_back_at = self.now
        if self.frozen and not was:
            working = [timer for timer in self._heap if timer.work and not timer.cancelled]
            self._frozen += [(timer.due - self.now, timer) for timer in working]
            self._heap = [timer for timer in self._heap if not timer.work]
            heapq.heapify(self._heap)
        elif was and not self.frozen:
            for left, timer in self._frozen:
                timer.due = self.now + left
                heapq.heappush(self._heap, timer)
            self._frozen = []

    @property
    def under_maintenance(self) -> bool:
        """Whether changes are refused: the flag is set, or PeerDB's own maintenance runs."""
        return self.knobs.maintenance or self.knobs.maintenance_run

    # -- chance --------------------------------------------------------------------------------------------------

    def _choose_by_knob(self, _mirror: str, kind: str, options: tuple[str, ...]) -> str:
        if kind == "update race" and self.knobs.update_race in options:
            return self.knobs.update_race
        return self.rng.choice(options) if kind == "update race" else options[0]

    def scoped(self, scope: Scope, mirror: str) -> bool:
        """Whether a scoped knob is meant for this mirror."""
        return in_scope(scope, mirror)

    # -- rows ----------------------------------------------------------------------------------------------------

    def row(self, name: str) -> Row | None:
        """The catalog row of a mirror, or None."""
        mirror = self.mirrors.get(name)
        return None if mirror is None else mirror.row

    def rows(self) -> Iterable[Row]:
        """All rows, least recently updated first (as an unordered table scan tends to show them)."""
        found = [mirror.row for mirror in self.mirrors.values() if mirror.row is not None]
        return sorted(found, key=lambda row: row.seq)

    def insert_row(self, name: str, status: Status, config: Config, workflow: Workflow | None) -> Mirror:
        """A new row under a name that has none; returns the mirror with its new id."""
        row = Row(self._next_row_id, name, self.now, status, config)
        self._next_row_id += 1
        mirror = self.mirrors.get(name)
        if mirror is None:
            mirror = self.mirrors[name] = Mirror(name, row, workflow)
        else:
            mirror.row, mirror.workflow = row, workflow
        self.touch(row)
        self.batches.begin(name)
        self.log.state_changed(self.now, name, row.id, None, status.name)
        return mirror

    def set_status(self, mirror: Mirror, status: Status) -> None:
        """Write a row's status; nothing is logged when it is the same."""
        row = mirror.row
        if row is None or row.status is status:
            return
        self.batches.catch_up(mirror.name)
        old, row.status = row.status, status
        self.touch(row)
        self.log.state_changed(self.now, mirror.name, row.id, old.name, status.name)

    def touch(self, row: Row) -> None:
        """A written row moves to the end of the table."""
        self._seq += 1
        row.seq = self._seq

    def delete_row(self, mirror: Mirror) -> None:
        """Remove the row with its tags; the workflow closes a moment later."""
        row = mirror.row
        if row is None:
            return
        self.batches.catch_up(mirror.name)
        mirror.row = None
        self.log.state_changed(self.now, mirror.name, row.id, row.status.name, None)

    def forget(self, mirror: Mirror) -> None:
        """Drop what has neither row nor open workflow."""
        workflow = mirror.workflow
        if mirror.row is None and (workflow is None or workflow.closed):
            self.mirrors.pop(mirror.name, None)

    # -- rows of the source --------------------------------------------------------------------------------------

    def flows(self, name: str) -> bool:
        """Whether rows come from the source of this mirror and are synced."""
        mirror = self.mirrors.get(name)
        if mirror is None or mirror.row is None or not self.scoped(self.knobs.traffic, name):
            return False
        alive = mirror.row.status is Status.RUNNING and self.in_phase(mirror, Phase.CDC, Phase.STOPPING)
        return alive and not self.frozen and not self.knobs.failing_sync

    def holds_rows_back(self, name: str) -> bool:
        """Whether what is synced does not reach the destination."""
        return self.scoped(self.knobs.failing_normalize, name)

    # -- words ---------------------------------------------------------------------------------------------------

    def signal(self, mirror: str, what: SignalWhat, signal: Signal) -> None:
        """Note what became of a signal."""
        self.log.signal_noted(self.now, mirror, what, str(signal))

    def say(self, flow: str, message: str, level: str = "info") -> None:
        """A line in the mirror's own log (``mirrors/logs``)."""
        self.journal.add(flow, message, level, self.now)

    def in_phase(self, mirror: Mirror, *phases: Phase) -> bool:
        """Whether the mirror's workflow is in one of these phases."""
        return mirror.workflow is not None and mirror.workflow.phase in phases

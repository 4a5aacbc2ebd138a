"""The work queue: which object gets the next pass, and when.

Owns the pace of all reconciliation. An object is known by its key and has at most one pass at a time; a wake-up during
a pass leads to another one right after, a wake-up while it waits cuts the wait short. User edits overtake other looks,
and a mirror that stands still until its next pass overtakes both: many edits at once stop few mirrors at a time.
A failed pass waits exponentially longer with jitter, and only a user edit cuts that wait. Passes that may hold a call
for minutes count against a limit of their own, so that they never take the place of the others.

Leaves all meaning to the controller: the queue knows uids, seconds and error classes. It costs nothing at rest: an
object that waits is one timer, an object without anything to wait for is not remembered at all.
"""

import asyncio
import contextvars
import heapq
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from peerdb_operator.ports import CONFLICT, Pool, Requeue
from peerdb_operator.telemetry.metrics import Metrics, QueueSample

logger = logging.getLogger(__name__)

FIRST_DELAY = 1.0
"""Seconds before the second try when a failed pass names no delay of its own."""

EDIT_PATIENCE = 120.0
"""Seconds that a user edit can be overtaken by mirrors that stand still: some that never stop must not starve it."""

_CRASHED = Requeue(after=FIRST_DELAY, backoff="InternalError")
_LONGEST_EXPONENT = 32


class Urgency(IntEnum):
    """Who asks for a pass; the smaller goes first."""

    EDIT = 0  # a user changed the object: cuts every wait
    LOOK = 1  # a periodic or fleet-wide look: does not cut a back-off


_Place = tuple[bool, float]
"""Where an object queues; the smaller goes first, equal ones as they came."""


@dataclass(slots=True)
class _Entry:
    """What is remembered of one object while it is queued, running, waiting or failing."""

    running: bool = False
    queued: bool = False
    due: float = 0.0  # when it was queued, by the loop's time
    ticket: int = 0  # of the valid place in the heap; older places are passed over
    again: Urgency | None = None
    timer: asyncio.TimerHandle | None = None
    backing_off: bool = False
    must_resume: bool = False
    first: bool = False  # whether its next pass goes before those of others
    place: _Place = (True, 0.0)
    failures: dict[str, int] = field(default_factory=dict)


def _place(entry: _Entry, urgency: Urgency) -> _Place:
    if entry.must_resume or entry.first:
        return False, asyncio.get_running_loop().time()
    if urgency is Urgency.EDIT:
        return False, asyncio.get_running_loop().time() + EDIT_PATIENCE
    return True, 0.0


class WorkQueue:
    """Hands uids to ``reconcile``, one pass per uid at a time and no more passes per lane than ``limits`` allows.

    Wake-ups are taken from the start; passes begin with ``start``. All methods belong to one event loop.
    """

    def __init__(
        self,
        reconcile: Callable[[str], Awaitable[Requeue]],
        pool: Callable[[str], Pool],
        limits: Mapping[Pool, int],
        rng: random.Random,
        metrics: Metrics | None = None,
    ) -> None:
        self._reconcile = reconcile
        self._lane = pool
        self._free = {each: limits[each] for each in Pool}
        self._limits = dict(self._free)
        self._rng = rng
        self._metrics = metrics or Metrics()
        self._metrics.set_queue_source(self.sample)
        self._entries: dict[str, _Entry] = {}
        self._heaps: dict[Pool, list[tuple[_Place, int, str]]] = {each: [] for each in Pool}
        self._reconciler: set[asyncio.Task[None]] = set()
        self._tickets = 0
        self._open = False
        # A task or a timer keeps the context it was made in alive. A wake-up comes from inside a kopf handler, whose
        # context holds the whole object: megabytes for each Mirror that waits.
        self._context = contextvars.copy_context()

    @property
    def active(self) -> int:
        """How many passes run at this moment."""
        return len(self._reconciler)

    @property
    def remembered(self) -> int:
        """How many objects are queued, running, waiting or failing."""
        return len(self._entries)

    def sample(self) -> QueueSample:
        """What waits and what runs at this moment."""
        due = [entry.due for entry in self._entries.values() if entry.queued]
        oldest = asyncio.get_running_loop().time() - min(due) if due else 0.0
        active = {pool.value: self._limits[pool] - free for pool, free in self._free.items()}
        return QueueSample(len(due), oldest, active)

    def start(self) -> None:
        """Let passes begin."""
        self._open = True
        self._dispatch()

    def wake(self, uid: str, urgency: Urgency = Urgency.LOOK) -> None:
        """Ask for a pass over this object as soon as its turn comes."""
        self._wake(uid, urgency)

    def _wake(self, uid: str, urgency: Urgency, *, first: bool = False) -> None:
        entry = self._entries.setdefault(uid, _Entry())
        entry.first = entry.first or first
        if entry.running:
            entry.again = urgency if entry.again is None else min(entry.again, urgency)
        elif entry.backing_off and urgency is Urgency.LOOK:
            return
        else:
            self._enqueue(uid, entry, urgency)
            self._dispatch()

    async def drain(self, seconds: float) -> int:
        """Begin no more passes, let the running ones end, cancel what is left after so many seconds.

        Returns how many had to be cancelled. May be called again; the queue stays closed.
        """
        self._open = False
        for entry in self._entries.values():
            self._stop_timer(entry)
        if not self._reconciler:
            return 0
        _, late = await asyncio.wait(self._reconciler, timeout=seconds)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
        return len(late)

    def _enqueue(self, uid: str, entry: _Entry, urgency: Urgency) -> None:
        self._stop_timer(entry)
        place = _place(entry, urgency)
        if entry.queued and entry.place <= place:
            return
        if not entry.queued:
            entry.due = asyncio.get_running_loop().time()
        entry.queued, entry.place = True, place
        self._push(uid, entry, place, self._lane(uid))

    def _push(self, uid: str, entry: _Entry, place: _Place, pool: Pool) -> None:
        self._tickets += 1
        entry.ticket = self._tickets
        heapq.heappush(self._heaps[pool], (place, entry.ticket, uid))

    def _dispatch(self) -> None:
        for pool in Pool:
            while self._open and self._free[pool] > 0 and self._heaps[pool]:
                place, ticket, uid = heapq.heappop(self._heaps[pool])
                entry = self._entries.get(uid)
                if entry is None or entry.ticket != ticket or not entry.queued:
                    continue
                lane_now = self._lane(uid)
                if lane_now is pool:
                    self._begin(uid, entry, pool)
                else:
                    self._push(uid, entry, place, lane_now)

    def _begin(self, uid: str, entry: _Entry, pool: Pool) -> None:
        entry.queued, entry.running, entry.again, entry.first = False, True, None, False
        self._free[pool] -= 1
        loop = asyncio.get_running_loop()
        self._metrics.record_queue_wait(loop.time() - entry.due)
        task = loop.create_task(self._pass(uid, entry, pool), name=f"pass over {uid}", context=self._context.copy())
        self._reconciler.add(task)
        task.add_done_callback(self._reconciler.discard, context=self._context)

    async def _pass(self, uid: str, entry: _Entry, pool: Pool) -> None:
        rest = _CRASHED
        try:
            rest = await self._reconcile(uid)
        except Exception:
            # The last net: a bug in one object's pass must not stop the others.
            self._metrics.record_panic()
            logger.exception("A pass ended with an error that nobody classified", extra={"object": {"uid": uid}})
        finally:
            self._free[pool] += 1
            entry.running = False
        self._settle(uid, entry, rest)
        self._dispatch()

    def _settle(self, uid: str, entry: _Entry, rest: Requeue) -> None:
        again, entry.again = entry.again, None
        entry.backing_off = rest.backoff is not None
        entry.must_resume = rest.must_resume and rest.backoff in {None, CONFLICT}
        delay = self._delay(entry, rest)
        if again is Urgency.EDIT or (again is not None and not entry.backing_off):
            entry.backing_off = False
            self._enqueue(uid, entry, again)
        elif delay is not None:
            loop = asyncio.get_running_loop()
            entry.timer = loop.call_later(delay, self._time_is_up, uid, entry, context=self._context)
        else:
            del self._entries[uid]
        for other in rest.wakes:
            self._wake(other, Urgency.LOOK, first=rest.must_resume)

    def _delay(self, entry: _Entry, rest: Requeue) -> float | None:
        if rest.backoff is None:
            entry.failures.clear()
            return rest.after
        failures = entry.failures.get(rest.backoff, 0)
        entry.failures[rest.backoff] = failures + 1
        base = FIRST_DELAY if rest.after is None else rest.after
        longest = min(rest.cap, base * 2.0 ** min(failures, _LONGEST_EXPONENT))
        return longest * self._rng.uniform(0.5, 1.0)

    def _time_is_up(self, uid: str, entry: _Entry) -> None:
        self._enqueue(uid, entry, Urgency.LOOK)
        self._dispatch()

    @staticmethod
    def _stop_timer(entry: _Entry) -> None:
        entry.backing_off = False
        if entry.timer is not None:
            entry.timer.cancel()
            entry.timer = None

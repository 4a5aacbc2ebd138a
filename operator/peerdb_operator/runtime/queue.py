"""The work queue: which object is reconciled next, and when.

An object is known by its key and has at most one reconcile at a time; a wake-up during one leads to another right after
it, a wake-up while it waits cuts the wait short. User edits go before other wake-ups, and a mirror that is paused until
its next reconcile goes before both: many edits at once pause few mirrors at a time. A failed reconcile is retried after
an exponentially longer wait with jitter, which only a user edit cuts. A waiting object costs one timer; one with
nothing to wait for is not remembered.
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
"""Seconds before the second try when a failed reconcile names no delay of its own."""

EDIT_PATIENCE = 120.0
"""Seconds that a user edit can be overtaken by paused mirrors: some that are always paused must not starve it."""

_CRASHED = Requeue(after=FIRST_DELAY, backoff="InternalError")
_LONGEST_EXPONENT = 32


class Urgency(IntEnum):
    """Who asks for a reconcile; the smaller goes first."""

    EDIT = 0  # a user changed the object: cuts every wait
    OBSERVE = 1  # a periodic or fleet-wide observation: does not cut a back-off


_Place = tuple[bool, float]
"""Where an object queues; the smaller goes first, equal ones as they came."""


@dataclass(slots=True)
class _Entry:
    """What is remembered of one object while it is queued, running, waiting or failing."""

    running: bool = False
    queued: bool = False
    due: float = 0.0  # when it was queued, by the loop's time
    ticket: int = 0  # of the valid place in the heap; older places are skipped
    again: Urgency | None = None
    timer: asyncio.TimerHandle | None = None
    backing_off: bool = False
    must_resume: bool = False
    first: bool = False  # whether its next reconcile goes before those of others
    place: _Place = (True, 0.0)
    failures: dict[str, int] = field(default_factory=dict)


def _place(entry: _Entry, urgency: Urgency) -> _Place:
    if entry.must_resume or entry.first:
        return False, asyncio.get_running_loop().time()
    if urgency is Urgency.EDIT:
        return False, asyncio.get_running_loop().time() + EDIT_PATIENCE
    return True, 0.0


class WorkQueue:
    """Hands uids to ``reconcile``, one reconcile per uid at a time and no more per pool than ``limits`` allows.

    Wake-ups are taken from the start; reconciles begin with ``start``. All methods belong to one event loop.
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
        self._pool_of = pool
        self._free = {each: limits[each] for each in Pool}
        self._limits = dict(self._free)
        self._rng = rng
        self._metrics = metrics or Metrics()
        self._metrics.set_queue_source(self.sample)
        self._entries: dict[str, _Entry] = {}
        self._heaps: dict[Pool, list[tuple[_Place, int, str]]] = {each: [] for each in Pool}
        self._running: set[asyncio.Task[None]] = set()
        self._tickets = 0
        self._open = False
        # A task or a timer keeps the context it was made in alive. A wake-up comes from inside a kopf handler, whose
        # context holds the whole object: megabytes for each Mirror that waits.
        self._context = contextvars.copy_context()

    @property
    def active(self) -> int:
        """How many reconciles run at this moment."""
        return len(self._running)

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
        """Let reconciles begin."""
        self._open = True
        self._dispatch()

    def wake(self, uid: str, urgency: Urgency = Urgency.OBSERVE) -> None:
        """Ask for a reconcile of this object, after those that are before it."""
        self._wake(uid, urgency)

    def _wake(self, uid: str, urgency: Urgency, *, first: bool = False) -> None:
        entry = self._entries.setdefault(uid, _Entry())
        entry.first = entry.first or first
        if entry.running:
            entry.again = urgency if entry.again is None else min(entry.again, urgency)
        elif entry.backing_off and urgency is Urgency.OBSERVE:
            return
        else:
            self._enqueue(uid, entry, urgency)
            self._dispatch()

    async def drain(self, seconds: float) -> int:
        """Begin no more reconciles, let the running ones end, cancel what is left after so many seconds.

        Returns how many had to be cancelled. May be called again; the queue stays closed.
        """
        self._open = False
        for entry in self._entries.values():
            self._stop_timer(entry)
        if not self._running:
            return 0
        _, late = await asyncio.wait(self._running, timeout=seconds)
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
        self._push(uid, entry, place, self._pool_of(uid))

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
                pool_now = self._pool_of(uid)
                if pool_now is pool:
                    self._begin(uid, entry, pool)
                else:
                    self._push(uid, entry, place, pool_now)

    def _begin(self, uid: str, entry: _Entry, pool: Pool) -> None:
        entry.queued, entry.running, entry.again, entry.first = False, True, None, False
        self._free[pool] -= 1
        loop = asyncio.get_running_loop()
        self._metrics.record_queue_wait(loop.time() - entry.due)
        task = loop.create_task(self._run(uid, entry, pool), name=f"reconcile {uid}", context=self._context.copy())
        self._running.add(task)
        task.add_done_callback(self._running.discard, context=self._context)

    async def _run(self, uid: str, entry: _Entry, pool: Pool) -> None:
        requeue = _CRASHED
        try:
            requeue = await self._reconcile(uid)
        except Exception:
            # The last net: a bug in one object's reconcile must not stop the others.
            self._metrics.record_panic()
            logger.exception("A reconcile ended with an unclassified error", extra={"object": {"uid": uid}})
        finally:
            self._free[pool] += 1
            entry.running = False
        self._settle(uid, entry, requeue)
        self._dispatch()

    def _settle(self, uid: str, entry: _Entry, requeue: Requeue) -> None:
        again, entry.again = entry.again, None
        entry.backing_off = requeue.backoff is not None
        entry.must_resume = requeue.must_resume and requeue.backoff in {None, CONFLICT}
        delay = self._delay(entry, requeue)
        if again is Urgency.EDIT or (again is not None and not entry.backing_off):
            entry.backing_off = False
            self._enqueue(uid, entry, again)
        elif delay is not None:
            loop = asyncio.get_running_loop()
            entry.timer = loop.call_later(delay, self._fire, uid, entry, context=self._context)
        else:
            del self._entries[uid]
        for other in requeue.wakes:
            self._wake(other, Urgency.OBSERVE, first=requeue.must_resume)

    def _delay(self, entry: _Entry, requeue: Requeue) -> float | None:
        if requeue.backoff is None:
            entry.failures.clear()
            return requeue.after
        failures = entry.failures.get(requeue.backoff, 0)
        entry.failures[requeue.backoff] = failures + 1
        base = FIRST_DELAY if requeue.after is None else requeue.after
        longest = min(requeue.cap, base * 2.0 ** min(failures, _LONGEST_EXPONENT))
        return longest * self._rng.uniform(0.5, 1.0)

    def _fire(self, uid: str, entry: _Entry) -> None:
        self._enqueue(uid, entry, Urgency.OBSERVE)
        self._dispatch()

    @staticmethod
    def _stop_timer(entry: _Entry) -> None:
        entry.backing_off = False
        if entry.timer is not None:
            entry.timer.cancel()
            entry.timer = None

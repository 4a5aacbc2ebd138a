"""A small event loop on simulated time, whose tasks belong to processes that can die or stall between two steps.

Owns order and time for runs of the real controllers and queue: no sockets, no threads, no signals, no waiting. A
``Process`` marks all work begun in its context; killing it leaves every one of its tasks where it stood, as ``kill -9``
would: no ``finally``, no farewell. Where ``fakeloop`` serves tests of parts that need asyncio's whole loop, this one
serves long simulations: it asks a *world* for what happens beside the tasks, and tells it after each step.
"""

import asyncio
import contextlib
import contextvars
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterator
from typing import Any, Protocol, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_PROCESS: contextvars.ContextVar["Process | None"] = contextvars.ContextVar("process", default=None)
_SOON = 1e-6
_MANY = 500


class Surroundings(Protocol):
    """What goes on beside the tasks of the loop."""

    def next_due(self) -> float | None:
        """When something happens next by itself, or None."""
        ...

    def run_until(self, moment: float) -> None:
        """Let time pass there."""
        ...


class Process:
    """One run of a program. ``context`` is for whatever is begun on its behalf from outside."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.stalled_until = 0.0
        self.postponed: list[asyncio.Handle] = []
        """What came due during the stall, in order."""
        self.steps_left: int | None = None
        self.context = contextvars.copy_context()
        self.context.run(_PROCESS.set, self)

    def kill(self) -> None:
        """Nothing of it ever runs again."""
        self.dead = True

    def kill_after(self, steps: int) -> None:
        """Let it take so many steps more; a step leads from one wait to the next."""
        self.steps_left = steps

    def stall(self, until: float) -> None:
        """Let nothing of it run before this time: a suspended machine. ``SimLoop.resume`` ends it earlier."""
        self.stalled_until = max(self.stalled_until, until)

    def may_step(self) -> bool:
        """Count a step; False if there are none left."""
        if self.steps_left is not None:
            self.steps_left -= 1
            if self.steps_left < 0:
                self.dead = True
        return not self.dead


class SimLoop(asyncio.AbstractEventLoop):
    """The part of an event loop that tasks, futures, ``sleep``, ``gather`` and ``wait`` need."""

    def __init__(self, now: float, surroundings: Surroundings, after_step: Callable[[], None] = lambda: None) -> None:
        self._now = now
        self._surroundings = surroundings
        self._after_step = after_step
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = itertools.count()
        self.steps = 0
        self.failures: list[dict[str, Any]] = []
        self._tasks: list[asyncio.Task[Any]] = []

    # -- what asyncio asks of a loop -----------------------------------------------------------------------------

    def time(self) -> float:
        return self._now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: "Generator[Any, None, T] | Coroutine[Any, Any, T]",
        *,
        name: object = None,
        context: contextvars.Context | None = None,
        **_: object,
    ) -> "asyncio.Task[T]":
        task = asyncio.Task(coro, loop=self, name=None if name is None else str(name), context=context)
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # a killed process leaves its tasks pending
        self._tasks.append(task)
        if len(self._tasks) > _MANY:
            self._tasks = [one for one in self._tasks if not one.done()]
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.failures.append(context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Called by a timer that is cancelled; it is passed over when its time comes."""

    # -- time ----------------------------------------------------------------------------------------------------

    def run_until(self, moment: float) -> None:
        """Run everything that is due up to ``moment``, in order, and be there."""
        with self._running():
            while True:
                while self._ready:
                    self._run(self._ready.popleft())
                due = self._next_due()
                if due is None or due > moment:
                    break
                self._jump(due)
            if moment > self._now:
                self._jump(moment)
            while self._ready:
                self._run(self._ready.popleft())

    def spawn(self, process: Process, coro: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        """Begin a task of a process."""
        return self.create_task(coro, name=name, context=process.context.copy())

    def resume(self, process: Process) -> None:
        """End the stall of a process: what came due meanwhile runs now."""
        process.stalled_until = min(process.stalled_until, self._now)
        self._ready.extend(process.postponed)
        process.postponed.clear()

    def close(self) -> None:
        """End what killed processes, and those that still run, have left behind."""
        for task in self._tasks:
            coro = task.get_coro()
            if not task.done() and coro is not None:
                coro.close()

    def _next_due(self) -> float | None:
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        beside = self._surroundings.next_due()
        if not timers:
            return beside
        return timers[0][0] if beside is None else min(beside, timers[0][0])

    def _jump(self, moment: float) -> None:
        self._now = max(self._now, moment)
        self._surroundings.run_until(self._now)
        self._after_step()
        timers = self._timers
        while timers and timers[0][0] <= self._now:
            handle = heapq.heappop(timers)[2]
            if not handle.cancelled():
                self._ready.append(handle)

    def _run(self, handle: asyncio.Handle) -> None:
        if handle.cancelled():
            return
        process = handle._context.get(_PROCESS)  # type: ignore[attr-defined]  # no public way
        if process is not None:
            if process.dead:
                return
            if process.stalled_until > self._now:
                self._postpone(process, handle)
                return
            if not process.may_step():
                return
        self.steps += 1
        handle._run()
        self._after_step()

    def _postpone(self, process: Process, handle: asyncio.Handle) -> None:
        if not process.postponed:
            self._resume_later(process)
        process.postponed.append(handle)

    def _resume_later(self, process: Process) -> None:
        def due() -> None:
            if process.stalled_until > self._now:
                self._resume_later(process)
            else:
                self.resume(process)

        self.call_at(process.stalled_until + _SOON, due, context=contextvars.Context())

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(before)


class SimClock:
    """The product's clock: the loop's time is the time of the world."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop

    def now(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

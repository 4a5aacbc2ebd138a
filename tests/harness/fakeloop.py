"""An event loop whose time jumps: what waits for a timer waits no real time at all.

Owns simulated time for tests of anything that sleeps, backs off or ticks. When nothing is ready, the loop moves its
clock to the next timer instead of waiting for it, so runs are instant and their order is the same every time. Leaves
real sockets, threads and subprocesses alone: they need real time and do not belong on this loop.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import TypeVar

T = TypeVar("T")

EPOCH = 1_790_000_000.0
"""The wall-clock time at which a fake clock starts, in seconds since the epoch."""


class NothingLeftToHappenError(RuntimeError):
    """Everything waits for something that no timer will ever bring about."""


class _JumpingSelector(selectors.DefaultSelector):
    """Polls without waiting and hands the time that would have been waited to the loop."""

    jump: Callable[[float], None]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not ready and timeout is None:
            raise NothingLeftToHappenError("no task is ready and no timer is set")
        if not ready and timeout is not None and timeout > 0:
            self.jump(timeout)
        return ready


class FakeLoop(asyncio.SelectorEventLoop):
    """A loop that starts at time 0 and knows no waiting."""

    def __init__(self) -> None:
        selector = _JumpingSelector()
        selector.jump = self._jump
        self._fake_time = 0.0
        super().__init__(selector)
        self._clock_resolution = 1e-6  # a jump may end a rounding error before its timer

    def time(self) -> float:
        return self._fake_time

    def stall(self, seconds: float) -> None:
        """Let time pass without running anything, as a blocking call does."""
        self._jump(seconds)

    def _jump(self, seconds: float) -> None:
        self._fake_time += seconds


class FakeClock:
    """The product's clock on whatever loop is running: ``EPOCH`` plus the loop's time."""

    def now(self) -> float:
        return EPOCH + asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run_fake(main: Coroutine[object, object, T]) -> T:
    """Run to the end on a fresh fake loop. Raises NothingLeftToHappenError where a real loop would hang for ever."""
    with asyncio.Runner(loop_factory=FakeLoop) as runner:
        return runner.run(main)

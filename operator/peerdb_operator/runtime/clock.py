"""The real clock.

Owns the one place where the product reads the time of day. It follows corrections forward, and where the system's clock
is set back it goes on by the monotonic clock, so that a wait never begins anew and never stands still.
"""

import asyncio
import time
from collections.abc import Callable


class SystemClock:
    """Implements ``controllers.ports.Clock``."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._told = wall()
        self._told_at = monotonic()

    def now(self) -> float:
        """Seconds since the epoch; never less than told before."""
        monotonic = self._monotonic()
        self._told = max(self._wall(), self._told + monotonic - self._told_at)
        self._told_at = monotonic
        return self._told

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        await asyncio.sleep(seconds)

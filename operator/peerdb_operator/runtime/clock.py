"""The real clock.

One clock serves two purposes: durations (how long a mirror has been paused) and times (what is written to status and
compared with what the API server and PeerDB write). A wall clock that is set by hand or by NTP would end a wait early
or prolong it by as much, so this one runs by a steady clock and is only led towards the wall clock: by at most a tenth
of the elapsed time, and not before the two have differed for a minute. So it never goes back, a duration is at most
a tenth too long or too short whatever is done to the wall clock, and a jump that is taken back leaves no trace.

An hour of difference takes ten to go. A larger one that lasts is a ``problem``, which a restart solves: a new process
begins with the wall clock's time and without durations. A machine that was suspended makes no difference where the
system has a steady clock that counts such time (Linux).
"""

import asyncio
import time
from collections.abc import Callable

LEAD = 0.1
"""Seconds by which the clock is led per second of steady time."""
STEP_SECONDS = 1.0
"""A smaller difference is ordinary drift and followed at once."""
LASTING_SECONDS = 60.0
"""A larger one is followed when it has lasted for so long."""
LOST_SECONDS = 3600.0
"""A difference that is too large to wait for."""
LOST_AFTER_SECONDS = 600.0


def steady_seconds() -> float:
    """Seconds of a clock that cannot be set; it counts a suspension of the machine if the system has such a clock."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


class SystemClock:
    """Implements ``ports.Clock``."""

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = steady_seconds) -> None:
        self._wall = wall
        self._steady = steady
        self._read_at = steady()
        self._offset = wall() - self._read_at
        self._differs_since: float | None = None

    def now(self) -> float:
        """Seconds since the epoch; never less than before."""
        steady = self._steady()
        passed, self._read_at = steady - self._read_at, steady
        difference = self._difference()
        if abs(difference) < STEP_SECONDS:
            self._differs_since = None
        elif self._differs_since is None:
            self._differs_since = steady
        if self._differs_since is None or steady - self._differs_since >= LASTING_SECONDS:
            most = LEAD * passed
            self._offset += max(-most, min(most, difference))
        return steady + self._offset

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def problem(self) -> str | None:
        """A sentence if only a restart brings back the right time within hours, else None."""
        self.now()
        difference, since = self._difference(), self._differs_since
        if since is None or self._read_at - since < LOST_AFTER_SECONDS or abs(difference) < LOST_SECONDS:
            return None
        return f"the system's clock was set {'forward' if difference > 0 else 'back'} by {abs(difference):.0f} s"

    def _difference(self) -> float:
        """By how much the wall clock is ahead."""
        return self._wall() - self._read_at - self._offset

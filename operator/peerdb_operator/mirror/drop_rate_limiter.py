"""The rate limit on drops: a few at once, then one now and then, for many drops at once are mostly a mistake."""

from __future__ import annotations

SHORTEST_WAIT = 1.0
WHOLE = 1.0 - 1e-9
"""A token that has been refilled in many small steps may miss a rounding error."""


class DropRateLimiter:
    """A token bucket; each drop takes a token.

    It holds ``most`` tokens, begins full, and refills evenly in ``seconds``. What takes a token is known by a key, so
    that it takes one only, however often it is reported. Times are seconds since the epoch.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._tokens = float(most)
        self._refilled_at = 0.0
        self._taken: dict[str, float] = {}

    def start_empty(self, now: float) -> None:
        """The first drop waits for the first refill."""
        self._tokens, self._refilled_at = 0.0, now

    def wait(self, now: float) -> float:
        """Seconds until a token is there; 0 for now."""
        self._refill(now)
        if self._tokens >= WHOLE:
            return 0.0
        if self._most == 0:
            return self._seconds
        return max(SHORTEST_WAIT, (1.0 - self._tokens) * self._seconds / self._most)

    def take(self, key: str, at: float, now: float) -> None:
        """A drop is sent, or was sent at that time by a former process."""
        if now - at >= self._seconds:
            return
        self._taken = {known: sent for known, sent in self._taken.items() if now - sent < self._seconds}
        known, self._taken[key] = key in self._taken, at
        if known:
            return
        self._refill(min(at, now))
        self._tokens = max(0.0, self._tokens - 1.0)

    def give_back(self, key: str) -> None:
        """PeerDB did not take it."""
        if self._taken.pop(key, None) is not None:
            self._tokens = min(float(self._most), self._tokens + 1.0)

    def _refill(self, now: float) -> None:
        elapsed = now - self._refilled_at
        if elapsed > 0:
            self._tokens = min(float(self._most), self._tokens + elapsed * self._most / self._seconds)
            self._refilled_at = now

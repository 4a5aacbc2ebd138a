"""The brake on drops: so many mirrors in so many seconds, the rest wait."""

from __future__ import annotations


class Brake:
    """Counts the drops of this process, and those that journals of a former process show."""

    def __init__(self, drops: int, window: float) -> None:
        self._drops = drops
        self._window = window
        self._sent: dict[str, float] = {}

    def wait(self, uid: str, now: float) -> float:
        """Seconds until this object may be dropped; 0 for now."""
        recent = sorted(at for other, at in self._sent.items() if other != uid and now - at < self._window)
        if len(recent) < self._drops:
            return 0.0
        if self._drops == 0:
            return self._window
        return max(1.0, recent[len(recent) - self._drops] + self._window - now)

    def record(self, uid: str, at: float) -> None:
        """A drop is sent, or was sent by a former process."""
        self._sent = {other: sent for other, sent in self._sent.items() if at - sent < self._window}
        self._sent[uid] = at

    def forgive(self, uid: str) -> None:
        """PeerDB did not take it."""
        self._sent.pop(uid, None)

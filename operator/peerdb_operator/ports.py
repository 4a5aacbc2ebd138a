"""What the runtime and a controller exchange: time, what to reconcile next, and the controller itself.

All times are floats in seconds since the epoch (UTC) unless a name says otherwise.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol


class Clock(Protocol):
    """The only source of time for a controller."""

    def now(self) -> float:
        """Seconds since the epoch; never goes back within a process."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds; zero or less yields once."""
        ...


@dataclass(frozen=True, slots=True)
class Requeue:
    """What a reconcile asks for when it ends.

    ``after``: reconcile again in so many seconds; ``None`` waits until woken.
    ``backoff``: the class of an error. The queue then waits exponentially longer, with jitter, each time this object
    ends with this class; ``after`` is the first delay, ``cap`` the longest. ``None`` is success and resets all counts.
    ``must_resume``: the mirror is paused until a reconcile moves it on, so its next one goes before those of others.
    ``wakes``: other keys that are due now, before those of others if this one ``must_resume``.
    """

    after: float | None
    backoff: str | None = None
    cap: float = 300.0
    must_resume: bool = False
    wakes: tuple[str, ...] = ()


class Pool(StrEnum):
    """Which concurrency limit a reconcile counts against."""

    NORMAL = "normal"
    LONG = "long"  # may hold a call for minutes: a drop of a FAILED or COMPLETED mirror is synchronous in PeerDB
    PRECHECK = "precheck"  # may hold a call for minutes: PeerDB connects to both databases to validate tables


CONFLICT = "conflict"
"""The backoff of a reconcile whose object was changed meanwhile; the only one that keeps its place in the queue."""

_PRECHECK = "precheck/"


def precheck_key(uid: str) -> str:
    """The key under which the queue runs the prechecks of an object: besides its reconciles, not instead of one."""
    return _PRECHECK + uid


def prechecked_uid(key: str) -> str | None:
    """The uid of the object whose precheck this key asks for; None for the uid of an object."""
    return key.removeprefix(_PRECHECK) if key.startswith(_PRECHECK) else None


Wake = Callable[[str], None]
"""Asks for a reconcile of the object with this uid."""


@dataclass(frozen=True, slots=True)
class Periodic:
    """Work that a controller wants done every ``period`` seconds, the first time at once.

    An error in it is logged, and the next period tries again.
    """

    name: str
    period: float
    run: Callable[[Wake], Awaitable[None]]


class Controller(Protocol):
    """What the process drives: one implementation per kind."""

    def observe(self, event_type: str | None, body: Mapping[str, Any]) -> str | None:
        """Project one object; returns the uid to wake, or None if nothing that matters has changed. O(1), synchronous.

        ``event_type``: ADDED, MODIFIED, DELETED, or None for an item of a LIST. An object may be seen several times and
        an older version after a newer one: a version that is not newer than the known one changes nothing.
        """
        ...

    def restore(self, body: Mapping[str, Any], instead_of: int) -> str | None:
        """Take a read of the API server in the place of version ``instead_of``, although that is higher.

        The API server's data was restored from a backup. Returns the uid to wake, or None if nothing has changed.
        """
        ...

    def listed(self) -> None:
        """The first full LIST of all watched namespaces has been observed. Called once, before the first reconcile."""
        ...

    def pool(self, key: str) -> Pool:
        """Called right before a reconcile; synchronous, cheap, raises nothing, also for a key it does not know."""
        ...

    async def reconcile(self, key: str) -> Requeue:
        """Reconcile the object with this uid, or run the precheck that it waits for (``precheck_key``).

        Classifies its own errors; raises nothing but ``CancelledError``.
        """
        ...

    def periodic(self) -> tuple[Periodic, ...]:
        """Periodic work besides reconciles."""
        ...

    def known_versions(self) -> dict[str, tuple[int, str]]:
        """uid -> (generation, resourceVersion) of every Mirror known to exist. Its size says whether there is work."""
        ...

    def forget(self, uid: str) -> None:
        """The object is gone and no watch event will say so."""
        ...

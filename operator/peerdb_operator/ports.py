"""The seams between the process, the controllers and the outside world.

Owns the protocols and the plain values that cross them: time, Kubernetes, what a pass asks for next, what the
fleet observer saw. Leaves every implementation to others, so that a controller runs unchanged under the real
process, under a simulator with an injected clock, and in a unit test.

All times are floats in seconds since the epoch (UTC) unless a name says otherwise.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, TypeAlias

from peerdb_operator.errors import PeerDBError


class Clock(Protocol):
    """The only source of time for a controller."""

    def now(self) -> float:
        """Seconds since the epoch; never goes back within a process."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds; zero or less yields once."""
        ...


MirrorVersion: TypeAlias = tuple[str, str, str, int, str, str | None]
"""What a metadata-only LIST says of one: uid, namespace, name, generation, resourceVersion, deletionTimestamp."""


class KubePort(Protocol):
    """What the operator asks of the Kubernetes API; every method raises only ``errors.KubeError`` and its children.

    Nothing is retried inside: the queue is the retry.
    """

    async def get_mirror(self, namespace: str, name: str) -> dict[str, Any]:
        """The whole object, read from the API server; ``KubeNotFound`` if there is none."""
        ...

    async def patch_mirror(self, namespace: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """JSON merge patch on the main resource (finalizers); returns the new object.

        A ``metadata.resourceVersion`` in ``body`` that is not the current one raises ``KubeConflict``.
        """
        ...

    async def patch_status(self, namespace: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """JSON merge patch on ``/status``; returns the new object. Same rule for ``metadata.resourceVersion``."""
        ...

    async def list_mirrors(self) -> list[dict[str, Any]]:
        """Every Mirror of every watched namespace, whole. ``KubeNotFound`` if the kind is not served."""
        ...

    def mirror_pages(self) -> AsyncIterator[list[dict[str, Any]]]:
        """The same page by page, for callers that project each object and let it go."""
        ...

    async def list_mirror_versions(self) -> list[MirrorVersion]:
        """Metadata of every Mirror of every watched namespace. ``KubeNotFound`` if the kind is not served."""
        ...

    async def namespace_is_terminating(self, name: str) -> bool:
        """Uncached. A namespace that does not exist counts as terminating."""
        ...

    async def crd_is_terminating(self) -> bool:
        """Uncached. A CustomResourceDefinition that does not exist counts as terminating."""
        ...

    async def cluster_uid(self) -> str:
        """The uid of the namespace ``kube-system``: the customary identity of a cluster."""
        ...

    async def emit_event(self, regarding: dict[str, str], type_: str, reason: str, message: str, action: str) -> None:
        """Create an Event about one object.

        ``regarding`` is an object reference: ``apiVersion, kind, namespace, name, uid`` (and ``resourceVersion`` if
        known). ``type_`` is ``Normal`` or ``Warning``. A terminating namespace refuses it: ``KubeForbidden``.
        """
        ...


@dataclass(frozen=True, slots=True)
class Requeue:
    """What a pass asks for when it ends.

    ``after``: look again in so many seconds; ``None`` rests until woken.
    ``backoff``: the class of an error. The queue then waits exponentially longer, with jitter, each time this object
    rests with this class; ``after`` is the first delay, ``cap`` the longest. ``None`` is success and resets all counts.
    ``must_resume``: nothing flows until a pass moves the mirror on, so its next one goes before those of others.
    ``wakes``: other keys that are due now, before those of others if this one ``must_resume``.
    """

    after: float | None
    backoff: str | None = None
    cap: float = 300.0
    must_resume: bool = False
    wakes: tuple[str, ...] = ()


class Pool(Enum):
    """Which concurrency limit a pass counts against."""

    NORMAL = "normal"
    LONG = "long"  # may hold a call for minutes: a drop of a FAILED or COMPLETED mirror is synchronous in PeerDB
    PRECHECK = "precheck"  # may hold a call for minutes: PeerDB connects to both databases to validate tables


CONFLICT = "conflict"
"""The backoff of a pass whose object was changed by somebody else; the only one that keeps the place of its mirror."""

_PRECHECK = "precheck/"


def precheck_key(uid: str) -> str:
    """The key under which the queue runs the prechecks of an object: beside its passes, not instead of one."""
    return _PRECHECK + uid


def prechecked_uid(key: str) -> str | None:
    """The uid of the object whose precheck this key asks for; None for the uid of an object."""
    return key.removeprefix(_PRECHECK) if key.startswith(_PRECHECK) else None


@dataclass(frozen=True, slots=True)
class ListedMirror:
    """One row of ``GET mirrors/list``: ``state`` is PeerDB's word without ``STATUS_``."""

    name: str
    state: str
    created_at_ms: int
    is_cdc: bool


@dataclass(frozen=True, slots=True)
class LogRow:
    """One row of ``POST mirrors/logs`` at level error. ``mirror_name`` may also be ``clone_<mirror>_<table>_<run>``."""

    id: int
    mirror_name: str
    message: str
    time: float


@dataclass(frozen=True, slots=True)
class FleetLook:
    """What one tick of the fleet observer saw of all mirrors of a PeerDB.

    ``began_at`` is when the first request of the tick was begun. ``mirrors`` is ``None`` exactly when the list failed,
    and ``error`` then says why; an empty tuple is a PeerDB without mirrors. ``log_rows`` are the rows that are new
    since the tick before, oldest first; a failed logs call yields none and is made up for by the next tick.
    """

    began_at: float
    mirrors: tuple[ListedMirror, ...] | None
    log_rows: tuple[LogRow, ...] = ()
    error: PeerDBError | None = None


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
        """The first full LIST of all watched namespaces has been observed. Called once, before the first pass."""
        ...

    def pool(self, key: str) -> Pool:
        """Asked right before a pass; synchronous, cheap, raises nothing, also for a key it does not know."""
        ...

    async def reconcile(self, key: str) -> Requeue:
        """One pass over the object with this uid, or the precheck that it waits for (``precheck_key``).

        Classifies its own errors; raises nothing but ``CancelledError``.
        """
        ...

    def fleet(self, look: FleetLook) -> list[str]:
        """Take in one tick; returns the uids to wake."""
        ...

    async def to_release(self) -> list[str]:
        """Once per tick: the uids of deleted Mirrors whose drop is held and must not be sent any more."""
        ...

    def known_versions(self) -> dict[str, tuple[int, str]]:
        """uid -> (generation, resourceVersion) of every Mirror known to exist. Its size says whether there is work."""
        ...

    def forget(self, uid: str) -> None:
        """The object is gone and no watch event will say so."""
        ...

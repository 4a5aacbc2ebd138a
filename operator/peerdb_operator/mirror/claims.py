"""What Kubernetes says about a Mirror besides its spec: claims of other Mirrors, why an object goes, the rate of drops.

A few drops are sent at once, then one now and then: many drops at once are mostly a mistake. ``rules`` decide what
follows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from peerdb_operator.api.mirror import DeletionPolicy
from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import Operation, Step
from peerdb_operator.errors import KubeConflict, KubeError
from peerdb_operator.kube.port import KubePort
from peerdb_operator.mirror.rules.desired import Desired
from peerdb_operator.mirror.rules.state import Claims
from peerdb_operator.mirror.store import CachedMirror, MirrorStore
from peerdb_operator.ports import Clock, Wake
from peerdb_operator.settings import NamespaceDeletion
from peerdb_operator.telemetry.decisions import DecisionLog

logger = logging.getLogger(__name__)

DELETION = "a deletion"
"""What Kubernetes fails in, for the log."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimReader:
    """Reads what a decision needs to know about the objects around.

    ``peerdb_reliable``: whether PeerDB has answered enough calls in a row.
    """

    store: MirrorStore
    kube: KubePort
    clock: Clock
    limiter: DropRateLimiter
    log: DecisionLog
    namespace_deletion: NamespaceDeletion
    peerdb_reliable: Callable[[], bool]

    async def of(self, entry: CachedMirror, desired: Desired) -> Claims:
        """Everything that a decision of this reconcile may read; for a deletion, CRD and namespace are read uncached.

        Raises nothing of ours.
        """
        view = entry.view
        if view.deleted_at is None:
            return Claims(older=self.store.older_claim(entry))
        self._remember_drop(entry)
        crd, namespace = await self._going(entry, desired)
        known = Claims(
            crd_terminating=crd,
            namespace_terminating=namespace,
            drops_with_namespace=self.namespace_deletion is NamespaceDeletion.DROP,
        )
        return self.renewed(entry, known)

    def renewed(self, entry: CachedMirror, known: Claims) -> Claims:
        """The same with what has come meanwhile: others drop, and claim this mirror, during this reconcile."""
        return replace(
            known,
            older=self.store.older_claim(entry),
            successor=self.store.successor(entry),
            drop_wait=self.limiter.wait(self.clock.now()),
        )

    def require_no_successor(self, entry: CachedMirror) -> None:
        """Raise ``KubeConflict`` if a drop would take the mirror from another Mirror that claims it by now."""
        successor = None if entry.view.deleted_at is None else self.store.successor(entry)
        if successor is not None:
            raise KubeConflict(f"{entry.view.key}: the Mirror {successor} claims the PeerDB mirror by now")

    def begin_limit(self) -> None:
        """Set the rate limit by the first LIST, before the first drop of this process.

        What a former process has dropped to the end left no object behind. So the limit starts empty while drops are
        due: a process that ends again and again must not send a few more each time. Otherwise what the journals show
        takes its tokens.
        """
        going = [entry for entry in self.store if entry.view.deleted_at is not None and entry.view.has_finalizer]
        sent = [(operation.sent_at, entry) for entry in going if (operation := _drop_of(entry)) is not None]
        now = self.clock.now()
        if len(sent) < len(going):
            self.limiter.start_empty(now)
            logger.info(
                "%d deleted Mirrors wait at the start of the operator: the first drop is sent after %.0f s",
                len(going) - len(sent),
                self.limiter.wait(now),
            )
        for _, entry in sorted(sent, key=lambda pair: pair[0]):
            self._remember_drop(entry)

    def _remember_drop(self, entry: CachedMirror) -> None:
        operation = _drop_of(entry)
        if operation is not None:
            self.limiter.take(drop_key(entry, operation), operation.sent_at, self.clock.now())

    async def _going(self, entry: CachedMirror, desired: Desired) -> tuple[bool | None, bool | None]:
        """Whether the CRD and the namespace go too; None for what could not be read, False where it does not matter."""
        if desired.deletion_policy is DeletionPolicy.RETAIN:
            return False, False
        try:
            going = await self.kube.crd_is_terminating(), await self.kube.namespace_is_terminating(entry.view.namespace)
        except KubeError as error:
            self.log.kube_failed(entry.subject, DELETION, error)
            return None, None
        self.log.kube_succeeded(entry.subject, DELETION)
        return going


def drop_key(entry: CachedMirror, operation: Operation) -> str:
    """What takes a token: one drop of one Mirror. Operations of several Mirrors may bear the same id."""
    return f"{entry.view.uid}/{operation.id}"


def _drop_of(entry: CachedMirror) -> Operation | None:
    """The drop that the journal of a deleted Mirror shows."""
    operation = entry.current_journal().operation
    going = entry.view.deleted_at is not None
    return operation if going and operation is not None and operation.step is Step.DROP else None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldDrops:
    """The drops that the rate limit holds: whether the namespace or the CRD of one is being deleted meanwhile.

    A held Mirror may wait for minutes, and no watch event says that its namespace or the CRD goes: the Mirror itself
    has been deleted before. Left alone it would keep both Terminating, and be dropped in the end. CRD and each
    namespace are read once for all Mirrors that wait; a reconcile reads them again before it releases one.
    """

    store: MirrorStore
    kube: KubePort
    namespace_deletion: NamespaceDeletion

    async def check(self, wake: Wake) -> None:
        """Wake those that are to be released."""
        for uid in await self.to_release():
            wake(uid)

    async def to_release(self) -> list[str]:
        """The uids of Mirrors to release. Raises no error of ours; sends no request while no Mirror is held."""
        held = [entry for entry in self.store if _is_held(entry)]
        if not held:
            return []
        try:
            if await self.kube.crd_is_terminating():
                return [entry.view.uid for entry in held]
            going = await self._namespaces_going({entry.view.namespace for entry in held})
        except KubeError as error:
            logger.debug("Whether held drops are to be released could not be read: %s", error)
            return []
        return [entry.view.uid for entry in held if entry.view.namespace in going]

    async def _namespaces_going(self, names: set[str]) -> set[str]:
        if self.namespace_deletion is NamespaceDeletion.DROP:
            return set()
        return {name for name in sorted(names) if await self.kube.namespace_is_terminating(name)}


def _is_held(entry: CachedMirror) -> bool:
    view = entry.view
    return view.deleted_at is not None and view.has_finalizer and view.status.ready_reason == Reason.DROP_HELD

"""What Kubernetes says about a Mirror beside its spec: claims of other Mirrors, and why an object goes.

Owns the reads that a drop rests on and the rate limit on drops. Leaves what follows from them to ``rules``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from peerdb_operator.api.mirror import DeletionPolicy
from peerdb_operator.api.status import Operation, Step
from peerdb_operator.errors import KubeConflict, KubeError
from peerdb_operator.kube.port import KubePort
from peerdb_operator.mirror.drop_rate_limiter import DropRateLimiter
from peerdb_operator.mirror.rules.desired import Desired
from peerdb_operator.mirror.rules.state import Claims
from peerdb_operator.mirror.store import CachedMirror, MirrorStore
from peerdb_operator.ports import Clock
from peerdb_operator.settings import NamespaceDeletion
from peerdb_operator.telemetry.decisions import DecisionLog

logger = logging.getLogger(__name__)

DELETION = "a deletion"
"""What Kubernetes fails in, for the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimReader:
    """Reads what a decision needs to know about the objects around.

    ``peerdb_reliable``: whether PeerDB has answered enough calls in a row.
    """

    registry: MirrorStore
    kube: KubePort
    clock: Clock
    limiter: DropRateLimiter
    log: DecisionLog
    namespace_deletion: NamespaceDeletion
    peerdb_reliable: Callable[[], bool]

    async def of(self, entry: CachedMirror, desired: Desired) -> Claims:
        """Everything that a decision of this pass may read; for a deletion, CRD and namespace are read uncached.

        Raises nothing of ours.
        """
        view = entry.view
        if view.deleted_at is None:
            return Claims(older=self.registry.older_claim(entry))
        self._remember_drop(entry)
        crd, namespace = await self._going(entry, desired)
        known = Claims(
            crd_terminating=crd,
            namespace_terminating=namespace,
            drops_with_namespace=self.namespace_deletion is NamespaceDeletion.DROP,
        )
        return self.renewed(entry, known)

    def renewed(self, entry: CachedMirror, known: Claims) -> Claims:
        """The same with what has come meanwhile: others drop, and claim this mirror, while this pass looks."""
        return replace(
            known,
            older=self.registry.older_claim(entry),
            successor=self.registry.successor(entry),
            drop_wait=self.limiter.wait(self.clock.now()),
        )

    def require_no_successor(self, entry: CachedMirror) -> None:
        """Raise ``KubeConflict`` if a drop would take the mirror from another Mirror that claims it by now."""
        successor = None if entry.view.deleted_at is None else self.registry.successor(entry)
        if successor is not None:
            raise KubeConflict(f"{entry.view.key}: the Mirror {successor} claims the PeerDB mirror by now")

    def begin_limit(self) -> None:
        """Set the rate limit by the first LIST, before the first drop of this process.

        What a former process has dropped to the end left no object behind. So the limit starts empty while drops are
        due: a process that ends again and again must not send a few more each time. Otherwise what the journals show
        takes its tokens.
        """
        going = [entry for entry in self.registry if entry.view.deleted_at is not None and entry.view.has_finalizer]
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

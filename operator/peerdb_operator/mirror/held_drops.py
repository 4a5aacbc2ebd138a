"""The drops that the rate limit holds: whether the namespace or the CRD of one is being deleted meanwhile.

A held Mirror may wait for minutes, and no watch event says that its namespace or the CRD goes: the Mirror itself has
been deleted before. Left alone it would keep both Terminating, and be dropped in the end. Leaves the release to a pass,
which reads both again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from peerdb_operator.api.reasons import Reason
from peerdb_operator.errors import KubeError
from peerdb_operator.kube.port import KubePort
from peerdb_operator.mirror.store import CachedMirror, MirrorStore
from peerdb_operator.ports import Clock, Controller
from peerdb_operator.settings import NamespaceDeletion

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldDrops:
    """Reads the CRD and each namespace once for all Mirrors that wait."""

    registry: MirrorStore
    kube: KubePort
    namespace_deletion: NamespaceDeletion

    async def to_release(self) -> list[str]:
        """The uids of those that are to be released. Raises nothing of ours; asks nothing while nobody waits."""
        held = [entry for entry in self.registry if _is_held(entry)]
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


class HeldDropCheck:
    """Wakes the Mirrors whose held drop must not be sent any more, once per tick."""

    def __init__(self, controller: Controller, wake: Callable[[str], None], clock: Clock, period: float) -> None:
        self._controller = controller
        self._wake = wake
        self._clock = clock
        self._period = period

    async def run(self) -> None:
        """Check for ever."""
        while True:
            await self._clock.sleep(self._period)
            try:
                for uid in await self._controller.to_release():
                    self._wake(uid)
            except Exception:
                # A bug here must not end the process: the next tick tries again.
                logger.exception("A check of held drops ended with an error that nobody classified")

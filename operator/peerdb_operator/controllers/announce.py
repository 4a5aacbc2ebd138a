"""Writing a command down before it is sent, and making sure right before it goes that it still may.

Owns the order: brake, write, look again, orders, heirs. Writing takes as long as Kubernetes takes, and the world goes
on meanwhile. Leaves what is sent to ``act`` and the write itself to ``report``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from peerdb_operator.controllers.job import Job, WriteAhead
from peerdb_operator.controllers.lookout import Lookout
from peerdb_operator.controllers.ports import Clock
from peerdb_operator.controllers.surroundings import Surroundings
from peerdb_operator.core.journal import Journal
from peerdb_operator.core.memory import still_ours
from peerdb_operator.core.observed import Look
from peerdb_operator.core.plan_types import Plan
from peerdb_operator.errors import KubeConflict, KubeError


@dataclass(frozen=True, slots=True)
class Announcement:
    """A command that is about to be sent.

    ``recorded``: the journal with it; ``otherwise``: the journal if it is not sent after all; ``same``: whether a later
    look still shows what the plan rests on, None where that does not matter.
    """

    plan: Plan
    recorded: Journal
    otherwise: Journal
    same: Callable[[Look, Look], bool] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcer:
    """Records commands; every method raises ``KubeError``, after which nothing may be sent."""

    lookout: Lookout
    surroundings: Surroundings
    clock: Clock

    async def announce(self, job: Job, what: Announcement, write_ahead: WriteAhead) -> None:
        """Record a command."""
        entry, operation = job.entry, what.recorded.operation
        try:
            await write_ahead(job, what.plan, what.recorded)
        except KubeConflict:
            raise
        except KubeError:
            # Whether it was written is not known; that nothing was sent is.
            entry.unsent = None if operation is None else (operation.id, what.otherwise)
            raise
        try:
            await self._require(job, what)
        except KubeConflict:
            entry.journal = what.otherwise
            raise

    async def announce_drop(self, job: Job, plan: Plan, recorded: Journal, write_ahead: WriteAhead) -> None:
        """Take a place under the brake, then record."""
        uid, now, brake = job.entry.view.uid, self.clock.now(), self.surroundings.brake
        if brake.wait(uid, now) > 0:
            raise KubeConflict(f"{job.entry.view.key}: others have taken the last place under the brake meanwhile")
        brake.record(uid, now)
        otherwise = replace(recorded, operation=None)
        try:
            await self.announce(job, Announcement(plan, recorded, otherwise, same=still_ours), write_ahead)
        except KubeError:
            brake.forgive(uid)
            raise

    def forgive(self, job: Job) -> None:
        """A drop that did not go out takes no place under the brake."""
        self.surroundings.brake.forgive(job.entry.view.uid)

    async def _require(self, job: Job, what: Announcement) -> None:
        if what.same is not None and not await self.lookout.holds(job, what.same):
            raise KubeConflict(f"{job.entry.view.key}: the mirror has changed while a command was written down")
        job.entry.require_orders()
        self.surroundings.require_no_heir(job.entry)

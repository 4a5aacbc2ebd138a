"""Writing a command down before it is sent, and making sure right before it goes that it still may.

Owns the order: rate limit of drops, write, look again, orders, heirs. Writing takes as long as Kubernetes takes, and
the world goes on meanwhile. Leaves what is sent to ``act`` and the write itself to ``report``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from peerdb_operator.controllers.job import Job, WriteAhead
from peerdb_operator.controllers.ports import Clock
from peerdb_operator.controllers.surroundings import Surroundings, drop_key
from peerdb_operator.core.journal import Journal, Operation
from peerdb_operator.core.plan_types import Plan
from peerdb_operator.errors import KubeConflict, KubeError, KubeUnavailable


@dataclass(frozen=True, slots=True)
class Announcement:
    """A command that is about to be sent.

    ``operation``: its journal entry, and ``recorded`` the journal with it; ``otherwise``: the journal if it is not sent
    after all; ``holds``: whether PeerDB still shows what the plan rests on, None where that does not matter.
    """

    plan: Plan
    operation: Operation
    recorded: Journal
    otherwise: Journal
    holds: Callable[[Job], Awaitable[bool]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcer:
    """Records commands; every method raises ``KubeError``, after which nothing may be sent."""

    surroundings: Surroundings
    clock: Clock

    async def announce(self, job: Job, what: Announcement, write_ahead: WriteAhead) -> None:
        """Record a command."""
        entry = job.entry
        try:
            await write_ahead(job, what.plan, what.recorded)
        except KubeUnavailable:
            # Whether it was written is not known; that nothing was sent is.
            entry.unsent[what.operation.id] = what.otherwise
            raise
        try:
            await self._require(job, what)
        except KubeConflict:
            # It stands in status, unless somebody else has written there since: then theirs counts.
            entry.unsent[what.operation.id], entry.journal = what.otherwise, None
            raise

    async def announce_drop(self, job: Job, what: Announcement, write_ahead: WriteAhead) -> None:
        """Take a token of the rate limit, then record."""
        drop, now, limiter = drop_key(job.entry, what.operation), self.clock.now(), self.surroundings.limiter
        if limiter.wait(now) > 0:
            raise KubeConflict(f"{job.entry.view.key}: other drops have reached the rate limit meanwhile")
        limiter.take(drop, now, now)
        try:
            await self.announce(job, what, write_ahead)
        except KubeError:
            limiter.give_back(drop)
            raise

    def not_dropped(self, job: Job, operation: Operation) -> None:
        """A drop that did not go out takes no token of the rate limit."""
        self.surroundings.limiter.give_back(drop_key(job.entry, operation))

    async def _require(self, job: Job, what: Announcement) -> None:
        entry = job.entry
        if what.holds is not None and not await what.holds(job):
            raise KubeConflict(f"{entry.view.key}: the mirror has changed while a command was written down")
        entry.require_orders()
        written = entry.view.status.operation
        if written is None or written.id != what.operation.id:
            raise KubeConflict(f"{entry.view.key}: somebody else has written the journal meanwhile")
        self.surroundings.require_no_heir(entry)

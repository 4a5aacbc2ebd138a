"""Doing what a plan asks for: at most one command to PeerDB in a pass, or one step of Kubernetes metadata.

Owns the order of recording and sending: pause and resume are sent first (they are harmless to repeat), edits and drops
are recorded first. Leaves deciding to core, the recording to ``announce`` and prechecks to ``precheck``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from peerdb_operator.api.constants import FINALIZER, OWNER_TAG, RELEASED
from peerdb_operator.clients.peerdb import ConfigUpdate, PeerDBClient, RequestedState
from peerdb_operator.controllers.announce import Announcement, Announcer
from peerdb_operator.controllers.job import Done, Job, WriteAhead
from peerdb_operator.controllers.look import Reads
from peerdb_operator.controllers.lookout import Lookout
from peerdb_operator.controllers.ports import Clock
from peerdb_operator.controllers.report import Reporter
from peerdb_operator.controllers.story import Parting, Turn
from peerdb_operator.controllers.translate import config_update
from peerdb_operator.core.bounds import after_unproven, for_generation
from peerdb_operator.core.journal import Journal, Operation
from peerdb_operator.core.limits import Limits
from peerdb_operator.core.observed import OwnerKind, Seen
from peerdb_operator.core.plan_types import Drop, Pause, Plan, Release, Resume, SendEdit
from peerdb_operator.core.reasons import Reason
from peerdb_operator.errors import PeerDBError, PeerDBInternal, PeerDBRejected, PeerDBUnavailable

UNDER_MAINTENANCE = "MAINTENANCE"


class Actor:
    """Carries actions out."""

    def __init__(
        self,
        peerdb: PeerDBClient,
        reporter: Reporter,
        lookout: Lookout,
        announcer: Announcer,
        clock: Clock,
        limits: Limits,
    ) -> None:
        self._peerdb = peerdb
        self._reporter = reporter
        self._lookout = lookout
        self._announcer = announcer
        self._clock = clock
        self._limits = limits

    async def pause_or_resume(self, job: Job, plan: Plan, action: Pause | Resume, write_ahead: WriteAhead) -> Done:
        """Sent first; recorded after, unless the reply says that it was not taken."""
        operation = action.operation or plan.journal.operation
        recorded = replace(plan.journal, operation=operation)
        announced = isinstance(action, Pause) and job.desired.wants_running and job.entry.unwritten
        if announced and operation is not None:
            # The edit that this mirror is stopped for could not be written down, and so not be sent.
            what = Announcement(plan, operation, recorded, job.journal, self._lookout.still_shown)
            await self._announcer.announce(job, what, write_ahead)
        state = RequestedState.PAUSED if isinstance(action, Pause) else RequestedState.RUNNING
        failure = await self._change(job, lambda: self._peerdb.change_state(job.desired.mirror, state))
        if failure is not None and not failure.sent:
            return Done(job.journal, failure)
        seen = job.entry.memory.pausing_seen and action.operation is None
        job.entry.memory = replace(job.entry.memory, sent_at=self._clock.now(), pausing_seen=seen)
        if action.operation is not None and (announced or failure is not None):
            recorded = _sent_again(job, recorded, action.operation)
        return Done(recorded, failure)

    async def edit(self, job: Job, plan: Plan, action: SendEdit, write_ahead: WriteAhead) -> Done:
        """Recorded first, then sent; a 200 is remembered and written with the next status."""
        if (refusal := await self._still_refuses(job)) is not None:
            return Done(job.journal, refusal)
        assert job.sight.config is not None  # noqa: S101 - an edit is only ever planned against a config
        update = config_update(action.edit, job.sight.config, skip_snapshot=job.desired.skip_snapshot)
        recorded = replace(plan.journal, operation=action.operation)
        not_sent = self._unsent(job, recorded)
        what = Announcement(plan, action.operation, recorded, not_sent, self._lookout.still_stands)
        await self._announcer.announce(job, what, write_ahead)
        mirror = job.desired.mirror
        failure = await self._change(
            job, lambda: self._peerdb.change_state(mirror, RequestedState.RUNNING, update=update)
        )
        if failure is not None and not failure.sent:
            return Done(self._refused(not_sent, action.operation, failure), failure)
        job.entry.memory = replace(job.entry.memory, precheck=None, streak=None)
        sent = _sent_again(job, recorded, replace(action.operation, accepted=failure is None))
        return Done(sent, failure)

    async def disarm(self, job: Job, plan: Plan) -> Done:
        """An empty update takes the place of one that waits unseen in PeerDB's queue."""
        mirror = job.desired.mirror
        failure = await self._change(
            job, lambda: self._peerdb.change_state(mirror, RequestedState.RUNNING, update=ConfigUpdate())
        )
        return Done(plan.journal if failure is None else job.journal, failure)

    async def drop(self, job: Job, plan: Plan, action: Drop, write_ahead: WriteAhead) -> Done:
        """Recorded first; the identical request is repeated until the mirror is gone."""
        recorded = replace(plan.journal, operation=action.operation)
        if action.first:
            if (refusal := await self._still_refuses(job)) is not None:
                return Done(job.journal, refusal)
            what = Announcement(plan, action.operation, recorded, job.journal, self._may_still_drop)
            await self._announcer.announce_drop(job, what, write_ahead)
        failure = await self._change(job, lambda: self._terminate(job, action))
        job.entry.memory = replace(job.entry.memory, sent_at=self._clock.now())
        if failure is None:
            return Done(replace(recorded, operation=replace(action.operation, accepted=True)))
        if failure.sent:
            return Done(_sent_again(job, recorded, action.operation), failure)
        if not action.first:
            return Done(recorded, failure)
        self._announcer.not_dropped(job, action.operation)
        return Done(job.journal, failure)

    async def _may_still_drop(self, job: Job) -> bool:
        return await self._lookout.still_owned(job) and not job.needs_long_lane

    async def _terminate(self, job: Job, action: Drop) -> None:
        await self._peerdb.change_state(
            job.desired.mirror,
            RequestedState.TERMINATING,
            drop_mirror_stats=action.flags.statistics,
            skip_destination_drop=action.flags.keep_destination,
            closed=job.sight.closed,
        )

    async def take_over(self, job: Job) -> Done:
        """Our finalizer first, then our tag: a tag without a finalizer would outlive the object."""
        entry = job.entry
        if not entry.view.has_finalizer:
            await self._reporter.finalizers(entry, [*entry.view.finalizers, FINALIZER])
        look = job.sight.look
        if isinstance(look, Seen) and look.owner.kind is OwnerKind.OURS:
            return Done(job.journal)
        failure = await self._tag(job, job.sight.tags, job.identity.tag)
        if failure is None:
            entry.story.turn = Turn.TAKEN_OVER
        return Done(job.journal, failure)

    async def release(self, job: Job, planned: Plan, action: Release) -> None:
        """Let the object go; the mirror stays as it is."""
        if not job.entry.parted:
            await self._reporter.tell(job.entry)
            if action.hand_over:
                await self._hand_over(job)
            kind = "Warning" if action.warns else "Normal"
            end = Parting.DROPPED if action.dropped else Parting.RELEASED
            await self._reporter.event(job.entry, kind, end.value, planned.note)
            job.entry.parted = True
        left = [finalizer for finalizer in job.entry.view.finalizers if finalizer != FINALIZER]
        await self._reporter.finalizers(job.entry, left)

    async def _hand_over(self, job: Job) -> None:
        """Overwrite our tag so that another may take the mirror over; tried once, its failure holds nothing."""
        look = await self._lookout.look(job, Reads.OWNER)
        if isinstance(look, Seen) and look.owner.kind is OwnerKind.OURS and self._lookout.is_fresh(job):
            await self._tag(job, job.sight.tags, RELEASED)

    async def _tag(self, job: Job, tags: dict[str, str], value: str) -> PeerDBError | None:
        mirror = job.desired.mirror
        return await self._command(
            job, lambda: self._peerdb.set_tags(mirror, {**tags, OWNER_TAG: value}), owned=value == RELEASED
        )

    async def _change(self, job: Job, send: Callable[[], Awaitable[None]]) -> PeerDBError | None:
        """A command of the mirror's state; remembers whether there is a workflow to take it."""
        failure = await self._command(job, send)
        memory = job.entry.memory
        if isinstance(failure, PeerDBInternal) and failure.orphaned:
            job.entry.memory = replace(memory, orphaned=True, sent_at=job.entry.commanded_at)
        else:
            job.entry.memory = replace(memory, orphaned=False)
        return failure

    async def _command(
        self, job: Job, send: Callable[[], Awaitable[None]], *, owned: bool = True
    ) -> PeerDBError | None:
        """Send one command; raises ``StaleObservation``, or ``KubeConflict``, if it may not be sent any more.

        ``owned``: the mirror must carry our tag; only the tag itself is written to one without.
        """
        job.entry.require_orders()
        self._lookout.require_fresh(job, owned=owned)
        failure: PeerDBError | None = None
        try:
            await send()
        except PeerDBError as error:
            error.message = job.without_values(error.message)
            failure = error
        finally:
            job.entry.commanded_at = self._clock.now()
        unanswered = failure.message if failure is not None and failure.sent else ""
        job.entry.memory = replace(job.entry.memory, unanswered=unanswered)
        return failure

    def _unsent(self, job: Job, recorded: Journal) -> Journal:
        """The journal without an edit that does not go out: what was judged on the way to it stays."""
        before = for_generation(job.journal.bounds, job.desired.generation)
        return Journal(None, replace(recorded.bounds, corrections=before.corrections))

    def _refused(self, not_sent: Journal, operation: Operation, failure: PeerDBError) -> Journal:
        """An edit that PeerDB refuses for its content uses up the attempts."""
        if not isinstance(failure, PeerDBRejected):
            return not_sent
        refused = Reason.EDIT_TOO_LARGE if failure.too_large else Reason.EDIT_NOT_APPLIED
        now = self._clock.now()
        return replace(
            not_sent, bounds=after_unproven(not_sent.bounds, operation.after, self._limits, now, refused=refused)
        )

    async def _still_refuses(self, job: Job) -> PeerDBError | None:
        """After a refusal: whether PeerDB says that it still takes no commands, so that none is announced in vain."""
        if job.entry.refused_since is None:
            return None
        try:
            status = await self._peerdb.instance_status()
        except PeerDBError as error:
            return error
        if status != UNDER_MAINTENANCE:
            return None
        return PeerDBUnavailable("PeerDB is under maintenance and takes no changes", sent=False, maintenance=True)


def _sent_again(job: Job, journal: Journal, operation: Operation) -> Journal:
    """The request counts from its answer; without one it may arrive as late as now."""
    return replace(journal, operation=replace(operation, sent_at=job.entry.commanded_at))

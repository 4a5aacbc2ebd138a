"""Doing what a plan asks for: at most one command to PeerDB in a pass, or one step of Kubernetes metadata.

Owns the order of recording and sending: pause and resume are sent first (they are harmless to repeat), edits and drops
are recorded first. Leaves deciding to core and writing status to ``report``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from peerdb_operator.api.constants import FINALIZER, OWNER_TAG, RELEASED
from peerdb_operator.clients.peerdb import ConfigUpdate, PeerDBClient, RequestedState
from peerdb_operator.controllers.brake import Brake
from peerdb_operator.controllers.look import Identity, Sight
from peerdb_operator.controllers.ports import Clock
from peerdb_operator.controllers.registry import Entry
from peerdb_operator.controllers.report import Reporter, with_operation_closed
from peerdb_operator.controllers.translate import config_update, validation_request
from peerdb_operator.core.bounds import after_unproven
from peerdb_operator.core.desired import Desired
from peerdb_operator.core.journal import Journal, Operation
from peerdb_operator.core.limits import Limits, doubling
from peerdb_operator.core.memory import Precheck
from peerdb_operator.core.observed import OwnerKind, Seen, State
from peerdb_operator.core.plan_types import Drop, Pause, Plan, Release, Resume, SendEdit, Validate
from peerdb_operator.core.reasons import Reason
from peerdb_operator.errors import PeerDBError, PeerDBInternal, PeerDBPreconditionFailed, PeerDBRejected

PRECHECK_FIRST = 30.0
PRECHECK_LONGEST = 600.0
FILLED = ("is not empty", "already has existing rows")


@dataclass(slots=True)
class Job:
    """One pass over one Mirror: what it works with, and the journal as it stands."""

    entry: Entry
    desired: Desired
    identity: Identity
    sight: Sight
    journal: Journal


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an action: the journal after it, and the failure if there was one."""

    journal: Journal
    failure: PeerDBError | None = None


WriteAhead = Callable[[Job, Plan, Journal], Awaitable[None]]


class Actor:
    """Carries actions out."""

    def __init__(self, peerdb: PeerDBClient, reporter: Reporter, clock: Clock, brake: Brake, limits: Limits) -> None:
        self._peerdb = peerdb
        self._reporter = reporter
        self._clock = clock
        self._brake = brake
        self._limits = limits

    async def validate(self, job: Job, action: Validate) -> None:
        """Ask PeerDB about the additions and remember the answer."""
        assert job.sight.config is not None  # noqa: S101 - additions are only ever planned against a config
        name = f"precheck_{hashlib.sha256(job.desired.mirror.encode()).hexdigest()[:12]}"
        request = validation_request(action.edit, job.sight.config, name, copy=action.copy)
        known = job.entry.memory.precheck
        failures = (
            known.failures + 1 if known is not None and known.key == action.key and known.reason is not None else 1
        )
        try:
            await self._peerdb.validate(request, short=action.timeout < self._limits.paused_patience)
            answer = Precheck(action.key, self._clock.now())
        except PeerDBError as error:
            now = self._clock.now()
            wait = doubling(PRECHECK_FIRST, failures - 1, PRECHECK_LONGEST)
            message = (
                f"{precheck_message(error)}; asked again in {wait:.0f} s. Until then all edits of this Mirror wait"
            )
            answer = Precheck(action.key, now, precheck_reason(error), message, now + wait, failures)
        job.entry.memory = replace(job.entry.memory, precheck=answer)

    async def pause_or_resume(self, job: Job, plan: Plan, action: Pause | Resume) -> Done:
        """Sent first; recorded after, unless the reply says that it was not taken."""
        state = RequestedState.PAUSED if isinstance(action, Pause) else RequestedState.RUNNING
        failure = await self._command(job, lambda: self._peerdb.change_state(job.desired.mirror, state))
        if failure is not None and not failure.sent:
            return Done(job.journal, failure)
        seen = job.entry.memory.pausing_seen and action.operation is None
        job.entry.memory = replace(job.entry.memory, sent_at=self._clock.now(), pausing_seen=seen)
        operation = plan.journal.operation if action.operation is None else action.operation
        return Done(replace(plan.journal, operation=operation), failure)

    async def edit(self, job: Job, plan: Plan, action: SendEdit, write_ahead: WriteAhead) -> Done:
        """Recorded first, then sent; a 200 is remembered and written with the next status."""
        assert job.sight.config is not None  # noqa: S101 - an edit is only ever planned against a config
        update = config_update(action.edit, job.sight.config, skip_snapshot=job.desired.skip_snapshot)
        recorded = replace(plan.journal, operation=action.operation)
        await write_ahead(job, plan, recorded)
        mirror = job.desired.mirror
        failure = await self._command(
            job, lambda: self._peerdb.change_state(mirror, RequestedState.RUNNING, update=update)
        )
        job.entry.memory = replace(job.entry.memory, precheck=None, streak=None)
        if failure is None:
            return Done(replace(recorded, operation=replace(action.operation, accepted=True)))
        if failure.sent:
            return Done(self._sent_again(recorded, action.operation), failure)
        return Done(self._not_taken(job, action.operation, failure), failure)

    async def disarm(self, job: Job, plan: Plan) -> Done:
        """An empty update takes the place of one that waits unseen in PeerDB's queue."""
        mirror = job.desired.mirror
        failure = await self._command(
            job, lambda: self._peerdb.change_state(mirror, RequestedState.RUNNING, update=ConfigUpdate())
        )
        return Done(plan.journal if failure is None else job.journal, failure)

    async def drop(self, job: Job, plan: Plan, action: Drop, write_ahead: WriteAhead) -> Done:
        """Recorded first; the identical request is repeated until the mirror is gone."""
        recorded = replace(plan.journal, operation=action.operation)
        if action.first:
            await write_ahead(job, plan, recorded)
            self._brake.record(job.entry.view.uid, self._clock.now())
        look = job.sight.look
        closed = isinstance(look, Seen) and look.state in {State.FAILED, State.COMPLETED}
        failure = await self._command(
            job,
            lambda: self._peerdb.change_state(
                job.desired.mirror,
                RequestedState.TERMINATING,
                drop_mirror_stats=action.flags.statistics,
                skip_destination_drop=action.flags.keep_destination,
                closed=closed,
            ),
        )
        orphaned = isinstance(failure, PeerDBInternal) and failure.orphaned
        job.entry.memory = replace(job.entry.memory, sent_at=self._clock.now(), orphaned=orphaned)
        if failure is None:
            return Done(replace(recorded, operation=replace(action.operation, accepted=True)))
        if failure.sent or not action.first:
            return Done(self._sent_again(recorded, action.operation), failure)
        self._brake.forgive(job.entry.view.uid)
        return Done(with_operation_closed(recorded), failure)

    async def take_over(self, job: Job) -> Done:
        """Our finalizer first, then our tag: a tag without a finalizer would outlive the object."""
        entry = job.entry
        if not entry.view.has_finalizer:
            await self._reporter.finalizers(entry, [*entry.view.finalizers, FINALIZER])
        look = job.sight.look
        if isinstance(look, Seen) and look.owner.kind is OwnerKind.OURS:
            return Done(job.journal)
        return Done(job.journal, await self._tag(job, job.sight.tags, job.identity.tag))

    async def release(self, job: Job, action: Release) -> None:
        """Let the object go; the mirror stays as it is."""
        if action.hand_over:
            await self._hand_over(job)
        if action.warning:
            await self._reporter.event(job.entry, "Warning", "Released", action.warning)
        left = [finalizer for finalizer in job.entry.view.finalizers if finalizer != FINALIZER]
        await self._reporter.finalizers(job.entry, left)

    async def _hand_over(self, job: Job) -> None:
        """Overwrite our tag so that another may take the mirror over; tried once, its failure holds nothing."""
        try:
            tags = await self._peerdb.tags(job.desired.mirror)
        except PeerDBError:
            return
        if job.identity.owner(tags.get(OWNER_TAG)).kind is OwnerKind.OURS:
            await self._tag(job, tags, RELEASED)

    async def _tag(self, job: Job, tags: dict[str, str], value: str) -> PeerDBError | None:
        mirror = job.desired.mirror
        return await self._command(job, lambda: self._peerdb.set_tags(mirror, {**tags, OWNER_TAG: value}))

    async def _command(self, job: Job, send: Callable[[], Awaitable[None]]) -> PeerDBError | None:
        try:
            await send()
        except PeerDBError as error:
            return error
        finally:
            job.entry.commanded_at = self._clock.now()
        return None

    def _sent_again(self, journal: Journal, operation: Operation) -> Journal:
        """The request ended without a reply: it may arrive as late as now."""
        return replace(journal, operation=replace(operation, sent_at=self._clock.now(), accepted=operation.accepted))

    def _not_taken(self, job: Job, operation: Operation, failure: PeerDBError) -> Journal:
        bounds = job.journal.bounds
        if isinstance(failure, PeerDBRejected):
            refused = Reason.EDIT_TOO_LARGE if failure.too_large else Reason.EDIT_NOT_APPLIED
            bounds = after_unproven(bounds, operation.after, self._limits, self._clock.now(), refused=refused)
        return Journal(None, bounds)


def precheck_reason(error: PeerDBError) -> Reason:
    """What a failed precheck is called."""
    if any(text in error.message for text in FILLED):
        return Reason.DESTINATION_IN_USE
    if isinstance(error, PeerDBPreconditionFailed | PeerDBRejected):
        return Reason.PRECHECK_FAILED
    return Reason(error.reason)


def precheck_message(error: PeerDBError) -> str:
    """What PeerDB found wrong with the additions; at most five tables are named."""
    if isinstance(error, PeerDBPreconditionFailed) and error.violations:
        subjects = [violation.subject for violation in error.violations]
        more = f" and {len(subjects) - 5} more" if len(subjects) > 5 else ""  # noqa: PLR2004 - the five that are named
        return f"spec.tables: PeerDB refuses to add {', '.join(subjects[:5])}{more} ({error.violations[0].kind})"
    return f"spec.tables: PeerDB cannot add the new tables: {error.message}"

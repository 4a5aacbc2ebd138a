"""Every command to PeerDB, and the finalizer: at most one in a reconcile.

A pause or a resume is sent first and recorded after (it is harmless to repeat); an edit or a drop is recorded first.
Before anything is sent the intent of the object, the age of the observation and, where something was written ahead, the
journal and the claims of others are checked again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import assert_never

from peerdb_operator.api.constants import FINALIZER, OWNER_TAG, RELEASED
from peerdb_operator.api.mirror import DestinationMetadata, Statistics
from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import Operation
from peerdb_operator.errors import (
    KubeConflict,
    KubeError,
    KubeUnavailable,
    PeerDBError,
    PeerDBInternal,
    PeerDBRejected,
    PeerDBUnavailable,
)
from peerdb_operator.mirror.claims import ClaimReader, drop_key
from peerdb_operator.mirror.observe import Observer
from peerdb_operator.mirror.rules.decision import (
    Adopt,
    Confirm,
    Decision,
    Disarm,
    Drop,
    Observe,
    Pause,
    Precheck,
    Release,
    Resume,
    SendUpdate,
)
from peerdb_operator.mirror.rules.history import with_changes
from peerdb_operator.mirror.rules.journal import Journal, after_unproven, for_generation
from peerdb_operator.mirror.rules.limits import Limits
from peerdb_operator.mirror.rules.observation import Found, OwnerKind
from peerdb_operator.mirror.status import StatusWriter
from peerdb_operator.mirror.work import Outcome, Reads, Work
from peerdb_operator.peerdb.client import ConfigUpdate, PeerDBClient, RequestedState
from peerdb_operator.ports import Clock
from peerdb_operator.telemetry.events import Event, EventRecorder

UNDER_MAINTENANCE = "MAINTENANCE"
DROPPED, RELEASED_OBJECT = "Dropped", "Released"
"""Reasons of the Event at the end of an object."""


class Executor:
    """Carries actions out."""

    def __init__(
        self,
        *,
        peerdb: PeerDBClient,
        status: StatusWriter,
        events: EventRecorder,
        observer: Observer,
        claim_reader: ClaimReader,
        clock: Clock,
        limits: Limits,
    ) -> None:
        self._peerdb = peerdb
        self._status = status
        self._events = events
        self._observer = observer
        self._command_journal = CommandJournal(claim_reader=claim_reader, status=status, clock=clock)
        self._clock = clock
        self._limits = limits

    async def execute(self, work: Work, decision: Decision) -> Outcome:
        """Carry the action of a decision out; raises ``KubeError``, and ``StaleObservation`` with nothing sent."""
        match decision.action:
            case Pause() | Resume() as action:
                return await self.pause_or_resume(work, decision, action)
            case SendUpdate() as action:
                return await self.edit(work, decision, action)
            case Disarm():
                return await self.disarm(work, decision)
            case Drop() as action:
                return await self.drop(work, decision, action)
            case Adopt():
                return await self.adopt(work)
            case Release() as action:
                return await self.release(work, decision, action)
            case Observe() | Confirm() | Precheck() | None:
                return Outcome(decision.journal)
            case _ as never:
                assert_never(never)

    async def pause_or_resume(self, work: Work, decision: Decision, action: Pause | Resume) -> Outcome:
        """Sent first; recorded after, unless the reply says that it was not taken."""
        operation = action.operation or decision.journal.operation
        recorded = replace(decision.journal, operation=operation)
        announced = isinstance(action, Pause) and work.desired.wants_running and work.entry.status_write_failing
        if announced and operation is not None:
            # The edit that this mirror is stopped for could not be written down, and so not be sent.
            what = PendingCommand(decision, operation, recorded, work.journal, self._observer.still_shown)
            await self._command_journal.announce(work, what)
        state = RequestedState.PAUSED if isinstance(action, Pause) else RequestedState.RUNNING
        failure = await self._change(work, lambda: self._peerdb.change_state(work.desired.mirror, state))
        if isinstance(action, Resume):
            failure = await self._insist(work, failure)
        if failure is not None and not failure.sent:
            return Outcome(work.journal, failure)
        seen = work.entry.history.pausing_seen and action.operation is None
        work.entry.history = replace(work.entry.history, sent_at=self._clock.now(), pausing_seen=seen)
        if action.operation is not None and (announced or failure is not None):
            recorded = _sent_again(work, recorded, action.operation)
        return Outcome(recorded, failure)

    async def _insist(self, work: Work, failure: PeerDBError | None) -> PeerDBError | None:
        """Send a resume that failed again each second as long as the observation and the intent hold.

        Returns the newest failure; one after which a try may have arrived counts before one that was not sent.
        """
        arrived = failure if failure is not None and failure.sent else None
        while isinstance(failure, PeerDBUnavailable) and not failure.maintenance:
            await self._clock.sleep(self._limits.resume_retry)
            if not self._observer.is_fresh(work, again=True) or not work.entry.intent_holds:
                break
            failure = await self._change(
                work, lambda: self._peerdb.change_state(work.desired.mirror, RequestedState.RUNNING), again=True
            )
            arrived = failure if failure is not None and failure.sent else arrived
        if failure is None or failure.sent or arrived is None:
            return failure
        work.entry.history = replace(work.entry.history, outcome_unknown=arrived.message)
        return arrived

    async def edit(self, work: Work, decision: Decision, action: SendUpdate) -> Outcome:
        """Recorded first, then sent; a 200 is remembered and written with the next status."""
        if (refusal := await self._still_refuses(work)) is not None:
            return Outcome(work.journal, refusal)
        recorded = replace(decision.journal, operation=action.operation)
        not_sent = self._unsent(work, recorded)
        what = PendingCommand(decision, action.operation, recorded, not_sent, self._observer.still_paused_unchanged)
        await self._command_journal.announce(work, what)
        mirror = work.desired.mirror
        failure = await self._change(
            work, lambda: self._peerdb.change_state(mirror, RequestedState.RUNNING, update=action.edit)
        )
        if failure is not None and not failure.sent:
            return Outcome(self._refused(not_sent, action.operation, failure), failure)
        work.entry.history = replace(work.entry.history, precheck=None, streak=None)
        sent = _sent_again(work, recorded, replace(action.operation, accepted=failure is None))
        return Outcome(sent, failure)

    async def disarm(self, work: Work, decision: Decision) -> Outcome:
        """An empty update takes the place of one that waits unseen in PeerDB's queue."""
        mirror = work.desired.mirror
        failure = await self._change(
            work, lambda: self._peerdb.change_state(mirror, RequestedState.RUNNING, update=ConfigUpdate())
        )
        return Outcome(decision.journal if failure is None else work.journal, failure)

    async def drop(self, work: Work, decision: Decision, action: Drop) -> Outcome:
        """Recorded first; the identical request is repeated until the mirror is gone."""
        recorded = replace(decision.journal, operation=action.operation)
        if action.first:
            if (refusal := await self._still_refuses(work)) is not None:
                return Outcome(work.journal, refusal)
            what = PendingCommand(decision, action.operation, recorded, work.journal, self._may_still_drop)
            await self._command_journal.announce_drop(work, what)
        failure = await self._change(work, lambda: self._terminate(work, action))
        work.entry.history = replace(work.entry.history, sent_at=self._clock.now())
        if failure is None:
            return Outcome(replace(recorded, operation=replace(action.operation, accepted=True)))
        if not action.first:
            return Outcome(recorded, failure)  # the deadline counts from the first request
        if failure.sent:
            return Outcome(_sent_again(work, recorded, action.operation), failure)
        self._command_journal.not_dropped(work, action.operation)
        return Outcome(work.journal, failure)

    async def _may_still_drop(self, work: Work) -> bool:
        return await self._observer.still_owned(work) and not work.needs_long_pool

    async def _terminate(self, work: Work, action: Drop) -> None:
        await self._peerdb.change_state(
            work.desired.mirror,
            RequestedState.TERMINATING,
            drop_mirror_stats=action.flags.statistics is Statistics.DELETE,
            skip_destination_drop=action.flags.destination_metadata is DestinationMetadata.KEEP,
            closed=work.observed.closed,
        )

    async def adopt(self, work: Work) -> Outcome:
        """Our finalizer first, then our tag: a tag without a finalizer would outlive the object."""
        entry = work.entry
        if not entry.view.has_finalizer:
            await self._status.finalizers(entry, [*entry.view.finalizers, FINALIZER])
        look = work.observed.reading
        if isinstance(look, Found) and look.owner.kind is OwnerKind.OURS:
            return Outcome(work.journal)
        failure = await self._tag(work, work.observed.tags, work.identity.tag)
        return Outcome(work.journal, failure, adopted=failure is None)

    async def release(self, work: Work, decision: Decision, action: Release) -> Outcome:
        """Let the object go; the mirror stays as it is."""
        if not work.entry.parted:
            if action.hand_over:
                await self._hand_over(work)
            kind = "Warning" if action.warns else "Normal"
            reason = DROPPED if action.dropped else RELEASED_OBJECT
            self._events.add(work.entry.subject, Event(kind, reason, decision.note))
            await self._events.create(work.entry.subject)
            work.entry.parted = True
        left = [finalizer for finalizer in work.entry.view.finalizers if finalizer != FINALIZER]
        await self._status.finalizers(work.entry, left)
        return Outcome(work.journal, released=True)

    async def _hand_over(self, work: Work) -> None:
        """Overwrite our tag so that another may take the mirror over; tried once, its failure holds nothing."""
        await self._observer.observe(work, Reads.OWNER)
        look = work.observation
        if isinstance(look, Found) and look.owner.kind is OwnerKind.OURS and self._observer.is_fresh(work):
            await self._tag(work, work.observed.tags, RELEASED)

    async def _tag(self, work: Work, tags: dict[str, str], value: str) -> PeerDBError | None:
        mirror = work.desired.mirror
        return await self._command(
            work, lambda: self._peerdb.set_tags(mirror, {**tags, OWNER_TAG: value}), owned=value == RELEASED
        )

    async def _change(
        self, work: Work, send: Callable[[], Awaitable[None]], *, again: bool = False
    ) -> PeerDBError | None:
        """A command of the mirror's state; remembers whether there is a workflow to take it.

        That there is none is proven by PeerDB's word, and the contrary by a command that was taken: not by a failure.
        """
        failure = await self._command(work, send, again=again)
        history = work.entry.history
        if isinstance(failure, PeerDBInternal) and failure.orphaned:
            work.entry.history = replace(
                history, orphaned=True, orphaned_word=history.word or "", sent_at=work.entry.commanded_at
            )
        elif failure is None:
            work.entry.history = with_changes(history, orphaned=False, orphaned_word="")
        return failure

    async def _command(
        self, work: Work, send: Callable[[], Awaitable[None]], *, owned: bool = True, again: bool = False
    ) -> PeerDBError | None:
        """Send one command; raises ``StaleObservation``, or ``KubeConflict``, if it may not be sent any more.

        ``owned``: the mirror must carry our tag; only the tag itself is written to one without. ``again``: the command
        is the one that this pass has just sent.
        """
        work.entry.require_intent()
        self._observer.require_fresh(work, owned=owned, again=again)
        failure: PeerDBError | None = None
        try:
            await send()
        except PeerDBError as error:
            error.message = work.entry.without_secrets(error.message)
            failure = error
        finally:
            work.entry.commanded_at = self._clock.now()
        outcome_unknown = failure.message if failure is not None and failure.sent else ""
        work.entry.history = with_changes(work.entry.history, outcome_unknown=outcome_unknown)
        return failure

    def _unsent(self, work: Work, recorded: Journal) -> Journal:
        """The journal without an edit that does not go out: what was judged on the way to it stays."""
        before = for_generation(work.journal.bounds, work.desired.generation)
        return Journal(None, replace(recorded.bounds, corrections=before.corrections))

    def _refused(self, not_sent: Journal, operation: Operation, failure: PeerDBError) -> Journal:
        """An edit that PeerDB refuses for its content uses up the attempts."""
        if not isinstance(failure, PeerDBRejected):
            return not_sent
        refused = Reason.EDIT_TOO_LARGE if failure.too_large else Reason.EDIT_NOT_APPLIED
        now = self._clock.now()
        return replace(
            not_sent, bounds=after_unproven(not_sent.bounds, operation.to, self._limits, now, refused=refused)
        )

    async def _still_refuses(self, work: Work) -> PeerDBError | None:
        """After a refusal: whether PeerDB says that it still takes no commands, so that none is announced in vain."""
        if work.entry.refused_since is None:
            return None
        try:
            status = await self._peerdb.instance_status()
        except PeerDBError as error:
            return error
        if status != UNDER_MAINTENANCE:
            return None
        return PeerDBUnavailable("PeerDB is under maintenance and takes no changes", sent=False, maintenance=True)


def _sent_again(work: Work, journal: Journal, operation: Operation) -> Journal:
    """The request counts from its answer; without one it may arrive as late as now."""
    return replace(journal, operation=replace(operation, sent_at=work.entry.commanded_at))


@dataclass(frozen=True, slots=True)
class PendingCommand:
    """A command that is about to be sent.

    ``operation``: its journal entry, and ``recorded`` the journal with it; ``otherwise``: the journal if it is not sent
    after all; ``holds``: whether PeerDB still shows what the decision rests on, None where that does not matter.
    """

    decision: Decision
    operation: Operation
    recorded: Journal
    otherwise: Journal
    holds: Callable[[Work], Awaitable[bool]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandJournal:
    """Records commands; every method raises ``KubeError``, after which nothing may be sent."""

    claim_reader: ClaimReader
    status: StatusWriter
    clock: Clock

    async def announce(self, work: Work, what: PendingCommand) -> None:
        """Record a command."""
        entry = work.entry
        try:
            await self.status.report(work, what.decision, what.recorded)
            entry.journal = what.recorded
        except KubeUnavailable:
            # Whether it was written is not known; that nothing was sent is.
            entry.journal_overrides[what.operation.id] = what.otherwise
            raise
        try:
            await self._require(work, what)
        except KubeConflict:
            # It stands in status, unless somebody else has written there since: then theirs counts.
            entry.journal_overrides[what.operation.id], entry.journal = what.otherwise, None
            raise

    async def announce_drop(self, work: Work, what: PendingCommand) -> None:
        """Take a token of the rate limit, then record."""
        drop, now, limiter = drop_key(work.entry, what.operation), self.clock.now(), self.claim_reader.limiter
        if limiter.wait(now) > 0:
            raise KubeConflict(f"{work.entry.view.key}: other drops have reached the rate limit meanwhile")
        limiter.take(drop, now, now)
        try:
            await self.announce(work, what)
        except KubeError:
            limiter.give_back(drop)
            raise

    def not_dropped(self, work: Work, operation: Operation) -> None:
        """A drop that did not go out takes no token of the rate limit."""
        self.claim_reader.limiter.give_back(drop_key(work.entry, operation))

    async def _require(self, work: Work, what: PendingCommand) -> None:
        entry = work.entry
        if what.holds is not None and not await what.holds(work):
            raise KubeConflict(f"{entry.view.key}: the mirror has changed while a command was written down")
        entry.require_intent()
        written = entry.view.status.operation
        if written is None or written.id != what.operation.id:
            raise KubeConflict(f"{entry.view.key}: somebody else has written the journal meanwhile")
        self.claim_reader.require_no_successor(entry)

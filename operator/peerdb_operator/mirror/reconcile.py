"""The loop of one reconcile: observe, decide, observe again as the decision asks for, execute, report.

Life and deletion take the same way. ``observe`` reads, ``execute`` commands, ``status`` writes.
"""

from __future__ import annotations

import random
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from peerdb_operator.api.reasons import Reason
from peerdb_operator.errors import KubeError
from peerdb_operator.mirror.claims import ClaimReader
from peerdb_operator.mirror.execute import Executor
from peerdb_operator.mirror.observe import Observer
from peerdb_operator.mirror.precheck import Prechecker
from peerdb_operator.mirror.rules.conditions import SETTLED
from peerdb_operator.mirror.rules.decide import decide
from peerdb_operator.mirror.rules.decision import (
    Command,
    Confirm,
    Decision,
    Drop,
    Observe,
    Pause,
    Precheck,
    Resume,
    SendUpdate,
)
from peerdb_operator.mirror.rules.finalize import release_cause
from peerdb_operator.mirror.rules.history import with_changes
from peerdb_operator.mirror.rules.limits import Limits
from peerdb_operator.mirror.rules.observation import Absent
from peerdb_operator.mirror.rules.state import MirrorState
from peerdb_operator.mirror.status import StatusWriter
from peerdb_operator.mirror.work import Outcome, StaleObservation, Work
from peerdb_operator.ports import Clock, Requeue, precheck_key
from peerdb_operator.telemetry.trace import Span, Tracer
from peerdb_operator.telemetry.transition import Execution, Milestone

MOST_OBSERVATIONS = 6
MOST_STALE = 3
"""How often a reconcile observes again because its observation is too old for a command, before the next one does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciler:
    """What reconciles work with."""

    claim_reader: ClaimReader
    observer: Observer
    prechecker: Prechecker
    executor: Executor
    status: StatusWriter
    tracer: Tracer
    clock: Clock
    rng: random.Random
    limits: Limits

    async def run(self, work: Work) -> Requeue:
        """One reconcile; raises ``KubeError``."""
        entry = work.entry
        if entry.view.deleted_at is not None and not entry.view.has_finalizer:
            return Requeue(None)
        entry.history = with_changes(entry.history, error=entry.shown_error())
        work.claims = await self.claim_reader.of(entry, work.desired)
        await self.observer.first(work)
        for _ in range(MOST_STALE):
            decision = await self._decide(work)
            if work.checks:
                # What this reconcile has found the next one finds with the answer: only what has ended is reported.
                entry.journal = None if entry.journal is None else decision.journal
                ended = decision.verdict is not None
                due = await self.status.report(work, decision, decision.journal) if ended else None
                return self._requeue(work, decision.requeue, due)
            if isinstance(decision.action, Drop) and work.needs_long_pool:
                # The state was not known when the pool was chosen; it is now.
                return self._requeue(work, Requeue(0.0), None)
            try:
                with self._trace(work, decision):
                    return await self._execute(work, decision)
            except StaleObservation:
                await self.observer.observe(work)
        return self._requeue(work, Requeue(self.limits.requeue_first), None)

    async def _decide(self, work: Work) -> Decision:
        """Decide, and observe and check as the decision asks for, until it asks for something else."""
        decision = self._decision(work)
        for _ in range(MOST_OBSERVATIONS):
            match decision.action:
                case Observe(batches=True):
                    await self.observer.read_batches(work)
                case Observe():
                    await self.observer.observe(work)
                case Confirm(after=after):
                    await self.observer.confirm(work, after)
                case Precheck() as action:
                    wait = self.prechecker.ask(work, action)
                    if wait is not None:
                        work.checks = True
                        return replace(decision, requeue=Requeue(min(wait, self.limits.sample)))
                case _:
                    break
            decision = self._decision(work)
        return decision

    async def _execute(self, work: Work, decision: Decision) -> Requeue:
        """Carry the decision out and report it."""
        entry, decided_at, corrects = work.entry, self.clock.now(), _corrects(work, decision)
        try:
            outcome = await self.executor.execute(work, decision)
        except KubeError:
            work.execution = self._execution(work, decision, decided_at, None, corrects=corrects)
            raise
        work.execution = self._execution(work, decision, decided_at, outcome, corrects=corrects)
        if outcome.released:
            return Requeue(None)
        requeue = decision.requeue
        if isinstance(decision.action, Observe | Confirm | Precheck):
            # The mirror changes faster than it can be observed: nothing is sent, and the next reconcile comes soon.
            requeue = Requeue(self.limits.requeue_first)
        if outcome.failure is None:
            entry.refused_since = None
        else:
            self.observer.failed(work, outcome.failure)
            announced, decision = decision.verdict, replace(self._decision(work), journal=outcome.journal)
            if announced is not None and outcome.failure.sent and entry.commanded_at >= decided_at:
                # Else a command that PeerDB fails each time, while it answers all reads, would never be reported.
                decision = replace(
                    decision, verdict=decision.verdict or announced.with_failure(outcome.failure.message)
                )
            # One action a reconcile: the next one takes what is decided now.
            requeue = decision.requeue if decision.action is None else Requeue(self.limits.requeue_first)
        if entry.journal is not None:
            entry.journal = outcome.journal
        # else somebody else has written the journal meanwhile: theirs counts, and this write will conflict.
        due = await self.status.report(work, decision, outcome.journal)
        return self._requeue(work, requeue, due)

    def _execution(
        self, work: Work, decision: Decision, decided_at: float, outcome: Outcome | None, *, corrects: bool
    ) -> Execution:
        """What happened, for telemetry; ``outcome`` None: Kubernetes kept it from happening."""
        failure = None if outcome is None else outcome.failure
        milestone = None
        if outcome is not None and outcome.adopted:
            milestone = Milestone.TAKEN_OVER
        elif outcome is not None and corrects and (failure is None or failure.sent):
            milestone = Milestone.CORRECTED
        return Execution(
            action="" if decision.action is None else type(decision.action).__name__,
            rule=decision.rule,
            note=decision.note,
            decided_at=decided_at,
            wants_running=work.desired.wants_running,
            state=_state(work),
            before=work.journal.operation,
            after=work.journal.operation if outcome is None else outcome.journal.operation,
            failure=failure,
            sent=outcome is not None,
            milestone=milestone,
            trace=self.tracer.ids(),
        )

    def _trace(self, work: Work, decision: Decision) -> AbstractContextManager[Span | None]:
        """A trace of what is sent; none if nothing is."""
        if decision.action is None or isinstance(decision.action, Observe | Confirm | Precheck):
            return nullcontext()
        view = work.entry.view
        operation = decision.action.operation if isinstance(decision.action, Command) else None
        operation = operation or work.journal.operation
        return self.tracer.trace(
            "mirror.reconcile",
            {
                "k8s.namespace.name": view.namespace,
                "k8s.mirror.name": view.name,
                "k8s.mirror.uid": view.uid,
                "k8s.mirror.generation": work.desired.generation,
                "peerdb_operator.mirror": work.desired.mirror,
                "peerdb_operator.action": type(decision.action).__name__,
                "peerdb_operator.rule": decision.rule,
                **({} if operation is None else {"peerdb_operator.operation_id": operation.id}),
            },
        )

    def _decision(self, work: Work) -> Decision:
        entry, now = work.entry, self.clock.now()
        work.claims = self.claim_reader.renewed(entry, work.claims)
        releases = entry.view.deleted_at is not None and release_cause(work.desired, work.claims) is not None
        if releases and entry.history.release_since is None:
            entry.history = replace(entry.history, release_since=now)
        state = MirrorState(
            entry.view,
            work.desired,
            work.observation,
            entry.history,
            work.journal,
            work.claims,
            stops=entry.must_resume,
            peerdb_reliable=self.claim_reader.peerdb_reliable(),
        )
        decision = decide(state, self.limits, now)
        if entry.view.deleted_at is None:
            entry.history = with_changes(entry.history, goal=decision.goal)
        if decision.compared:
            known = decision.blocked
            found = None if known is None or known.reason is Reason.CONFIG_UNREADABLE else known
            blocked = None if found is None else (work.desired.generation, found.reason, found.message)
            entry.history = with_changes(entry.history, blocked=blocked)
        return decision

    def _requeue(self, work: Work, wanted: Requeue, due: float | None) -> Requeue:
        """The decision's requeue, or sooner if a write is due before; a settled mirror waits for its sample."""
        entry, after = work.entry, wanted.after
        if after is not None and after >= self.limits.sample:
            after = max(1.0, entry.sample_at - self.clock.now())
        elif after is not None and after > self.limits.tick:
            after *= self.rng.uniform(0.9, 1.1)
        if due is not None and (after is None or due < after):
            after = due
        wakes = (precheck_key(entry.view.uid),) if work.checks else ()
        return replace(wanted, after=after, must_resume=entry.must_resume, wakes=wakes)


def _state(work: Work) -> str | None:
    """The state seen last: by this process, or else by the one before, as the status tells; None without a mirror."""
    word = work.entry.history.word
    if word is not None or isinstance(work.observation, Absent):
        return word
    return (work.entry.view.status.state or "").upper() or None


def _corrects(work: Work, decision: Decision) -> bool:
    """Whether the mirror is led back from what somebody did to it in PeerDB: the spec had come to rest before."""
    if work.entry.view.deleted_at is not None:
        return False
    at_rest = work.journal.operation is None and work.entry.view.status.ready_reason in SETTLED
    settled = work.journal.bounds.settled == work.desired.generation
    return at_rest and settled and isinstance(decision.action, Pause | Resume | SendUpdate)

"""The two kinds of pass: towards the wish, and out of the finalizer.

Owns the loop look → remember → plan, repeated while the plan asks for another look, and what happens around the one
action that ends it. Leaves the looks to ``mirror.lookout``, the commands to ``mirror.execute``, the writes to
``mirror.report``.
"""

from __future__ import annotations

import random
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import assert_never

from peerdb_operator.api.reasons import Reason
from peerdb_operator.errors import KubeError
from peerdb_operator.mirror.claims import ClaimReader
from peerdb_operator.mirror.edit_timer import EditTimers
from peerdb_operator.mirror.events import Milestone
from peerdb_operator.mirror.execute import Actor
from peerdb_operator.mirror.job import Outcome, StaleObservation, Work
from peerdb_operator.mirror.lookout import NOT_ASKED, Observations
from peerdb_operator.mirror.observe import Identity, Observed
from peerdb_operator.mirror.precheck import Prechecker
from peerdb_operator.mirror.report import Reporter, log_decision, log_failure, log_success
from peerdb_operator.mirror.rules.conditions import SETTLED, Report, next_status
from peerdb_operator.mirror.rules.decide import decide
from peerdb_operator.mirror.rules.decision import (
    Adopt,
    Command,
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
    Wait,
)
from peerdb_operator.mirror.rules.desired import Desired
from peerdb_operator.mirror.rules.finalize import release_cause
from peerdb_operator.mirror.rules.journal import Journal
from peerdb_operator.mirror.rules.limits import Limits
from peerdb_operator.mirror.rules.observation import Absent, Observation
from peerdb_operator.mirror.rules.state import MirrorState
from peerdb_operator.mirror.store import CachedMirror
from peerdb_operator.mirror.traces import trace_edit, traced_act
from peerdb_operator.ports import Clock, Requeue, precheck_key
from peerdb_operator.telemetry.trace import Tracer

MOST_LOOKS = 6
MOST_STALE = 3
"""How often a pass looks again because what it has seen is too old for a command, before the next pass does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciler:
    """What passes work with."""

    claim_reader: ClaimReader
    observations: Observations
    prechecker: Prechecker
    actor: Actor
    reporter: Reporter
    edit_timers: EditTimers
    tracer: Tracer
    clock: Clock
    rng: random.Random
    limits: Limits

    async def run(self, entry: CachedMirror, desired: Desired, who: Identity) -> Requeue:
        """One pass."""
        if entry.view.deleted_at is not None and not entry.view.has_finalizer:
            return Requeue(None)
        entry.history = replace(entry.history, error=entry.shown_error())
        claims = await self.claim_reader.of(entry, desired)
        work = Work(entry, desired, who, Observed(NOT_ASKED), entry.current_journal(), claims)
        observation = await self.observations.first(work)
        for _ in range(MOST_STALE):
            observation, decision = await self._decide(work, observation)
            if work.checks:
                # What the pass has found is what the next one finds, with the answer: reported is only what has ended.
                entry.journal = None if entry.journal is None else decision.journal
                ended = decision.verdict is not None
                due = await self._write(work, observation, decision, decision.journal) if ended else None
                return self._rest(work, decision.wait, due)
            if isinstance(decision.action, Drop) and work.needs_long_lane:
                # The state was not known when the lane was chosen; it is now.
                return self._rest(work, Wait(0.0), None)
            try:
                return await self._end(work, observation, decision)
            except StaleObservation:
                observation = await self.observations.look(work)
        return self._rest(work, Wait(self.limits.requeue_first), None)

    async def _decide(self, work: Work, observation: Observation) -> tuple[Observation, Decision]:
        """Plan, and look and check as the plan asks for, until it asks for something else."""
        decision = self._plan(work, observation)
        for _ in range(MOST_LOOKS):
            match decision.action:
                case Observe():
                    observation = await self.observations.look(work)
                case Confirm(after=after):
                    observation = await self.observations.confirm(work, after)
                case Precheck() as action:
                    wait = self.prechecker.ask(work, action)
                    if wait is not None:
                        work.checks = True
                        return observation, replace(decision, wait=Wait(min(wait, self.limits.sample)))
                case _:
                    break
            decision = self._plan(work, observation)
        return observation, decision

    async def _end(self, work: Work, observation: Observation, decision: Decision) -> Requeue:
        entry = work.entry
        done = await self._carry_out(work, observation, decision, corrects=_corrects(work, decision))
        if done is None:
            return Requeue(None)
        wait = decision.wait
        if isinstance(decision.action, Observe | Confirm | Precheck):
            # The mirror changes faster than it can be looked at: nothing is sent, and a new pass looks again soon.
            wait = Wait(self.limits.requeue_first)
        if done.failure is None:
            entry.refused_since = None
            if decision.action is not None:
                log_success(entry, decision)
        else:
            entry.story.turn = None
            log_failure(entry, decision, done.failure)
            observation = self.observations.failed(work, done.failure)
            decision = replace(self._plan(work, observation), journal=done.journal)
            wait = decision.wait
            if decision.action is None:
                log_decision(entry, decision)
            else:
                wait = Wait(self.limits.requeue_first)  # one action a pass: the next one takes it
        if entry.journal is not None:
            entry.journal = done.journal
        # else somebody else has written the journal meanwhile: theirs counts, and this write will conflict.
        self.edit_timers.ended(entry.timer, work.desired, done.journal, _word(work, observation), decision.verdict)
        due = await self._write(work, observation, decision, done.journal)
        return self._rest(work, wait, due)

    async def _carry_out(
        self, work: Work, observation: Observation, decision: Decision, *, corrects: bool
    ) -> Outcome | None:
        """The action, under its name in the log and in the trace; None when the object is let go."""
        entry = work.entry
        # What is told of a command in advance is no news if it is not sent.
        story = deepcopy(entry.story) if isinstance(decision.action, Command) else entry.story
        if corrects:
            entry.story.turn = Milestone.CORRECTED
        self.edit_timers.decided(entry.timer, work.desired, work.journal, decision.action)
        trace_edit(self.tracer, work, decision)
        try:
            with traced_act(self.tracer, work, decision):
                log_decision(entry, decision)
                done = await self._act(work, observation, decision)
        except (KubeError, StaleObservation):
            self.edit_timers.ended(entry.timer, work.desired, work.journal, _word(work, observation), None)
            entry.story = story
            raise
        if done is not None and done.failure is not None and not done.failure.sent:
            entry.story = story
        return done

    async def _act(self, work: Work, observation: Observation, decision: Decision) -> Outcome | None:
        """Carry the action out; None when the object is let go."""

        async def write_ahead(_job: Work, ahead: Decision, journal: Journal) -> None:
            await self._write(work, observation, ahead, journal)
            work.entry.journal = journal

        match decision.action:
            case Pause() | Resume() as action:
                return await self.actor.pause_or_resume(work, decision, action, write_ahead)
            case SendUpdate() as action:
                return await self.actor.edit(work, decision, action, write_ahead)
            case Disarm():
                return await self.actor.disarm(work, decision)
            case Drop() as action:
                return await self.actor.drop(work, decision, action, write_ahead)
            case Adopt():
                return await self.actor.adopt(work)
            case Release() as action:
                await self.actor.release(work, decision, action)
                return None
            case Observe() | Confirm() | Precheck() | None:
                return Outcome(decision.journal)
            case _ as never:
                assert_never(never)

    def _plan(self, work: Work, observation: Observation) -> Decision:
        entry, now = work.entry, self.clock.now()
        work.claims = self.claim_reader.renewed(entry, work.claims)
        releases = entry.view.deleted_at is not None and release_cause(work.desired, work.claims) is not None
        if releases and entry.history.release_since is None:
            entry.history = replace(entry.history, release_since=now)
        state = MirrorState(
            entry.view,
            work.desired,
            observation,
            entry.history,
            work.journal,
            work.claims,
            stops=entry.must_resume,
            peerdb_reliable=self.claim_reader.peerdb_reliable(),
        )
        decision = decide(state, self.limits, now)
        if entry.view.deleted_at is None:
            entry.history = replace(entry.history, goal=decision.goal)
        if decision.compared:
            known = decision.blocked
            found = None if known is None or known.reason is Reason.CONFIG_UNREADABLE else known
            blocked = None if found is None else (work.desired.generation, found.reason, found.message)
            entry.history = replace(entry.history, blocked=blocked)
        return decision

    async def _write(self, work: Work, observation: Observation, decision: Decision, journal: Journal) -> float | None:
        entry = work.entry
        report = Report(decision.verdict, journal, decision.accept_tables)
        following = next_status(entry.view.status, work.desired, observation, entry.history, report, self.clock.now())
        return await self.reporter.status(entry, following, decision.verdict)

    def _rest(self, work: Work, wait: Wait, due: float | None) -> Requeue:
        """The plan's wait, or less if a write is due before; a mirror at rest is looked at when its sample is due."""
        entry, after = work.entry, wait.after
        if after is not None and after >= self.limits.sample:
            after = max(1.0, entry.sample_at - self.clock.now())
        elif after is not None and after > self.limits.tick:
            after *= self.rng.uniform(0.9, 1.1)
        if due is not None and (after is None or due < after):
            after = due
        wakes = (precheck_key(entry.view.uid),) if work.checks else ()
        return Requeue(after, wait.backoff, wait.cap, entry.must_resume, wakes)


def _word(work: Work, observation: Observation) -> str | None:
    """The state seen last: by this process, or else by the one before, as the status tells; None without a mirror."""
    if work.entry.history.word is not None or isinstance(observation, Absent):
        return work.entry.history.word
    return (work.entry.view.status.state or "").upper() or None


def _corrects(work: Work, decision: Decision) -> bool:
    """Whether the mirror is led back from what somebody did to it in PeerDB: the spec had come to rest before."""
    if work.entry.view.deleted_at is not None:
        return False
    at_rest = work.journal.operation is None and work.entry.view.status.ready_reason in SETTLED
    settled = work.journal.bounds.settled == work.desired.generation
    return at_rest and settled and isinstance(decision.action, Pause | Resume | SendUpdate)

"""The two kinds of pass: towards the wish, and out of the finalizer.

Owns the loop look → remember → plan, repeated while the plan asks for another look, and what happens around the one
action that ends it. Leaves the looks to ``lookout``, the commands to ``act``, the writes to ``report``.
"""

from __future__ import annotations

import random
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import assert_never

from peerdb_operator.controllers.act import Actor
from peerdb_operator.controllers.entry import Entry
from peerdb_operator.controllers.job import Done, Job, StaleObservation
from peerdb_operator.controllers.look import Identity, Sight
from peerdb_operator.controllers.lookout import NOT_ASKED, Lookout
from peerdb_operator.controllers.ports import Clock, Rest, precheck_key
from peerdb_operator.controllers.precheck import Prechecker
from peerdb_operator.controllers.report import Reporter, log_decision, log_failure, log_success, ready_reason
from peerdb_operator.controllers.stopwatch import Stopwatch
from peerdb_operator.controllers.story import Turn
from peerdb_operator.controllers.surroundings import Surroundings
from peerdb_operator.controllers.traces import trace_edit, traced_act
from peerdb_operator.core.case import Case
from peerdb_operator.core.deletion import Farewell, release_cause
from peerdb_operator.core.desired import Desired
from peerdb_operator.core.drop import plan_deletion
from peerdb_operator.core.journal import Journal
from peerdb_operator.core.limits import Limits
from peerdb_operator.core.observed import Absent, Observation
from peerdb_operator.core.plan import plan
from peerdb_operator.core.plan_types import (
    Command,
    Disarm,
    Drop,
    LookFully,
    LookTwice,
    Pause,
    Plan,
    Release,
    Resume,
    SendEdit,
    TakeOver,
    Validate,
    Wait,
)
from peerdb_operator.core.reasons import Reason
from peerdb_operator.core.status import Report, next_status
from peerdb_operator.core.verdict import SETTLED
from peerdb_operator.errors import KubeError
from peerdb_operator.tracing import Tracer

MOST_LOOKS = 6
MOST_STALE = 3
"""How often a pass looks again because what it has seen is too old for a command, before the next pass does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passes:
    """What passes work with."""

    surroundings: Surroundings
    lookout: Lookout
    prechecker: Prechecker
    actor: Actor
    reporter: Reporter
    stopwatch: Stopwatch
    tracer: Tracer
    clock: Clock
    rng: random.Random
    limits: Limits

    async def planned(self, entry: Entry, desired: Desired, who: Identity) -> Rest:
        """One pass towards the wish."""
        return await self._run(entry, desired, who, None)

    async def farewell(self, entry: Entry, desired: Desired, who: Identity) -> Rest:
        """One pass of a Mirror that is being deleted."""
        if not entry.view.has_finalizer:
            return Rest(None)
        return await self._run(entry, desired, who, await self.surroundings.farewell(entry, desired))

    async def _run(self, entry: Entry, desired: Desired, who: Identity, parting: Farewell | None) -> Rest:
        entry.memory = replace(entry.memory, error=entry.shown_error())
        job = Job(entry, desired, who, Sight(NOT_ASKED), entry.current_journal())
        observation = await self.lookout.first(job, parting)
        for _ in range(MOST_STALE):
            observation, planned = await self._decide(job, observation, parting)
            if job.checks:
                # Nothing is told of it: what the pass has found is what the next one finds, with the answer.
                entry.journal = None if entry.journal is None else planned.journal
                return self._rest(job, planned.wait, None)
            if isinstance(planned.action, Drop) and job.needs_long_lane:
                # The state was not known when the lane was chosen; it is now.
                return self._rest(job, Wait(0.0), None)
            try:
                return await self._end(job, observation, planned, parting)
            except StaleObservation:
                observation = await self.lookout.look(job)
        return self._rest(job, Wait(self.limits.look_first), None)

    async def _decide(self, job: Job, observation: Observation, parting: Farewell | None) -> tuple[Observation, Plan]:
        """Plan, and look and check as the plan asks for, until it asks for something else."""
        planned = self._plan(job, observation, parting)
        for _ in range(MOST_LOOKS):
            match planned.action:
                case LookFully():
                    observation = await self.lookout.look(job)
                case LookTwice(after=after):
                    observation = await self.lookout.look_twice(job, after)
                case Validate() as action:
                    wait = self.prechecker.ask(job, action)
                    if wait is not None:
                        job.checks = True
                        return observation, replace(planned, wait=Wait(min(wait, self.limits.sample)))
                case _:
                    break
            planned = self._plan(job, observation, parting)
        return observation, planned

    async def _end(self, job: Job, observation: Observation, planned: Plan, parting: Farewell | None) -> Rest:
        entry = job.entry
        done = await self._carry_out(job, observation, planned, corrects=parting is None and _corrects(job, planned))
        if done is None:
            return Rest(None)
        wait = planned.wait
        if isinstance(planned.action, LookFully | LookTwice | Validate):
            # The mirror changes faster than it can be looked at: nothing is sent, and a new pass looks again soon.
            wait = Wait(self.limits.look_first)
        if done.failure is None:
            entry.refused_since = None
            if planned.action is not None:
                log_success(entry, planned)
        else:
            entry.story.turn = None
            log_failure(entry, planned, done.failure)
            observation = self.lookout.failed(job, done.failure)
            planned = replace(self._plan(job, observation, parting), journal=done.journal)
            wait = planned.wait
            if planned.action is None:
                log_decision(entry, planned)
            else:
                wait = Wait(self.limits.look_first)  # one action a pass: the next one takes it
        if entry.journal is not None:
            entry.journal = done.journal
        # else somebody else has written the journal meanwhile: theirs counts, and this write will conflict.
        self.stopwatch.ended(entry.course, job.desired, done.journal, _word(job, observation), planned.verdict)
        due = await self._write(job, observation, planned, done.journal)
        return self._rest(job, wait, due)

    async def _carry_out(self, job: Job, observation: Observation, planned: Plan, *, corrects: bool) -> Done | None:
        """The action, under its name in the log and in the trace; None when the object is let go."""
        entry = job.entry
        # What is told of a command in advance is no news if it is not sent.
        story = deepcopy(entry.story) if isinstance(planned.action, Command) else entry.story
        if corrects:
            entry.story.turn = Turn.CORRECTED
        self.stopwatch.decided(entry.course, job.desired, job.journal, planned.action)
        trace_edit(self.tracer, job, planned)
        try:
            with traced_act(self.tracer, job, planned):
                log_decision(entry, planned)
                done = await self._act(job, observation, planned)
        except (KubeError, StaleObservation):
            self.stopwatch.ended(entry.course, job.desired, job.journal, _word(job, observation), None)
            entry.story = story
            raise
        if done is not None and done.failure is not None and not done.failure.sent:
            entry.story = story
        return done

    async def _act(self, job: Job, observation: Observation, planned: Plan) -> Done | None:
        """Carry the action out; None when the object is let go."""

        async def write_ahead(_job: Job, ahead: Plan, journal: Journal) -> None:
            await self._write(job, observation, ahead, journal)
            job.entry.journal = journal

        match planned.action:
            case Pause() | Resume() as action:
                return await self.actor.pause_or_resume(job, planned, action, write_ahead)
            case SendEdit() as action:
                return await self.actor.edit(job, planned, action, write_ahead)
            case Disarm():
                return await self.actor.disarm(job, planned)
            case Drop() as action:
                return await self.actor.drop(job, planned, action, write_ahead)
            case TakeOver():
                return await self.actor.take_over(job)
            case Release() as action:
                await self.actor.release(job, planned, action)
                return None
            case LookFully() | LookTwice() | Validate() | None:
                return Done(planned.journal)
            case _ as never:
                assert_never(never)

    def _plan(self, job: Job, observation: Observation, parting: Farewell | None) -> Plan:
        entry, now = job.entry, self.clock.now()
        situation = self.surroundings.situation(entry)
        if parting is None:
            planned = plan(job.desired, observation, entry.memory, job.journal, situation, self.limits, now)
            if planned.compared:
                known = planned.withheld
                found = None if known is None or known.reason is Reason.CONFIG_UNREADABLE else known
                withheld = None if found is None else (job.desired.generation, found.reason, found.message)
                entry.memory = replace(entry.memory, withheld=withheld)
            return planned
        parting = self.surroundings.renewed(entry, parting)
        case = Case(job.desired, observation, entry.memory, job.journal, situation, self.limits, now)
        if entry.memory.release_since is None and release_cause(case, parting) is not None:
            case = replace(case, memory=replace(case.memory, release_since=now))
            entry.memory = case.memory
        return plan_deletion(case, parting)

    async def _write(self, job: Job, observation: Observation, planned: Plan, journal: Journal) -> float | None:
        entry = job.entry
        report = Report(planned.verdict, journal, planned.accept_tables)
        following = next_status(entry.view.status, job.desired, observation, entry.memory, report, self.clock.now())
        return await self.reporter.status(entry, following, planned.verdict)

    def _rest(self, job: Job, wait: Wait, due: float | None) -> Rest:
        """The plan's wait, or less if a write is due before; a mirror at rest is looked at when its sample is due."""
        entry, after = job.entry, wait.after
        if after is not None and after >= self.limits.sample:
            after = max(1.0, entry.sample_at - self.clock.now())
        elif after is not None and after > self.limits.tick:
            after *= self.rng.uniform(0.9, 1.1)
        if due is not None and (after is None or due < after):
            after = due
        wakes = (precheck_key(entry.view.uid),) if job.checks else ()
        return Rest(after, wait.backoff, wait.cap, entry.stands_still, wakes)


def _word(job: Job, observation: Observation) -> str | None:
    """The state seen last: by this process, or else by the one before, as the status tells; None without a mirror."""
    if job.entry.memory.word is not None or isinstance(observation, Absent):
        return job.entry.memory.word
    return (job.entry.view.status.state or "").upper() or None


def _corrects(job: Job, planned: Plan) -> bool:
    """Whether the mirror is led back from what somebody did to it in PeerDB: the spec had come to rest before."""
    at_rest = job.journal.operation is None and ready_reason(job.entry.view.status) in SETTLED
    settled = job.journal.bounds.settled == job.desired.generation
    return at_rest and settled and isinstance(planned.action, Pause | Resume | SendEdit)

"""The two kinds of pass: towards the wish, and out of the finalizer.

Owns the loop look → remember → plan, repeated while the plan asks for another look, and what happens around the one
action that ends it. Leaves the reads to ``look``, the commands to ``act``, the writes to ``report``.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass, replace
from typing import assert_never

from peerdb_operator.controllers.act import Actor, Done, Job
from peerdb_operator.controllers.look import Identity, Observer, Sight, unknown
from peerdb_operator.controllers.ports import Clock, Rest
from peerdb_operator.controllers.registry import Entry
from peerdb_operator.controllers.report import Reporter, identity
from peerdb_operator.controllers.surroundings import Surroundings
from peerdb_operator.core.case import Case, Situation
from peerdb_operator.core.deletion import Farewell, release_cause
from peerdb_operator.core.desired import Desired
from peerdb_operator.core.drop import plan_deletion
from peerdb_operator.core.journal import Journal, Step
from peerdb_operator.core.limits import Limits
from peerdb_operator.core.memory import absence_gap, confirm, remember
from peerdb_operator.core.observed import Observation, Seen, State, Unknown
from peerdb_operator.core.plan import plan
from peerdb_operator.core.plan_types import (
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

logger = logging.getLogger(__name__)

MOST_LOOKS = 6
NOT_ASKED = Unknown(Reason.PEERDB_UNAVAILABLE, "PeerDB was not asked", 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passes:
    """What passes work with."""

    surroundings: Surroundings
    observer: Observer
    actor: Actor
    reporter: Reporter
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
        entry.memory = replace(entry.memory, error=entry.error)
        job = Job(entry, desired, who, Sight(NOT_ASKED), entry.current_journal())
        observation: Observation = NOT_ASKED
        if self._needs_peerdb(job, parting):
            observation = await self._look(job, full=self._starts_fully(job, parting))
        planned = self._plan(job, observation, parting)
        for _ in range(MOST_LOOKS):
            match planned.action:
                case LookFully():
                    observation = await self._look(job, full=True)
                case LookTwice(after=after):
                    observation = await self._look_twice(job, after)
                case Validate() as action:
                    await self.actor.validate(job, action)
                case _:
                    break
            planned = self._plan(job, observation, parting)
        return await self._end(job, observation, planned, parting)

    async def _end(self, job: Job, observation: Observation, planned: Plan, parting: Farewell | None) -> Rest:
        entry = job.entry
        self._log(job, planned)
        done = await self._act(job, observation, planned)
        if done is None:
            return Rest(None)
        if done.failure is not None:
            observation = self._failed(job, done)
            planned = replace(self._plan(job, observation, parting), journal=done.journal)
        entry.journal = done.journal
        await self._write(job, observation, planned, done.journal)
        return self._rest(entry, planned.wait)

    async def _act(self, job: Job, observation: Observation, planned: Plan) -> Done | None:
        """Carry the action out; None when the object is let go."""

        async def write_ahead(_job: Job, ahead: Plan, journal: Journal) -> None:
            await self._write(job, observation, ahead, journal, force=True)
            job.entry.journal = journal

        match planned.action:
            case Pause() | Resume() as action:
                return await self.actor.pause_or_resume(job, planned, action)
            case SendEdit() as action:
                return await self.actor.edit(job, planned, action, write_ahead)
            case Disarm():
                return await self.actor.disarm(job, planned)
            case Drop() as action:
                return await self.actor.drop(job, planned, action, write_ahead)
            case TakeOver():
                return await self.actor.take_over(job)
            case Release() as action:
                await self.actor.release(job, action)
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
        case = Case(job.desired, observation, entry.memory, job.journal, situation, self.limits, now)
        if entry.memory.release_since is None and release_cause(case, parting) is not None:
            case = replace(case, memory=replace(case.memory, release_since=now))
            entry.memory = case.memory
        return plan_deletion(case, parting)

    async def _look(self, job: Job, *, full: bool) -> Observation:
        entry = job.entry
        copying = entry.memory.word == State.SNAPSHOT
        job.sight = await self.observer.look(job.desired.mirror, job.identity, full=full, copying=copying)
        now = self.clock.now()
        operation = job.journal.operation
        dropped = operation is not None and operation.step is Step.DROP
        entry.memory, observation = remember(
            entry.memory,
            job.sight.look,
            wants_running=job.desired.wants_running,
            gap=absence_gap(self.limits, drop_sent=dropped),
            now=now,
        )
        if isinstance(observation, Seen):
            entry.peerdb_created_at = observation.created_at
            if full:
                entry.sample_at = now + self.limits.sample * self.rng.uniform(0.8, 1.2)
            if job.sight.config is not None:
                entry.sources = frozenset(mapping.source for mapping in job.sight.config.table_mappings)
        return observation

    async def _look_twice(self, job: Job, after: float) -> Observation:
        before = job.sight.look
        await self.clock.sleep(after)
        observation = await self._look(job, full=True)
        if isinstance(before, Seen):
            job.entry.memory = confirm(before, job.sight.look, job.entry.memory)
        return observation

    def _failed(self, job: Job, done: Done) -> Observation:
        """A command that failed teaches that PeerDB cannot be relied on at this moment."""
        assert done.failure is not None  # noqa: S101 - asked by the caller
        now = self.clock.now()
        job.entry.memory, observation = remember(
            job.entry.memory,
            unknown(done.failure, now),
            wants_running=job.desired.wants_running,
            gap=self.limits.absence_gap,
            now=now,
        )
        return observation

    async def _write(
        self, job: Job, observation: Observation, planned: Plan, journal: Journal, *, force: bool = False
    ) -> None:
        entry = job.entry
        report = Report(planned.verdict, journal, planned.accept_tables)
        following = next_status(entry.view.status, job.desired, observation, entry.memory, report, self.clock.now())
        await self.reporter.status(entry, following, planned.verdict, force=force)

    def _needs_peerdb(self, job: Job, parting: Farewell | None) -> bool:
        if job.entry.view.frozen:
            return False
        if parting is None:
            return True
        case = Case(job.desired, NOT_ASKED, job.entry.memory, job.journal, Situation(), self.limits, self.clock.now())
        return job.desired.wants_running or release_cause(case, parting) is None

    def _starts_fully(self, job: Job, parting: Farewell | None) -> bool:
        """Until a generation has settled every look at a mirror at rest is a full one; later only a sample."""
        entry, now = job.entry, self.clock.now()
        if entry.memory.word is not None and not State.of(entry.memory.word).comparable:
            return False
        settled = job.journal.bounds.settled == job.desired.generation and job.journal.operation is None
        return parting is not None or not settled or now >= entry.sample_at

    def _rest(self, entry: Entry, wait: Wait) -> Rest:
        """The plan's wait; a mirror at rest is next looked at when its (jittered) sample is due."""
        after = wait.after
        if after is not None and after >= self.limits.sample:
            after = max(1.0, entry.sample_at - self.clock.now())
        elif after is not None and after > self.limits.tick:
            after *= self.rng.uniform(0.9, 1.1)
        return Rest(after, wait.backoff, wait.cap)

    def _log(self, job: Job, planned: Plan) -> None:
        """One line a decision: an action, nothing for a look that changes nothing."""
        if planned.action is None:
            return
        message = planned.verdict.message if planned.verdict is not None else ""
        extra = {
            **identity(job.entry),
            "rule": planned.rule,
            "action": type(planned.action).__name__,
            "detail": message,
        }
        logger.info("%s", type(planned.action).__name__, extra=extra)

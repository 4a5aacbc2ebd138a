"""The looks of a pass: which one is due, and what it adds to memory.

Owns when a look is a full one, and the path from a look to an observation that decisions may rest on. Leaves the reads
to ``look`` and the conclusions to ``core.memory``.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from peerdb_operator.clients.peerdb import name_in_copies
from peerdb_operator.clients.redaction import secret_values
from peerdb_operator.controllers.entry import Entry
from peerdb_operator.controllers.job import Job, StaleObservation
from peerdb_operator.controllers.look import Observer, Reads, unknown
from peerdb_operator.controllers.ports import Clock
from peerdb_operator.core.case import Case, Situation
from peerdb_operator.core.deletion import Farewell, release_cause
from peerdb_operator.core.journal import Step
from peerdb_operator.core.limits import Limits
from peerdb_operator.core.memory import absence_gap, remember, same_owner, stands_equal
from peerdb_operator.core.observed import (
    Look,
    Observation,
    OwnerKind,
    Seen,
    State,
    Unknown,
    Unreadable,
    may_carry_command,
)
from peerdb_operator.core.reasons import Reason
from peerdb_operator.errors import PeerDBError

NOT_ASKED = Unknown(Reason.PEERDB_UNAVAILABLE, "PeerDB was not asked", 0.0)
SAMPLE_JITTER = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookout:
    """What looking works with."""

    observer: Observer
    clock: Clock
    rng: random.Random
    limits: Limits

    async def first(self, job: Job, parting: Farewell | None) -> Observation:
        """The look that a pass begins with, if it needs one."""
        if not self._needs_peerdb(job, parting):
            return NOT_ASKED
        return await self.look(job, Reads.FULL if self._starts_fully(job, parting) else Reads.STATE)

    async def look(self, job: Job, reads: Reads = Reads.FULL) -> Observation:
        """Look once, and remember."""
        entry = job.entry
        sight = await self.observer.look(
            job.desired.mirror,
            job.identity,
            reads=reads,
            copying=entry.memory.word == State.SNAPSHOT,
            created_at=entry.peerdb_created_at,
        )
        job.sight = replace(sight, look=_without_secrets(entry, sight.look))
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
            if reads is Reads.FULL:
                entry.sample_at = now + self.limits.sample * self.rng.uniform(1 - SAMPLE_JITTER, 1 + SAMPLE_JITTER)
            if job.sight.config is not None:
                entry.secrets |= secret_values(job.sight.config.env)
                entry.memory = replace(entry.memory, error=entry.shown_error())
                entry.sources = frozenset(name_in_copies(mapping.source) for mapping in job.sight.config.table_mappings)
        return observation

    async def look_twice(self, job: Job, after: float) -> Observation:
        """Look fully once more, ``after`` seconds later, and remember whether both looks agree.

        A precheck may lie between: two looks far apart would show a mirror PAUSED that ran in between.
        """
        if not self.is_fresh(job):
            await self.look(job)
        before = job.sight.look
        await self.clock.sleep(after)
        observation = await self.look(job)
        job.entry.memory = replace(job.entry.memory, confirmed=stands_equal(before, job.sight.look))
        return observation

    async def still_stands(self, job: Job) -> bool:
        """Whether an edit may still rest on the newest look: it is fresh, or two more show the same."""
        before = job.sight.look
        if self.is_fresh(job):
            return True
        await self.look_twice(job, self.limits.confirm_gap)
        return job.entry.memory.confirmed and stands_equal(before, job.sight.look) and self.is_fresh(job)

    async def still_owned(self, job: Job) -> bool:
        """Whether what rests on the owner tag may still rest on the newest look: it is fresh, or another shows it."""
        before = job.sight.look
        if self.is_fresh(job):
            return True
        await self.look(job, Reads.OWNER)
        return same_owner(before, job.sight.look) and self.is_fresh(job)

    async def still_shown(self, job: Job) -> bool:
        """Whether a pause or a resume may still rest on the newest look: the same mirror in the same state."""
        before = job.sight.look
        owned = await self.still_owned(job)
        return (
            owned
            and isinstance(before, Seen)
            and isinstance(job.sight.look, Seen)
            and (before.word == job.sight.look.word)
        )

    def is_fresh(self, job: Job) -> bool:
        """Whether a command may rest on the newest look."""
        return may_carry_command(
            job.sight.look,
            replied_at=job.entry.commanded_at,
            holds=self.limits.look_holds,
            now=self.clock.now(),
        )

    def require_fresh(self, job: Job, *, owned: bool) -> None:
        """Raise ``StaleObservation`` if no command may rest on the newest look; ``owned``: the tag must be ours."""
        look = job.sight.look
        ours = isinstance(look, Seen) and (look.owner.kind is OwnerKind.OURS or not owned)
        if not ours or not self.is_fresh(job):
            raise StaleObservation(f"{job.entry.view.key}: PeerDB was asked too long ago for a command to rest on it")

    def failed(self, job: Job, failure: PeerDBError) -> Observation:
        """A command that failed teaches that PeerDB cannot be relied on at this moment.

        Looks that succeed between refusals do not start the outage anew: PeerDB under maintenance answers every look.
        """
        entry, now = job.entry, self.clock.now()
        if failure.sent:
            entry.refused_since = None
        elif entry.refused_since is None:
            entry.refused_since = now
        entry.memory, observation = remember(
            entry.memory,
            unknown(failure, now),
            wants_running=job.desired.wants_running,
            gap=self.limits.absence_gap,
            now=now,
        )
        if entry.refused_since is not None:
            entry.memory = replace(entry.memory, unknown_since=entry.refused_since)
        return observation

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


def _without_secrets(entry: Entry, look: Look) -> Look:
    """A look whose words, which are PeerDB's, may be shown."""
    if isinstance(look, Unknown):
        return replace(look, message=entry.without_secrets(look.message))
    if isinstance(look, Seen) and isinstance(look.config, Unreadable):
        return replace(look, config=replace(look.config, message=entry.without_secrets(look.config.message)))
    return look

"""The looks of a pass: which one is due, and what it adds to memory.

Owns when a look is a full one, and the path from a look to an observation that decisions may rest on. Leaves the reads
to ``mirror.observe`` and the conclusions to ``rules.history``.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from peerdb_operator.api.status import Step
from peerdb_operator.errors import PeerDBError
from peerdb_operator.mirror.observe import Manner, Observer, Reads, unknown
from peerdb_operator.mirror.rules.finalize import release_cause
from peerdb_operator.mirror.rules.history import (
    absence_gap,
    patience_is_over,
    record_batch_end,
    record_reading,
    same_owner,
    same_paused_config,
)
from peerdb_operator.mirror.rules.limits import Limits
from peerdb_operator.mirror.rules.observation import (
    Found,
    OwnerKind,
    Reading,
    State,
    Unknown,
    Unreadable,
    may_carry_command,
)
from peerdb_operator.mirror.store import CachedMirror
from peerdb_operator.mirror.work import StaleObservation, Work
from peerdb_operator.peerdb.redaction import secret_values
from peerdb_operator.ports import Clock

SAMPLE_JITTER = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """What looking works with."""

    observer: Observer
    clock: Clock
    rng: random.Random
    limits: Limits

    async def first(self, work: Work) -> None:
        """The look that a pass begins with, if it needs one."""
        if not self._needs_peerdb(work):
            return
        if self._only_resumes(work):
            await self.look(work, Reads.OWNER)
        else:
            await self.look(work, Reads.FULL if self._starts_fully(work) else Reads.STATE)

    async def look(self, work: Work, reads: Reads = Reads.FULL) -> None:
        """Look once, and remember."""
        entry = work.entry
        entry.observed_at = self.clock.now()
        how = Manner(
            reads,
            copying=entry.history.word == State.SNAPSHOT,
            created_at=entry.peerdb_created_at,
            repeats=self._repeats(work),
        )
        sight = await self.observer.look(work.desired.mirror, work.identity, how)
        work.sight = replace(sight, look=_without_secrets(entry, sight.look))
        now = self.clock.now()
        operation = work.journal.operation
        dropped = operation is not None and operation.step is Step.DROP
        entry.history, work.observation = record_reading(
            entry.history,
            work.sight.look,
            wants_running=work.desired.wants_running,
            gap=absence_gap(self.limits, drop_sent=dropped),
            now=now,
        )
        work.answered = entry.history.unknown_since is None
        if isinstance(work.observation, Found):
            entry.peerdb_created_at = work.observation.created_at
            if entry.error is not None and work.observation.is_younger_than(entry.error[1]):
                entry.error = None  # it was that of another mirror, which had this name before
            if reads is Reads.FULL:
                entry.sample_at = now + self.limits.sample * self.rng.uniform(1 - SAMPLE_JITTER, 1 + SAMPLE_JITTER)
            if work.sight.config is not None:
                entry.secrets |= secret_values(work.sight.config.env)
                entry.history = replace(entry.history, error=entry.shown_error())
                entry.sources = work.sight.config.names_in_copies

    async def confirm(self, work: Work, after: float) -> None:
        """Look fully once more, ``after`` seconds later, and remember whether both looks agree.

        A precheck may lie between: two looks far apart would show a mirror PAUSED that ran in between.
        """
        if not self.is_fresh(work):
            await self.look(work)
        before = work.sight.look
        await self.clock.sleep(after)
        await self.look(work)
        work.entry.history = replace(work.entry.history, confirmed=same_paused_config(before, work.sight.look))

    async def read_batches(self, work: Work) -> None:
        """Ask when batches of the mirror ended, and remember; errors that came meanwhile count."""
        entry, asked_at = work.entry, self.clock.now()
        end = await self.observer.newest_batch_end(work.desired.mirror)
        history = record_batch_end(entry.history, end, asked_at=asked_at)
        entry.history = replace(history, error=entry.shown_error())

    async def still_paused_unchanged(self, work: Work) -> bool:
        """Whether an edit may still rest on the newest look: it is fresh, or two more show the same."""
        before = work.sight.look
        if self.is_fresh(work):
            return True
        await self.confirm(work, self.limits.confirm_gap)
        return work.entry.history.confirmed and same_paused_config(before, work.sight.look) and self.is_fresh(work)

    async def still_owned(self, work: Work) -> bool:
        """Whether what rests on the owner tag may still rest on the newest look: it is fresh, or another shows it."""
        before = work.sight.look
        if self.is_fresh(work):
            return True
        await self.look(work, Reads.OWNER)
        return same_owner(before, work.sight.look) and self.is_fresh(work)

    async def still_shown(self, work: Work) -> bool:
        """Whether a pause or a resume may still rest on the newest look: the same mirror in the same state."""
        before = work.sight.look
        owned = await self.still_owned(work)
        return (
            owned
            and isinstance(before, Found)
            and isinstance(work.sight.look, Found)
            and (before.word == work.sight.look.word)
        )

    def is_fresh(self, work: Work, *, again: bool = False) -> bool:
        """Whether a command may rest on the newest look; ``again``: one that only repeats what rested on it before."""
        return may_carry_command(
            work.sight.look,
            replied_at=0.0 if again else work.entry.commanded_at,
            holds=self.limits.observation_max_age,
            now=self.clock.now(),
        )

    def require_fresh(self, work: Work, *, owned: bool, again: bool = False) -> None:
        """Raise ``StaleObservation`` if no command may rest on the newest look; ``owned``: the tag must be ours."""
        look = work.sight.look
        ours = isinstance(look, Found) and (look.owner.kind is OwnerKind.OURS or not owned)
        if not ours or not self.is_fresh(work, again=again):
            raise StaleObservation(f"{work.entry.view.key}: PeerDB was asked too long ago for a command to rest on it")

    def failed(self, work: Work, failure: PeerDBError) -> None:
        """A command that failed teaches that PeerDB cannot be relied on at this moment.

        Looks that succeed between refusals do not start the outage anew: PeerDB under maintenance answers every look.
        """
        entry, now = work.entry, self.clock.now()
        if failure.sent:
            entry.refused_since = None
        elif entry.refused_since is None:
            entry.refused_since = now
        entry.history, work.observation = record_reading(
            entry.history,
            unknown(failure, now),
            wants_running=work.desired.wants_running,
            gap=self.limits.absence_gap,
            now=now,
        )
        if entry.refused_since is not None:
            entry.history = replace(entry.history, unknown_since=entry.refused_since)
        work.answered = False

    def _needs_peerdb(self, work: Work) -> bool:
        if work.entry.view.frozen:
            return False
        if work.entry.view.deleted_at is None:
            return True
        operation = work.journal.operation
        queued = operation is not None and operation.may_be_queued
        return work.desired.wants_running or queued or release_cause(work.desired, work.claims) is None

    def _repeats(self, work: Work) -> bool:
        """Whether failed reads are tried again at once: the mirror should flow, and PeerDB is not known to be away."""
        since = work.entry.history.unknown_since
        return work.entry.must_resume and (since is None or self.clock.now() - since < self.limits.outage_quiet)

    def _only_resumes(self, work: Work) -> bool:
        """Whether a resume is all that is left to do: state and owner tag are enough for it."""
        stopped = work.entry.must_resume and work.entry.history.word in {State.PAUSED, None}
        lives = work.entry.view.deleted_at is None
        return lives and stopped and patience_is_over(work.entry.history, self.limits, self.clock.now())

    def _starts_fully(self, work: Work) -> bool:
        """Until a generation has settled every look at a mirror at rest is a full one; later only a sample."""
        entry, now = work.entry, self.clock.now()
        if entry.history.word is not None and not State.of(entry.history.word).comparable:
            return False
        settled = work.journal.bounds.settled == work.desired.generation and work.journal.operation is None
        return entry.view.deleted_at is not None or not settled or now >= entry.sample_at


def _without_secrets(entry: CachedMirror, look: Reading) -> Reading:
    """A look whose words, which are PeerDB's, may be shown."""
    if isinstance(look, Unknown):
        return replace(look, message=entry.without_secrets(look.message))
    if isinstance(look, Found) and isinstance(look.config, Unreadable):
        return replace(look, config=replace(look.config, message=entry.without_secrets(look.config.message)))
    return look

"""The observations of one mirror in PeerDB: which one is due, how it is read, and how fresh it is.

Nothing but this module makes observations. A failed read is repeated here only for a mirror that should run and is
PAUSED, or about to be; else the queue is the retry. ``rules.history`` concludes.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from peerdb_operator.api.constants import OWNER_TAG
from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import Step
from peerdb_operator.errors import (
    InvalidSpec,
    OperatorError,
    PeerDBError,
    PeerDBInternal,
    PeerDBMisconfigured,
    PeerDBNotFound,
    PeerDBPreconditionFailed,
    PeerDBRejected,
    PeerDBUnauthorized,
    PeerDBUnavailable,
    UnexpectedReply,
    UnsupportedPeerDB,
)
from peerdb_operator.mirror.rules.finalize import release_cause
from peerdb_operator.mirror.rules.history import (
    absence_gap,
    patience_is_over,
    record_batch_end,
    record_reading,
    same_owner,
    same_paused_config,
    with_changes,
)
from peerdb_operator.mirror.rules.limits import Limits
from peerdb_operator.mirror.rules.observation import (
    ConfigGap,
    Found,
    Identity,
    NotFound,
    Owner,
    OwnerKind,
    Reading,
    State,
    Unknown,
    Unreadable,
    may_carry_command,
)
from peerdb_operator.mirror.store import CachedMirror
from peerdb_operator.mirror.work import Observed, Reads, StaleObservation, Work
from peerdb_operator.peerdb.client import MirrorStatusReply, PeerDBClient
from peerdb_operator.peerdb.redaction import secret_values
from peerdb_operator.ports import Clock

READ_RETRY = 0.25
"""Seconds between two tries of one read."""
REPEATS_FOR = 5.0
"""For how many seconds a read is tried again, and how far its answer may lie apart from the other's then."""
CONFIG_TRIES = 3
"""How often a config is asked for before the state alone is, which more answers can give."""
TOGETHER = 1.0
"""Seconds that the answers about status and tags may lie apart; later ones are asked for again, side by side."""
SAMPLE_JITTER = 0.2
LONGEST_CREATED_AT = 64
"""What the journal in status can hold of PeerDB's text, which is half as long."""
BATCHES = 30
"""How many batches are asked for: so many may wait for the destination before one that ended is out of sight."""
T = TypeVar("T")
U = TypeVar("U")
NO_CONFIG = Unreadable(Reason.UNEXPECTED_REPLY, "its answer about the mirror holds no configuration")


@dataclass(frozen=True, slots=True)
class _Answers:
    """What PeerDB answered about one mirror, and when the oldest of these answers arrived."""

    status: MirrorStatusReply
    gap: ConfigGap | Unreadable
    tags: dict[str, str] | None
    heard_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Observer:
    """Observes mirrors for reconciles."""

    peerdb: PeerDBClient
    clock: Clock
    rng: random.Random
    limits: Limits

    async def first(self, work: Work) -> None:
        """The observation that a reconcile begins with, if it needs one."""
        if not self._needs_peerdb(work):
            return
        if self._only_resumes(work):
            await self.observe(work, Reads.OWNER)
        else:
            await self.observe(work, Reads.FULL if self._starts_fully(work) else Reads.STATE)

    async def observe(self, work: Work, reads: Reads = Reads.FULL) -> None:
        """Observe once, and remember."""
        entry = work.entry
        entry.observed_at = self.clock.now()
        reader = MirrorReader(
            peerdb=self.peerdb,
            clock=self.clock,
            mirror=work.desired.mirror,
            reads=reads,
            copying=entry.history.word == State.SNAPSHOT,
            created_at=entry.peerdb_created_at,
            repeats=self._repeats(work),
        )
        observed = await reader.read(work.identity)
        shown = _without_secrets(entry, observed.reading)
        work.observed = observed if shown is observed.reading else replace(observed, reading=shown)
        now = self.clock.now()
        operation = work.journal.operation
        dropped = operation is not None and operation.step is Step.DROP
        entry.history, work.observation = record_reading(
            entry.history,
            work.observed.reading,
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
            if (config := work.observed.config) is not None:
                entry.secrets |= secret_values(config.env)
                entry.history = with_changes(entry.history, error=entry.shown_error())
                entry.sources = config.names_in_copies

    async def confirm(self, work: Work, after: float) -> None:
        """Observe fully once more, ``after`` seconds later, and remember whether both readings agree.

        A precheck may lie between: two readings far apart would show a mirror PAUSED that ran in between.
        """
        if not self.is_fresh(work):
            await self.observe(work)
        before = work.observed.reading
        await self.clock.sleep(after)
        await self.observe(work)
        work.entry.history = replace(work.entry.history, confirmed=same_paused_config(before, work.observed.reading))

    async def read_batches(self, work: Work) -> None:
        """Ask when batches of the mirror ended, and remember; errors that came meanwhile count."""
        entry, asked_at = work.entry, self.clock.now()
        try:
            end = max(await self.peerdb.batch_ends(work.desired.mirror, limit=BATCHES), default=None)
        except PeerDBError:
            end = None
        history = record_batch_end(entry.history, end, asked_at=asked_at)
        entry.history = replace(history, error=entry.shown_error())

    async def still_paused_unchanged(self, work: Work) -> bool:
        """Whether an edit may still rest on the newest reading: it is fresh, or two more show the same."""
        before = work.observed.reading
        if self.is_fresh(work):
            return True
        await self.confirm(work, self.limits.confirm_gap)
        return (
            work.entry.history.confirmed and same_paused_config(before, work.observed.reading) and self.is_fresh(work)
        )

    async def still_owned(self, work: Work) -> bool:
        """Whether what rests on the owner tag may rest on the newest reading: it is fresh, or another shows it."""
        before = work.observed.reading
        if self.is_fresh(work):
            return True
        await self.observe(work, Reads.OWNER)
        return same_owner(before, work.observed.reading) and self.is_fresh(work)

    async def still_shown(self, work: Work) -> bool:
        """Whether a pause or a resume may still rest on the newest reading: the same mirror in the same state."""
        before = work.observed.reading
        owned = await self.still_owned(work)
        after = work.observed.reading
        return owned and isinstance(before, Found) and isinstance(after, Found) and before.word == after.word

    def is_fresh(self, work: Work, *, again: bool = False) -> bool:
        """Whether a command may rest on the newest reading; ``again``: it repeats one that rested on it before."""
        return may_carry_command(
            work.observed.reading,
            replied_at=0.0 if again else work.entry.commanded_at,
            holds=self.limits.observation_max_age,
            now=self.clock.now(),
        )

    def require_fresh(self, work: Work, *, owned: bool, again: bool = False) -> None:
        """Raise ``StaleObservation`` if no command may rest on the newest reading; ``owned``: the tag must be ours."""
        reading = work.observed.reading
        ours = isinstance(reading, Found) and (reading.owner.kind is OwnerKind.OURS or not owned)
        if not ours or not self.is_fresh(work, again=again):
            raise StaleObservation(f"{work.entry.view.key}: PeerDB was asked too long ago for a command to rest on it")

    def failed(self, work: Work, failure: PeerDBError) -> None:
        """A command that failed teaches that PeerDB cannot be relied on at this moment.

        Reads that succeed between refusals do not start the outage anew: PeerDB under maintenance answers every one.
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
        """Until a generation has settled every observation of a settled mirror is a full one; later only a sample."""
        entry, now = work.entry, self.clock.now()
        if entry.history.word is not None and not State.of(entry.history.word).comparable:
            return False
        settled = work.journal.bounds.settled == work.desired.generation and work.journal.operation is None
        return entry.view.deleted_at is not None or not settled or now >= entry.sample_at


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorReader:
    """One reading of one mirror.

    ``copying``: with the progress of a copy. ``created_at``: of the mirror seen last, "" if there was none.
    ``repeats``: a request that fails is made again at once, for some seconds.
    """

    peerdb: PeerDBClient
    clock: Clock
    mirror: str
    reads: Reads
    copying: bool = False
    created_at: str = ""
    repeats: bool = False

    async def read(self, identity: Identity) -> Observed:
        """The reading; raises nothing of ours."""
        began = self.clock.now()
        try:
            if self.reads is Reads.FULL and not self.repeats:
                await self.peerdb.require_supported(began)
            with_config = self.reads is Reads.FULL or (self.copying and self.reads is Reads.STATE)
            ask = self._status if self.reads is Reads.STATE else self._status_and_tags
            answers = await ask(with_config=with_config)
        except PeerDBNotFound:
            return Observed(NotFound(began, self.clock.now()))
        except PeerDBError as error:
            return Observed(unknown(error, began))
        reply, tags = answers.status, answers.tags or {}
        config = answers.gap if reply.config is None else reply.config
        seen = Found(
            word=reply.state,
            created_at=_created_at(reply),
            at=began,
            config=config,
            owner=Owner(OwnerKind.NOT_ASKED) if answers.tags is None else identity.owner(tags.get(OWNER_TAG)),
            progress=reply.snapshot,
            supported=reply.is_cdc is not False,
            heard_at=answers.heard_at,
        )
        return Observed(seen, tags)

    async def _status_and_tags(self, *, with_config: bool) -> _Answers:
        """Status and tags of one mirror, side by side.

        A tag that arrives before the status is that of the mirror which the status shows only if this mirror was known
        before either was asked for: else another may have taken its place in between, and the tags are read again. They
        are also read again, with a plain status, when a config took so long that the first of the answers is old.
        """
        if not self.created_at:
            status = await self._status(with_config=with_config)
            return replace(status, tags=(await self._tags())[0])
        status, (tags, at) = await _both(self._status(with_config=with_config), self._tags())
        shown = _created_at(status.status)
        together = REPEATS_FOR if self.repeats else TOGETHER
        if shown == self.created_at and abs(status.heard_at - at) <= together:
            return replace(status, tags=tags, heard_at=min(status.heard_at, at))
        again, (tags, at) = await _both(self._status(with_config=False), self._tags())
        same = (shown, status.status.state) == (_created_at(again.status), again.status.state)
        return replace(status, tags=tags, heard_at=min(again.heard_at, at) if same else status.heard_at)

    async def _status(self, *, with_config: bool) -> _Answers:
        """The status, with config if it can be had: the state is known even while no worker answers."""
        if not with_config:
            return self._answer(await self._repeated(self._plain), ConfigGap.NOT_ASKED)
        try:
            return self._answer(await self._repeated(self._config, CONFIG_TRIES), NO_CONFIG)
        except (PeerDBNotFound, PeerDBUnauthorized, PeerDBMisconfigured, UnsupportedPeerDB):
            raise
        except PeerDBError as error:
            if isinstance(error, PeerDBUnavailable) and not error.sent:
                raise
            cause = unknown(error, 0.0)
            return self._answer(await self._repeated(self._plain), Unreadable(cause.reason, cause.message))

    async def _plain(self) -> MirrorStatusReply:
        return await self.peerdb.status(self.mirror)

    async def _config(self) -> MirrorStatusReply:
        return await self.peerdb.status_with_config(self.mirror, snapshot=self.copying)

    async def _tags(self) -> tuple[dict[str, str], float]:
        return await self._repeated(lambda: self.peerdb.tags(self.mirror)), self.clock.now()

    def _answer(self, status: MirrorStatusReply, gap: ConfigGap | Unreadable) -> _Answers:
        return _Answers(status, gap, None, self.clock.now())

    async def _repeated(self, ask: Callable[[], Awaitable[T]], tries: float = math.inf) -> T:
        """The answer to one read; raises ``PeerDBError``."""
        until = self.clock.now() + REPEATS_FOR
        while True:
            tries -= 1
            try:
                return await ask()
            except PeerDBError as error:
                late = self.clock.now() + READ_RETRY > until
                if not self.repeats or late or tries <= 0 or not _is_momentary(error):
                    raise
            await self.clock.sleep(READ_RETRY)


def _is_momentary(error: PeerDBError) -> bool:
    """Whether the next answer may well be another: not a word of PeerDB's about this mirror, nor a wrong password."""
    if isinstance(error, PeerDBUnavailable):
        return not error.maintenance
    return isinstance(error, PeerDBInternal | UnexpectedReply)


def unknown(error: OperatorError, at: float) -> Unknown:
    """A failure as a reading that taught nothing."""
    reason = (
        Reason.PEERDB_ERROR
        if isinstance(error, PeerDBRejected | PeerDBPreconditionFailed | InvalidSpec)
        else Reason(error.reason)
    )
    return Unknown(reason, error.message, at, slow=error.slow)


async def _both(one: Awaitable[T], other: Awaitable[U]) -> tuple[T, U]:
    """Both results; none is left on its way when the other fails, whose failure is raised first."""
    first, second = await asyncio.gather(one, other, return_exceptions=True)
    if isinstance(first, BaseException):
        raise first
    if isinstance(second, BaseException):
        raise second
    return first, second


def _created_at(status: MirrorStatusReply) -> str:
    return status.created_at[:LONGEST_CREATED_AT]


def _without_secrets(entry: CachedMirror, reading: Reading) -> Reading:
    """A reading whose words, which are PeerDB's, may be shown."""
    if isinstance(reading, Unknown):
        return replace(reading, message=entry.without_secrets(reading.message))
    if isinstance(reading, Found) and isinstance(reading.config, Unreadable):
        return replace(reading, config=replace(reading.config, message=entry.without_secrets(reading.config.message)))
    return reading

"""The reads of one mirror in PeerDB, and what a failed one means.

A failed read is repeated here only for a mirror that should
run and is PAUSED, or about to be; else the queue is the retry.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import TypeVar

from peerdb_operator.api.constants import OWNER_TAG, RELEASED
from peerdb_operator.api.reasons import Reason
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
from peerdb_operator.mirror.rules.observation import (
    ConfigGap,
    Found,
    NotFound,
    Owner,
    OwnerKind,
    Reading,
    State,
    Unknown,
    Unreadable,
)
from peerdb_operator.peerdb.client import MirrorConfig, MirrorStatusReply, PeerDBClient
from peerdb_operator.ports import Clock

OLDEST_SUPPORTED = (0, 34, 6)
VERSION_PERIOD = 600.0
READ_RETRY = 0.25
"""Seconds between two tries of one read."""
REPEATS_FOR = 5.0
"""For how many seconds a read is tried again, and how far its answer may lie apart from the other's then."""
CONFIG_TRIES = 3
"""How often a config is asked for before the state alone is, which more answers can give."""
TOGETHER = 1.0
"""Seconds that the answers about status and tags may lie apart; later ones are asked for again, side by side."""
LONGEST_CREATED_AT = 64
"""What the journal in status can hold of PeerDB's text, which is half as long."""
BATCHES = 30
"""How many batches are asked for: so many may wait for the destination before one that ended is out of sight."""
T = TypeVar("T")
U = TypeVar("U")
NO_CONFIG = Unreadable(Reason.UNEXPECTED_REPLY, "its answer about the mirror holds no configuration")
_RELEASE = re.compile(r"^(?:stable-)?v?(\d+)\.(\d+)\.(\d+)$")


class Reads(Enum):
    """Which answers an observation needs."""

    STATE = auto()
    OWNER = auto()  # plain status and tags: all that a pause or a resume needs, and answered while workers are down
    FULL = auto()  # status with config, and tags


@dataclass(frozen=True, slots=True)
class Observed:
    """A reading, and what acting on it needs in PeerDB's own form."""

    look: Reading
    config: MirrorConfig | None = None
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def closed(self) -> bool:
        """Whether the mirror's workflow has ended: PeerDB drops such a mirror inside the request, for minutes."""
        return isinstance(self.look, Found) and self.look.state in {State.FAILED, State.COMPLETED}


@dataclass(frozen=True, slots=True)
class Manner:
    """How to read.

    ``copying``: with the progress of a copy. ``created_at``: of the mirror seen last, "" if there was none.
    ``repeats``: a read that fails is tried again at once, for some seconds.
    """

    reads: Reads
    copying: bool = False
    created_at: str = ""
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class _Answers:
    """What PeerDB answered about one mirror, and when the oldest of these answers arrived."""

    status: MirrorStatusReply
    gap: ConfigGap | Unreadable
    tags: dict[str, str] | None
    heard_at: float


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are to PeerDB: the value of the owner tag, ``cluster/namespace/name/uid``.

    Cluster, namespace and name decide, so that a Mirror restored from a backup finds its own.
    """

    cluster: str
    namespace: str
    name: str
    uid: str

    @property
    def tag(self) -> str:
        """The tag's value."""
        return f"{self._prefix}{self.uid}"

    def owner(self, value: str | None) -> Owner:
        """What a tag's value says about us."""
        if not value:
            return Owner(OwnerKind.NONE)
        if value == RELEASED:
            return Owner(OwnerKind.RELEASED)
        return Owner(OwnerKind.OURS if value.startswith(self._prefix) else OwnerKind.OTHER, value)

    @property
    def _prefix(self) -> str:
        return f"{self.cluster}/{self.namespace}/{self.name}/"


class Observer:
    """Reads one mirror; knows the version of the PeerDB it talks to."""

    def __init__(self, peerdb: PeerDBClient, clock: Clock) -> None:
        self._peerdb = peerdb
        self._clock = clock
        self._version_read: float | None = None
        self.too_old: str | None = None
        """Why nothing is sent to the PeerDB whose version was read last; None if it is new enough."""

    async def look(self, mirror: str, identity: Identity, how: Manner) -> Observed:
        """One reading; raises nothing of ours."""
        began, reads, copying = self._clock.now(), how.reads, how.copying
        try:
            if reads is Reads.FULL and not how.repeats and (old := await self._outdated()) is not None:
                return Observed(Unknown(Reason.UNSUPPORTED_PEERDB, old, began, slow=True))
            with_config = reads is Reads.FULL or (copying and reads is Reads.STATE)
            ask = _Asker(self._peerdb, self._clock, mirror, how)
            if reads is Reads.STATE:
                answers = await ask.status(with_config=with_config)
            else:
                answers = await ask.status_and_tags(with_config=with_config)
        except PeerDBNotFound:
            return Observed(NotFound(began, self._clock.now()))
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
        return Observed(seen, reply.config, tags)

    async def newest_batch_end(self, mirror: str) -> float | None:
        """When the newest batch that ended did so; None if none has, or if PeerDB does not say. Raises nothing."""
        try:
            return max(await self._peerdb.batch_ends(mirror, limit=BATCHES), default=None)
        except PeerDBError:
            return None

    async def _outdated(self) -> str | None:
        """Why this PeerDB is too old, or None; asked anew every ten minutes, unreadable versions pass."""
        now = self._clock.now()
        if self._version_read is None or now - self._version_read >= VERSION_PERIOD:
            version = await self._peerdb.version()
            self._version_read = now
            self.too_old = _refusal(version)
        return self.too_old


class _Asker:
    """The reads of one observation."""

    def __init__(self, peerdb: PeerDBClient, clock: Clock, mirror: str, how: Manner) -> None:
        self._peerdb = peerdb
        self._clock = clock
        self._mirror = mirror
        self._how = how

    async def status_and_tags(self, *, with_config: bool) -> _Answers:
        """Status and tags of one mirror, side by side.

        A tag that arrives before the status is that of the mirror which the status shows only if this mirror was known
        before either was asked for: else another may have taken its place in between, and the tags are read again. They
        are also read again, with a plain status, when a config took so long that the first of the answers is old.
        """
        if not self._how.created_at:
            status = await self.status(with_config=with_config)
            return replace(status, tags=(await self._tags())[0])
        status, (tags, at) = await _both(self.status(with_config=with_config), self._tags())
        shown = _created_at(status.status)
        together = REPEATS_FOR if self._how.repeats else TOGETHER
        if shown == self._how.created_at and abs(status.heard_at - at) <= together:
            return replace(status, tags=tags, heard_at=min(status.heard_at, at))
        again, (tags, at) = await _both(self.status(with_config=False), self._tags())
        same = (shown, status.status.state) == (_created_at(again.status), again.status.state)
        return replace(status, tags=tags, heard_at=min(again.heard_at, at) if same else status.heard_at)

    async def status(self, *, with_config: bool) -> _Answers:
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
        return await self._peerdb.status(self._mirror)

    async def _config(self) -> MirrorStatusReply:
        return await self._peerdb.status_with_config(self._mirror, snapshot=self._how.copying)

    async def _tags(self) -> tuple[dict[str, str], float]:
        return await self._repeated(lambda: self._peerdb.tags(self._mirror)), self._clock.now()

    def _answer(self, status: MirrorStatusReply, gap: ConfigGap | Unreadable) -> _Answers:
        return _Answers(status, gap, None, self._clock.now())

    async def _repeated(self, ask: Callable[[], Awaitable[T]], tries: float = math.inf) -> T:
        """The answer to one read; raises ``PeerDBError``."""
        until = self._clock.now() + REPEATS_FOR
        while True:
            tries -= 1
            try:
                return await ask()
            except PeerDBError as error:
                late = self._clock.now() + READ_RETRY > until
                if not self._how.repeats or late or tries <= 0 or not _is_momentary(error):
                    raise
            await self._clock.sleep(READ_RETRY)


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


def _refusal(version: str) -> str | None:
    match = _RELEASE.match(version)
    if match is None or tuple(int(part) for part in match.groups()) >= OLDEST_SUPPORTED:
        return None
    oldest = ".".join(str(part) for part in OLDEST_SUPPORTED)
    return (
        f"this PeerDB is {version}; the operator needs {oldest} or newer (typed errors, fixed workflow ids): upgrade it"
    )

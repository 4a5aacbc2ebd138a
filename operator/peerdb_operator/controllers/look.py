"""Looking at one mirror in PeerDB: the reads of a pass, turned into a value of core.

Owns which reads make a look, and what a failed one means. No read is repeated here: the queue is the retry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from peerdb_operator.api.constants import OWNER_TAG, RELEASED
from peerdb_operator.clients.peerdb import MirrorConfig, MirrorStatusReply, PeerDBClient
from peerdb_operator.controllers.ports import Clock
from peerdb_operator.controllers.translate import live_config, progress
from peerdb_operator.core.config import LiveConfig
from peerdb_operator.core.observed import ConfigGap, Gone, Look, Owner, OwnerKind, Seen, Unknown
from peerdb_operator.core.reasons import Reason
from peerdb_operator.errors import (
    InvalidSpec,
    OperatorError,
    PeerDBError,
    PeerDBMisconfigured,
    PeerDBNotFound,
    PeerDBPreconditionFailed,
    PeerDBRejected,
    PeerDBUnauthorized,
    PeerDBUnavailable,
    Retry,
    UnsupportedPeerDB,
)

OLDEST_SUPPORTED = (0, 34, 6)
VERSION_PERIOD = 600.0
LONGEST_CREATED_AT = 64
"""What the journal in status can hold of PeerDB's text, which is half as long."""
_RELEASE = re.compile(r"^(?:stable-)?v?(\d+)\.(\d+)\.(\d+)$")


@dataclass(frozen=True, slots=True)
class Sight:
    """A look, and what acting on it needs in PeerDB's own form."""

    look: Look
    config: MirrorConfig | None = None
    tags: dict[str, str] = field(default_factory=dict)


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
        self._too_old: str | None = None

    async def look(self, mirror: str, identity: Identity, *, full: bool, copying: bool) -> Sight:
        """One look; raises nothing of ours.

        ``full``: with config and owner tag. ``copying``: with the progress of a copy. The tag is read after the status:
        should a new mirror take the place of the old one in between, the tag is at least that of the mirror which a
        command would reach.
        """
        began = self._clock.now()
        try:
            if full and (old := await self._outdated()) is not None:
                return Sight(Unknown(Reason.UNSUPPORTED_PEERDB, old, began, slow=True))
            reply, gap = await self._status(mirror, with_config=full or copying, copying=copying)
            tags = await self._peerdb.tags(mirror) if full else {}
        except PeerDBNotFound:
            return Sight(Gone(began, self._clock.now()))
        except PeerDBError as error:
            return Sight(unknown(error, began))
        config: LiveConfig | ConfigGap = gap if reply.config is None else live_config(reply.config)
        seen = Seen(
            word=reply.state,
            created_at=reply.created_at[:LONGEST_CREATED_AT],
            at=began,
            config=config,
            owner=identity.owner(tags.get(OWNER_TAG)) if full else Owner(OwnerKind.NOT_ASKED),
            progress=progress(reply.snapshot),
            supported=reply.is_cdc is not False,
        )
        return Sight(seen, reply.config, tags)

    async def _status(self, mirror: str, *, with_config: bool, copying: bool) -> tuple[MirrorStatusReply, ConfigGap]:
        """The status, with config if it can be had: the state is known even while no worker answers."""
        if not with_config:
            return await self._peerdb.status(mirror), ConfigGap.NOT_ASKED
        try:
            return await self._peerdb.status_with_config(mirror, snapshot=copying), ConfigGap.UNREADABLE
        except (PeerDBNotFound, PeerDBUnauthorized, PeerDBMisconfigured, UnsupportedPeerDB):
            raise
        except PeerDBError as error:
            if isinstance(error, PeerDBUnavailable) and not error.sent:
                raise
            return await self._peerdb.status(mirror), ConfigGap.UNREADABLE

    async def _outdated(self) -> str | None:
        """Why this PeerDB is too old, or None; asked anew every ten minutes, unreadable versions pass."""
        now = self._clock.now()
        if self._version_read is None or now - self._version_read >= VERSION_PERIOD:
            version = await self._peerdb.version()
            self._version_read = now
            self._too_old = _refusal(version)
        return self._too_old


def unknown(error: OperatorError, at: float) -> Unknown:
    """A failure as a look that taught nothing."""
    reason = (
        Reason.PEERDB_ERROR
        if isinstance(error, PeerDBRejected | PeerDBPreconditionFailed | InvalidSpec)
        else Reason(error.reason)
    )
    return Unknown(reason, error.message, at, slow=error.retry in {Retry.SLOW, Retry.MAINTENANCE})


def _refusal(version: str) -> str | None:
    match = _RELEASE.match(version)
    if match is None or tuple(int(part) for part in match.groups()) >= OLDEST_SUPPORTED:
        return None
    oldest = ".".join(str(part) for part in OLDEST_SUPPORTED)
    return (
        f"this PeerDB is {version}; the operator needs {oldest} or newer (typed errors, fixed workflow ids): upgrade it"
    )

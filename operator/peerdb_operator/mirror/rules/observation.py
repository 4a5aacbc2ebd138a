"""What one read of PeerDB showed, doubt included.

A *reading* is raw (one 404 is not yet absence); ``history`` turns it into an *observation* that decisions may use.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from peerdb_operator.api.constants import RELEASED
from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.times import parse_time
from peerdb_operator.peerdb.models import MirrorConfig, Progress


class State(StrEnum):
    """PeerDB's status of a mirror, without its prefix. OTHER is any status that we do not know.

    Source: PeerDB v0.37 protos FlowStatus.
    """

    SETUP = "SETUP"
    SNAPSHOT = "SNAPSHOT"
    RUNNING = "RUNNING"
    PAUSING = "PAUSING"
    PAUSED = "PAUSED"
    MODIFYING = "MODIFYING"
    RESYNC = "RESYNC"
    TERMINATING = "TERMINATING"
    TERMINATED = "TERMINATED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    OTHER = "?"

    @classmethod
    def of(cls, status: str) -> State:
        """The state of PeerDB's status."""
        try:
            return cls(status)
        except ValueError:
            return cls.OTHER

    @property
    def comparable(self) -> bool:
        """Whether the live tables are true: in other states PeerDB may show others than it replicates."""
        return self in {State.RUNNING, State.PAUSED, State.COMPLETED}


class ConfigGap(Enum):
    """A reading has no config because none was asked for."""

    NOT_ASKED = auto()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A reading has no config although it was asked for. ``message`` is what came instead of it."""

    reason: Reason
    message: str


class OwnerKind(Enum):
    """What the owner tag of a mirror says about us."""

    OURS = auto()
    OTHER = auto()
    NONE = auto()
    RELEASED = auto()
    NOT_ASKED = auto()


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner tag as read; ``value`` names the other owner."""

    kind: OwnerKind
    value: str = ""


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


@dataclass(frozen=True, slots=True)
class Found:
    """The mirror exists.

    ``word`` is PeerDB's status without prefix, ``created_at`` PeerDB's own text, ``at`` when the first request began,
    ``heard_at`` when the oldest of the answers arrived (0: unknown, which carries no command).
    """

    word: str
    created_at: str
    at: float
    config: MirrorConfig | Unreadable | ConfigGap = ConfigGap.NOT_ASKED
    owner: Owner = Owner(OwnerKind.NOT_ASKED)
    progress: Progress | None = None
    supported: bool = True
    heard_at: float = 0.0

    @property
    def state(self) -> State:
        """The status as a member of the closed set."""
        return State.of(self.word)

    def is_younger_than(self, moment: float) -> bool:
        """Whether the mirror was created after this time of PeerDB's clock."""
        try:
            return parse_time(self.created_at) > moment
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class NotFound:
    """One answer that names the mirror and says it does not exist. Not yet absence.

    ``at`` is when the read began, ``heard_at`` when the answer came (0: unknown).
    """

    at: float
    heard_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Absent:
    """The mirror does not exist: said twice, far enough apart."""

    at: float


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nothing was learned. ``reason`` says to users why; ``slow`` marks what only a human or a long wait heals."""

    reason: Reason
    message: str
    at: float
    slow: bool = False


Reading = Found | NotFound | Unknown
Observation = Found | Absent | Unknown


def may_carry_command(reading: Reading, *, replied_at: float, holds: float, now: float) -> bool:
    """Whether a command may follow from this reading; no side effects.

    It must have read the owner tag, have begun after the reply to our last command for this mirror (``replied_at``),
    and its answers must have arrived at most ``holds`` seconds ago: later the mirror may have another owner.
    """
    if not isinstance(reading, Found) or reading.owner.kind is OwnerKind.NOT_ASKED:
        return False
    return reading.at >= replied_at and now - reading.heard_at <= holds

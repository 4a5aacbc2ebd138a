"""One reconcile of one Mirror: the values that its parts share."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from peerdb_operator.api.reasons import Reason
from peerdb_operator.errors import PeerDBError
from peerdb_operator.mirror.rules.conditions import Verdict
from peerdb_operator.mirror.rules.desired import Desired
from peerdb_operator.mirror.rules.journal import Journal
from peerdb_operator.mirror.rules.observation import Found, Identity, Observation, Reading, State, Unknown
from peerdb_operator.mirror.rules.state import Claims
from peerdb_operator.mirror.store import CachedMirror
from peerdb_operator.peerdb.models import MirrorConfig
from peerdb_operator.ports import Pool
from peerdb_operator.telemetry.transition import Execution

NOT_ASKED = Unknown(Reason.PEERDB_UNAVAILABLE, "PeerDB was not asked", 0.0)


class StaleObservation(Exception):  # noqa: N818 - what is wrong is the observation
    """No command may rest on the newest observation: nothing is sent, and the mirror is observed again."""


class Reads(Enum):
    """Which answers an observation needs."""

    STATE = auto()
    OWNER = auto()  # plain status and tags: all that a pause or a resume needs, and answered while workers are down
    FULL = auto()  # status with config, and tags


@dataclass(frozen=True, slots=True)
class Observed:
    """A reading, and what acting on it needs in PeerDB's own form."""

    reading: Reading
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def config(self) -> MirrorConfig | None:
        """The live config, if it was read."""
        found = self.reading
        return found.config if isinstance(found, Found) and isinstance(found.config, MirrorConfig) else None

    @property
    def closed(self) -> bool:
        """Whether the mirror's workflow has ended: PeerDB drops such a mirror inside the request, for minutes."""
        return isinstance(self.reading, Found) and self.reading.state in {State.FAILED, State.COMPLETED}


@dataclass(slots=True)
class Work:
    """What one reconcile works with, the journal as it was at its beginning, and what the reconcile comes to.

    ``verdict``: the newest, None if there is none; ``execution``: what was decided and carried out.
    """

    entry: CachedMirror
    desired: Desired
    identity: Identity
    journal: Journal
    began: float
    before: str
    """The reason of Ready at the beginning."""
    observed: Observed = field(default_factory=lambda: Observed(NOT_ASKED))
    observation: Observation = NOT_ASKED
    claims: Claims = field(default_factory=Claims)
    checks: bool = False
    """Whether the reconcile ends for want of a precheck's answer."""
    answered: bool = True
    """Whether PeerDB answered all that it was asked."""
    verdict: Verdict | None = None
    execution: Execution | None = None

    @property
    def needs_long_pool(self) -> bool:
        """Whether a drop would hold a place that others need for minutes."""
        return self.observed.closed and self.entry.pool is not Pool.LONG


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an action: the journal after it, and the failure if there was one.

    ``adopted``: the mirror carries our tag from now on. ``released``: the object is let go.
    """

    journal: Journal
    failure: PeerDBError | None = None
    adopted: bool = False
    released: bool = False

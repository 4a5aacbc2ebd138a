"""One reconcile of one Mirror: the values that its parts share."""

from __future__ import annotations

from dataclasses import dataclass, field

from peerdb_operator.api.reasons import Reason
from peerdb_operator.errors import PeerDBError
from peerdb_operator.mirror.observe import Identity, Observed
from peerdb_operator.mirror.rules.conditions import Verdict
from peerdb_operator.mirror.rules.desired import Desired
from peerdb_operator.mirror.rules.journal import Journal
from peerdb_operator.mirror.rules.observation import Observation, Unknown
from peerdb_operator.mirror.rules.state import Claims
from peerdb_operator.mirror.store import CachedMirror
from peerdb_operator.peerdb.redaction import secret_values, without
from peerdb_operator.ports import Pool
from peerdb_operator.telemetry.transition import Execution

NOT_ASKED = Unknown(Reason.PEERDB_UNAVAILABLE, "PeerDB was not asked", 0.0)


class StaleObservation(Exception):  # noqa: N818 - what is wrong is the observation
    """No command may rest on the newest observation: nothing is sent, and the mirror is observed again."""


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
    sight: Observed = field(default_factory=lambda: Observed(NOT_ASKED))
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
        return self.sight.closed and self.entry.pool is not Pool.LONG

    @property
    def secrets(self) -> frozenset[str]:
        """Values that no message may repeat."""
        return self.entry.secrets | secret_values(dict(self.desired.settings))

    def without_values(self, text: str) -> str:
        """PeerDB's words without the secrets among the mirror's settings, if they repeat any."""
        return without(text, self.secrets)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an action: the journal after it, and the failure if there was one.

    ``adopted``: the mirror carries our tag from now on. ``released``: the object is let go.
    """

    journal: Journal
    failure: PeerDBError | None = None
    adopted: bool = False
    released: bool = False

"""One reconcile of one Mirror: the values that its parts share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from peerdb_operator.errors import PeerDBError
from peerdb_operator.mirror.observe import Identity, Observed
from peerdb_operator.mirror.rules.decision import Decision
from peerdb_operator.mirror.rules.desired import Desired
from peerdb_operator.mirror.rules.journal import Journal
from peerdb_operator.mirror.rules.state import Claims
from peerdb_operator.mirror.store import CachedMirror
from peerdb_operator.peerdb.redaction import secret_values, without
from peerdb_operator.ports import Pool


class StaleObservation(Exception):  # noqa: N818 - what is wrong is the observation
    """No command may rest on the newest observation: nothing is sent, and the mirror is observed again."""


@dataclass(slots=True)
class Work:
    """What one reconcile works with, and the journal as it was at its beginning."""

    entry: CachedMirror
    desired: Desired
    identity: Identity
    sight: Observed
    journal: Journal
    claims: Claims = field(default_factory=Claims)
    checks: bool = False
    """Whether the reconcile ends for want of a precheck's answer."""

    @property
    def needs_long_lane(self) -> bool:
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
    """What came of an action: the journal after it, and the failure if there was one."""

    journal: Journal
    failure: PeerDBError | None = None


WriteAhead = Callable[[Work, Decision, Journal], Awaitable[None]]
"""Writes a decision's verdict and this journal to status before anything is sent; raises ``KubeError``."""

"""One pass over one Mirror: what its parts work with and hand on.

Owns shapes only. Leaves looking to ``look``, acting to ``act`` and the order of both to ``passes``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from peerdb_operator.clients.redaction import secret_values, without
from peerdb_operator.controllers.entry import Entry
from peerdb_operator.controllers.look import Identity, Sight
from peerdb_operator.controllers.ports import Lane
from peerdb_operator.core.desired import Desired
from peerdb_operator.core.journal import Journal
from peerdb_operator.core.plan_types import Plan
from peerdb_operator.errors import PeerDBError


class StaleObservation(Exception):  # noqa: N818 - what is wrong is the observation
    """No command may rest on what was seen of the mirror: nothing is sent, and the mirror is looked at again."""


@dataclass(slots=True)
class Job:
    """What a pass works with, and the journal as it stood when the pass began."""

    entry: Entry
    desired: Desired
    identity: Identity
    sight: Sight
    journal: Journal
    checks: bool = False
    """Whether the pass ends for want of a precheck's answer."""

    @property
    def needs_long_lane(self) -> bool:
        """Whether a drop would hold a place that others need for minutes."""
        return self.sight.closed and self.entry.lane is not Lane.LONG

    @property
    def secrets(self) -> frozenset[str]:
        """Values that no message may repeat."""
        return self.entry.secrets | secret_values(dict(self.desired.settings))

    def without_values(self, text: str) -> str:
        """PeerDB's words without the secrets among the mirror's settings, if they repeat any."""
        return without(text, self.secrets)


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an action: the journal after it, and the failure if there was one."""

    journal: Journal
    failure: PeerDBError | None = None


WriteAhead = Callable[[Job, Plan, Journal], Awaitable[None]]
"""Writes a plan's verdict and this journal to status before anything is sent; raises ``KubeError``."""

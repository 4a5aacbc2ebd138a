"""What one reconcile did.

A controller raises one ``Transition`` at the end of each reconcile. Events, log lines and metrics are functions of it;
what they must remember between two transitions of an object they keep themselves, by its uid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from peerdb_operator.api.status import Operation
from peerdb_operator.errors import PeerDBError
from peerdb_operator.ports import Requeue


@dataclass(frozen=True, slots=True)
class Subject:
    """The object of a transition; ``version`` is its resourceVersion, ``mirror`` PeerDB's name."""

    namespace: str
    name: str
    uid: str
    generation: int
    version: int
    mirror: str

    @property
    def log_fields(self) -> dict[str, Any]:
        """What every log line about the object carries."""
        reference = {"namespace": self.namespace, "name": self.name, "uid": self.uid}
        return {"object": reference, "generation": self.generation, "mirror": self.mirror}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a decision says of the object.

    ``warns``: a user should act. ``away``: PeerDB cannot be asked. ``outage``: what all objects meet at once,
    unless PeerDB answers others. ``settled``: nothing is left to do.
    """

    reason: str
    message: str
    warns: bool = False
    away: bool = False
    outage: bool = False
    settled: bool = False
    reconciling: bool = False
    stalled: bool = False


class Milestone(Enum):
    """A result of an action that no condition reports. Values are the reasons of Events."""

    TAKEN_OVER = "TakenOver"
    CORRECTED = "DriftCorrected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What a reconcile decided and carried out.

    ``action``: its name, empty if there was none. ``decided_at``: seconds since the epoch. ``failure``: PeerDB's, if it
    did not take the command. ``sent``: False if Kubernetes kept the action from being carried out. ``wants_running``:
    of the spec. ``state``: the newest that PeerDB reported, None without a mirror. ``before`` and ``after``: the
    operation in the journal. ``trace``: ids for the log.
    """

    action: str
    rule: str
    note: str
    decided_at: float
    wants_running: bool
    state: str | None
    before: Operation | None
    after: Operation | None
    failure: PeerDBError | None = None
    sent: bool = True
    milestone: Milestone | None = None
    trace: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One reconcile.

    ``before`` and ``after``: the reason of Ready in status; ``was_outage``: the one before is that of an outage.
    ``report``: the newest verdict, which need not be written yet; None if there is none. ``execution``: None if nothing
    was decided. ``began`` and ``ended``: seconds since the epoch.
    ``answered``: whether PeerDB answered this reconcile.
    """

    subject: Subject
    before: str
    was_outage: bool
    after: str
    report: Report | None
    execution: Execution | None
    requeue: Requeue
    began: float
    ended: float
    answered: bool


class Subscriber(Protocol):
    """Receives each transition, and the end of each object."""

    def observe(self, transition: Transition) -> None:
        """Receive the transition of one reconcile; raises nothing."""
        ...

    def forget(self, uid: str) -> None:
        """The object is gone."""
        ...

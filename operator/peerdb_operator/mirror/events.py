"""The Events of a Mirror: what ``kubectl describe`` reads like.

Owns which verdict is news, under which headline, and that a trouble that comes and goes is told of now and then only.
An Event says what its condition says, under the same reason, but for turns of the story that a condition cannot show.
Leaves the creation of Events to ``report``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from peerdb_operator.api.reasons import Reason
from peerdb_operator.mirror.rules.conditions import AWAY, ConditionChange, Verdict

WARNINGS = AWAY | {
    Reason.RUNNING_WITH_ERRORS,
    Reason.CONFIG_UNREADABLE,
    Reason.DROP_HELD,
    Reason.DROP_BLOCKED,
    Reason.INTERNAL_ERROR,
}
MET_BY_ALL = AWAY | {Reason.DROP_BLOCKED, Reason.UNSUPPORTED_PEERDB}
"""What all Mirrors meet at once, unless PeerDB answers others; a drop may also wait for Kubernetes."""
REPEAT_SECONDS = 600.0
"""The same trouble is told of again after so long."""

RECOVERED = "Recovered"


class Milestone(Enum):
    """What a pass has done that the next verdict alone does not tell. Values are the reasons of Events."""

    TAKEN_OVER = "TakenOver"
    CORRECTED = "DriftCorrected"


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which PeerDB could not be asked, of which no Event of the Mirror has told.

    ``before``: the reason of Ready when it began.
    """

    since: float
    before: str


class EndReason(Enum):
    """How the story of a Mirror ends. Values are the reasons of Events."""

    DROPPED = "Dropped"
    RELEASED = "Released"


_PREFACES = {
    Milestone.TAKEN_OVER: "the PeerDB mirror is managed by this Mirror from now on",
    Milestone.CORRECTED: "the mirror was changed in PeerDB and not in this Mirror, which is undone",
}


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """One Event; ``kind`` is Normal or Warning."""

    kind: str
    reason: str
    message: str


@dataclass(slots=True)
class EventRecorder:
    """What has been told of one Mirror by this process."""

    turn: Milestone | None = None
    warned: bool = False
    """Whether the newest thing told was a trouble."""
    troubles: dict[tuple[str, str], float] = field(default_factory=dict)
    pending: list[PendingEvent] = field(default_factory=list)
    """Events that are yet to be created."""
    outage: Outage | None = None

    def tell(self, reported: Verdict, before: str, now: float, *, alone: bool = True) -> None:
        """A verdict was written whose reason is not ``before``, that of the verdict before it.

        ``alone``: whether PeerDB answers others. An outage that all Mirrors meet is one Event of the operator's pod,
        and neither its beginning nor its end is one of each Mirror.
        """
        turn, self.turn = self.turn, None
        if turn is None and reported.reason in MET_BY_ALL and not alone:
            self.outage = self.outage or Outage(now, before)
            return
        outage, self.outage = self.outage, None
        before = before if outage is None else outage.before
        if turn is None and self._is_only_back(reported, before, was_away=outage is not None):
            return
        kind, reason, message = kind_of(reported), reported.reason.value, reported.message
        if turn is Milestone.TAKEN_OVER and kind == "Warning":
            self.pending.append(PendingEvent("Normal", turn.value, _PREFACES[turn]))
        elif turn is not None:
            kind = "Warning" if turn is Milestone.CORRECTED else kind
            reason, message = turn.value, f"{_PREFACES[turn]}: {message}"
        elif self.warned and reported.settled and kind == "Normal":
            reason, message = RECOVERED, f"{message} again, after {before}"
        self.warned = kind_of(reported) == "Warning"
        if self._is_repeated(kind, reason, message, now):
            return
        self.pending.append(PendingEvent(kind, reason, message))

    def _is_only_back(self, reported: Verdict, before: str, *, was_away: bool) -> bool:
        """Whether nothing but an outage lies between this verdict and the one before it, in this process or another."""
        if was_away:
            return reported.reason.value == before
        return before in MET_BY_ALL and reported.settled and not self.warned and kind_of(reported) == "Normal"

    def _is_repeated(self, kind: str, reason: str, message: str, now: float) -> bool:
        if kind == "Normal" and reason != RECOVERED:
            return False
        key = (reason, message)
        if now - self.troubles.get(key, float("-inf")) < REPEAT_SECONDS:
            return True
        self.troubles = {each: at for each, at in self.troubles.items() if now - at < REPEAT_SECONDS}
        self.troubles[key] = now
        return False


def kind_of(reported: Verdict) -> str:
    """Warning for what somebody should look at."""
    return "Warning" if reported.stalled is ConditionChange.TRUE or reported.reason in WARNINGS else "Normal"

"""How long edits take and mirrors stand still for them.

Owns the times of one edit: from the decision to pause until all is as wished, and the stop within it. Decides nothing.
A process that takes over from another one goes on from what the journal says.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from peerdb_operator.api.status import Step
from peerdb_operator.mirror.rules.conditions import ConditionChange, Verdict
from peerdb_operator.mirror.rules.decision import Action, Pause, SendUpdate
from peerdb_operator.mirror.rules.desired import Desired
from peerdb_operator.mirror.rules.journal import Journal
from peerdb_operator.mirror.rules.observation import State
from peerdb_operator.ports import Clock
from peerdb_operator.telemetry.metrics import Metrics
from peerdb_operator.telemetry.trace import Trace

PAUSE_REQUESTED = "PauseRequested"
"""The outcome of an edit during which the spec asks for a pause: what is left of it waits."""

STOPPED = frozenset({State.PAUSING, State.PAUSED})


@dataclass(slots=True)
class EditTimer:
    """The edit under way over one mirror. Times are seconds since the epoch."""

    begun: bool = False
    """Whether a pass of this process has looked at the journal of the one before."""
    edit_since: float | None = None
    stop_since: float | None = None
    trace: Trace | None = None
    """The edit as it is traced."""
    stop_seen: bool = False
    """Whether the stop has been seen, not only asked for."""
    generation: int = 0
    """The newest generation that the trace tells of."""

    @property
    def standing(self) -> float | None:
        """Since when the mirror stands still because of us, if it does."""
        return self.stop_since if self.stop_seen else None

    def end_trace(self, outcome: str) -> None:
        """The edit is over, or nobody follows it any more."""
        if self.trace is not None:
            self.trace.end(outcome)
            self.trace = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EditTimers:
    """Told by each pass what it decides and where it ends."""

    clock: Clock
    metrics: Metrics = field(default_factory=Metrics)

    def decided(self, timer: EditTimer, desired: Desired, journal: Journal, action: Action | None) -> None:
        """Before the action is carried out."""
        if not timer.begun:
            self._adopt(timer, desired, journal)
        if not desired.wants_running:
            return
        now = self.clock.now()
        if isinstance(action, Pause | SendUpdate) and timer.edit_since is None:
            timer.edit_since = now
        if isinstance(action, Pause) and timer.stop_since is None:
            timer.stop_since = now

    def ended(
        self, timer: EditTimer, desired: Desired, journal: Journal, word: str | None, reported: Verdict | None
    ) -> None:
        """After a pass; ``word`` is the state seen last, by whichever process; None when there is no mirror."""
        operation = journal.operation
        if timer.stop_since is not None and word in STOPPED and desired.wants_running:
            timer.stop_seen = True
        elif timer.stop_seen or operation is None or operation.step is not Step.PAUSE:
            self.flows(timer)
        stalled = reported is not None and reported.stalled is ConditionChange.TRUE
        given_up = not desired.wants_running or stalled
        settled = reported is not None and reported.settled
        if timer.edit_since is not None and settled and not given_up:
            self.metrics.record_edit(self.clock.now() - timer.edit_since)
        if settled or given_up:
            timer.edit_since = None
            timer.end_trace(reported.reason.value if reported is not None and (settled or stalled) else PAUSE_REQUESTED)

    def flows(self, timer: EditTimer) -> None:
        """The stop is over, or none of ours any more."""
        if timer.stop_since is not None and timer.stop_seen:
            self.metrics.record_pause(self.clock.now() - timer.stop_since)
        timer.stop_since, timer.stop_seen = None, False

    def _adopt(self, timer: EditTimer, desired: Desired, journal: Journal) -> None:
        timer.begun = True
        operation = journal.operation
        if operation is None or operation.step is Step.DROP or not desired.wants_running:
            return
        timer.stop_since = operation.sent_at
        timer.edit_since = None if operation.step is Step.RESUME else operation.sent_at

"""How long edits take and mirrors stand still for them.

Owns the times of one edit: from the decision to pause until all is as wished, and the stop within it. Decides nothing.
A process that takes over from another one goes on from what the journal says.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from peerdb_operator.controllers.ports import Clock
from peerdb_operator.core.desired import Desired
from peerdb_operator.core.journal import Journal, Step
from peerdb_operator.core.observed import State
from peerdb_operator.core.plan_types import Action, Pause, SendEdit
from peerdb_operator.core.verdict import Truth, Verdict
from peerdb_operator.metrics import Metrics
from peerdb_operator.tracing import Trace

PAUSE_REQUESTED = "PauseRequested"
"""The outcome of an edit during which the spec asks for a pause: what is left of it waits."""

STOPPED = frozenset({State.PAUSING, State.PAUSED})


@dataclass(slots=True)
class Course:
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
class Stopwatch:
    """Told by each pass what it decides and where it ends."""

    clock: Clock
    metrics: Metrics = field(default_factory=Metrics)

    def decided(self, course: Course, desired: Desired, journal: Journal, action: Action | None) -> None:
        """Before the action is carried out."""
        if not course.begun:
            self._take_over(course, desired, journal)
        if not desired.wants_running:
            return
        now = self.clock.now()
        if isinstance(action, Pause | SendEdit) and course.edit_since is None:
            course.edit_since = now
        if isinstance(action, Pause) and course.stop_since is None:
            course.stop_since = now

    def ended(self, course: Course, desired: Desired, journal: Journal, word: str | None, told: Verdict | None) -> None:
        """After a pass; ``word`` is the state seen last, by whichever process; None when there is no mirror."""
        operation = journal.operation
        if course.stop_since is not None and word in STOPPED and desired.wants_running:
            course.stop_seen = True
        elif course.stop_seen or operation is None or operation.step is not Step.PAUSE:
            self.flows(course)
        stalled = told is not None and told.stalled is Truth.TRUE
        given_up = not desired.wants_running or stalled
        settled = told is not None and told.settled
        if course.edit_since is not None and settled and not given_up:
            self.metrics.edited(self.clock.now() - course.edit_since)
        if settled or given_up:
            course.edit_since = None
            course.end_trace(told.reason.value if told is not None and (settled or stalled) else PAUSE_REQUESTED)

    def flows(self, course: Course) -> None:
        """The stop is over, or none of ours any more."""
        if course.stop_since is not None and course.stop_seen:
            self.metrics.stopped(self.clock.now() - course.stop_since)
        course.stop_since, course.stop_seen = None, False

    def _take_over(self, course: Course, desired: Desired, journal: Journal) -> None:
        course.begun = True
        operation = journal.operation
        if operation is None or operation.step is Step.DROP or not desired.wants_running:
            return
        course.stop_since = operation.sent_at
        course.edit_since = None if operation.step is Step.RESUME else operation.sent_at

"""The metrics of reconciles: how they end, how long edits take, and how long mirrors are paused for them.

An edit lasts from the decision to pause until the object is settled; a process that takes over from another one goes on
from what the journal says.
"""

from __future__ import annotations

from dataclasses import dataclass

from peerdb_operator.api.status import Operation, Step
from peerdb_operator.telemetry.metrics import Metrics
from peerdb_operator.telemetry.transition import Execution, Report, Transition

PAUSED_STATES = frozenset({"PAUSING", "PAUSED"})
PAUSE, EDIT = "Pause", "SendUpdate"
"""Names of actions."""


@dataclass(slots=True)
class _Times:
    """The edit of one mirror. Times are seconds since the epoch.

    ``pause_seen``: the pause has been observed, not only asked for.
    """

    edit_since: float | None = None
    paused_since: float | None = None
    pause_seen: bool = False


class ReconcileMetrics:
    """Counts reconciles and measures edits; a reconcile that is followed within ``tick`` seconds is not done."""

    def __init__(self, metrics: Metrics, tick: float) -> None:
        self._metrics, self._tick = metrics, tick
        self._times: dict[str, _Times] = {}

    def paused_since(self, uid: str) -> float | None:
        """Since when the mirror of this object is paused because of us; None if it is not."""
        times = self._times.get(uid)
        return times.paused_since if times is not None and times.pause_seen else None

    def forget(self, uid: str) -> None:
        """The object is gone."""
        self._times.pop(uid, None)

    def observe(self, transition: Transition) -> None:
        """Take in one reconcile."""
        self._count(transition)
        execution = transition.execution
        if execution is None:
            return
        times = self._times.get(transition.subject.uid)
        if times is None:
            times = self._times[transition.subject.uid] = _taken_over(execution)
        if execution.wants_running:
            if execution.action in {PAUSE, EDIT} and times.edit_since is None:
                times.edit_since = execution.decided_at
            if execution.action == PAUSE and times.paused_since is None:
                times.paused_since = execution.decided_at
        self._pause(times, execution, transition.ended)
        self._edit(times, execution, transition.report, transition.ended)

    def _count(self, transition: Transition) -> None:
        report, requeue = transition.report, transition.requeue
        soon = requeue.after is not None and requeue.after < self._tick
        under_way = soon if report is None else report.reconciling
        reason = "" if report is None else report.reason
        error = requeue.backoff or (reason if report is not None and report.away else None)
        result = "error" if error is not None else "requeue" if under_way else "success"
        self._metrics.record_reconcile(result, reason, transition.ended - transition.began, error=error)

    def _pause(self, times: _Times, execution: Execution, now: float) -> None:
        if times.paused_since is not None and execution.wants_running and execution.state in PAUSED_STATES:
            times.pause_seen = True
        elif times.pause_seen or execution.after is None or execution.after.step is not Step.PAUSE:
            if times.paused_since is not None and times.pause_seen:
                self._metrics.record_pause(now - times.paused_since)
            times.paused_since, times.pause_seen = None, False

    def _edit(self, times: _Times, execution: Execution, report: Report | None, now: float) -> None:
        if report is None or not execution.sent:
            over, done = not execution.wants_running, False
        else:
            over = not execution.wants_running or report.stalled or report.settled
            done = execution.wants_running and report.settled and not report.stalled
        if done and times.edit_since is not None:
            self._metrics.record_edit(now - times.edit_since)
        if over:
            times.edit_since = None


def _taken_over(execution: Execution) -> _Times:
    """What the journal of the process before says."""
    operation: Operation | None = execution.before
    if operation is None or operation.step is Step.DROP or not execution.wants_running:
        return _Times()
    edit_since = None if operation.step is Step.RESUME else operation.sent_at
    return _Times(edit_since=edit_since, paused_since=operation.sent_at)

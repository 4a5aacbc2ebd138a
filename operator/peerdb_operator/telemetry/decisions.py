"""The log lines of reconciles: one for each action, one for each verdict with another reason.

What fails again with the same answer is logged at level debug only.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from peerdb_operator.api.reasons import SpecWarning
from peerdb_operator.errors import KubeError
from peerdb_operator.telemetry.transition import Execution, Report, Subject, Transition

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Logged:
    """What the log says of one object: its newest reason, and what fails with which reason, as long as it does."""

    reason: str = ""
    failing: tuple[str, str] = ("", "")
    kube_failing: frozenset[tuple[str, str]] = frozenset()


class DecisionLog:
    """Logs transitions, and failures of Kubernetes."""

    def __init__(self) -> None:
        self._logged: dict[str, _Logged] = {}

    def forget(self, uid: str) -> None:
        """The object is gone."""
        self._logged.pop(uid, None)

    def observe(self, transition: Transition) -> None:
        """Log one reconcile."""
        logged, report = self._of(transition.subject), transition.report
        execution = transition.execution
        if execution is not None and execution.action and execution.sent:
            self._executed(logged, transition.subject, execution, report)
        if report is not None and report.reason != logged.reason and (execution is None or execution.sent):
            facts = {**transition.subject.log_fields, **_facts(execution), "reason": report.reason}
            note = "" if execution is None or execution.action else execution.note
            _log(report.warns, f"{report.reason}: {note or report.message}", facts)
            logged.reason = report.reason

    def warn(self, subject: Subject, warning: SpecWarning) -> None:
        """Log a part of the object that has no effect."""
        logger.warning("%s: %s", warning.reason, warning.message, extra=subject.log_fields)

    def _executed(self, logged: _Logged, subject: Subject, execution: Execution, report: Report | None) -> None:
        facts = {**subject.log_fields, **_facts(execution)}
        action, failure = execution.action, execution.failure
        if failure is not None:
            failing = (action, failure.reason)
            level = logging.DEBUG if failing == logged.failing else logging.WARNING
            logged.failing = failing
            facts |= {"reason": failure.reason, "sent": failure.sent}
            logger.log(level, "%s failed: %s", action, failure.message, extra=facts)
            return
        (failed, why), logged.failing = logged.failing, ("", "")
        if failed == action:
            logger.info("%s: taken now, after %s", action, why, extra={**facts, "reason": why})
            logged.reason = logged.reason if report is None else report.reason
            return
        reason = logged.reason if report is None else report.reason
        message = execution.note or ("" if report is None else report.message)
        warns = report is not None and report.warns and reason != logged.reason
        line = ": ".join(part for part in (action, message) if part)
        _log(warns, line, {**facts, "reason": reason, "action": action})
        logged.reason = reason

    def kube_failed(self, subject: Subject, during: str, error: KubeError) -> None:
        """Kubernetes did not do what was asked for."""
        logged, failing = self._of(subject), (during, error.reason)
        level = logging.DEBUG if failing in logged.kube_failing else logging.WARNING
        logged.kube_failing = frozenset(each for each in logged.kube_failing if each[0] != during) | {failing}
        logger.log(level, "Kubernetes: %s", error, extra=subject.log_fields)

    def kube_succeeded(self, subject: Subject, during: str) -> None:
        """What may have failed before works."""
        logged = self._logged.get(subject.uid)
        if logged is None or not logged.kube_failing:
            return
        over = {each for each in logged.kube_failing if each[0] == during}
        for _, why in over:
            logger.info("Kubernetes: %s succeeds again, after %s", during, why, extra=subject.log_fields)
        logged.kube_failing -= over

    def _of(self, subject: Subject) -> _Logged:
        return self._logged.setdefault(subject.uid, _Logged())


def _facts(execution: Execution | None) -> dict[str, object]:
    return {} if execution is None else {"rule": execution.rule, **execution.trace}


def _log(warns: bool, line: str, facts: dict[str, object]) -> None:
    logger.log(logging.WARNING if warns else logging.INFO, "%s", line, extra=facts)

"""The Events of an object: what ``kubectl describe`` shows of its reconciles.

An Event says what the condition says, under the same reason, except for a milestone, which no condition shows. The same
warning is repeated only every ten minutes. An outage that all objects meet is one Event of the operator's pod.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from peerdb_operator.api.constants import GROUP, KIND, VERSION
from peerdb_operator.api.reasons import SpecWarning
from peerdb_operator.api.text import on_one_line
from peerdb_operator.errors import KubeError, KubeForbidden
from peerdb_operator.telemetry.metering import KubeWrite, WriteMeter
from peerdb_operator.telemetry.transition import Milestone, Report, Subject, Transition

logger = logging.getLogger(__name__)

REPEAT_SECONDS = 600.0
"""Seconds until the same warning is repeated."""
RECOVERED = "Recovered"
NOTE = 1024
"""Characters of a note, the most that the API server takes."""

Emit = Callable[[dict[str, str], str, str, str, str], Awaitable[None]]
"""Creates an Event: regarding, type, reason, note, action; raises ``KubeError``."""
IsTerminating = Callable[[str], Awaitable[bool]]

_PREFACES = {
    Milestone.TAKEN_OVER: "the PeerDB mirror is managed by this Mirror from now on",
    Milestone.CORRECTED: "the mirror was changed in PeerDB and not in this Mirror, which is undone",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One Event; ``kind`` is Normal or Warning."""

    kind: str
    reason: str
    note: str


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which PeerDB cannot be asked, of which the object has no Event; ``before``: the reason until then."""

    since: float
    before: str


@dataclass(slots=True)
class History:
    """What decides which Events of one object are due."""

    milestone: Milestone | None = None
    warned: bool = False
    """Whether the newest Event is a Warning that needs a user."""
    repeated: dict[tuple[str, str], float] = field(default_factory=dict)
    outage: Outage | None = None
    warnings: tuple[SpecWarning, ...] = ()
    due: list[Event] = field(default_factory=list)


class EventRecorder:
    """Turns transitions into Events, and creates them when asked to.

    ``answered_at``: when PeerDB last answered a request about all objects, seconds since the epoch.
    """

    def __init__(
        self, emit: Emit, is_terminating: IsTerminating, meter: WriteMeter, answered_at: Callable[[], float]
    ) -> None:
        self._emit, self._is_terminating, self._meter = emit, is_terminating, meter
        self._answered_at = answered_at
        self._histories: dict[str, History] = {}
        self._refused: set[str] = set()
        """Namespaces in which no Event may be created."""

    def observe(self, transition: Transition) -> None:
        """Add the Events of one reconcile to those that are due."""
        history = self._histories.setdefault(transition.subject.uid, History())
        execution, report = transition.execution, transition.report
        if execution is not None and (execution.milestone is not None or execution.failure is not None):
            history.milestone = execution.milestone
        kept_back = execution is not None and not execution.sent
        if report is not None and report.reason == transition.after and not kept_back:
            self._reported(history, transition, report)

    def warn(self, subject: Subject, found: tuple[SpecWarning, ...]) -> list[SpecWarning]:
        """Add an Event for each part of the object that has no effect, once for as long as the object contains it.

        Returns those that are new.
        """
        history = self._histories.setdefault(subject.uid, History())
        new = [each for each in found if each not in history.warnings]
        history.due += [Event("Warning", each.reason.value, each.message) for each in new]
        history.warnings = found
        return new

    def _reported(self, history: History, transition: Transition, report: Report) -> None:
        """Add the Events of a verdict that status now reports, if its reason differs from the one before."""
        alone = transition.answered or (history.outage is not None and self._answered_at() > history.outage.since)
        if report.reason != transition.before:
            history.due += _events_of(history, report, transition, alone=alone)
        elif report.outage and history.outage is not None and alone:
            # PeerDB answers others meanwhile: the outage is of this object alone.
            history.due += _events_of(history, report, transition, alone=True)

    def add(self, subject: Subject, event: Event) -> None:
        """Add an Event that does not come from a verdict."""
        self._histories.setdefault(subject.uid, History()).due.append(event)

    async def create(self, subject: Subject) -> None:
        """Create the Events that are due; one that cannot be created is only logged."""
        history = self._histories.get(subject.uid)
        if history is None:
            return
        due, history.due = history.due, []
        for event in due:
            await self._create(subject, event)

    def forget(self, uid: str) -> None:
        """The object is gone."""
        self._histories.pop(uid, None)

    async def _create(self, subject: Subject, event: Event) -> None:
        regarding = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "namespace": subject.namespace,
            "name": subject.name,
            "uid": subject.uid,
            "resourceVersion": str(subject.version),
        }
        try:
            with self._meter.measure(KubeWrite.EVENT):
                await self._emit(regarding, event.kind, event.reason, on_one_line(event.note)[:NOTE], "Reconcile")
            self._refused.discard(subject.namespace)
        except KubeForbidden as error:
            await self._forbidden(subject, error)
        except KubeError as error:
            logger.warning("no event: %s", error, extra=subject.log_fields)

    async def _forbidden(self, subject: Subject, error: KubeForbidden) -> None:
        """A missing right is logged once, until it is given; a terminating namespace refuses by its nature."""
        if subject.namespace in self._refused or await self._terminates(subject.namespace):
            logger.debug("no event: %s", error, extra=subject.log_fields)
            return
        self._refused.add(subject.namespace)
        hint = "give the operator the right to create events.events.k8s.io there; until then no Mirror gets one"
        logger.warning("no event: %s; %s", error, hint, extra=subject.log_fields)

    async def _terminates(self, namespace: str) -> bool:
        try:
            return await self._is_terminating(namespace)
        except KubeError:
            return False


def _events_of(history: History, report: Report, transition: Transition, *, alone: bool) -> list[Event]:
    """The Events of a verdict; ``alone``: PeerDB is known to answer others."""
    before, now = transition.before, transition.ended
    milestone, history.milestone = history.milestone, None
    if milestone is None and report.outage and not alone:
        history.outage = history.outage or Outage(now, before)
        return []
    outage, history.outage = history.outage, None
    if outage is not None:
        before, back = outage.before, report.reason == outage.before
    else:
        back = transition.was_outage and report.settled and not history.warned and not report.warns
    if milestone is None and back:
        return []  # nothing but an outage lies between this verdict and the one before it, in whichever process
    kind, reason, note = kind_of(report), report.reason, report.message
    events = []
    if milestone is Milestone.TAKEN_OVER and report.warns:
        events.append(Event("Normal", milestone.value, _PREFACES[milestone]))
    elif milestone is not None:
        kind = "Warning" if milestone is Milestone.CORRECTED else kind
        reason, note = milestone.value, f"{_PREFACES[milestone]}: {note}"
    elif history.warned and report.settled and kind == "Normal":
        reason, note = RECOVERED, f"{note} again, after {before}"
    history.warned = report.warns
    if not _is_repeated(history, kind, reason, note, now):
        events.append(Event(kind, reason, note))
    return events


def _is_repeated(history: History, kind: str, reason: str, note: str, now: float) -> bool:
    if kind == "Normal" and reason != RECOVERED:
        return False
    key = (reason, note)
    if now - history.repeated.get(key, float("-inf")) < REPEAT_SECONDS:
        return True
    history.repeated = {each: at for each, at in history.repeated.items() if now - at < REPEAT_SECONDS}
    history.repeated[key] = now
    return False


def kind_of(report: Report) -> str:
    """The type of the Event."""
    return "Warning" if report.warns else "Normal"

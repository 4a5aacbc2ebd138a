"""What a reason means for the conditions: one row for each member of the closed set.

Owns the table; ``status`` turns a verdict into conditions, the rules choose the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, IntEnum
from typing import assert_never

from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import (
    MAX_CONDITIONS,
    MAX_MESSAGE,
    MAX_PENDING,
    Bounds,
    Condition,
    ConditionStatus,
    MirrorStatus,
    TablesStatus,
)
from peerdb_operator.api.text import on_one_line
from peerdb_operator.mirror.rules.change import TableDiff, diff_tables
from peerdb_operator.mirror.rules.desired import Desired
from peerdb_operator.mirror.rules.flow import flow_status, last_error
from peerdb_operator.mirror.rules.history import History
from peerdb_operator.mirror.rules.journal import Journal
from peerdb_operator.mirror.rules.observation import Absent, Found, Observation, OwnerKind, State, Unknown
from peerdb_operator.peerdb.models import MirrorConfig


class ConditionChange(Enum):
    """A condition's status; KEEP leaves it as it was."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"
    KEEP = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the conditions are to say. ``settled``: this generation needs nothing more from us for now."""

    reason: Reason
    message: str
    ready: ConditionChange
    synced: ConditionChange
    reconciling: ConditionChange = ConditionChange.FALSE
    stalled: ConditionChange = ConditionChange.FALSE
    settled: bool = False

    def with_ready(self, ready: ConditionChange) -> Verdict:
        """The same verdict with another Ready."""
        return replace(self, ready=ready)

    def with_failure(self, failure: str) -> Verdict:
        """The same verdict on a command that failed, perhaps after PeerDB had taken it; "" for none."""
        message = f"{self.message}, which failed but may have arrived all the same: {failure}"
        return replace(self, message=message) if failure and failure not in self.message else self


@dataclass(frozen=True, slots=True)
class _Row:
    ready: ConditionChange
    synced: ConditionChange
    reconciling: ConditionChange = ConditionChange.FALSE
    stalled: ConditionChange = ConditionChange.FALSE
    settled: bool = False


_T, _F, _U, _K = ConditionChange.TRUE, ConditionChange.FALSE, ConditionChange.UNKNOWN, ConditionChange.KEEP
_AS_WISHED = _Row(_T, _T, settled=True)
_ON_THE_WAY = _Row(_U, _F, reconciling=_T)
_DROPPING = _Row(_F, _F, reconciling=_T)
_STALLED = _Row(_F, _F, stalled=_T)
_BROKEN = _Row(_F, _U, stalled=_T)
_AWAY = _Row(_K, _U, reconciling=_K, stalled=_K)
_BLIND = _Row(_U, _U)

ROWS: dict[Reason, _Row] = {
    Reason.RUNNING: _AS_WISHED,
    Reason.RUNNING_WITH_ERRORS: _AS_WISHED,
    Reason.PAUSED: _AS_WISHED,
    Reason.PAUSED_WITH_PENDING_CHANGES: _Row(_T, _F, settled=True),
    Reason.COMPLETED: _AS_WISHED,
    Reason.PAUSING: _ON_THE_WAY,
    Reason.EDITING: _ON_THE_WAY,
    Reason.RESUMING: _ON_THE_WAY,
    Reason.SETTING_UP: _ON_THE_WAY,
    Reason.SNAPSHOTTING: _ON_THE_WAY,
    Reason.ADDING_TABLES: _ON_THE_WAY,
    Reason.REMOVING_TABLES: _ON_THE_WAY,
    Reason.RESYNCING: _ON_THE_WAY,
    Reason.TERMINATING: _ON_THE_WAY,
    Reason.DROPPING: _DROPPING,
    Reason.DROP_HELD: _DROPPING,
    Reason.DROP_BLOCKED: _DROPPING,
    Reason.MIRROR_NOT_FOUND: _STALLED,
    Reason.MIRROR_NOT_OWNED: _STALLED,
    Reason.NAME_CONFLICT: _STALLED,
    Reason.ADOPTION_CONFLICT: _STALLED,
    Reason.INVALID_SPEC: _STALLED,
    Reason.TABLE_CHANGE_REJECTED: _STALLED,
    Reason.DESTINATION_IN_USE: _STALLED,
    Reason.PRECHECK_FAILED: _STALLED,
    Reason.EDIT_NOT_APPLIED: _STALLED,
    Reason.DRIFT_LOOP: _STALLED,
    Reason.MIRROR_EMPTY: _STALLED,
    Reason.EDIT_TOO_LARGE: _STALLED,
    Reason.MIRROR_FAILED: _BROKEN,
    Reason.MIRROR_TERMINATED: _BROKEN,
    Reason.MIRROR_ORPHANED: _BROKEN,
    Reason.UNSUPPORTED_MIRROR: _BROKEN,
    Reason.UNSUPPORTED_PEERDB: _BROKEN,
    Reason.PROGRESS_DEADLINE_EXCEEDED: _STALLED,
    Reason.PEERDB_UNAVAILABLE: _AWAY,
    Reason.MAINTENANCE: _AWAY,
    Reason.UNAUTHORIZED: _AWAY,
    Reason.CONNECTION_MISCONFIGURED: _AWAY,
    Reason.PEERDB_ERROR: _AWAY,
    Reason.UNEXPECTED_REPLY: _AWAY,
    Reason.CONFIG_UNREADABLE: _Row(_K, _U),
    Reason.RECONCILE_DISABLED: _BLIND,
    Reason.INTERNAL_ERROR: _BLIND,
}

NEEDS_A_HUMAN = frozenset({Reason.UNAUTHORIZED, Reason.CONNECTION_MISCONFIGURED})
AWAY = frozenset(reason for reason, row in ROWS.items() if row is _AWAY)
BROKEN = frozenset(reason for reason, row in ROWS.items() if row is _BROKEN)
SETTLED = frozenset(reason for reason, row in ROWS.items() if row.settled)
ON_THE_WAY = frozenset(reason for reason, row in ROWS.items() if row is _ON_THE_WAY)


def verdict(reason: Reason, message: str) -> Verdict:
    """The row of a reason, with its message."""
    row = ROWS[reason]
    return Verdict(reason, message, row.ready, row.synced, row.reconciling, row.stalled, row.settled)


def stalled(reason: Reason, message: str) -> Verdict:
    """The spec cannot be applied, whatever the reason's own row says."""
    return Verdict(reason, message, ConditionChange.FALSE, ConditionChange.FALSE, stalled=ConditionChange.TRUE)


def blocked(reason: Reason, message: str, *, pending: bool) -> Verdict:
    """A difference cannot be sent: the spec's fault, or PeerDB's for want of an answer to the precheck.

    ``pending``: this generation has not been evaluated yet.
    """
    return away(reason, message, long=pending) if reason in AWAY else stalled(reason, message)


def away(reason: Reason, message: str, *, long: bool) -> Verdict:
    """PeerDB cannot be asked; ``long``: for minutes, or while a new generation waits."""
    if not long:
        return verdict(reason, message)
    stuck = ConditionChange.TRUE if reason in NEEDS_A_HUMAN else ConditionChange.FALSE
    return Verdict(reason, message, ConditionChange.UNKNOWN, ConditionChange.UNKNOWN, ConditionChange.FALSE, stuck)


MAX_STATE = 64
MAX_SOURCE = 256
ALWAYS = ("Ready", "Synced")
ONLY_WHILE_TRUE = ("Reconciling", "Stalled")
REFUSED = frozenset({Reason.ADOPTION_CONFLICT, Reason.MIRROR_NOT_OWNED, Reason.NAME_CONFLICT})
"""Verdicts that leave a mirror to others."""
UNEVALUATED = AWAY | {Reason.RECONCILE_DISABLED, Reason.INTERNAL_ERROR}
"""Verdicts that say nothing about the spec of this generation."""


class Urgency(IntEnum):
    """How soon a difference has to be written: not at all; with the next progress; when the phase lasts; now."""

    NOTHING = 0
    PROGRESS = 1
    PHASE = 2
    NOW = 3


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """What a reconcile writes; ``verdict`` None leaves the conditions as they are."""

    verdict: Verdict | None
    journal: Journal
    accept_tables: bool = False


def next_status(
    previous: MirrorStatus,
    desired: Desired,
    observation: Observation | None,
    history: History,
    report: StatusUpdate,
    now: float,
) -> MirrorStatus:
    """The status after a reconcile; ``observation`` None when PeerDB was not asked. No side effects."""
    state, since = _state(previous, observation, history, now)
    reported = report.verdict
    evaluated = reported is not None and reported.reason not in UNEVALUATED
    return previous.model_copy(
        update={
            "observed_generation": desired.generation if evaluated else previous.observed_generation,
            "mirror_name": desired.mirror,
            "created_at": _created_at(previous, observation, history),
            "state": state,
            "state_since": since,
            "tables": _tables(previous, desired, observation, report),
            "operation": report.journal.operation,
            "bounds": None if report.journal.bounds == Bounds() else report.journal.bounds,
            "flow": flow_status(previous.flow, observation, history, now),
            "last_error": last_error(previous.last_error, observation, history),
            "conditions": previous.conditions
            if reported is None
            else conditions(previous.conditions, reported, desired.generation, now),
        }
    )


def conditions(previous: list[Condition], reported: Verdict, generation: int, now: float) -> list[Condition]:
    """The conditions of a verdict, then those of other writers as they are, in their order. No side effects.

    ``lastTransitionTime`` moves only when ``status`` flips.
    """
    known = {condition.type: condition for condition in previous}
    truths = {
        "Ready": reported.ready,
        "Synced": reported.synced,
        "Reconciling": reported.reconciling,
        "Stalled": reported.stalled,
    }
    if (
        reported.reconciling is ConditionChange.KEEP
        and "Stalled" in known
        and known["Stalled"].status is ConditionStatus.TRUE
    ):
        truths["Reconciling"] = ConditionChange.FALSE  # never both, whatever was written by hand
    built = []
    for kind, truth in truths.items():
        before = known.get(kind)
        status = _kept(before, always=kind in ALWAYS) if truth is ConditionChange.KEEP else ConditionStatus(truth.value)
        if kind in ONLY_WHILE_TRUE and status is not ConditionStatus.TRUE:
            continue
        same = before is not None and before.status is status
        speaks_of = before.observed_generation if truth is ConditionChange.KEEP and before is not None else generation
        built.append(
            Condition(
                type=kind,
                status=status,
                reason=reported.reason,
                message=on_one_line(reported.message)[:MAX_MESSAGE],
                last_transition_time=before.last_transition_time if same and before is not None else now // 1,
                observed_generation=speaks_of,
            )
        )
    others = [condition for condition in previous if condition.type not in truths]
    return built + others[: MAX_CONDITIONS - len(built)]  # the API server refuses a status with more


def urgency(previous: MirrorStatus, following: MirrorStatus, *, reported: bool) -> Urgency:
    """How soon ``following`` has to replace ``previous``; ``reported``: there is a verdict. No side effects."""
    if previous == following or following.ready is None:
        return Urgency.NOTHING
    old, new = previous.operation, following.operation
    if new is not None and (old is None or old.id != new.id or (old.sent_at != new.sent_at and not new.accepted)):
        return Urgency.NOW
    if _significant_fields(previous) == _significant_fields(following):
        return Urgency.PROGRESS
    phase_of_ours = _is_on_the_way(following) and new is not None
    return Urgency.PHASE if phase_of_ours or not reported else Urgency.NOW


def _significant_fields(status: MirrorStatus) -> object:
    """Leave out texts, times and counts; in a transition the reason replaces the state."""
    tables = status.tables
    return (
        status.observed_generation,
        None if _is_on_the_way(status) else status.state,
        [
            (condition.type, condition.status, condition.reason, condition.observed_generation)
            for condition in status.conditions
        ],
        status.operation is None,
        status.bounds,
        None if status.flow is None else status.flow.verdict,
        None if tables is None else tables.summary,
    )


def _is_on_the_way(status: MirrorStatus) -> bool:
    return any(condition.type == "Reconciling" for condition in status.conditions)


def _kept(before: Condition | None, *, always: bool) -> ConditionStatus:
    if before is not None:
        return before.status
    return ConditionStatus.UNKNOWN if always else ConditionStatus.FALSE


def _state(
    previous: MirrorStatus, observation: Observation | None, history: History, now: float
) -> tuple[str | None, float | None]:
    if observation is None or isinstance(observation, Unknown):
        return previous.state, previous.state_since
    state, since = "Missing", now
    if isinstance(observation, Found):
        state = on_one_line(observation.word.capitalize())[:MAX_STATE]
        since = history.word_since if history.word == observation.word else now
    if state == previous.state and previous.state_since is not None:
        return state, previous.state_since
    return state, since // 1


def _created_at(previous: MirrorStatus, observation: Observation | None, history: History) -> str | None:
    """PeerDB's createdAt of the mirror seen, if its tag was ours when it was read last."""
    if not isinstance(observation, Found) or history.owner is None or history.owner[1].kind is not OwnerKind.OURS:
        return previous.created_at
    return observation.created_at if history.owner[0] == observation.created_at else previous.created_at


def _tables(
    previous: MirrorStatus, desired: Desired, observation: Observation | None, report: StatusUpdate
) -> TablesStatus | None:
    known = previous.tables
    if desired.tables is None and not desired.invalid:
        return None
    match observation:
        case None | Unknown():
            return known
        case Absent():
            return _none_replicates(known)
        case Found():
            another = previous.created_at not in {None, observation.created_at}
            if another and report.verdict is not None and report.verdict.reason in REFUSED:
                return None  # what was accepted was the list of the mirror that is gone
            known = _none_replicates(known) if another or observation.state is State.TERMINATED else known
            if another and observation.owner.kind is not OwnerKind.OURS:
                return known
            return _compared(known, desired, observation, accept=report.accept_tables)
        case _ as never:
            assert_never(never)


def _compared(known: TablesStatus | None, desired: Desired, seen: Found, *, accept: bool) -> TablesStatus | None:
    """The numbers of a mirror of ours, as they were where the live tables are not what they will be."""
    if desired.tables is None or (known is None and not accept):
        return known
    if not seen.state.comparable or not isinstance(seen.config, MirrorConfig):
        return known
    return count_tables(diff_tables(desired, seen.config), len(desired.tables))


def count_tables(diff: TableDiff, desired: int) -> TablesStatus:
    """The numbers of a comparison, and the first names that are yet to come or go."""
    replicating, beyond = desired - len(diff.added), len(diff.removed)
    pending = [table.source for table in diff.added] + [table.source for table in diff.removed]
    return TablesStatus(
        desired=desired,
        replicating=replicating,
        adding=len(diff.added),
        removing=beyond,
        summary=f"{replicating}/{desired}" + (f" +{beyond}" if beyond else ""),
        pending=[on_one_line(source)[:MAX_SOURCE] for source in pending[:MAX_PENDING]],
    )


def _none_replicates(known: TablesStatus | None) -> TablesStatus | None:
    """The numbers of a mirror that is gone: nothing is about to be added or removed either."""
    return known and TablesStatus(desired=known.desired, summary=f"0/{known.desired}")

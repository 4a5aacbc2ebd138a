"""The next status as a value: conditions, tables and journal derived from the plan, never kept beside it.

Owns the shape of what is told and how urgent it is to tell. Leaves writing to the controller.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from peerdb_operator.api.status import (
    MAX_CONDITIONS,
    MAX_ERROR,
    MAX_MESSAGE,
    MAX_PENDING,
    Condition,
    ConditionStatus,
    LastError,
    MirrorStatus,
    TablesStatus,
)
from peerdb_operator.api.text import on_one_line
from peerdb_operator.core.change import TableDiff, diff_tables
from peerdb_operator.core.config import LiveConfig
from peerdb_operator.core.desired import Desired
from peerdb_operator.core.journal import Journal
from peerdb_operator.core.ledger import write_journal
from peerdb_operator.core.memory import Memory
from peerdb_operator.core.observed import Observation, Seen, Unknown
from peerdb_operator.core.reasons import Reason
from peerdb_operator.core.verdict import AWAY, Truth, Verdict

ERROR_REFRESH = 600.0
MAX_STATE = 64
MAX_SOURCE = 256
ALWAYS = ("Ready", "Synced")
ONLY_WHILE_TRUE = ("Reconciling", "Stalled")
UNEVALUATED = AWAY | {Reason.RECONCILE_DISABLED, Reason.INTERNAL_ERROR}
"""Verdicts that say nothing about the spec of this generation."""


class Urgency(IntEnum):
    """How soon a difference has to be written: not at all; with the next progress; when the phase lasts; now."""

    NOTHING = 0
    PROGRESS = 1
    PHASE = 2
    NOW = 3


@dataclass(frozen=True, slots=True)
class Report:
    """What one pass has to tell; ``verdict`` None leaves the conditions as they are."""

    verdict: Verdict | None
    journal: Journal
    accept_tables: bool = False


def next_status(
    previous: MirrorStatus,
    desired: Desired,
    observation: Observation | None,
    memory: Memory,
    report: Report,
    now: float,
) -> MirrorStatus:
    """The status after a pass; ``observation`` None when PeerDB was not asked. No side effects."""
    state, since = _state(previous, observation, memory, now)
    operation, bounds = write_journal(report.journal)
    told = report.verdict
    evaluated = told is not None and told.reason not in UNEVALUATED
    return previous.model_copy(
        update={
            "observed_generation": desired.generation if evaluated else previous.observed_generation,
            "mirror_name": desired.mirror,
            "state": state,
            "state_since": since,
            "tables": _tables(previous.tables, desired, observation, accept=report.accept_tables),
            "operation": operation,
            "bounds": bounds,
            "last_error": _last_error(previous.last_error, memory.error),
            "conditions": previous.conditions
            if told is None
            else conditions(previous.conditions, told, desired.generation, now),
        }
    )


def conditions(previous: list[Condition], told: Verdict, generation: int, now: float) -> list[Condition]:
    """The conditions of a verdict, then those of other writers as they are, in their order. No side effects.

    ``lastTransitionTime`` moves only when ``status`` flips.
    """
    known = {condition.type: condition for condition in previous}
    truths = {"Ready": told.ready, "Synced": told.synced, "Reconciling": told.reconciling, "Stalled": told.stalled}
    if told.reconciling is Truth.KEEP and "Stalled" in known and known["Stalled"].status is ConditionStatus.TRUE:
        truths["Reconciling"] = Truth.FALSE  # never both, whatever was written by hand
    built = []
    for kind, truth in truths.items():
        before = known.get(kind)
        status = _kept(before, always=kind in ALWAYS) if truth is Truth.KEEP else ConditionStatus(truth.value)
        if kind in ONLY_WHILE_TRUE and status is not ConditionStatus.TRUE:
            continue
        same = before is not None and before.status is status
        speaks_of = before.observed_generation if truth is Truth.KEEP and before is not None else generation
        built.append(
            Condition(
                type=kind,
                status=status,
                reason=told.reason,
                message=on_one_line(told.message)[:MAX_MESSAGE],
                last_transition_time=before.last_transition_time if same and before is not None else now // 1,
                observed_generation=speaks_of,
            )
        )
    others = [condition for condition in previous if condition.type not in truths]
    return built + others[: MAX_CONDITIONS - len(built)]  # the API server refuses a status with more


def urgency(previous: MirrorStatus, following: MirrorStatus, *, told: bool) -> Urgency:
    """How soon ``following`` has to replace ``previous``; ``told``: this pass reached a verdict. No side effects."""
    if previous == following or following.ready is None:
        return Urgency.NOTHING
    old, new = previous.operation, following.operation
    if new is not None and (old is None or old.id != new.id or (old.sent_at != new.sent_at and not new.accepted)):
        return Urgency.NOW
    if _gist(previous) == _gist(following):
        return Urgency.PROGRESS
    return Urgency.PHASE if _is_on_the_way(following) or not told else Urgency.NOW


def _gist(status: MirrorStatus) -> object:
    """What matters of a status: not texts, times and counts; on the way the reason tells more than the state."""
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
        None if tables is None else tables.summary,
    )


def _is_on_the_way(status: MirrorStatus) -> bool:
    return any(condition.type == "Reconciling" for condition in status.conditions)


def _kept(before: Condition | None, *, always: bool) -> ConditionStatus:
    if before is not None:
        return before.status
    return ConditionStatus.UNKNOWN if always else ConditionStatus.FALSE


def _state(
    previous: MirrorStatus, observation: Observation | None, memory: Memory, now: float
) -> tuple[str | None, float | None]:
    if observation is None or isinstance(observation, Unknown):
        return previous.state, previous.state_since
    state, since = "Missing", now
    if isinstance(observation, Seen):
        state = on_one_line(observation.word.capitalize())[:MAX_STATE]
        since = memory.word_since if memory.word == observation.word else now
    if state == previous.state and previous.state_since is not None:
        return state, previous.state_since
    return state, since // 1


def _tables(
    previous: TablesStatus | None, desired: Desired, observation: Observation | None, *, accept: bool
) -> TablesStatus | None:
    if desired.invalid:
        return previous
    if desired.tables is None:
        return None
    if previous is None and not accept:
        return None
    if (
        not isinstance(observation, Seen)
        or not observation.state.comparable
        or not isinstance(observation.config, LiveConfig)
    ):
        return previous
    return count_tables(diff_tables(desired, observation.config), len(desired.tables))


def count_tables(diff: TableDiff, wished: int) -> TablesStatus:
    """The numbers of a comparison, and the first names that are yet to come or go."""
    replicating = wished - len(diff.added)
    pending = [wish.source for wish in diff.added] + [table.source for table in diff.removed]
    return TablesStatus(
        desired=wished,
        replicating=replicating,
        adding=len(diff.added),
        removing=len(diff.removed),
        summary=f"{replicating}/{wished}",
        pending=[on_one_line(source)[:MAX_SOURCE] for source in pending[:MAX_PENDING]],
    )


def _last_error(previous: LastError | None, error: tuple[str, float] | None) -> LastError | None:
    """The newest error; a repeated one is not written again for a while."""
    if error is None:
        return previous
    message, time = on_one_line(error[0])[:MAX_ERROR], error[1] // 1
    if previous is not None and (
        time <= previous.time or (previous.message == message and time - previous.time < ERROR_REFRESH)
    ):
        return previous
    return LastError(message=message, time=time)

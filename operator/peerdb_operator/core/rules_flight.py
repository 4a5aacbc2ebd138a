"""Rule 8: what became of the command in flight.

What is effective closes and the same pass goes on; what is open makes everything else wait, except the resume that no
mirror is denied after two minutes.
"""

from __future__ import annotations

from dataclasses import replace

from peerdb_operator.core.bounds import after_proven, after_unproven
from peerdb_operator.core.case import Case, growing
from peerdb_operator.core.change import next_change
from peerdb_operator.core.edit import Edit
from peerdb_operator.core.journal import Finding, Journal, Operation, Step, judge
from peerdb_operator.core.observed import State
from peerdb_operator.core.plan_types import Disarm, Plan, Resume, Wait
from peerdb_operator.core.reasons import Reason
from peerdb_operator.core.verdict import verdict

TOLD = {
    Step.PAUSE: (Reason.PAUSING, "the mirror is asked to pause"),
    Step.RESUME: (Reason.RESUMING, "the mirror is asked to resume"),
    Step.EDIT: (Reason.EDITING, "the edit is sent; waiting until PeerDB shows it"),
    Step.DROP: (Reason.EDITING, "a drop is recorded in status though the Mirror is not being deleted"),
}


def in_flight(case: Case) -> Plan | Case | None:
    """Judge the open operation, if there is one."""
    operation = case.journal.operation
    if operation is None:
        return None
    if operation.created_at != case.seen.created_at or operation.step is Step.DROP:
        return close(case)
    match _finding(case, operation):
        case Finding.EFFECTIVE:
            return close(case, proven=operation.step is Step.EDIT)
        case Finding.NOT_EFFECTIVE:
            return close(case, unproven=operation)
        case Finding.ARMED:
            return _armed(case, operation)
        case Finding.RESEND:
            # The step is repeated if planning afresh still asks for it; see ``rules_step``.
            return case
        case Finding.WAIT:
            return _wait(case, operation)


def close(case: Case, *, proven: bool = False, unproven: Operation | None = None) -> Case:
    """The case without its operation; an edit that PeerDB accepted counts."""
    bounds = case.journal.bounds
    if proven:
        bounds = after_proven(bounds, case.limits, case.now)
    elif unproven is not None and unproven.step is Step.EDIT and unproven.accepted:
        bounds = after_unproven(bounds, unproven.after, case.limits, case.now)
    return case.with_journal(Journal(None, bounds))


def _finding(case: Case, operation: Operation) -> Finding:
    finding = judge(operation, case.seen, case.memory, case.limits, case.now)
    blind = operation.step is Step.EDIT and case.config is None and case.state is State.RUNNING
    if blind and not case.desired.wants_running and case.now - operation.sent_at >= case.limits.forget:
        return Finding.NOT_EFFECTIVE
    return finding


def _armed(case: Case, operation: Operation) -> Plan | Case:
    """An edit that is lost, or waits for the next pause: keep it only while it is still what the spec wants."""
    assert case.config is not None  # noqa: S101 - only a readable config is ever judged ARMED
    change = next_change(case.desired, case.config, edit_bytes=case.limits.edit_bytes)
    still_goal = isinstance(change, Edit) and change.applied_to(case.config).fingerprint == operation.after
    closed = close(case, unproven=operation)
    if still_goal or (case.desired.wants_running and change is not None):
        return closed
    told = verdict(
        Reason.EDITING,
        "an earlier edit may still wait in PeerDB's queue; it is overwritten so that no later pause applies it",
    )
    return closed.plan("disarm", Wait(0.0), told, Disarm())


def _wait(case: Case, operation: Operation) -> Plan:
    reason, message = TOLD[operation.step]
    if case.stopped_too_long and case.now - (case.memory.sent_at or 0.0) >= case.limits.resend:
        told = verdict(
            Reason.RESUMING,
            "the mirror has been paused for too long while an edit is unproven; it is resumed meanwhile",
        )
        return _count_stop(case, operation).plan("resume in flight", Wait(case.limits.look_first), told, Resume(None))
    age = case.now - operation.sent_at
    short = case.state is State.PAUSED and age < case.limits.outage_quiet
    wait = case.limits.look_short if short else growing(age, case.limits)
    return case.plan("in flight", Wait(wait), verdict(reason, message))


def _count_stop(case: Case, operation: Operation) -> Case:
    """A stop that ends by patience counts as an attempt; one whose 200 is recorded counts when it closes."""
    if operation.step is not Step.EDIT or operation.accepted:
        return case
    counted = replace(operation, accepted=True)
    return case.with_journal(replace(case.journal, operation=counted))

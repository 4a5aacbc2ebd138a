"""Rule 8: what became of the command in flight.

An effective command closes and the same reconcile goes on; an open one makes everything else wait, except the resume
that every mirror gets after two minutes (``patience``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import Operation, Step
from peerdb_operator.mirror.rules.change import next_change
from peerdb_operator.mirror.rules.conditions import verdict
from peerdb_operator.mirror.rules.decision import Decision, Disarm
from peerdb_operator.mirror.rules.journal import Finding, Journal, after_proven, after_unproven, judge, shows_goal
from peerdb_operator.mirror.rules.observation import State
from peerdb_operator.mirror.rules.state import Case, growing_requeue
from peerdb_operator.mirror.rules.steps import compare
from peerdb_operator.peerdb.models import ConfigUpdate
from peerdb_operator.ports import Requeue

MESSAGES = {
    Step.PAUSE: (Reason.PAUSING, "the mirror is asked to pause"),
    Step.RESUME: (Reason.RESUMING, "the mirror is asked to resume"),
    Step.EDIT: (Reason.EDITING, "the edit is sent; waiting until PeerDB shows it"),
}


def in_flight(case: Case) -> Decision | Case | None:
    """Judge the open operation, if there is one."""
    operation = case.journal.operation
    if operation is None:
        return None
    if operation.created_at != case.seen.created_at or operation.step is Step.DROP:
        return close(case)
    if operation.sent_at - case.now >= case.limits.forget:
        # Written by hand or by a clock gone wrong: a command from the future would stay in flight for ever.
        return _given_up(case, operation)
    match _finding(case, operation):
        case Finding.EFFECTIVE:
            return _effective(case, operation)
        case Finding.NOT_EFFECTIVE | Finding.ARMED:
            return _given_up(case, operation, unproven=operation)
        case Finding.RESEND if operation.may_be_queued and not _a_pause_may_apply(case, operation):
            return disarm(close(case))
        case Finding.RESEND:
            # Repeated if planning afresh still asks for it, else waited out: see ``wait_out`` and ``steps``.
            return case
        case Finding.WAIT:
            return _wait(case, operation)
        case _ as never:
            assert_never(never)


def wait_out(case: Case) -> Decision | None:
    """A pause or resume without effect that the spec asks for no more may still arrive: all else waits for that."""
    operation = case.journal.operation
    if operation is None:
        return None
    runs, edits = case.desired.wants_running, isinstance(case.change, ConfigUpdate)
    asked = (edits or not runs) if operation.step is Step.PAUSE else (runs and not edits)
    return None if asked else _wait(case, operation)


def close(case: Case, *, unproven: Operation | None = None) -> Case:
    """The case without its operation; an unproven edit counts if PeerDB accepted it, or if it cost a long stop."""
    bounds = case.journal.bounds
    long_stop = case.history.paused_for >= case.limits.paused_patience
    if unproven is not None and unproven.step is Step.EDIT and (unproven.accepted or long_stop):
        bounds = after_unproven(bounds, unproven.to, case.limits, case.now)
    return case.with_journal(Journal(None, bounds))


def _effective(case: Case, operation: Operation) -> Case:
    bounds = case.journal.bounds
    if shows_goal(operation, case.seen.config):
        bounds = after_proven(bounds, case.limits, case.now)
    elif operation.step is Step.RESUME and operation.to:
        bounds = after_unproven(bounds, operation.to, case.limits, case.now)
    return case.with_journal(Journal(None, bounds))


def _finding(case: Case, operation: Operation) -> Finding:
    finding = judge(operation, case.seen, case.history, case.limits, case.now)
    blind = operation.step is Step.EDIT and case.config is None and case.state is State.RUNNING
    if blind and not case.desired.wants_running and case.now - operation.sent_at >= case.limits.forget:
        return Finding.ARMED
    return finding


def _given_up(case: Case, operation: Operation, *, unproven: Operation | None = None) -> Decision | Case:
    """Close a command without effect; in RUNNING an edit of ours may still be queued behind it."""
    fired = operation.step is Step.PAUSE and case.history.pausing_seen
    if operation.may_be_queued and case.state is State.RUNNING and not fired:
        return _armed(case, operation, close(case, unproven=unproven))
    return close(case, unproven=unproven)


def _armed(case: Case, operation: Operation, closed: Case) -> Decision | Case:
    """An edit that is lost, or waits for the next pause: keep it only while that pause may apply it."""
    return replace(closed, queued=case.journal) if _a_pause_may_apply(closed, operation) else disarm(closed)


def disarm(closed: Case) -> Decision:
    """Overwrite what may wait in PeerDB's queue; ``closed``: without the operation that may have put it there.

    Only in RUNNING: PeerDB resumes a paused mirror that gets an update, an empty one too.
    """
    reported = verdict(
        Reason.EDITING,
        "an earlier edit may still wait in PeerDB's queue; it is overwritten so that no later pause applies it",
    )
    return closed.decide("disarm", Requeue(0.0), reported, Disarm())


def _a_pause_may_apply(case: Case, operation: Operation) -> bool:
    """Whether the spec still asks for a queued edit, and this very reconcile goes on to the pause that settles it.

    An edit of an older generation may remove a table that the spec has again. One of this generation that no pause
    follows (its bounds hold it, or its precheck fails) would wait until the spec has changed.
    """
    same = operation.generation == case.desired.generation
    if case.desired.wants_running:
        return same and isinstance(compare(case).change, ConfigUpdate)
    if case.config is None:
        return same
    change = next_change(case.desired, case.config, edit_bytes=case.limits.edit_bytes)
    return isinstance(change, ConfigUpdate) and change.applied_to(case.config).fingerprint == operation.to


def _wait(case: Case, operation: Operation) -> Decision:
    age = case.now - operation.sent_at
    wait = case.limits.requeue_short if case.state is State.PAUSED else growing_requeue(age, case.limits)
    reported = verdict(*MESSAGES[operation.step]).with_failure(case.history.outcome_unknown)
    return case.decide("in flight", Requeue(wait), case.known_refusal() or reported)

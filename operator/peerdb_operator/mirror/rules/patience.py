"""The two minutes: how long a mirror that should run may stay PAUSED, and what ends the stop when they are over.

They run from the first observation of PAUSED. Failed reads and commands spend them and never start them anew.
"""

from __future__ import annotations

from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import Operation, Step
from peerdb_operator.mirror.rules.change import next_change
from peerdb_operator.mirror.rules.conditions import Verdict, verdict
from peerdb_operator.mirror.rules.decision import Decision, Resume
from peerdb_operator.mirror.rules.journal import Journal, resume_gap
from peerdb_operator.mirror.rules.observation import OwnerKind, State
from peerdb_operator.mirror.rules.state import Case
from peerdb_operator.peerdb.models import ConfigUpdate
from peerdb_operator.ports import Requeue

TOO_LONG = "the edit took too long; the mirror is resumed and the edit tried again"
STOPPED = "the mirror should run and has been PAUSED for too long; it is asked to resume"


def resume_after_patience(case: Case) -> Decision | None:
    """Rules 8 and 13: after two minutes the resume goes out on status and owner tag alone, whatever is in flight.

    An open edit stays in the journal and is judged once the mirror runs. The resume is repeated every second until
    PeerDB has taken one, then as any other; no edit begins meanwhile.
    """
    if not case.paused_too_long or case.seen.owner.kind is not OwnerKind.OURS:
        return None
    due = _due(case)
    if due <= 0:
        return resume_now(case, "resume after patience")
    reported = _verdict(case)
    return case.decide("resume sent", Requeue(min(due, case.limits.requeue_first)), reported)


def wait_for_answers(case: Case) -> Decision | None:
    """Rule 13: after a stop that ended without its edit, the next begins only when PeerDB answers reliably again."""
    if case.state is not State.RUNNING or not isinstance(case.change, ConfigUpdate) or not is_unreliable(case):
        return None
    message = (
        f"the edit waits until PeerDB has answered {case.limits.reliable_calls} calls in a row; the try before took "
        "too long, and the mirror runs meanwhile"
    )
    return case.decide("wait for answers", Requeue(case.limits.requeue_first), verdict(Reason.EDITING, message))


def is_unreliable(case: Case) -> bool:
    """Whether PeerDB has failed calls of late, and an edit of this mirror has already been tried without success."""
    tried = case.history.paused_for >= case.limits.paused_patience or case.journal.bounds.attempts > 0
    return tried and not case.mirror_state.peerdb_reliable


def time_left(case: Case) -> float:
    """Seconds until the patience with the present stop is over."""
    since = case.history.paused_since
    return case.limits.paused_patience - (0.0 if since is None else case.now - since)


def resume_now(case: Case, rule: str) -> Decision:
    """Resume a mirror whose edit took too long.

    The resume carries the goal it gives up: the stop counts as an attempt once the mirror is seen running. Beside an
    open edit, or in the place of one that is repeated, it is not recorded.
    """
    operation, action = _open(case), Resume(None)
    if operation is None or operation.step not in {Step.EDIT, Step.RESUME}:
        case = case.with_journal(Journal(None, case.journal.bounds))
        action = Resume(case.operation(Step.RESUME, to=_goal(case) or None))
    reported = _verdict(case)
    return case.decide(rule, Requeue(case.limits.requeue_short), reported, action)


def _verdict(case: Case) -> Verdict:
    edits = case.history.goal or isinstance(case.change, ConfigUpdate)
    reported = verdict(Reason.RESUMING, TOO_LONG if edits else STOPPED)
    return case.known_refusal() or reported.with_failure(case.history.outcome_unknown)


def _open(case: Case) -> Operation | None:
    """The command of this very mirror that is in flight; a resume only until it is given up."""
    operation = case.journal.operation
    if operation is None or operation.created_at != case.seen.created_at:
        return None
    age = case.now - operation.sent_at
    old = age >= case.limits.forget and operation.step is Step.RESUME
    return None if old or age <= -case.limits.forget else operation


def _goal(case: Case) -> str:
    """The goal of the stop: as this observation shows it, or as it was when the stop began."""
    if case.config is None:
        return case.history.goal
    change = next_change(case.desired, case.config, edit_bytes=case.limits.edit_bytes)
    return change.applied_to(case.config).fingerprint if isinstance(change, ConfigUpdate) else ""


def _due(case: Case) -> float:
    """Seconds until the next resume may be sent."""
    operation, limits, history = _open(case), case.limits, case.history
    due = history.sent_at + resume_gap(history, limits)
    if operation is not None and operation.step is Step.RESUME:
        due = max(due, operation.sent_at + resume_gap(history, limits))
    if operation is not None and operation.step is Step.EDIT:
        due = max(due, operation.sent_at + limits.proof_after)
    return due - case.now

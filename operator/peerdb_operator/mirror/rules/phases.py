"""Rules for the states in which nothing may be sent: broken, finished, or under way."""

from __future__ import annotations

from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import Step
from peerdb_operator.mirror.rules.change import next_change
from peerdb_operator.mirror.rules.conditions import ConditionChange, Verdict, verdict
from peerdb_operator.mirror.rules.decision import Decision, Observe
from peerdb_operator.mirror.rules.journal import Journal
from peerdb_operator.mirror.rules.limits import Limits
from peerdb_operator.mirror.rules.observation import State
from peerdb_operator.mirror.rules.state import Case, growing_requeue
from peerdb_operator.ports import Requeue

ORPHAN_REPEAT = 600.0


def failed(case: Case) -> Decision | None:
    """FAILED flashes while a table change is dropped or resynced: it counts when seen twice, some seconds apart."""
    if case.state is not State.FAILED:
        return None
    since = case.history.broken_since if case.history.broken_since is not None else case.seen.at
    doubt = since + case.limits.confirmation_gap - case.seen.at
    if doubt > 0:
        return case.decide("failed once", Requeue(doubt))
    message = f'the PeerDB mirror "{case.desired.mirror}" has failed{_own_error(case)}; resync or drop it in PeerDB'
    return _closed(case).decide("failed", Requeue(case.limits.requeue_slow), verdict(Reason.MIRROR_FAILED, message))


def terminated(case: Case) -> Decision | None:
    """TERMINATED mirrors have no workflow: no request reaches them."""
    if case.state is not State.TERMINATED:
        return None
    message = f'the PeerDB mirror "{case.desired.mirror}" is terminated: its workflow is gone; recreate it in PeerDB'
    return _closed(case).decide(
        "terminated", Requeue(case.limits.requeue_slow), verdict(Reason.MIRROR_TERMINATED, message)
    )


def completed(case: Case) -> Decision | None:
    """A snapshot-only mirror that has finished: compared, never edited."""
    if case.state is not State.COMPLETED:
        return None
    case = _closed(case)
    if not case.is_full:
        return case.decide("completed", Requeue(0.0), action=Observe())
    if case.config is None:
        reported = unreadable(case, ConditionChange.TRUE)
        return case.decide("completed, unreadable", Requeue(case.limits.tick), reported)
    if next_change(case.desired, case.config, edit_bytes=case.limits.edit_bytes) is None:
        message = "the snapshot-only mirror has completed"
        return case.decide("completed", Requeue(case.limits.sample), verdict(Reason.COMPLETED, message), accept=True)
    message = (
        "the mirror has completed and PeerDB ignores edits of a completed mirror; "
        "put the spec back, or resync it in PeerDB"
    )
    return case.decide(
        "completed, changed", Requeue(case.limits.sample), verdict(Reason.TABLE_CHANGE_REJECTED, message)
    )


def orphaned(case: Case) -> Decision | None:
    """A row without a workflow takes no command; it is tried again now and then, for PeerDB may have been restored.

    A command that another process has recorded since then is judged like any other.
    """
    operation, sent_at = case.journal.operation, case.history.sent_at
    due = sent_at + ORPHAN_REPEAT - case.now
    if not case.history.orphaned or due <= 0 or (operation is not None and operation.sent_at > sent_at):
        return None
    return _closed(case).decide("orphaned", Requeue(min(due, case.limits.requeue_slow)), orphan_verdict(case))


def orphan_verdict(case: Case) -> Verdict:
    """The verdict on a mirror that shows a state and has no workflow."""
    message = (
        f'the workflow of the PeerDB mirror "{case.desired.mirror}" is gone: PeerDB shows it '
        f"{case.state.capitalize()}, but nothing flows and no request reaches it; recreate it in PeerDB"
    )
    return verdict(Reason.MIRROR_ORPHANED, message)


def in_transition(case: Case) -> Decision | None:
    """SETUP, SNAPSHOT, MODIFYING, RESYNC, TERMINATING, PAUSING: an update sent now would vanish, so wait."""
    reason = _transition_reason(case)
    if reason is None:
        return None
    age = case.now - case.in_state_since()
    often = case.state is State.PAUSING and age < case.limits.deadline_pausing
    wait = Requeue(case.limits.requeue_short if often else growing_requeue(age, case.limits))
    reported = _deadline(case) or case.known_refusal() or verdict(reason, _progress_message(case))
    return case.decide(f"in {case.state}", wait, reported)


def unreadable(case: Case, as_state_says: ConditionChange) -> Verdict | None:
    """The config cannot be read while the status is known; reported when it lasts."""
    since = case.history.unreadable_since
    if since is None or case.now - since < case.limits.unreadable_patience:
        return None
    message = f"PeerDB shows the mirror's state but not its tables and settings: {case.why_unreadable}; edits wait"
    return verdict(Reason.CONFIG_UNREADABLE, message).with_ready(
        as_state_says if case.has_settled else ConditionChange.UNKNOWN
    )


def _closed(case: Case) -> Case:
    return case.with_journal(Journal(None, case.journal.bounds))


def _own_error(case: Case) -> str:
    return f" ({case.history.error[0]})" if case.history.error is not None else ""


def _transition_reason(case: Case) -> Reason | None:
    simple = {
        State.SETUP: Reason.SETTING_UP,
        State.MODIFYING: Reason.REMOVING_TABLES,
        State.RESYNC: Reason.RESYNCING,
        State.TERMINATING: Reason.TERMINATING,
        State.PAUSING: Reason.PAUSING,
    }
    if case.state is not State.SNAPSHOT:
        return simple.get(case.state)
    operation = case.journal.operation
    ours = operation is not None and operation.step is Step.EDIT
    return Reason.ADDING_TABLES if ours or case.history.previous_word == State.PAUSED else Reason.SNAPSHOTTING


def _deadline(case: Case) -> Verdict | None:
    allowed = _allowed(case.state, case.limits)
    since = case.history.progress_at if case.state is State.SNAPSHOT else case.in_state_since()
    if since is None or case.now - since < allowed:
        return _known_lack_of_progress(case)
    what = (
        "no partition or row was copied" if case.state is State.SNAPSHOT else f"the mirror is {case.state.capitalize()}"
    )
    error = (
        f"; its newest error: {case.history.error[0]}"
        if case.history.error is not None
        else "; its log in PeerDB may say why"
    )
    return verdict(Reason.PROGRESS_DEADLINE_EXCEEDED, f"{what} for more than {allowed / 60:.0f} minutes{error}")


def _known_lack_of_progress(case: Case) -> Verdict | None:
    """A copy that another process has found to make no progress, and in which this one has seen none either."""
    history, known = case.history, case.view.status.ready
    if known is None or known.reason != Reason.PROGRESS_DEADLINE_EXCEEDED or case.is_another:
        return None
    moves = history.previous_word is not None or history.progress_at != history.word_since
    if moves or case.state is not State.SNAPSHOT or (case.view.status.state or "").upper() != case.seen.word:
        return None
    return verdict(Reason.PROGRESS_DEADLINE_EXCEEDED, known.message)


def _allowed(state: State, limits: Limits) -> float:
    return {
        State.PAUSING: limits.deadline_pausing,
        State.SETUP: limits.deadline_setup,
        State.MODIFYING: limits.deadline_modifying,
        State.SNAPSHOT: limits.deadline_snapshot,
    }.get(state, limits.deadline_terminating)


def _progress_message(case: Case) -> str:
    match case.state:
        case State.SNAPSHOT:
            progress = case.seen.progress
            done = (
                f" ({progress.partitions} of {progress.partitions_total} partitions, {progress.rows} rows)"
                if progress
                else ""
            )
            return f"copying tables{done}; all tables of the mirror wait meanwhile"
        case State.TERMINATING:
            return "another client drops this mirror in PeerDB"
        case State.RESYNC:
            return "another client resyncs this mirror in PeerDB"
        case State.MODIFYING:
            return "PeerDB removes tables from the mirror"
        case State.PAUSING:
            return "PeerDB is pausing the mirror"
        case _:
            return "PeerDB sets the mirror up"

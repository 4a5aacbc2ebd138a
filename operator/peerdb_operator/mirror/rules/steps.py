"""Rules 9 to 14: what to do with a mirror in RUNNING or PAUSED that nothing is in flight for.

A blocked difference sets the verdict and never stops the run state from being followed.
"""

from __future__ import annotations

from dataclasses import replace

from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import Step
from peerdb_operator.mirror.rules.change import (
    Blocked,
    describe_conflict,
    diff_tables,
    in_words,
    next_change,
    precheck_key,
)
from peerdb_operator.mirror.rules.conditions import ConditionChange, Verdict, verdict
from peerdb_operator.mirror.rules.decision import Confirm, Decision, Observe, Pause, Precheck, Resume, SendUpdate
from peerdb_operator.mirror.rules.flow import batches_due_in
from peerdb_operator.mirror.rules.gates import conflict_message
from peerdb_operator.mirror.rules.history import PrecheckResult
from peerdb_operator.mirror.rules.journal import Journal, after_sending, blocked_by
from peerdb_operator.mirror.rules.observation import OwnerKind, State
from peerdb_operator.mirror.rules.patience import is_unreliable, resume_now, time_left
from peerdb_operator.mirror.rules.phases import orphan_verdict, unreadable
from peerdb_operator.mirror.rules.state import Case
from peerdb_operator.peerdb.models import ConfigUpdate
from peerdb_operator.ports import Requeue

SHORTEST_REQUEUE = 0.9
"""What the jitter leaves of a requeue at least."""
SETTLED_AS: dict[State, frozenset[str]] = {
    State.RUNNING: frozenset({Reason.RUNNING, Reason.RUNNING_WITH_ERRORS}),
    State.PAUSED: frozenset({Reason.PAUSED, Reason.PAUSED_WITH_PENDING_CHANGES}),
    State.COMPLETED: frozenset({Reason.COMPLETED}),
}


def quiet(case: Case) -> Decision | None:
    """A light observation of a settled mirror agrees with its status, and nothing has happened to it in between."""
    if case.is_full or case.journal.operation is not None or not case.has_settled or case.history.changed_since_full:
        return None
    expected = {State.COMPLETED, State.RUNNING if case.desired.wants_running else State.PAUSED}
    if case.state not in expected or case.is_pending or case.view.status.ready_reason not in SETTLED_AS[case.state]:
        return None
    if case.owner.kind is not OwnerKind.OURS:
        return None
    if case.state is State.RUNNING:
        return _running(case, "quiet")
    return case.decide("quiet", Requeue(_settled_wait(case)))


def observe_fully(case: Case) -> Decision | None:
    """All rules below need the owner tag and the config of this very reconcile."""
    return None if case.is_full else case.decide("observe fully", Requeue(0.0), action=Observe())


def compare(case: Case) -> Case:
    """Rule 9: the next edit, why it is blocked, or that nothing differs."""
    return replace(case, change=_change(case), compared=True)


def paused_as_desired(case: Case) -> Decision | None:
    """Rule 10, PAUSED: settled; an edit would resume the mirror, so a possible one waits."""
    if case.desired.wants_running or case.state is not State.PAUSED:
        return None
    return case.decide("paused", Requeue(_settled_wait(case)), _paused_verdict(case), accept=_accepts(case))


def pause_as_desired(case: Case) -> Decision | None:
    """Rule 10, RUNNING: pause."""
    if case.desired.wants_running:
        return None
    return _pause(case, "pause", "the spec wants the mirror paused")


def pause_to_edit(case: Case) -> Decision | None:
    """Rule 11: check the additions while the mirror runs, then pause it for the edit."""
    if case.state is not State.RUNNING or not isinstance(case.change, ConfigUpdate):
        return None
    if not _prechecked(case, case.change):
        return _validate(case, case.change)
    assert case.config is not None  # noqa: S101 - an edit is only ever planned against a config
    goal = case.change.applied_to(case.config).fingerprint
    return replace(_pause(case, "pause to edit", f"paused to {in_words(case.change)}"), goal=goal)


def wait_for_config(case: Case) -> Decision | None:
    """Rule 13: a config that cannot be read for a moment is waited for; not for long."""
    if case.state is not State.PAUSED or case.config is not None:
        return None
    since = case.history.unreadable_since if case.history.unreadable_since is not None else case.now
    if case.now - since >= case.limits.unreadable_patience:
        return None
    return case.decide("wait for config", Requeue(case.limits.requeue_short))


def edit(case: Case) -> Decision | None:
    """Rule 12: one edit, on two equal observations of PAUSED, with its additions checked."""
    change = case.change
    if case.state is not State.PAUSED or not isinstance(change, ConfigUpdate) or case.config is None:
        return None
    checked = _prechecked(case, change)
    takes = case.limits.edit_takes if checked else case.limits.precheck_takes
    if is_unreliable(case) or time_left(case) < takes:
        return None
    if not checked:
        return _validate(case, change)
    if not case.history.confirmed:
        return case.decide("confirm", Requeue(case.limits.requeue_short), action=Confirm(case.limits.confirm_gap))
    operation = case.operation(Step.EDIT, from_=case.config.fingerprint, to=change.applied_to(case.config).fingerprint)
    noted = case.with_journal(Journal(None, after_sending(case.journal.bounds, change, case.now)))
    reported = verdict(Reason.EDITING, f"sending to PeerDB: {in_words(change)}")
    return noted.decide(
        "edit", Requeue(case.limits.requeue_short), reported, SendUpdate(change, operation), accept=True
    )


def resume(case: Case) -> Decision | None:
    """Rule 13: nothing to edit, or nothing that may be sent."""
    if case.state is not State.PAUSED:
        return None
    if isinstance(case.change, ConfigUpdate) and not is_unreliable(case):
        return resume_now(case, "resume too late to edit")
    message = "the spec wants the mirror running"
    if isinstance(case.change, Blocked) and case.change.reason is Reason.CONFIG_UNREADABLE:
        message = f"{message}, without an edit: {case.change.message}"
    action = Resume(case.operation(Step.RESUME) if case.journal.operation is None else None)
    return case.decide(
        "resume", Requeue(case.limits.requeue_short), verdict(Reason.RESUMING, message), action, accept=_accepts(case)
    )


def settled(case: Case) -> Decision:
    """Rule 14: RUNNING as desired, and nothing to send."""
    if case.config is None:
        return case.decide("settled, unreadable", Requeue(case.limits.tick), unreadable(case, ConditionChange.TRUE))
    if case.history.orphaned:
        return case.decide("settled, orphaned", Requeue(case.limits.requeue_slow), orphan_verdict(case))
    return replace(_running(case, "settled", accept=_accepts(case)), goal="")


def _change(case: Case) -> ConfigUpdate | Blocked | None:
    if case.desired.invalid:
        return Blocked(Reason.INVALID_SPEC, case.desired.invalid)
    if case.config is None:
        message = f"PeerDB does not show the mirror's tables and settings: {case.why_unreadable}"
        return Blocked(Reason.CONFIG_UNREADABLE, message)
    if case.view.status.tables is None and describe_conflict(diff_tables(case.desired, case.config)):
        return Blocked(Reason.ADOPTION_CONFLICT, conflict_message(case))
    change = next_change(case.desired, case.config, edit_bytes=case.limits.edit_bytes)
    if not isinstance(change, ConfigUpdate):
        return change
    bound = blocked_by(case.journal.bounds, change, case.config, case.limits, case.now)
    return bound or _failed_precheck(case, change) or change


def _failed_precheck(case: Case, change: ConfigUpdate) -> Blocked | None:
    known = _precheck_of(case, change)
    if known is None or known.reason is None or case.now >= known.retry_at:
        return None
    return Blocked(known.reason, known.message, until=known.retry_at)


def _precheck_of(case: Case, change: ConfigUpdate) -> PrecheckResult | None:
    known = case.history.precheck
    return known if known is not None and known.key == precheck_key(change, case.desired) else None


def _prechecked(case: Case, change: ConfigUpdate) -> bool:
    """Passed within a minute before this stop, or in it. Removals and settings need no check."""
    if not change.additions:
        return True
    known = _precheck_of(case, change)
    if known is None or known.reason is not None:
        return False
    stopped = case.history.paused_since if case.state is State.PAUSED else None
    return known.at >= (case.now if stopped is None else stopped) - case.limits.precheck_fresh


def _validate(case: Case, change: ConfigUpdate) -> Decision:
    action = Precheck(
        change,
        precheck_key(change, case.desired),
        copy=not case.desired.skip_snapshot,
        short=case.state is State.PAUSED,
    )
    # A mirror that was Ready is so no more when it is PAUSED for as long as the check takes.
    stopped = action.short and not case.is_pending
    reported = verdict(Reason.EDITING, f"PeerDB checks whether it can {in_words(change)}") if stopped else None
    return case.decide("precheck", Requeue(case.limits.requeue_first), reported, action)


def _pause(case: Case, rule: str, message: str) -> Decision:
    queued = None if case.queued is None else case.queued.operation
    goal = None if queued is None else queued.to
    action = Pause(case.operation(Step.PAUSE, to=goal) if case.journal.operation is None else None)
    reported = verdict(Reason.PAUSING, message)
    return case.decide(rule, Requeue(case.limits.requeue_short), reported, action, accept=_accepts(case))


def _accepts(case: Case) -> bool:
    """Whether the spec's list may be called the mirror's: it has been compared, and takes nothing away at first."""
    refusals = {Reason.ADOPTION_CONFLICT, Reason.CONFIG_UNREADABLE}
    return not isinstance(case.change, Blocked) or case.change.reason not in refusals


def _paused_verdict(case: Case) -> Verdict | None:
    if case.config is None:
        return unreadable(case, ConditionChange.TRUE)
    if case.history.orphaned:
        return orphan_verdict(case)
    if isinstance(case.change, ConfigUpdate):
        message = (
            f"paused as wished; waiting for spec.state Running to {in_words(case.change)} "
            "(PeerDB resumes a mirror when it edits it)"
        )
        return verdict(Reason.PAUSED_WITH_PENDING_CHANGES, message)
    return verdict(Reason.PAUSED, "paused as wished")


def _running(case: Case, rule: str, *, accept: bool = False) -> Decision:
    """RUNNING as desired, with an error that no batch has answered; before it is reported the batches are read."""
    wait, error, due_in = _settled_wait(case), case.history.error, batches_due_in(case.history, case.limits, case.now)
    if error is None or due_in is None:
        return case.decide(rule, Requeue(wait), verdict(Reason.RUNNING, "running as wished"), accept=accept)
    if due_in <= 0:
        return case.decide("read batches", Requeue(case.limits.requeue_short), action=Observe(batches=True))
    message = f"running, but no batch is known to have ended after the newest error in the mirror's log: {error[0]}"
    wait = min(wait, max(1.0, due_in / SHORTEST_REQUEUE))
    return case.decide(rule, Requeue(wait), verdict(Reason.RUNNING_WITH_ERRORS, message), accept=accept)


def _settled_wait(case: Case) -> float:
    """The sample period, or sooner when time alone changes the verdict."""
    waits = [case.limits.sample]
    if isinstance(case.change, Blocked):
        waits.append(
            max(1.0, case.change.until - case.now) if case.change.until is not None else case.limits.requeue_slow
        )
    return min(waits)

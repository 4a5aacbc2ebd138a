"""The smaller planner: what happens to the PeerDB mirror of a Mirror that is being deleted.

Two ways out of the finalizer: *release* (the mirror stays, and runs again if we had stopped it) and *drop*. A drop
needs our owner tag, read in this very reconcile, and the reason why the object goes: the deletion of a namespace or of
the CRD drops nothing.
"""

from __future__ import annotations

from peerdb_operator.api.mirror import DeletionPolicy, DropSpec
from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import Operation, Step
from peerdb_operator.mirror.rules.conditions import Verdict, verdict
from peerdb_operator.mirror.rules.decision import Decision, Drop, Observe, Release, Resume
from peerdb_operator.mirror.rules.desired import Desired
from peerdb_operator.mirror.rules.gates import untagged_wait
from peerdb_operator.mirror.rules.history import absence_gap
from peerdb_operator.mirror.rules.in_flight import close, disarm
from peerdb_operator.mirror.rules.journal import Finding, Journal, judge
from peerdb_operator.mirror.rules.limits import MINUTE, Limits
from peerdb_operator.mirror.rules.observation import Absent, Found, OwnerKind, State, Unknown
from peerdb_operator.mirror.rules.state import Case, Claims, Rule, growing_requeue
from peerdb_operator.ports import Requeue

RETRY_LONGEST = 10.0
_RESTORED = verdict(Reason.RESUMING, "being deleted without a drop; the mirror is seen running again first")


def release_cause(desired: Desired, claims: Claims) -> str | None:
    """Describe why Kubernetes alone decides that nothing is dropped; None when it does not."""
    if desired.deletion_policy is DeletionPolicy.RETAIN:
        return "spec.deletionPolicy is Retain"
    if claims.successor is not None:
        return f"the Mirror {claims.successor} takes the PeerDB mirror over"
    if claims.crd_terminating:
        return "the CustomResourceDefinition is being deleted"
    if claims.namespace_terminating and not claims.drops_with_namespace:
        return "the namespace is being deleted"
    return None


def unfinished(case: Case) -> Decision | None:
    """Without our finalizer the object goes by itself."""
    return None if case.view.has_finalizer else case.decide("nothing to release", Requeue(None))


def frozen(case: Case) -> Decision | None:
    """Hands off holds a drop; a release sends nothing and goes through."""
    if not case.view.frozen:
        return None
    if (cause := release_cause(case.desired, case.claims)) is not None:
        return _release_now(case, "release frozen", f"{cause}; reconciliation is disabled, nothing is sent")
    message = (
        'being deleted, but the annotation peerdb.io/reconcile is "disabled": remove it to drop the mirror, '
        "or set spec.deletionPolicy: Retain"
    )
    # Requeued: no watch event reports that the namespace or the CRD of this object is being deleted too.
    return case.decide("frozen", Requeue(case.limits.requeue_slow), verdict(Reason.RECONCILE_DISABLED, message))


def release(case: Case) -> Decision | None:
    """Leave the mirror alone, but do not leave it stopped by us."""
    cause = release_cause(case.desired, case.claims)
    if cause is None:
        return None
    if drop_sent(case):
        return _release_now(case, "release dropped", f"{cause}, but {_drop_progress(case)}", warns=True)
    hands_over = case.desired.deletion_policy is DeletionPolicy.RETAIN or case.claims.successor is not None
    seen = case.observation
    if isinstance(seen, Absent):
        return _release_now(case, "gone", f"{cause}; PeerDB has no such mirror")
    if isinstance(seen, Found) and not case.is_full:
        return case.decide("observe fully", Requeue(0.0), action=Observe())
    held = _held(case, seen)
    if held is None:
        ours = isinstance(seen, Unknown) or seen.owner.kind is OwnerKind.OURS
        return _release_now(case, "release", f"{cause}; the mirror stays in PeerDB", hand_over=hands_over and ours)
    released_since = case.history.release_since if case.history.release_since is not None else case.now
    if case.now - max((case.view.deleted_at or 0.0), released_since) < case.limits.release_patience:
        return held
    warning = f'{cause}; the PeerDB mirror "{case.desired.mirror}" {_left_behind(case, seen)}'
    return _release_now(case, "release after patience", warning, hand_over=hands_over, warns=True)


def stay_when_blind(case: Case) -> Decision | None:
    """A drop is never guessed: not without PeerDB, and not without knowing why the object goes."""
    if case.claims.crd_terminating is None or case.claims.namespace_terminating is None:
        message = "cannot read from Kubernetes whether the namespace or the CRD is being deleted; the drop waits"
        return case.decide(
            "blind in Kubernetes", Requeue(1.0, "kubernetes", RETRY_LONGEST * 3), verdict(Reason.DROP_BLOCKED, message)
        )
    seen = case.observation
    if not isinstance(seen, Unknown):
        return None
    if seen.reason is Reason.MIRROR_NOT_FOUND:
        return case.decide("one 404", Requeue(absence_gap(case.limits, drop_sent=drop_sent(case))))
    lasts = case.now - (case.history.unknown_since if case.history.unknown_since is not None else case.now)
    wait = Requeue(1.0, seen.reason, RETRY_LONGEST * 3)
    if lasts < case.limits.outage_quiet:
        return case.decide("blind", wait)
    message = f"the drop waits for PeerDB: {seen.message}; to leave without dropping, set spec.deletionPolicy: Retain"
    return case.decide("blind", wait, verdict(Reason.DROP_BLOCKED, message))


def gone(case: Case) -> Decision | None:
    """Nothing is left to drop."""
    if not isinstance(case.observation, Absent):
        return None
    return _release_now(case, "gone", "PeerDB has no such mirror any more", dropped=drop_sent(case))


def observe_fully(case: Case) -> Decision | None:
    """The owner tag decides."""
    return None if case.is_full else case.decide("observe fully", Requeue(0.0), action=Observe())


def not_ours(case: Case) -> Decision | None:
    """The mirror never was ours, or has another owner by now."""
    kind = case.seen.owner.kind
    if kind is OwnerKind.OURS:
        return None
    if kind is OwnerKind.NONE and (doubt := untagged_wait(case)) > 0:
        return case.decide("no owner once", Requeue(doubt))
    return _release_now(case, "not ours", "PeerDB's mirror does not carry our owner tag; it stays in PeerDB")


def drop_sent(case: Case) -> bool:
    """Whether a drop of this very mirror is recorded."""
    operation = case.journal.operation
    if operation is None or operation.step is not Step.DROP:
        return False
    return not isinstance(case.observation, Found) or operation.created_at == case.seen.created_at


def _drop_progress(case: Case) -> str:
    """Describe what is known of a recorded drop."""
    operation, seen = case.journal.operation, case.observation
    accepted = operation is not None and operation.accepted
    if accepted or not isinstance(seen, Found) or seen.state is State.TERMINATING:
        return "its drop is already under way"
    return f"its drop may already be under way; the mirror is {seen.state.capitalize()}: check it in PeerDB"


def _release_now(
    case: Case, rule: str, note: str, *, hand_over: bool = False, warns: bool = False, dropped: bool = False
) -> Decision:
    return case.decide(rule, Requeue(None), action=Release(hand_over, warns, dropped), note=note)


def _left_behind(case: Case, seen: Found | Unknown) -> str:
    """Describe what is wrong with a mirror that is released after the wait."""
    if case.history.orphaned:
        return "was not seen running again: its workflow is gone and nothing flows, recreate it in PeerDB"
    if isinstance(seen, Found) and seen.state is State.RUNNING:
        return "runs, but its next pause may apply an edit that was sent before: check its tables in PeerDB after that"
    return "was not seen running again: check it in PeerDB"


def _held(case: Case, seen: Found | Unknown) -> Decision | None:
    """What a release still waits for, so that no mirror of ours stays stopped or loses a table; None when nothing."""
    operation = case.journal.operation
    if not (case.desired.wants_running or (operation is not None and operation.may_be_queued)):
        return None
    if isinstance(seen, Unknown):
        longest = case.limits.resume_retry if case.mirror_state.stops else RETRY_LONGEST
        return case.decide("restore blind", Requeue(1.0, seen.reason, longest))
    if seen.owner.kind is not OwnerKind.OURS:
        doubt = untagged_wait(case) if seen.owner.kind is OwnerKind.NONE else 0.0
        return case.decide("no owner once", Requeue(doubt)) if doubt > 0 else None
    return _in_flight(case, seen) or (_stopped(case, seen) if case.desired.wants_running else None)


def _in_flight(case: Case, seen: Found) -> Decision | None:
    operation = case.journal.operation
    if operation is None:
        return None
    if _still_open(case, seen, operation):
        return case.decide("restore in flight", Requeue(case.limits.requeue_first), _RESTORED)
    return disarm(close(case)) if _would_fire(case, seen, operation) else None


def _stopped(case: Case, seen: Found) -> Decision | None:
    operation = case.journal.operation
    if seen.state is State.PAUSING:
        return case.decide("restore pausing", Requeue(case.limits.requeue_short), _RESTORED)
    if seen.state is not State.PAUSED:
        return None
    asked = case.now - case.history.sent_at
    if case.history.orphaned and asked < case.limits.resend:
        return case.decide("restore orphaned", Requeue(case.limits.resend - asked), _RESTORED)
    repeated = operation is not None and operation.step is Step.RESUME and operation.created_at == seen.created_at
    kept = case if repeated else case.with_journal(Journal(None, case.journal.bounds))
    action = Resume(None if repeated else case.operation(Step.RESUME))
    return kept.decide("restore", Requeue(case.limits.requeue_short), _RESTORED, action)


def _still_open(case: Case, seen: Found, operation: Operation) -> bool:
    """Whether the command in flight may still change the run state."""
    if operation.created_at != seen.created_at:
        return False
    if seen.state not in {State.RUNNING, State.PAUSED}:
        return True
    age = case.now - operation.sent_at
    # This operator edits the mirror no more: an edit that does not show in time holds no resume.
    over = operation.step is Step.EDIT and case.paused_too_long and age >= case.limits.proof_after
    if over or ((case.config is None or case.state is State.PAUSED) and age >= case.limits.forget):
        return False
    finding = judge(operation, seen, case.history, case.limits, case.now)
    return finding is Finding.WAIT or (finding is Finding.RESEND and operation.step is Step.PAUSE)


def _would_fire(case: Case, seen: Found, operation: Operation) -> bool:
    """Whether the next pause may apply an edit of ours to a mirror that is left to others."""
    if seen.state is not State.RUNNING or operation.created_at != seen.created_at or not operation.may_be_queued:
        return False
    if operation.step is Step.PAUSE and case.history.pausing_seen:
        return False
    return judge(operation, seen, case.history, case.limits, case.now) is not Finding.EFFECTIVE


HOPELESS_REPEAT = 600.0
WAY_OUT = "recreate it in PeerDB first, or, to release the object without a drop, set spec.deletionPolicy: Retain"


def wait_for_flight(case: Case) -> Decision | None:
    """A drop sent right after a resume is answered 200 and lost: wait until that shows, or is old."""
    operation = case.journal.operation
    if operation is None or operation.step not in {Step.EDIT, Step.RESUME} or case.state is not State.PAUSED:
        return None
    age = case.now - max(operation.sent_at, case.history.sent_at)
    if operation.created_at != case.seen.created_at or abs(age) >= case.limits.forget:
        return None
    reported = verdict(Reason.DROPPING, "the drop waits until the resume that was sent before it shows")
    return case.decide("drop waits for flight", Requeue(case.limits.requeue_short), reported)


def under_way(case: Case) -> Decision | None:
    """PeerDB is at it."""
    if case.state is not State.TERMINATING:
        return None
    age = case.now - case.in_state_since()
    reported = _overdue(case, case.in_state_since()) or _dropping(case)
    return case.decide("dropping", Requeue(growing_requeue(age, case.limits)), reported)


def repeat(case: Case) -> Decision | None:
    """The drop is recorded but does not show: the identical request again."""
    operation = case.journal.operation
    if operation is None or not drop_sent(case):
        return None
    since = max(operation.sent_at, case.in_state_since())
    failed = f"; the newest request failed: {error}" if (error := case.history.outcome_unknown) else ""
    reported = _terminated(case) or _orphaned(case) or _overdue(case, since, failed) or _dropping(case, failed)
    period = HOPELESS_REPEAT if reported.reason is Reason.MIRROR_TERMINATED else case.limits.drop_repeat
    age = case.now - max(operation.sent_at, case.history.sent_at)
    if abs(age) < period:
        wait = growing_requeue(age, case.limits) if reported.reason is Reason.DROPPING else period
        return case.decide("drop sent", Requeue(min(period - age, wait)), reported)
    action = Drop(DropSpec.decode(operation.to or ""), operation, first=False)
    return case.decide("repeat drop", Requeue(case.limits.requeue_first), reported, action)


def drop_rate_limit(case: Case) -> Decision | None:
    """Hold a drop that exceeds the drop rate limit: many at once are a mistake more often than intended."""
    if case.claims.drop_wait <= 0:
        return None
    message = f"held: {_rate(case.limits)}. To keep the mirror, set spec.deletionPolicy: Retain"
    return case.decide("drop held", Requeue(case.claims.drop_wait), verdict(Reason.DROP_HELD, message))


def drop(case: Case) -> Decision:
    """Record, then send."""
    flags = case.desired.drop
    operation: Operation = case.operation(Step.DROP, to=flags.encode())
    note = "the drop is written down, then sent"
    action = Drop(flags, operation, first=True)
    return case.decide("drop", Requeue(case.limits.requeue_first), _dropping(case), action, note=note)


DELETION: tuple[Rule, ...] = (
    unfinished,
    frozen,
    release,
    stay_when_blind,
    gone,
    observe_fully,
    not_ours,
    wait_for_flight,
    under_way,
    repeat,
    drop_rate_limit,
    drop,
)


def _rate(limits: Limits) -> str:
    if limits.brake_drops == 0:
        return "this operator is set to drop no mirror (PEERDB_OPERATOR_BRAKE_DROPS is 0)"
    between = limits.brake_window / limits.brake_drops
    period = f"{between / MINUTE:.3g} minutes" if between >= MINUTE else f"{between:.3g} seconds"
    mirrors = "1 mirror" if limits.brake_drops == 1 else f"{limits.brake_drops} mirrors"
    return f"this operator drops at most {mirrors} at once and one more every {period}"


def _dropping(case: Case, failed: str = "") -> Verdict:
    return verdict(Reason.DROPPING, f'PeerDB drops the mirror "{case.desired.mirror}"; destination tables stay{failed}')


def _overdue(case: Case, since: float, failed: str = "") -> Verdict | None:
    """A drop that does not end: PeerDB repeats its clean-up for hours, and answers 200 even if no worker runs it."""
    if case.now - since < case.limits.deadline_terminating:
        return None
    error = case.history.error
    newest = f"; its newest error: {error[0]}" if error is not None else ""
    tried = error is not None and error[1] >= since
    advice = (
        "are both its databases reachable?"
        if tried
        else "its log shows no failed try since: are PeerDB's workers up, is its workflow still in Temporal?"
    )
    return verdict(
        Reason.PROGRESS_DEADLINE_EXCEEDED,
        f"PeerDB was asked more than {case.limits.deadline_terminating / MINUTE:.0f} minutes ago to drop the mirror "
        f'"{case.desired.mirror}" and still shows it {case.state.capitalize()}{newest}{failed}; {advice} To release '
        "the object without waiting, set spec.deletionPolicy: Retain",
    )


def _terminated(case: Case) -> Verdict | None:
    since = case.history.broken_since
    if case.state is not State.TERMINATED or since is None or case.seen.at - since < case.limits.confirmation_gap:
        return None
    return verdict(Reason.MIRROR_TERMINATED, f"the mirror is TERMINATED, which PeerDB cannot drop; {WAY_OUT}")


def _orphaned(case: Case) -> Verdict | None:
    if not case.history.orphaned:
        return None
    return verdict(Reason.MIRROR_ORPHANED, f"the mirror's workflow is gone, so PeerDB cannot drop it; {WAY_OUT}")

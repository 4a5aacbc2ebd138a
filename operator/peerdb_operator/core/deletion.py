"""The smaller planner: what happens to the PeerDB mirror of a Mirror that is being deleted.

Two ways out of the finalizer: *release* (the mirror stays, and runs again if we had stopped it) and *drop*. A drop
needs our owner tag, read in this very pass, and knowledge of why the object goes: a namespace or a CRD on its way out
drops nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from peerdb_operator.api.mirror import DeletionPolicy
from peerdb_operator.core.case import Case
from peerdb_operator.core.journal import Finding, Journal, Operation, Step, judge
from peerdb_operator.core.memory import absence_gap
from peerdb_operator.core.observed import Absent, OwnerKind, Seen, State, Unknown
from peerdb_operator.core.plan_types import LookFully, Plan, Release, Resume, Wait
from peerdb_operator.core.reasons import Reason
from peerdb_operator.core.rules_claim import unowned_doubt
from peerdb_operator.core.verdict import verdict

RETRY_LONGEST = 10.0


@dataclass(frozen=True, slots=True)
class Farewell:
    """What a deletion rests on beside the case; ``None`` for a read of Kubernetes that failed.

    ``deleted_at``: deletionTimestamp. ``heir``: namespace/name of another live Mirror for the same PeerDB mirror.
    ``brake_wait``: seconds until the rate limit lets this operator drop the next mirror.
    """

    deleted_at: float
    heir: str | None = None
    crd_terminating: bool | None = False
    namespace_terminating: bool | None = False
    drops_with_namespace: bool = False
    brake_wait: float = 0.0


DeletionRule = Callable[[Case, Farewell], Plan | None]


def release_cause(case: Case, farewell: Farewell) -> str | None:
    """Why Kubernetes alone decides that nothing is dropped, in words; None when it does not."""
    if case.desired.deletion_policy is DeletionPolicy.RETAIN:
        return "spec.deletionPolicy is Retain"
    if farewell.heir is not None:
        return f"the Mirror {farewell.heir} takes the PeerDB mirror over"
    if farewell.crd_terminating:
        return "the CustomResourceDefinition is being deleted"
    if farewell.namespace_terminating and not farewell.drops_with_namespace:
        return "the namespace is being deleted"
    return None


def unfinished(case: Case, _farewell: Farewell) -> Plan | None:
    """Without our finalizer the object goes by itself."""
    return None if case.situation.has_finalizer else case.plan("nothing to release", Wait(None))


def frozen(case: Case, farewell: Farewell) -> Plan | None:
    """Hands off holds a drop; a release sends nothing and goes through."""
    if not case.situation.frozen:
        return None
    if (cause := release_cause(case, farewell)) is not None:
        return _let_go(case, "release frozen", f"{cause}; reconciliation is disabled, nothing is sent")
    message = (
        'being deleted, but the annotation peerdb.io/reconcile is "disabled": remove it to drop the mirror, '
        "or set spec.deletionPolicy: Retain"
    )
    # Looked at again now and then: nobody tells this object when its namespace or the CRD goes as well.
    return case.plan("frozen", Wait(case.limits.slow_look), verdict(Reason.RECONCILE_DISABLED, message))


def release(case: Case, farewell: Farewell) -> Plan | None:
    """Leave the mirror alone, but do not leave it stopped by us."""
    cause = release_cause(case, farewell)
    if cause is None:
        return None
    if drop_sent(case):
        return _let_go(case, "release dropped", f"{cause}, but {_drop_told(case)}", warns=True)
    hands_over = case.desired.deletion_policy is DeletionPolicy.RETAIN or farewell.heir is not None
    look = case.observation
    if isinstance(look, Absent):
        return _let_go(case, "gone", f"{cause}; PeerDB has no such mirror")
    if isinstance(look, Seen) and not case.is_full:
        return case.plan("look fully", Wait(0.0), action=LookFully())
    held = _held(case, look)
    if held is None:
        ours = isinstance(look, Unknown) or look.owner.kind is OwnerKind.OURS
        return _let_go(case, "release", f"{cause}; the mirror stays in PeerDB", hand_over=hands_over and ours)
    released_since = case.memory.release_since if case.memory.release_since is not None else case.now
    if case.now - max(farewell.deleted_at, released_since) < case.limits.release_patience:
        return held
    why = "check it in PeerDB"
    if case.memory.orphaned:
        why = "its workflow is gone and nothing flows, recreate it in PeerDB"
    warning = f'{cause}; the PeerDB mirror "{case.desired.mirror}" was not seen running again: {why}'
    return _let_go(case, "release after patience", warning, hand_over=hands_over, warns=True)


def stay_when_blind(case: Case, farewell: Farewell) -> Plan | None:
    """A drop is never guessed: not without PeerDB, and not without knowing why the object goes."""
    if farewell.crd_terminating is None or farewell.namespace_terminating is None:
        message = "cannot read from Kubernetes whether the namespace or the CRD is being deleted; the drop waits"
        return case.plan(
            "blind in Kubernetes", Wait(1.0, "kubernetes", RETRY_LONGEST * 3), verdict(Reason.DROP_BLOCKED, message)
        )
    look = case.observation
    if not isinstance(look, Unknown):
        return None
    if look.reason is Reason.MIRROR_NOT_FOUND:
        return case.plan("one 404", Wait(absence_gap(case.limits, drop_sent=drop_sent(case))))
    lasts = case.now - (case.memory.unknown_since if case.memory.unknown_since is not None else case.now)
    wait = Wait(1.0, look.reason, RETRY_LONGEST * 3)
    if lasts < case.limits.outage_quiet:
        return case.plan("blind", wait)
    message = f"the drop waits for PeerDB: {look.message}; to leave without dropping, set spec.deletionPolicy: Retain"
    return case.plan("blind", wait, verdict(Reason.DROP_BLOCKED, message))


def gone(case: Case, _farewell: Farewell) -> Plan | None:
    """Nothing is left to drop."""
    if not isinstance(case.observation, Absent):
        return None
    return _let_go(case, "gone", "PeerDB has no such mirror any more", dropped=drop_sent(case))


def look_fully(case: Case, _farewell: Farewell) -> Plan | None:
    """The owner tag decides."""
    return None if case.is_full else case.plan("look fully", Wait(0.0), action=LookFully())


def not_ours(case: Case, _farewell: Farewell) -> Plan | None:
    """Never owned, or owned by somebody else by now."""
    kind = case.seen.owner.kind
    if kind is OwnerKind.OURS:
        return None
    if kind is OwnerKind.NONE and (doubt := unowned_doubt(case)) > 0:
        return case.plan("no owner once", Wait(doubt))
    return _let_go(case, "not ours", "PeerDB's mirror does not carry our owner tag; it stays in PeerDB")


def drop_sent(case: Case) -> bool:
    """Whether a drop of this very mirror is recorded."""
    operation = case.journal.operation
    if operation is None or operation.step is not Step.DROP:
        return False
    return not isinstance(case.observation, Seen) or operation.created_at == case.seen.created_at


def _drop_told(case: Case) -> str:
    """What is known of a drop that is recorded, in words."""
    operation, look = case.journal.operation, case.observation
    accepted = operation is not None and operation.accepted
    if accepted or not isinstance(look, Seen) or look.state is State.TERMINATING:
        return "its drop is already under way"
    return f"its drop may already be under way; the mirror is {look.state.capitalize()}: check it in PeerDB"


def _let_go(
    case: Case, rule: str, note: str, *, hand_over: bool = False, warns: bool = False, dropped: bool = False
) -> Plan:
    return case.plan(rule, Wait(None), action=Release(hand_over, warns, dropped), note=note)


def _held(case: Case, look: Seen | Unknown) -> Plan | None:
    """What a release still waits for, so that no mirror of ours stays stopped; None when nothing."""
    if not case.desired.wants_running:
        return None
    if isinstance(look, Unknown):
        return case.plan("restore blind", Wait(1.0, look.reason, RETRY_LONGEST))
    if look.owner.kind is not OwnerKind.OURS:
        doubt = unowned_doubt(case) if look.owner.kind is OwnerKind.NONE else 0.0
        return case.plan("no owner once", Wait(doubt)) if doubt > 0 else None
    told = verdict(Reason.RESUMING, "being deleted without a drop; the mirror is seen running again first")
    operation = case.journal.operation
    if operation is not None and _still_open(case, look, operation):
        return case.plan("restore in flight", Wait(case.limits.look_first), told)
    if look.state is State.PAUSING:
        return case.plan("restore pausing", Wait(case.limits.look_short), told)
    if look.state is not State.PAUSED:
        return None
    asked = case.now - case.memory.sent_at
    if case.memory.orphaned and asked < case.limits.resend:
        return case.plan("restore orphaned", Wait(case.limits.resend - asked), told)
    repeated = operation is not None and operation.step is Step.RESUME and operation.created_at == look.created_at
    kept = case if repeated else case.with_journal(Journal(None, case.journal.bounds))
    action = Resume(None if repeated else case.operation(Step.RESUME))
    return kept.plan("restore", Wait(case.limits.look_short), told, action)


def _still_open(case: Case, look: Seen, operation: Operation) -> bool:
    """Whether the command in flight may still change the run state."""
    if operation.created_at != look.created_at:
        return False
    if look.state not in {State.RUNNING, State.PAUSED}:
        return True
    if case.config is None and case.now - operation.sent_at >= case.limits.forget:
        return False
    finding = judge(operation, look, case.memory, case.limits, case.now)
    return finding is Finding.WAIT or (finding is Finding.RESEND and operation.step is Step.PAUSE)

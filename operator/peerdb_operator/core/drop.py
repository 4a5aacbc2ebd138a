"""The last rules of a deletion: dropping the PeerDB mirror.

The request is recorded before it is sent, repeated word for word every minute in every state but TERMINATING, and done
when PeerDB says twice that the mirror is gone (PeerDB v0.37 flow/cmd/handler.go FlowStateChange answers 200 also to
drops that get lost).
"""

from __future__ import annotations

from peerdb_operator.core.case import Case, growing
from peerdb_operator.core.deletion import (
    DeletionRule,
    Farewell,
    drop_sent,
    frozen,
    gone,
    look_fully,
    not_ours,
    release,
    stay_when_blind,
    unfinished,
)
from peerdb_operator.core.desired import DropFlags
from peerdb_operator.core.journal import Operation, Step
from peerdb_operator.core.limits import MINUTE, Limits
from peerdb_operator.core.observed import State
from peerdb_operator.core.plan_types import Drop, Plan, Wait
from peerdb_operator.core.reasons import Reason
from peerdb_operator.core.verdict import Verdict, verdict

HOPELESS_REPEAT = 600.0
WAY_OUT = "recreate it in PeerDB first, or, to let the object go without a drop, set spec.deletionPolicy: Retain"


def wait_for_flight(case: Case, _farewell: Farewell) -> Plan | None:
    """A drop sent right after a resume is answered 200 and lost: wait until that shows, or is old."""
    operation = case.journal.operation
    if operation is None or operation.step not in {Step.EDIT, Step.RESUME} or case.state is not State.PAUSED:
        return None
    age = case.now - max(operation.sent_at, case.memory.sent_at)
    if operation.created_at != case.seen.created_at or abs(age) >= case.limits.forget:
        return None
    told = verdict(Reason.DROPPING, "the drop waits until the resume that was sent before it shows")
    return case.plan("drop waits for flight", Wait(case.limits.look_short), told)


def under_way(case: Case, _farewell: Farewell) -> Plan | None:
    """PeerDB is at it."""
    if case.state is not State.TERMINATING:
        return None
    age = case.now - case.in_state_since()
    return case.plan("dropping", Wait(growing(age, case.limits)), _dropping(case, _late(case, age)))


def repeat(case: Case, _farewell: Farewell) -> Plan | None:
    """The drop is recorded but does not show: the identical request again."""
    operation = case.journal.operation
    if operation is None or not drop_sent(case):
        return None
    told = _terminated(case) or _orphaned(case) or _dropping(case)
    period = HOPELESS_REPEAT if told.reason is Reason.MIRROR_TERMINATED else case.limits.drop_repeat
    age = case.now - max(operation.sent_at, case.memory.sent_at)
    if abs(age) < period:
        wait = growing(age, case.limits) if told.reason is Reason.DROPPING else period
        return case.plan("drop sent", Wait(min(period - age, wait)), told)
    action = Drop(DropFlags.decode(operation.after), operation, first=False)
    return case.plan("repeat drop", Wait(case.limits.look_first), told, action)


def brake(case: Case, farewell: Farewell) -> Plan | None:
    """Many drops at once are a mistake more often than a wish."""
    if farewell.brake_wait <= 0:
        return None
    message = f"held: {_rate(case.limits)}. To keep the mirror, set spec.deletionPolicy: Retain"
    return case.plan("drop held", Wait(farewell.brake_wait), verdict(Reason.DROP_HELD, message))


def drop(case: Case, _farewell: Farewell) -> Plan:
    """Record, then send."""
    flags = case.desired.drop
    operation: Operation = case.operation(Step.DROP, after=flags.encode())
    note = "the drop is written down, then sent"
    action = Drop(flags, operation, first=True)
    return case.plan("drop", Wait(case.limits.look_first), _dropping(case), action, note=note)


DELETION_RULES: tuple[DeletionRule, ...] = (
    unfinished,
    frozen,
    release,
    stay_when_blind,
    gone,
    look_fully,
    not_ours,
    wait_for_flight,
    under_way,
    repeat,
    brake,
    drop,
)


def plan_deletion(case: Case, farewell: Farewell) -> Plan:
    """The next step for a Mirror that is being deleted. No side effects."""
    return next(filter(None, (rule(case, farewell) for rule in DELETION_RULES)))


def _rate(limits: Limits) -> str:
    if limits.brake_drops == 0:
        return "this operator is set to drop no mirror (PEERDB_OPERATOR_BRAKE_DROPS is 0)"
    between = limits.brake_window / limits.brake_drops
    period = f"{between / MINUTE:.3g} minutes" if between >= MINUTE else f"{between:.3g} seconds"
    mirrors = "1 mirror" if limits.brake_drops == 1 else f"{limits.brake_drops} mirrors"
    return f"this operator drops at most {mirrors} at once and one more every {period}"


def _dropping(case: Case, late: str = "") -> Verdict:
    return verdict(Reason.DROPPING, f'PeerDB drops the mirror "{case.desired.mirror}"; destination tables stay{late}')


def _late(case: Case, age: float) -> str:
    if age < case.limits.deadline_terminating:
        return ""
    error = f"; its newest error: {case.memory.error[0]}" if case.memory.error is not None else ""
    minutes = case.limits.deadline_terminating / 60
    return f". It has been at it for more than {minutes:.0f} minutes{error}; are both its databases reachable?"


def _terminated(case: Case) -> Verdict | None:
    since = case.memory.doubtful_since
    if case.state is not State.TERMINATED or since is None or case.seen.at - since < case.limits.doubt_gap:
        return None
    return verdict(Reason.MIRROR_TERMINATED, f"the mirror is TERMINATED, which PeerDB cannot drop; {WAY_OUT}")


def _orphaned(case: Case) -> Verdict | None:
    if not case.memory.orphaned:
        return None
    return verdict(Reason.MIRROR_ORPHANED, f"the mirror's workflow is gone, so PeerDB cannot drop it; {WAY_OUT}")

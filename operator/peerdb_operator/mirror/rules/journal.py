"""The command in flight: what was sent, and what the next looks prove about it.

A reply of PeerDB is not evidence (it answers 200 to what it ignores, loses or queues); state and config fingerprint
together are. Owns the judgement of one open operation. Does not send, and does not know the spec.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from typing import assert_never

from peerdb_operator.api.reasons import Reason
from peerdb_operator.mirror.rules.config import LiveConfig
from peerdb_operator.mirror.rules.history import History
from peerdb_operator.mirror.rules.limits import Limits
from peerdb_operator.mirror.rules.observation import Found, State

TWICE = 2


class Step(StrEnum):
    """The commands that have a journal entry."""

    PAUSE = "Pause"
    RESUME = "Resume"
    EDIT = "Edit"
    DROP = "Drop"


@dataclass(frozen=True, slots=True)
class Operation:
    """One journal entry.

    ``before`` and ``after`` are fingerprints around an edit. A drop has its flags in ``after``; a resume that gives an
    edit up, the edit's goal.
    """

    id: str
    step: Step
    sent_at: float
    created_at: str
    before: str = ""
    after: str = ""
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class Bounds:
    """What limits repeated edits; outlives the operation.

    ``goal``: fingerprint that the newest edit was to reach; ``attempts``: unproven edits towards it; ``not_before``:
    when the next may be sent; ``corrections``: difference and time of the newest edits of a settled generation;
    ``settled``: newest generation that had a settled verdict; ``refused``: why PeerDB refused the goal, if it did.
    """

    generation: int = 0
    goal: str = ""
    attempts: int = 0
    not_before: float | None = None
    corrections: tuple[tuple[str, float], ...] = ()
    settled: int | None = None
    refused: Reason | None = None


@dataclass(frozen=True, slots=True)
class Journal:
    """The part of status that must survive a restart."""

    operation: Operation | None = None
    bounds: Bounds = field(default_factory=Bounds)


class Finding(Enum):
    """What the looks so far say about the open operation."""

    WAIT = auto()
    EFFECTIVE = auto()  # pause and resume: the state says so. Edit: state and fingerprint say so
    NOT_EFFECTIVE = auto()  # it will not happen, or not before another command
    RESEND = auto()  # pause and resume only
    ARMED = auto()  # an edit that is lost, or waits for the next pause


def judge(operation: Operation, seen: Found, history: History, limits: Limits, now: float) -> Finding:
    """Judge the open operation by a look in RUNNING or PAUSED. No side effects."""
    match operation.step:
        case Step.PAUSE:
            return _judge_pause(operation, seen, history, limits, now)
        case Step.RESUME:
            return _judge_harmless(
                operation, effective=seen.state is State.RUNNING, history=history, limits=limits, now=now
            )
        case Step.EDIT:
            if not isinstance(seen.config, LiveConfig):
                return Finding.WAIT
            if seen.state is State.RUNNING:
                return _judge_edit_running(operation, seen.config, limits, now)
            return _judge_edit_paused(operation, seen.config, history, limits, now)
        case Step.DROP:
            return Finding.WAIT
        case _ as never:
            assert_never(never)


def _judge_pause(operation: Operation, seen: Found, history: History, limits: Limits, now: float) -> Finding:
    if seen.state is State.RUNNING and history.pausing_seen:
        # An update that was queued out of sight fired on this pause and resumed the mirror.
        return Finding.NOT_EFFECTIVE
    return _judge_harmless(operation, effective=seen.state is State.PAUSED, history=history, limits=limits, now=now)


def _judge_harmless(operation: Operation, *, effective: bool, history: History, limits: Limits, now: float) -> Finding:
    if effective:
        return Finding.EFFECTIVE
    if now - operation.sent_at >= limits.forget:
        return Finding.NOT_EFFECTIVE
    sent_at = max(operation.sent_at, history.sent_at)
    return Finding.RESEND if now - sent_at >= limits.resend else Finding.WAIT


def _judge_edit_running(operation: Operation, config: LiveConfig, limits: Limits, now: float) -> Finding:
    if config.fingerprint == operation.after:
        return Finding.EFFECTIVE
    patience = limits.proof_after if operation.accepted else limits.forget
    return Finding.ARMED if now - operation.sent_at >= patience else Finding.WAIT


def _judge_edit_paused(
    operation: Operation, config: LiveConfig, history: History, limits: Limits, now: float
) -> Finding:
    age = now - operation.sent_at
    streak = history.streak
    if streak is None or streak.count < TWICE or age < limits.proof_after:
        return Finding.WAIT
    if config.fingerprint == operation.after:
        return Finding.EFFECTIVE
    if config.fingerprint == operation.before:
        steady = streak.last - streak.since >= limits.proof_after
        return Finding.NOT_EFFECTIVE if steady and age >= limits.forget else Finding.WAIT
    return Finding.NOT_EFFECTIVE

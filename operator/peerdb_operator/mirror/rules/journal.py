"""The command in flight and the bounds on repeated edits: the part of a decision that must survive a restart.

A reply of PeerDB is not evidence (it answers 200 to what it ignores, loses or queues); state and config fingerprint
together are. Two unproven edits towards one goal, or three corrections of one difference within an hour, and the next
try waits: ten minutes, doubling to six hours. A new generation starts afresh.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import assert_never

from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import Bounds, Correction, MirrorStatus, Operation, Step
from peerdb_operator.mirror.rules.change import Blocked, identity, in_words
from peerdb_operator.mirror.rules.history import History
from peerdb_operator.mirror.rules.limits import HOUR, Limits, doubling
from peerdb_operator.mirror.rules.observation import ConfigGap, Found, State, Unreadable
from peerdb_operator.peerdb.models import ConfigUpdate, MirrorConfig

TWICE = 2
KEPT_CORRECTIONS = 8
"""Of the newest corrections; more say nothing new."""


@dataclass(frozen=True, slots=True)
class Journal:
    """The part of status that must survive a restart."""

    operation: Operation | None = None
    bounds: Bounds = field(default_factory=Bounds)

    @classmethod
    def of(cls, status: MirrorStatus) -> Journal:
        """The journal that a status carries; an operation that this operator does not know is none."""
        operation = status.operation
        known = None if operation is None or operation.step is Step.OTHER else operation
        return cls(known, status.bounds or Bounds())


class Finding(Enum):
    """What the observations so far prove about the open operation."""

    WAIT = auto()
    EFFECTIVE = auto()  # pause and resume: the state says so. Edit: state and fingerprint say so
    NOT_EFFECTIVE = auto()  # it will not happen, or not before another command
    RESEND = auto()  # pause and resume only
    ARMED = auto()  # an edit that is lost, or waits for the next pause


def judge(operation: Operation, seen: Found, history: History, limits: Limits, now: float) -> Finding:
    """Judge the open operation by an observation in RUNNING or PAUSED. No side effects."""
    match operation.step:
        case Step.PAUSE:
            return _judge_pause(operation, seen, history, limits, now)
        case Step.RESUME:
            gap = resume_gap(history, limits)
            return _judge_harmless(operation, seen.state is State.RUNNING, history, limits, now, gap=gap)
        case Step.EDIT:
            if not isinstance(seen.config, MirrorConfig):
                return Finding.WAIT
            if seen.state is State.RUNNING:
                return _judge_edit_running(operation, seen.config, limits, now)
            return _judge_edit_paused(operation, seen.config, history, limits, now)
        case Step.DROP | Step.OTHER:
            return Finding.WAIT
        case _ as never:
            assert_never(never)


def shows_goal(operation: Operation, config: MirrorConfig | ConfigGap | Unreadable) -> bool:
    """Whether the live config is the one that an edit, or the edit behind a pause, was to bring about."""
    return operation.may_be_queued and isinstance(config, MirrorConfig) and config.fingerprint == operation.to


def _judge_pause(operation: Operation, seen: Found, history: History, limits: Limits, now: float) -> Finding:
    if shows_goal(operation, seen.config):
        return Finding.EFFECTIVE
    if seen.state is State.RUNNING and history.pausing_seen:
        # An update that was queued unseen fired on this pause and resumed the mirror.
        return Finding.NOT_EFFECTIVE
    return _judge_harmless(operation, seen.state is State.PAUSED, history, limits, now, gap=limits.resend)


def resume_gap(history: History, limits: Limits) -> float:
    """How long after the newest resume the next one may go out: soon if PeerDB did not say that it took it."""
    return limits.resume_retry if history.outcome_unknown else limits.resend


def _judge_harmless(
    operation: Operation, effective: bool, history: History, limits: Limits, now: float, *, gap: float
) -> Finding:
    if effective:
        return Finding.EFFECTIVE
    if now - operation.sent_at >= limits.forget:
        return Finding.NOT_EFFECTIVE
    sent_at = max(operation.sent_at, history.sent_at)
    return Finding.RESEND if now - sent_at >= gap else Finding.WAIT


def _judge_edit_running(operation: Operation, config: MirrorConfig, limits: Limits, now: float) -> Finding:
    if config.fingerprint == operation.to:
        return Finding.EFFECTIVE
    patience = limits.proof_after if operation.accepted else limits.forget
    return Finding.ARMED if now - operation.sent_at >= patience else Finding.WAIT


def _judge_edit_paused(
    operation: Operation, config: MirrorConfig, history: History, limits: Limits, now: float
) -> Finding:
    age = now - operation.sent_at
    streak = history.streak
    if streak is None or streak.count < TWICE or age < limits.proof_after:
        return Finding.WAIT
    if config.fingerprint == operation.to:
        return Finding.EFFECTIVE
    if config.fingerprint == operation.from_:
        steady = streak.last - streak.since >= limits.proof_after
        return Finding.NOT_EFFECTIVE if steady and age >= limits.forget else Finding.WAIT
    return Finding.NOT_EFFECTIVE


def for_generation(bounds: Bounds, generation: int) -> Bounds:
    """The bounds of this generation: what was counted for an older one does not bind it."""
    if bounds.generation == generation:
        return bounds
    return Bounds(generation=generation, settled=bounds.settled)


def blocked_by(bounds: Bounds, edit: ConfigUpdate, config: MirrorConfig, limits: Limits, now: float) -> Blocked | None:
    """Why this edit may not be tried yet, or None."""
    waits = 0.0 if bounds.not_before is None else bounds.not_before - now
    if not 0.0 < waits <= limits.retry_longest:
        # Over, or nothing that this operator ever writes: people edit status by hand.
        return None
    if corrections_of(bounds, identity(edit), limits, now) >= limits.corrections:
        return Blocked(
            Reason.DRIFT_LOOP,
            f"another client of PeerDB undoes this change repeatedly ({in_words(edit)}); find out who "
            "edits the mirror, or change the spec. The mirror keeps running",
            until=bounds.not_before,
        )
    if bounds.goal != edit.applied_to(config).fingerprint:
        return None
    if bounds.refused is not None:
        return Blocked(
            bounds.refused,
            f"PeerDB refuses the edit ({in_words(edit)}); change the spec. The mirror keeps running",
            until=bounds.not_before,
        )
    return Blocked(
        Reason.EDIT_NOT_APPLIED,
        f"PeerDB accepted the edit ({in_words(edit)}) but does not show it; see the mirror's log in PeerDB, or change "
        "the spec. The mirror keeps running",
        until=bounds.not_before,
    )


def corrections_of(bounds: Bounds, identity: str, limits: Limits, now: float) -> int:
    """How often this difference was corrected of late."""
    window = HOUR + (_delay(bounds.attempts, limits) if bounds.attempts >= limits.attempts else 0.0)
    return sum(1 for each in bounds.corrections if each.difference == identity and now - each.time < window)


def after_unproven(
    bounds: Bounds, goal: str | None, limits: Limits, now: float, *, refused: Reason | None = None
) -> Bounds:
    """Count an edit that reached PeerDB without proof; one refused for its content uses the attempts up at once."""
    attempts = bounds.attempts + 1 if bounds.goal == goal else 1
    if refused is not None:
        attempts = max(attempts, limits.attempts)
    return replace(bounds, goal=goal, attempts=attempts, not_before=_not_before(attempts, limits, now), refused=refused)


def after_proven(bounds: Bounds, limits: Limits, now: float) -> Bounds:
    """A proven edit clears the count, unless it was the latest of a loop of corrections."""
    newest = bounds.corrections[-1].difference if bounds.corrections else ""
    if corrections_of(bounds, newest, limits, now) < limits.corrections:
        return replace(bounds, goal=None, attempts=0, not_before=None, refused=None)
    attempts = max(bounds.attempts, limits.attempts - 1) + 1
    return replace(bounds, goal=None, attempts=attempts, not_before=_not_before(attempts, limits, now), refused=None)


def after_sending(bounds: Bounds, edit: ConfigUpdate, now: float) -> Bounds:
    """Note an edit that goes out; it is a correction when this generation had been settled before."""
    if bounds.settled != bounds.generation:
        return bounds
    kept = (*bounds.corrections, Correction(identity(edit), now))[-KEPT_CORRECTIONS:]
    return replace(bounds, corrections=kept)


def after_settling(bounds: Bounds) -> Bounds:
    """Remember that this generation has had a settled verdict."""
    return bounds if bounds.settled == bounds.generation else replace(bounds, settled=bounds.generation)


def _delay(attempts: int, limits: Limits) -> float:
    return doubling(limits.retry_first, attempts - limits.attempts, limits.retry_longest)


def _not_before(attempts: int, limits: Limits, now: float) -> float | None:
    return now + _delay(attempts, limits) if attempts >= limits.attempts else None

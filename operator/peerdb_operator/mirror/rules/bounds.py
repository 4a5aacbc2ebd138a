"""How often an edit may be tried: the bounds that keep a wish PeerDB does not follow from pausing a mirror for ever.

Two unproven edits towards one goal, or three corrections of one difference within an hour, and the next try waits: ten
minutes, doubling to six hours. A new generation starts afresh.
"""

from __future__ import annotations

from dataclasses import replace

from peerdb_operator.api.reasons import Reason
from peerdb_operator.mirror.rules.change import Blocked, ConfigUpdate
from peerdb_operator.mirror.rules.config import LiveConfig
from peerdb_operator.mirror.rules.journal import Bounds
from peerdb_operator.mirror.rules.limits import HOUR, Limits, doubling

KEPT_CORRECTIONS = 8


def for_generation(bounds: Bounds, generation: int) -> Bounds:
    """The bounds of this generation: what was counted for an older one does not bind it."""
    if bounds.generation == generation:
        return bounds
    return Bounds(generation=generation, settled=bounds.settled)


def blocked_by(bounds: Bounds, edit: ConfigUpdate, config: LiveConfig, limits: Limits, now: float) -> Blocked | None:
    """Why this edit may not be tried yet, or None."""
    waits = 0.0 if bounds.not_before is None else bounds.not_before - now
    if not 0.0 < waits <= limits.retry_longest:
        # Over, or nothing that this operator ever writes: people edit status by hand.
        return None
    if corrections_of(bounds, edit.identity(), limits, now) >= limits.corrections:
        return Blocked(
            Reason.DRIFT_LOOP,
            f"somebody or something undoes this change in PeerDB again and again ({edit.names()}); find out who edits "
            "the mirror, or change the spec. The mirror keeps running",
            until=bounds.not_before,
        )
    if bounds.goal != edit.applied_to(config).fingerprint:
        return None
    if bounds.refused is not None:
        return Blocked(
            bounds.refused,
            f"PeerDB refuses the edit ({edit.names()}); change the spec. The mirror keeps running",
            until=bounds.not_before,
        )
    return Blocked(
        Reason.EDIT_NOT_APPLIED,
        f"PeerDB accepted the edit ({edit.names()}) but does not show it; see the mirror's log in PeerDB, or change "
        "the spec. The mirror keeps running",
        until=bounds.not_before,
    )


def corrections_of(bounds: Bounds, identity: str, limits: Limits, now: float) -> int:
    """How often this difference was corrected of late."""
    window = HOUR + (_delay(bounds.attempts, limits) if bounds.attempts >= limits.attempts else 0.0)
    return sum(1 for known, at in bounds.corrections if known == identity and now - at < window)


def after_unproven(bounds: Bounds, goal: str, limits: Limits, now: float, *, refused: Reason | None = None) -> Bounds:
    """Count an edit that reached PeerDB without proof; one refused for its content uses the attempts up at once."""
    attempts = bounds.attempts + 1 if bounds.goal == goal else 1
    if refused is not None:
        attempts = max(attempts, limits.attempts)
    return replace(bounds, goal=goal, attempts=attempts, not_before=_not_before(attempts, limits, now), refused=refused)


def after_proven(bounds: Bounds, limits: Limits, now: float) -> Bounds:
    """A proven edit clears the count, unless it was the latest of a loop of corrections."""
    newest = bounds.corrections[-1][0] if bounds.corrections else ""
    if corrections_of(bounds, newest, limits, now) < limits.corrections:
        return replace(bounds, goal="", attempts=0, not_before=None, refused=None)
    attempts = max(bounds.attempts, limits.attempts - 1) + 1
    return replace(bounds, goal="", attempts=attempts, not_before=_not_before(attempts, limits, now), refused=None)


def after_sending(bounds: Bounds, edit: ConfigUpdate, now: float) -> Bounds:
    """Note an edit that goes out; it is a correction when this generation had been settled before."""
    if bounds.settled != bounds.generation:
        return bounds
    kept = (*bounds.corrections, (edit.identity(), now))[-KEPT_CORRECTIONS:]
    return replace(bounds, corrections=kept)


def after_settling(bounds: Bounds) -> Bounds:
    """Remember that this generation has had a settled verdict."""
    return bounds if bounds.settled == bounds.generation else replace(bounds, settled=bounds.generation)


def _delay(attempts: int, limits: Limits) -> float:
    return doubling(limits.retry_first, attempts - limits.attempts, limits.retry_longest)


def _not_before(attempts: int, limits: Limits, now: float) -> float | None:
    return now + _delay(attempts, limits) if attempts >= limits.attempts else None

"""The journal in its two forms: as decisions use it, and as status carries it.

Users edit status by hand: reading takes what makes sense and forgets the rest.
"""

from __future__ import annotations

from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import BoundsStatus, Correction, MirrorStatus, OperationStatus
from peerdb_operator.api.times import format_micros, parse_time
from peerdb_operator.mirror.rules.journal import Bounds, Journal, Operation, Step

REFUSALS = (Reason.EDIT_NOT_APPLIED, Reason.EDIT_TOO_LARGE)
"""What an edit that PeerDB refused for its content may be called."""


def read_journal(status: MirrorStatus) -> Journal:
    """The journal that a status carries."""
    return Journal(_operation(status.operation), _bounds(status.bounds))


def write_journal(journal: Journal) -> tuple[OperationStatus | None, BoundsStatus | None]:
    """The journal as status carries it; nothing where there is nothing to remember."""
    operation, bounds = journal.operation, journal.bounds
    written = None
    if operation is not None:
        written = OperationStatus(
            id=operation.id,
            step=operation.step,
            from_=operation.before or None,
            to=operation.after or None,
            sent_at=_written(operation.sent_at),
            accepted=operation.accepted,
            created_at=operation.created_at,
        )
    if bounds == Bounds():
        return written, None
    return written, BoundsStatus(
        generation=bounds.generation,
        goal=bounds.goal or None,
        attempts=bounds.attempts,
        not_before=None if bounds.not_before is None else _written(bounds.not_before),
        corrections=[Correction(difference=difference, time=_written(time)) for difference, time in bounds.corrections],
        settled=bounds.settled,
        refused=bounds.refused,
    )


def _written(seconds: float) -> float:
    """A time as it comes back from status, so that what is written equals what is read."""
    return parse_time(format_micros(seconds))


def _operation(status: OperationStatus | None) -> Operation | None:
    if status is None:
        return None
    try:
        step = Step(status.step)
    except ValueError:
        return None
    return Operation(
        id=status.id,
        step=step,
        sent_at=status.sent_at,
        created_at=status.created_at,
        before=status.from_ or "",
        after=status.to or "",
        accepted=status.accepted,
    )


def _bounds(status: BoundsStatus | None) -> Bounds:
    if status is None:
        return Bounds()
    return Bounds(
        generation=status.generation,
        goal=status.goal or "",
        attempts=status.attempts,
        not_before=status.not_before,
        corrections=tuple((correction.difference, correction.time) for correction in status.corrections),
        settled=status.settled,
        refused=_refused(status.refused),
    )


def _refused(text: str | None) -> Reason | None:
    return next((reason for reason in REFUSALS if reason == text), None)

"""Whether rows flow, as far as PeerDB's log and batches show it.

PeerDB calls a mirror RUNNING while each of its batches fails. An error in the log stays open until a batch that reached
the destination ended after it; time alone answers nothing. Both times are of PeerDB's clock.
"""

from __future__ import annotations

from typing import assert_never

from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import MAX_ERROR, FlowStatus, LastError
from peerdb_operator.api.text import on_one_line
from peerdb_operator.mirror.rules.history import History
from peerdb_operator.mirror.rules.limits import Limits
from peerdb_operator.mirror.rules.observation import Absent, Found, Observation, Unknown

ERROR_REFRESH = 600.0
ANSWERED_AFTER = 2.0
"""Counted from the whole second of the error, which is what status keeps: at least one second after the error."""
MESSAGES = {
    Reason.MIRROR_ORPHANED: "PeerDB answered a command: workflow execution already completed",
    Reason.RUNNING_WITH_ERRORS: "no batch is known to have ended after the newest error in the mirror's log",
    Reason.RUNNING: "a batch ended after the newest error in the mirror's log",
}


def answer_to(error_at: float) -> float:
    """The earliest end of a batch that answers an error of this time."""
    return error_at // 1 + ANSWERED_AFTER


def is_open(error: tuple[str, float] | None, batch_end: float | None) -> bool:
    """Whether there is an error that no batch is known to have ended after."""
    return error is not None and (batch_end is None or batch_end < answer_to(error[1]))


def batches_due_in(history: History, limits: Limits, now: float) -> float | None:
    """In how many seconds the batches of a RUNNING mirror are read; None: not at all, since no error is open."""
    return history.batches_read_at + limits.batches_gap - now if is_open(history.error, history.batch_end) else None


def flow_status(
    previous: FlowStatus | None, observation: Observation | None, history: History, now: float
) -> FlowStatus | None:
    """What is known of the flow. A reconcile that saw neither the mirror nor its absence learns of errors alone."""
    was_orphan = previous is not None and previous.verdict == Reason.MIRROR_ORPHANED
    verdict = None
    if history.error is not None:
        verdict = Reason.RUNNING_WITH_ERRORS if is_open(history.error, history.batch_end) else Reason.RUNNING
    match observation:
        case Found():
            verdict = Reason.MIRROR_ORPHANED if history.orphaned else verdict
        case Absent():
            verdict = None
        case Unknown() | None:
            if was_orphan or verdict is None:
                return previous
        case _ as never:
            assert_never(never)
    if verdict is None or (previous is not None and previous.verdict == verdict):
        return None if verdict is None else previous
    return FlowStatus(verdict=verdict, since=now // 1, message=MESSAGES[verdict])


def last_error(previous: LastError | None, observation: Observation | None, history: History) -> LastError | None:
    """The newest error of this mirror; one that is repeated while it is open is not written again for a while."""
    if previous is not None and isinstance(observation, Found) and observation.is_younger_than(previous.time + 1):
        previous = None
    if history.error is None:
        return previous
    message, time = on_one_line(history.error[0])[:MAX_ERROR], history.error[1] // 1
    if previous is not None:
        repeats = previous.message == message and time - previous.time < ERROR_REFRESH
        if time <= previous.time or (repeats and is_open(("", previous.time), history.batch_end)):
            return previous
    return LastError(message=message, time=time)

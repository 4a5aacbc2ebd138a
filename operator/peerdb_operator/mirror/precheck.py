"""Asking PeerDB beforehand whether tables can be added, and what its answer means.

Owns the throw-away name, the words of a failed check and when it is asked again. A check leaves nothing behind in
PeerDB (PeerDB v0.37 flow/cmd/validate_mirror.go); the answer is not written down.

PeerDB may take minutes, so no reconcile waits for the answer: it asks for a precheck, the queue runs it under a key and
a limit of its own, and its end wakes the object. Meanwhile the mirror is reconciled as ever.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Any

from peerdb_operator.api.reasons import Reason
from peerdb_operator.errors import PeerDBError, PeerDBPreconditionFailed, PeerDBRejected, PeerDBUnavailable
from peerdb_operator.mirror.rules.change import listed
from peerdb_operator.mirror.rules.decision import Precheck
from peerdb_operator.mirror.rules.history import PrecheckResult
from peerdb_operator.mirror.rules.limits import doubling
from peerdb_operator.mirror.store import CachedMirror
from peerdb_operator.mirror.work import Work
from peerdb_operator.peerdb.client import PeerDBClient
from peerdb_operator.peerdb.models import validation_request
from peerdb_operator.peerdb.redaction import without
from peerdb_operator.ports import Clock

FIRST_REPEAT = 30.0
LONGEST_REPEAT = 600.0
LONGEST_STOP = 30.0
"""Seconds that a paused mirror waits for the answer, the wait for its turn included."""
FILLED = ("is not empty", "already has existing rows")


@dataclass(slots=True, eq=False)
class PendingCheck:
    """A precheck that no answer has come to.

    ``paused_since``: since when the mirror has been paused and cannot be resumed for want of the answer; None while it
    runs.
    """

    key: str
    request: dict[str, Any]
    secrets: frozenset[str]
    paused_since: float | None = None


class Prechecker:
    """Asks, and keeps the answer with the cached Mirror."""

    def __init__(self, peerdb: PeerDBClient, clock: Clock) -> None:
        self._peerdb = peerdb
        self._clock = clock
        self._pending: dict[str, PendingCheck] = {}

    def ask(self, work: Work, action: Precheck) -> float | None:
        """Have PeerDB asked about the additions of ``action``, by ``run``; returns how long its answer is waited for.

        None: a paused mirror has waited long enough, and the check counts as not answered.
        """
        entry, now = work.entry, self._clock.now()
        check = self._pending.get(entry.view.uid)
        if check is None or check.key != action.key:
            check = self._pending[entry.view.uid] = _pending(work, action)
        if not action.short:
            check.paused_since = None
            return math.inf
        check.paused_since = now if check.paused_since is None else check.paused_since
        left = check.paused_since + LONGEST_STOP - now
        if left > 0:
            return left
        error = PeerDBUnavailable(f"PeerDB did not answer within {LONGEST_STOP:.0f} s", sent=True)
        self._answer(entry, check, self._refused(entry, check, error))
        return None

    async def run(self, entry: CachedMirror) -> None:
        """Ask PeerDB what a reconcile wanted to know; raises nothing of ours.

        The answer is dropped if nobody waits for it any more: other tables are asked about by now, or none.
        """
        check = self._pending.get(entry.view.uid)
        if check is None:
            return
        try:
            await self._peerdb.validate(check.request, short=check.paused_since is not None)
            answer = PrecheckResult(check.key, self._clock.now())
        except PeerDBError as error:
            answer = self._refused(entry, check, error)
        self._answer(entry, check, answer)

    def forget(self, uid: str) -> None:
        """The object is gone."""
        self._pending.pop(uid, None)

    def _answer(self, entry: CachedMirror, check: PendingCheck, answer: PrecheckResult) -> None:
        if self._pending.get(entry.view.uid) is check:
            del self._pending[entry.view.uid]
            entry.history = replace(entry.history, precheck=answer)

    def _refused(self, entry: CachedMirror, check: PendingCheck, error: PeerDBError) -> PrecheckResult:
        known, now = entry.history.precheck, self._clock.now()
        failures = 1 + (known.failures if known is not None and known.key == check.key else 0)
        wait = doubling(FIRST_REPEAT, failures - 1, LONGEST_REPEAT)
        # The same words every time: a check that fails again is no news, and news is written.
        reported = (
            f"{without(words(error), check.secrets)}; it is asked again, at least every {LONGEST_REPEAT / 60:.0f} "
            "minutes. All edits of this Mirror wait meanwhile"
        )
        return PrecheckResult(check.key, now, reason_of(error), reported, now + wait, failures)


def _pending(work: Work, action: Precheck) -> PendingCheck:
    assert work.observed.config is not None  # noqa: S101 - additions are only ever planned against a config
    request = validation_request(action.edit, work.observed.config, throw_away_name(work), copy=action.copy)
    return PendingCheck(action.key, request, work.entry.hidden_values())


def throw_away_name(work: Work) -> str:
    """A name that no mirror has: PeerDB refuses to check a config under the name of one that exists.

    A hash, since a mirror's name may have all the characters that PeerDB can keep.
    """
    return f"precheck_{hashlib.sha256(work.desired.mirror.encode()).hexdigest()[:32]}"


def reason_of(error: PeerDBError) -> Reason:
    """What a failed check is called."""
    if any(text in error.message for text in FILLED):
        return Reason.DESTINATION_IN_USE
    if isinstance(error, PeerDBPreconditionFailed | PeerDBRejected):
        return Reason.PRECHECK_FAILED
    return Reason(error.reason)


def words(error: PeerDBError) -> str:
    """What PeerDB found wrong with the additions; at most five tables are named."""
    if isinstance(error, PeerDBPreconditionFailed) and error.violations:
        named = listed([violation.subject for violation in error.violations])
        return f"spec.tables: PeerDB refuses to add {named} ({error.violations[0].kind})"
    return f"spec.tables: PeerDB cannot add the new tables: {error.message}"

"""Asking PeerDB beforehand whether tables can be added, and what its answer means.

Owns the throw-away name, the words of a failed check and when it is asked again. A check leaves nothing behind in
PeerDB (PeerDB v0.37 flow/cmd/validate_mirror.go); the answer lives in memory only.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from peerdb_operator.clients.peerdb import PeerDBClient
from peerdb_operator.controllers.job import Job
from peerdb_operator.controllers.ports import Clock
from peerdb_operator.controllers.translate import validation_request
from peerdb_operator.core.edit import listed
from peerdb_operator.core.limits import doubling
from peerdb_operator.core.memory import Precheck
from peerdb_operator.core.plan_types import Validate
from peerdb_operator.core.reasons import Reason
from peerdb_operator.errors import PeerDBError, PeerDBPreconditionFailed, PeerDBRejected

FIRST_REPEAT = 30.0
LONGEST_REPEAT = 600.0
FILLED = ("is not empty", "already has existing rows")


class Prechecker:
    """Asks, and remembers the answer with the Mirror."""

    def __init__(self, peerdb: PeerDBClient, clock: Clock) -> None:
        self._peerdb = peerdb
        self._clock = clock

    async def ask(self, job: Job, action: Validate) -> None:
        """Ask PeerDB about the additions of ``action``; raises nothing of ours."""
        assert job.sight.config is not None  # noqa: S101 - additions are only ever planned against a config
        request = validation_request(action.edit, job.sight.config, throw_away_name(job), copy=action.copy)
        try:
            await self._peerdb.validate(request, short=action.short)
            answer = Precheck(action.key, self._clock.now())
        except PeerDBError as error:
            answer = self._refused(job, action.key, error)
        job.entry.memory = replace(job.entry.memory, precheck=answer)

    def _refused(self, job: Job, key: str, error: PeerDBError) -> Precheck:
        known, now = job.entry.memory.precheck, self._clock.now()
        failures = 1 + (known.failures if known is not None and known.key == key else 0)
        wait = doubling(FIRST_REPEAT, failures - 1, LONGEST_REPEAT)
        # The same words every time: a check that fails again is no news, and news is written.
        told = (
            f"{job.without_values(words(error))}; it is asked again, at least every {LONGEST_REPEAT / 60:.0f} minutes. "
            "All edits of this Mirror wait meanwhile"
        )
        return Precheck(key, now, reason_of(error), told, now + wait, failures)


def throw_away_name(job: Job) -> str:
    """A name that no mirror has: PeerDB refuses to check a config under the name of one that exists.

    A hash, since a mirror's name may have all the characters that PeerDB can keep.
    """
    return f"precheck_{hashlib.sha256(job.desired.mirror.encode()).hexdigest()[:32]}"


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

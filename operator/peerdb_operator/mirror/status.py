"""The one writer of a Mirror's status and finalizers.

Every write carries the resourceVersion of the object that it was computed from, or of one that reads the same, so that
a stale or deposed writer gets a conflict. ``rules.conditions.urgency`` says when a difference has to be written.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import MirrorStatus
from peerdb_operator.errors import KubeConflict, KubeError
from peerdb_operator.kube.port import KubePort
from peerdb_operator.mirror.rules.conditions import (
    AWAY,
    ConditionChange,
    StatusUpdate,
    Urgency,
    Verdict,
    next_status,
    urgency,
)
from peerdb_operator.mirror.rules.decision import Decision
from peerdb_operator.mirror.rules.journal import Journal
from peerdb_operator.mirror.store import CachedMirror, MirrorStore
from peerdb_operator.mirror.work import Work
from peerdb_operator.ports import Clock
from peerdb_operator.settings import Settings
from peerdb_operator.telemetry.decisions import DecisionLog
from peerdb_operator.telemetry.metering import KubeWrite, WriteMeter
from peerdb_operator.telemetry.transition import Report

ATTEMPTS = 4
"""How often one write is tried while others keep changing the object."""
RECONCILE = "a reconcile"
"""What Kubernetes fails in, for the log."""

Patch = Callable[[str, str, dict[str, Any]], Awaitable[dict[str, Any]]]


class StatusWriter:
    """Writes what reconciles find."""

    def __init__(
        self,
        *,
        kube: KubePort,
        store: MirrorStore,
        clock: Clock,
        settings: Settings,
        meter: WriteMeter,
        log: DecisionLog,
    ) -> None:
        self._kube = kube
        self._meter = meter
        self._store = store
        self._clock = clock
        self._log = log
        self._phase_quiet = settings.phase_quiet_seconds
        self._progress_gap = settings.progress_write_seconds

    async def report(self, work: Work, decision: Decision, journal: Journal) -> float | None:
        """Write the verdict of a decision and this journal if that is due.

        Returns in how many seconds a write that has to come will be. Raises ``KubeError``; a conflict means that the
        reconcile has to start over.
        """
        entry, update = work.entry, StatusUpdate(decision.verdict, journal, decision.accept_tables)
        following = next_status(
            entry.view.status, work.desired, work.observation, entry.history, update, self._clock.now()
        )
        return await self.write(work, following, decision.verdict)

    async def write(self, work: Work, following: MirrorStatus, reported: Verdict | None) -> float | None:
        """The same for a status that is known already."""
        entry, work.verdict = work.entry, reported or work.verdict
        previous = entry.view.status
        need = urgency(previous, following, reported=reported is not None)
        due = self._due(entry, need)
        if due > 0:
            return due if need is Urgency.PHASE else None
        patch = merge_patch(previous.as_wire(), following.as_wire())
        entry.writing = following
        try:
            await self._write(entry, KubeWrite.STATUS, self._kube.patch_status, {"status": patch})
        finally:
            entry.writing = None
        entry.written_at = self._clock.now()
        return None

    async def finalizers(self, entry: CachedMirror, finalizers: list[str]) -> None:
        """Replace the finalizers; raises ``KubeError``."""
        await self._write(entry, KubeWrite.MIRROR, self._kube.patch_mirror, {"metadata": {"finalizers": finalizers}})

    async def read_again(self, entry: CachedMirror) -> bool:
        """Take in the newest version; False when another object bears the name, of which the watch tells.

        Raises ``KubeError``.
        """
        known = entry.view.version
        body = await self._kube.get_mirror(entry.view.namespace, entry.view.name)
        if str(body["metadata"]["uid"]) != entry.view.uid:
            return False
        if int(body["metadata"]["resourceVersion"]) < known:
            self._store.restore(body, known)
        else:
            self._store.update_from_watch(body)
        return True

    async def _write(self, entry: CachedMirror, write: KubeWrite, patch: Patch, body: dict[str, Any]) -> None:
        """Write with the version that the reconcile rests on; raises ``KubeError``.

        Whoever touches an object several times a second, in ways that no reconcile reads, must not keep an edit
        from being written down while its mirror is paused: the write is made again with the newer version.
        """
        view = entry.view
        for attempts_left in reversed(range(ATTEMPTS)):
            try:
                entry.require_base()
                metadata = {**body.get("metadata", {}), "resourceVersion": str(entry.base.version)}
                with self._meter.measure(write):
                    answer = await patch(view.namespace, view.name, {**body, "metadata": metadata})
            except KubeConflict:
                entry.status_write_failing = True
                if not attempts_left or not await self._rebase(entry):
                    raise
            except KubeError:
                entry.status_write_failing = True
                raise
            else:
                entry.status_write_failing = False
                entry.journal_overrides.clear()  # a write that comes late conflicts from now on
                self._log.kube_succeeded(entry.subject, RECONCILE)
                self._store.update_from_write(entry, answer)
                return

    async def _rebase(self, entry: CachedMirror) -> bool:
        """Let the running reconcile rest on the newest version, if nothing that it reads has changed since it began."""
        if entry.view.version == entry.base.version and not await self.read_again(entry):
            return False
        if not entry.known or not entry.view.equivalent_to(entry.base):
            return False
        entry.base = entry.view
        return True

    def _due(self, entry: CachedMirror, need: Urgency) -> float:
        """Seconds until a write of this urgency; 0 for now."""
        now = self._clock.now()
        match need:
            case Urgency.NOW:
                return 0.0
            case Urgency.PHASE:
                return max(0.0, entry.history.word_since + self._phase_quiet - now)
            case Urgency.PROGRESS:
                return max(0.0, entry.written_at + self._progress_gap - now)
            case Urgency.NOTHING:
                return float("inf")


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386) that turns ``old`` into ``new``, which holds no null; no side effects."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            inner = merge_patch(before, value)
            if inner:
                patch[key] = inner
        elif key not in old or before != value:
            patch[key] = value
    return patch


WARNINGS = AWAY | {
    Reason.RUNNING_WITH_ERRORS,
    Reason.CONFIG_UNREADABLE,
    Reason.DROP_HELD,
    Reason.DROP_BLOCKED,
    Reason.INTERNAL_ERROR,
}
"""Reasons that somebody should look at, besides all that stall."""
MET_BY_ALL = AWAY | {Reason.DROP_BLOCKED, Reason.UNSUPPORTED_PEERDB}
"""What all Mirrors meet at once, unless PeerDB answers others; a drop may also wait for Kubernetes."""


def report_of(verdict: Verdict) -> Report:
    """What telemetry is told of a verdict."""
    stalled = verdict.stalled is ConditionChange.TRUE
    return Report(
        reason=verdict.reason.value,
        message=verdict.message,
        warns=stalled or verdict.reason in WARNINGS,
        away=verdict.reason in AWAY,
        outage=verdict.reason in MET_BY_ALL,
        settled=verdict.settled,
        reconciling=verdict.reconciling is ConditionChange.TRUE,
        stalled=stalled,
    )

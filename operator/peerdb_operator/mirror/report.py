"""The one writer of status, of Events and of the log's decisions.

Owns when a status is written (``rules.conditions.urgency``), what is in the patch, and which news become Events. Every
write carries the resourceVersion of the object that it was computed from, or of one that reads the same, so that a
stale or deposed writer gets a conflict. Events wait until the pass is over, and until no mirror stands paused.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from peerdb_operator.api.constants import GROUP, KIND, VERSION
from peerdb_operator.api.status import MirrorStatus
from peerdb_operator.api.text import on_one_line
from peerdb_operator.errors import KubeConflict, KubeError, KubeForbidden, PeerDBError
from peerdb_operator.kube.port import KubePort
from peerdb_operator.mirror.events import MET_BY_ALL, PendingEvent, kind_of
from peerdb_operator.mirror.rules.conditions import Urgency, Verdict, urgency
from peerdb_operator.mirror.rules.decision import Decision
from peerdb_operator.mirror.rules.spec_warnings import SpecWarning
from peerdb_operator.mirror.store import CachedMirror, MirrorStore
from peerdb_operator.ports import Clock
from peerdb_operator.settings import Settings
from peerdb_operator.telemetry.metering import KubeWrite, WriteMeter

logger = logging.getLogger(__name__)

NOTE = 1024
ATTEMPTS = 4
"""How often one write is tried while others keep changing the object."""

Patch = Callable[[str, str, dict[str, Any]], Awaitable[dict[str, Any]]]


class Reporter:
    """Writes what passes have to tell."""

    def __init__(
        self,
        kube: KubePort,
        registry: MirrorStore,
        clock: Clock,
        settings: Settings,
        meter: WriteMeter,
        answered_at: Callable[[], float],
    ) -> None:
        """``answered_at``: when the newest list of mirrors was asked for that PeerDB has answered."""
        self._kube = kube
        self._meter = meter
        self._answered_at = answered_at
        self._registry = registry
        self._clock = clock
        self._events_refused: set[str] = set()
        self._phase_quiet = settings.phase_quiet_seconds
        self._progress_gap = settings.progress_write_seconds

    async def status(self, entry: CachedMirror, following: MirrorStatus, reported: Verdict | None) -> float | None:
        """Write ``following`` if it is due; returns in how many seconds a write that has to come will be.

        Raises ``KubeError``; a conflict means that the pass has to start over.
        """
        previous, entry.reported = entry.view.status, reported
        self._tell_of_own_outage(entry, reported)
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
        if reported is not None and reported.reason != previous.ready_reason:
            entry.story.tell(reported, previous.ready_reason, entry.written_at, alone=self._is_alone(entry))
        return None

    def _tell_of_own_outage(self, entry: CachedMirror, reported: Verdict | None) -> None:
        """An outage that stays when PeerDB answers the list of mirrors is this Mirror's own."""
        reason, known = entry.view.status.ready_reason, entry.story.outage
        if reported is not None and reported.reason in MET_BY_ALL and reported.reason == reason and known:
            entry.story.tell(reported, reason, self._clock.now(), alone=self._is_alone(entry))

    def _is_alone(self, entry: CachedMirror) -> bool:
        """Whether PeerDB is known to answer others: it answered this Mirror in this pass, or the list since then."""
        outage = entry.story.outage
        return entry.history.unknown_since is None or (outage is not None and self._answered_at() > outage.since)

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
            self._registry.restore(body, known)
        else:
            self._registry.update_from_watch(body)
        return True

    def warn(self, entry: CachedMirror, found: tuple[SpecWarning, ...]) -> None:
        """Say what the object says without effect, once as long as it does: in the log now, in an Event with others."""
        for each in found:
            if each not in entry.warnings:
                logger.warning("%s: %s", each.reason, each.message, extra=identity(entry))
                entry.story.pending.append(PendingEvent("Warning", each.reason.value, each.message))
        entry.warnings = frozenset(found)

    async def tell(self, entry: CachedMirror) -> None:
        """Create the Events of what was written."""
        news, entry.story.pending = entry.story.pending, []
        for each in news:
            await self.event(entry, each.kind, each.reason, each.message)

    async def event(self, entry: CachedMirror, kind: str, reason: str, message: str) -> None:
        """Create an Event; one that cannot be created is only logged."""
        view = entry.view
        regarding = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "namespace": view.namespace,
            "name": view.name,
            "uid": view.uid,
            "resourceVersion": str(view.version),
        }
        try:
            with self._meter.measure(KubeWrite.EVENT):
                await self._kube.emit_event(regarding, kind, reason, on_one_line(message)[:NOTE], "Reconcile")
            self._events_refused.discard(view.namespace)
        except KubeForbidden as error:
            await self._event_refused(entry, error)
        except KubeError as error:
            logger.warning("no event: %s", error, extra=identity(entry))

    async def _event_refused(self, entry: CachedMirror, error: KubeForbidden) -> None:
        """A missing right is said once, until it is given; a terminating namespace refuses by its nature."""
        namespace = entry.view.namespace
        if namespace in self._events_refused or await self._goes(namespace):
            logger.debug("no event: %s", error, extra=identity(entry))
            return
        self._events_refused.add(namespace)
        hint = "give the operator the right to create events.events.k8s.io there; until then no Mirror gets one"
        logger.warning("no event: %s; %s", error, hint, extra=identity(entry))

    async def _goes(self, namespace: str) -> bool:
        try:
            return await self._kube.namespace_is_terminating(namespace)
        except KubeError:
            return False

    async def _write(self, entry: CachedMirror, write: KubeWrite, patch: Patch, body: dict[str, Any]) -> None:
        """Write with the version that the pass rests on; raises ``KubeError``.

        Whoever touches an object several times a second, in ways that no pass reads, must not keep an edit from being
        written down while its mirror stands still: the write is made again with the newer version.
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
                log_kube_success(entry, "a pass")
                self._registry.update_from_write(entry, answer)
                return

    async def _rebase(self, entry: CachedMirror) -> bool:
        """Let the running pass rest on the newest version, if nothing that a pass reads has changed since it began."""
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


def log_decision(entry: CachedMirror, decision: Decision) -> None:
    """One line a decision: an action, or a verdict that is another than before; tried again after a failure: none.

    A new verdict has the level of its Event.
    """
    reported = decision.verdict
    reason = entry.logged if reported is None else reported.reason.value
    action = "" if decision.action is None else type(decision.action).__name__
    if entry.repeats(action) if action else reason == entry.logged:
        return
    warns = reported is not None and reason != entry.logged and kind_of(reported) == "Warning"
    entry.logged, entry.announced = reason, action
    message = decision.note or (reported.message if reported is not None else "")
    extra = {**identity(entry), "rule": decision.rule, "reason": reason, **({"action": action} if action else {})}
    line = ": ".join(part for part in (action or reason, message) if part)
    logger.log(logging.WARNING if warns else logging.INFO, "%s", line, extra=extra)


def log_success(entry: CachedMirror, decision: Decision) -> None:
    """A command was taken, perhaps after it had been refused."""
    entry.announced = ""
    (action, why), entry.failing = entry.failing, ("", "")
    if action == type(decision.action).__name__:
        entry.logged = entry.logged if decision.verdict is None else decision.verdict.reason.value
        extra = {**identity(entry), "rule": decision.rule, "reason": why}
        logger.info("%s: taken now, after %s", action, why, extra=extra)


def log_failure(entry: CachedMirror, decision: Decision, failure: PeerDBError) -> None:
    """PeerDB did not take a command, or did not say whether it did; the same failure again is no news."""
    failing = (type(decision.action).__name__, failure.reason)
    level = logging.DEBUG if failing == entry.failing else logging.WARNING
    entry.failing = failing
    extra = {**identity(entry), "rule": decision.rule, "reason": failure.reason, "sent": failure.sent}
    logger.log(level, "%s failed: %s", failing[0], failure.message, extra=extra)


def log_kube_failure(entry: CachedMirror, during: str, error: KubeError) -> None:
    """Kubernetes did not do what was asked for; the same failure again is no news."""
    failing = (during, error.reason)
    level = logging.DEBUG if failing in entry.kube_failing else logging.WARNING
    entry.kube_failing = frozenset(each for each in entry.kube_failing if each[0] != during) | {failing}
    logger.log(level, "Kubernetes: %s", error, extra=identity(entry))


def log_kube_success(entry: CachedMirror, during: str) -> None:
    """What had failed works again."""
    over = {each for each in entry.kube_failing if each[0] == during}
    for _, why in over:
        logger.info("Kubernetes: %s succeeds again, after %s", during, why, extra=identity(entry))
    entry.kube_failing -= over


def identity(entry: CachedMirror) -> dict[str, Any]:
    """The fields that every log line about a Mirror carries."""
    view = entry.view
    subject = {"namespace": view.namespace, "name": view.name, "uid": view.uid}
    return {"object": subject, "generation": view.generation, "mirror": view.mirror}

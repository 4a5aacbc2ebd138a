"""The one writer of status, and of Events.

Owns when a status is written (see ``core.status.urgency``), what goes into the patch, and which Events repeat. Every
write carries the resourceVersion it was computed from, so that a stale or deposed writer gets a conflict.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from peerdb_operator.api.constants import GROUP, KIND, VERSION
from peerdb_operator.api.status import MirrorStatus
from peerdb_operator.controllers.ports import Clock, KubePort
from peerdb_operator.controllers.registry import Entry, Registry
from peerdb_operator.core.journal import Journal
from peerdb_operator.core.reasons import Reason
from peerdb_operator.core.status import Urgency, urgency
from peerdb_operator.core.verdict import Verdict
from peerdb_operator.errors import KubeError, KubeForbidden

logger = logging.getLogger(__name__)

WARNINGS = frozenset({Reason.DROP_HELD, Reason.DROP_BLOCKED, Reason.MIRROR_TERMINATED, Reason.MIRROR_ORPHANED})


class Reporter:
    """Writes what passes have to tell."""

    def __init__(
        self, kube: KubePort, registry: Registry, clock: Clock, *, phase_quiet: float, progress_gap: float
    ) -> None:
        self._kube = kube
        self._registry = registry
        self._clock = clock
        self._phase_quiet = phase_quiet
        self._progress_gap = progress_gap

    async def status(self, entry: Entry, following: MirrorStatus, told: Verdict | None, *, force: bool = False) -> None:
        """Write ``following`` if it is due. Raises ``KubeError``; a conflict means that the pass has to start over."""
        previous = entry.view.status
        if not self._is_due(entry, urgency(previous, following, told=told is not None), force=force):
            return
        patch = merge_patch(previous.as_wire(), following.as_wire())
        body = {"metadata": {"resourceVersion": str(entry.view.version)}, "status": patch}
        answer = await self._kube.patch_status(entry.view.namespace, entry.view.name, body)
        self._registry.wrote(entry, answer)
        entry.written_at = self._clock.now()
        if told is not None:
            await self._transition(entry, told)

    async def finalizers(self, entry: Entry, finalizers: list[str]) -> None:
        """Replace the finalizers; raises ``KubeError``."""
        body = {"metadata": {"finalizers": finalizers, "resourceVersion": str(entry.view.version)}}
        self._registry.wrote(entry, await self._kube.patch_mirror(entry.view.namespace, entry.view.name, body))

    async def event(self, entry: Entry, kind: str, reason: str, message: str) -> None:
        """Create an Event; one that cannot be created is only logged (a terminating namespace takes none)."""
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
            await self._kube.emit_event(regarding, kind, reason, message[:1024], "Reconcile")
        except KubeForbidden as error:
            logger.debug("no event: %s", error, extra=identity(entry))
        except KubeError as error:
            logger.warning("no event: %s", error, extra=identity(entry))

    def _is_due(self, entry: Entry, need: Urgency, *, force: bool) -> bool:
        now = self._clock.now()
        if need is Urgency.NOTHING:
            return False
        if force or need is Urgency.NOW:
            return True
        if need is Urgency.PHASE:
            return now - entry.memory.word_since >= self._phase_quiet
        return now - entry.written_at >= self._progress_gap

    async def _transition(self, entry: Entry, told: Verdict) -> None:
        """An Event when the reason of Ready has changed; the same news is not told twice in a row."""
        news = (told.reason.value, told.message)
        before, entry.told = entry.told, news
        if before is not None and before[0] == news[0]:
            return
        known = {condition.type: condition.reason for condition in entry.view.status.conditions}
        if before is None and known.get("Ready") != told.reason:
            return
        warning = told.stalled.value == "True" or told.reason in WARNINGS
        await self.event(entry, "Warning" if warning else "Normal", told.reason.value, told.message)


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386) that turns ``old`` into ``new``; no side effects."""
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


def identity(entry: Entry) -> dict[str, Any]:
    """The fields that every log line about a Mirror carries."""
    view = entry.view
    return {
        "namespace": view.namespace,
        "mirror": view.name,
        "uid": view.uid,
        "generation": view.generation,
        "peerdb_mirror": view.mirror,
    }


def with_operation_closed(journal: Journal) -> Journal:
    """The journal without its open operation."""
    return replace(journal, operation=None)

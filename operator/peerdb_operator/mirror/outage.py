"""One outage of PeerDB is one Event: about the operator's pod, and a line in the log.

Thousands of Mirrors meet the same outage; their conditions say so, their Events do not (see ``events``).
Owns when an outage counts and how often it is reported. Where the pod is not known, the log alone has it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from peerdb_operator.errors import KubeError, PeerDBError
from peerdb_operator.kube.port import KubePort
from peerdb_operator.ports import Clock
from peerdb_operator.settings import Settings
from peerdb_operator.telemetry.events import RECOVERED, REPEAT_SECONDS
from peerdb_operator.telemetry.metering import KubeWrite, WriteMeter

logger = logging.getLogger(__name__)

MINUTE = 60.0


class OutageReporter:
    """Is shown the result of each read of PeerDB's list of mirrors."""

    def __init__(self, kube: KubePort, clock: Clock, settings: Settings, meter: WriteMeter) -> None:
        self._kube = kube
        self._meter = meter
        self._clock = clock
        self._quiet = settings.outage_quiet_seconds
        self._pod = pod_of(settings)
        self._since: float | None = None
        self._reported: list[str] = []
        self._reported_at: dict[str, float] = {}

    async def observe(self, error: PeerDBError | None) -> None:
        """Report an outage that lasts, each of its reasons once, and its end. Raises nothing of ours.

        A PeerDB that is too old is one: ``error`` says so although the list was read.
        """
        now = self._clock.now()
        if error is None:
            since, reasons = self._since, self._reported
            self._since, self._reported = None, []
            if since is not None and reasons:
                lasted = f"{', '.join(reasons)} for {_duration(now - since)}"
                await self._report("Normal", RECOVERED, f"PeerDB answers again, after {lasted}", now)
            return
        self._since = now if self._since is None else self._since
        if now - self._since >= self._quiet and error.reason not in self._reported:
            self._reported.append(error.reason)
            message = f"no Mirror is observed or changed: {error.message}"
            await self._report("Warning", error.reason, message, now)

    async def _report(self, kind: str, reason: str, message: str, now: float) -> None:
        if now - self._reported_at.get(reason, float("-inf")) < REPEAT_SECONDS:
            return
        self._reported_at[reason] = now
        logger.log(logging.INFO if kind == "Normal" else logging.WARNING, "%s", message, extra={"reason": reason})
        if self._pod is None:
            return
        try:
            with self._meter.measure(KubeWrite.EVENT):
                await self._kube.emit_event(dict(self._pod), kind, reason, message, "Observe")
        except KubeError as error:
            logger.warning("no event about the operator's pod: %s", error)


def pod_of(settings: Settings) -> Mapping[str, str] | None:
    """A reference to the operator's own pod, if all of it is known."""
    if settings.pod_name is None or settings.pod_namespace is None or settings.pod_uid is None:
        return None
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": settings.pod_namespace,
        "name": settings.pod_name,
        "uid": settings.pod_uid,
    }


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 2 * MINUTE else f"{seconds / MINUTE:.0f} min"

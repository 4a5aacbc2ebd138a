"""How objects reach the controller: by the watch, and by a comparison with the API server now and then.

``WatchHandler`` records which version the *watch* has delivered of each object: this distinguishes a watch that is
merely behind from one that has stalled. It also remembers which objects were deleted, so that a read that was under
way does not bring one back.
"""

import logging
import random
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from peerdb_operator.errors import KubeError, KubeNotFound
from peerdb_operator.kube.port import MirrorVersion
from peerdb_operator.ports import Clock, Controller
from peerdb_operator.runtime.queue import Urgency
from peerdb_operator.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

REMEMBERED_DELETIONS = 10_000
"""Far more than can be deleted while one read is on its way."""

JITTER = 0.2
FIRST_COMPARISON_SECONDS = 30.0
"""Soon after the start, for what was deleted between our first list and the one that the watch began with."""

STALLED_SECONDS = 140.0
"""Twice the time after which a silent watch is connected anew."""


class WatchHandler:
    """Shows objects to the controller in O(1) and wakes the queue."""

    def __init__(
        self,
        controller: Controller,
        wake: Callable[[str, Urgency], None],
        remembered_deletions: int = REMEMBERED_DELETIONS,
    ) -> None:
        self._controller = controller
        self._wake = wake
        self._remembered_deletions = remembered_deletions
        self._delivered: dict[str, int] = {}
        self._deleted: dict[str, None] = {}
        self._listed = False

    def watched(self, event_type: str | None, body: Mapping[str, Any]) -> None:
        """One event of the watch; ``event_type`` None is an item of the list it begins with."""
        metadata = body["metadata"]
        if event_type == "DELETED":
            self._delivered.pop(metadata["uid"], None)
            self._deleted[metadata["uid"]] = None
            if len(self._deleted) > self._remembered_deletions:
                del self._deleted[next(iter(self._deleted))]
        else:
            self._delivered[metadata["uid"]] = version_number(metadata["resourceVersion"])
        self.observed(event_type, body)

    def observed(self, event_type: str | None, body: Mapping[str, Any]) -> None:
        """One object from the watch or from a read of the API server."""
        if event_type is None and body["metadata"]["uid"] in self._deleted:
            return
        uid = self._controller.observe(event_type, body)
        if uid is not None:
            # What the very first list holds was there before us: a user who edits now goes first.
            self._wake(uid, Urgency.EDIT if self._listed else Urgency.OBSERVE)

    def listed(self) -> None:
        """The first LIST has been observed; from now on a change is a user's edit."""
        self._controller.listed()
        self._listed = True

    def delivered(self, uid: str) -> int:
        """Number of the newest version that the watch has delivered; 0 for none."""
        return self._delivered.get(uid, 0)

    def forget(self, uid: str) -> None:
        """The object is gone without a DELETED event."""
        self._delivered.pop(uid, None)
        self._controller.forget(uid)

    def retain(self, uids: Collection[str]) -> None:
        """Keep a record of these objects alone: all that the API server has or the controller knows."""
        self._delivered = {uid: version for uid, version in self._delivered.items() if uid in uids}

    def deleted(self) -> Collection[str]:
        """The uids whose deletion the watch has delivered."""
        return frozenset(self._deleted)

    def restore(self, body: Mapping[str, Any], instead_of: int) -> None:
        """Take what the API server has although ``instead_of`` is higher: its data was restored from a backup.

        What the watch delivered before that does not count: it may still be connected to what was.
        """
        uid = body["metadata"]["uid"]
        self._deleted.pop(uid, None)
        woken = self._controller.restore(body, instead_of)
        if woken is not None:
            self._wake(woken, Urgency.OBSERVE)

    def undo_delivery(self, uid: str, version: int) -> None:
        """Forget that the watch has delivered this version, unless it has delivered another one since."""
        if self._delivered.get(uid) == version:
            del self._delivered[uid]


def version_number(resource_version: str) -> int:
    """A resourceVersion as a number; 0 if it is none.

    That versions of one resource type compare as integers is a promise of recent Kubernetes releases, and was so in
    fact before.
    """
    return int(resource_version) if resource_version.isdecimal() else 0


class Source(Protocol):
    """The part of the Kubernetes client that a comparison needs."""

    async def list_mirror_versions(self) -> list[MirrorVersion]: ...

    async def get_mirror(self, namespace: str, name: str) -> dict[str, Any]: ...


class AntiEntropy:
    """Compares on a jittered rhythm; ``watch_stalled`` feeds the liveness probe."""

    def __init__(
        self,
        *,
        kube: Source,
        controller: Controller,
        watch_handler: WatchHandler,
        wake: Callable[[str], None],
        clock: Clock,
        rng: random.Random,
        period: float,
        metrics: Metrics | None = None,
    ) -> None:
        self._kube = kube
        self._controller = controller
        self._watch_handler = watch_handler
        self._wake = wake
        self._clock = clock
        self._rng = rng
        self._period = period
        self.first = min(FIRST_COMPARISON_SECONDS, period)
        self._metrics = metrics or Metrics()
        self._undelivered: dict[str, tuple[int, float]] = {}

    def period(self) -> float:
        """Seconds to the next comparison."""
        return self._period * self._rng.uniform(1 - JITTER, 1 + JITTER)

    async def compare(self) -> None:
        """One comparison."""
        try:
            # Asked before the list: what appears while it runs must not count as vanished.
            known = {uid: version_number(version) for uid, (_, version) in self._controller.known_versions().items()}
            delivered = {uid: self._watch_handler.delivered(uid) for uid in known}
            deleted = self._watch_handler.deleted()
            listed = await self._kube.list_mirror_versions()
            self._forget_vanished(known, {version[0] for version in listed})
            restored = 0
            for version in listed:
                uid, number = version[0], version_number(version[4])
                if number < known.get(uid, 0) or uid in deleted:
                    restored += 1
                    self._undelivered.pop(uid, None)
                    if delivered.get(uid, 0) > number:
                        self._watch_handler.undo_delivery(uid, delivered[uid])
                    await self._fetch(version, instead_of=known.get(uid, 0))
                elif number > known.get(uid, -1):
                    await self._fetch(version)
                self._expect(uid, number)
            self._report_restored(restored)
            self._metrics.record_comparison(self._clock.now())
        except KubeError as error:
            logger.warning("The Mirrors could not be listed for comparison: %s", error)

    def watch_stalled(self) -> str | None:
        """A sentence if the watch has not delivered a change for longer than any reconnect takes, else None."""
        now = self._clock.now()
        for uid, (version, since) in list(self._undelivered.items()):
            if self._watch_handler.delivered(uid) >= version:
                del self._undelivered[uid]
            elif now - since > STALLED_SECONDS:
                return f"the watch has not delivered version {version} of {uid} for {now - since:.0f} s"
        return None

    def _forget_vanished(self, known: Mapping[str, int], listed: set[str]) -> None:
        self._watch_handler.retain(listed | self._controller.known_versions().keys())
        for uid in known.keys() - listed:
            logger.info("A Mirror is gone and the watch did not say so", extra={"object": {"uid": uid}})
            self._metrics.record_missed_change()
            self._watch_handler.forget(uid)
            self._wake(uid)
        for uid in self._undelivered.keys() - listed:
            del self._undelivered[uid]

    def _expect(self, uid: str, number: int) -> None:
        """Remember when this version was first seen, if the watch has not delivered it."""
        delivered = self._watch_handler.delivered(uid)
        if delivered < number and delivered >= self._undelivered.get(uid, (0, 0.0))[0]:
            self._undelivered[uid] = (number, self._clock.now())

    async def _fetch(self, version: MirrorVersion, instead_of: int | None = None) -> None:
        _, namespace, name, _, _, _ = version
        self._metrics.record_missed_change()
        try:
            body = await self._kube.get_mirror(namespace, name)
        except KubeNotFound:
            return
        if instead_of is None:
            self._watch_handler.observed(None, body)
        else:
            self._watch_handler.restore(body, instead_of)

    def _report_restored(self, count: int) -> None:
        if count:
            logger.warning(
                "The API server shows older versions of %d Mirrors than it did before: its data was restored from a "
                "backup; what it has now counts",
                count,
            )

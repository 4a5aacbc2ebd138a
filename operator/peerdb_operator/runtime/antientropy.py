"""Anti-entropy: a LIST every few minutes that finds what the watch did not say.

Owns the comparison of what the API server has with what the controller knows, and the verdict that the watch is deaf.
After a gap in the watch (410) nobody says that an object has vanished; and a connection that died without a sign
delivers nothing at all. A version that is lower than one known before the LIST began, or an object whose deletion was
known before, proves that the API server's data was restored from a backup: the LIST counts, then. Reads metadata only.
Leaves what to do about an object to the controller.
"""

import logging
import random
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from peerdb_operator.controllers.ports import Clock, Controller, MirrorVersion
from peerdb_operator.errors import KubeError, KubeNotFound
from peerdb_operator.metrics import Metrics
from peerdb_operator.runtime.intake import Intake, version_number

logger = logging.getLogger(__name__)

JITTER = 0.2
FIRST_LOOK_SECONDS = 30.0
"""Soon after the start, for what was deleted between our first list and the one that the watch began with."""

DEAF_SECONDS = 140.0
"""Twice the time after which a silent watch is connected anew."""


class Source(Protocol):
    """The part of ``KubePort`` that a comparison needs."""

    async def list_mirror_versions(self) -> list[MirrorVersion]:
        """See ``KubePort``."""
        ...

    async def get_mirror(self, namespace: str, name: str) -> dict[str, Any]:
        """See ``KubePort``."""
        ...


class AntiEntropy:
    """Compares on a jittered rhythm; ``deaf`` feeds the liveness probe."""

    def __init__(
        self,
        *,
        kube: Source,
        controller: Controller,
        intake: Intake,
        wake: Callable[[str], None],
        clock: Clock,
        rng: random.Random,
        period: float,
        metrics: Metrics | None = None,
    ) -> None:
        self._kube = kube
        self._controller = controller
        self._intake = intake
        self._wake = wake
        self._clock = clock
        self._rng = rng
        self._period = period
        self._metrics = metrics or Metrics()
        self._missed: dict[str, tuple[int, float]] = {}

    async def run(self) -> None:
        """Compare for ever."""
        await self._clock.sleep(min(FIRST_LOOK_SECONDS, self._period))
        while True:
            await self.compare()
            await self._clock.sleep(self._period * self._rng.uniform(1 - JITTER, 1 + JITTER))

    async def compare(self) -> None:
        """One comparison. Raises nothing but ``CancelledError``."""
        try:
            # Asked before the list: what appears while it runs must not count as vanished.
            known = {uid: version_number(version) for uid, (_, version) in self._controller.known_versions().items()}
            delivered = {uid: self._intake.delivered(uid) for uid in known}
            deleted = self._intake.deleted()
            listed = await self._kube.list_mirror_versions()
            self._forget_vanished(known, {version[0] for version in listed})
            restored = 0
            for version in listed:
                uid, number = version[0], version_number(version[4])
                if number < known.get(uid, 0) or uid in deleted:
                    restored += 1
                    self._missed.pop(uid, None)
                    if delivered.get(uid, 0) > number:
                        self._intake.undo_delivery(uid, delivered[uid])
                    await self._fetch(version, instead_of=known.get(uid, 0))
                elif number > known.get(uid, -1):
                    await self._fetch(version)
                self._expect(uid, number)
            self._report_restored(restored)
            self._metrics.compared(self._clock.now())
        except KubeError as error:
            logger.warning("The Mirrors could not be listed for comparison: %s", error)
        except Exception:
            # A bug here must not end the comparison for good: the next period tries again.
            logger.exception("Comparing with the API server ended with an error that nobody classified")

    def deaf(self) -> str | None:
        """A sentence if the watch has withheld a change for longer than any reconnect takes, else None."""
        now = self._clock.now()
        for uid, (version, since) in list(self._missed.items()):
            if self._intake.delivered(uid) >= version:
                del self._missed[uid]
            elif now - since > DEAF_SECONDS:
                return f"the watch has not delivered version {version} of {uid} for {now - since:.0f} s"
        return None

    def _forget_vanished(self, known: Mapping[str, int], listed: set[str]) -> None:
        self._intake.retain(listed | self._controller.known_versions().keys())
        for uid in known.keys() - listed:
            logger.info("A Mirror is gone and the watch did not say so", extra={"object": {"uid": uid}})
            self._metrics.missed()
            self._intake.forget(uid)
            self._wake(uid)
        for uid in self._missed.keys() - listed:
            del self._missed[uid]

    def _expect(self, uid: str, number: int) -> None:
        """Remember since when the watch owes this version, if it has not delivered it."""
        delivered = self._intake.delivered(uid)
        if delivered < number and delivered >= self._missed.get(uid, (0, 0.0))[0]:
            self._missed[uid] = (number, self._clock.now())

    async def _fetch(self, version: MirrorVersion, instead_of: int | None = None) -> None:
        _, namespace, name, _, _, _ = version
        self._metrics.missed()
        try:
            body = await self._kube.get_mirror(namespace, name)
        except KubeNotFound:
            return
        if instead_of is None:
            self._intake.observed(None, body)
        else:
            self._intake.restore(body, instead_of)

    def _report_restored(self, count: int) -> None:
        if count:
            logger.warning(
                "The API server shows older versions of %d Mirrors than it did before: its data was restored from a "
                "backup; what it has now counts",
                count,
            )

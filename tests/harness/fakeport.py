"""One process's way to a ``FakeCluster``: the operator's Kubernetes port, with latency, faults and a watch.

Owns what lies between a controller and its API server: time that passes, requests that do not arrive, replies that do
not come back, watch events that are late, or lost in a gap. Leaves every rule of the API to the cluster.
"""

import asyncio
import contextvars
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from peerdb_operator.errors import KubeError, KubeForbidden, KubeUnavailable
from peerdb_operator.kube.port import MirrorVersion
from peerdb_operator.ports import Clock
from tests.harness.fakecluster import Body, FakeCluster, WatchEvent

T = TypeVar("T")


@dataclass(slots=True)
class KubeFaults:
    """What is wrong between processes and the API server. Latencies: ranges of seconds, one way. ``calls``: by verb."""

    away: bool = False
    lose_replies: int = 0
    refuse_events: bool = False
    latency: tuple[float, float] = (0.001, 0.008)
    watch_latency: tuple[float, float] = (0.001, 0.02)
    calls: dict[str, int] = field(default_factory=dict)


class FakePort:
    """Implements ``controllers.ports.KubePort`` for one process called ``who``."""

    def __init__(
        self,
        cluster: FakeCluster,
        who: str,
        faults: KubeFaults,
        rng: random.Random,
        learned: Callable[[Body], None] = lambda _: None,
    ) -> None:
        """``learned`` is told of every object that reaches the process by an answer."""
        self._cluster = cluster
        self._who = who
        self._faults = faults
        self._rng = rng
        self._learned = learned

    async def get_mirror(self, namespace: str, name: str) -> Body:
        """The whole object."""
        return self._told(await self._call("get", lambda: self._cluster.get((namespace, name))))

    async def patch_mirror(self, namespace: str, name: str, body: Body) -> Body:
        """Merge patch on the main resource."""
        return self._told(await self._call("patch", lambda: self._cluster.patch((namespace, name), body, self._who)))

    async def patch_status(self, namespace: str, name: str, body: Body) -> Body:
        """Merge patch on ``/status``."""
        key = (namespace, name)
        return self._told(await self._call("patch-status", lambda: self._cluster.patch_status(key, body, self._who)))

    async def list_mirrors(self) -> list[Body]:
        """Every Mirror."""
        return [self._told(body) for body in await self._call("list", self._cluster.all)]

    async def first_list(self, clock: Clock) -> list[Body]:
        """The same, asked until it is answered."""
        while True:
            try:
                return await self.list_mirrors()
            except KubeError:
                await clock.sleep(1.0)

    async def mirror_pages(self) -> AsyncIterator[list[Body]]:
        """Every Mirror, on one page."""
        yield await self.list_mirrors()

    async def list_mirror_versions(self) -> list[MirrorVersion]:
        """Metadata of every Mirror."""
        return await self._call("list-versions", lambda: [_version(body) for body in self._cluster.all()])

    async def namespace_is_terminating(self, name: str) -> bool:
        """Also True for one that does not exist."""
        return await self._call("get-namespace", lambda: self._cluster.namespaces.get(name, True))

    async def crd_is_terminating(self) -> bool:
        """Also True when it does not exist."""
        return await self._call("get-crd", lambda: self._cluster.crd is not False)

    async def cluster_uid(self) -> str:
        """The cluster's own."""
        return await self._call("get-namespace", lambda: self._cluster.uid)

    async def emit_event(self, regarding: dict[str, str], type_: str, reason: str, message: str, action: str) -> None:
        """Create an Event."""
        del action
        key = (regarding["namespace"], regarding["name"])

        def create() -> None:
            if self._faults.refuse_events:
                raise KubeForbidden("events: no role allows this")
            self._cluster.note_event(key, type_, reason, message, self._who)

        await self._call("event", create)

    def _told(self, body: Body) -> Body:
        self._learned(body)
        return body

    async def _call(self, verb: str, act: Callable[[], T]) -> T:
        faults = self._faults
        await asyncio.sleep(self._rng.uniform(*faults.latency))
        if faults.away:
            raise KubeUnavailable(f"{verb}: connection refused")
        faults.calls[verb] = faults.calls.get(verb, 0) + 1
        result = act()
        lost = faults.lose_replies > 0
        faults.lose_replies -= lost
        await asyncio.sleep(self._rng.uniform(*faults.latency))
        if lost:
            raise KubeUnavailable(f"{verb}: the connection broke before the answer came")
        return result


class FakeWatch:
    """Delivers a cluster's changes to one process, in order, each some time later; knows how to have a gap."""

    def __init__(
        self,
        cluster: FakeCluster,
        loop: asyncio.AbstractEventLoop,
        deliver: Callable[[str | None, Body], None],
        faults: KubeFaults,
        rng: random.Random,
        context: contextvars.Context,
    ) -> None:
        self._cluster = cluster
        self._loop = loop
        self._deliver = deliver
        self._faults = faults
        self._rng = rng
        self._context = context
        self._last = 0.0
        self._deaf = False
        self._open = False

    def open(self) -> None:
        """Begin with a list of what there is, as watches do."""
        self._open = True
        self._cluster.watchers.append(self._take)
        self._relist()

    def close(self) -> None:
        """Deliver nothing more."""
        if self._open:
            self._open = False
            self._cluster.watchers.remove(self._take)

    def lose(self) -> None:
        """From now on changes are lost (a connection that died), until ``reconnect``."""
        self._deaf = True

    def reconnect(self) -> None:
        """Begin anew with a list: what was deleted meanwhile is never told."""
        if self._deaf:
            self._deaf = False
            self._relist()

    def _relist(self) -> None:
        if self._cluster.crd is not None:
            for body in self._cluster.all():
                self._schedule(None, body)

    def _take(self, event: WatchEvent) -> None:
        if not self._deaf:
            self._schedule(event.type, event.body)

    def _schedule(self, kind: str | None, body: Body) -> None:
        self._last = max(self._last, self._loop.time() + self._rng.uniform(*self._faults.watch_latency))
        self._loop.call_at(self._last, self._arrive, kind, body, context=self._context)

    def _arrive(self, kind: str | None, body: Body) -> None:
        if self._open:
            self._deliver(kind, body)


def _version(body: Body) -> MirrorVersion:
    metadata = body["metadata"]
    return (
        metadata["uid"],
        metadata["namespace"],
        metadata["name"],
        metadata["generation"],
        metadata["resourceVersion"],
        metadata.get("deletionTimestamp"),
    )

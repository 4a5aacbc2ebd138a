"""One controller between a simulated PeerDB and a cluster in memory, pass by pass, on simulated time.

Owns the taps: what a test lets happen, or puts in the place of an answer, at the very moment of a request. Leaves all
behaviour to the simulator, the cluster and the real clients. A test calls the passes itself: nothing runs by itself.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from peerdb_operator.api.constants import ANNOTATION_REQUESTED_AT, FINALIZER, OWNER_TAG
from peerdb_operator.errors import PeerDBError
from peerdb_operator.kube.port import MirrorVersion
from peerdb_operator.mirror.controller import MirrorController
from peerdb_operator.mirror.fleet import FleetPoll
from peerdb_operator.mirror.store import CachedMirror
from peerdb_operator.peerdb import transport as wire
from peerdb_operator.peerdb.client import ListedMirror, LogRow, PeerDBClient, RequestedState
from peerdb_operator.peerdb.models import encode_json
from peerdb_operator.ports import Requeue
from peerdb_operator.telemetry.metering import MeteredTransport
from peerdb_operator.telemetry.metrics import Metrics
from peerdb_operator.telemetry.trace import Tracer
from tests.harness.fakecluster import Body, Change, FakeCluster, WatchEvent
from tests.harness.fakeport import FakePort, KubeFaults
from tests.harness.peerdb.config import Table
from tests.harness.peerdb.engine import EPOCH, Engine
from tests.harness.peerdb.knobs import Knobs
from tests.harness.peerdb.values import Status
from tests.harness.simloop import SimClock, SimLoop
from tests.harness.simtransport import Network, SimTransport
from tests.harness.simulation import some_settings

T = TypeVar("T")

STATE_CHANGE, STATUS, VALIDATE, VERSION, INSTANCE, TAGS, SET_TAGS = (
    "mirrors/state_change",
    "mirrors/status",
    "mirrors/cdc/validate",
    "version",
    "instance/info",
    "flows/tags/",
    "flows/tags",
)
ASKS = {"metadata": {"annotations": {ANNOTATION_REQUESTED_AT: "now"}}}
"""A change of the object that asks for a pass and for nothing else."""
QUICK = {"t_lag": 0.01, "t_react": 0.01, "t_stop": 0.2, "t_resume": 0.1, "t_add": 0.3, "t_remove": 0.3, "t_drop": 0.3}
STEP = 0.005


@dataclass(slots=True)
class Tap:
    """Something to do at the next request of one kind, ``skip`` of them later: before it, after it, or in its place."""

    before: Callable[[], object] | None = None
    after: Callable[[], object] | None = None
    instead: wire.Reply | Exception | None = None
    loses: Exception | None = None
    """What the caller gets although the request is carried out."""
    late: bool = False
    """Whether it is carried out only when the next request of this kind is made."""
    skip: int = 0
    takes: float = 0.0
    """Seconds that pass before anything else."""


class Taps:
    """The taps of one way out of the controller, by kind of request."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, Tap]] = []
        self._late: list[tuple[str, Callable[[], Awaitable[Any]]]] = []

    def put(self, kind: str, tap: Tap) -> None:
        """Wait for the next request of this kind."""
        self._waiting.append((kind, tap))

    def clear(self) -> None:
        self._waiting.clear()

    async def through(self, kind: str, call: Callable[[], Awaitable[T]], answer: Callable[[wire.Reply], T]) -> T:
        """Carry one request out under the tap that waits for it, if any."""
        due = [one for one in self._late if one[0] == kind]
        self._late = [one for one in self._late if one[0] != kind]
        for _, delayed in due:
            await delayed()
        tap = self._take(kind)
        if tap is None:
            return await call()
        if tap.takes:
            await asyncio.sleep(tap.takes)
        if tap.before is not None:
            tap.before()
        if tap.late:
            self._late.append((kind, call))
        if isinstance(tap.instead, Exception):
            raise tap.instead
        result = await call() if tap.instead is None else answer(tap.instead)
        if tap.after is not None:
            tap.after()
        if tap.loses is not None:
            raise tap.loses
        return result

    def _take(self, kind: str) -> Tap | None:
        for place, (wanted, tap) in enumerate(self._waiting):
            if kind == wanted or (wanted.endswith("/") and kind.startswith(wanted)):
                if tap.skip == 0:
                    del self._waiting[place]
                    return tap
                tap.skip -= 1
        return None


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to PeerDB."""

    path: str
    body: Body
    at: float
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def state(self) -> str:
        return str(self.body.get("requestedFlowState", "")).removeprefix("STATUS_")

    @property
    def update(self) -> Body | None:
        """The config update, if there is one."""
        update: Body | None = (self.body.get("flowConfigUpdate") or {}).get("cdcFlowConfigUpdate")
        return update


class TappedPeerDB:
    """A ``Transport`` onto the simulator."""

    def __init__(self, inner: SimTransport, clock: SimClock) -> None:
        self.taps = Taps()
        self.asked: list[Asked] = []
        self._inner = inner
        self._clock = clock

    async def send(self, request: wire.Request) -> wire.Reply:
        self.asked.append(Asked(request.path, dict(request.body or {}), self._clock.now(), request.headers))
        return await self.taps.through(request.path, lambda: self._inner.send(request), lambda reply: reply)


class TappedKube:
    """A ``KubePort`` onto the cluster in memory; kinds are the verbs of ``FakePort``."""

    def __init__(self, inner: FakePort) -> None:
        self.taps = Taps()
        self._inner = inner

    async def get_mirror(self, namespace: str, name: str) -> Body:
        return await self._through("get", lambda: self._inner.get_mirror(namespace, name))

    async def patch_mirror(self, namespace: str, name: str, body: Body) -> Body:
        return await self._through("patch", lambda: self._inner.patch_mirror(namespace, name, body))

    async def patch_status(self, namespace: str, name: str, body: Body) -> Body:
        return await self._through("patch-status", lambda: self._inner.patch_status(namespace, name, body))

    async def list_mirrors(self) -> list[Body]:
        return await self._inner.list_mirrors()

    async def mirror_pages(self) -> AsyncIterator[list[Body]]:
        yield await self.list_mirrors()

    async def list_mirror_versions(self) -> list[MirrorVersion]:
        return await self._inner.list_mirror_versions()

    async def namespace_is_terminating(self, name: str) -> bool:
        return await self._through("get-namespace", lambda: self._inner.namespace_is_terminating(name))

    async def crd_is_terminating(self) -> bool:
        return await self._through("get-crd", self._inner.crd_is_terminating)

    async def cluster_uid(self) -> str:
        return await self._inner.cluster_uid()

    async def emit_event(self, regarding: dict[str, str], type_: str, reason: str, message: str, action: str) -> None:
        await self._through("event", lambda: self._inner.emit_event(regarding, type_, reason, message, action))

    async def _through(self, verb: str, call: Callable[[], Awaitable[T]]) -> T:
        def no_replies(_reply: wire.Reply) -> T:
            raise AssertionError("Kubernetes is given no replies of PeerDB")

        return await self.taps.through(verb, call, no_replies)


@dataclass(slots=True)
class Stage:
    """Everything, and what a test does with it."""

    engine: Engine
    loop: SimLoop
    clock: SimClock
    cluster: FakeCluster
    faults: KubeFaults
    network: Network
    peerdb: TappedPeerDB
    kube: TappedKube
    controller: MirrorController
    events: list[WatchEvent] = field(default_factory=list)
    tracer: Tracer = field(default_factory=Tracer)
    at_once: bool = False
    """Whether watch events arrive at once, which is before the answer to the write that caused them."""
    woken: list[str] = field(default_factory=list)
    """Whom watch events have woken, one by one."""

    # -- time and passes -----------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        return self.loop.time()

    def wait(self, seconds: float) -> None:
        self.loop.run_until(self.now + seconds)

    def do(self, work: Coroutine[Any, Any, T], limit: float = 3600.0) -> T:
        task = self.loop.create_task(work)
        end = self.now + limit
        while not task.done():
            assert self.now < end, "the work does not end"
            self.wait(STEP)
        return task.result()

    def deliver(self) -> list[str]:
        """Let the watch deliver what has happened; returns the uids that it wakes."""
        events, self.events = self.events, []
        before = len(self.woken)
        for event in events:
            self.observe(event)
        return self.woken[before:]

    def observe(self, event: WatchEvent) -> None:
        uid = self.controller.observe(event.type, event.body)
        if uid is not None:
            self.woken.append(uid)

    def run(self, name: str = "orders") -> Requeue:
        """One pass over a Mirror, after the watch has delivered everything, or two with the precheck between them."""
        rest = self.run_once(name)
        if rest.wakes:
            for key in rest.wakes:
                self.do(self.controller.reconcile(key))
            rest = self.run_once(name)
        return rest

    def run_once(self, name: str = "orders") -> Requeue:
        self.deliver()
        self.controller.pool(self.uid(name))
        return self.do(self.controller.reconcile(self.uid(name)))

    def follow(self, seconds: float, name: str = "orders") -> Requeue:
        """Passes over a Mirror as their rests ask for them, for so long."""
        end = self.now + seconds
        rest = self.run(name)
        while rest.after is not None and self.now + rest.after <= end and ("data", name) in self.cluster.mirrors:
            self.wait(rest.after)
            rest = self.run(name)
        self.wait(max(0.0, end - self.now))
        return rest

    def restart(self, **settings: object) -> None:
        """A new process in the place of the old one."""
        self.events.clear()
        self.controller = a_controller(self, **settings)
        for body in self.cluster.all():
            self.controller.observe(None, body)
        self.controller.listed()

    def tick(self, *rows: LogRow, error: PeerDBError | None = None) -> list[str]:
        """One poll of all mirrors as PeerDB would answer it now; returns the uids to wake."""
        listed = tuple(
            ListedMirror(row.name, row.status.name, int(row.created_at * 1000), row.is_cdc)
            for row in self.engine.world.rows()
        )
        return self.compare(FleetPoll(self.now, None if error else listed, rows, error))

    def compare(self, poll: FleetPoll) -> list[str]:
        """The controller is shown a poll; returns the uids to wake."""
        return self.controller._fleet.compare(poll, self.now)

    # -- objects ---------------------------------------------------------------------------------------------------

    def uid(self, name: str = "orders", namespace: str = "data") -> str:
        return str(self.cluster.get((namespace, name))["metadata"]["uid"])

    def entry(self, name: str = "orders") -> CachedMirror:
        """What the controller remembers of a Mirror."""
        found = self.controller._store.get(self.uid(name))
        assert found is not None
        return found

    def body(self, name: str = "orders") -> Body:
        return self.cluster.get(("data", name))

    def status(self, name: str = "orders") -> Body:
        found: Body = self.body(name)["status"]
        return found

    def condition(self, kind: str = "Ready", name: str = "orders") -> tuple[str, str]:
        """Status and reason of a condition; empty when absent."""
        found = [each for each in self.status(name).get("conditions", []) if each["type"] == kind]
        return (found[0]["status"], found[0]["reason"]) if found else ("", "")

    def message(self, name: str = "orders") -> str:
        return next(str(each["message"]) for each in self.status(name)["conditions"] if each["type"] == "Ready")

    def writes(self) -> list[Change]:
        """What the operator wrote to Kubernetes, Events left out."""
        return [one for one in self.cluster.record if one.who == "operator" and one.verb != "event"]

    def reported(self) -> list[tuple[str, str]]:
        return [(str(one.patch["type"]), str(one.patch["reason"])) for one in self.cluster.events()]

    # -- PeerDB ----------------------------------------------------------------------------------------------------

    def commands(self) -> list[Asked]:
        return [one for one in self.peerdb.asked if one.path == STATE_CHANGE]

    def by_hand(self, state: RequestedState, *, after: float = 0.0) -> None:
        """Somebody asks PeerDB for a state of the mirror, so many seconds from now."""
        human = PeerDBClient(SimTransport(self.engine, self.network, random.Random(9), "human"))

        async def ask() -> None:
            await asyncio.sleep(after)
            await human.change_state("orders", state)

        self.loop.create_task(ask())

    def state(self, name: str = "orders") -> Status | None:
        return self.engine.state(name)

    def tag(self, name: str = "orders") -> str | None:
        row = self.engine.world.row(name)
        return None if row is None else row.tags.get(OWNER_TAG)


def a_stage(*, knobs: dict[str, object] | None = None, **settings: object) -> Stage:
    """An empty stage with a controller that has seen the first list."""
    engine = Engine(now=EPOCH, rng=random.Random(1), knobs=Knobs.model_validate({**QUICK, **(knobs or {})}))
    loop = SimLoop(EPOCH, engine)  # type: ignore[abstract]  # what is missing is not used
    clock = SimClock(loop)
    cluster = FakeCluster(clock.now)
    faults, network = KubeFaults(latency=(0.0, 0.0)), Network(latency=(0.001, 0.001))
    stage = Stage(
        engine=engine,
        loop=loop,
        clock=clock,
        cluster=cluster,
        faults=faults,
        network=network,
        peerdb=TappedPeerDB(SimTransport(engine, network, random.Random(2), "operator"), clock),
        kube=TappedKube(FakePort(cluster, "operator", faults, random.Random(3))),
        controller=None,  # type: ignore[arg-type]  # needs the stage; made in the next line
    )
    stage.controller = a_controller(stage, **settings)
    stage.controller.listed()

    def watch(event: WatchEvent) -> None:
        if stage.at_once:
            stage.observe(event)
        else:
            stage.events.append(event)

    cluster.watchers.append(watch)
    return stage


def a_controller(stage: Stage, **settings: object) -> MirrorController:
    metrics, tracer = Metrics(), stage.tracer
    return MirrorController(
        peerdb=PeerDBClient(MeteredTransport(stage.peerdb, metrics, tracer)),
        kube=stage.kube,
        clock=stage.clock,
        rng=random.Random(4),
        settings=some_settings(**settings),
        cluster_id=stage.cluster.uid,
        metrics=metrics,
        tracer=tracer,
    )


def a_spec(*names: str, **more: object) -> Body:
    """A spec with the tables public.<name> onto <name>."""
    return {"tables": [{"source": f"public.{name}", "destination": name} for name in names], **more}


def tables(*names: str) -> list[Table]:
    return [Table(f"public.{name}", name) for name in names]


def a_settled_stage(
    *names: str, state: Status = Status.RUNNING, knobs: dict[str, object] | None = None,
    spec: Body | None = None, env: dict[str, str] | None = None, **settings: object,
) -> Stage:  # fmt: skip
    """A stage with one Mirror, orders, that is as wished; the record of requests and writes begins after that."""
    stage = a_stage(knobs=knobs, **settings)
    names = names or ("a",)
    stage.engine.put_mirror("orders", state=state, tables=tables(*names), tags={OWNER_TAG: "released"})
    set_live(stage, env=dict(env or {}))
    wish = {"state": "Paused"} if state is Status.PAUSED else {}
    stage.cluster.create("orders", {**a_spec(*names), **wish, **(spec or {})})
    stage.follow(10.0)
    assert stage.condition()[0] == "True", stage.status()
    forget(stage)
    return stage


def forget(stage: Stage) -> None:
    """Begin the record of requests, writes and wake-ups anew."""
    stage.peerdb.asked.clear()
    stage.cluster.record.clear()
    stage.woken.clear()


def set_live(stage: Stage, **fields: object) -> None:
    """A hand in PeerDB's catalog: the live config says something else, without any command."""
    mirror = stage.engine.mirror("orders")
    assert mirror is not None
    assert mirror.row is not None
    assert mirror.workflow is not None
    for name, value in fields.items():
        setattr(mirror.row.config, name, value)
        setattr(mirror.workflow.live, name, value)


def an_heir_comes(stage: Stage) -> Tap:
    """Another Mirror claims the PeerDB mirror at the moment of a request."""
    return Tap(before=lambda: stage.cluster.create("heir", {**a_spec("a"), "mirrorName": "orders"}))


def a_stage_with_a_deletion() -> Stage:
    """A Mirror is deleted, which its controller knows; from now on it hears of everything at once."""
    stage = a_settled_stage("a")
    stage.cluster.delete("orders")
    stage.deliver()
    stage.at_once = True
    return stage


def held_by_us(stage: Stage, name: str = "orders") -> bool:
    """Whether our finalizer is on the object."""
    return FINALIZER in stage.body(name)["metadata"].get("finalizers", [])


def status_reply(code: int, grpc: int, message: str) -> wire.Reply:
    text = encode_json({"code": grpc, "message": message, "details": []})
    return wire.Reply(code, "application/json", text)

"""The whole system in one process on simulated time: PeerDB, API servers, and operators that can die at any step.

Owns the wiring of the real controller, queue, intake, periodic work and anti-entropy onto fakes, and who knew what
when. Leaves to tests what people do, what breaks, and what must hold. The only part of the product's process that is
not here is kopf: a fake watch delivers events in order.

    simulation = Simulation(seed=1)
    simulation.engine.put_mirror("orders", state=Status.RUNNING, tables=[Table("public.a", "a")])
    simulation.cluster.create("orders", {"tables": [{"source": "public.a", "destination": "a"}]})
    operator = simulation.operator()
    simulation.run(30.0)
"""

import contextvars
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from peerdb_operator.mirror.controller import MirrorController
from peerdb_operator.peerdb.client import PeerDBClient
from peerdb_operator.ports import Requeue
from peerdb_operator.runtime.anti_entropy import AntiEntropy, WatchHandler
from peerdb_operator.runtime.process import background, pool_limits
from peerdb_operator.runtime.queue import WorkQueue
from peerdb_operator.settings import Settings
from peerdb_operator.telemetry.metering import MeteredTransport
from peerdb_operator.telemetry.metrics import Metrics
from tests.harness.fakecluster import Body, FakeCluster
from tests.harness.fakeport import FakePort, FakeWatch, KubeFaults
from tests.harness.peerdb.engine import EPOCH, Engine
from tests.harness.peerdb.knobs import Knobs
from tests.harness.peerdb.values import Answer, Request
from tests.harness.simloop import Process, SimClock, SimLoop
from tests.harness.simtransport import Call, Network, SimTransport

HUMAN = "human"
_PASS: contextvars.ContextVar["Pass | None"] = contextvars.ContextVar("pass", default=None)


@dataclass(slots=True, eq=False)
class Pass:
    """One pass over one object. ``known`` is the newest version of the object that the process had been told of."""

    n: int
    who: str
    uid: str
    began: float
    known: Body
    ended: float | None = None


@dataclass(slots=True, eq=False)
class Run:
    """One life of an operator: a process with its parts.

    ``name`` is unique; ``known`` is what it was told last, by uid, and ``first`` what it was told first.
    """

    name: str
    began: float
    process: Process
    cluster: FakeCluster
    known: dict[str, Body] = field(default_factory=dict)
    first: dict[str, Body] = field(default_factory=dict)
    passes: dict[object, Pass] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=Metrics)
    controller: MirrorController | None = None
    watch: FakeWatch | None = None

    def learn(self, body: Body) -> None:
        """Remember the newest version of an object."""
        uid = body["metadata"]["uid"]
        self.first.setdefault(uid, body)
        older = self.known.get(uid)
        if older is None or int(older["metadata"]["resourceVersion"]) < int(body["metadata"]["resourceVersion"]):
            self.known[uid] = body

    @property
    def alive(self) -> bool:
        """Whether it may still do something."""
        return not self.process.dead


class Operator:
    """An operator with an identity: started, killed and started again. At most one run of it is ours to talk about."""

    def __init__(self, simulation: "Simulation", cluster: FakeCluster, name: str, settings: Settings) -> None:
        self._simulation = simulation
        self._name = name
        self._lives = 0
        self.cluster = cluster
        self.settings = settings
        self.kube = KubeFaults()
        self.run: Run | None = None

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self.run is not None and self.run.alive

    def start(self) -> Run:
        """Begin a new life; a former one is left alone (kill it first, or have two)."""
        self._lives += 1
        simulation = self._simulation
        run = Run(f"{self._name}#{self._lives}", simulation.now, Process(self._name), self.cluster)
        self.run = run
        simulation.runs.append(run)
        run.process.context.run(self._assemble, run)
        return run

    def kill(self) -> None:
        """The end without a farewell."""
        if self.run is not None:
            self.run.process.kill()
            if self.run.watch is not None:
                self.run.watch.close()

    def _assemble(self, run: Run) -> None:
        simulation, settings, metrics = self._simulation, self.settings, run.metrics
        loop, clock = simulation.loop, simulation.clock
        chance = random.Random(f"{simulation.seed}/{run.name}")
        transport = SimTransport(simulation.engine, simulation.network, chance, run.name, _PASS.get)
        peerdb = PeerDBClient(MeteredTransport(transport, metrics))
        kube = FakePort(self.cluster, run.name, self.kube, chance, run.learn)
        run.controller = controller = MirrorController(
            peerdb=peerdb, kube=kube, clock=clock, rng=chance, settings=settings,
            cluster_id=self.cluster.uid, metrics=metrics,
        )  # fmt: skip
        queue = WorkQueue(self._watched(run, controller), controller.pool, pool_limits(settings), chance, metrics)
        watch_handler = WatchHandler(controller, queue.wake)

        def deliver(kind: str | None, body: Body) -> None:
            run.learn(body)
            metrics.record_watch_event(clock.now())
            watch_handler.watched(kind, body)

        run.watch = FakeWatch(self.cluster, loop, deliver, self.kube, chance, run.process.context.copy())
        entropy = AntiEntropy(
            kube=kube, controller=controller, watch_handler=watch_handler, wake=queue.wake, clock=clock, rng=chance,
            period=settings.anti_entropy_seconds, metrics=metrics,
        )  # fmt: skip

        async def main() -> None:
            for body in await kube.first_list(clock):
                watch_handler.observed(None, body)
            watch_handler.listed()
            queue.start()
            for name, coroutine in background(controller, queue, entropy, clock):
                loop.spawn(run.process, coroutine, name)
            if run.watch is not None and run.alive:
                run.watch.open()

        loop.spawn(run.process, main(), "main")

    def _watched(self, run: Run, controller: MirrorController) -> "Callable[[str], Any]":
        """The controller's pass, with a note of what was known when it began."""

        async def reconcile(uid: str) -> Requeue:
            noted = self._simulation.note_pass(run, uid)
            run.passes[noted.n] = noted
            _PASS.set(noted)
            try:
                return await controller.reconcile(uid)
            finally:
                noted.ended = self._simulation.now
                run.passes.pop(noted.n, None)

        return reconcile


class Simulation:
    """Everything that exists. Times are seconds since the epoch."""

    def __init__(self, seed: int = 0, *, knobs: Knobs | None = None) -> None:
        self.seed = seed
        self.chance = random.Random(f"{seed}/world")
        self.engine = Engine(now=EPOCH, rng=random.Random(f"{seed}/peerdb"), knobs=knobs)
        self.watchdogs: list[Callable[[], None]] = []
        self.loop = SimLoop(EPOCH, self.engine, self._after_step)  # type: ignore[abstract]  # what is missing is not used
        self.clock = SimClock(self.loop)
        self.network = Network()
        self.cluster = FakeCluster(self._now, uid="alpha")
        self.clusters = [self.cluster]
        self.runs: list[Run] = []
        self.passes: list[Pass] = []

    @property
    def now(self) -> float:
        """The time of the whole world."""
        return self.loop.time()

    def operator(
        self,
        *,
        cluster: FakeCluster | None = None,
        name: str = "operator",
        settings: Mapping[str, object] | None = None,
    ) -> Operator:
        """An operator that has been started; ``settings`` differ from the defaults."""
        built = Operator(self, cluster or self.cluster, name, some_settings(**(settings or {})))
        built.start()
        return built

    def another_cluster(self, uid: str = "beta") -> FakeCluster:
        """A second cluster beside the first, for an operator of its own."""
        self.clusters.append(FakeCluster(self._now, uid=uid))
        return self.clusters[-1]

    def run(self, seconds: float) -> None:
        """Let simulated time pass."""
        self.loop.run_until(self.now + seconds)
        assert not self.loop.failures, f"a callback failed: {self.loop.failures}"

    def run_while(self, waiting: Callable[[], bool], limit: float, step: float = 0.25) -> bool:
        """Let time pass until ``waiting`` ends; False when it has not within ``limit`` seconds."""
        end = self.now + limit
        while waiting():
            if self.now >= end:
                return False
            self.run(step)
        return True

    def human(self, method: str, path: str, body: bytes = b"") -> Answer:
        """Somebody else asks PeerDB for something, at this moment."""
        call = Call(self.engine.log.last + 1, HUMAN, None, self.now)
        self.network.calls[call.n] = call
        answer = self.engine.handle(Request(method, path, body))
        self._after_step()
        return answer

    def close(self) -> None:
        """The end of everything."""
        self.loop.close()

    def note_pass(self, run: Run, uid: str) -> Pass:
        """A pass begins."""
        noted = Pass(len(self.passes) + 1, run.name, uid, self.now, run.known.get(uid, {}))
        self.passes.append(noted)
        return noted

    def _now(self) -> float:
        return self.loop.time()

    def _after_step(self) -> None:
        for watchdog in self.watchdogs:
            watchdog()


def some_settings(**changed: object) -> Settings:
    """The product's default settings, whatever the environment says."""
    return Settings.model_construct(peerdb_url="http://peerdb.test", **changed)  # type: ignore[arg-type]  # by name, as pydantic itself takes them

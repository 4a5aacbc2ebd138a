"""The stage on which programs play: the simulated world, its judge, and the end of a play.

Owns what every program shares: names, starting positions, the verdict that a world has come to rest in truth, and the
silence after it. Leaves what happens to ``actions`` and what must hold to ``invariants``.
"""

import contextlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from tests.harness.fakecluster import Body, FakeCluster
from tests.harness.peerdb.config import Config, Table
from tests.harness.peerdb.knobs import Knobs
from tests.harness.peerdb.values import Status
from tests.harness.simulation import Operator, Run, Simulation
from tests.properties.evidence import condition
from tests.properties.invariants import BrokenError
from tests.properties.invariants_rest import i7_rest_is_silent
from tests.properties.invariants_tables import no_queued_edit_takes_a_table_away
from tests.properties.judge import Judge
from tests.properties.truth import is_under_way, untrue

OBJECTS = ("orders", "items", "again")
MIRRORS = ("orders", "items", "orders")
"""The third Mirror claims the PeerDB mirror of the first."""

REST_WITHIN = 3600.0
LOOK_EVERY = 2.5
STILL = 12.0
STILL_STALLED = 150.0
"""Seconds that have to show everything at rest before it counts: longer than a tick; longer than two slow looks."""
SILENCE = 60.0
QUICK = 0.1
"""Seconds that an answer of a healthy API server takes at most."""
DESTINATION = "CLICKHOUSE"

Tables = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Start:
    """How a PeerDB mirror and its Mirror stand before anything happens. ``spec`` None: no Mirror yet."""

    state: str = "RUNNING"
    live: Tables = (("a", "a"), ("b", "b"))
    spec: Tables | None = (("a", "a"), ("b", "b"))
    running: bool = True
    policy: str = "Drop"


class _Faults(logging.Handler):
    """Keeps what the operator logs as its own fault."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextlib.contextmanager
def own_faults() -> Iterator[list[logging.LogRecord]]:
    """The operator's log lines of level error while the block runs; no line goes anywhere else."""
    logger, faults = logging.getLogger("peerdb_operator"), _Faults()
    before = logger.level, logger.propagate
    logger.addHandler(faults)
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    try:
        yield faults.records
    finally:
        logger.removeHandler(faults)
        logger.level, logger.propagate = before


class Stage:
    """One world with its judge."""

    def __init__(
        self, seed: int, starts: tuple[Start, ...] = (Start(),), knobs: Knobs | None = None, **settings: object
    ) -> None:
        self.plain = knobs or Knobs()
        self.simulation = Simulation(seed, knobs=self.plain)
        self.engine = self.simulation.engine
        self.cluster = self.simulation.cluster
        self.judge = Judge.over(self.simulation)
        self.judge.hands.trouble = self.trouble
        self.old: list[Run] = []
        self.odd: dict[str, Status] = {}
        """What the rows said before an odd word took the place of their state."""
        self.rival: Operator | None = None
        self.engine.put_databases(filled=())
        for index, start in enumerate(starts):
            self._put(index, start)
        self.operator = self.simulation.operator(settings=settings)
        self.simulation.watchdogs.append(self._raise_the_dead)

    def _put(self, index: int, start: Start) -> None:
        tables = [Table(f"public.{source}", destination) for source, destination in start.live]
        if start.state != "ABSENT":
            self.engine.put_mirror(MIRRORS[index], state=Status[start.state], tables=tables)
        if start.spec is not None:
            self.create(index, start.spec, state="Running" if start.running else "Paused", deletionPolicy=start.policy)

    def create(self, index: int, tables: Tables, *, cluster: FakeCluster | None = None, **more: str) -> None:
        """A new Mirror, unless there is one or the cluster takes none."""
        spec: Body = {"tables": mappings(tables), **more}
        if OBJECTS[index] != MIRRORS[index]:
            spec["mirrorName"] = MIRRORS[index]
        cluster = cluster or self.cluster
        takes_new = cluster.namespaces.get("data") is False and cluster.crd is False
        if takes_new and ("data", OBJECTS[index]) not in cluster.mirrors:
            cluster.create(OBJECTS[index], spec)

    def exists(self, index: int) -> bool:
        return ("data", OBJECTS[index]) in self.cluster.mirrors

    def body(self, index: int) -> Body:
        return self.cluster.get(("data", OBJECTS[index]))

    def ask(self, path: str, body: Body) -> None:
        """A human asks PeerDB for something and does not wait for the answer."""
        self.simulation.human("POST", f"/v1/{path}", json.dumps(body).encode())

    def create_mirror(self, index: int, tables: Tables) -> None:
        """A human creates a mirror in PeerDB."""
        if self.engine.state(MIRRORS[index]) is None:
            config = Config(tables=tuple(Table(f"public.{source}", destination) for source, destination in tables))
            self.engine.create_mirror(MIRRORS[index], config, source_type="POSTGRES", destination_type=DESTINATION)

    def say_plainly(self, name: str, status: Status) -> None:
        mirror = self.engine.mirror(name)
        if mirror is not None and mirror.row is not None and mirror.row.status is Status.UNKNOWN:
            self.engine.world.set_status(mirror, status)

    # -- troubles --------------------------------------------------------------------------------------------------

    def trouble(self) -> bool:
        """Whether Kubernetes is slow, away or loses answers at this moment."""
        kube = self.operator.kube
        return bool(kube.away or kube.lose_replies or max(kube.latency) > QUICK)

    def calm(self) -> None:
        """All faults end; what they did stays."""
        simulation, operator = self.simulation, self.operator
        self.engine.turn(**self.plain.model_dump())
        self.engine.put_databases(filled=self.engine.world.databases.filled)
        for name, status in self.odd.items():
            self.say_plainly(name, status)
        simulation.network.away = False
        simulation.network.overtaking.clear()
        simulation.network.latency = (0.001, 0.01)
        for one in [operator, *([self.rival] if self.rival else [])]:
            one.kube.away, one.kube.lose_replies, one.kube.refuse_events = False, 0, False
            one.kube.latency, one.kube.watch_latency = (0.001, 0.008), (0.001, 0.02)
            if one.run is not None:
                simulation.loop.resume(one.run.process)
                one.run.process.steps_left = None
                if one.run.watch is not None:
                    one.run.watch.reconnect()
        for run in self.old:
            run.process.kill()
        if not operator.alive:
            operator.start()

    def start_later(self, seconds: float) -> None:
        """Start the operator again after a while."""
        self.simulation.loop.call_later(seconds, self._start)

    def _start(self) -> None:
        if not self.operator.alive:
            self.operator.start()

    def _raise_the_dead(self) -> None:
        """A process that died by itself is started again, as its supervisor would."""
        run = self.operator.run
        if run is not None and run.process.dead and run.process.steps_left is not None:
            run.process.steps_left = None
            if run.watch is not None:
                run.watch.close()
            self.start_later(2.0)

    # -- the end ---------------------------------------------------------------------------------------------------

    def restless(self) -> list[str]:
        """Why the world is not at rest: one line for each Mirror whose verdict is not final and true."""
        found = [
            f"PeerDB is at work on {name}" for name, mirror in self.engine.world.mirrors.items() if is_under_way(mirror)
        ]
        for cluster in self.simulation.clusters:
            for body in cluster.all() if cluster.crd is not None else ():
                why = untrue(self.simulation, cluster, body)
                if why is not None:
                    found.append(f"{cluster.uid}/{body['metadata']['name']}: {why}")
        return found

    def _long_enough(self) -> float:
        bodies = [body for cluster in self.simulation.clusters if cluster.crd is not None for body in cluster.all()]
        return STILL if all(condition(body, "Ready").get("status") == "True" for body in bodies) else STILL_STALLED

    def settle(self) -> None:
        """Faults end; the world has to come to rest, and then to be silent."""
        self.calm()
        simulation = self.simulation
        end, still_since = simulation.now + REST_WITHIN, simulation.now
        while simulation.now - still_since < self._long_enough():
            simulation.run(LOOK_EVERY)
            restless = self.restless()
            if restless:
                still_since = simulation.now
                if simulation.now > end:
                    raise BrokenError(f"the world did not settle: {restless}")
        no_queued_edit_takes_a_table_away(self.judge.evidence, self.judge.hands)
        self.judge.quiet = []
        simulation.run(SILENCE)
        quiet, self.judge.quiet = self.judge.quiet, None
        i7_rest_is_silent(quiet)


def mappings(tables: Tables) -> list[Body]:
    return [{"source": f"public.{source}", "destination": destination} for source, destination in tables]

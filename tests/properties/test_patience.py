"""A mirror that should run stays PAUSED for two minutes at most, also while PeerDB refuses many calls or answers late.

A proxy between operator and PeerDB refuses a share of all calls at once (a broken replica behind a load balancer) and
delays the answers to the others. Each try edits one mirror, with a seed of its own, and measures how long PeerDB itself
has the mirror PAUSED. In half of the tries the trouble begins before the edit, in the others when the mirror is PAUSED.
"""

import pytest

from tests.harness.peerdb.config import Table
from tests.harness.peerdb.values import Status
from tests.harness.simulation import Simulation

pytestmark = pytest.mark.no_cover
TRIES = 16
PATIENCE = 120.0
LASTS = 300.0


def a_world(seed: int, **spec: object) -> Simulation:
    """A mirror with one table and a Mirror that is settled."""
    simulation = Simulation(seed)
    simulation.engine.put_mirror("orders", state=Status.RUNNING, tables=[Table("public.a", "a")])
    simulation.cluster.create("orders", {"tables": [{"source": "public.a", "destination": "a"}], **spec})
    simulation.operator()
    simulation.run(30.0 + seed)
    return simulation


def add_a_table(simulation: Simulation) -> None:
    tables = [{"source": f"public.{name}", "destination": name} for name in "ab"]
    simulation.cluster.edit("orders", {"spec": {"tables": tables}})


def is_settled(simulation: Simulation) -> bool:
    body = simulation.cluster.get(("data", "orders"))
    settled = ((body["status"].get("bounds") or {}).get("settled")) == body["metadata"]["generation"]
    return settled and simulation.engine.state("orders") is Status.RUNNING


def release(seed: int, *, refused: float, latency: float) -> tuple[bool, Status | None]:
    """A Mirror with policy Retain is deleted in the middle of an edit: whether it goes, and what its mirror does."""
    simulation = a_world(seed, deletionPolicy="Retain")
    add_a_table(simulation)
    assert simulation.run_while(lambda: simulation.engine.state("orders") is not Status.PAUSED, 30.0, step=0.05)
    simulation.engine.turn(unavailable=refused, latency=latency)
    simulation.run(seed % 3 * 20.0)
    simulation.cluster.delete("orders")
    gone = simulation.run_while(lambda: bool(simulation.cluster.mirrors), PATIENCE + 2 * latency + 10.0)
    simulation.close()
    return gone, simulation.engine.state("orders")


def stops(seed: int, *, refused: float, latency: float) -> list[float]:
    """How long each stop lasts that an edit through such a proxy causes; the newest may last still."""
    simulation = a_world(seed)
    found: list[float] = []
    since: list[float] = []

    def watch() -> None:
        paused = simulation.engine.state("orders") is Status.PAUSED
        if paused and not since:
            since.append(simulation.now)
            simulation.engine.turn(unavailable=refused, latency=latency)
        elif since and not paused:
            found.append(simulation.now - since.pop())

    simulation.watchdogs.append(watch)
    if seed % 2:
        simulation.engine.turn(unavailable=refused, latency=latency)
    add_a_table(simulation)
    simulation.run_while(lambda: not is_settled(simulation), LASTS, step=5.0)
    found += [simulation.now - one for one in since]
    simulation.close()
    return found


@pytest.mark.parametrize(("refused", "latency"), [(0.0, 20.0), (0.3, 5.0), (0.5, 0.0), (0.5, 20.0)])
def test_no_stop_outlasts_the_patience_while_calls_are_refused_and_late(refused: float, latency: float) -> None:
    tries = [stops(seed, refused=refused, latency=latency) for seed in range(TRIES)]
    assert sum(map(bool, tries)) >= TRIES / 2
    assert max(max(one, default=0.0) for one in tries) <= PATIENCE + 2 * latency + 10.0


def test_no_stop_outlasts_three_minutes_while_most_calls_are_refused() -> None:
    tries = [stops(seed, refused=0.7, latency=0.0) for seed in range(TRIES)]
    assert sum(map(bool, tries)) >= TRIES / 2
    assert max(max(one, default=0.0) for one in tries) <= 180.0


@pytest.mark.parametrize(("refused", "latency"), [(0.0, 20.0), (0.5, 0.0), (0.5, 5.0)])
def test_a_mirror_is_released_running_while_calls_are_refused_and_late(refused: float, latency: float) -> None:
    ends = [release(seed, refused=refused, latency=latency) for seed in range(TRIES)]
    assert {gone for gone, _ in ends} == {True}
    assert Status.PAUSED not in {state for _, state in ends}

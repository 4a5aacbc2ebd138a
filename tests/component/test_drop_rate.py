"""How many mirrors are dropped, and when: the limit holds over restarts, and holds only what is to be dropped."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.component.test_metrics import a_world
from tests.harness.fakecluster import FakeCluster
from tests.harness.peerdb.values import Status
from tests.harness.simulation import Operator, Simulation

MANY = 15
INTERVAL = 120.0


def delete_all(simulation: Simulation) -> None:
    for number in range(MANY):
        simulation.cluster.delete(f"m{number}")


def dropped(simulation: Simulation) -> int:
    return MANY - sum(simulation.engine.state(f"m{number}") is not None for number in range(MANY))


def restart(operator: Operator) -> None:
    operator.kill()
    operator.start()


def reason(simulation: Simulation, name: str) -> str:
    conditions = simulation.cluster.get(("data", name))["status"]["conditions"]
    return next(str(one["reason"]) for one in conditions if one["type"] == "Ready")


def test_five_mirrors_are_dropped_at_once_and_then_one_every_two_minutes() -> None:
    simulation, _ = a_world(MANY)
    delete_all(simulation)
    simulation.run(30)
    assert dropped(simulation) == 5
    for more in range(1, 4):
        simulation.run(INTERVAL)
        assert dropped(simulation) == 5 + more


@pytest.mark.parametrize("restarts", [1, 3, 20])
def test_an_operator_that_restarts_while_mirrors_are_deleted_drops_no_more_than_one_that_lives(restarts: int) -> None:
    simulation, operator = a_world(MANY)
    delete_all(simulation)
    for _ in range(restarts):
        simulation.run(30)
        restart(operator)
        assert dropped(simulation) == 5
    simulation.run(INTERVAL - 5)
    assert dropped(simulation) == 5
    simulation.run(30)
    assert dropped(simulation) == 6


def test_an_operator_that_was_down_when_mirrors_were_deleted_drops_the_first_after_two_minutes() -> None:
    simulation, operator = a_world(MANY)
    operator.kill()
    delete_all(simulation)
    operator.start()
    simulation.run(INTERVAL - 5)
    assert dropped(simulation) == 0
    assert {reason(simulation, f"m{number}") for number in range(MANY)} == {"DropHeld"}
    simulation.run(30)
    assert dropped(simulation) == 1


def test_mirrors_are_dropped_at_once_when_nothing_was_deleted_before_the_operator_started() -> None:
    simulation, operator = a_world(MANY)
    restart(operator)
    simulation.run(10)
    delete_all(simulation)
    simulation.run(30)
    assert dropped(simulation) == 5


def test_a_mirror_that_is_kept_waits_for_no_drop() -> None:
    simulation, operator = a_world(MANY)
    for number in range(MANY):
        simulation.cluster.edit(f"m{number}", {"spec": {"deletionPolicy": "Retain"}})
    simulation.run(10)
    operator.kill()
    delete_all(simulation)
    operator.start()
    simulation.run(30)
    assert simulation.cluster.mirrors == {}
    assert {simulation.engine.state(f"m{number}") for number in range(MANY)} == {Status.RUNNING}


@pytest.mark.parametrize("goes", [FakeCluster.delete_namespace, FakeCluster.delete_crd], ids=["namespace", "CRD"])
def test_held_drops_are_released_within_a_tick_when_their_namespace_or_the_crd_goes(
    goes: Callable[[FakeCluster], None],
) -> None:
    simulation, _ = a_world(MANY)
    delete_all(simulation)
    simulation.run(30)
    assert dropped(simulation) == 5
    goes(simulation.cluster)
    simulation.run(15)
    assert simulation.cluster.mirrors == {}
    assert "data" not in simulation.cluster.namespaces or simulation.cluster.crd is None
    simulation.run(600)
    assert dropped(simulation) == 5

"""A drop that PeerDB takes and does not end: the object says so and what to do, and stays until somebody does it."""

from __future__ import annotations

import pytest

from tests.component.test_counts import a_settled_world
from tests.component.test_replaced import ready_of, ready_since, status_of
from tests.harness.peerdb.values import Status
from tests.harness.simulation import Operator, Simulation

MINUTES = 60.0
DEADLINE = 15 * MINUTES
KEY = ("data", "m0")
OVERDUE = ("False", "ProgressDeadlineExceeded")


def an_endless_drop(**knobs: object) -> tuple[Simulation, Operator]:
    """A deleted Mirror whose drop PeerDB has answered with 200, some seconds ago."""
    simulation, operator = a_settled_world()
    simulation.engine.turn(**knobs)
    simulation.cluster.delete("m0")
    simulation.run(20)
    assert ready_of(simulation) == ("False", "Dropping")
    return simulation, operator


def message_of(simulation: Simulation) -> str:
    ready = next(one for one in status_of(simulation)["conditions"] if one["type"] == "Ready")
    return str(ready["message"])


def test_a_drop_whose_workflow_is_gone_ends_in_a_verdict_with_the_way_out_and_keeps_the_finalizer() -> None:
    simulation, operator = an_endless_drop(stuck_drop=True)
    assert simulation.engine.state("m0") is Status.TERMINATING
    simulation.engine.orphan("m0")
    simulation.run(DEADLINE - 30.0)
    assert ready_of(simulation) == ("False", "Dropping")
    simulation.run(60.0)
    assert ready_of(simulation) == OVERDUE
    assert "workflow still in Temporal" in message_of(simulation)
    assert "deletionPolicy: Retain" in message_of(simulation)
    operator.kill()
    began = simulation.now
    operator.start()
    simulation.run(60 * MINUTES)
    assert ready_since(simulation, began) in ([], [OVERDUE])
    assert simulation.cluster.get(KEY)["metadata"]["finalizers"]
    simulation.cluster.edit("m0", {"spec": {"deletionPolicy": "Retain"}})
    simulation.run(5)
    assert KEY not in simulation.cluster.mirrors
    assert simulation.engine.state("m0") is Status.TERMINATING


def test_a_drop_that_peerdb_fails_to_take_again_and_again_says_what_is_wrong() -> None:
    simulation, _ = a_settled_world()
    simulation.engine.turn(temporal_down=True)
    simulation.cluster.delete("m0")
    simulation.run(5 * MINUTES)
    assert ready_of(simulation) == ("False", "Dropping")
    assert "context deadline exceeded" in message_of(simulation)
    simulation.engine.turn(temporal_down=False)
    simulation.run(3 * MINUTES)
    assert KEY not in simulation.cluster.mirrors


@pytest.mark.parametrize(("knobs", "state"), [({"stuck_drop": True}, "Terminating"), ({"wedged": True}, "Running")])
def test_a_drop_that_goes_on_after_its_deadline_lets_the_object_go(knobs: dict[str, object], state: str) -> None:
    simulation, _ = an_endless_drop(**knobs)
    simulation.run(DEADLINE + MINUTES)
    assert ready_of(simulation) == OVERDUE
    assert f"still shows it {state}" in message_of(simulation)
    simulation.engine.turn(stuck_drop=False, wedged=False)
    if state == "Running":
        simulation.engine.remove_mirror("m0")
    simulation.run(2 * MINUTES)
    assert KEY not in simulation.cluster.mirrors

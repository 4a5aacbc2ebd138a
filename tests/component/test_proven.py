"""What has been proven of a mirror stays said, over restarts and outages, until something proves the contrary."""

from __future__ import annotations

import pytest

from tests.component.test_counts import a_settled_world
from tests.component.test_replaced import ready_of, ready_since, replace_mirror, status_of
from tests.harness.peerdb.config import Table
from tests.harness.peerdb.mirror import Phase
from tests.harness.peerdb.values import Status
from tests.harness.simulation import Operator, Simulation

ORPHANED = ("False", "MirrorOrphaned")


def a_known_orphan() -> tuple[Simulation, Operator]:
    """A mirror whose workflow is gone, which PeerDB has said in answer to a pause; the spec is as it was again."""
    simulation, operator = a_settled_world()
    simulation.engine.orphan("m0")
    simulation.cluster.edit("m0", {"spec": {"state": "Paused"}})
    simulation.run(30)
    assert ready_of(simulation) == ORPHANED
    simulation.cluster.edit("m0", {"spec": {"state": "Running"}})
    simulation.run(30)
    assert ready_of(simulation) == ORPHANED
    assert status_of(simulation)["flow"]["verdict"] == "MirrorOrphaned"
    return simulation, operator


def restart(simulation: Simulation, operator: Operator, after: float = 5.0) -> float:
    """The process ends and another one begins; returns when it began."""
    operator.kill()
    simulation.run(after)
    operator.start()
    return simulation.now


def test_a_mirror_without_a_workflow_is_not_green_after_a_restart() -> None:
    simulation, operator = a_known_orphan()
    began = restart(simulation, operator)
    simulation.run(1800)
    assert {ready for ready, _ in ready_since(simulation, began)} <= {"False"}
    assert ready_of(simulation) == ORPHANED


def test_a_mirror_without_a_workflow_is_known_after_a_restart_in_an_outage() -> None:
    simulation, operator = a_known_orphan()
    simulation.network.away = True
    simulation.run(400)
    assert ready_of(simulation)[1] == "PeerDBUnavailable"
    began = restart(simulation, operator)
    simulation.run(60)
    simulation.network.away = False
    simulation.run(60)
    assert ready_of(simulation) == ORPHANED
    assert "True" not in {ready for ready, _ in ready_since(simulation, began)}


def test_a_failed_command_does_not_bring_a_workflow_back() -> None:
    simulation, _ = a_known_orphan()
    simulation.engine.turn(maintenance=True)
    simulation.cluster.edit("m0", {"spec": {"state": "Paused"}})
    simulation.run(900)
    simulation.cluster.edit("m0", {"spec": {"state": "Running"}})
    simulation.engine.turn(maintenance=False)
    simulation.run(60)
    assert ready_of(simulation) == ORPHANED


@pytest.mark.parametrize("how", ["created anew", "another state"])
def test_a_mirror_that_has_a_workflow_again_is_green(how: str) -> None:
    simulation, operator = a_known_orphan()
    if how == "created anew":
        replace_mirror(simulation)
    else:
        mirror = simulation.engine.mirror("m0")
        assert mirror is not None
        assert mirror.workflow is not None
        mirror.workflow.phase = Phase.CDC
        simulation.human(
            "POST", "/v1/mirrors/state_change", b'{"flowJobName": "m0", "requestedFlowState": "STATUS_PAUSED"}'
        )
    restart(simulation, operator)
    simulation.run(60)
    assert ready_of(simulation) == ("True", "Running")
    assert "flow" not in status_of(simulation)


def test_a_command_that_is_taken_proves_that_there_is_a_workflow() -> None:
    simulation, operator = a_known_orphan()
    mirror = simulation.engine.mirror("m0")
    assert mirror is not None
    assert mirror.workflow is not None
    mirror.workflow.phase = Phase.CDC
    restart(simulation, operator)
    simulation.cluster.edit("m0", {"spec": {"state": "Paused"}})
    simulation.run(700)
    assert ready_of(simulation) == ("True", "Paused")
    assert "flow" not in status_of(simulation)


def put_in(simulation: Simulation, state: Status) -> None:
    """The same mirror in another state, in which it stays."""
    row = simulation.engine.world.row("m0")
    assert row is not None
    tables = [Table("public.a", "a")]
    simulation.engine.put_mirror(
        "m0", state=state, tables=tables, tags=row.tags, created_at=row.created_at, timers=False
    )


def test_a_copy_that_makes_no_progress_is_told_after_a_restart_until_it_does() -> None:
    simulation, operator = a_settled_world()
    put_in(simulation, Status.SNAPSHOT)
    simulation.run(1900)
    assert ready_of(simulation) == ("False", "ProgressDeadlineExceeded")
    began = restart(simulation, operator)
    simulation.run(300)
    assert ready_since(simulation, began) == []
    put_in(simulation, Status.RUNNING)
    simulation.run(60)
    assert ready_of(simulation) == ("True", "Running")

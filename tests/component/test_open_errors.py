"""An error in PeerDB's log marks a running mirror until a batch ended after it, and only PeerDB's batches tell."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.component.test_counts import QUICK, Counted, a_settled_world
from tests.component.test_proven import restart
from tests.component.test_replaced import ready_of, ready_since, replace_mirror, status_of
from tests.harness.simulation import Operator, Simulation

TICK = 12.0
GREEN, WITH_ERRORS = ("True", "Running"), ("True", "RunningWithErrors")
FLOWING = QUICK.patched({"traffic": True})


def fail(simulation: Simulation, name: str = "m0", message: str = "no space left") -> None:
    """PeerDB logs an error of a mirror."""
    simulation.engine.world.say(name, message, "error")


def a_failing_world(mirrors: int = 1) -> tuple[Simulation, Operator]:
    """Mirrors whose batches do not reach the destination, of which the first has logged an error."""
    simulation, operator = a_settled_world(mirrors, FLOWING)
    simulation.engine.turn(failing_normalize=True)
    simulation.run(1)
    fail(simulation)
    simulation.run(TICK)
    assert ready_of(simulation) == WITH_ERRORS
    return simulation, operator


def batches_read(counted: Counted, name: str = "m0") -> list[float]:
    """When the batches of a mirror were asked for."""
    asked = [one for one in counted.requests if one.path.endswith("cdc/batches")]
    return [one.at for one in asked if f'"{name}"'.encode() in one.body]


def test_an_error_stays_over_twenty_minutes_of_silence_and_a_restart_and_is_written_once() -> None:
    simulation, operator = a_failing_world()
    counted, began = Counted(simulation), simulation.now
    simulation.run(20 * 60)
    restart(simulation, operator)
    simulation.run(20 * 60)
    assert ready_of(simulation) == WITH_ERRORS
    assert ready_since(simulation, began) == []
    assert counted.changes == []
    assert status_of(simulation)["flow"]["verdict"] == "RunningWithErrors"


def test_an_error_is_answered_by_the_first_batch_that_ends_after_it() -> None:
    simulation, _ = a_failing_world()
    simulation.run(600)
    counted = Counted(simulation)
    simulation.engine.turn(failing_normalize=False)
    simulation.run(90)
    assert ready_of(simulation) == GREEN
    assert (counted.writes, status_of(simulation)["flow"]["verdict"]) == (1, "Running")
    assert status_of(simulation)["lastError"]["message"] == "no space left"


def test_a_batch_that_ended_before_the_error_does_not_answer_it() -> None:
    simulation, _ = a_settled_world(knobs=FLOWING)
    simulation.engine.turn(traffic=False)
    simulation.run(1)
    fail(simulation)
    simulation.run(600)
    assert ready_of(simulation) == WITH_ERRORS
    simulation.engine.world.batches.finish("m0")
    simulation.run(90)
    assert ready_of(simulation) == GREEN


def test_no_batches_are_asked_for_without_an_open_error() -> None:
    simulation, operator = a_settled_world(5, FLOWING)
    counted = Counted(simulation)
    simulation.run(1200)
    restart(simulation, operator)
    simulation.run(1200)
    assert counted.by_path()["batches"] == 0
    fail(simulation)
    simulation.run(100)
    assert ready_of(simulation) == GREEN
    asked = counted.by_path()["batches"]
    assert asked <= 2
    simulation.run(1200)
    restart(simulation, operator)
    simulation.run(1200)
    assert counted.by_path()["batches"] == asked


def test_the_batches_of_a_failing_mirror_are_asked_for_once_a_minute_at_most_however_often_it_fails() -> None:
    simulation, _ = a_failing_world(3)
    counted = Counted(simulation)
    for number in range(120):
        fail(simulation, message=f"error {number}")
        simulation.run(10)
    asked = batches_read(counted)
    assert 15 <= len(asked) <= 20
    assert min(later - earlier for earlier, later in pairwise(asked)) >= 60.0
    assert counted.by_path()["batches"] == len(asked)


def test_a_mirror_that_is_paused_is_not_asked_for_its_batches() -> None:
    simulation, _ = a_failing_world()
    simulation.cluster.edit("m0", {"spec": {"state": "Paused"}})
    simulation.run(30)
    assert ready_of(simulation) == ("True", "Paused")
    counted = Counted(simulation)
    simulation.run(1200)
    assert counted.by_path()["batches"] == 0
    simulation.cluster.edit("m0", {"spec": {"state": "Running"}})
    simulation.run(30)
    assert ready_of(simulation) == WITH_ERRORS


@pytest.mark.parametrize(
    "fault", [{"bad_gateway": True}, {"reset_before": True}, {"unavailable": 1.0}], ids=["garbled", "reset", "refused"]
)
def test_an_answer_that_fails_keeps_the_error(fault: dict[str, object]) -> None:
    simulation, operator = a_failing_world()
    simulation.engine.turn(failing_normalize=False, fault_path="mirrors/cdc/batches", **fault)
    began = simulation.now
    simulation.run(600)
    restart(simulation, operator)
    simulation.run(600)
    assert ready_since(simulation, began) == []
    simulation.engine.turn(**dict.fromkeys(fault, False))
    simulation.run(90)
    assert ready_of(simulation) == GREEN


def test_an_old_error_that_a_new_process_finds_in_the_log_does_not_mark_a_mirror_that_flows() -> None:
    simulation, operator = a_settled_world(knobs=FLOWING)
    operator.kill()
    fail(simulation)
    simulation.run(60)
    began = simulation.now
    operator.start()
    simulation.run(60)
    assert set(ready_since(simulation, began)) <= {GREEN}
    assert (status_of(simulation)["flow"]["verdict"], "lastError" in status_of(simulation)) == ("Running", True)


def test_an_error_that_came_while_no_operator_ran_marks_a_mirror_that_does_not_flow() -> None:
    simulation, operator = a_settled_world(knobs=FLOWING)
    operator.kill()
    simulation.engine.turn(failing_normalize=True)
    simulation.run(1)
    fail(simulation)
    simulation.run(3600)
    operator.start()
    simulation.run(60)
    assert ready_of(simulation) == WITH_ERRORS


def test_an_error_repeated_after_a_batch_is_not_answered_by_that_batch_after_a_restart() -> None:
    simulation, operator = a_failing_world()
    simulation.engine.turn(failing_normalize=False)
    simulation.run(90)
    assert ready_of(simulation) == GREEN
    simulation.engine.turn(failing_normalize=True)
    simulation.run(1)
    fail(simulation)
    simulation.run(TICK)
    assert ready_of(simulation) == WITH_ERRORS
    operator.kill()
    simulation.engine.world.journal.lines.clear()  # a busy fleet: the newest page of the log has others' lines
    operator.start()
    simulation.run(600)
    assert ready_of(simulation) == WITH_ERRORS


def test_the_error_of_a_mirror_that_was_created_anew_goes_with_it() -> None:
    simulation, _ = a_failing_world()
    simulation.run(1200)
    replace_mirror(simulation)
    simulation.run(60)
    assert ready_of(simulation) == GREEN
    assert {"flow", "lastError"} & status_of(simulation).keys() == set()

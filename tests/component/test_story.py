"""What ``kubectl describe`` and the log tell of a Mirror's life: the story, once, and nothing while nothing happens."""

from __future__ import annotations

import logging

import pytest

from tests.component.test_metrics import QUICK, a_spec, a_world
from tests.harness.peerdb.config import Table
from tests.harness.peerdb.values import Status
from tests.harness.simulation import Simulation

Told = list[tuple[str, str]]


def events(simulation: Simulation, name: str = "m0") -> list[tuple[str, str, str]]:
    """Type, reason and note of all Events about one Mirror."""
    about = [one for one in simulation.cluster.events() if one.key[1] == name]
    return [(str(one.patch["type"]), str(one.patch["reason"]), str(one.patch["message"])) for one in about]


def reported(simulation: Simulation, since: int = 0) -> Told:
    return [(kind, reason) for kind, reason, _ in events(simulation)[since:]]


def notes(simulation: Simulation, reason: str) -> list[str]:
    return [note for _, found, note in events(simulation) if found == reason]


def test_the_takeover_is_one_event_with_what_came_of_it() -> None:
    simulation, _ = a_world()

    assert events(simulation) == [
        ("Normal", "TakenOver", "the PeerDB mirror is managed by this Mirror from now on: running as wished")
    ]


def test_a_takeover_that_meets_a_problem_is_two_events() -> None:
    simulation = Simulation(seed=7, knobs=QUICK)
    simulation.engine.put_mirror("m0", state=Status.RUNNING, tables=[Table("public.a", "a")])
    simulation.engine.put_databases(source_tables=["public.a"])
    simulation.cluster.create("m0", a_spec("a", "nope"))
    simulation.operator()
    simulation.run(60)

    assert reported(simulation)[:2] == [("Normal", "TakenOver"), ("Warning", "PrecheckFailed")]
    assert notes(simulation, "TakenOver") == ["the PeerDB mirror is managed by this Mirror from now on"]
    assert "public.nope" in notes(simulation, "PrecheckFailed")[0]


def test_an_edit_is_told_step_by_step() -> None:
    simulation, _ = a_world(knobs=QUICK.patched({"t_add": 10.0}))
    simulation.cluster.edit("m0", {"spec": a_spec("a", "b")})
    simulation.run(60)

    assert reported(simulation, 1) == [
        ("Normal", "Pausing"),
        ("Normal", "Editing"),
        ("Normal", "AddingTables"),
        ("Normal", "Running"),
    ]
    assert "public.b" in notes(simulation, "Editing")[0]


def test_a_mirror_that_somebody_paused_in_peerdb_is_led_back_with_a_warning() -> None:
    simulation, _ = a_world()
    simulation.human(
        "POST", "/v1/mirrors/state_change", b'{"flowJobName": "m0", "requestedFlowState": "STATUS_PAUSED"}'
    )
    simulation.run(60)

    assert simulation.engine.state("m0") is Status.RUNNING
    assert reported(simulation, 1) == [("Warning", "DriftCorrected"), ("Normal", "Running")]
    assert "was changed in PeerDB" in notes(simulation, "DriftCorrected")[0]


def test_a_change_of_the_spec_is_no_correction() -> None:
    simulation, _ = a_world()
    for state in ("Paused", "Running"):
        simulation.cluster.edit("m0", {"spec": {"state": state}})
        simulation.run(60)

    assert reported(simulation, 1) == [
        ("Normal", "Pausing"),
        ("Normal", "Paused"),
        ("Normal", "Resuming"),
        ("Normal", "Running"),
    ]


def test_a_held_drop_is_told_from_the_rate_limit_to_the_end() -> None:
    simulation, _ = a_world(2, brake_drops=1, brake_seconds=30.0)
    simulation.cluster.delete("m1")
    simulation.run(1)
    simulation.cluster.delete("m0")
    simulation.run(90)

    assert simulation.engine.state("m0") is None
    assert reported(simulation, 1) == [("Warning", "DropHeld"), ("Normal", "Dropping"), ("Normal", "Dropped")]


@pytest.mark.parametrize(("patch", "why"), [({"deletionPolicy": "Retain"}, "Retain")])
def test_a_release_is_told_with_its_cause(patch: dict[str, str], why: str) -> None:
    simulation, _ = a_world()
    simulation.cluster.edit("m0", {"spec": patch})
    simulation.run(10)
    simulation.cluster.delete("m0")
    simulation.run(60)

    assert reported(simulation)[-1] == ("Normal", "Released")
    assert why in notes(simulation, "Released")[0]
    assert simulation.engine.state("m0") is Status.RUNNING


def test_notes_fit_into_an_event_whatever_the_spec_names() -> None:
    simulation, _ = a_world()
    names = [f"{'x' * 50}{number}" for number in range(200)]
    simulation.cluster.edit("m0", {"spec": a_spec("a", *names)})
    simulation.run(120)

    assert len(events(simulation)) > 3
    assert max(len(note) for _, _, note in events(simulation)) <= 1024


def test_nothing_is_logged_and_told_in_ten_quiet_minutes(caplog: pytest.LogCaptureFixture) -> None:
    simulation, _ = a_world(5)
    simulation.cluster.create("lost", a_spec("a"))
    simulation.engine.put_mirror("stopped", state=Status.PAUSED, tables=[Table("public.a", "a")])
    simulation.cluster.create("stopped", a_spec("a", state="Paused"))
    simulation.run(60)
    before = len(list(simulation.cluster.events()))
    caplog.clear()
    with caplog.at_level(logging.INFO):
        simulation.run(600)

    assert [record.getMessage() for record in caplog.records] == []
    assert len(list(simulation.cluster.events())) == before


def test_each_decision_of_an_edit_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    simulation, _ = a_world(knobs=QUICK.patched({"t_stop": 20.0, "t_add": 30.0}))
    caplog.clear()
    with caplog.at_level(logging.INFO):
        simulation.cluster.edit("m0", {"spec": a_spec("a", "b")})
        simulation.run(100)

    firsts = [record.getMessage().partition(":")[0] for record in caplog.records]
    assert firsts == ["Pause", "SendUpdate", "AddingTables", "Running"]


def test_an_outage_is_a_few_lines_and_not_one_for_each_try(caplog: pytest.LogCaptureFixture) -> None:
    simulation, _ = a_world()
    caplog.clear()
    with caplog.at_level(logging.INFO):
        simulation.network.away = True
        simulation.run(600)
        simulation.network.away = False
        simulation.run(60)

    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "no Mirror is observed or changed",
        "PeerDBUnavailable",
        "PeerDB answers again, after PeerDBUnavailable for 10 min",
        "Running",
    ]


def test_a_command_that_is_refused_again_and_again_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    simulation, _ = a_world()
    simulation.engine.turn(maintenance=True)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        simulation.cluster.edit("m0", {"spec": {"batchSize": 77}})
        simulation.run(600)
        simulation.engine.turn(maintenance=False)
        simulation.run(120)

    firsts = [record.getMessage().partition(":")[0] for record in caplog.records]
    assert firsts == ["Pause failed", "Maintenance", "Pause", "SendUpdate", "Running"]

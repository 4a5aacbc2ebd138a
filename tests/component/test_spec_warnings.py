"""What a Mirror says without effect is said to its user: once, in an Event and in the log, and changes nothing."""

from __future__ import annotations

import logging

import pytest

from tests.component.test_metrics import QUICK, a_spec
from tests.component.test_story import events
from tests.harness.peerdb.config import Table
from tests.harness.peerdb.events import RequestSeen
from tests.harness.peerdb.values import Status
from tests.harness.simulation import Simulation

KNOWN, MISSPELT = "PEERDB_CLICKHOUSE_PARALLEL_NORMALIZE", "PEERDB_CLICKHOUSE_PARALEL_NORMALIZE"
ANNOTATION = "peerdb.io/reconcile"


def a_world(count: int = 1, **spec: object) -> Simulation:
    """So many Mirrors of a settled mirror each, an hour later."""
    simulation = Simulation(seed=3, knobs=QUICK)
    for number in range(count):
        simulation.engine.put_mirror(f"m{number}", state=Status.RUNNING, tables=[Table("public.a", "a")])
        simulation.cluster.create(f"m{number}", a_spec("a", **spec))
    simulation.operator()
    simulation.run(60)
    return simulation


def warnings(simulation: Simulation) -> list[tuple[str, str]]:
    return [(reason, note) for kind, reason, note in events(simulation) if kind == "Warning"]


def annotate(simulation: Simulation, value: str | None) -> None:
    simulation.cluster.edit("m0", {"metadata": {"annotations": {ANNOTATION: value}}})


def reads(simulation: Simulation) -> int:
    """How often PeerDB was asked for its settings."""
    requests = [one for one in simulation.engine.log.events if isinstance(one, RequestSeen)]
    return sum(one.path == "/v1/dynamic_settings" for one in requests)


@pytest.mark.parametrize("value", ["Disabled", "enabled", "", "disabled "])
def test_a_value_of_the_annotation_that_means_nothing_is_said_once_and_changes_nothing(
    value: str, caplog: pytest.LogCaptureFixture
) -> None:
    simulation = a_world()
    caplog.clear()
    annotate(simulation, value)
    simulation.run(900)
    [(reason, note)] = warnings(simulation)
    assert reason == "UnknownAnnotationValue"
    assert f'"{value}"' in note
    said = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.getMessage() for record in said] == [f"{reason}: {note}"]

    simulation.cluster.edit("m0", {"spec": a_spec("a", "b")})
    simulation.run(60)
    status = simulation.cluster.get(("data", "m0"))["status"]
    assert (status["conditions"][0]["reason"], status["tables"]["summary"]) == ("Running", "2/2")
    assert len(warnings(simulation)) == 1


def test_a_value_is_said_again_when_it_was_put_right_meanwhile() -> None:
    simulation = a_world()
    for value in ("no", None, "no", "disabled", "never"):
        annotate(simulation, value)
        simulation.run(30)
    assert [note.partition('"')[2].partition('"')[0] for _, note in warnings(simulation)[:2]] == ["no", "no"]
    assert [reason for reason, _ in warnings(simulation)] == ["UnknownAnnotationValue"] * 3


def test_a_setting_that_peerdb_does_not_list_is_said_once_and_sent_all_the_same() -> None:
    simulation = a_world(settings={KNOWN: "2", MISSPELT: "3", "A": "1"})
    simulation.run(3000)
    [(reason, note)] = warnings(simulation)
    assert reason == "UnknownSetting"
    assert f"does not list {MISSPELT} among" in note
    mirror = simulation.engine.mirror("m0")
    assert mirror is not None
    assert mirror.row is not None
    assert mirror.row.config.env[MISSPELT] == "3"


def test_peerdb_is_asked_for_its_settings_now_and_then_however_many_mirrors_have_some() -> None:
    simulation = a_world(8, settings={KNOWN: "2"})
    simulation.run(1500)
    assert reads(simulation) == 1

    simulation = a_world(8, settings={MISSPELT: "2"})
    simulation.run(1500)
    assert 1 < reads(simulation) <= 1 + 1560 // 600


def test_peerdb_is_not_asked_when_no_mirror_has_a_setting_of_it() -> None:
    simulation = a_world(settings={"A": "1"})
    simulation.run(900)
    assert reads(simulation) == 0


def test_nothing_is_said_of_settings_while_the_list_cannot_be_read() -> None:
    simulation = a_world(settings={MISSPELT: "3"})
    assert len(warnings(simulation)) == 1
    simulation.network.away = True
    simulation.run(2000)
    simulation.network.away = False
    simulation.run(900)
    assert [reason for reason, _ in warnings(simulation)].count("UnknownSetting") == 1


def test_a_setting_that_is_put_right_is_said_no_more() -> None:
    simulation = a_world(settings={MISSPELT: "3"})
    simulation.cluster.edit("m0", {"spec": {"settings": {MISSPELT: None, KNOWN: "3"}}})
    simulation.run(1200)
    assert [reason for reason, _ in warnings(simulation)] == ["UnknownSetting"]

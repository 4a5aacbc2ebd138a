"""What Events and the log tell of an outage of PeerDB: once for all Mirrors, about the operator's pod."""

from __future__ import annotations

import logging

import pytest

from tests.component.test_metrics import QUICK, a_spec, a_world
from tests.harness.peerdb.config import Table
from tests.harness.peerdb.values import Status
from tests.harness.simulation import Operator, Simulation

MANY = 8
POD = {"pod_name": "operator-0", "pod_namespace": "data", "pod_uid": "0123"}
AWAY, BACK = ("Warning", "PeerDBUnavailable"), ("Normal", "Recovered")


def a_fleet(mirrors: int = MANY, **settings: str | None) -> tuple[Simulation, Operator]:
    simulation, operator = a_world(mirrors, QUICK, **{**POD, **settings})
    simulation.cluster.record.clear()
    return simulation, operator


def told(simulation: Simulation) -> list[tuple[str, str, str]]:
    """Name of the object, type and reason of each Event."""
    return [(one.key[1], str(one.patch["type"]), str(one.patch["reason"])) for one in simulation.cluster.events()]


def reasons(simulation: Simulation, kind: str = "Ready") -> set[str]:
    """The reasons of one condition of all Mirrors."""
    conditions = [each for body in simulation.cluster.all() for each in body["status"]["conditions"]]
    return {str(each["reason"]) for each in conditions if each["type"] == kind}


def test_an_outage_that_all_mirrors_meet_and_its_end_are_one_event_each() -> None:
    simulation, _ = a_fleet()
    simulation.network.away = True
    simulation.run(100)
    assert reasons(simulation) == {"PeerDBUnavailable"}
    simulation.network.away = False
    simulation.run(60)
    assert reasons(simulation) == {"Running"}
    assert told(simulation) == [("operator-0", *AWAY), ("operator-0", *BACK)]
    first, last = (str(one.patch["message"]) for one in simulation.cluster.events())
    assert first.startswith("no Mirror is observed or changed: mirrors/list: PeerDB could not be asked")
    assert last.startswith("PeerDB answers again, after PeerDBUnavailable for ")


OLD = ("Warning", "UnsupportedPeerDB")
VERSION_IS_READ = 1500.0


@pytest.mark.parametrize("restarts", [False, True])
def test_a_peerdb_that_is_too_old_for_all_mirrors_and_its_upgrade_are_one_event_each(*, restarts: bool) -> None:
    simulation, operator = a_fleet()
    simulation.engine.turn(version="stable-v0.30.1")
    if restarts:
        operator.kill()
        operator.start()
    simulation.run(VERSION_IS_READ)
    assert reasons(simulation) == {"UnsupportedPeerDB"}
    simulation.engine.turn(version="stable-v0.37.4")
    simulation.run(VERSION_IS_READ)
    assert reasons(simulation) == {"Running"}
    assert told(simulation) == [("operator-0", *OLD), ("operator-0", *BACK)]
    first, last = (str(one.patch["message"]) for one in simulation.cluster.events())
    assert first.startswith("no Mirror is observed or changed: this PeerDB is stable-v0.30.1")
    assert last.startswith("PeerDB answers again, after UnsupportedPeerDB for ")


def test_drops_that_wait_for_peerdb_are_no_event_of_each_mirror() -> None:
    simulation, _ = a_fleet()
    simulation.network.away = True
    simulation.run(5)
    for number in range(MANY):
        simulation.cluster.delete(f"m{number}")
    simulation.run(400)
    assert reasons(simulation) == {"DropBlocked"}
    assert told(simulation) == [("operator-0", *AWAY)]
    simulation.network.away = False
    simulation.run(60)
    assert [one for one in told(simulation) if one[0] == "operator-0"] == [("operator-0", *AWAY), ("operator-0", *BACK)]
    assert {reason for name, _, reason in told(simulation) if name != "operator-0"} == {
        "DropHeld", "Dropping", "Dropped",
    }  # fmt: skip


def test_a_drop_that_waits_although_peerdb_answers_others_is_an_event_of_its_mirror() -> None:
    simulation, _ = a_fleet(2)
    simulation.cluster.delete("m0")
    simulation.engine.turn(bad_gateway=True, fault_path="mirrors/status")
    simulation.run(100)
    assert told(simulation) == [("m0", "Warning", "DropBlocked")]


def test_an_outage_shorter_than_the_quiet_time_is_no_event() -> None:
    simulation, _ = a_fleet()
    simulation.network.away = True
    simulation.run(28)
    simulation.network.away = False
    simulation.run(60)
    assert told(simulation) == []


def test_each_reason_of_an_outage_is_one_event() -> None:
    simulation, _ = a_fleet()
    simulation.network.away = True
    simulation.run(60)
    simulation.network.away = False
    simulation.engine.turn(bad_gateway=True)
    simulation.run(20)
    simulation.engine.turn(bad_gateway=False, oversize=True)
    simulation.run(60)
    simulation.engine.turn(**QUICK.model_dump())
    simulation.run(60)
    said = told(simulation)
    assert (said[0], said[-1]) == (("operator-0", *AWAY), ("operator-0", *BACK))
    assert len(said) == len(set(said)) <= 4
    assert {name for name, _, _ in said} == {"operator-0"}


def test_an_hour_of_outages_is_told_now_and_then() -> None:
    simulation, _ = a_fleet(3)
    for _ in range(30):
        simulation.network.away = True
        simulation.run(60)
        simulation.network.away = False
        simulation.run(60)
    assert {name for name, _, _ in told(simulation)} == {"operator-0"}
    assert 8 <= len(told(simulation)) <= 2 * 8


@pytest.mark.parametrize("restarts_at", [100, 5])
def test_an_operator_that_starts_in_an_outage_tells_of_it_once_too(restarts_at: int) -> None:
    simulation, operator = a_fleet()
    simulation.network.away = True
    simulation.run(restarts_at)
    before = len(told(simulation))
    operator.kill()
    operator.start()
    simulation.run(100)
    simulation.network.away = False
    simulation.run(60)
    assert reasons(simulation) == {"Running"}
    assert told(simulation)[before:] == [("operator-0", *AWAY), ("operator-0", *BACK)]


def test_nothing_is_told_when_an_operator_finds_peerdb_back_at_its_start() -> None:
    simulation, operator = a_fleet()
    simulation.network.away = True
    simulation.run(100)
    operator.kill()
    simulation.cluster.record.clear()
    simulation.network.away = False
    operator.start()
    simulation.run(100)
    assert reasons(simulation) == {"Running"}
    assert told(simulation) == []


def test_a_mirror_that_is_no_longer_what_it_was_tells_so_after_an_outage() -> None:
    simulation, _ = a_fleet(2)
    simulation.network.away = True
    simulation.run(60)
    mirror = simulation.engine.mirror("m1")
    assert mirror is not None
    simulation.engine.world.set_status(mirror, Status.FAILED)
    simulation.network.away = False
    simulation.run(60)
    assert [one for one in told(simulation) if one[0] != "operator-0"] == [("m1", "Warning", "MirrorFailed")]


def test_a_mirror_that_is_created_in_an_outage_tells_of_its_takeover_after_it() -> None:
    simulation, _ = a_fleet(1)
    simulation.engine.put_mirror("new", state=Status.RUNNING, tables=[Table("public.a", "a")])
    simulation.network.away = True
    simulation.run(60)
    simulation.cluster.create("new", a_spec("a"))
    simulation.run(60)
    simulation.network.away = False
    simulation.run(60)
    assert [one for one in told(simulation) if one[0] != "operator-0"] == [("new", "Normal", "TakenOver")]


@pytest.mark.parametrize("lacks", POD)
def test_the_log_alone_tells_of_an_outage_when_the_pod_is_not_known(
    lacks: str, caplog: pytest.LogCaptureFixture
) -> None:
    simulation, _ = a_fleet(2, **{lacks: None})
    caplog.clear()
    with caplog.at_level(logging.INFO, "peerdb_operator.mirror.outage"):
        simulation.network.away = True
        simulation.run(100)
        simulation.network.away = False
        simulation.run(60)
    assert told(simulation) == []
    lines = [record for record in caplog.records if record.name == "peerdb_operator.mirror.outage"]
    assert [(line.levelname, vars(line)["reason"]) for line in lines] == [
        ("WARNING", "PeerDBUnavailable"),
        ("INFO", "Recovered"),
    ]


def test_the_log_says_so_when_kubernetes_takes_no_event(caplog: pytest.LogCaptureFixture) -> None:
    simulation, operator = a_fleet(2)
    operator.kube.refuse_events = True
    simulation.network.away = True
    simulation.run(100)
    assert told(simulation) == []
    assert "no event about the operator's pod: events: no role allows this" in caplog.text

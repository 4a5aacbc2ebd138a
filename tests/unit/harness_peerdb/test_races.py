"""Signals that meet a workflow on its way: lost, armed, overriding."""

from __future__ import annotations

from random import Random

import pytest

from tests.harness.peerdb.engine import Engine
from tests.harness.peerdb.values import Status
from tests.unit.harness_peerdb.building import (
    GONE,
    NAME,
    a_mirror,
    an_engine,
    changed,
    fates,
    info,
    mapped,
    paused,
    states,
    watch,
    wire,
)  # fmt: skip

PAUSE = ["PAUSING", "PAUSED"]


def test_newest_update_alone_is_applied_when_two_are_queued() -> None:
    engine = an_engine()
    a_mirror(engine, "a")

    changed(engine, "RUNNING", {"additionalTables": wire("b"), "batchSize": 5})
    changed(engine, "RUNNING", {"additionalTables": wire("c")})
    changed(engine, "PAUSED")

    assert watch(engine) == [*PAUSE, "SNAPSHOT", "RUNNING"]
    assert (mapped(info(engine)), info(engine)["maxBatchSize"]) == (["a", "c"], 1000)


def test_queued_update_survives_when_the_sync_is_restarted() -> None:
    engine = an_engine()
    a_mirror(engine)
    changed(engine, "RUNNING", {"batchSize": 5})

    changed(engine, "TERMINATED")
    assert watch(engine) == []
    changed(engine, "PAUSED")

    assert watch(engine) == [*PAUSE, "RUNNING"]


@pytest.mark.parametrize("wait", [0.0, 0.03, 0.1, 0.2])
@pytest.mark.parametrize(("race", "surfaces"), [("queue", True), ("lose", False)])
def test_second_edit_is_armed_or_lost_when_it_meets_a_resuming_mirror(
    wait: float, race: str, *, surfaces: bool
) -> None:
    engine = an_engine(update_race=race)
    paused(engine, batch=1000)

    changed(engine, "RUNNING", {"batchSize": 11})
    engine.run_until(engine.now + wait)
    changed(engine, "RUNNING", {"batchSize": 12})

    assert watch(engine) == ["RUNNING"]
    assert info(engine)["maxBatchSize"] == 11
    changed(engine, "PAUSED")
    assert watch(engine) == [*PAUSE, "RUNNING"] if surfaces else PAUSE
    assert info(engine)["maxBatchSize"] == (12 if surfaces else 11)


def test_second_addition_is_lost_when_the_first_is_still_running() -> None:
    engine = an_engine()
    paused(engine, "a")

    changed(engine, "RUNNING", {"additionalTables": wire("b")})
    engine.run_until(engine.now + 0.1)
    assert engine.state(NAME) is Status.PAUSED
    changed(engine, "RUNNING", {"additionalTables": wire("c")})

    assert watch(engine) == ["SNAPSHOT", "RUNNING"]
    changed(engine, "PAUSED")
    assert watch(engine) == PAUSE
    assert mapped(info(engine)) == ["a", "b"]


@pytest.mark.parametrize(("wait", "seen"), [(0.0, ["RUNNING"]), (0.05, ["RUNNING"]),
                                            (0.5, ["RUNNING", "TERMINATING", GONE])])  # fmt: skip
def test_drop_is_lost_when_it_comes_right_after_a_resume(wait: float, seen: list[str]) -> None:
    engine = an_engine()
    paused(engine)
    changed(engine, "RUNNING")

    start = engine.log.last
    engine.run_until(engine.now + wait)
    reply = changed(engine, "TERMINATING")
    engine.run_until(engine.now + 60)

    assert reply.status == 200
    assert states(engine, start) == seen


@pytest.mark.parametrize("wait", [0.0, 0.05, 0.2, 0.5])
def test_resume_is_not_remembered_when_the_mirror_is_still_pausing(wait: float) -> None:
    engine = an_engine()
    a_mirror(engine)
    changed(engine, "PAUSED")

    engine.run_until(engine.now + wait)
    changed(engine, "RUNNING")

    assert watch(engine)[-1] == "PAUSED"


@pytest.mark.parametrize(("state", "requested"), [("PAUSING", "RUNNING"), ("PAUSED", "PAUSED"), ("SNAPSHOT", "PAUSED")])
def test_nothing_is_signalled_when_the_row_says_that_a_request_does_not_apply(state: str, requested: str) -> None:
    engine = an_engine()
    a_mirror(engine, state=Status[state], orphan=True)

    assert changed(engine, requested).status == 200
    assert engine.world.journal.lines == []


def test_drop_is_lost_when_a_resync_was_just_accepted_in_snapshot() -> None:
    engine = an_engine()
    a_mirror(engine, state=Status.SNAPSHOT)

    changed(engine, "RESYNC")
    changed(engine, "TERMINATING")

    assert watch(engine)[-1] == "RUNNING"
    assert fates(engine, "lost") == ["STATUS_TERMINATING"]


def test_pause_waits_for_the_new_run_when_it_comes_right_after_a_resume() -> None:
    engine = an_engine(t_boot=1.0, t_react=0.1)
    paused(engine)
    changed(engine, "RUNNING")
    engine.run_until(engine.now + 0.4)
    assert engine.state(NAME) is Status.RUNNING
    asked = engine.now

    changed(engine, "PAUSED")
    engine.run_until(asked + 0.8)
    early = engine.state(NAME)
    engine.run_until(asked + 1.3)

    assert (early, engine.state(NAME)) == (Status.RUNNING, Status.PAUSING)


def test_handler_goes_by_the_row_when_the_workflow_is_ahead_of_it() -> None:
    engine = an_engine(t_lag=0.01, t_react=5.0)
    a_mirror(engine)
    changed(engine, "PAUSED")
    engine.run_until(engine.now + 1)

    reply = changed(engine, "PAUSED")

    assert (reply.status, engine.state(NAME)) == (200, Status.RUNNING)
    assert watch(engine) == PAUSE


def test_row_goes_before_the_workflow_when_a_mirror_is_dropped() -> None:
    engine = an_engine(t_close=1.0)
    a_mirror(engine)
    changed(engine, "TERMINATING")
    engine.run_until(engine.now + 1.5)

    mirror = engine.mirror(NAME)
    assert mirror is not None
    assert (mirror.row, mirror.workflow is not None and mirror.workflow.closed) == (None, False)
    engine.run_until(engine.now + 5)
    assert engine.mirror(NAME) is None


def test_same_seed_gives_the_same_course_when_durations_are_drawn() -> None:

    courses = []
    for _ in range(2):
        engine = Engine(rng=Random(11))
        a_mirror(engine)
        for state in ("PAUSED", "RUNNING", "RESYNC"):
            changed(engine, state)
            engine.run_until(engine.now + 30)
        courses.append([event.at for event in engine.log])
    assert courses[0] == courses[1]

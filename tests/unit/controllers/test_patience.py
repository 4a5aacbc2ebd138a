"""A mirror that is PAUSED for its edit while PeerDB refuses calls: reads and the resume are repeated, time goes on."""

from __future__ import annotations

import pytest

from peerdb_operator.peerdb.transport import Reply
from tests.harness.peerdb.values import Status
from tests.unit.controllers.stage import (
    STATE_CHANGE,
    STATUS,
    TAGS,
    Stage,
    Tap,
    a_settled_stage,
    a_spec,
    forget,
    status_reply,
)
from tests.unit.controllers.test_passes import states, until_edit

REFUSED = Reply(503, "text/html", b"<html>503 Service Unavailable</html>")
FORBIDDEN = Reply(403, "application/json", b"")


def refuse(stage: Stage, kind: str, times: int, reply: Reply = REFUSED) -> None:
    """The next requests of this kind are refused."""
    for _ in range(times):
        stage.peerdb.taps.put(kind, Tap(instead=reply))


def asked(stage: Stage, kind: str) -> list[float]:
    """When requests of this kind were made, in seconds since the first."""
    times = [one.at for one in stage.peerdb.asked if one.path.startswith(kind)]
    return [round(one - times[0], 1) for one in times]


def until_its_edit_is_lost(stage: Stage) -> None:
    """The mirror is PAUSED for an edit that PeerDB has refused without saying what became of it."""
    until_edit(stage)
    refuse(stage, STATE_CHANGE, 1)
    stage.run()


# Reads.


def test_failed_reads_of_a_stopped_mirror_are_repeated_in_their_pass_each_by_itself() -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    forget(stage)
    refuse(stage, TAGS, 4)
    stage.run()
    assert states(stage) == ["RUNNING"], "the edit"
    assert asked(stage, TAGS)[:5] == [0.0, 0.2, 0.5, 0.8, 1.0]
    assert len(asked(stage, STATUS)) == 2, "the good answer to the other read was kept, and both were confirmed"


def test_the_failed_read_of_a_mirror_that_runs_is_left_to_the_queue() -> None:
    stage = a_settled_stage("a")
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    forget(stage)
    refuse(stage, TAGS, 1)
    rest = stage.run()
    assert (len(asked(stage, TAGS)), rest.backoff) == (1, "PeerDBUnavailable")


def test_a_read_is_given_up_after_some_seconds_and_begun_again_within_one() -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    forget(stage)
    refuse(stage, STATUS, 99)
    rest = stage.run()
    assert 4.0 <= asked(stage, STATUS)[-1] <= 6.5
    assert (rest.after, rest.cap) == (1.0, 1.0)


def test_a_refused_password_is_not_tried_again_at_once() -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    forget(stage)
    refuse(stage, TAGS, 1, FORBIDDEN)
    rest = stage.run()
    assert (len(asked(stage, TAGS)), rest.after) == (1, 1.0)


def test_a_config_is_asked_for_three_times_before_the_state_alone() -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    forget(stage)
    refuse(stage, STATUS, 3)
    stage.run()
    bodies = [one.body for one in stage.peerdb.asked if one.path == STATUS]
    assert [bool(body.get("includeFlowInfo")) for body in bodies[:4]] == [True, True, True, False]


# The resume.


def test_a_failed_resume_is_repeated_each_second_as_long_as_its_observation_holds() -> None:
    stage = a_settled_stage("a", state=Status.PAUSED)
    stage.cluster.edit("orders", {"spec": {"state": "Running"}})
    forget(stage)
    refuse(stage, STATE_CHANGE, 99)
    stage.run()
    assert asked(stage, STATE_CHANGE) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert len(asked(stage, TAGS)) == 1


def test_a_resume_is_not_repeated_once_the_mirror_is_to_stay_paused() -> None:
    stage = a_settled_stage("a", state=Status.PAUSED)
    stage.cluster.edit("orders", {"spec": {"state": "Running"}})
    stage.deliver()
    stage.at_once = True
    refuse(stage, STATE_CHANGE, 1)
    stage.peerdb.taps.put(
        STATE_CHANGE,
        Tap(instead=REFUSED, before=lambda: stage.cluster.edit("orders", {"spec": {"state": "Paused"}})),
    )
    rest = stage.run()
    assert (states(stage), rest.backoff) == (["RUNNING", "RUNNING"], "conflict")
    stage.follow(60.0)  # the second may have arrived: it is waited for
    assert (stage.state(), stage.condition()) == (Status.PAUSED, ("True", "Paused"))


def test_a_resume_that_nobody_can_take_is_not_repeated() -> None:
    stage = a_settled_stage("a", state=Status.PAUSED)
    stage.engine.orphan("orders")
    stage.cluster.edit("orders", {"spec": {"state": "Running"}})
    stage.run()
    assert states(stage) == ["RUNNING"]


def test_a_resume_under_maintenance_keeps_the_slow_pace() -> None:
    stage = a_settled_stage("a", state=Status.PAUSED)
    stage.engine.turn(maintenance=True)
    stage.cluster.edit("orders", {"spec": {"state": "Running"}})
    assert stage.run().after == pytest.approx(30.0, rel=0.2)
    assert states(stage) == ["RUNNING"]


# The two minutes.


@pytest.mark.parametrize("lasts", [10.0, 60.0, 119.0])
def test_a_restart_does_not_begin_the_two_minutes_anew(lasts: float) -> None:
    stage = a_settled_stage("a")
    since = stage.now
    until_its_edit_is_lost(stage)
    stage.wait(lasts)
    stage.restart()
    stage.network.away = True
    stage.follow(122.0 - lasts)
    stage.network.away = False
    stage.follow(3.0)
    assert stage.state() is Status.RUNNING
    assert stage.now - since < 135.0


def test_a_mirror_that_was_paused_as_wished_is_given_two_minutes_for_its_edit() -> None:
    stage = a_settled_stage("a", state=Status.PAUSED)
    stage.wait(1000.0)
    stage.cluster.edit("orders", {"spec": {"state": "Running", "batchSize": 5}})
    stage.restart()
    stage.follow(5.0)
    assert [one.update is not None for one in stage.commands()] == [True]


@pytest.mark.parametrize("took_its_time", [False, True])
def test_a_resume_that_peerdb_fails_each_time_is_reported_with_its_error(took_its_time: bool) -> None:
    stage = a_settled_stage("a", state=Status.PAUSED)
    for _ in range(400):
        stage.peerdb.taps.put(STATE_CHANGE, Tap(instead=status_reply(500, 13, "no Temporal")))
    stage.cluster.edit("orders", {"spec": {"state": "Running"}})
    stage.follow(200.0 if took_its_time else 5.0)
    assert stage.condition() == ("Unknown", "Resuming")
    assert "no Temporal" in stage.message()
    assert "edit" not in stage.message()
    assert stage.status()["observedGeneration"] == 2
    assert len(stage.writes()) < (20 if took_its_time else 4)
    assert stage.reported() == [("Normal", "Resuming")]

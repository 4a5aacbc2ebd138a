"""No command rests on what was seen of a mirror long ago: it may be another one, or somebody else's, by now."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from peerdb_operator.api.constants import OWNER_TAG
from peerdb_operator.errors import PeerDBUnavailable
from peerdb_operator.peerdb.client import RequestedState
from tests.harness.peerdb.values import Status
from tests.unit.controllers.stage import (
    SET_TAGS,
    STATE_CHANGE,
    STATUS,
    TAGS,
    VALIDATE,
    Stage,
    Tap,
    a_settled_stage,
    a_spec,
    a_stage,
    forget,
    tables,
)
from tests.unit.controllers.test_passes import states

SOMEBODY_ELSE = "other-cluster/data/orders/uid"
NO_ANSWER = PeerDBUnavailable("mirrors/cdc/validate: PeerDB did not answer in time", sent=True)


def recreated(stage: Stage) -> None:
    """Somebody drops the mirror and creates another of its name, which this Mirror may not take over."""
    stage.engine.put_mirror("orders", state=Status.RUNNING, tables=tables("x", "y"))


def recreated_by_its_owner(stage: Stage) -> None:
    """The mirror is another one, with the same tables and tag."""
    stage.engine.put_mirror("orders", tables=tables("a"), tags={OWNER_TAG: str(stage.tag())}, created_at=stage.now)


def given_away(stage: Stage) -> None:
    """Somebody writes the tag of another owner."""
    row = stage.engine.world.row("orders")
    assert row is not None
    row.tags[OWNER_TAG] = SOMEBODY_ELSE


CHANGES = pytest.mark.parametrize("change", [recreated, given_away])


# -- prechecks ---------------------------------------------------------------------------------------------------------


def test_what_a_second_observation_found_has_its_event_although_the_command_rested_on_the_first() -> None:
    stage = a_settled_stage("a")
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    for key in stage.run_once().wakes:
        stage.do(stage.controller.reconcile(key))
    for _ in range(2):
        stage.peerdb.taps.put(TAGS, Tap(takes=6.0))
    stage.peerdb.taps.put(STATUS, Tap(skip=2, before=lambda: recreated_by_its_owner(stage)))
    stage.run_once()
    assert states(stage) == []
    assert stage.condition() == ("Unknown", "SettingUp")
    assert stage.reported() == [("Normal", "SettingUp")]


@CHANGES
def test_no_pause_is_sent_to_a_mirror_that_became_another_during_a_slow_precheck(
    change: Callable[[Stage], None],
) -> None:
    stage = a_settled_stage("a")
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    stage.peerdb.taps.put(VALIDATE, Tap(before=lambda: change(stage), takes=100.0))
    stage.follow(300.0)
    assert (states(stage), stage.state()) == ([], Status.RUNNING)
    assert stage.condition()[1] in {"AdoptionConflict", "MirrorNotOwned"}


def test_no_resume_is_sent_to_a_mirror_that_became_another_during_a_precheck_that_failed() -> None:
    stage = a_settled_stage("a", state=Status.PAUSED)
    stage.cluster.replace_spec("orders", a_spec("a", "b"))
    stage.peerdb.taps.put(VALIDATE, Tap(before=lambda: given_away(stage), takes=45.0, instead=NO_ANSWER))
    stage.follow(120.0)
    assert (states(stage), stage.state()) == ([], Status.PAUSED)
    assert stage.condition() == ("False", "MirrorNotOwned")


def test_a_pause_follows_a_precheck_once_the_mirror_is_seen_again() -> None:
    stage = a_settled_stage("a")
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    stage.peerdb.taps.put(VALIDATE, Tap(takes=100.0))
    stage.run()
    *_, check, before, read, pause = [one.path for one in stage.peerdb.asked]
    assert (check, pause) == (VALIDATE, STATE_CHANGE)
    assert {before, read.partition("orders")[0]} == {STATUS, TAGS}


# -- slow answers and slow writes --------------------------------------------------------------------------------------


def test_a_command_waits_for_another_observation_when_the_state_was_read_long_before_the_owner() -> None:
    stage = a_settled_stage("a")
    stage.cluster.edit("orders", {"spec": {"state": "Paused"}})
    for _ in range(2):
        stage.peerdb.taps.put(TAGS, Tap(takes=6.0))
    stage.run()
    read = [one.at for one in stage.peerdb.asked if one.path in {STATUS, TAGS + "orders"}]
    (pause,) = stage.commands()
    assert pause.at - read[-1] < 1.0
    assert len(read) > 4


def test_nothing_is_sent_and_a_new_pass_looks_again_when_no_observation_arrives_in_time() -> None:
    stage = a_settled_stage("a")
    stage.cluster.edit("orders", {"spec": {"state": "Paused"}})
    for _ in range(40):
        stage.peerdb.taps.put(TAGS, Tap(takes=6.0))
    rest = stage.run()
    assert (states(stage), rest.after, rest.backoff) == ([], 1.0, None)
    stage.peerdb.taps.clear()
    stage.follow(5.0)
    assert (states(stage), stage.condition()) == (["PAUSED"], ("True", "Paused"))


def test_a_pause_is_sent_after_one_observation_while_every_answer_takes_long() -> None:
    stage = a_settled_stage("a")
    stage.cluster.edit("orders", {"spec": {"state": "Paused"}})
    stage.engine.turn(latency=12.0)
    stage.run()
    assert states(stage) == ["PAUSED"]
    assert sum(one.path == STATUS for one in stage.peerdb.asked) == 1


def test_a_resume_is_sent_while_no_worker_shows_the_config() -> None:
    stage = a_settled_stage("a", state=Status.PAUSED)
    stage.engine.turn(workers_down=True)
    stage.cluster.edit("orders", {"spec": {"state": "Running"}})
    stage.follow(60.0)
    assert "RUNNING" in states(stage)


@CHANGES
def test_a_pause_that_is_written_down_first_is_not_sent_to_a_mirror_that_became_another_meanwhile(
    change: Callable[[Stage], None],
) -> None:
    stage = a_settled_stage("a")
    stage.entry().status_write_failing = True
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    stage.kube.taps.put("patch-status", Tap(takes=60.0, after=lambda: change(stage)))
    stage.follow(120.0)
    assert states(stage) == []


def test_a_pause_that_is_written_down_first_is_not_sent_to_a_mirror_that_stopped_meanwhile() -> None:
    stage = a_settled_stage("a")
    stage.entry().status_write_failing = True
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    stage.by_hand(RequestedState.PAUSED, after=30.0)
    stage.kube.taps.put("patch-status", Tap(takes=60.0))
    stage.follow(120.0)
    assert states(stage) == ["RUNNING"]
    assert stage.condition() == ("True", "Running")


# -- tags --------------------------------------------------------------------------------------------------------------


def test_the_tag_is_not_handed_over_when_the_mirror_cannot_be_observed() -> None:
    stage = a_settled_stage("a", state=Status.PAUSED, spec={"deletionPolicy": "Retain"})
    stage.cluster.delete("orders")
    for skip in (1, 0):
        stage.peerdb.taps.put(STATUS, Tap(instead=NO_ANSWER, skip=skip))
    stage.run()
    assert stage.cluster.mirrors == {}
    assert not any(one.path == SET_TAGS for one in stage.peerdb.asked)


def test_a_mirror_is_not_taken_over_on_an_observation_from_before_a_slow_write() -> None:
    stage = a_stage()
    stage.engine.put_mirror("orders", state=Status.RUNNING, tables=tables("a"), tags={OWNER_TAG: "released"})
    stage.cluster.create("orders", a_spec("a"))
    forget(stage)
    stage.kube.taps.put("patch", Tap(takes=60.0))
    stage.run()
    *_, read, written = [one.path for one in stage.peerdb.asked]
    assert (read, written) == (TAGS + "orders", SET_TAGS)

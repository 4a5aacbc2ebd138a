"""Mirrors that stand paused for an edit while Kubernetes is slow, away or refuses, and while others claim them."""

from __future__ import annotations

import asyncio

import pytest

from peerdb_operator.api.constants import OWNER_TAG
from peerdb_operator.errors import KubeForbidden, KubeUnavailable, PeerDBUnavailable
from peerdb_operator.peerdb.client import RequestedState
from tests.harness.peerdb.engine import EPOCH
from tests.harness.peerdb.values import Status
from tests.unit.controllers.stage import (
    STATE_CHANGE,
    STATUS,
    VALIDATE,
    Stage,
    Tap,
    a_settled_stage,
    a_spec,
    a_stage,
    a_stage_with_a_deletion,
    an_heir_comes,
    forget,
    tables,
)
from tests.unit.controllers.test_passes import recorded, states, touch, until_edit

MINUTE = 60.0
REFUSED = KubeForbidden("mirrors/status: 403")
NO_ANSWER = KubeUnavailable("no answer within 10 s")
LATE = PeerDBUnavailable("mirrors/state_change: PeerDB did not answer in time", sent=True)


def stops_of(stage: Stage, seconds: float) -> list[float]:
    """Follow a Mirror whose status nobody may write, as the queue does; how long each stop lasted."""
    stops, failures, since = [], 0, None
    end = stage.now + seconds
    while stage.now < end:
        stage.kube.taps.put("patch-status", Tap(instead=REFUSED))
        rest = stage.run()
        failures = failures + 1 if rest.backoff else 0
        assert rest.after is not None
        until = stage.now + min(rest.cap, rest.after * 2.0 ** max(failures - 1, 0))
        while stage.now < until:
            stage.wait(min(0.5, max(0.01, until - stage.now)))
            still = stage.state() is Status.PAUSED
            since = since or stage.now if still else since
            if since is not None and not still:
                stops.append(stage.now - since)
                since = None
    assert since is None
    return stops


def slow_writes(stage: Stage, seconds: float, *, touched: int = 3) -> None:
    """The next write of a status takes long, and finds the object touched so many times."""
    for _ in range(touched):
        stage.kube.taps.put("patch-status", Tap(takes=seconds, before=lambda: touch(stage)))
    stage.kube.taps.put("patch-status", Tap(takes=seconds))


def until_a_slow_edit(stage: Stage) -> None:
    """Add a table and wait until the mirror stands paused, however long; writing the edit down takes long, too."""
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    stage.run()
    while stage.state() is not Status.PAUSED:
        stage.wait(0.5)
    forget(stage)
    slow_writes(stage, 9.0)


def test_no_mirror_is_stopped_a_second_time_for_an_edit_that_cannot_be_written_down() -> None:
    stage = a_settled_stage("a")
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    stops = stops_of(stage, 3600.0)
    assert len(stops) == 1
    assert stops[0] <= 2 * MINUTE + 10


def test_a_pause_as_wished_goes_out_although_statuses_cannot_be_written() -> None:
    stage = a_settled_stage("a")
    stage.entry().status_write_failing = True
    stage.cluster.edit("orders", {"spec": {"state": "Paused"}})
    stage.kube.taps.put("patch-status", Tap(instead=REFUSED))
    stage.run()
    assert states(stage) == ["PAUSED"]


def test_kubernetes_is_asked_again_soon_while_a_mirror_stands_still() -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    stage.kube.taps.put("patch-status", Tap(instead=NO_ANSWER))
    rest = stage.run()
    assert (rest.backoff, rest.cap) == (NO_ANSWER.reason, 5.0)


def test_kubernetes_is_asked_with_patience_while_the_mirror_flows() -> None:
    stage = a_settled_stage("a")
    stage.cluster.edit("orders", {"spec": {"batchSize": 5, "tables": []}})
    stage.kube.taps.put("patch-status", Tap(instead=NO_ANSWER))
    rest = stage.run()
    assert (rest.backoff, rest.cap, rest.must_resume) == (NO_ANSWER.reason, 60.0, False)


# -- slow writes -----------------------------------------------------------------------------------------------------


def test_the_mirror_is_looked_at_again_when_writing_an_edit_down_took_long() -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    forget(stage)
    slow_writes(stage, 9.0)
    stage.run()
    (sent,) = stage.commands()
    assert sent.at - max(one.at for one in stage.peerdb.asked if one.path == STATUS) < 1.0


def test_no_edit_is_sent_when_the_mirror_was_resumed_while_it_was_written_down() -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    forget(stage)
    stage.kube.taps.put("patch-status", Tap(takes=9.0))
    stage.by_hand(RequestedState.RUNNING, after=3.0)
    rest = stage.run()
    assert (states(stage), rest.backoff) == ([], "conflict")
    stage.follow(60.0)
    assert states(stage) == ["PAUSED", "RUNNING"]
    assert stage.condition() == ("True", "Running")


@pytest.mark.parametrize("lag", [8.0, 12.0])
def test_an_edit_is_not_repeated_because_writing_it_down_took_long(lag: float) -> None:
    stage = a_settled_stage("a", knobs={"t_lag": lag})
    until_a_slow_edit(stage)
    stage.follow(180.0)
    assert [one.update is not None for one in stage.commands()].count(True) == 1
    assert stage.condition() == ("True", "Running")


def test_the_drop_waits_for_an_edit_whose_writing_down_took_long() -> None:
    stage = a_settled_stage("a", knobs={"t_lag": 2.0, "t_react": 2.0})
    until_a_slow_edit(stage)
    stage.run()
    stage.cluster.delete("orders")
    stage.follow(150.0)
    edit, drop = stage.commands()[:2]
    assert (edit.update is not None, drop.state) == (True, "TERMINATING")
    assert drop.at - edit.at > 1.0
    assert stage.state() is None


def test_the_acceptance_of_an_edit_is_no_write_of_its_own() -> None:
    stage = a_settled_stage("a", knobs={"t_add": 20.0})
    until_edit(stage)
    forget(stage)
    stage.run()
    assert len(stage.writes()) == 1


# -- lost answers ----------------------------------------------------------------------------------------------------


def test_an_edit_that_was_never_sent_is_sent_at_once_although_its_writing_down_got_no_answer() -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    forget(stage)
    stage.kube.taps.put("patch-status", Tap(loses=NO_ANSWER))
    began = stage.now
    stage.run()
    assert (states(stage), recorded(stage)) == ([], "Edit")
    stage.follow(20.0)
    assert [one.at - began < 5.0 for one in stage.commands()] == [True]
    assert stage.condition() == ("True", "Running")


def test_a_mirror_runs_again_when_its_drop_was_never_sent_and_the_policy_becomes_retain() -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    stage.cluster.delete("orders")
    forget(stage)
    stage.kube.taps.put("patch-status", Tap(loses=NO_ANSWER))
    stage.run()
    assert (states(stage), recorded(stage)) == ([], "Drop")
    stage.cluster.edit("orders", {"spec": {"deletionPolicy": "Retain"}})
    stage.follow(30.0)
    assert states(stage) == ["RUNNING"]
    assert stage.state() is Status.RUNNING
    assert ("data", "orders") not in stage.cluster.mirrors


# -- others who claim the mirror -------------------------------------------------------------------------------------


def test_the_owner_finishes_its_edit_when_a_newcomer_looks_older() -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    clock, stage.cluster.now = stage.cluster.now, lambda: EPOCH - 2
    stage.cluster.create("newcomer", {**a_spec("a"), "mirrorName": "orders"})
    stage.cluster.now = clock
    for _ in range(10):
        stage.wait(5.0)
        stage.run("newcomer")
        stage.run()
    assert stage.state() is Status.RUNNING
    assert (stage.condition(), stage.condition(name="newcomer")) == (("True", "Running"), ("False", "MirrorNotOwned"))


def test_nothing_is_dropped_that_another_mirror_claims_by_the_time_the_drop_would_go() -> None:
    stage = a_stage_with_a_deletion()
    stage.peerdb.taps.put(STATUS, an_heir_comes(stage))
    stage.follow(30.0)
    assert "TERMINATING" not in states(stage)
    assert stage.state() is Status.RUNNING
    assert stage.tag() == "released"


def test_nothing_is_dropped_that_another_mirror_claims_while_the_drop_is_written_down() -> None:
    stage = a_stage_with_a_deletion()
    stage.kube.taps.put("patch-status", an_heir_comes(stage))
    stage.follow(30.0)
    assert "TERMINATING" not in states(stage)
    assert stage.tag() == "released"


# -- what did not happen ---------------------------------------------------------------------------------------------


def test_a_deletion_that_finds_no_token_left_is_held_and_never_said_to_drop() -> None:
    stage = a_stage(brake_drops=1)
    names = ("first", "second")
    for name in names:
        stage.engine.put_mirror(name, state=Status.RUNNING, tables=tables("a"), tags={OWNER_TAG: "released"})
        stage.cluster.create(name, a_spec("a"))
        stage.follow(10.0, name)
    for name in names:
        stage.cluster.delete(name)
        stage.entry(name).refused_since = stage.now
    stage.deliver()
    forget(stage)

    async def both() -> None:
        await asyncio.gather(*(stage.controller.reconcile(stage.uid(name)) for name in names))

    stage.do(both())
    stage.run("second")
    assert [one.body["flowJobName"] for one in stage.commands()] == ["first"]
    assert stage.condition(name="second") == ("False", "DropHeld")
    reported = [one.patch["reason"] for one in stage.cluster.events() if one.key == ("data", "second")]
    assert reported == ["DropHeld"]


def test_a_release_that_becomes_due_when_the_resume_fails_is_carried_out_by_the_next_pass() -> None:
    stage = a_settled_stage("a", spec={"deletionPolicy": "Retain"})
    stage.by_hand(RequestedState.PAUSED)
    stage.wait(2.0)
    stage.cluster.delete("orders")
    stage.run()
    stage.by_hand(RequestedState.PAUSED, after=1.0)
    stage.wait(2 * MINUTE - 10.0)
    stage.peerdb.taps.put(STATE_CHANGE, Tap(takes=30.0, instead=LATE))
    rest = stage.run()
    assert rest.after == 1.0
    stage.follow(10.0)
    assert ("data", "orders") not in stage.cluster.mirrors


def test_the_two_looks_that_an_edit_rests_on_lie_close_together_although_a_precheck_took_long() -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    stage.cluster.edit("orders", {"spec": a_spec("a", "c")})
    forget(stage)
    stage.peerdb.taps.put(VALIDATE, Tap(takes=25.0))
    stage.run()
    (edit,) = stage.commands()
    assert edit.update is not None
    first, second = [one.at for one in stage.peerdb.asked if one.path == STATUS][-2:]
    assert 0.5 <= second - first < 1.0

"""Which passes ask to go before those of others: those of a mirror that stands still until one of them moves it on."""

import json

from peerdb_operator.errors import KubeUnavailable
from peerdb_operator.ports import CONFLICT
from tests.harness.peerdb.values import Request, Status
from tests.unit.controllers.stage import ASKS, Stage, Tap, a_settled_stage, a_spec
from tests.unit.controllers.test_passes import until_edit


def urgent_states(stage: Stage, seconds: float) -> dict[Status | None, set[bool]]:
    """For each state that PeerDB was in when a pass ended: whether the pass asked for haste."""
    found: dict[Status | None, set[bool]] = {}
    end = stage.now + seconds
    while stage.now < end:
        rest = stage.run()
        found.setdefault(stage.state(), set()).add(rest.must_resume)
        stage.wait(min(rest.after or seconds, end - stage.now))
    return found


def test_an_edit_is_hurried_from_its_pause_until_it_is_sent_and_no_longer() -> None:
    stage = a_settled_stage("a", knobs={"t_stop": 3.0, "t_add": 3.0})
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    rest = stage.run()
    assert [one.state for one in stage.commands()] == ["PAUSED"]
    assert stage.state() is Status.RUNNING
    assert rest.must_resume
    seen = urgent_states(stage, 12.0)
    assert seen[Status.PAUSING] == {True}
    assert seen[Status.SNAPSHOT] == {False}
    assert not stage.run().must_resume
    assert stage.condition() == ("True", "Running")


def test_a_pause_that_is_wished_is_not_hurried() -> None:
    stage = a_settled_stage("a", knobs={"t_stop": 3.0})
    stage.cluster.edit("orders", {"spec": {"state": "Paused"}})
    seen = urgent_states(stage, 6.0)
    assert {Status.PAUSING, Status.PAUSED} <= set(seen)
    assert set().union(*seen.values()) == {False}


def test_a_hand_that_paused_a_mirror_is_corrected_in_haste() -> None:
    stage = a_settled_stage("a")
    hand = {"flowJobName": "orders", "requestedFlowState": "STATUS_PAUSED"}
    stage.engine.handle(Request("POST", "/v1/mirrors/state_change", json.dumps(hand).encode()))
    stage.wait(2.0)
    assert stage.state() is Status.PAUSED
    assert stage.run().must_resume


def test_an_edit_that_meets_a_conflict_is_still_hurried_and_one_that_meets_a_failure_of_kubernetes_is_not() -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    stage.kube.taps.put("patch-status", Tap(before=lambda: stage.cluster.edit("orders", ASKS)))
    rest = stage.run()
    assert (rest.backoff, rest.must_resume) == (CONFLICT, True)
    stage.kube.taps.put("patch-status", Tap(instead=KubeUnavailable("no answer within 10 s")))
    rest = stage.run()
    assert (rest.backoff, rest.must_resume) == ("KubeUnavailable", False)

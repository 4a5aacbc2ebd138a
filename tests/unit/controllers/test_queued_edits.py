"""An edit that waits in PeerDB's queue for the next pause, after the spec has changed: no table is lost by it."""

import pytest

from peerdb_operator.peerdb.client import RequestedState
from tests.harness.peerdb.events import SignalNoted
from tests.harness.peerdb.mirror import Update
from tests.harness.peerdb.values import Request, Status
from tests.unit.controllers.stage import (
    ASKS,
    STATE_CHANGE,
    VALIDATE,
    Stage,
    Tap,
    a_settled_stage,
    a_spec,
    forget,
)

RUN = b'{"flowJobName":"orders","requestedFlowState":"STATUS_RUNNING"}'


def a_stage_with_a_queued_removal(*left: str, **spec: object) -> Stage:
    """Table b is taken out of the spec; somebody resumes the mirror right before the edit, which PeerDB queues."""
    stage = a_settled_stage("a", "b", knobs={"update_race": "queue"}, spec=spec)
    stage.cluster.edit("orders", {"spec": a_spec(*left or ("a",))})
    resumed = Tap(before=lambda: stage.engine.handle(Request("POST", f"/v1/{STATE_CHANGE}", RUN)), skip=1)
    stage.peerdb.taps.put(STATE_CHANGE, resumed)
    stage.follow(3.0)
    assert queued(stage) is not None
    assert stage.state() is Status.RUNNING
    forget(stage)
    return stage


def queued(stage: Stage) -> Update | None:
    mirror = stage.engine.mirror("orders")
    assert mirror is not None
    assert mirror.workflow is not None
    return mirror.workflow.pending


def live(stage: Stage) -> list[str]:
    mirror = stage.engine.mirror("orders")
    assert mirror is not None
    assert mirror.workflow is not None
    return [table.destination for table in mirror.workflow.live.tables]


def removals(stage: Stage) -> list[str]:
    """Tables that PeerDB has removed."""
    signals = [event for event in stage.engine.log.events if isinstance(event, SignalNoted) and event.what == "applied"]
    return [signal.signal for signal in signals if "-public." in signal.signal]


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(a_spec("a", "b"), id="nothing else changes"),
        pytest.param(a_spec("a", "b", batchSize=700), id="with another edit"),
        pytest.param(a_spec("a", "b", state="Paused"), id="with a pause"),
        pytest.param(a_spec("a", "b", "c"), id="with an addition"),
    ],
)
def test_a_table_that_is_put_back_survives_every_later_pause(spec: dict[str, object]) -> None:
    stage = a_stage_with_a_queued_removal()
    stage.cluster.edit("orders", {"spec": spec})
    stage.follow(60.0)
    stage.by_hand(RequestedState.PAUSED)
    stage.wait(3.0)
    stage.cluster.edit("orders", ASKS)
    stage.follow(30.0)
    assert removals(stage) == []
    assert {"a", "b"} <= set(live(stage))
    assert stage.condition()[0] == "True"


def test_a_table_that_is_put_back_survives_a_restart_of_the_operator() -> None:
    stage = a_stage_with_a_queued_removal()
    stage.cluster.edit("orders", {"spec": a_spec("a", "b", batchSize=700)})
    stage.restart()
    stage.follow(60.0)
    assert removals(stage) == []
    assert stage.condition() == ("True", "Running")


def test_a_removal_that_is_still_wanted_goes_with_the_next_pause() -> None:
    stage = a_stage_with_a_queued_removal()
    stage.follow(60.0)
    assert (len(removals(stage)), live(stage)) == (1, ["a"])
    assert {} not in [one.update for one in stage.commands()]
    assert stage.condition() == ("True", "Running")


def test_a_table_that_is_put_back_survives_after_a_pause_of_the_operator_was_lost() -> None:
    stage = a_stage_with_a_queued_removal()
    stage.wait(5.0)
    stage.engine.turn(lose_next_signals=1)
    stage.run()
    assert [one.state for one in stage.commands()] == ["PAUSED"]
    stage.cluster.edit("orders", {"spec": a_spec("a", "b", batchSize=700)})
    stage.follow(60.0)
    assert removals(stage) == []
    assert stage.condition() == ("True", "Running")


@pytest.mark.parametrize("state", ["Running", "Paused"])
def test_a_mirror_that_is_released_keeps_the_tables_it_shows(state: str) -> None:
    stage = a_stage_with_a_queued_removal(deletionPolicy="Retain")
    stage.cluster.edit("orders", {"spec": a_spec("a", "b", state=state)})
    stage.cluster.delete("orders")
    stage.follow(60.0)
    assert stage.cluster.mirrors == {}
    assert [one.update for one in stage.commands()] == [{}]
    stage.by_hand(RequestedState.PAUSED)
    stage.wait(10.0)
    assert (removals(stage), live(stage)) == ([], ["a", "b"])


def test_an_edit_is_not_taken_back_from_a_mirror_that_was_paused_during_a_long_precheck() -> None:
    stage = a_stage_with_a_queued_removal("a", "c")
    stage.engine.put_databases(source_tables=["public.a", "public.b"])
    stage.wait(5.0)
    stage.peerdb.taps.put(VALIDATE, Tap(before=lambda: stage.by_hand(RequestedState.PAUSED, after=19.8)))
    stage.engine.turn(t_validate=20.0)
    stage.run()
    assert stage.state() is Status.PAUSING
    assert stage.commands() == []


def test_an_edit_whose_tables_are_refused_by_now_is_taken_back() -> None:
    stage = a_stage_with_a_queued_removal("a", "c")
    stage.engine.put_databases(source_tables=["public.a", "public.b"])
    stage.wait(5.0)
    stage.engine.turn(t_validate=20.0)
    stage.follow(30.0)
    assert [one.update for one in stage.commands()] == [{}]
    assert stage.condition() == ("False", "PrecheckFailed")

"""Passes: what they send and write in order, and what happens when the world changes under them."""

import itertools
from typing import Any

import pytest

from peerdb_operator.api.constants import ANNOTATION_RECONCILE, FINALIZER
from peerdb_operator.errors import PeerDBUnavailable
from tests.harness.peerdb.values import Status
from tests.unit.controllers.stage import (
    ASKS,
    INSTANCE,
    STATE_CHANGE,
    STATUS,
    VALIDATE,
    Stage,
    Tap,
    a_settled_stage,
    a_spec,
    a_stage,
    forget,
    set_live,
    status_reply,
    tables,
)

NOT_REACHED = PeerDBUnavailable("mirrors/state_change: PeerDB could not be reached", sent=False)
NO_ANSWER = PeerDBUnavailable("mirrors/state_change: PeerDB did not answer in time", sent=True)


def touch(stage: Stage) -> None:
    """Somebody changes the object in a way that asks for nothing."""
    stage.cluster.edit("orders", {"metadata": {"labels": {"touched": str(stage.cluster.version)}}})


def touch_before_writes(stage: Stage, times: int) -> None:
    """Begin the record anew; each of the next writes of status finds the object touched."""
    forget(stage)
    for _ in range(times):
        stage.kube.taps.put("patch-status", Tap(before=lambda: touch(stage)))


def edit(stage: Stage, change: dict[str, Any]) -> None:
    """Somebody changes the object, or its status."""
    if "status" in change:
        stage.cluster.edit_status("orders", change["status"])
    else:
        stage.cluster.edit("orders", change)


def states(stage: Stage) -> list[str]:
    return [one.state for one in stage.commands()]


def recorded(stage: Stage) -> str:
    """The step of the operation in status."""
    return str(stage.status().get("operation", {}).get("step", ""))


def until_edit(stage: Stage) -> None:
    """Add a table and follow the Mirror until it stands paused for the edit, which is not sent yet."""
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    stage.run()
    stage.wait(2.0)
    assert stage.state() is Status.PAUSED


# -- order -----------------------------------------------------------------------------------------------------------


def test_an_edit_is_recorded_before_it_is_sent_and_a_pause_after() -> None:
    stage = a_settled_stage("a")
    seen: list[str] = []
    for skip in (0, 0):
        stage.peerdb.taps.put(STATE_CHANGE, Tap(before=lambda: seen.append(recorded(stage)), skip=skip))
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    stage.run()
    assert recorded(stage) == "Pause"
    stage.follow(10.0)
    assert seen == ["", "Edit"]


def test_no_event_is_created_before_the_edit_is_sent() -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    reported: list[int] = []
    stage.peerdb.taps.put(STATE_CHANGE, Tap(before=lambda: reported.append(len(stage.reported()))))
    before = len(stage.reported())
    stage.run()
    assert reported == [before]
    stage.follow(5.0)
    assert ("Normal", "Editing") in stage.reported()


# -- conflicts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"status": {"lastError": {"message": "theirs", "time": "2026-01-01T00:00:00Z"}}},
        {"metadata": {"finalizers": [FINALIZER, "example.com/theirs"]}},
        ASKS,
        {"metadata": {"annotations": {ANNOTATION_RECONCILE: "disabled"}}},
        {"spec": a_spec("a", "b", "c")},
    ],
    ids=["status", "finalizers", "a request", "hands off", "spec"],
)
def test_nothing_is_sent_when_the_write_ahead_of_an_edit_meets_a_change_that_a_pass_reads(
    change: dict[str, Any],
) -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    forget(stage)
    stage.kube.taps.put("patch-status", Tap(before=lambda: edit(stage, change)))
    rest = stage.run()
    assert (rest.backoff, states(stage), recorded(stage)) == ("conflict", [], "Pause")


def test_an_edit_is_sent_once_while_somebody_touches_the_object_before_each_of_its_writes() -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    touch_before_writes(stage, 3)
    stage.run()
    assert (states(stage), recorded(stage)) == (["RUNNING"], "Edit")
    stage.follow(10.0)
    assert states(stage) == ["RUNNING"]
    assert stage.condition() == ("True", "Running")


def test_an_edit_is_sent_without_a_conflict_when_the_watch_tells_of_a_touch_during_its_pass() -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    forget(stage)
    stage.at_once = True
    stage.peerdb.taps.put(STATUS, Tap(after=lambda: touch(stage)))
    stage.kube.taps.put("get", Tap(instead=AssertionError("the watch has told it")))
    stage.run()
    assert states(stage) == ["RUNNING"]


def test_an_edit_waits_when_the_object_is_touched_faster_than_it_can_be_written() -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    touch_before_writes(stage, 4)
    rest = stage.run()
    assert (rest.backoff, states(stage), recorded(stage)) == ("conflict", [], "Pause")
    stage.follow(10.0)
    assert states(stage) == ["RUNNING"]


def test_nothing_is_written_when_another_object_bears_the_name_by_now() -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    forget(stage)

    def exchanged() -> None:
        touch(stage)
        body = stage.body()
        stage.cluster.mirrors["data", "orders"] = {**body, "metadata": {**body["metadata"], "uid": "another"}}

    stage.kube.taps.put("patch-status", Tap(before=exchanged))
    stage.run()
    assert (states(stage), recorded(stage)) == ([], "Pause")


def test_nothing_is_sent_when_the_answer_to_the_write_ahead_is_lost() -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    forget(stage)
    stage.faults.lose_replies = 1
    assert stage.run().backoff == "KubeUnavailable"
    assert (states(stage), recorded(stage)) == ([], "Edit")
    stage.follow(60.0)
    assert states(stage) == ["RUNNING"]
    assert stage.condition() == ("True", "Running")


def test_a_pause_is_recorded_with_a_fresh_version_and_not_sent_again_when_its_record_conflicts() -> None:
    stage = a_settled_stage("a", knobs={"t_stop": 5.0})
    stage.cluster.edit("orders", {"spec": {"state": "Paused"}})
    stage.kube.taps.put("patch-status", Tap(before=lambda: stage.cluster.edit("orders", ASKS)))
    assert stage.run().backoff == "conflict"
    sent = stage.entry().current_journal().operation
    assert recorded(stage) == ""
    stage.run()
    assert sent is not None
    assert stage.status()["operation"]["id"] == sent.id
    stage.follow(10.0)
    assert states(stage) == ["PAUSED"]
    assert stage.condition() == ("True", "Paused")


@pytest.mark.parametrize("moment", [STATUS, STATE_CHANGE])
def test_the_journal_of_somebody_else_counts_when_it_is_written_during_a_pass(moment: str) -> None:
    stage = a_settled_stage("a", knobs={"t_stop": 5.0})
    stage.at_once = True
    theirs = {
        "id": "edit-2-1", "step": "Edit", "sentAt": "2026-01-01T00:00:00.000000Z", "accepted": True,
        "createdAt": stage.entry().peerdb_created_at, "from": "x", "to": "y",
    }  # fmt: skip
    stage.peerdb.taps.put(moment, Tap(before=lambda: stage.cluster.edit_status("orders", {"operation": theirs})))
    stage.cluster.edit("orders", {"spec": {"state": "Paused"}})
    assert stage.run().backoff == "conflict"
    operation = stage.entry().current_journal().operation
    assert operation is not None
    assert operation.id == "edit-2-1"


# -- orders that change during a pass --------------------------------------------------------------------------------


def test_nothing_is_paused_for_a_spec_that_was_taken_back_while_its_additions_were_checked() -> None:
    stage = a_settled_stage("a")
    stage.at_once = True
    stage.peerdb.taps.put(VALIDATE, Tap(after=lambda: stage.cluster.edit("orders", {"spec": a_spec("a")})))
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    stage.run()
    stage.follow(5.0)
    assert states(stage) == []
    assert stage.condition() == ("True", "Running")
    assert stage.status()["observedGeneration"] == 3


def test_no_command_is_sent_when_the_object_is_frozen_during_a_pass() -> None:
    stage = a_settled_stage("a")
    stage.at_once = True
    freeze = {"metadata": {"annotations": {ANNOTATION_RECONCILE: "disabled"}}}
    stage.peerdb.taps.put(STATUS, Tap(after=lambda: stage.cluster.edit("orders", freeze)))
    stage.cluster.edit("orders", {"spec": {"state": "Paused"}})
    stage.run()
    stage.run()
    assert states(stage) == []
    assert stage.condition() == ("Unknown", "ReconcileDisabled")


def test_no_verdict_is_written_for_a_generation_that_the_pass_did_not_evaluate() -> None:
    stage = a_settled_stage("a")
    stage.at_once = True
    stage.cluster.edit("orders", {"spec": a_spec("a", batchSize=5)})
    set_live(stage, batch_size=5)
    stage.peerdb.taps.put(STATUS, Tap(after=lambda: stage.cluster.edit("orders", {"spec": a_spec("a", "b")})))
    assert stage.run().backoff == "conflict"
    assert stage.status()["observedGeneration"] == 1
    stage.follow(10.0)
    assert stage.status()["observedGeneration"] == 3
    assert stage.status()["tables"]["summary"] == "2/2"


def test_an_edit_that_was_announced_is_not_sent_when_the_spec_changes_in_that_moment() -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    forget(stage)
    stage.at_once = True
    stage.kube.taps.put("patch-status", Tap(after=lambda: stage.cluster.edit("orders", {"spec": a_spec("a")})))
    assert stage.run().backoff == "conflict"
    assert (states(stage), recorded(stage)) == ([], "Edit")
    assert stage.entry().current_journal().operation is None
    stage.follow(5.0)
    assert [one.update for one in stage.commands()] == [None]
    assert stage.condition() == ("True", "Running")


def test_a_drop_that_was_announced_is_not_sent_when_the_policy_flips_in_that_moment() -> None:
    stage = a_settled_stage("a", brake_drops=1)
    stage.cluster.delete("orders")
    stage.deliver()
    stage.at_once = True
    keep = {"spec": {"deletionPolicy": "Retain"}}
    stage.kube.taps.put("patch-status", Tap(after=lambda: stage.cluster.edit("orders", keep)))
    assert stage.run().backoff == "conflict"
    stage.follow(5.0)
    assert states(stage) == []
    assert stage.state() is Status.RUNNING
    assert ("data", "orders") not in stage.cluster.mirrors
    assert ("Warning", "Released") not in stage.reported()


def test_no_drop_is_sent_when_somebody_takes_the_finalizer_away_during_the_pass() -> None:
    stage = a_settled_stage("a")
    stage.cluster.delete("orders")
    uid = stage.uid()
    stage.deliver()
    stage.at_once = True
    stage.peerdb.taps.put(STATUS, Tap(after=lambda: stage.cluster.edit("orders", {"metadata": {"finalizers": None}})))
    assert stage.do(stage.controller.reconcile(uid)).after is None
    assert states(stage) == []
    assert stage.controller.known_versions() == {}


# -- looks -----------------------------------------------------------------------------------------------------------


def test_nothing_is_sent_and_a_look_follows_soon_when_no_two_looks_agree() -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    forget(stage)
    sizes = itertools.count(1000)
    for _ in range(20):
        stage.peerdb.taps.put(STATUS, Tap(before=lambda: set_live(stage, batch_size=next(sizes))))
    rest = stage.run()
    assert states(stage) == []
    assert rest.after == 1.0
    stage.follow(60.0)
    assert stage.condition() == ("True", "Running")


def test_a_settled_mirror_gets_one_light_read_until_its_sample_is_due() -> None:
    stage = a_settled_stage("a")
    rest = stage.run()
    assert [one.body for one in stage.peerdb.asked] == [{"flowJobName": "orders"}]
    assert rest.after is not None
    assert 200 < rest.after < 360
    forget(stage)
    stage.wait(rest.after)
    stage.run()
    assert stage.peerdb.asked[0].body.get("includeFlowInfo") is True
    assert stage.writes() == []


def test_progress_of_a_copy_is_read_while_it_lasts() -> None:
    stage = a_settled_stage("a", knobs={"t_add": 40.0})
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    stage.follow(8.0)
    assert stage.state() is Status.SNAPSHOT
    assert stage.peerdb.asked[-1].body.get("excludeSnapshotStatus") is False


def test_one_answer_that_the_mirror_is_not_there_is_not_believed() -> None:
    stage = a_settled_stage("a")
    stage.engine.remove_mirror("orders")
    rest = stage.run()
    assert rest.after == 5.0
    stage.wait(1.0)
    stage.run()
    assert stage.condition() == ("True", "Running")
    assert stage.writes() == []
    stage.follow(6.0)
    assert stage.condition() == ("False", "MirrorNotFound")


def test_what_is_wrong_with_the_spec_stays_told_while_the_mirror_follows_its_run_state() -> None:
    stage = a_settled_stage("a", knobs={"t_stop": 8.0})
    remapped = {"tables": [{"source": "public.a", "destination": "elsewhere"}], "state": "Paused"}
    stage.cluster.edit("orders", {"spec": remapped})
    stage.follow(6.0)
    assert stage.state() is Status.PAUSING
    assert stage.condition() == ("False", "TableChangeRejected")
    stage.follow(10.0)
    assert stage.state() is Status.PAUSED
    assert stage.condition() == ("False", "TableChangeRejected")
    assert [reason for _, reason in stage.reported()] == ["TableChangeRejected"]


# -- failures of commands --------------------------------------------------------------------------------------------


def test_a_pause_that_did_not_go_out_is_not_recorded_and_sent_again() -> None:
    stage = a_settled_stage("a")
    stage.cluster.edit("orders", {"spec": {"state": "Paused"}})
    stage.peerdb.taps.put(STATE_CHANGE, Tap(instead=NOT_REACHED))
    rest = stage.run()
    assert (rest.backoff, recorded(stage)) == ("PeerDBUnavailable", "")
    stage.follow(5.0)
    assert stage.condition() == ("True", "Paused")


def test_a_pause_without_a_reply_is_recorded_as_of_when_its_request_ended() -> None:
    stage = a_settled_stage("a")
    stage.cluster.edit("orders", {"spec": {"state": "Paused"}})
    stage.peerdb.taps.put(STATE_CHANGE, Tap(takes=30.0, instead=NO_ANSWER))
    began = stage.now
    stage.run()
    assert recorded(stage) == "Pause"
    operation = stage.entry().current_journal().operation
    assert operation is not None
    assert operation.sent_at >= began + 30.0
    stage.follow(40.0)
    assert states(stage) == ["PAUSED", "PAUSED"]
    assert stage.condition() == ("True", "Paused")


def test_an_edit_without_a_reply_waits_half_a_minute_from_the_end_of_its_request() -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    forget(stage)
    stage.peerdb.taps.put(STATE_CHANGE, Tap(takes=20.0, instead=NO_ANSWER))
    began = stage.now
    stage.run()
    operation = stage.entry().current_journal().operation
    assert operation is not None
    assert operation.sent_at >= began + 20.0
    assert not operation.accepted
    stage.follow(29.0)
    assert states(stage) == ["RUNNING"]
    stage.follow(20.0)
    assert states(stage) == ["RUNNING", "RUNNING"]
    assert stage.condition() == ("True", "Running")


def test_a_pause_that_peerdb_fails_on_again_and_again_says_so_while_it_is_waited_for() -> None:
    stage = a_settled_stage("a")
    for _ in range(3):
        stage.peerdb.taps.put(STATE_CHANGE, Tap(instead=status_reply(500, 13, "unable to signal workflow: no answer")))
    stage.cluster.edit("orders", {"spec": {"state": "Paused"}})
    stage.follow(25.0)
    assert stage.condition() == ("Unknown", "Pausing")
    assert "may have arrived all the same" in stage.message()
    assert "HTTP 500, code 13: unable to signal workflow: no answer" in stage.message()
    stage.follow(90.0)
    assert stage.condition() == ("True", "Paused")
    assert stage.message() == "paused as wished"


# -- refusals that last ----------------------------------------------------------------------------------------------


def test_maintenance_is_told_after_half_a_minute_although_every_look_succeeds() -> None:
    stage = a_settled_stage("a")
    stage.engine.turn(maintenance=True)
    stage.cluster.edit("orders", {"spec": {"state": "Paused"}})
    stage.follow(25.0)
    assert stage.writes() == []
    stage.follow(20.0)
    assert stage.condition() == ("Unknown", "Maintenance")
    stage.follow(600.0)
    assert len(stage.writes()) == 1
    stage.engine.turn(maintenance=False)
    stage.follow(60.0)
    assert stage.condition() == ("True", "Paused")
    stage.engine.turn(maintenance=True)
    stage.cluster.edit("orders", {"spec": {"state": "Running"}})
    forget(stage)
    stage.follow(25.0)
    assert stage.writes() == []


def test_a_drop_under_maintenance_says_so_once_and_happens_afterwards() -> None:
    stage = a_settled_stage("a")
    stage.engine.turn(maintenance=True)
    stage.cluster.delete("orders")
    stage.follow(75.0)
    stage.tick()  # the list of mirrors is answered: the Mirror is not one of many that meet an outage
    stage.follow(75.0)
    assert stage.condition() == ("False", "DropBlocked")
    assert len(stage.writes()) <= 4
    assert [reason for _, reason in stage.reported()].count("DropBlocked") == 1
    assert states(stage) == ["TERMINATING"]
    stage.engine.turn(maintenance=False)
    stage.follow(60.0)
    assert stage.cluster.mirrors == {}
    assert stage.state() is None


def test_an_edit_is_not_announced_again_while_peerdb_says_that_it_is_under_maintenance() -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    stage.engine.turn(maintenance=True)
    stage.run()
    forget(stage)
    stage.follow(20.0)
    assert states(stage) == []
    assert any(one.path == INSTANCE for one in stage.peerdb.asked)
    stage.engine.turn(maintenance=False)
    stage.follow(60.0)
    assert stage.condition() == ("True", "Running")
    assert stage.status()["tables"]["summary"] == "2/2"


def test_a_refusal_lasts_while_peerdb_does_not_even_say_whether_it_is_under_maintenance() -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    stage.engine.turn(maintenance=True)
    stage.run()
    forget(stage)
    stage.engine.turn(maintenance=False)
    stage.peerdb.taps.put(INSTANCE, Tap(instead=NO_ANSWER))
    rest = stage.run()
    assert (states(stage), rest.backoff) == ([], "PeerDBUnavailable")
    stage.follow(10.0)
    assert stage.condition() == ("True", "Running")


# -- the end in the middle -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("step", "kept"), [("pause", ""), ("edit", "Edit")])
def test_what_the_journal_holds_survives_a_cancelled_command(step: str, kept: str) -> None:
    stage = a_settled_stage("a")
    if step == "edit":
        until_edit(stage)
        stage.kube.taps.put("patch-status", Tap(after=lambda: stage.engine.turn(latency=5.0)))
    else:
        stage.cluster.edit("orders", {"spec": {"state": "Paused"}})
        stage.peerdb.taps.put(STATE_CHANGE, Tap(before=lambda: stage.engine.turn(latency=5.0)))
    stage.deliver()
    task = stage.loop.create_task(stage.controller.reconcile(stage.uid()))
    stage.wait(2.0)
    assert not task.done()
    task.cancel()
    stage.wait(0.1)
    assert task.cancelled()
    assert recorded(stage) == kept
    assert not stage.entry().busy
    stage.engine.turn(latency=0.0)
    stage.restart()
    stage.follow(60.0)
    assert stage.condition() == ("True", "Running" if step == "edit" else "Paused")


# -- writes of our own come back -------------------------------------------------------------------------------------


def test_our_own_writes_wake_nobody_when_the_watch_is_faster_than_the_answer() -> None:
    stage = a_settled_stage("a")
    stage.at_once = True
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    stage.follow(10.0)
    assert stage.condition() == ("True", "Running")
    assert stage.woken == [stage.uid()]
    assert states(stage) == ["PAUSED", "RUNNING"]
    assert len(stage.writes()) <= 3


def test_an_open_edit_is_not_forgotten_when_somebody_wipes_the_status() -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    stage.engine.turn(t_lag=2.0)
    stage.run()
    forget(stage)
    stage.cluster.edit_status("orders", None)
    stage.follow(20.0)
    assert states(stage) == []
    assert stage.condition() == ("True", "Running")
    assert stage.status()["tables"]["summary"] == "2/2"


def test_a_journal_that_was_edited_by_hand_is_read_anew() -> None:
    stage = a_settled_stage("a", knobs={"t_stop": 4.0})
    stage.cluster.edit("orders", {"spec": {"state": "Paused"}})
    stage.run()
    stage.cluster.edit_status("orders", {"operation": None})
    assert stage.deliver() == [stage.uid()]
    assert stage.entry().journal is None
    stage.follow(20.0)
    assert stage.condition() == ("True", "Paused")


# -- rests -----------------------------------------------------------------------------------------------------------


def test_an_object_that_goes_without_our_finalizer_rests() -> None:
    stage = a_settled_stage("a")
    stage.cluster.edit("orders", {"metadata": {"finalizers": ["someone/else"]}})
    stage.cluster.delete("orders")
    forget(stage)
    assert stage.run().after is None
    assert stage.peerdb.asked == []


def test_a_pass_over_an_unknown_object_or_before_the_first_list_does_nothing() -> None:
    stage = a_stage()
    assert stage.do(stage.controller.reconcile("nobody")).after is None
    stage.engine.put_mirror("orders", tables=tables("a"))
    stage.cluster.create("orders", a_spec("a"))
    unlisted = a_stage()
    unlisted.controller._listed = False
    unlisted.cluster.create("orders", a_spec("a"))
    assert unlisted.run().after is None
    assert unlisted.peerdb.asked == []


def test_first_contact_takes_at_most_three_writes_and_adds_our_finalizer_before_our_tag() -> None:
    stage = a_stage()
    stage.engine.put_mirror("orders", tables=tables("a"), tags={"team": "sales"})
    stage.cluster.create("orders", a_spec("a"))
    held: list[bool] = []
    body = stage.body
    tap = Tap(before=lambda: held.append(FINALIZER in body()["metadata"].get("finalizers", [])))
    stage.peerdb.taps.put("flows/tags", tap)
    stage.follow(15.0)
    assert stage.condition() == ("True", "Running")
    assert held == [True]
    row = stage.engine.world.row("orders")
    assert row is not None
    assert row.tags == {"team": "sales", "peerdb.io/owner": f"cluster/data/orders/{stage.uid()}"}
    assert len(stage.writes()) <= 3

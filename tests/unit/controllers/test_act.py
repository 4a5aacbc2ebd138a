"""Commands: the order of recording and sending, refusals, the rate limit on drops, taking over and letting go."""

from dataclasses import replace

import pytest

from peerdb_operator.api.constants import OWNER_TAG, RELEASED
from peerdb_operator.api.status import Step
from peerdb_operator.api.times import format_micros
from peerdb_operator.errors import PeerDBInternal, PeerDBUnavailable
from peerdb_operator.peerdb.client import RequestedState
from peerdb_operator.peerdb.transport import Reply
from tests.harness.peerdb.values import Request, Status
from tests.unit.controllers.stage import (
    ASKS,
    INSTANCE,
    SET_TAGS,
    STATE_CHANGE,
    STATUS,
    TAGS,
    Stage,
    Tap,
    a_settled_stage,
    a_spec,
    a_stage,
    forget,
    held_by_us,
    set_live,
    status_reply,
    tables,
)
from tests.unit.controllers.test_passes import states

NOT_REACHED = PeerDBUnavailable("PeerDB could not be reached", sent=False)
NO_ANSWER = PeerDBUnavailable("PeerDB did not answer in time", sent=True)


def a_stage_before_its_edit() -> Stage:
    """The mirror stands paused for an addition that has been checked; the next pass sends it."""
    stage = a_settled_stage("a")
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    stage.run()
    stage.wait(2.0)
    assert stage.state() is Status.PAUSED
    forget(stage)
    return stage


# -- edits that PeerDB refuses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "said", "reason"),
    [
        (400, 3, "invalid config", "EditNotApplied"),
        (501, 12, "connector is not a supported source type", "EditNotApplied"),
        (500, 13, "unable to signal workflow update: Blob data size exceeds limit.", "EditTooLarge"),
        (429, 8, "grpc: received message larger than max (5000005 vs. 4194304)", "EditTooLarge"),
    ],
)
def test_an_edit_refused_for_its_content_is_tried_once_and_the_mirror_runs_again(
    status: int, code: int, said: str, reason: str
) -> None:
    stage = a_stage_before_its_edit()
    stage.peerdb.taps.put(STATE_CHANGE, Tap(instead=status_reply(status, code, said)))
    stage.run()
    assert stage.entry().current_journal().operation is None
    stage.follow(300.0)
    assert stage.condition() == ("False", reason)
    assert stage.condition("Stalled") == ("True", reason)
    assert stage.state() is Status.RUNNING
    assert [one.update is None for one in stage.commands()] == [False, True]
    assert "operation" not in stage.status()


def test_an_illegal_state_may_have_taken_the_update_all_the_same() -> None:
    stage = a_stage_before_its_edit()
    refusal = status_reply(400, 3, "illegal state change requested: 99, current state is: 2")
    stage.peerdb.taps.put(STATE_CHANGE, Tap(instead=refusal))
    stage.run()
    operation = stage.entry().current_journal().operation
    assert operation is not None
    assert not operation.accepted
    assert stage.status()["bounds"].get("refused") is None


def test_an_edit_that_did_not_go_out_is_no_correction() -> None:
    stage = a_settled_stage("a")
    set_live(stage, tables=tuple(tables("a", "x")))
    stage.cluster.edit("orders", ASKS)
    stage.run()
    stage.wait(2.0)
    assert states(stage) == ["PAUSED"]
    stage.peerdb.taps.put(STATE_CHANGE, Tap(instead=NOT_REACHED))
    stage.run()
    assert stage.entry().current_journal().bounds.corrections == ()
    stage.follow(20.0)
    assert len(stage.entry().current_journal().bounds.corrections) == 1
    assert stage.condition() == ("True", "Running")


def test_no_value_of_a_secret_setting_is_told_when_peerdb_repeats_one(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    live, wished = "live-value-of-a-setting", "wished-value"
    stage = a_settled_stage("a", env={"PEERDB_S3_SECRET": live, "PEERDB_SCHEMA": "invalid"})
    stage.cluster.edit("orders", {"spec": a_spec("a", settings={"PEERDB_TOKEN": wished, "PEERDB_FLAG": "settings"})})
    said = f"invalid settings {live} and {wished}, true"
    refused = PeerDBUnavailable(f"{said}", sent=False, maintenance=True)
    for _ in range(60):
        stage.peerdb.taps.put(STATE_CHANGE, Tap(instead=refused))
    stage.follow(60.0)
    assert stage.condition() == ("Unknown", "Maintenance")
    assert stage.message() == "invalid settings *** and ***, true"
    everywhere = [caplog.text, str(stage.status()), str(stage.cluster.record)]
    assert all(live not in text for text in everywhere)
    assert all(wished not in text for text in everywhere[:2])


def test_no_value_of_a_secret_setting_is_told_when_a_read_repeats_one() -> None:
    stage = a_settled_stage("a", env={"PEERDB_S3_SECRET": "live-secret"})
    for _ in range(60):
        stage.peerdb.taps.put(STATUS, Tap(instead=PeerDBInternal("cannot decode live-secret")))
        stage.peerdb.taps.put(STATUS, Tap())
    stage.cluster.edit("orders", {"spec": a_spec("a", batchSize=9)})
    stage.follow(60.0)
    assert stage.condition() == ("Unknown", "ConfigUnreadable")
    assert "settings: cannot decode *** (are its workers up?)" in stage.message()
    stage.peerdb.taps.clear()
    for _ in range(200):
        stage.peerdb.taps.put(STATUS, Tap(instead=PeerDBInternal("cannot decode live-secret")))
    stage.follow(60.0)
    assert stage.condition() == ("Unknown", "PeerDBError")
    assert stage.message() == "cannot decode ***"
    assert "live-secret" not in str(stage.status()) + str(stage.reported())


# -- resumes and pauses ----------------------------------------------------------------------------------------------


def test_a_repeated_pause_keeps_its_record() -> None:
    stage = a_settled_stage("a")
    stage.engine.turn(lose_next_signals=1)
    stage.cluster.edit("orders", {"spec": {"state": "Paused"}})
    stage.run()
    first = stage.status()["operation"]["id"]
    seen: list[str] = []
    stage.peerdb.taps.put(
        STATE_CHANGE,
        Tap(before=lambda: seen.append(stage.entry().current_journal().operation.id)),  # type: ignore[union-attr]  # open by then
    )
    stage.follow(25.0)
    assert seen == [first]
    assert states(stage) == ["PAUSED", "PAUSED"]
    assert stage.condition() == ("True", "Paused")


def test_a_fresh_pause_begins_without_pausing_having_been_seen() -> None:
    stage = a_settled_stage("a")
    stage.engine.turn(lose_next_signals=1)
    entry = stage.entry()
    entry.history = replace(entry.history, pausing_seen=True)
    stage.cluster.edit("orders", {"spec": {"state": "Paused"}})
    stage.run()
    assert states(stage) == ["PAUSED"]
    assert not entry.history.pausing_seen


def test_what_was_known_before_an_edit_is_known_no_more_when_it_may_have_been_taken() -> None:
    stage = a_stage_before_its_edit()
    assert stage.entry().history.precheck is not None
    stage.run()
    assert states(stage) == ["RUNNING"]
    assert (stage.entry().history.precheck, stage.entry().history.streak) == (None, None)


# -- disarming -------------------------------------------------------------------------------------------------------


def test_a_failed_disarm_keeps_the_journal_and_is_tried_again() -> None:
    stage = a_stage_before_its_edit()
    stage.peerdb.taps.put(STATE_CHANGE, Tap(instead=Reply(200, "application/json", b"{}")))
    stage.run()
    somebody = b'{"flowJobName":"orders","requestedFlowState":"STATUS_RUNNING"}'
    stage.engine.handle(Request("POST", "/v1/mirrors/state_change", somebody))
    stage.cluster.edit("orders", {"spec": a_spec("a")})
    stage.wait(5.0)
    forget(stage)
    stage.peerdb.taps.put(STATE_CHANGE, Tap(instead=NOT_REACHED))
    stage.run()
    operation = stage.entry().current_journal().operation
    assert operation is not None
    assert operation.step == "Edit"
    stage.follow(5.0)
    assert [one.update for one in stage.commands()] == [{}, {}]
    assert stage.entry().current_journal().operation is None
    assert stage.condition() == ("True", "Running")


def test_an_edit_is_not_said_to_have_arrived_when_only_the_question_for_maintenance_had_no_answer() -> None:
    stage = a_stage_before_its_edit()
    stage.entry().refused_since = stage.now - 1.0
    stage.peerdb.taps.put(INSTANCE, Tap(instead=NO_ANSWER))
    stage.run()
    assert states(stage) == []
    assert stage.condition()[1] == "Pausing"


# -- drops -----------------------------------------------------------------------------------------------------------


def test_a_lost_drop_is_repeated_word_for_word_when_the_flags_have_changed_meanwhile() -> None:
    stage = a_settled_stage("a", spec={"drop": {"statistics": "Delete", "destinationMetadata": "Keep"}})
    stage.engine.turn(lose_next_signals=1)
    stage.cluster.delete("orders")
    stage.follow(10.0)
    stage.cluster.edit("orders", {"spec": {"drop": {"statistics": "Keep", "destinationMetadata": "Delete"}}})
    stage.follow(70.0)
    first, second = stage.commands()
    assert first.body == second.body
    assert first.body["dropMirrorStats"] is True
    assert first.body["skipDestinationDrop"] is True
    assert 59 <= second.at - first.at <= 63
    assert stage.cluster.mirrors == {}


def test_a_drop_is_recorded_before_it_is_sent() -> None:
    stage = a_settled_stage("a")
    seen: list[str] = []
    stage.peerdb.taps.put(STATE_CHANGE, Tap(before=lambda: seen.append(stage.status()["operation"]["step"])))
    stage.cluster.delete("orders")
    stage.follow(15.0)
    assert seen == ["Drop"]
    assert stage.cluster.mirrors == {}
    assert len(stage.writes()) <= 3


def test_a_drop_without_a_reply_counts_from_the_end_of_its_request() -> None:
    stage = a_settled_stage("a")
    stage.cluster.delete("orders")
    stage.peerdb.taps.put(STATE_CHANGE, Tap(takes=20.0, instead=NO_ANSWER))
    began = stage.now
    stage.run()
    operation = stage.entry().current_journal().operation
    assert operation is not None
    assert operation.sent_at >= began + 20.0
    assert stage.status()["operation"]["sentAt"] > format_micros(began + 20.0)
    stage.follow(59.0)
    assert states(stage) == ["TERMINATING"]


def test_a_drop_that_peerdb_fails_each_time_is_overdue_a_quarter_of_an_hour_after_the_first_request() -> None:
    stage = a_settled_stage("a")
    stage.cluster.delete("orders")
    for _ in range(20):
        stage.peerdb.taps.put(STATE_CHANGE, Tap(instead=status_reply(500, 13, "no Temporal")))
    stage.follow(14 * 60.0)
    assert stage.condition("Ready") == ("False", "Dropping")
    stage.follow(2 * 60.0)
    assert stage.condition("Stalled") == ("True", "ProgressDeadlineExceeded")
    assert "the newest request failed" in stage.message()
    assert "no Temporal" in stage.message()
    assert ("Warning", "ProgressDeadlineExceeded") in stage.reported()
    assert len(states(stage)) in range(15, 18)


def test_a_repeated_drop_that_does_not_go_out_stays_recorded_as_it_was() -> None:
    stage = a_settled_stage("a")
    stage.engine.turn(lose_next_signals=1)
    stage.cluster.delete("orders")
    stage.follow(58.0)
    written = stage.status()["operation"]
    stage.peerdb.taps.put(STATE_CHANGE, Tap(instead=NOT_REACHED))
    stage.follow(8.0)
    assert states(stage) == ["TERMINATING", "TERMINATING"]
    assert stage.status()["operation"]["sentAt"] == written["sentAt"]
    stage.follow(70.0)
    assert stage.cluster.mirrors == {}


@pytest.mark.parametrize("fails", ["command", "record"])
def test_a_drop_that_did_not_happen_gives_its_token_to_another(fails: str) -> None:
    stage = a_settled_stage("a", brake_drops=1)
    stage.engine.put_mirror("other", tables=tables("o"), tags={OWNER_TAG: RELEASED})
    stage.cluster.create("other", a_spec("o"))
    stage.follow(5.0, "other")
    stage.cluster.delete("orders")
    stage.cluster.delete("other")
    if fails == "command":
        stage.peerdb.taps.put(STATE_CHANGE, Tap(instead=NOT_REACHED))
    else:
        stage.kube.taps.put("patch-status", Tap(before=lambda: stage.cluster.edit("orders", ASKS)))
    stage.run("orders")
    stage.follow(10.0, "other")
    assert ("data", "other") not in stage.cluster.mirrors


def test_the_rate_limit_is_asked_again_when_the_question_about_maintenance_took_time() -> None:
    stage = a_settled_stage("a", brake_drops=1)
    stage.cluster.delete("orders")
    stage.peerdb.taps.put(STATE_CHANGE, Tap(instead=NOT_REACHED))
    stage.run()
    limiter = stage.controller._claim_reader.limiter
    stage.peerdb.taps.put("instance/info", Tap(after=lambda: limiter.take("another", stage.now, stage.now)))
    forget(stage)
    stage.run()
    assert states(stage) == []
    stage.follow(5.0)
    assert stage.condition() == ("False", "DropHeld")


def test_drops_of_a_former_process_take_their_tokens_before_the_first_pass() -> None:
    stage = a_settled_stage("a", brake_drops=1, knobs={"t_drop": 300.0})
    stage.engine.put_mirror("other", tables=tables("o"), tags={OWNER_TAG: RELEASED})
    stage.cluster.create("other", a_spec("o"))
    stage.follow(5.0, "other")
    stage.cluster.delete("orders")
    stage.follow(5.0)
    stage.cluster.delete("other")
    stage.restart(brake_drops=1)
    stage.follow(10.0, "other")
    assert stage.condition(name="other") == ("False", "DropHeld")


def test_a_drop_that_was_due_at_the_start_is_held_until_the_first_token() -> None:
    stage = a_settled_stage("a")
    stage.cluster.delete("orders")
    stage.restart()
    stage.follow(115.0)
    assert (states(stage), stage.condition()) == ([], ("False", "DropHeld"))
    stage.follow(30.0)
    assert (states(stage), stage.cluster.mirrors) == (["TERMINATING"], {})


@pytest.mark.parametrize("spec", [{"state": "Paused"}, {"batchSize": 700}], ids=["pause", "edit"])
def test_a_mirror_without_a_workflow_is_told_when_it_takes_no_command(spec: dict[str, object]) -> None:
    stage = a_settled_stage("a")
    stage.engine.orphan("orders")
    stage.cluster.edit("orders", {"spec": spec})
    stage.follow(120.0)
    assert stage.condition() == ("False", "MirrorOrphaned")
    assert states(stage) == ["PAUSED"]
    stage.follow(600.0)
    assert states(stage) == ["PAUSED", "PAUSED"]
    tags = {OWNER_TAG: str(stage.tag())}
    stage.engine.put_mirror("orders", state=Status.PAUSED, tables=tables("a"), tags=tags)
    stage.follow(90.0)
    assert stage.condition()[0] == "True"


def test_a_failed_mirror_is_dropped_with_patience_inside_the_request() -> None:
    stage = a_settled_stage("a", knobs={"t_sync_drop": 100.0})
    tags = {OWNER_TAG: str(stage.tag())}
    stage.engine.put_mirror("orders", state=Status.FAILED, tables=tables("a"), tags=tags)
    stage.cluster.delete("orders")
    stage.run()
    stage.run()
    (asked,) = stage.commands()
    assert stage.entry().commanded_at - asked.at >= 100.0
    stage.follow(10.0)
    assert states(stage) == ["TERMINATING"]
    assert stage.cluster.mirrors == {}


# -- taking over and letting go --------------------------------------------------------------------------------------


def test_a_tag_that_could_not_be_written_is_written_later() -> None:
    stage = a_stage()
    stage.engine.put_mirror("orders", tables=tables("a"), tags={OWNER_TAG: RELEASED})
    stage.cluster.create("orders", a_spec("a"))
    stage.peerdb.taps.put(SET_TAGS, Tap(instead=NOT_REACHED))
    stage.run()
    assert held_by_us(stage)
    assert stage.tag() == RELEASED
    stage.follow(10.0)
    assert str(stage.tag()).startswith("cluster/data/orders/")


def test_our_finalizer_comes_back_without_a_new_tag_when_somebody_took_it_away() -> None:
    stage = a_settled_stage("a")
    stage.cluster.edit("orders", {"metadata": {"finalizers": None}})
    assert stage.deliver() == [stage.uid()]
    stage.entry().sample_at = 0.0
    stage.follow(5.0)
    assert held_by_us(stage)
    assert not any(one.path == SET_TAGS for one in stage.peerdb.asked)


def test_a_retained_mirror_is_released_with_its_tag_handed_over_once() -> None:
    stage = a_settled_stage("a", spec={"deletionPolicy": "Retain"})
    stage.cluster.delete("orders")
    stage.kube.taps.put("patch", Tap(before=lambda: stage.cluster.edit("orders", ASKS)))
    assert stage.run().backoff == "conflict"
    stage.follow(5.0)
    assert stage.cluster.mirrors == {}
    assert stage.tag() == RELEASED
    assert sum(one.path == SET_TAGS for one in stage.peerdb.asked) == 1
    assert states(stage) == []


@pytest.mark.parametrize("kind", [TAGS, SET_TAGS])
def test_a_tag_that_cannot_be_handed_over_holds_nothing(kind: str) -> None:
    stage = a_settled_stage("a", state=Status.PAUSED, spec={"deletionPolicy": "Retain"})
    stage.cluster.delete("orders")
    stage.peerdb.taps.put(kind, Tap(instead=NO_ANSWER))
    assert stage.run().after is None
    assert stage.cluster.mirrors == {}
    assert str(stage.tag()).startswith("cluster/data/orders/")


def test_a_tag_of_somebody_else_is_left_alone_at_a_release() -> None:
    stage = a_settled_stage("a", state=Status.PAUSED, spec={"deletionPolicy": "Retain"})
    row = stage.engine.world.row("orders")
    assert row is not None
    row.tags[OWNER_TAG] = "elsewhere/data/orders/1"
    stage.cluster.delete("orders")
    stage.run()
    assert stage.cluster.mirrors == {}
    assert stage.tag() == "elsewhere/data/orders/1"


def test_a_release_that_did_not_see_the_mirror_running_warns_once() -> None:
    stage = a_settled_stage("a", spec={"deletionPolicy": "Retain"})
    stage.network.away = True
    stage.cluster.delete("orders")
    stage.follow(115.0)
    assert ("data", "orders") in stage.cluster.mirrors
    stage.kube.taps.put("patch", Tap(before=lambda: stage.cluster.edit("orders", ASKS)))
    stage.follow(30.0)
    assert stage.cluster.mirrors == {}
    assert stage.reported().count(("Warning", "Released")) == 1


def test_the_younger_mirror_takes_over_when_the_older_is_deleted() -> None:
    stage = a_settled_stage("a")
    stage.wait(5.0)
    stage.cluster.create("younger", {**a_spec("a"), "mirrorName": "orders"})
    stage.follow(5.0, "younger")
    assert stage.condition(name="younger") == ("False", "NameConflict")
    stage.cluster.delete("orders")
    stage.follow(5.0)
    assert ("data", "orders") not in stage.cluster.mirrors
    stage.deliver()
    assert stage.uid("younger") in stage.tick()
    stage.follow(10.0, "younger")
    assert stage.condition(name="younger") == ("True", "Running")
    assert states(stage) == []
    assert str(stage.tag()).startswith("cluster/data/younger/")


def test_a_resume_that_may_have_arrived_stays_in_flight_when_its_repetition_is_not_sent() -> None:
    stage = a_settled_stage("a")
    stage.by_hand(RequestedState.PAUSED)
    stage.wait(2.0)
    stage.peerdb.taps.put(STATE_CHANGE, Tap(instead=NO_ANSWER))
    for _ in range(10):
        stage.peerdb.taps.put(STATE_CHANGE, Tap(instead=NOT_REACHED))
    stage.run()
    operation = stage.entry().current_journal().operation
    assert operation is not None
    assert operation.step is Step.RESUME
    assert stage.entry().history.outcome_unknown == NO_ANSWER.message


def test_no_resume_is_repeated_for_a_spec_that_has_changed_and_the_first_is_remembered() -> None:
    stage = a_settled_stage("a")
    stage.at_once = True
    stage.by_hand(RequestedState.PAUSED)
    stage.wait(2.0)
    edit = lambda: stage.cluster.edit("orders", {"spec": {"state": "Paused"}})  # noqa: E731
    stage.peerdb.taps.put(STATE_CHANGE, Tap(instead=NO_ANSWER, before=edit))
    stage.run()
    assert states(stage) == ["RUNNING"]
    operation = stage.entry().current_journal().operation
    assert operation is not None
    assert operation.step is Step.RESUME

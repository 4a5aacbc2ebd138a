"""Commands that were written down and never sent: what is believed of them, told of them, and done instead."""

from __future__ import annotations

import logging
from collections import Counter

import pytest

from peerdb_operator.api.constants import OWNER_TAG
from peerdb_operator.errors import PeerDBUnavailable
from peerdb_operator.peerdb.client import RequestedState
from peerdb_operator.ports import Requeue
from tests.harness.peerdb.values import Status
from tests.unit.controllers.stage import (
    STATUS,
    Stage,
    Tap,
    a_settled_stage,
    a_spec,
    a_stage,
    a_stage_with_a_deletion,
    an_heir_comes,
    forget,
    set_live,
    tables,
)
from tests.unit.controllers.test_passes import recorded, states, touch, until_edit
from tests.unit.controllers.test_standing_still import NO_ANSWER, REFUSED, slow_writes, stops_of

NOT_TAKEN = PeerDBUnavailable("mirrors/state_change: PeerDB could not be reached", sent=False)
BAD = {"tables": [{"source": "nodot", "destination": "x"}]}


def lands_late(stage: Stage) -> None:
    """Two passes whose writes get no answer: the first one lands while the second is on its way."""
    stage.kube.taps.put("patch-status", Tap(late=True, instead=NO_ANSWER))
    stage.kube.taps.put("patch-status", Tap(instead=NO_ANSWER))
    for _ in range(2):
        stage.run()
        stage.wait(1.0)


def somebody_records(stage: Stage) -> None:
    """Another process writes a command into the journal."""
    operation = {**stage.status()["operation"], "id": "edit-2-other"}
    stage.cluster.edit_status("orders", {"operation": operation})


# -- what is believed ------------------------------------------------------------------------------------------------


def test_an_edit_is_sent_at_once_although_the_record_of_the_one_before_lands_late() -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    forget(stage)
    lands_late(stage)
    assert (states(stage), recorded(stage)) == ([], "Edit")
    began = stage.now
    stage.follow(20.0)
    assert [one.at - began < 5.0 for one in stage.commands()] == [True]


def test_a_drop_that_was_never_sent_does_not_forget_the_pause_before_it() -> None:
    stage = a_settled_stage("a", knobs={"t_lag": 3.0})
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    stage.run()
    stage.cluster.delete("orders")
    stage.kube.taps.put("patch-status", Tap(loses=NO_ANSWER))
    stage.run()
    assert (states(stage), stage.state(), recorded(stage)) == (["PAUSED"], Status.RUNNING, "Drop")
    stage.cluster.edit("orders", {"spec": {"deletionPolicy": "Retain"}})
    stage.follow(60.0)
    assert (states(stage), stage.state()) == (["PAUSED", "RUNNING"], Status.RUNNING)


@pytest.mark.parametrize(
    "tap",
    [
        lambda stage: Tap(after=lambda: somebody_records(stage)),
        lambda stage: Tap(
            takes=9.0,
            after=lambda: stage.peerdb.taps.put(STATUS, Tap(before=lambda: somebody_records(stage))),
        ),
    ],
    ids=["before our answer", "while we look again"],
)
def test_no_edit_is_sent_when_somebody_else_has_written_the_journal(tap: object) -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    forget(stage)
    stage.at_once = True
    assert callable(tap)
    stage.kube.taps.put("patch-status", tap(stage))
    rest: Requeue = stage.run()
    assert (rest.backoff, states(stage)) == ("conflict", [])
    operation = stage.entry().current_journal().operation
    assert operation is not None
    assert operation.id == "edit-2-other"


def test_a_pause_that_was_announced_is_not_sent_twice_because_writing_it_down_took_long() -> None:
    stage = a_settled_stage("a", knobs={"t_lag": 3.0})
    stage.entry().status_write_failing = True
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    slow_writes(stage, 9.0)
    stage.follow(90.0)
    assert states(stage) == ["PAUSED", "RUNNING"]


def test_a_tag_that_somebody_else_has_set_meanwhile_is_not_overwritten() -> None:
    stage = a_stage()
    stage.engine.put_mirror("orders", state=Status.RUNNING, tables=tables("a"), tags={OWNER_TAG: "released"})
    stage.cluster.create("orders", a_spec("a"))
    row = stage.engine.world.row("orders")
    assert row is not None
    stage.kube.taps.put("patch", Tap(takes=9.0, after=lambda: row.tags.update({OWNER_TAG: "another/owns/it/now"})))
    stage.follow(20.0)
    assert (stage.tag(), stage.condition()) == ("another/owns/it/now", ("False", "MirrorNotOwned"))


def no_writes(stage: Stage, count: int = 10_000) -> None:
    """Kubernetes does not answer writes of the status."""
    for _ in range(count):
        stage.kube.taps.put("patch-status", Tap(instead=NO_ANSWER))


def test_what_is_remembered_of_commands_that_were_not_sent_does_not_grow_while_kubernetes_does_not_answer() -> None:
    stage = a_settled_stage("a")
    stage.cluster.replace_spec("orders", a_spec("a", batchSize=5))
    no_writes(stage)
    sizes = []
    for _ in range(8):
        stage.follow(60.0)
        touch(stage)
        sizes.append(len(stage.entry().journal_overrides))
    assert max(sizes) <= 3
    stage.kube.taps.clear()
    forget(stage)
    stage.follow(30.0)
    assert (len(stage.entry().journal_overrides), stage.condition()) == (0, ("True", "Running"))


# -- stops -----------------------------------------------------------------------------------------------------------


def series(stage: Stage, name: str) -> list[str]:
    text = stage.controller._metrics.expose()[0].decode()
    return [line for line in text.splitlines() if line.startswith(name)]


def test_no_stop_is_measured_while_the_mirror_flows_although_statuses_cannot_be_written() -> None:
    stage = a_settled_stage("a")
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    stops = stops_of(stage, 3600.0)
    assert stage.state() is Status.RUNNING
    assert series(stage, "peerdb_operator_mirror_paused_by_operator_since_timestamp_seconds") == []
    (reported,) = series(stage, "peerdb_operator_mirror_paused_seconds_sum")
    assert float(reported.split()[1]) == pytest.approx(sum(stops), abs=15.0)


def test_no_mirror_is_stopped_again_and_again_while_somebody_always_writes_sooner() -> None:
    stage = a_settled_stage("a")
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    end, failures = stage.now + 900.0, 0
    while stage.now < end:
        stage.kube.taps.clear()
        for _ in range(8):
            stage.kube.taps.put("patch-status", Tap(before=lambda: touch(stage)))
        rest = stage.run()
        failures = failures + 1 if rest.backoff else 0
        assert rest.after is not None
        stage.wait(min(rest.cap, rest.after * 2.0 ** max(failures - 1, 0)))
    assert states(stage).count("PAUSED") == 1


# -- what is told ----------------------------------------------------------------------------------------------------


def a_stage_that_drifted() -> Stage:
    """Somebody has paused the mirror in PeerDB and changed a setting of it."""
    stage = a_settled_stage("a", spec={"batchSize": 1000})
    stage.follow(5.0)
    forget(stage)
    stage.by_hand(RequestedState.PAUSED)
    stage.wait(2.0)
    set_live(stage, batch_size=77)
    return stage


def test_no_correction_is_told_of_an_edit_that_was_not_sent() -> None:
    stage = a_stage_that_drifted()
    stage.kube.taps.put("patch-status", Tap(takes=9.0))
    stage.by_hand(RequestedState.RUNNING, after=3.0)
    stage.run()
    set_live(stage, batch_size=1000)
    stage.follow(60.0)
    assert states(stage) == []
    assert "DriftCorrected" not in [reason for _, reason in stage.reported()]


def test_no_drop_is_told_that_was_not_sent() -> None:
    stage = a_stage_with_a_deletion()
    stage.kube.taps.put("patch-status", an_heir_comes(stage))
    stage.follow(30.0)
    assert states(stage) == []
    reported = [one.patch["reason"] for one in stage.cluster.events() if one.key == ("data", "orders")]
    assert reported == ["Released"]


def taken_away(stage: Stage) -> None:
    row = stage.engine.world.row("orders")
    assert row is not None
    row.tags[OWNER_TAG] = "another/owns/it/now"


def frozen(stage: Stage) -> None:
    stage.cluster.edit("orders", {"metadata": {"annotations": {"peerdb.io/reconcile": "disabled"}}})


def away(stage: Stage) -> None:
    for _ in range(1000):
        stage.peerdb.taps.put(STATUS, Tap(instead=NOT_TAKEN))


@pytest.mark.parametrize(
    ("happens", "reason"),
    [
        (taken_away, "MirrorNotOwned"),
        (lambda stage: stage.engine.orphan("orders"), "MirrorOrphaned"),
        (frozen, "ReconcileDisabled"),
        (away, "PeerDBUnavailable"),
        (lambda stage: stage.cluster.replace_spec("orders", {**BAD, "state": "Paused"}), "InvalidSpec"),
    ],
    ids=["taken away", "orphaned", "frozen", "away", "invalid"],
)
def test_events_are_told_of_a_mirror_that_stands_paused_for_long(happens: object, reason: str) -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    assert callable(happens)
    happens(stage)
    stage.follow(450.0)
    stage.tick()
    stage.follow(450.0)
    assert stage.state() is Status.PAUSED
    assert reason in [reported for _, reported in stage.reported()]


def test_a_command_that_cannot_be_written_down_is_announced_in_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "peerdb_operator")
    stage = a_settled_stage("a")
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    caplog.clear()
    stops_of(stage, 3600.0)
    lines = Counter(record.getMessage() for record in caplog.records)
    assert lines.most_common(1)[0][1] <= 2
    assert not [line for line in lines if "succeeds again" in line]
    stage.kube.taps.clear()
    stage.follow(600.0)
    assert f"Kubernetes: a reconcile succeeds again, after {REFUSED.reason}" in caplog.text


# -- deletions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("restarts", [False, True])
def test_a_deletion_follows_the_run_state_of_the_newest_spec_although_it_is_invalid(*, restarts: bool) -> None:
    stage = a_settled_stage("a", spec={"deletionPolicy": "Retain"})
    stage.cluster.replace_spec("orders", {**BAD, "state": "Paused", "deletionPolicy": "Retain"})
    stage.follow(30.0)
    assert stage.state() is Status.PAUSED
    if restarts:
        stage.restart()
    forget(stage)
    stage.cluster.delete("orders")
    stage.follow(60.0)
    assert (states(stage), stage.state()) == ([], Status.PAUSED)
    assert ("data", "orders") not in stage.cluster.mirrors


def test_what_this_process_knows_of_its_commands_outlives_a_record_that_was_refused() -> None:
    stage = a_settled_stage("a")
    until_edit(stage)
    known = stage.entry().current_journal()
    stage.kube.taps.put("patch-status", Tap(before=lambda: stage.cluster.edit("orders", {"spec": a_spec("a", "c")})))
    stage.run()
    assert stage.entry().journal is known

"""The one writer: merge patches, when a write is due, which news become Events, what the log says."""

import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peerdb_operator.api.reasons import Reason
from peerdb_operator.errors import KubeForbidden, KubeUnavailable, PeerDBUnavailable
from peerdb_operator.mirror.rules.conditions import verdict
from peerdb_operator.mirror.status import merge_patch, report_of
from peerdb_operator.peerdb.models import encode_json
from peerdb_operator.peerdb.transport import Reply
from peerdb_operator.ports import Requeue
from peerdb_operator.telemetry.decisions import DecisionLog
from peerdb_operator.telemetry.events import Event
from peerdb_operator.telemetry.transition import Execution, Report, Subject, Transition
from tests.harness.fakecluster import merged
from tests.harness.peerdb.config import Table
from tests.harness.peerdb.values import Status
from tests.unit.controllers.stage import STATE_CHANGE, Stage, Tap, a_settled_stage, a_spec, set_live, tables

NO_ANSWER = PeerDBUnavailable("PeerDB did not answer in time", sent=True)

# -- merge patches ---------------------------------------------------------------------------------------------------

# A field of a status has one type: true never stands where 1 stood.
_LEAVES = st.one_of(st.integers(-3, 3), st.text("ab", max_size=2), st.lists(st.integers(0, 2), max_size=2))
_KEYS = st.text("abc", min_size=1, max_size=2)
JSON_OBJECTS: st.SearchStrategy[dict[str, object]] = st.recursive(
    st.dictionaries(_KEYS, _LEAVES, max_size=4),
    lambda inner: st.dictionaries(_KEYS, st.one_of(_LEAVES, inner), max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(JSON_OBJECTS, JSON_OBJECTS)
def test_a_patch_turns_the_old_object_into_the_new_one_by_the_rules_of_rfc_7386(
    old: dict[str, object], new: dict[str, object]
) -> None:
    assert merged(old, merge_patch(old, new)) == new


@settings(max_examples=50, deadline=None)
@given(JSON_OBJECTS)
def test_a_patch_of_equals_is_empty(old: dict[str, object]) -> None:
    assert merge_patch(old, old) == {}


def test_a_patch_names_only_what_differs_and_removes_below() -> None:
    old = {"a": {"b": 1, "c": {"d": 2, "e": 3}}, "f": [1], "g": 1}
    new = {"a": {"b": 1, "c": {"d": 2}}, "f": [1, 2]}
    assert merge_patch(old, new) == {"a": {"c": {"e": None}}, "f": [1, 2], "g": None}


# -- when ------------------------------------------------------------------------------------------------------------


def test_nothing_is_written_when_nothing_differs() -> None:
    stage = a_settled_stage("a")
    stage.follow(900.0)
    assert stage.writes() == []


def test_texts_and_counts_of_a_copy_are_written_at_most_every_half_minute() -> None:
    stage = a_settled_stage("a", knobs={"t_add": 100.0, "partitions": 50})
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    stage.follow(95.0)
    assert stage.state() is Status.SNAPSHOT
    assert len(stage.writes()) <= 7


@pytest.mark.parametrize("word", ["X" * 100, "ß" * 64, "\x1b[31mX" * 60, "X\nY"])
def test_a_state_of_any_length_fits_the_status(word: str) -> None:
    stage = a_settled_stage("a")
    history = stage.entry().history
    row = stage.engine.world.row("orders")
    assert row is not None
    assert history.word == "RUNNING"
    stage.peerdb.taps.put("mirrors/status", Tap(instead=_status_of(stage, word)))
    stage.run()
    states = [each.after["status"].get("state", "") for each in stage.writes() if each.after]
    assert all(len(state) <= 64 and state.isprintable() for state in states)
    stage.follow(20.0)
    assert stage.condition() == ("True", "Running")


def test_names_of_any_length_fit_the_status() -> None:
    stage = a_settled_stage("a")
    set_live(stage, tables=(*tables("a"), Table(f"public.{'x' * 300}", "x")))
    stage.cluster.edit("orders", {"spec": a_spec("a", state="Paused")})
    stage.follow(10.0)
    assert stage.condition() == ("True", "PausedWithPendingChanges")
    assert [len(name) for name in stage.status()["tables"]["pending"]] == [256]


def create(stage: Stage, *events: Event) -> None:
    recorder, subject = stage.controller._events, stage.entry().subject
    for event in events:
        recorder.add(subject, event)
    stage.do(recorder.create(subject))


# -- Events ----------------------------------------------------------------------------------------------------------


def test_no_event_repeats_after_a_restart_what_was_told_before() -> None:
    stage = a_settled_stage("a")
    row = stage.engine.world.row("orders")
    assert row is not None
    stage.engine.put_mirror(
        "orders",
        state=Status.FAILED,
        tables=tables("a"),
        tags={"peerdb.io/owner": str(stage.tag())},
        created_at=row.created_at,
    )
    stage.tick()
    stage.follow(20.0)
    assert stage.reported() == [("Warning", "MirrorFailed")]
    stage.restart()
    stage.cluster.edit("orders", {"spec": a_spec("a", batchSize=7)})
    stage.follow(20.0)
    assert stage.status()["observedGeneration"] == 2
    assert stage.reported() == [("Warning", "MirrorFailed")]


def test_a_step_that_status_announced_has_its_event_although_no_reply_came_to_its_command() -> None:
    stage = a_settled_stage("a")
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    stage.peerdb.taps.put(STATE_CHANGE, Tap(skip=1, loses=NO_ANSWER))
    stage.follow(40.0)
    stage.cluster.delete("orders")
    stage.peerdb.taps.put(STATE_CHANGE, Tap(loses=NO_ANSWER))
    stage.follow(20.0)
    assert [reason for _, reason in stage.reported()] == ["Pausing", "Editing", "Running", "Dropping", "Dropped"]


@pytest.mark.parametrize(
    ("error", "level"), [(KubeForbidden("403"), logging.WARNING), (KubeUnavailable("no answer"), logging.WARNING)]
)
def test_an_event_that_cannot_be_created_is_logged_and_stops_nothing(
    error: Exception, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stage = a_settled_stage("a")
    stage.kube.taps.put("event", Tap(instead=error))
    stage.cluster.edit("orders", {"spec": {"state": "Paused"}})
    stage.follow(10.0)
    assert stage.condition() == ("True", "Paused")
    assert [each.levelno for each in caplog.records if each.getMessage().startswith("no event")] == [level]


def test_a_missing_right_to_create_events_is_said_once_until_it_is_given(caplog: pytest.LogCaptureFixture) -> None:
    stage = a_settled_stage("a")
    said: list[list[str]] = []
    for refused in (True, True, False, True):
        stage.faults.refuse_events = refused
        caplog.clear()
        create(stage, Event("Normal", "Running", "it runs"))
        said.append([each.levelname for each in caplog.records])
    assert said == [["WARNING"], [], [], ["WARNING"]]
    assert "give the operator the right" in caplog.text


# -- the log ---------------------------------------------------------------------------------------------------------


def decisions(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        each.getMessage() for each in caplog.records if each.name.endswith("decisions") and each.levelno == logging.INFO
    ]


SUBJECT = Subject("data", "orders", "u-1", 1, 7, "orders")


def transition(report: Report | None = None, action: str = "", note: str = "") -> Transition:
    execution = Execution(
        action=action, rule="r", note=note, decided_at=0.0, wants_running=True, state="RUNNING", before=None, after=None
    )
    after = "" if report is None else report.reason
    return Transition(
        subject=SUBJECT, before="Running", was_outage=False, after=after, report=report, execution=execution,
        requeue=Requeue(None), began=0.0, ended=0.0, answered=True,
    )  # fmt: skip


@pytest.mark.parametrize("reason", Reason)
def test_a_verdict_is_logged_at_the_level_of_its_event_once(reason: Reason, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    report, log = report_of(verdict(reason, "why")), DecisionLog()
    for action in ("", "Pause", "Resume"):
        log.observe(transition(report, action))
    first, *others = caplog.records
    assert first.levelname == ("WARNING" if report.warns else "INFO")
    assert [each.levelname for each in others] == ["INFO", "INFO"]


def _status_of(stage: Stage, word: str) -> Reply:
    body = {"flowJobName": "orders", "currentFlowState": f"STATUS_{word}", "createdAt": stage.entry().peerdb_created_at}
    return Reply(200, "application/json", encode_json(body))


def test_an_outage_of_kubernetes_is_said_once_for_each_mirror_and_cause_and_so_is_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = a_settled_stage("a")
    caplog.set_level(logging.INFO)
    stage.cluster.delete("orders")
    stage.deliver()
    stage.faults.away = True
    stage.follow(600.0)
    away = [(each.levelname, each.getMessage()) for each in caplog.records]
    caplog.clear()
    stage.faults.away = False
    stage.follow(60.0)
    blocked = (
        "DropBlocked: cannot read from Kubernetes whether the namespace or the CRD is being deleted; the drop waits"
    )
    assert [line for line in away if line[0] == "WARNING"] == [
        ("WARNING", "Kubernetes: get-crd: connection refused"),
        ("WARNING", "Kubernetes: patch-status: connection refused"),
        ("WARNING", blocked),
    ]
    assert len(away) <= 5
    assert [message for message in caplog.messages if message.startswith("Kubernetes")] == [
        "Kubernetes: a deletion succeeds again, after KubeUnavailable",
        "Kubernetes: a reconcile succeeds again, after KubeUnavailable",
    ]

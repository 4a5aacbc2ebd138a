"""Prechecks: what PeerDB is asked, what its answer is called, and when it is asked again."""

import pytest

from peerdb_operator.api.reasons import Reason
from peerdb_operator.errors import (
    PeerDBError,
    PeerDBInternal,
    PeerDBPreconditionFailed,
    PeerDBRejected,
    PeerDBUnavailable,
    Violation,
)
from peerdb_operator.mirror.precheck import reason_of, words
from peerdb_operator.ports import Pool, Requeue, precheck_key
from tests.harness.peerdb.values import Status
from tests.unit.controllers.stage import VALIDATE, Stage, Tap, a_settled_stage, a_spec, set_live


def checks(stage: Stage) -> list[dict[str, object]]:
    return [one.body["connectionConfigs"] for one in stage.peerdb.asked if one.path == VALIDATE]


def test_only_the_additions_are_checked_under_a_legal_name_that_is_not_the_mirrors() -> None:
    stage = a_settled_stage("a", env={"PEERDB_A": "1"})
    added = a_spec("a", "b", settings={"PEERDB_B": "2"}, snapshot={"addedTables": "Skip"})
    stage.cluster.edit("orders", {"spec": added})
    stage.follow(10.0)
    (asked,) = checks(stage)
    name = str(asked["flowJobName"])
    assert name.startswith("precheck_")
    assert len(name) <= 49
    assert name.removeprefix("precheck_").isalnum()
    assert asked["tableMappings"] == [{"sourceTableIdentifier": "public.b", "destinationTableIdentifier": "b"}]
    assert asked["env"] == {"PEERDB_A": "1", "PEERDB_B": "2"}
    assert (asked["doInitialSnapshot"], asked["initialSnapshotOnly"], asked["resync"]) == (False, False, False)
    assert asked["sourceName"] == "src"
    assert "tableMappings" in asked
    assert "maxBatchSize" not in asked
    assert stage.condition() == ("True", "Running")


def test_a_table_that_does_not_exist_never_stops_the_mirror_and_is_asked_about_again() -> None:
    stage = a_settled_stage("a")
    stage.engine.put_databases(source_tables=["public.a"])
    stage.cluster.edit("orders", {"spec": a_spec("a", "nope")})
    stage.follow(10.0)
    assert stage.condition() == ("False", "PrecheckFailed")
    assert "public.nope" in stage.message()
    assert stage.commands() == []
    stage.follow(300.0)
    assert 3 <= len(checks(stage)) <= 5
    assert len(stage.writes()) == 1
    stage.engine.put_databases(source_tables=["public.a", "public.nope"])
    stage.follow(400.0)
    assert stage.condition() == ("True", "Running")


def test_the_checks_of_another_set_of_additions_begin_afresh() -> None:
    stage = a_settled_stage("a")
    for _ in range(4):
        stage.peerdb.taps.put(VALIDATE, Tap(instead=PeerDBPreconditionFailed("a database is away")))
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    stage.follow(100.0)
    first = stage.entry().history.precheck
    assert first is not None
    assert first.failures == 3
    stage.cluster.edit("orders", {"spec": a_spec("a", "c")})
    stage.run()
    second = stage.entry().history.precheck
    assert second is not None
    assert second.failures == 1


def test_no_value_of_a_secret_setting_is_told_when_the_check_repeats_one() -> None:
    stage = a_settled_stage("a", env={"PEERDB_PASSWORD": "a-long-value"})
    stage.peerdb.taps.put(VALIDATE, Tap(instead=PeerDBPreconditionFailed("cannot parse a-long-value")))
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    stage.follow(5.0)
    assert stage.condition() == ("False", "PrecheckFailed")
    assert "cannot parse ***" in stage.message()
    assert "a-long-value" not in str(stage.status())


def test_the_check_waits_shorter_while_the_mirror_stands_still() -> None:
    stage = a_settled_stage("a", state=Status.PAUSED)
    set_live(stage, batch_size=0)
    stage.engine.turn(t_validate=60.0)
    stage.cluster.edit("orders", {"spec": a_spec("a", "b", state="Running")})
    stage.deliver()
    began = stage.now
    stage.run()
    assert 30.0 <= stage.now - began < 40.0
    stage.follow(5.0)
    assert stage.state() is Status.RUNNING
    assert stage.condition() == ("Unknown", "PeerDBUnavailable")


def test_a_pass_asks_for_a_precheck_and_does_not_wait_for_it() -> None:
    stage = a_settled_stage("a")
    stage.engine.turn(t_validate=60.0)
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    began, rest = stage.now, stage.run_once()
    assert (rest.wakes, stage.now - began < 1.0, checks(stage)) == ((precheck_key(stage.uid()),), True, [])
    assert stage.controller.pool(rest.wakes[0]) is Pool.PRECHECK
    assert stage.writes() == []
    answered = stage.do(stage.controller.reconcile(rest.wakes[0]))
    assert (answered.after, answered.wakes, answered.must_resume) == (None, (stage.uid(),), True)
    assert len(checks(stage)) == 1
    assert not stage.run_once().wakes
    assert len(stage.commands()) == 1


def test_the_answer_about_tables_that_nobody_wants_any_more_is_not_remembered() -> None:
    stage = a_settled_stage("a")
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    (key,) = stage.run_once().wakes
    stage.peerdb.taps.put(VALIDATE, Tap(takes=60.0, instead=PeerDBPreconditionFailed("a database is away")))
    check = stage.loop.create_task(stage.controller.reconcile(key))
    stage.wait(1.0)
    stage.cluster.edit("orders", {"spec": a_spec("a", "c")})
    assert stage.run_once().wakes == (key,)
    stage.wait(70.0)
    assert check.done()
    assert stage.entry().history.precheck is None
    stage.follow(10.0)
    assert stage.condition() == ("True", "Running")
    assert [one["tableMappings"][0]["sourceTableIdentifier"] for one in checks(stage)] == ["public.b", "public.c"]  # type: ignore[index]  # as sent


def test_a_precheck_is_made_once_although_its_key_runs_again() -> None:
    stage = a_settled_stage("a")
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    (key,) = stage.run_once().wakes
    for _ in range(2):
        stage.do(stage.controller.reconcile(key))
    assert len(checks(stage)) == 1


def test_nothing_is_asked_about_a_mirror_whose_object_is_gone() -> None:
    stage = a_settled_stage("a")
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    (key,) = stage.run_once().wakes
    stage.controller.forget(stage.uid())
    assert stage.do(stage.controller.reconcile(key)) == Requeue(None)
    assert checks(stage) == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PeerDBPreconditionFailed("table T exists and is not empty"), Reason.DESTINATION_IN_USE),
        (PeerDBPreconditionFailed("destination table T already has existing rows"), Reason.DESTINATION_IN_USE),
        (PeerDBPreconditionFailed("source tables do not exist"), Reason.PRECHECK_FAILED),
        (PeerDBRejected("invalid custom column type"), Reason.PRECHECK_FAILED),
        (PeerDBInternal("failed to load source peer"), Reason.PEERDB_ERROR),
        (PeerDBUnavailable("x", sent=True), Reason.PEERDB_UNAVAILABLE),
        (PeerDBUnavailable("x", sent=False, maintenance=True), Reason.MAINTENANCE),
    ],
)
def test_a_failed_check_has_a_reason_of_the_closed_set(error: PeerDBError, reason: Reason) -> None:
    assert reason_of(error) is reason


def test_at_most_five_tables_are_named() -> None:
    violations = [Violation("SOURCE_TABLE_MISSING", f"public.t{number}") for number in range(7)]
    reported = words(PeerDBPreconditionFailed("source tables do not exist", violations=violations))
    assert reported == (
        "spec.tables: PeerDB refuses to add public.t0, public.t1, public.t2, public.t3, public.t4 and 2 more "
        "(SOURCE_TABLE_MISSING)"
    )
    assert words(PeerDBInternal("broken")) == "spec.tables: PeerDB cannot add the new tables: broken"

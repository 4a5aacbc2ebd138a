"""What frames a pass: bad specs, our own bugs, Kubernetes away, objects that are gone, lanes."""

import pytest

from peerdb_operator.api.constants import OWNER_TAG
from peerdb_operator.errors import KubeConflict, KubeError, KubeNotFound, KubeUnavailable
from peerdb_operator.ports import Pool
from peerdb_operator.settings import NamespaceDeletion
from tests.harness.peerdb.values import Status
from tests.unit.controllers.stage import (
    STATE_CHANGE,
    STATUS,
    Stage,
    Tap,
    a_settled_stage,
    a_spec,
    a_stage,
    held_by_us,
    tables,
)
from tests.unit.controllers.test_passes import touch, until_edit

# -- specs -----------------------------------------------------------------------------------------------------------


def test_a_spec_that_cannot_be_applied_is_said_to_be_invalid_and_nothing_is_commanded() -> None:
    stage = a_settled_stage("a")
    before = stage.status()
    stage.cluster.edit("orders", {"spec": {"state": "Sideways", "mirrorName": "x" * 200}})
    stage.deliver()
    rest = stage.run()
    assert rest.after is not None
    assert rest.after > 50.0
    assert stage.condition() == ("False", "InvalidSpec")
    assert "spec." in stage.message()
    assert stage.commands() == []
    assert (stage.status()["tables"], stage.status()["mirrorName"]) == (before["tables"], "orders")
    stage.run()
    assert len(stage.writes()) == 1
    stage.cluster.replace_spec("orders", a_spec("a"))
    stage.follow(5.0)
    assert stage.condition() == ("True", "Running")


@pytest.mark.parametrize("restarts", [False, True])
def test_a_mirror_does_not_stand_still_when_the_spec_becomes_invalid_during_an_edit(*, restarts: bool) -> None:
    stage = a_settled_stage("a", "z")
    until_edit(stage)
    before = stage.status()["tables"]
    stage.cluster.replace_spec("orders", {"tables": [{"source": "nodot", "destination": "x"}]})
    if restarts:
        stage.restart()
    stage.follow(30.0)
    assert (stage.state(), stage.condition()) == (Status.RUNNING, ("False", "InvalidSpec"))
    assert [(one.state, one.update) for one in stage.commands()] == [("PAUSED", None), ("RUNNING", None)]
    assert stage.status()["tables"] == before


@pytest.mark.parametrize(("given", "wanted"), [({"state": "Paused"}, Status.PAUSED), ({}, Status.RUNNING)])
def test_the_run_state_of_an_invalid_spec_is_followed(given: dict[str, str], wanted: Status) -> None:
    stage = a_settled_stage("a")
    stage.cluster.replace_spec("orders", {**given, "tables": [{"source": "nodot", "destination": "x"}]})
    stage.follow(10.0)
    assert (stage.state(), stage.condition()) == (wanted, ("False", "InvalidSpec"))


def test_a_mirror_is_not_taken_over_by_an_invalid_spec() -> None:
    stage = a_stage()
    stage.engine.put_mirror("orders", state=Status.RUNNING, tables=tables("a"), tags={OWNER_TAG: "released"})
    stage.cluster.create("orders", {"tables": [{"source": "nodot", "destination": "x"}]})
    stage.follow(10.0)
    assert (stage.condition(), stage.tag(), held_by_us(stage)) == (("False", "InvalidSpec"), "released", False)
    assert stage.peerdb.asked == []


def test_a_completed_mirror_is_not_ready_for_an_invalid_spec() -> None:
    stage = a_settled_stage("a")
    stage.engine.put_mirror("orders", state=Status.COMPLETED, tables=tables("a"), tags={OWNER_TAG: str(stage.tag())})
    stage.cluster.replace_spec("orders", {"tables": [{"source": "nodot", "destination": "x"}]})
    stage.follow(10.0)
    assert stage.condition() == ("False", "InvalidSpec")


def test_a_released_mirror_is_not_taken_over_again_by_an_invalid_spec() -> None:
    stage = a_settled_stage("a")
    row = stage.engine.world.row("orders")
    assert row is not None
    row.tags[OWNER_TAG] = "released"
    stage.cluster.replace_spec("orders", {"tables": [{"source": "nodot", "destination": "x"}]})
    stage.follow(10.0)
    assert (stage.condition(), stage.tag()) == (("False", "InvalidSpec"), "released")


def test_a_name_that_maps_to_no_mirror_is_said_to_be_invalid() -> None:
    stage = a_stage()
    stage.cluster.create("9lives", {})
    stage.run("9lives")
    assert stage.condition(name="9lives") == ("False", "InvalidSpec")
    assert stage.message("9lives").startswith("metadata.name")


# -- bugs ------------------------------------------------------------------------------------------------------------


def test_a_bug_is_told_in_the_status_of_its_object_and_heals(caplog: pytest.LogCaptureFixture) -> None:
    stage = a_settled_stage("a")
    stage.peerdb.taps.put(STATUS, Tap(instead=RuntimeError("a secret in an exception")))
    rest = stage.run()
    assert (rest.after, rest.backoff) == (2.0, "InternalError")
    assert stage.condition() == ("Unknown", "InternalError")
    assert "RuntimeError" in stage.message()
    assert "secret" not in str(stage.status())
    assert ("Warning", "InternalError") in stage.reported()
    assert stage.status()["tables"]["summary"] == "1/1"
    assert "a reconcile failed" in caplog.text
    stage.follow(5.0)
    assert stage.condition() == ("True", "Running")


@pytest.mark.parametrize("error", [KubeUnavailable("no answer"), KubeConflict("409"), RuntimeError("another bug")])
def test_a_bug_that_cannot_be_told_of_is_logged(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    stage = a_settled_stage("a")
    stage.peerdb.taps.put(STATUS, Tap(instead=RuntimeError("a bug")))
    stage.kube.taps.put("patch-status", Tap(instead=error))
    assert stage.run().backoff == "InternalError"
    assert "a reconcile failed" in caplog.text
    stage.follow(5.0)
    assert stage.condition() == ("True", "Running")


# -- Kubernetes ------------------------------------------------------------------------------------------------------


def test_a_pass_is_repeated_when_kubernetes_cannot_be_asked() -> None:
    stage = a_settled_stage("a")
    stage.cluster.edit("orders", {"spec": {"state": "Paused"}})
    stage.faults.away = True
    rest = stage.run()
    assert (rest.after, rest.backoff, rest.cap) == (1.0, "KubeUnavailable", 60.0)
    stage.faults.away = False
    stage.follow(10.0)
    assert stage.condition() == ("True", "Paused")
    assert len(stage.commands()) == 1


@pytest.mark.parametrize(
    ("error", "backoff"), [(KubeUnavailable("no answer"), "KubeUnavailable"), (KubeError("422"), "KubeError")]
)
def test_a_conflict_is_repeated_when_the_object_cannot_be_read_again(error: Exception, backoff: str) -> None:
    stage = a_settled_stage("a")
    stage.cluster.edit("orders", {"spec": {"state": "Paused"}})
    stage.kube.taps.put("patch-status", Tap(before=lambda: touch(stage)))
    stage.kube.taps.put("get", Tap(instead=error))
    assert stage.run().backoff == backoff
    stage.follow(10.0)
    assert stage.condition() == ("True", "Paused")


@pytest.mark.parametrize("where", ["patch-status", "get"])
def test_an_object_that_is_gone_is_forgotten(where: str) -> None:
    stage = a_settled_stage("a")
    stage.cluster.edit("orders", {"spec": {"state": "Paused"}})
    if where == "get":
        stage.kube.taps.put("patch-status", Tap(before=lambda: touch(stage)))
    stage.kube.taps.put(where, Tap(instead=KubeNotFound("404")))
    assert stage.run().after is None
    assert stage.controller.known_versions() == {}


def test_an_object_that_was_created_anew_is_not_taken_for_the_old_one() -> None:
    stage = a_settled_stage("a")
    old = stage.uid()
    stage.cluster.edit("orders", {"spec": {"state": "Paused"}})
    stage.deliver()

    def recreate() -> None:
        stage.cluster.edit("orders", {"metadata": {"finalizers": None}})
        stage.cluster.delete("orders")
        stage.cluster.create("orders", a_spec("a"))
        stage.events.clear()

    stage.kube.taps.put("patch-status", Tap(before=recreate))
    assert stage.do(stage.controller.reconcile(old)).after is None
    assert stage.controller.known_versions() == {}
    assert stage.controller.observe(None, stage.body()) == stage.uid()
    stage.follow(20.0)
    assert stage.condition() == ("True", "Running")


# -- observing -------------------------------------------------------------------------------------------------------


def test_events_wake_once_and_a_deletion_forgets() -> None:
    stage = a_stage()
    body = stage.cluster.create("orders", a_spec("a"))
    uid = body["metadata"]["uid"]
    assert stage.controller.observe("ADDED", body) == uid
    assert stage.controller.observe(None, body) is None
    assert stage.controller.known_versions() == {uid: (1, body["metadata"]["resourceVersion"])}
    assert stage.controller.observe("DELETED", body) is None
    assert stage.controller.known_versions() == {}


@pytest.mark.parametrize(
    ("state", "deleted", "pool"),
    [
        (Status.FAILED, True, Pool.LONG),
        (Status.COMPLETED, True, Pool.LONG),
        (Status.RUNNING, True, Pool.NORMAL),
        (Status.FAILED, False, Pool.NORMAL),
    ],
)
def test_a_drop_that_peerdb_does_inside_the_request_has_a_lane_of_its_own(
    state: Status, pool: Pool, *, deleted: bool
) -> None:
    stage = a_settled_stage("a")
    tag = str(stage.tag())
    stage.engine.put_mirror("orders", state=state, tables=tables("a"), tags={OWNER_TAG: tag})
    stage.run()
    if deleted:
        stage.cluster.delete("orders")
        stage.deliver()
    assert stage.controller.pool(stage.uid()) is pool
    assert stage.controller.pool("nobody") is Pool.NORMAL


@pytest.mark.parametrize("state", [Status.FAILED, Status.COMPLETED])
def test_the_first_drop_of_a_mirror_that_is_not_known_to_have_ended_is_sent_in_the_long_lane(state: Status) -> None:
    stage = a_settled_stage("a")
    created_at = stage.engine.world.row("orders").created_at  # type: ignore[union-attr]  # it is there
    tags = {OWNER_TAG: str(stage.tag())}
    stage.engine.put_mirror("orders", state=state, tables=tables("a"), tags=tags, created_at=created_at)
    stage.cluster.delete("orders")
    stage.peerdb.taps.put(STATE_CHANGE, Tap(takes=350.0))
    began, rest = stage.now, stage.run()
    assert (stage.commands(), rest.after, stage.now - began < 1.0) == ([], 0.0, True)
    assert stage.controller.pool(stage.uid()) is Pool.LONG
    stage.follow(400.0)
    assert [one.state for one in stage.commands()] == ["TERMINATING"]
    assert stage.cluster.mirrors == {}


def test_a_drop_waits_for_the_long_lane_when_the_mirror_ends_while_it_is_written_down() -> None:
    stage = a_settled_stage("a")
    stage.cluster.delete("orders")
    created_at = stage.engine.world.row("orders").created_at  # type: ignore[union-attr]  # it is there
    tags = {OWNER_TAG: str(stage.tag())}

    def ends() -> None:
        stage.engine.put_mirror("orders", state=Status.FAILED, tables=tables("a"), tags=tags, created_at=created_at)

    stage.kube.taps.put("patch-status", Tap(takes=9.0, after=ends))
    stage.run()
    assert stage.commands() == []
    assert stage.controller.pool(stage.uid()) is Pool.LONG
    stage.follow(400.0)
    assert [one.state for one in stage.commands()] == ["TERMINATING"]
    assert stage.cluster.mirrors == {}


# -- why an object goes ----------------------------------------------------------------------------------------------


def going(stage: Stage, how: str) -> None:
    if how == "namespace":
        stage.cluster.delete_namespace()
    elif how == "crd":
        stage.cluster.delete_crd()
    else:
        stage.cluster.delete("orders")


@pytest.mark.parametrize(("how", "asked"), [("namespace", []), ("crd", []), ("object", ["STATUS_TERMINATING"])])
def test_a_namespace_or_a_crd_that_goes_drops_nothing(how: str, asked: list[str]) -> None:
    stage = a_settled_stage("a")
    going(stage, how)
    stage.follow(10.0)
    assert [one.body["requestedFlowState"] for one in stage.commands()] == asked
    assert ("data", "orders") not in stage.cluster.mirrors


def test_a_namespace_that_goes_drops_its_mirrors_when_the_operator_is_set_to() -> None:
    stage = a_settled_stage("a", namespace_deletion=NamespaceDeletion.DROP)
    stage.cluster.delete_namespace()
    stage.follow(10.0)
    assert len(stage.commands()) == 1
    assert ("data", "orders") not in stage.cluster.mirrors


@pytest.mark.parametrize("read", ["get-crd", "get-namespace"])
def test_nothing_is_dropped_when_kubernetes_does_not_say_why_the_object_goes(read: str) -> None:
    stage = a_settled_stage("a")
    stage.cluster.delete("orders")
    stage.kube.taps.put(read, Tap(instead=KubeUnavailable("no answer")))
    rest = stage.run()
    assert stage.commands() == []
    assert rest.backoff == "kubernetes"
    stage.follow(10.0)
    assert ("data", "orders") not in stage.cluster.mirrors

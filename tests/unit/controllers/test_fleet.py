"""What one tick of the fleet observer means: who is woken, whose log a row belongs to, how outages begin and end."""

import pytest

from peerdb_operator.api.constants import OWNER_TAG, RELEASED
from peerdb_operator.errors import PeerDBUnavailable
from peerdb_operator.mirror.fleet import FleetPoll
from peerdb_operator.peerdb.client import ListedMirror, LogRow
from peerdb_operator.peerdb.transport import Reply
from tests.harness.peerdb.values import Status
from tests.unit.controllers.stage import (
    STATUS,
    TAGS,
    Stage,
    Tap,
    a_settled_stage,
    a_spec,
    a_stage,
    forget,
    tables,
)

AWAY = PeerDBUnavailable("mirrors/list: PeerDB could not be reached", sent=False)
RUN = "0a1b2c3d_0a1b_0a1b_0a1b_0a1b2c3d4e5f"


def a_row(stage: Stage, name: str, message: str = "slot is gone", *, ago: float = 1.0, number: int = 1) -> LogRow:
    return LogRow(number, name, message, stage.now - ago)


def quietly(stage: Stage) -> Stage:
    """The same when everything that follows from its beginning is over."""
    stage.wait(20.0)
    return stage


# -- the list --------------------------------------------------------------------------------------------------------


def test_nobody_is_woken_and_nothing_is_written_when_nothing_changes() -> None:
    names = [f"m{number}" for number in range(30)]
    stage = a_stage()
    for name in names:
        stage.engine.put_mirror(name, tables=tables(name), tags={OWNER_TAG: RELEASED})
        stage.cluster.create(name, a_spec(name))
        stage.follow(3.0, name)
    forget(stage)
    for _ in range(60):
        stage.wait(10.0)
        assert stage.tick() == []
    assert stage.peerdb.asked == []
    assert stage.cluster.record == []


def test_a_mirror_is_woken_when_its_state_is_another_one() -> None:
    stage = quietly(a_settled_stage("a"))
    stage.engine.put_mirror("orders", state=Status.PAUSED, tables=tables("a"), created_at=stage.now)
    assert stage.tick() == [stage.uid()]


def test_a_mirror_is_woken_when_it_was_created_anew_in_the_same_state() -> None:
    stage = quietly(a_settled_stage("a"))
    stage.engine.put_mirror("orders", state=Status.RUNNING, tables=tables("a"), created_at=stage.now)
    assert stage.tick() == [stage.uid()]


def test_whoever_waits_for_a_mirror_is_woken_when_its_object_is_created_anew_although_no_deletion_was_seen() -> None:
    stage = a_settled_stage("a")
    stage.cluster.create("heir", {**a_spec("a"), "mirrorName": "orders"})
    stage.follow(5.0, "heir")
    assert stage.condition("Ready", "heir")[1] == "NameConflict"
    quietly(stage)
    assert stage.tick() == []
    body = stage.body()
    anew = {**body["metadata"], "uid": "anew", "resourceVersion": str(10 * int(body["metadata"]["resourceVersion"]))}
    stage.controller.observe("ADDED", {**body, "metadata": anew, "spec": {**a_spec("a"), "mirrorName": "other"}})
    assert stage.uid("heir") in stage.tick()


def test_another_mirror_in_the_list_is_looked_at_fully_in_the_pass_that_it_wakes() -> None:
    stage = quietly(a_settled_stage("a"))
    stage.engine.put_mirror("orders", state=Status.RUNNING, tables=tables("a"), created_at=stage.now)
    stage.tick()
    stage.run()
    assert {STATUS, f"{TAGS}orders"} <= {one.path for one in stage.peerdb.asked}
    assert stage.condition() == ("Unknown", "SettingUp")


def test_a_list_that_is_older_than_the_newest_look_shows_no_other_mirror() -> None:
    stage = quietly(a_settled_stage("a"))
    row = stage.engine.world.row("orders")
    assert row is not None
    old = ListedMirror("orders", "RUNNING", int(row.created_at * 1000), is_cdc=True)
    began = stage.now
    stage.wait(1.0)
    stage.engine.put_mirror("orders", state=Status.RUNNING, tables=tables("a"), tags=row.tags, created_at=stage.now)
    stage.tick()
    stage.run()
    stage.compare(FleetPoll(began, (old,)))
    assert not stage.entry().history.replaced


@pytest.mark.parametrize(("micros", "woken"), [(0, False), (999, False), (1_000, False), (2_000, True)])
def test_creation_times_are_compared_in_whole_milliseconds(micros: int, *, woken: bool) -> None:
    stage = a_stage()
    stage.engine.put_mirror("orders", tables=tables("a"), tags={OWNER_TAG: RELEASED}, created_at=stage.now + 0.123)
    stage.cluster.create("orders", a_spec("a"))
    stage.follow(30.0)
    row = stage.engine.world.row("orders")
    assert row is not None
    row.created_at += micros / 1e6
    assert bool(stage.tick()) is woken


def test_a_creation_time_that_is_no_time_is_not_compared() -> None:
    stage = quietly(a_settled_stage("a"))
    stage.entry().peerdb_created_at = "yesterday"
    assert stage.tick() == []


def test_a_mirror_is_woken_when_it_vanishes_and_again_only_when_it_comes_back() -> None:
    stage = quietly(a_settled_stage("a"))
    stage.engine.remove_mirror("orders")
    assert stage.tick() == [stage.uid()]
    stage.follow(15.0)
    assert stage.condition() == ("False", "MirrorNotFound")
    assert stage.tick() == []
    stage.engine.put_mirror("orders", state=Status.RUNNING, tables=tables("a"))
    assert stage.tick() == [stage.uid()]


def test_a_list_that_is_older_than_our_newest_command_wakes_nobody() -> None:
    stage = quietly(a_settled_stage("a"))
    stage.cluster.edit("orders", {"spec": {"state": "Paused"}})
    stage.run()
    row = ListedMirror("orders", "PAUSED", 0, is_cdc=True)
    before = FleetPoll(stage.entry().commanded_at, (row,))
    assert stage.compare(before) == []
    assert stage.compare(FleetPoll(stage.now + 1.0, (row,))) == [stage.uid()]


def test_a_mirror_under_way_is_not_woken_by_what_its_pass_sees_itself() -> None:
    stage = quietly(a_settled_stage("a"))
    woken: list[list[str]] = []
    stage.engine.put_mirror("orders", state=Status.PAUSED, tables=tables("a"))
    stage.peerdb.taps.put(STATUS, Tap(before=lambda: woken.append(stage.tick())))
    stage.run()
    assert woken == [[]]


def test_an_invalid_mirror_is_woken_only_when_its_run_state_is_followed() -> None:
    stage = quietly(a_settled_stage("a"))
    stage.cluster.edit("orders", {"spec": {"state": "Sideways"}})
    stage.cluster.create("never", {"state": "Sideways"})
    for name in ("orders", "never"):
        stage.run(name)
        stage.engine.put_mirror(name, state=Status.PAUSED, tables=tables("a"))
    assert stage.tick() == [stage.uid()]


def test_a_frozen_mirror_is_woken_by_nothing() -> None:
    stage = quietly(a_settled_stage("a"))
    stage.cluster.edit("orders", {"metadata": {"annotations": {"peerdb.io/reconcile": "disabled"}}})
    stage.run()
    stage.engine.put_mirror("orders", state=Status.PAUSED, tables=tables("a"))
    assert stage.tick() == []
    for _ in range(40):
        stage.wait(10.0)
        assert stage.tick(error=AWAY) == []
    assert stage.tick() == []


# -- outages ---------------------------------------------------------------------------------------------------------


def test_a_failed_tick_wakes_nobody_and_leaves_no_trace() -> None:
    stage = quietly(a_settled_stage("a"))
    assert stage.tick(error=AWAY) == []
    stage.wait(10.0)
    assert stage.tick() == []
    assert stage.entry().history.unknown_since is None
    assert stage.writes() == []


def test_an_outage_is_told_after_half_a_minute_and_again_after_five_and_its_end_at_once() -> None:
    stage = quietly(a_settled_stage("a"))
    stage.network.away = True
    assert stage.tick(error=AWAY) == []
    stage.wait(29.0)
    assert stage.tick(error=AWAY) == []
    stage.wait(1.0)
    assert stage.tick(error=AWAY) == [stage.uid()]
    stage.run()
    assert (stage.condition(), stage.condition("Synced")) == (
        ("True", "PeerDBUnavailable"),
        ("Unknown", "PeerDBUnavailable"),
    )
    stage.wait(10.0)
    assert stage.tick(error=AWAY) == []
    stage.wait(260.0)
    assert stage.tick(error=AWAY) == [stage.uid()]
    stage.run()
    assert stage.condition() == ("Unknown", "PeerDBUnavailable")
    assert stage.tick(error=AWAY) == []
    assert len(stage.writes()) == 2
    stage.network.away = False
    stage.wait(1.0)
    assert stage.tick() == [stage.uid()]
    stage.run()
    assert stage.condition() == ("True", "Running")


# -- the log ---------------------------------------------------------------------------------------------------------


def test_an_error_in_the_log_is_reported_until_a_batch_ended_after_it() -> None:
    stage = quietly(a_settled_stage("a"))
    assert stage.tick(a_row(stage, "orders", "  slot\n is gone ")) == [stage.uid()]
    stage.follow(60.0)
    assert stage.condition() == ("True", "RunningWithErrors")
    assert stage.status()["lastError"]["message"] == "slot is gone"
    assert stage.tick(a_row(stage, "orders", number=2)) == []
    stage.follow(1000.0)
    assert stage.condition() == ("True", "RunningWithErrors")
    stage.engine.world.batches.finish("orders")
    stage.follow(80.0)
    assert stage.condition() == ("True", "Running")
    assert stage.tick(a_row(stage, "orders", number=3)) == [stage.uid()]


def test_an_error_in_the_log_is_told_without_the_secrets_of_the_mirrors_settings() -> None:
    stage = quietly(a_settled_stage("a", env={"PEERDB_S3_SECRET": "live-secret", "PEERDB_SCHEMA": "public"}))
    stage.cluster.edit("orders", {"spec": a_spec("a", settings={"PEERDB_API_TOKEN": "t0ken"})})
    stage.follow(60.0)
    stage.tick(a_row(stage, "orders", "public.orders: live-secret and t0ken were refused"))
    stage.follow(60.0)
    assert stage.condition() == ("True", "RunningWithErrors")
    assert stage.status()["lastError"]["message"] == "public.orders: *** and *** were refused"
    assert "public.orders: *** and ***" in stage.message()
    everywhere = str(stage.status()) + str(stage.reported())
    assert "live-secret" not in everywhere
    assert "t0ken" not in everywhere


def test_an_error_that_came_before_the_first_look_is_told_without_secrets_too() -> None:
    stage = quietly(a_settled_stage("a", env={"PEERDB_S3_SECRET": "live-secret"}))
    stage.restart()
    stage.tick(a_row(stage, "orders", "live-secret was refused"))
    stage.follow(60.0)
    assert stage.status()["lastError"]["message"] == "*** was refused"


@pytest.mark.parametrize("failure", [AWAY, Reply(404, "application/json", b'{"code": 5, "message": "Not Found"}')])
def test_batches_that_cannot_be_read_keep_the_error_and_are_asked_for_again(failure: Exception | Reply) -> None:
    stage = quietly(a_settled_stage("a"))
    stage.tick(a_row(stage, "orders"))
    stage.wait(5.0)
    stage.engine.world.batches.finish("orders")
    stage.peerdb.taps.put("mirrors/cdc/batches", Tap(instead=failure))
    stage.follow(50.0)
    assert stage.condition() == ("True", "RunningWithErrors")
    stage.follow(80.0)
    assert stage.condition() == ("True", "Running")


def test_an_error_that_a_batch_has_answered_wakes_nobody() -> None:
    stage = quietly(a_settled_stage("a"))
    row = a_row(stage, "orders")
    stage.tick(row)
    stage.wait(5.0)
    stage.engine.world.batches.finish("orders")
    stage.follow(60.0)
    assert stage.condition() == ("True", "Running")
    assert stage.tick(row) == []


def test_an_older_error_does_not_replace_a_newer_one() -> None:
    stage = quietly(a_settled_stage("a"))
    stage.tick(a_row(stage, "orders", "new", ago=1.0), a_row(stage, "orders", "old", ago=100.0))
    assert stage.entry().error == ("new", stage.now - 1.0)


def test_the_time_of_an_error_is_that_of_peerdbs_clock_which_may_be_ahead_of_ours_by_a_day() -> None:
    stage = quietly(a_settled_stage("a"))
    stage.tick(a_row(stage, "orders", ago=-3600.0))
    assert stage.entry().error == ("slot is gone", stage.now + 3600.0)
    stage.tick(a_row(stage, "orders", ago=-1e12))
    assert stage.entry().error == ("slot is gone", stage.now + 86_400.0)


def test_an_error_that_comes_while_the_batches_are_read_is_not_answered_by_them() -> None:
    stage = quietly(a_settled_stage("a"))
    stage.tick(a_row(stage, "orders"))
    stage.wait(5.0)
    stage.engine.world.batches.finish("orders")
    stage.wait(5.0)
    stage.peerdb.taps.put("mirrors/cdc/batches", Tap(before=lambda: stage.tick(a_row(stage, "orders", "again"))))
    stage.run()
    assert stage.condition() == ("True", "RunningWithErrors")
    assert stage.message().endswith(": again")


def test_a_restart_over_a_mirror_with_a_known_error_writes_nothing() -> None:
    stage = quietly(a_settled_stage("a"))
    row = a_row(stage, "orders")
    stage.tick(row)
    stage.follow(60.0)
    forget(stage)
    stage.restart()
    stage.tick(row)
    stage.follow(60.0)
    assert stage.writes() == []
    assert stage.reported() == []


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("orders", True),
        (f"clone_orders_public_a_{RUN}", True),
        (f"clone_orders_public_b_{RUN}", False),
        (f"clone_orders_eu_public_a_{RUN}", False),
        ("clone_orders_public_a", False),
        (f"orders_public_a_{RUN}", False),
        ("orders_eu", False),
        ("", False),
    ],
)
def test_a_row_belongs_to_the_mirror_it_names_or_whose_table_it_copies(name: str, *, ours: bool) -> None:
    stage = quietly(a_settled_stage("a"))
    assert stage.tick(a_row(stage, name)) == ([stage.uid()] if ours else [])


def test_a_row_of_a_copy_belongs_to_the_longer_name_when_one_mirror_is_called_like_the_beginning_of_another() -> None:
    stage = a_settled_stage("a")
    stage.engine.put_mirror("orders_eu", tables=tables("a"), tags={OWNER_TAG: RELEASED})
    stage.cluster.create("orders-eu", a_spec("a"))
    stage.follow(5.0, "orders-eu")
    stage.wait(20.0)
    assert stage.tick(a_row(stage, f"clone_orders_eu_public_a_{RUN}")) == [stage.uid("orders-eu")]
    assert stage.tick(a_row(stage, f"clone_orders_public_a_{RUN}")) == [stage.uid()]


def test_an_error_that_is_logged_while_the_mirror_is_read_is_not_lost() -> None:
    stage = a_settled_stage("a")
    stage.peerdb.taps.put(STATUS, Tap(before=lambda: stage.tick(a_row(stage, "orders"))))
    stage.run()
    stage.run()
    assert stage.condition() == ("True", "RunningWithErrors")

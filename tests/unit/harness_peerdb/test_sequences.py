"""The sequences of states that a client sees, from the first call to the end."""

from __future__ import annotations

import pytest

from tests.harness.peerdb.config import Config
from tests.harness.peerdb.values import Deferred, Status
from tests.unit.harness_peerdb.building import (
    GONE,
    NAME,
    a_mirror,
    an_engine,
    change,
    changed,
    fates,
    paused,
    states,
    tables,
    watch,
    wire,
)  # fmt: skip

PAUSE = ["PAUSING", "PAUSED"]
RESYNC = ["RESYNC", "SETUP", "SNAPSHOT", "RESYNC"]


@pytest.mark.parametrize(
    ("config", "end"),
    [(Config(), "RUNNING"), (Config(do_initial_snapshot=False), "RUNNING"),
     (Config(initial_snapshot_only=True), "COMPLETED")],
    ids=["copied", "not copied", "only copied"],
)  # fmt: skip
def test_new_mirror_goes_through_setup_and_snapshot_when_it_is_created(config: Config, end: str) -> None:
    engine = an_engine()
    config.tables = tuple(tables("a"))

    engine.create_mirror(NAME, config, source_type="POSTGRES", destination_type="POSTGRES")

    assert states(engine) + watch(engine) == ["SETUP", "SNAPSHOT", end]


def test_new_mirror_hangs_in_setup_when_a_source_is_listed_twice() -> None:
    engine = an_engine()
    config = Config(tables=tuple(tables("a", "a")))

    engine.create_mirror(NAME, config, source_type="POSTGRES", destination_type="POSTGRES")

    assert watch(engine, 600) == []
    changed(engine, "TERMINATING")
    assert watch(engine) == ["TERMINATING", GONE]


def test_mirror_pauses_and_resumes_when_told_to() -> None:
    engine = an_engine()
    a_mirror(engine)

    changed(engine, "PAUSED")
    assert watch(engine) == PAUSE
    changed(engine, "RUNNING")
    assert watch(engine) == ["RUNNING"]


@pytest.mark.parametrize(
    ("update", "seen"),
    [
        ({"batchSize": 5}, ["RUNNING"]),
        ({"additionalTables": wire("c")}, ["SNAPSHOT", "RUNNING"]),
        ({"additionalTables": wire("a")}, ["RUNNING"]),
        ({"removedTables": wire("a")}, ["MODIFYING", "RUNNING"]),
        ({"removedTables": wire("unknown")}, ["MODIFYING", "RUNNING"]),
        ({"additionalTables": wire("c"), "removedTables": wire("a")}, ["SNAPSHOT", "MODIFYING", "RUNNING"]),
    ],
    ids=["settings", "add", "add skipped by overlap", "remove", "remove unknown", "add and remove"],
)
def test_paused_mirror_ends_running_when_it_is_edited(update: dict[str, object], seen: list[str]) -> None:
    engine = an_engine()
    paused(engine)

    changed(engine, "RUNNING", update)

    assert watch(engine) == seen


def test_running_mirror_pauses_edits_and_resumes_when_pause_and_update_come_together() -> None:
    engine = an_engine()
    a_mirror(engine)

    changed(engine, "PAUSED", {"additionalTables": wire("c")})

    assert watch(engine) == [*PAUSE, "SNAPSHOT", "RUNNING"]


@pytest.mark.parametrize(
    ("state", "seen"),
    [("SETUP", []), ("SNAPSHOT", []), ("RUNNING", []), ("PAUSED", []), ("MODIFYING", ["FAILED"])],
)
def test_live_mirror_vanishes_when_it_is_dropped(state: str, seen: list[str]) -> None:
    engine = an_engine()
    a_mirror(engine, state=Status[state])

    changed(engine, "TERMINATING")

    assert watch(engine) == [*seen, "TERMINATING", GONE]


@pytest.mark.parametrize("state", ["RUNNING", "PAUSED", "SETUP", "SNAPSHOT"])
def test_live_mirror_keeps_its_row_when_it_is_resynced(state: str) -> None:
    engine = an_engine()
    a_mirror(engine, state=Status[state], tags={"owner": "x"})
    row = engine.world.row(NAME)
    assert row is not None
    before = (row.id, row.created_at)

    changed(engine, "RESYNC")

    assert watch(engine) == [*RESYNC, "RUNNING"]
    after = engine.world.row(NAME)
    assert after is not None
    assert ((after.id, after.created_at), after.tags) == (before, {"owner": "x"})


@pytest.mark.parametrize(("state", "end"), [("COMPLETED", "COMPLETED"), ("FAILED", "RUNNING")])
def test_mirror_at_rest_is_made_anew_when_it_is_resynced(state: str, end: str) -> None:
    engine = an_engine()
    a_mirror(engine, config=Config(tables=tuple(tables("a")), initial_snapshot_only=state == "COMPLETED"),
             state=Status[state])  # fmt: skip
    row = engine.world.row(NAME)
    assert row is not None
    before = row.id

    changed(engine, "RESYNC")

    assert states(engine)[1:] + watch(engine) == ["TERMINATING", GONE, "SETUP", "SNAPSHOT", "RESYNC", end]
    after = engine.world.row(NAME)
    assert after is not None
    assert after.id != before
    assert after.created_at > row.created_at


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED"])
def test_drop_of_a_mirror_at_rest_is_over_when_the_answer_comes(state: str) -> None:
    engine = an_engine()
    a_mirror(engine, state=Status[state])

    reply = changed(engine, "TERMINATING")

    assert (reply.status, states(engine)[1:]) == (200, ["TERMINATING", GONE])
    assert engine.state(NAME) is None


def test_mirror_with_a_slot_of_its_own_fails_with_suffixed_tables_when_it_is_resynced() -> None:
    engine = an_engine()
    a_mirror(engine, config=Config(tables=tuple(tables("a")), slot="mine"))

    changed(engine, "RESYNC")

    assert watch(engine) == ["RESYNC", "SETUP", "SNAPSHOT", "FAILED"]


@pytest.mark.parametrize("cut_at", [0.01, 0.2, 0.32])
def test_completed_mirror_is_lost_when_the_client_gives_up_a_resync_at_the_gateway(cut_at: float) -> None:
    engine = an_engine(t_validate=0.1, t_sync_drop=0.2, t_recreate=0.06)
    a_mirror(engine, state=Status.COMPLETED)
    answer = change(engine, "RESYNC")
    assert isinstance(answer, Deferred)

    engine.run_until(engine.now + cut_at)
    answer.abort()
    engine.run_until(engine.now + 600)

    untouched = cut_at < 0.1
    assert states(engine)[1:] == ([] if untouched else ["TERMINATING", GONE])


def test_completed_mirror_comes_back_without_tags_when_the_client_leaves_at_the_very_end() -> None:
    engine = an_engine(t_validate=0.1, t_sync_drop=0.2, t_recreate=0.06, t_retag=0.03)
    a_mirror(engine, state=Status.COMPLETED, tags={"owner": "x"})
    answer = change(engine, "RESYNC")
    assert isinstance(answer, Deferred)

    engine.run_until(engine.now + 0.37)
    answer.abort()
    engine.run_until(engine.now + 600)

    row = engine.world.row(NAME)
    assert row is not None
    assert (states(engine)[-1], row.tags) == ("RUNNING", {})


def test_last_request_wins_when_several_arrive_before_the_sync_has_stopped() -> None:
    engine = an_engine()
    a_mirror(engine)

    changed(engine, "TERMINATING", dropMirrorStats=False)
    changed(engine, "RESYNC")
    changed(engine, "TERMINATING", dropMirrorStats=True)

    assert watch(engine) == ["TERMINATING", GONE]
    assert fates(engine, "applied") == ["STATUS_TERMINATING(stats)"]

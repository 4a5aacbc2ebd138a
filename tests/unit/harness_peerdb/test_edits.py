"""What applying an update does, in order, and what it leaves behind."""

from __future__ import annotations

import pytest

from tests.harness.peerdb.config import ALLOW_NON_EMPTY, Config
from tests.harness.peerdb.values import Status
from tests.unit.harness_peerdb.building import (
    NAME,
    a_mirror,
    an_engine,
    changed,
    info,
    mapped,
    paused,
    post,
    tables,
    watch,
    wire,
)  # fmt: skip


def test_zero_means_unchanged_when_numbers_are_updated() -> None:
    engine = an_engine()
    paused(engine, batch=1000)

    changed(engine, "RUNNING", {"batchSize": 0, "idleTimeout": "0", "snapshotMaxParallelWorkers": 0})
    engine.run_until(engine.now + 5)

    assert info(engine)["maxBatchSize"] == 1000


def test_settings_are_merged_and_never_deleted_when_env_is_updated() -> None:
    engine = an_engine()
    config = Config(tables=tuple(tables("a")), env={"OLD": "1", "SAME": "x"})
    a_mirror(engine, config=config, state=Status.PAUSED)

    changed(engine, "RUNNING", {"updatedEnv": {"OLD": "", "NEW": "2"}})
    engine.run_until(engine.now + 5)

    assert info(engine)["env"] == {"OLD": "", "SAME": "x", "NEW": "2"}


@pytest.mark.parametrize("known", [wire("a"), wire("c", destinationTableIdentifier="public.d_a")])
def test_whole_list_is_skipped_without_a_word_when_one_table_overlaps(known: list[dict[str, object]]) -> None:
    engine = an_engine()
    paused(engine, "a", "b")
    lines = len(engine.world.journal.lines)

    changed(engine, "RUNNING", {"additionalTables": [*wire("x"), *known], "batchSize": 9})

    assert watch(engine) == ["RUNNING"]
    assert (mapped(info(engine)), info(engine)["maxBatchSize"]) == (["a", "b"], 9)
    assert [line.message for line in engine.world.journal.lines[lines:]] == [
        "Flow config update signaled", "Mirror resume signaled",
    ]  # fmt: skip


@pytest.mark.parametrize("where", ["env", "setting", "update"])
def test_shared_destination_is_added_when_non_empty_tables_are_allowed(where: str) -> None:
    engine = an_engine()
    env = {ALLOW_NON_EMPTY: "true"} if where == "env" else {}
    a_mirror(engine, config=Config(tables=tuple(tables("a")), env=env), state=Status.PAUSED,
             destination_type="CLICKHOUSE")  # fmt: skip
    if where == "setting":
        post(engine, "dynamic_settings", {"name": ALLOW_NON_EMPTY, "value": "true"})
    update: dict[str, object] = {"additionalTables": wire("c", destinationTableIdentifier="public.d_a")}
    if where == "update":
        update["updatedEnv"] = {ALLOW_NON_EMPTY: "true"}

    changed(engine, "RUNNING", update)

    assert watch(engine) == ["SNAPSHOT", "RUNNING"]
    assert mapped(info(engine)) == ["a", "a"]


def test_new_table_is_copied_and_removed_again_when_it_is_added_and_removed_at_once() -> None:
    engine = an_engine()
    paused(engine, "a")

    changed(engine, "RUNNING", {"additionalTables": wire("b"), "removedTables": wire("b")})

    assert watch(engine) == ["SNAPSHOT", "MODIFYING", "RUNNING"]
    assert mapped(info(engine)) == ["a"]
    assert "public.d_b" in engine.world.databases.filled


# -- additions that cannot finish --------------------------------------------------------------------------------------


def test_addition_retries_for_ever_when_rows_are_in_the_way_and_recovers_when_they_are_gone() -> None:
    engine = an_engine()
    paused(engine, "a")
    engine.put_databases(filled=["public.d_b"])

    changed(engine, "RUNNING", {"additionalTables": wire("b")})

    assert watch(engine, 600) == ["SNAPSHOT"]
    errors = [line for line in engine.world.journal.lines if line.level == "error"]
    assert len(errors) > 10
    assert {line.flow.startswith(f"clone_{NAME}_public_b_") for line in errors} == {True}
    engine.put_databases(filled=[])
    assert watch(engine, 60) == ["RUNNING"]


def test_filled_destination_does_no_harm_when_the_copy_is_skipped() -> None:
    engine = an_engine()
    paused(engine, "a")
    engine.put_databases(filled=["public.d_b"])

    changed(engine, "RUNNING", {"additionalTables": wire("b"), "skipInitialSnapshotForTableAdditions": True})

    assert watch(engine) == ["SNAPSHOT", "RUNNING"]


def test_addition_waits_when_the_source_table_does_not_exist_and_goes_on_when_it_does() -> None:
    engine = an_engine()
    paused(engine, "a")
    engine.put_databases(source_tables=["public.a"])

    changed(engine, "RUNNING", {"additionalTables": wire("nope")})

    assert watch(engine, 60) == ["SNAPSHOT"]
    newest = engine.world.journal.lines[-1]
    expected = 'failed to alter publication: ERROR: relation "public.nope" does not exist (SQLSTATE 42P01)'
    assert (newest.flow, newest.message) == (NAME, expected)
    engine.put_databases(source_tables=["public.a", "public.nope"])
    assert watch(engine, 60) == ["RUNNING"]


@pytest.mark.parametrize("list_name", ["additionalTables", "removedTables"])
def test_mirror_is_wedged_until_dropped_when_an_identifier_has_no_dot(list_name: str) -> None:
    engine = an_engine()
    paused(engine, "a")

    changed(engine, "RUNNING", {list_name: [{"sourceTableIdentifier": "t2", "destinationTableIdentifier": "x.y"}]})

    assert watch(engine, 600) == ["SNAPSHOT" if list_name == "additionalTables" else "MODIFYING"]
    assert engine.world.journal.lines[-1].message == "invalid table name: t2"
    changed(engine, "TERMINATING")
    assert watch(engine) == ["FAILED", "TERMINATING", "GONE"]

"""What ``config`` in a status shows over time, and what it never shows."""

from __future__ import annotations

from tests.harness.peerdb.config import Config, Table
from tests.harness.peerdb.values import Status
from tests.unit.harness_peerdb.building import (
    NAME,
    a_mirror,
    an_engine,
    changed,
    full,
    info,
    mapped,
    paused,
    post,
    tables,
    watch,
    wire,
)  # fmt: skip


def test_new_tables_are_listed_from_the_first_moment_when_they_are_being_added() -> None:
    engine = an_engine(t_add=100)
    paused(engine, "a")

    changed(engine, "RUNNING", {"additionalTables": wire("b")})
    engine.run_until(engine.now + 0.1)
    early = full(engine)
    engine.run_until(engine.now + 5)

    assert (early["currentFlowState"], mapped(early["cdcStatus"]["config"])) == ("STATUS_PAUSED", ["a", "b"])
    assert (engine.state(NAME), mapped(info(engine))) == (Status.SNAPSHOT, ["a", "b"])


def test_removed_tables_are_unlisted_from_the_first_moment_when_they_are_being_removed() -> None:
    engine = an_engine(t_remove=100)
    paused(engine, "a", "b")

    changed(engine, "RUNNING", {"removedTables": wire("a")})
    engine.run_until(engine.now + 5)

    assert (engine.state(NAME), mapped(info(engine))) == (Status.MODIFYING, ["b"])


def test_queued_update_is_nowhere_to_be_seen_when_the_mirror_runs() -> None:
    engine = an_engine()
    a_mirror(engine, "a", batch=1000)

    changed(engine, "RUNNING", {"batchSize": 5, "additionalTables": wire("b")})
    engine.run_until(engine.now + 3600)

    assert (mapped(info(engine)), info(engine)["maxBatchSize"]) == (["a"], 1000)
    assert engine.world.journal.lines[-1].message == "Flow config update signaled"


def test_snapshot_values_and_env_show_late_when_batch_and_idle_show_early() -> None:
    engine = an_engine(t_add=100)
    paused(engine, "a")
    update = {"batchSize": 5, "idleTimeout": 7, "updatedEnv": {"K": "v"}, "snapshotMaxParallelWorkers": 3}

    changed(engine, "RUNNING", {**update, "additionalTables": wire("b")})
    engine.run_until(engine.now + 5)
    during = info(engine)
    engine.run_until(engine.now + 100)
    after = info(engine)

    assert [during[name] for name in ("maxBatchSize", "idleTimeoutSeconds", "env", "snapshotMaxParallelWorkers")] == [
        5, "7", {}, 0,
    ]  # fmt: skip
    assert (after["env"], after["snapshotMaxParallelWorkers"]) == ({"K": "v"}, 3)


def test_catalog_forgets_the_new_tables_when_an_addition_fails() -> None:
    engine = an_engine(failing_addition=True)
    paused(engine, "a")

    changed(engine, "RUNNING", {"additionalTables": wire("b")})

    assert watch(engine) == ["SNAPSHOT", "FAILED"]
    assert mapped(info(engine)) == ["a", "b"]
    engine.turn(failing_addition=False)
    changed(engine, "RESYNC")
    engine.run_until(engine.now + 60)
    assert mapped(info(engine)) == ["a"]


def test_destinations_carry_a_suffix_when_a_resync_copies_and_lose_it_at_its_end() -> None:
    engine = an_engine(t_resync_drop=10, t_setup=10, t_snapshot=10, t_swap=10)
    a_mirror(engine, "a")
    changed(engine, "RESYNC")
    seen = {}

    for _ in range(120):
        engine.run_until(engine.now + 0.5)
        config = info(engine)
        seen[f"{engine.state(NAME)!r} {config['resync']}"] = mapped(config)

    assert list(seen.values()) == [["a"], ["a"], ["a_resync"], ["a_resync"], ["a"], ["a"]]


def test_tables_of_engine_null_keep_their_names_when_a_clickhouse_mirror_is_resynced() -> None:
    engine = an_engine(t_snapshot=100)
    config = Config(tables=(Table("public.a", "a"), Table("public.n", "n", engine=2)))
    a_mirror(engine, config=config, destination_type="CLICKHOUSE")

    changed(engine, "RESYNC")
    engine.run_until(engine.now + 5)

    assert mapped(info(engine)) == ["a_resync", "n"]


def test_resync_leaves_two_flags_true_for_ever_when_it_is_over() -> None:
    engine = an_engine()
    a_mirror(engine, config=Config(tables=tuple(tables("a")), do_initial_snapshot=False))

    changed(engine, "RESYNC")
    engine.run_until(engine.now + 60)

    config = info(engine)
    assert (config["resync"], config["doInitialSnapshot"]) == (True, True)


def test_suffixed_names_stay_when_a_resync_fails() -> None:
    engine = an_engine()
    a_mirror(engine, config=Config(tables=tuple(tables("a")), slot="mine"))

    changed(engine, "RESYNC")
    engine.run_until(engine.now + 60)

    assert (engine.state(NAME), mapped(info(engine))) == (Status.FAILED, ["a_resync"])


def test_config_comes_from_the_catalog_when_a_drop_is_under_way() -> None:
    engine = an_engine(t_add=100, t_drop=100)
    paused(engine, "a")
    changed(engine, "RUNNING", {"additionalTables": wire("b")})
    engine.run_until(engine.now + 5)

    changed(engine, "TERMINATING")
    engine.run_until(engine.now + 5)

    assert (engine.state(NAME), mapped(info(engine))) == (Status.TERMINATING, ["a"])


def test_only_the_row_is_read_when_no_info_is_asked_for() -> None:
    engine = an_engine()
    a_mirror(engine, orphan=True)

    reply = post(engine, "mirrors/status", {"flowJobName": NAME})

    assert reply.json() == {
        "flowJobName": NAME, "currentFlowState": "STATUS_RUNNING", "createdAt": "2023-11-14T22:13:20Z",
    }  # fmt: skip


def test_info_is_refused_when_the_history_has_expired() -> None:
    engine = an_engine()
    a_mirror(engine, history_expired=True)

    reply = post(engine, "mirrors/status", {"flowJobName": NAME, "includeFlowInfo": True})

    assert reply.status == 500
    assert post(engine, "mirrors/status", {"flowJobName": NAME}).status == 200


def test_info_works_when_the_workflow_was_ended_from_outside() -> None:
    engine = an_engine()
    a_mirror(engine, "a", orphan=True)

    assert mapped(info(engine)) == ["a"]


def test_copies_show_progress_when_partitions_are_done_one_after_the_other() -> None:
    engine = an_engine(t_add=100, partitions=4, rows=1000)
    paused(engine, "a")
    changed(engine, "RUNNING", {"additionalTables": wire("b")})
    progress = []

    for _ in range(5):
        engine.run_until(engine.now + 26)
        clone = full(engine)["cdcStatus"]["snapshotStatus"]["clones"][-1]
        progress.append((clone["numPartitionsCompleted"], clone["fetchCompleted"]))

    assert progress == [(1, False), (2, False), (3, False), (4, True), (4, True)]


def test_statistics_survive_a_drop_unless_they_are_dropped_with_it() -> None:
    engine = an_engine()
    for keep in (True, False):
        a_mirror(engine, "a")
        changed(engine, "TERMINATING", dropMirrorStats=not keep)
        engine.run_until(engine.now + 60)
        assert bool(engine.world.stats.of(NAME)) is keep

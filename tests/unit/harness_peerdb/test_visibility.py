"""What ``config`` in a status shows over time, and what it never shows."""

from __future__ import annotations

from tests.harness.peerdb.values import Status
from tests.unit.harness_peerdb.building import (
    NAME,
    an_engine,
    changed,
    full,
    info,
    mapped,
    paused,
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

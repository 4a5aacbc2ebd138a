"""Recordings written by hand from what PeerDB is known to do; they need no folder and always run.

Each is played as it is, and most a second time with one thing changed that a real PeerDB would not do: then the replay
has to find a difference.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.component.replay.lines import Pencil, a_table
from tests.harness.replay.search import play

T1, T2, T3 = a_table("t1"), a_table("t2"), a_table("t3")
M1, M2, M3 = "t1>public.d_t1", "t2>public.d_t2", "t3>public.d_t3"
PAUSE_ROWS = [("PAUSING", 90), ("PAUSED", 6200)]
COMPLETED_BEFORE = "workflow execution already completed"


def paused(pencil: Pencil) -> None:
    pencil.ask("PAUSED", "RUNNING")
    pencil.wait(9.0)


def queued_update(pencil: Pencil, shown: str) -> None:
    pencil.create([T1, T2])
    pencil.ask("RUNNING", "RUNNING", {"batchSize": 5, "additionalTables": [T3]})
    pencil.ask("RUNNING", "RUNNING", {"removedTables": [T2]})
    pencil.look("RUNNING", [M1, M2], batch=1000)
    pencil.ask("PAUSED", "RUNNING")
    rows = [*PAUSE_ROWS, ("MODIFYING", 6290), ("RUNNING", 6700)]
    pencil.watch("queued", [("RUNNING", 40), *PAUSE_ROWS[:1], ("RUNNING", 6800)], rows, 8.0)
    pencil.look("RUNNING", [M1, shown] if shown else [M1], batch=1000)


def update_with_pause(pencil: Pencil, shown: str) -> None:
    pencil.create([T1])
    pencil.ask("PAUSED", "RUNNING", {"batchSize": 7})
    rows = [*PAUSE_ROWS, (shown, 6300)]
    pencil.watch("pause, edit, resume", [("RUNNING", 40)], rows, 8.0)
    pencil.look("RUNNING", [M1], batch=7)


def second_edit_queued(pencil: Pencil, batch: str) -> None:
    pencil.create([T1])
    paused(pencil)
    pencil.ask("RUNNING", "PAUSED", {"batchSize": 11})
    pencil.ask("RUNNING", "PAUSED", {"batchSize": 12})
    pencil.watch("two edits", [("PAUSED", 30), ("RUNNING", 400)], [("RUNNING", 330)], 3.0)
    pencil.look("RUNNING", [M1], batch=11)
    pencil.ask("PAUSED", "RUNNING")
    pencil.watch("the second surfaces", [("RUNNING", 30)], [*PAUSE_ROWS, ("RUNNING", 6290)], 8.0)
    pencil.look("RUNNING", [M1], batch=int(batch))


def second_edit_lost(pencil: Pencil, batch: str) -> None:
    pencil.create([T1])
    paused(pencil)
    pencil.ask("RUNNING", "PAUSED", {"batchSize": 11})
    pencil.ask("RUNNING", "PAUSED", {"additionalTables": [T2]})
    pencil.watch("an edit and an addition", [("PAUSED", 30), ("RUNNING", 400)], [("RUNNING", 330)], 3.0)
    pencil.ask("PAUSED", "RUNNING")
    pencil.watch("pause", [("RUNNING", 30)], PAUSE_ROWS, 8.0)
    pencil.wait(5.0)
    pencil.look("PAUSED", [M1], batch=int(batch))


def addition_during_addition(pencil: Pencil, shown: str) -> None:
    pencil.create([T1])
    paused(pencil)
    pencil.ask("RUNNING", "PAUSED", {"additionalTables": [T2]})
    pencil.ask("RUNNING", "PAUSED", {"additionalTables": [T3]})
    pencil.watch("two additions", [("PAUSED", 30), ("SNAPSHOT", 300)], [("SNAPSHOT", 210), ("RUNNING", 4600)], 6.0)
    pencil.look("RUNNING", [M1, shown])
    paused(pencil)
    pencil.look("PAUSED", [M1, shown])


def resync_of_running(pencil: Pencil, suffix: str) -> None:
    pencil.create([T1])
    pencil.ask("RESYNC", "RUNNING", ms=120.0)
    rows = [("RESYNC", 6000, 7), ("SETUP", 7400, 7), ("SNAPSHOT", 8300, 7)]
    pencil.wait(10.0)
    pencil.look("SNAPSHOT", [f"t1>public.d_t1{suffix}"], resync=True, dis=True)
    rows += [("RESYNC", 12400, 7), ("RUNNING", 12470, 7)]
    pencil.watch("resync", [("RUNNING", 40), ("RESYNC", 6090), ("SETUP", 7500), ("SNAPSHOT", 8390)], rows, 14.0)
    pencil.look("RUNNING", [M1], resync=True, dis=True)


def resync_while_adding(pencil: Pencil, flash: str) -> None:
    pencil.create([T1])
    paused(pencil)
    pencil.ask("RUNNING", "PAUSED", {"additionalTables": [T2]})
    pencil.wait(1.0)
    pencil.ask("RESYNC", "SNAPSHOT", ms=110.0)
    rows = [(flash, 150), ("RESYNC", 800), ("SETUP", 2300), ("SNAPSHOT", 3100), ("RESYNC", 8000), ("RUNNING", 8090)]
    pencil.watch("resync", [("SNAPSHOT", 20)], rows, 10.0)
    pencil.look("RUNNING", [M1, M2])


def resync_loses_update_on_paused(pencil: Pencil, state: str) -> None:
    pencil.create([T1])
    paused(pencil)
    pencil.ask("RESYNC", "PAUSED", {"batchSize": 9, "snapshotNumRowsPerPartition": 77}, ms=130.0)
    pencil.watch("resync lost", [("PAUSED", 20)], [(state, 340)], 20.0)
    pencil.look("RUNNING", [M1], batch=9, snap=[77, 0, 0, 0], resync=False)


def resync_overrides_drop(pencil: Pencil, end: str) -> None:
    pencil.create([T1])
    pencil.ask("TERMINATING", "RUNNING")
    pencil.ask("RESYNC", "RUNNING", ms=100.0)
    rows = [("RESYNC", 6000), ("SETUP", 7400), ("SNAPSHOT", 8300), ("RESYNC", 12400), (end, 12470)]
    pencil.watch("resync replaces the drop", [("RUNNING", 40)], rows, 14.0)


def drop_in_resync(pencil: Pencil, state: str) -> None:
    pencil.create([T1])
    pencil.ask("RESYNC", "RUNNING", ms=100.0)
    pencil.wait(6.2)
    pencil.ask("TERMINATING", "RESYNC")
    pencil.ask("PAUSED", "RESYNC")
    pencil.watch("a drop of a resync", [("RUNNING", 40), ("RESYNC", 6100)], [("RESYNC", 6000), (state, 7600)],
                 9.0, calls=3)  # fmt: skip


def resync_of_completed(pencil: Pencil, gone: str) -> None:
    pencil.create([T1], initialSnapshotOnly=True)
    pencil.call("flows/tags", {"flowName": "m", "tags": [{"key": "owner", "value": "x"}]}, before="COMPLETED",
                answer={"flowName": "m"})  # fmt: skip
    pencil.ask("RUNNING", "COMPLETED", {"batchSize": 3})
    pencil.ask(None, "COMPLETED", {"batchSize": 3}, code=3,
               answer="illegal state change requested: STATUS_UNKNOWN, current state is: STATUS_COMPLETED")  # fmt: skip
    start = pencil.clock
    pencil.ask("RESYNC", "COMPLETED", ms=420.0)
    pencil.call("flows/tags/m", None, method="GET", at=start + 0.3, ms=3.0, code=5, answer=gone)
    pencil.call("flows/tags/m", None, method="GET", at=start + 0.38, ms=3.0, answer={"flowName": "m", "tags": []})
    rows = [("TERMINATING", 60, 5), ("DELETED", 260, 5), ("SETUP", 340, 6), ("SNAPSHOT", 900, 6), ("RESYNC", 4400, 6),
            ("COMPLETED", 4480, 6)]  # fmt: skip
    pencil.watch("resync", [("COMPLETED", 20), ("TERMINATING", 130), ("HTTP404", 300), ("SETUP", 420)], rows, 6.0)
    owner = {"flowName": "m", "tags": [{"key": "owner", "value": "x"}]}
    pencil.call("flows/tags/m", None, method="GET", ms=3.0, answer=owner)


def interrupted_resync(pencil: Pencil, end: str) -> None:
    pencil.create([T1], initialSnapshotOnly=True)
    pencil.gave_up("mirrors/state_change", {"flowJobName": "m", "requestedFlowState": "STATUS_RESYNC"},
                   before="COMPLETED", ms=80.0)  # fmt: skip
    rows = [("TERMINATING", 60), ("DELETED", 220)]
    pencil.watch("given up", [("COMPLETED", 10)], rows, 20.0)
    pencil.call("mirrors/status", {"flowJobName": "m"}, before=end, code=5, answer="flow m not found")


def failed_by_a_slot(pencil: Pencil, state: str) -> None:
    pencil.create([T1], replicationSlotName="custom")
    pencil.ask("RESYNC", "RUNNING", ms=100.0)
    rows = [("RESYNC", 6000), ("SETUP", 7400), ("SNAPSHOT", 8300), (state, 9200)]
    pencil.watch("resync with a slot of its own", [("RUNNING", 40)], rows, 12.0)
    pencil.look("FAILED", ["t1>public.d_t1_resync"], resync=True)
    pencil.ask("RUNNING", "FAILED", {"batchSize": 3})
    pencil.ask("TERMINATING", "FAILED", ms=300.0)
    pencil.call("mirrors/status", {"flowJobName": "m"}, before="ABSENT", code=5, answer="flow m not found")


def orphan(pencil: Pencil, text: str) -> None:
    pencil.create([T1])
    pencil.note("workflow cancelled with the Temporal CLI")
    refused = f"unable to signal workflow: {text}"
    pencil.ask("RUNNING", "RUNNING")
    for state in ("PAUSED", "TERMINATING", "TERMINATED"):
        pencil.ask(state, "RUNNING", code=13, answer=refused)
    pencil.ask("RESYNC", "RUNNING", code=13, answer=refused, ms=130.0)
    pencil.ask("RUNNING", "RUNNING", {"batchSize": 3}, code=13,
               answer=f"unable to signal workflow update: {text}")  # fmt: skip
    pencil.look("RUNNING", [M1])


def no_worker(pencil: Pencil, end: str) -> None:
    pencil.create([T1])
    pencil.ask("PAUSED", "RUNNING")
    failed = (
        "unable to obtain CDC information for mirror m: failed to get state in workflow with ID m-peerflow: "
        "query timed out before a worker could process it"
    )
    info = {"flowJobName": "m", "includeFlowInfo": True}
    pencil.call("mirrors/status", info, before="RUNNING", code=13, answer=failed, ms=10010.0)
    pencil.ask("RUNNING", "RUNNING", {"batchSize": 5})
    pencil.ask("RUNNING", "RUNNING", {"batchSize": 6})
    pencil.watch("worker back", [("RUNNING", 100), ("PAUSING", 700)], [("PAUSING", 600), ("PAUSED", 42000),
                 (end, 42100)], 45.0)  # fmt: skip
    pencil.look("RUNNING", [M1], batch=6)


def no_temporal(pencil: Pencil, after: str) -> None:
    pencil.create([T1])
    late = "unable to signal workflow: context deadline exceeded"
    pencil.ask("PAUSED", "RUNNING", code=13, answer=late, ms=10004.0)
    pencil.ask("RUNNING", "RUNNING")
    pencil.ask("SETUP", "RUNNING", code=3,
               answer="illegal state change requested: STATUS_SETUP, current state is: STATUS_RUNNING")  # fmt: skip
    pencil.wait(30.0)
    pencil.ask("PAUSED", after)
    pencil.watch("back", [("RUNNING", 10)], PAUSE_ROWS, 8.0)


def wedged(pencil: Pencil, state: str) -> None:
    pencil.create([T1])
    paused(pencil)
    pencil.ask("RUNNING", "PAUSED", {"removedTables": [T1]})
    pencil.watch("the last table", [("PAUSED", 10)], [("MODIFYING", 130), ("RUNNING", 500)], 2.0)
    pencil.look("RUNNING", [])
    paused(pencil)
    pencil.ask("RUNNING", "PAUSED", {"additionalTables": [T2]})
    pencil.watch("an addition", [("PAUSED", 10), ("SNAPSHOT", 200)], [("SNAPSHOT", 150)], 20.0)
    failed = (
        "unable to obtain CDC information for mirror m: failed to get state in workflow with ID m-peerflow: "
        "Unable to query workflow due to Workflow Task in failed state."
    )
    info = {"flowJobName": "m", "includeFlowInfo": True}
    pencil.call("mirrors/status", info, before="SNAPSHOT", code=13, answer=failed)
    pencil.ask("TERMINATING", "SNAPSHOT")
    pencil.watch("a drop", [("SNAPSHOT", 10)], [], 10.0)
    cancel = {"flowJobName": "m", "idempotencyKey": "k", "currentlyReplicatingTables": [T2]}
    done = {"flowJobName": "m", "tablesAfterCancellation": [T2], "runId": "r"}
    pencil.call("flows/cdc/cancel_table_addition", cancel, before=state, answer=done, ms=1400.0)
    pencil.watch("cancelled", [("SNAPSHOT", 10), ("RUNNING", 900)], [("RUNNING", 800)], 3.0)
    pencil.look("RUNNING", [M2])


def drop_after_resume(pencil: Pencil, end: str) -> None:
    pencil.create([T1])
    paused(pencil)
    pencil.ask("RUNNING", "PAUSED")
    pencil.ask("TERMINATING", "PAUSED")
    pencil.watch("a drop at once", [("PAUSED", 10)], [("RUNNING", 190)], 15.0)
    pencil.ask("PAUSED", end)


def drop_kept_after_resume(pencil: Pencil, end: str) -> None:
    pencil.create([T1])
    paused(pencil)
    pencil.ask("RUNNING", "PAUSED")
    pencil.wait(0.1)
    pencil.ask("TERMINATING", "PAUSED")
    rows = [("RUNNING", 190), ("TERMINATING", 6000), ("DELETED", 6300)]
    pencil.watch("a drop a little later", [("PAUSED", 10)], rows, 8.0)
    pencil.ask("PAUSED", end, code=5, answer="flow m not found")


def drop_lost_in_resync(pencil: Pencil, end: str) -> None:
    pencil.create([T1])
    pencil.ask("RESYNC", "RUNNING", ms=100.0)
    pencil.wait(9.0)
    pencil.ask("RESYNC", "SNAPSHOT", ms=100.0)
    pencil.ask("TERMINATING", "SNAPSHOT")
    rows = [("RESYNC", 6000), ("SETUP", 7400), ("SNAPSHOT", 8300), ("RESYNC", 9500), ("SETUP", 10900),
            ("SNAPSHOT", 11900), ("RESYNC", 15000), (end, 15080)]  # fmt: skip
    pencil.watch("lost at the boundary", [("RUNNING", 10)], rows, 17.0, calls=3)


def real_maintenance(pencil: Pencil, batch: str) -> None:
    pencil.create([T1])
    pencil.ask("RUNNING", "RUNNING", {"batchSize": 21})
    start = {"status": "MAINTENANCE_STATUS_START"}
    pencil.call("instance/maintenance", start, before="RUNNING", answer={"workflowId": "w", "runId": "r"})
    busy = "PeerDB is under maintenance. Please retry in a few minutes"
    pencil.ask("PAUSED", "RUNNING", code=14, answer=busy)
    rows = [("PAUSING", 25000), ("PAUSED", 29000), ("RUNNING", 29100), ("PAUSING", 35500), ("PAUSED", 38000)]
    pencil.watch("paused, edited, resumed, paused", [("RUNNING", 10)], rows, 40.0)
    pencil.call("instance/info", None, method="GET", answer={"status": "INSTANCE_STATUS_MAINTENANCE"})
    stop = {"status": "MAINTENANCE_STATUS_END"}
    pencil.call("instance/maintenance", stop, before="PAUSED", answer={"workflowId": "w", "runId": "r"})
    pencil.watch("resumed", [("PAUSED", 10)], [("RUNNING", 3000)], 5.0)
    pencil.look("RUNNING", [M1], batch=int(batch))


def missing(*tables: str) -> list[dict[str, object]]:
    """The details of a refusal that names missing tables."""
    reason = "SOURCE_TABLE_MISSING"
    violations = [{"type": reason, "subject": table, "description": "not there"} for table in tables]
    return [
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "peerdb.io", "metadata": {}},
        {"@type": "type.googleapis.com/google.rpc.PreconditionFailure", "violations": violations},
    ]


def validation(pencil: Pencil, name: str) -> None:
    def config(**more: object) -> dict[str, object]:
        base = {"flowJobName": "v", "sourceName": "src", "destinationName": "dst", "tableMappings": [T1],
                "doInitialSnapshot": True}  # fmt: skip
        return {"connectionConfigs": {**base, **more}}

    path = "mirrors/cdc/validate"
    pencil.create([T2])
    pencil.call(path, config(), ms=80.0)
    nope = config(tableMappings=[a_table("nope"), a_table("nada")])
    pencil.call(path, nope, code=9, answer=f"source tables do not exist: public.{name}, public.nada",
                details=missing("public.nope", "public.nada"))  # fmt: skip
    pencil.call(path, config(tableMappings=[{**T1, "sourceTableIdentifier": "t1"}]), code=9,
                answer="failed to validate source connector src: invalid source table identifier: invalid table name: "
                       "t1")  # fmt: skip
    pencil.call(path, config(publicationName="p"), code=9,
                answer="failed to validate source connector src: publication does not exist: p")  # fmt: skip
    pencil.call(path, config(sourceName="x"), code=13,
                answer="failed to load source peer x: fetching: NotFoundError: peers not found: [x]")  # fmt: skip
    pencil.call(path, config(tableMappings=[T2]), code=9,
                answer="failed to validate destination connector dst: destination table public.d_t2 already has "
                       "existing rows")  # fmt: skip
    pencil.call(path, config(initialSnapshotOnly=True, doInitialSnapshot=False), code=3,
                answer="invalid config: initial_snapshot_only is true but do_initial_snapshot is false")  # fmt: skip


def custom_publication(pencil: Pencil, state: str) -> None:
    pencil.create([T1], publicationName="p")
    paused(pencil)
    pencil.ask("RUNNING", "PAUSED", {"additionalTables": [T2]})
    pencil.watch("not in it", [("PAUSED", 10), ("SNAPSHOT", 300)], [("SNAPSHOT", 200)], 15.0)
    pencil.ask("PAUSED", "SNAPSHOT")
    pencil.ask("RUNNING", "SNAPSHOT", {"batchSize": 5})
    pencil.watch("added to the publication", [("SNAPSHOT", 10)], [(state, 22000)], 24.0)
    pencil.look("RUNNING", [M1, M2], batch=1000)
    pencil.ask("PAUSED", "RUNNING")
    pencil.watch("nothing was queued", [("RUNNING", 10)], PAUSE_ROWS, 9.0)


def too_large(pencil: Pencil, text: str) -> None:
    pencil.create([T1])
    many = [a_table(f"t{number:06d}", f"public.many_of_them_{number:012d}") for number in range(20_000)]
    pencil.ask("RUNNING", "RUNNING", {"additionalTables": many}, code=13, ms=500.0,
               answer=f"unable to signal workflow update: {text}")  # fmt: skip
    paused(pencil)
    pencil.look("PAUSED", [M1])


STORIES: list[tuple[Callable[[Pencil, str], None], str, str]] = [
    (queued_update, "", M3),
    (update_with_pause, "RUNNING", "MODIFYING"),
    (second_edit_queued, "12", "11"),
    (second_edit_lost, "11", "12"),
    (addition_during_addition, M2, M3),
    (resync_of_running, "_resync", ""),
    (resync_while_adding, "FAILED", "TERMINATING"),
    (resync_loses_update_on_paused, "RUNNING", "RESYNC"),
    (resync_overrides_drop, "RUNNING", "PAUSED"),
    (drop_in_resync, "DELETED", "TERMINATING"),
    (resync_of_completed, "flow m does not exist", "flow m not found"),
    (interrupted_resync, "ABSENT", "SETUP"),
    (failed_by_a_slot, "FAILED", "RESYNC"),
    (orphan, COMPLETED_BEFORE, "something else"),
    (no_worker, "RUNNING", "TERMINATING"),
    (no_temporal, "RUNNING", "PAUSED"),
    (wedged, "SNAPSHOT", "RUNNING"),
    (drop_after_resume, "RUNNING", "PAUSED"),
    (drop_kept_after_resume, "ABSENT", "RUNNING"),
    (drop_lost_in_resync, "RUNNING", "DELETED"),
    (real_maintenance, "21", "1000"),
    (validation, "nope", "t1"),
    (custom_publication, "RUNNING", "MODIFYING"),
    (too_large, "Blob data size exceeds limit.", "payload too large"),
]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story[0].__name__)
def test_simulator_goes_the_way_that_peerdb_goes(
    story: tuple[Callable[[Pencil, str], None], str, str], tmp_path: Path
) -> None:
    write, true, _ = story
    pencil = Pencil(write.__name__)
    write(pencil, true)

    outcome = play(pencil.written(tmp_path))

    assert outcome.differences == []


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story[0].__name__)
def test_replay_finds_the_difference_when_a_recording_tells_what_peerdb_does_not_do(
    story: tuple[Callable[[Pencil, str], None], str, str], tmp_path: Path
) -> None:
    write, _, false = story
    pencil = Pencil(write.__name__)
    write(pencil, false)

    outcome = play(pencil.written(tmp_path))

    assert outcome.differences != []

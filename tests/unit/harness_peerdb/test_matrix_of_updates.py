"""Every cell of the matrix "state x requested state" for requests that carry a config update.

A cell is a reply, the states that follow, and the fate of the update: ``applied`` (its batch size is live at the end),
``queued`` (nothing yet, but the next pause applies it and resumes), ``gone`` (neither). Every update here also carries
a snapshot field, which is all that a resync takes from it. The cells that are not in ``EXECUTED`` follow the
description without having been seen on a real PeerDB; their ids say so.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from tests.harness.peerdb.engine import Engine
from tests.unit.harness_peerdb.building import GONE, NAME, an_engine, changed, paused, states, watch, wire
from tests.unit.harness_peerdb.starts import STARTS

UPDATE = {"batchSize": 77, "snapshotNumRowsPerPartition": 5}
IGNORED: list[str] | None = None
DROP = ["TERMINATING", GONE]
FLASHED_DROP = ["FAILED", *DROP]
RESYNC = ["RESYNC", "SETUP", "SNAPSHOT", "RESYNC", "RUNNING"]
MADE_AGAIN = ["TERMINATING", GONE, "SETUP", "SNAPSHOT", "RESYNC", "RUNNING"]
COLUMNS = ("RUNNING", "PAUSED", "absent", "TERMINATING", "RESYNC")


class Cell(NamedTuple):
    """What follows: the states (None: as if untouched), the update's fate, whether the snapshot field arrived."""

    states: list[str] | None
    fate: str = "gone"
    snapshot: bool = False


LOST = Cell(IGNORED)
DROPPED = Cell(DROP)
RESYNCED = Cell(RESYNC, snapshot=True)
APPLIED = Cell(["RUNNING"], "applied", snapshot=True)
AT_THE_PAUSE = Cell(["PAUSED", "RUNNING"], "applied", snapshot=True)

MATRIX: dict[str, tuple[Cell, Cell, Cell, Cell, Cell]] = {
    "SETUP": (LOST, LOST, LOST, DROPPED, RESYNCED),
    "SNAPSHOT initial": (LOST, LOST, LOST, DROPPED, RESYNCED),
    "SNAPSHOT in resync": (LOST, LOST, LOST, DROPPED, RESYNCED),
    "RESYNC drop": (LOST, LOST, LOST, Cell([GONE]), LOST),
    "RESYNC swap": (LOST, LOST, LOST, DROPPED, LOST),
    "SNAPSHOT addition": (LOST, LOST, LOST, Cell(FLASHED_DROP), Cell(["FAILED", *RESYNC], snapshot=True)),
    "MODIFYING": (LOST, LOST, LOST, Cell(FLASHED_DROP), Cell(["FAILED", *RESYNC], snapshot=True)),
    "RUNNING": (
        Cell(IGNORED, "queued"),
        Cell(["PAUSING", "PAUSED", "RUNNING"], "applied", snapshot=True),
        Cell(IGNORED, "queued"),
        DROPPED,
        RESYNCED,
    ),
    "PAUSING": (AT_THE_PAUSE, AT_THE_PAUSE, AT_THE_PAUSE, DROPPED, RESYNCED),
    "PAUSED": (APPLIED, APPLIED, APPLIED, APPLIED, APPLIED),
    "TERMINATING": (LOST, LOST, LOST, LOST, LOST),
    "TERMINATED": (LOST, LOST, LOST, LOST, LOST),
    "COMPLETED": (LOST, LOST, LOST, DROPPED, Cell(MADE_AGAIN, snapshot=True)),
    "FAILED": (LOST, LOST, LOST, DROPPED, Cell(MADE_AGAIN, snapshot=True)),
}

EXECUTED = {
    *((row, column) for row in ("RUNNING", "PAUSED") for column in COLUMNS),
    *((row, "RUNNING") for row in ("PAUSING", "SETUP", "SNAPSHOT initial", "SNAPSHOT in resync", "RESYNC drop",
                                   "SNAPSHOT addition", "MODIFYING", "TERMINATING", "COMPLETED", "FAILED")),
    *((row, "absent") for row in ("SNAPSHOT addition", "TERMINATING", "COMPLETED", "FAILED")),
}  # fmt: skip

CELLS = [
    pytest.param(
        row, column, cell, id=f"{row}-{column}{'' if (row, column) in EXECUTED else ' (not executed, as described)'}"
    )
    for row, cells in MATRIX.items()
    for column, cell in zip(COLUMNS, cells, strict=True)
]


@pytest.mark.parametrize(("row", "column", "cell"), CELLS)
def test_cell_behaves_as_peerdb_does_when_an_update_comes_along(row: str, column: str, cell: Cell) -> None:
    untouched = watch(STARTS[row]())
    engine = STARTS[row]()
    start = engine.log.last

    reply = changed(engine, None if column == "absent" else column, UPDATE)
    engine.run_until(engine.now + 60.0)

    assert reply.status == _status(row, column)
    assert states(engine, start) == (untouched if cell.states is None else cell.states)
    row_now = engine.world.row(NAME)
    arrived = row_now is not None and row_now.config.snapshot["snapshotNumRowsPerPartition"] == 5
    assert (arrived, _fate(engine)) == (cell.snapshot, cell.fate)


def _status(row: str, column: str) -> int:
    if column == "absent":
        return 400
    return 500 if (row, column) == ("TERMINATED", "RESYNC") else 200


def _fate(engine: Engine) -> str:
    """Gone, queued or applied: a queued update shows itself at the next pause only."""
    mirror = engine.mirror(NAME)
    if mirror is None or mirror.workflow is None:
        return "gone"
    if mirror.workflow.live.batch_size == UPDATE["batchSize"]:
        return "applied"
    if mirror.workflow.closed:
        return "gone"
    changed(engine, "PAUSED")
    after_pause = watch(engine)
    queued = mirror.workflow.live.batch_size == UPDATE["batchSize"]
    assert after_pause == (["PAUSING", "PAUSED", "RUNNING"] if queued else ["PAUSING", "PAUSED"])
    return "queued" if queued else "gone"


@pytest.mark.parametrize("requested", ["TERMINATING", "RESYNC"])
def test_second_part_is_picked_up_when_the_update_changes_tables_of_a_paused_mirror(requested: str) -> None:
    engine = an_engine()
    paused(engine)

    changed(engine, requested, {"additionalTables": wire("c")})

    ending = DROP if requested == "TERMINATING" else RESYNC
    assert watch(engine) == ["SNAPSHOT", "FAILED", *ending]


@pytest.mark.parametrize("state", [None, "RUNNING", "PAUSED"])
def test_empty_update_is_an_update_when_sent_to_a_paused_mirror(state: str | None) -> None:
    engine = an_engine()
    paused(engine)

    reply = changed(engine, state, {})

    assert reply.status == (400 if state is None else 200)
    assert watch(engine) == ["RUNNING"]

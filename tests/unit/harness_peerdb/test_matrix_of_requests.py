"""Every cell of the matrix "state x requested state", without a config update.

A cell is a reply and the states that follow. ``IGNORED`` means 200 and what would have happened anyway. Cells that were
not seen on a real PeerDB follow the text of its description; ``NOT_EXECUTED`` lists them.
"""

from __future__ import annotations

import pytest

from tests.unit.harness_peerdb.building import GONE, NAME, changed, refusal, states, watch
from tests.unit.harness_peerdb.starts import STARTS

IGNORED = "ignored"
ILLEGAL = "illegal"
COMPLETED_ALREADY = "already completed"
DROP = ["TERMINATING", GONE]
FLASHED_DROP = ["FAILED", *DROP]
RESYNC = ["RESYNC", "SETUP", "SNAPSHOT", "RESYNC", "RUNNING"]
MADE_AGAIN = ["TERMINATING", GONE, "SETUP", "SNAPSHOT", "RESYNC", "RUNNING"]

Cell = str | list[str]

COLUMNS = ("PAUSED", "RUNNING", "TERMINATING", "RESYNC", "TERMINATED", "absent")

MATRIX: dict[str, tuple[Cell, Cell, Cell, Cell, Cell, Cell]] = {
    "UNKNOWN": (IGNORED, IGNORED, DROP, RESYNC, IGNORED, IGNORED),
    "SETUP": (IGNORED, IGNORED, DROP, RESYNC, IGNORED, ILLEGAL),
    "SNAPSHOT initial": (IGNORED, IGNORED, DROP, RESYNC, IGNORED, ILLEGAL),
    "SNAPSHOT in resync": (IGNORED, IGNORED, DROP, RESYNC, IGNORED, ILLEGAL),
    "SNAPSHOT addition": (IGNORED, IGNORED, FLASHED_DROP, ["FAILED", *RESYNC], IGNORED, ILLEGAL),
    "RUNNING": (["PAUSING", "PAUSED"], IGNORED, DROP, RESYNC, IGNORED, ILLEGAL),
    "RUNNING, drop accepted": (IGNORED, IGNORED, DROP, RESYNC, IGNORED, ILLEGAL),
    "RUNNING, resync accepted": (IGNORED, IGNORED, DROP, RESYNC, IGNORED, ILLEGAL),
    "PAUSING": (IGNORED, IGNORED, DROP, RESYNC, IGNORED, ILLEGAL),
    "PAUSED": (IGNORED, ["RUNNING"], DROP, RESYNC, IGNORED, ILLEGAL),
    "MODIFYING": (IGNORED, IGNORED, FLASHED_DROP, ["FAILED", *RESYNC], IGNORED, ILLEGAL),
    "RESYNC drop": (IGNORED, IGNORED, [GONE], IGNORED, IGNORED, ILLEGAL),
    "RESYNC swap": (IGNORED, IGNORED, DROP, IGNORED, IGNORED, ILLEGAL),
    "TERMINATING": (IGNORED, IGNORED, IGNORED, IGNORED, IGNORED, ILLEGAL),
    "TERMINATING from FAILED": (IGNORED, IGNORED, IGNORED, COMPLETED_ALREADY, IGNORED, ILLEGAL),
    "TERMINATED": (IGNORED, IGNORED, IGNORED, COMPLETED_ALREADY, IGNORED, ILLEGAL),
    "COMPLETED": (IGNORED, IGNORED, DROP, MADE_AGAIN, DROP, ILLEGAL),
    "FAILED": (IGNORED, IGNORED, DROP, MADE_AGAIN, DROP, ILLEGAL),
    "orphan RUNNING": (
        COMPLETED_ALREADY, IGNORED, COMPLETED_ALREADY, COMPLETED_ALREADY, COMPLETED_ALREADY, ILLEGAL,
    ),
    "orphan PAUSED": (
        IGNORED, COMPLETED_ALREADY, COMPLETED_ALREADY, COMPLETED_ALREADY, COMPLETED_ALREADY, ILLEGAL,
    ),
}  # fmt: skip

NOT_EXECUTED = {
    *((row, column) for row in ("UNKNOWN", "TERMINATED", "RESYNC swap", "orphan PAUSED") for column in COLUMNS),
    *((row, "TERMINATED") for row in ("PAUSING", "SNAPSHOT addition", "MODIFYING", "RESYNC drop",
                                      "SNAPSHOT in resync")),
    *((row, "absent") for row in ("MODIFYING", "RESYNC drop", "orphan RUNNING", "RUNNING, drop accepted",
                                  "RUNNING, resync accepted", "SNAPSHOT in resync")),
    ("SETUP", "RESYNC"), ("SNAPSHOT initial", "RESYNC"), ("PAUSING", "RESYNC"), ("MODIFYING", "RESYNC"),
    ("RESYNC drop", "RUNNING"),
}  # fmt: skip

CELLS = [
    pytest.param(
        row, column, cell,
        id=f"{row}-{column}{' (not executed, as described)' if (row, column) in NOT_EXECUTED else ''}",
    )
    for row, cells in MATRIX.items()
    for column, cell in zip(COLUMNS, cells, strict=True)
]  # fmt: skip


@pytest.mark.parametrize(("row", "column", "cell"), CELLS)
def test_cell_behaves_as_peerdb_does_when_a_state_is_requested(row: str, column: str, cell: Cell) -> None:
    untouched = watch(STARTS[row]())
    engine = STARTS[row]()
    start = engine.log.last

    reply = changed(engine, None if column == "absent" else column)
    engine.run_until(engine.now + 60.0)

    seen = states(engine, start)
    if cell == ILLEGAL:
        current = row.removeprefix("orphan ").partition(",")[0].partition(" ")[0]
        text = f"illegal state change requested: STATUS_UNKNOWN, current state is: STATUS_{current}"
        assert (refusal(reply), seen) == ((400, 3, text), untouched)
    elif cell == COMPLETED_ALREADY:
        text = "unable to signal workflow: workflow execution already completed"
        assert (refusal(reply), seen) == ((500, 13, text), untouched)
    else:
        assert (reply.status, reply.body) == (200, b"{}")
        assert seen == (untouched if cell == IGNORED else cell)


@pytest.mark.parametrize("row", [row for row in MATRIX if row != "UNKNOWN"])
def test_unknown_number_is_refused_by_its_number_when_requested_in_any_state(row: str) -> None:
    engine = STARTS[row]()

    reply = changed(engine, 99)

    assert refusal(reply)[:2] == (400, 3)
    assert refusal(reply)[2].startswith("illegal state change requested: 99, current state is: STATUS_")


@pytest.mark.parametrize("row", MATRIX)
def test_present_state_is_a_no_op_when_it_is_requested(row: str) -> None:
    untouched = watch(STARTS[row]())
    engine = STARTS[row]()
    start = engine.log.last
    state = engine.state(NAME)
    assert state is not None

    reply = changed(engine, int(state))
    engine.run_until(engine.now + 60.0)

    assert (reply.status, states(engine, start)) == (200, untouched)

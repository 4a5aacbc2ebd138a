"""The journal in status: what is written is what is read, and what a hand has broken is forgotten."""

from __future__ import annotations

import pytest

from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import Bounds, Correction, MirrorStatus, Operation, Step, read_status
from peerdb_operator.mirror.rules.journal import Journal
from tests.unit.core.builders import CREATED, NOW

FULL = Journal(
    Operation("edit-3-1", Step.EDIT, NOW + 0.123456, CREATED, from_="from", to="to", accepted=True, generation=3),
    Bounds(3, "goal", 2, NOW + 0.654321, (Correction("difference", NOW + 0.000001),), 3, Reason.EDIT_TOO_LARGE),
)


def through_the_api_server(journal: Journal) -> Journal:
    status = MirrorStatus(operation=journal.operation, bounds=journal.bounds)
    return Journal.of(read_status(status.as_wire()))


@pytest.mark.parametrize(
    "journal",
    [
        FULL,
        Journal(),
        Journal(bounds=FULL.bounds),
        Journal(FULL.operation),
        Journal(Operation("pause-1-1", Step.PAUSE, NOW, CREATED), Bounds(1)),
    ],
)
def test_a_journal_comes_back_from_status_as_it_was(journal: Journal) -> None:
    assert through_the_api_server(journal) == journal


def test_what_is_written_equals_what_is_read_back_when_a_clock_is_finer_than_the_api() -> None:
    fine = Journal(
        Operation("pause-1-1", Step.PAUSE, NOW + 0.123456789, CREATED),
        Bounds(not_before=NOW + 0.123456789, corrections=(Correction("difference", NOW + 0.123456789),)),
    )
    assert through_the_api_server(fine) == fine


def test_an_operation_of_an_older_operator_has_no_generation() -> None:
    raw = {"operation": {"id": "edit-3-1", "step": "Edit", "sentAt": "2026-01-01T00:00:00Z", "createdAt": CREATED}}
    operation = Journal.of(read_status(raw)).operation
    assert operation is not None
    assert operation.generation is None


def test_an_operation_is_forgotten_when_its_step_is_unknown() -> None:
    operation = Operation("x", Step.EDIT, NOW, CREATED)
    raw = MirrorStatus(operation=operation).as_wire()
    assert Journal.of(read_status(raw)).operation == operation
    raw["operation"]["step"] = "Dance"
    assert Journal.of(read_status(raw)).operation is None


@pytest.mark.parametrize("word", ["Running", "nonsense"])
def test_a_refusal_is_forgotten_when_no_operator_writes_such_a_one(word: str) -> None:
    raw = MirrorStatus(bounds=Bounds(goal="goal", refused=Reason.EDIT_TOO_LARGE)).as_wire()
    raw["bounds"]["refused"] = word
    assert Journal.of(read_status(raw)).bounds == Bounds(goal="goal")


@pytest.mark.parametrize(
    "raw",
    [
        None,
        {"operation": "nonsense", "bounds": []},
        {"operation": {"step": "Edit"}, "bounds": {"attempts": -1, "corrections": [{"time": "never"}]}},
    ],
)
def test_reading_never_fails_whatever_stands_in_status(raw: object) -> None:
    assert Journal.of(read_status(raw)) == Journal()

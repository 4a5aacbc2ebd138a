"""The journal in status: what is written is what is read, and what a hand has broken is forgotten."""

from __future__ import annotations

import pytest

from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import BoundsStatus, MirrorStatus, OperationStatus, read_status
from peerdb_operator.mirror.rules.journal import Bounds, Journal, Operation, Step
from peerdb_operator.mirror.rules.ledger import read_journal, write_journal
from tests.unit.core.builders import CREATED, NOW

FULL = Journal(
    Operation("edit-3-1", Step.EDIT, NOW + 0.123456, CREATED, before="from", after="to", accepted=True),
    Bounds(3, "goal", 2, NOW + 0.654321, (("difference", NOW + 0.000001),), 3, Reason.EDIT_TOO_LARGE),
)


def through_the_api_server(journal: Journal) -> Journal:
    operation, bounds = write_journal(journal)
    return read_journal(read_status(MirrorStatus(operation=operation, bounds=bounds).as_wire()))


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


def test_nothing_is_written_when_there_is_nothing_to_remember() -> None:
    assert write_journal(Journal()) == (None, None)


def test_what_is_written_equals_what_is_read_back_when_a_clock_is_finer_than_the_api() -> None:
    fine = Journal(
        Operation("pause-1-1", Step.PAUSE, NOW + 0.123456789, CREATED),
        Bounds(not_before=NOW + 0.123456789, corrections=(("difference", NOW + 0.123456789),)),
    )
    assert write_journal(fine) == write_journal(through_the_api_server(fine))


def test_an_operation_is_forgotten_when_its_step_is_unknown() -> None:
    status = MirrorStatus(operation=OperationStatus(id="x", step="Dance", sent_at=NOW, created_at=CREATED))
    assert read_journal(status).operation is None


@pytest.mark.parametrize("word", ["Running", "nonsense"])
def test_a_refusal_is_forgotten_when_no_operator_writes_such_a_one(word: str) -> None:
    status = MirrorStatus(bounds=BoundsStatus(goal="goal", refused=word))
    assert read_journal(status).bounds.refused is None


@pytest.mark.parametrize(
    "raw",
    [
        None,
        {"operation": "nonsense", "bounds": []},
        {"operation": {"step": "Edit"}, "bounds": {"attempts": -1, "corrections": [{"time": "never"}]}},
    ],
)
def test_reading_never_fails_whatever_stands_in_status(raw: object) -> None:
    assert read_journal(read_status(raw)) == Journal()

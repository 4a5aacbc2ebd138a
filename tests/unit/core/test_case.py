"""What rules share: the growing wait, and new journal entries."""

from __future__ import annotations

from dataclasses import replace

import pytest

from peerdb_operator.api.status import Step
from peerdb_operator.mirror.rules.state import growing_requeue
from tests.unit.core.builders import CREATED, LIMITS, NOW, a_case, a_look


@pytest.mark.parametrize(("age", "wait"), [(-5, 1.0), (0, 1.0), (5, 1.0), (20, 4.0), (50, 10.0), (10**9, 10.0)])
def test_looks_grow_rarer_with_the_age_of_a_transition_up_to_the_tick(age: float, wait: float) -> None:
    assert growing_requeue(age, LIMITS) == wait


def test_a_journal_entry_is_of_this_moment_this_mirror_and_this_version_of_the_object() -> None:
    case = a_case(look=a_look(), situation={"version": 77})
    operation = case.operation(Step.EDIT, from_="from", to="to")
    assert operation.id == replace(case, now=NOW + 60.0).operation(Step.EDIT).id == "edit-3-77"
    assert (operation.sent_at, operation.created_at, operation.accepted) == (NOW, CREATED, False)
    assert (operation.from_, operation.to) == ("from", "to")

"""Dropping: recorded, sent, repeated word for word until it shows, held by the rate limit, never beside a resume."""

from __future__ import annotations

from dataclasses import replace

import pytest

from peerdb_operator.api.mirror import DestinationMetadata, DropSpec, Statistics
from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import Operation, Step
from peerdb_operator.mirror.rules.decision import Decision, Drop
from peerdb_operator.mirror.rules.limits import Limits
from peerdb_operator.mirror.rules.observation import Found, Observation, State
from tests.unit.core.builders import (
    CREATED,
    NOW,
    RECREATED,
    a_case,
    a_deletion,
    a_look,
    a_mirror,
    an_operation,
    deletion_of,
    reason_of,
)

FLAGS = DropSpec(statistics=Statistics.DELETE, destination_metadata=DestinationMetadata.KEEP)
DROPPABLE = [state for state in State if state is not State.TERMINATING]


def dropping(
    look: Observation, operation: Operation | None = None, *, wait: float = 0.0, **history: object
) -> Decision:
    """The plan for a Mirror with policy Drop that is being deleted."""
    case = a_case(a_mirror(drop=FLAGS), look, operation=operation, history=history)
    return deletion_of(case, a_deletion(drop_wait=wait))


def a_sent_drop(age: float = 1.0) -> Operation:
    """A recorded drop with flags that are no longer those of the spec."""
    return an_operation(Step.DROP, age=age, to=DropSpec(statistics=Statistics.DELETE).encode())


@pytest.mark.parametrize("state", DROPPABLE)
def test_a_mirror_of_ours_is_dropped_in_every_state_with_the_flags_of_the_spec(state: State) -> None:
    decision = dropping(a_look(state))
    assert isinstance(decision.action, Drop)
    assert (decision.action.flags, decision.action.first) == (FLAGS, True)
    operation = decision.action.operation
    assert (operation.step, operation.to, operation.created_at) == (Step.DROP, FLAGS.encode(), CREATED)
    assert reason_of(decision) is Reason.DROPPING


@pytest.mark.parametrize("step", [Step.EDIT, Step.RESUME])
def test_a_drop_waits_until_the_resume_before_it_shows_or_is_old(step: Step) -> None:
    paused = a_look(State.PAUSED)
    decision = dropping(paused, an_operation(step, age=29))
    assert (reason_of(decision), decision.action, decision.requeue.after) == (Reason.DROPPING, None, 0.5)
    assert isinstance(dropping(paused, an_operation(step, age=30)).action, Drop)
    assert isinstance(dropping(a_look(), an_operation(step)).action, Drop)
    assert isinstance(dropping(paused, an_operation(step, created_at=RECREATED)).action, Drop)


def test_a_drop_waits_for_the_newest_resume_also_when_it_was_not_recorded() -> None:
    assert dropping(a_look(State.PAUSED), an_operation(Step.EDIT, age=100), sent_at=NOW - 1).action is None


@pytest.mark.parametrize("operation", [None, an_operation(Step.PAUSE)])
def test_a_drop_does_not_wait_for_a_pause(operation: Operation | None) -> None:
    assert isinstance(dropping(a_look(State.PAUSED), operation).action, Drop)
    assert isinstance(dropping(a_look(), operation).action, Drop)


@pytest.mark.parametrize("state", DROPPABLE)
def test_the_identical_request_is_repeated_every_minute(state: State) -> None:
    operation = a_sent_drop(age=60)
    decision = dropping(a_look(state), operation)
    assert decision.action == Drop(DropSpec(statistics=Statistics.DELETE), operation, first=False)
    assert dropping(a_look(state), operation, sent_at=NOW - 59).action is None


def test_a_drop_of_an_earlier_mirror_of_the_name_does_not_count() -> None:
    old = an_operation(Step.DROP, created_at=RECREATED)
    decision = dropping(a_look(), old)
    assert isinstance(decision.action, Drop)
    assert decision.action.first


@pytest.mark.parametrize("operation", [None, a_sent_drop(age=1000)])
def test_nothing_is_sent_while_peerdb_is_at_it(operation: Operation | None) -> None:
    decision = dropping(a_look(State.TERMINATING), operation, wait=100, word_since=NOW - 20, previous_word="RUNNING")
    assert (reason_of(decision), decision.action, decision.requeue.after) == (Reason.DROPPING, None, 4.0)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (None, "workflow still in Temporal"),
        (("slot is active", NOW - 901), "its newest error: slot is active; its log shows no failed try since"),
        (("slot is active", NOW), "its newest error: slot is active; are both its databases reachable?"),
    ],
)
@pytest.mark.parametrize(
    ("look", "operation", "since"),
    [
        (a_look(State.TERMINATING), a_sent_drop(), 900),
        (a_look(), a_sent_drop(age=900), 9999),
        (a_look(State.RESYNC), a_sent_drop(age=9999), 900),
    ],
)
def test_a_drop_that_takes_too_long_is_told_with_the_newest_error_and_the_way_out(
    look: Found, operation: Operation, since: float, error: tuple[str, float] | None, words: str
) -> None:
    decision = dropping(look, operation, word=look.word, word_since=NOW - since, previous_word="PAUSED", error=error)
    assert reason_of(decision) is Reason.PROGRESS_DEADLINE_EXCEEDED
    assert decision.verdict is not None
    assert "more than 15 minutes" in decision.verdict.message
    assert words in decision.verdict.message
    assert "deletionPolicy: Retain" in decision.verdict.message


@pytest.mark.parametrize(
    ("look", "operation", "since"),
    [
        (a_look(State.TERMINATING), a_sent_drop(age=9999), 899),
        (a_look(), a_sent_drop(age=899), 9999),
        (a_look(State.RESYNC), a_sent_drop(age=9999), 899),
    ],
)
def test_a_drop_is_not_overdue_before_the_mirror_has_shown_one_state_for_a_quarter_of_an_hour(
    look: Found, operation: Operation, since: float
) -> None:
    decision = dropping(look, operation, word=look.word, word_since=NOW - since, previous_word="PAUSED")
    assert reason_of(decision) is Reason.DROPPING


def test_a_mirror_that_peerdb_cannot_drop_is_told_and_asked_for_every_ten_minutes() -> None:
    decision = dropping(a_look(State.TERMINATED), a_sent_drop(age=100), broken_since=NOW - 5)
    assert (reason_of(decision), decision.action, decision.requeue.after) == (Reason.MIRROR_TERMINATED, None, 500.0)
    assert decision.verdict is not None
    assert "deletionPolicy: Retain" in decision.verdict.message
    assert isinstance(dropping(a_look(State.TERMINATED), a_sent_drop(age=600), broken_since=NOW - 5).action, Drop)


@pytest.mark.parametrize("since", [None, NOW - 4])
def test_terminated_is_not_believed_at_once(since: float | None) -> None:
    decision = dropping(a_look(State.TERMINATED), a_sent_drop(age=10), broken_since=since)
    assert reason_of(decision) is Reason.DROPPING


def test_an_orphan_is_told_and_asked_for_every_minute() -> None:
    decision = dropping(a_look(), a_sent_drop(age=10), orphaned=True)
    assert (reason_of(decision), decision.action, decision.requeue.after) == (Reason.MIRROR_ORPHANED, None, 50.0)
    assert decision.verdict is not None
    assert "deletionPolicy: Retain" in decision.verdict.message
    assert isinstance(dropping(a_look(), a_sent_drop(age=60), orphaned=True).action, Drop)


def test_the_rate_limit_holds_a_drop_but_not_one_that_is_sent() -> None:
    held = dropping(a_look(), wait=90)
    assert (reason_of(held), held.action, held.requeue.after) == (Reason.DROP_HELD, None, 90)
    assert held.verdict is not None
    assert isinstance(dropping(a_look(), a_sent_drop(age=60), wait=90).action, Drop)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(), "at most 5 mirrors at once and one more every 2 minutes. To keep the mirror"),
        (Limits(brake_drops=1, brake_window=30.0), "at most 1 mirror at once and one more every 30 seconds."),
        (Limits(brake_drops=4), "one more every 2.5 minutes."),
        (Limits(brake_drops=0), "set to drop no mirror (PEERDB_OPERATOR_BRAKE_DROPS is 0)"),
    ],
)
def test_a_held_drop_names_the_rate_that_is_set(limits: Limits, words: str) -> None:
    case = replace(a_case(a_mirror(drop=FLAGS), a_look()), limits=limits)
    held = deletion_of(case, a_deletion(drop_wait=90.0))
    assert held.verdict is not None
    assert words in held.verdict.message

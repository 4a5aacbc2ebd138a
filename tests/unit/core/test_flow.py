"""An error in the mirror's log: open until a batch ended after it, and what status keeps of that."""

from __future__ import annotations

from typing import Any

import pytest

from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import FlowStatus, LastError
from peerdb_operator.mirror.rules.decision import Decision, Observe, Pause
from peerdb_operator.mirror.rules.flow import flow_status, is_open, last_error
from peerdb_operator.mirror.rules.history import History, record_batch_end
from peerdb_operator.mirror.rules.observation import Found, Observation, State
from tests.unit.core.builders import (
    NOW,
    a_case,
    a_config,
    a_history,
    a_light_look,
    a_look,
    a_mirror,
    a_wish,
    an_absence,
    an_outage,
    decision_of,
    reason_of,
)

AT = NOW - 100.0
READ = Observe(batches=True)
BROKEN = ("broken", AT + 0.7)
FAILING = {"error": BROKEN, "batches_read_at": NOW}
ORPHAN = FlowStatus(verdict=Reason.MIRROR_ORPHANED, since=AT, message="it has no workflow")


def decided(look: Found | None = None, **history: object) -> Decision:
    """The decision about a settled mirror of which this is remembered."""
    return decision_of(a_case(None, a_light_look() if look is None else look, history=history))


# What answers an error.


@pytest.mark.parametrize(
    ("batch_end", "stays"), [(None, True), (AT - 60, True), (AT, True), (AT + 1.9, True), (AT + 2.0, False)]
)
def test_a_batch_answers_an_error_if_it_ended_at_least_a_second_after_it(batch_end: float, *, stays: bool) -> None:
    assert is_open(BROKEN, batch_end) is stays
    assert is_open(("as status keeps it", AT), batch_end) is stays


def test_there_is_no_error_without_an_error() -> None:
    assert not is_open(None, None)
    assert not is_open(None, NOW)


@pytest.mark.parametrize(
    ("known", "end", "expected"),
    [(None, None, None), (None, 5.0, 5.0), (5.0, None, 5.0), (5.0, 4.0, 5.0), (5.0, 6.0, 6.0)],
)
def test_the_latest_end_is_remembered_whatever_a_later_read_shows(
    known: float | None, end: float | None, expected: float | None
) -> None:
    history = record_batch_end(History(batch_end=known), end, asked_at=NOW)
    assert (history.batch_end, history.batches_read_at) == (expected, NOW)


# What is decided.


@pytest.mark.parametrize("look", [a_light_look(), a_look()], ids=["light", "full"])
def test_the_batches_are_read_before_an_error_is_reported(look: Found) -> None:
    unread = decided(look, error=BROKEN)
    assert (unread.action, unread.verdict) == (READ, None)
    read = decided(look, **FAILING)
    assert (read.action, reason_of(read)) == (None, Reason.RUNNING_WITH_ERRORS)
    assert read.verdict is not None
    assert read.verdict.message.endswith(": broken")
    answered = decided(look, **FAILING, batch_end=AT + 2)
    assert (answered.action, reason_of(answered)) == (None, Reason.RUNNING)


@pytest.mark.parametrize(("age", "reads"), [(0.0, False), (59.9, False), (60.0, True), (1e6, True)])
def test_the_batches_are_read_once_a_minute_at_most(age: float, *, reads: bool) -> None:
    decision = decided(error=BROKEN, batches_read_at=NOW - age)
    assert (decision.action == READ) is reads
    if not reads:
        assert decision.requeue.after is not None
        assert decision.requeue.after * 0.9 >= 60.0 - age


@pytest.mark.parametrize("history", [{}, {"error": BROKEN, "batch_end": NOW}])
def test_nothing_is_read_of_a_mirror_without_an_open_error(history: dict[str, Any]) -> None:
    decision = decided(**history)
    assert (decision.action, decision.requeue.after) == (None, 300.0)


def test_nothing_is_read_of_a_mirror_that_is_paused_or_completed() -> None:
    paused = a_case(
        a_mirror(runs=False), a_light_look(State.PAUSED), situation={"reason": Reason.PAUSED}, history=FAILING
    )
    done = a_case(
        None, a_light_look(State.COMPLETED), situation={"reason": Reason.COMPLETED}, history={"error": BROKEN}
    )
    assert [decision_of(case).action for case in (paused, done)] == [None, None]
    assert [decision_of(case).requeue.after for case in (paused, done)] == [300.0, 300.0]


def test_a_command_does_not_wait_for_the_batches() -> None:
    paused = decision_of(a_case(a_mirror(runs=False), history={"error": BROKEN}))
    assert isinstance(paused.action, Pause)


def test_a_spec_that_cannot_be_applied_is_reported_before_an_error() -> None:
    remapped = a_mirror(a_wish("public.orders", "elsewhere"))
    assert reason_of(decision_of(a_case(remapped, a_look(config=a_config()), history=FAILING))) == (
        Reason.TABLE_CHANGE_REJECTED
    )


# What status keeps.


def verdict_of(status: FlowStatus | None) -> str | None:
    return None if status is None else status.verdict


@pytest.mark.parametrize(
    ("look", "history", "expected"),
    [
        (a_look(), {}, None),
        (a_look(), {"error": BROKEN}, Reason.RUNNING_WITH_ERRORS),
        (a_look(State.PAUSED), {"error": BROKEN}, Reason.RUNNING_WITH_ERRORS),
        (a_look(), {"error": BROKEN, "batch_end": NOW}, Reason.RUNNING),
        (a_look(), {"error": BROKEN, "batch_end": NOW, "orphaned": True}, Reason.MIRROR_ORPHANED),
        (an_absence(), {"error": BROKEN}, None),
        (an_outage(), {"error": BROKEN}, Reason.RUNNING_WITH_ERRORS),
        (None, {"error": BROKEN, "batch_end": NOW}, Reason.RUNNING),
    ],
)
def test_what_is_known_of_the_flow_is_kept(
    look: Observation | None, history: dict[str, object], expected: Reason | None
) -> None:
    assert verdict_of(flow_status(None, look, a_history(None, **history), NOW)) == expected


def test_a_verdict_is_written_when_it_changes_and_not_again() -> None:
    failing = History(error=BROKEN)
    first = flow_status(None, a_look(), failing, NOW)
    assert flow_status(first, a_look(), failing, NOW + 60) is first
    answered = flow_status(first, a_look(), History(error=BROKEN, batch_end=NOW), NOW + 60)
    assert answered is not None
    assert (answered.verdict, answered.since) == (Reason.RUNNING, NOW + 60)


@pytest.mark.parametrize("look", [None, an_outage()])
def test_who_saw_no_mirror_keeps_what_was_known_unless_it_has_read_of_an_error(look: Observation | None) -> None:
    running = FlowStatus(verdict=Reason.RUNNING, since=AT)
    assert flow_status(running, look, History(), NOW) is running
    assert flow_status(ORPHAN, look, History(error=BROKEN), NOW) is ORPHAN
    assert verdict_of(flow_status(running, look, History(error=BROKEN), NOW)) == Reason.RUNNING_WITH_ERRORS


def test_an_error_repeated_after_a_batch_takes_the_place_of_the_one_that_the_batch_answered() -> None:
    known, again = LastError(message="broken", time=AT), ("broken", AT + 100)
    assert last_error(known, a_look(), History(error=again)) is known
    assert last_error(known, a_look(), History(error=again, batch_end=AT + 1)) is known
    assert last_error(known, a_look(), History(error=again, batch_end=AT + 50)) == LastError(
        message="broken", time=AT + 100
    )

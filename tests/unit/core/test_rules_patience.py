"""Two minutes are all that a mirror that should run stays PAUSED, however badly PeerDB answers."""

from __future__ import annotations

import pytest

from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import Operation, Step
from peerdb_operator.mirror.rules.change import precheck_key
from peerdb_operator.mirror.rules.decision import Confirm, Decision, Observe, Pause, Precheck, Resume, SendUpdate
from peerdb_operator.mirror.rules.observation import State
from tests.unit.core.builders import (
    NOW,
    OTHERS,
    RECREATED,
    UNASKED,
    a_case,
    a_config,
    a_look,
    a_mirror,
    a_passed_precheck,
    an_edit_of,
    an_operation,
    an_outage,
    an_owner_look,
    decision_of,
    edit_to,
    reason_of,
    settled_bounds,
)

LIVE, MORE_LIVE = a_config("public.a"), a_config("public.a", "public.b")
MORE = a_mirror("public.a", "public.b")
PASSED = a_passed_precheck(precheck_key(edit_to(MORE, LIVE), MORE))
PAUSED = an_owner_look(State.PAUSED)
LOST = "mirrors/state_change was answered with HTTP 503"


def stopped(
    look: object = PAUSED, lasts: float = 120.0, *, operation: Operation | None = None, **history: object
) -> Decision:
    """The plan for a mirror that has been PAUSED for its edit for so long."""
    known = {"paused_since": NOW - lasts, "goal": MORE_LIVE.fingerprint, **history}
    return decision_of(a_case(MORE, look, operation=operation, history=known))  # type: ignore[arg-type]  # a look of any kind


def recorded(decision: Decision) -> Operation:
    assert isinstance(decision.action, Resume)
    assert decision.action.operation is not None
    return decision.action.operation


# What the resume needs.


def test_state_and_owner_tag_are_enough_for_the_resume() -> None:
    assert recorded(stopped()).to == MORE_LIVE.fingerprint, "the goal that is given up is remembered"
    assert stopped(lasts=119.0).action == Observe()


def test_the_resume_needs_an_owner_tag_that_is_ours() -> None:
    assert stopped(a_look(State.PAUSED, LIVE, owner=UNASKED)).action == Observe()
    decision = stopped(a_look(State.PAUSED, LIVE, owner=OTHERS))
    assert (decision.action, reason_of(decision)) == (None, Reason.MIRROR_NOT_OWNED)


@pytest.mark.parametrize(
    "operation",
    [
        None,
        an_operation(Step.PAUSE, age=130),
        an_operation(Step.EDIT, age=60, created_at=RECREATED),
        an_operation(Step.RESUME, age=31),
        an_operation(Step.EDIT, age=-60),
        an_operation(Step.DROP, age=60),
    ],
    ids=["none", "the pause", "another mirror's", "one given up", "from the future", "a drop"],
)
def test_what_is_over_gives_place_to_the_resume(operation: Operation | None) -> None:
    decision = stopped(operation=operation)
    assert recorded(decision).step is Step.RESUME
    assert decision.journal.operation is None


@pytest.mark.parametrize("operation", [an_edit_of(LIVE, MORE_LIVE, age=6), an_operation(Step.RESUME, age=20)])
def test_what_is_open_stays_in_the_journal_beside_the_resume(operation: Operation) -> None:
    decision = stopped(operation=operation, outcome_unknown=LOST)
    assert (decision.action, decision.journal.operation) == (Resume(None), operation)


def test_an_edit_that_was_just_sent_has_some_seconds_to_show() -> None:
    operation = an_edit_of(LIVE, MORE_LIVE, age=2)
    decision = stopped(operation=operation, outcome_unknown=LOST)
    assert (decision.action, decision.journal.operation) == (None, operation)
    assert decision.requeue.after == 1.0


# How often it goes out.


@pytest.mark.parametrize("age", [0.4, 0.9])
def test_a_failed_resume_is_sent_again_after_a_second(age: float) -> None:
    operation = an_operation(Step.RESUME, age=age)
    waits = stopped(operation=operation, sent_at=NOW - age, outcome_unknown=LOST)
    assert waits.action is None
    assert waits.requeue.after == pytest.approx(1.0 - age)
    again = an_operation(Step.RESUME, age=1.0)
    assert stopped(operation=again, sent_at=NOW - 1.0, outcome_unknown=LOST).action == Resume(None)


def test_a_resume_that_was_taken_is_sent_again_after_fifteen_seconds() -> None:
    waits = stopped(operation=an_operation(Step.RESUME, age=14), sent_at=NOW - 14)
    assert (waits.action, waits.requeue.after) == (None, 1.0)
    assert stopped(operation=an_operation(Step.RESUME, age=15), sent_at=NOW - 15).action == Resume(None)


def test_nothing_is_begun_while_a_taken_resume_is_waited_for() -> None:
    decision = stopped(a_look(State.PAUSED, LIVE), precheck=PASSED, confirmed=True, sent_at=NOW - 5)
    assert (decision.action, decision.rule) == (None, "resume sent")


@pytest.mark.parametrize(("stops", "reason", "longest"), [
    (True, Reason.PEERDB_UNAVAILABLE, 1.0),
    (True, Reason.UNAUTHORIZED, 1.0),
    (False, Reason.PEERDB_UNAVAILABLE, 30.0),
])  # fmt: skip
def test_a_mirror_that_stops_is_looked_at_again_each_second(stops: bool, reason: Reason, longest: float) -> None:
    decision = decision_of(
        a_case(MORE, an_outage(reason, slow=reason is Reason.UNAUTHORIZED), situation={"stops": stops})
    )
    assert (decision.requeue.after, decision.requeue.cap) == (1.0, longest)


# What does not begin any more.


def test_an_edit_needs_some_seconds_of_the_patience() -> None:
    look = a_look(State.PAUSED, LIVE)
    assert isinstance(stopped(look, 109.0, precheck=PASSED, confirmed=True).action, SendUpdate)
    assert recorded(stopped(look, 111.0, precheck=PASSED, confirmed=True)).to == MORE_LIVE.fingerprint


def test_a_check_of_additions_needs_more_of_it() -> None:
    look = a_look(State.PAUSED, LIVE)
    assert isinstance(stopped(look, 79.0).action, Precheck)
    assert recorded(stopped(look, 81.0)).to == MORE_LIVE.fingerprint
    assert isinstance(stopped(look, 81.0, precheck=PASSED).action, Confirm)


@pytest.mark.parametrize(("history", "bounds"), [({"paused_for": 120.0}, {}), ({}, {"goal": "x", "attempts": 1})])
def test_an_edit_is_begun_again_only_when_peerdb_answers_reliably(
    history: dict[str, object], bounds: dict[str, object]
) -> None:
    def decision(look: object, *, reliable: bool) -> Decision:
        known = {"precheck": PASSED, "confirmed": True, **history}
        situation = {"peerdb_reliable": reliable}
        return decision_of(a_case(MORE, look, bounds=settled_bounds(**bounds), history=known, situation=situation))  # type: ignore[arg-type]  # a look of any kind

    waits = decision(a_look(config=LIVE), reliable=False)
    assert (waits.action, waits.requeue.after, reason_of(waits)) == (None, 1.0, Reason.EDITING)
    assert "20 calls in a row" in (waits.verdict.message if waits.verdict else "")
    assert isinstance(decision(a_look(config=LIVE), reliable=True).action, Pause)


def test_an_edit_that_was_never_tried_waits_for_no_answers() -> None:
    case = a_case(MORE, a_look(config=LIVE), history={"precheck": PASSED}, situation={"peerdb_reliable": False})
    assert isinstance(decision_of(case).action, Pause)


def test_a_mirror_that_others_paused_is_resumed_without_its_edit_while_peerdb_is_unreliable() -> None:
    history = {"precheck": PASSED, "confirmed": True, "paused_since": NOW - 5}
    bounds, situation = settled_bounds(goal="x", attempts=1), {"peerdb_reliable": False}
    case = a_case(MORE, a_look(State.PAUSED, LIVE), bounds=bounds, history=history, situation=situation)
    assert recorded(decision_of(case)).to is None


# What a stop is for.


def test_the_goal_of_a_stop_is_remembered_until_the_mirror_is_at_rest() -> None:
    begun = decision_of(a_case(MORE, a_look(config=LIVE), history={"precheck": PASSED}))
    assert (isinstance(begun.action, Pause), begun.goal) == (True, MORE_LIVE.fingerprint)
    assert stopped(lasts=10.0).goal == MORE_LIVE.fingerprint
    at_rest = decision_of(a_case(MORE, a_look(config=MORE_LIVE), history={"goal": "old"}))
    assert at_rest.goal == ""

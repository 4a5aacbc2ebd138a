"""The command in flight: closed by proof, waited for, sent again, or given up, and never two at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import Operation, Step
from peerdb_operator.mirror.rules.change import precheck_key
from peerdb_operator.mirror.rules.decision import Decision, Disarm, Pause, Precheck, Resume
from peerdb_operator.mirror.rules.desired import Desired
from peerdb_operator.mirror.rules.history import PrecheckResult
from peerdb_operator.mirror.rules.observation import Found, State
from tests.unit.core.builders import (
    GENERATION,
    NOW,
    RECREATED,
    a_blind_look,
    a_case,
    a_config,
    a_look,
    a_mirror,
    a_passed_precheck,
    a_streak,
    a_wish,
    an_edit_of,
    an_operation,
    decision_of,
    edit_to,
    reason_of,
    settled_bounds,
)

BEFORE, AFTER, OTHER = a_config("public.a"), a_config("public.a", "public.b"), a_config("public.a", "public.c")
WISH = a_mirror("public.a", "public.b")
WISH_PAUSED = a_mirror("public.a", "public.b", runs=False)
AS_IT_IS, AS_IT_IS_PAUSED = a_mirror("public.a"), a_mirror("public.a", runs=False)
STOPPED = {"paused_since": NOW - 120}


def observed_at(mirror: Desired, look: Found, operation: Operation, **history: object) -> Decision:
    """The plan while a command is in flight."""
    return decision_of(a_case(mirror, look, operation=operation, history=history))


def checked(mirror: Desired = WISH) -> PrecheckResult:
    """The additions of a wish have passed a moment ago."""
    return a_passed_precheck(precheck_key(edit_to(mirror, BEFORE), mirror))


def attempts(decision: Decision) -> int:
    """How many edits towards the goal count as unproven."""
    return decision.journal.bounds.attempts


# Whose command it is.


@pytest.mark.parametrize(
    "operation",
    [
        an_operation(Step.PAUSE, created_at=RECREATED),
        an_operation(Step.EDIT, created_at=RECREATED, accepted=True),
        an_operation(Step.DROP),
        an_operation(Step.PAUSE, age=-31),
        an_operation(Step.RESUME, age=-9999),
    ],
)
def test_a_command_is_dropped_when_it_is_not_for_this_mirror_or_not_of_this_time(operation: Operation) -> None:
    decision = observed_at(AS_IT_IS, a_look(config=BEFORE), operation)
    assert (reason_of(decision), decision.journal.operation, attempts(decision)) == (Reason.RUNNING, None, 0)


# Pause and resume.


@pytest.mark.parametrize(
    ("mirror", "look", "step", "reason"),
    [
        (WISH_PAUSED, a_look(State.PAUSED, AFTER), Step.PAUSE, Reason.PAUSED),
        (WISH, a_look(State.RUNNING, AFTER), Step.RESUME, Reason.RUNNING),
    ],
)
def test_an_effective_command_closes_and_the_pass_goes_on(
    mirror: Desired, look: Found, step: Step, reason: Reason
) -> None:
    decision = observed_at(mirror, look, an_operation(step))
    assert (reason_of(decision), decision.journal.operation) == (reason, None)


@pytest.mark.parametrize(
    ("mirror", "look", "step", "reason", "wait"),
    [
        (WISH_PAUSED, a_look(), Step.PAUSE, Reason.PAUSING, 1.0),
        (WISH, a_look(State.PAUSED, AFTER), Step.RESUME, Reason.RESUMING, 0.5),
        (WISH, a_look(State.PAUSED, BEFORE), Step.EDIT, Reason.EDITING, 0.5),
        (WISH, a_look(State.RUNNING, BEFORE), Step.EDIT, Reason.EDITING, 1.0),
    ],
)
def test_everything_waits_for_a_command_in_flight(
    mirror: Desired, look: Found, step: Step, reason: Reason, wait: float
) -> None:
    operation = an_operation(step)
    decision = observed_at(mirror, look, operation)
    assert (reason_of(decision), decision.action, decision.journal.operation) == (reason, None, operation)
    assert decision.requeue.after == wait


@pytest.mark.parametrize("outcome_unknown", ["", "PeerDB did not answer in time"])
def test_the_failure_of_a_command_in_flight_is_told_beside_it(outcome_unknown: str) -> None:
    decision = observed_at(WISH_PAUSED, a_look(), an_operation(Step.PAUSE), outcome_unknown=outcome_unknown)
    beside = f", which failed but may have arrived all the same: {outcome_unknown}" if outcome_unknown else ""
    assert decision.verdict is not None
    assert decision.verdict.message == f"the mirror is asked to pause{beside}"


@pytest.mark.parametrize(
    ("mirror", "look", "step"),
    [
        (WISH_PAUSED, a_look(config=BEFORE), Step.PAUSE),
        (WISH, a_look(config=BEFORE), Step.PAUSE),
        (AS_IT_IS_PAUSED, a_look(config=BEFORE), Step.PAUSE),
        (AS_IT_IS, a_look(State.PAUSED, BEFORE), Step.RESUME),
    ],
)
def test_a_command_without_effect_is_sent_again_while_it_is_still_asked_for(
    mirror: Desired, look: Found, step: Step
) -> None:
    operation = an_operation(step, age=20)
    decision = observed_at(mirror, look, operation, precheck=checked())
    assert decision.action == (Pause(None) if step is Step.PAUSE else Resume(None))
    assert decision.journal.operation == operation


@pytest.mark.parametrize(
    ("mirror", "look", "step"),
    [
        (AS_IT_IS, a_look(config=BEFORE), Step.PAUSE),
        (WISH, a_blind_look(), Step.PAUSE),
        (WISH_PAUSED, a_look(State.PAUSED, BEFORE), Step.RESUME),
        (WISH, a_look(State.PAUSED, BEFORE), Step.RESUME),
    ],
)
def test_a_command_without_effect_is_waited_out_when_nobody_asks_for_it_any_more(
    mirror: Desired, look: Found, step: Step
) -> None:
    operation = an_operation(step, age=20)
    decision = observed_at(mirror, look, operation, precheck=checked(), confirmed=True)
    assert (decision.action, decision.journal.operation) == (None, operation)
    assert reason_of(decision) in {Reason.PAUSING, Reason.RESUMING}


@pytest.mark.parametrize(
    ("mirror", "look", "step", "reason"),
    [
        (AS_IT_IS, a_look(config=BEFORE), Step.PAUSE, Reason.RUNNING),
        (WISH_PAUSED, a_look(State.PAUSED, AFTER), Step.RESUME, Reason.PAUSED),
    ],
)
def test_a_command_without_effect_is_forgotten_after_half_a_minute(
    mirror: Desired, look: Found, step: Step, reason: Reason
) -> None:
    decision = observed_at(mirror, look, an_operation(step, age=30), paused_for=130.0)
    assert (reason_of(decision), decision.journal.operation, attempts(decision)) == (reason, None, 0)


def test_a_pause_that_an_armed_update_ate_is_planned_afresh_at_once() -> None:
    decision = observed_at(WISH_PAUSED, a_look(config=AFTER), an_operation(Step.PAUSE), pausing_seen=True)
    assert isinstance(decision.action, Pause)
    assert decision.action.operation is not None


# Edits.


@pytest.mark.parametrize(("mirror", "age"), [(WISH, 1), (WISH, 60), (a_mirror("public.a", "public.b", runs=False), 60)])
def test_a_proven_edit_closes_and_clears_the_count(mirror: Desired, age: float) -> None:
    case = a_case(
        mirror,
        a_look(config=AFTER),
        operation=an_edit_of(BEFORE, AFTER, age=age),
        bounds=settled_bounds(goal="x", attempts=1),
    )
    decision = decision_of(case)
    assert (decision.journal.operation, attempts(decision)) == (None, 0)
    assert reason_of(decision) in {Reason.RUNNING, Reason.PAUSING}


@pytest.mark.parametrize(("accepted", "counted"), [(True, 1), (False, 0)])
def test_an_edit_that_was_not_delivered_counts_only_if_it_was_accepted(*, accepted: bool, counted: int) -> None:
    decision = observed_at(
        WISH,
        a_look(State.PAUSED, BEFORE),
        an_edit_of(BEFORE, AFTER, age=31, accepted=accepted),
        streak=a_streak(State.PAUSED, BEFORE, lasts=6),
    )
    assert (decision.journal.operation, attempts(decision)) == (None, counted)


@pytest.mark.parametrize(("paused_for", "counted"), [(119.0, 0), (120.0, 1)])
def test_an_edit_without_an_answer_counts_when_it_cost_a_stop_of_two_minutes(paused_for: float, counted: int) -> None:
    lost = an_edit_of(BEFORE, AFTER, age=31, accepted=False)
    decision = observed_at(WISH, a_look(config=BEFORE), lost, paused_for=paused_for, precheck=checked())
    assert (decision.journal.operation, attempts(decision)) == (None, counted)


def test_a_lost_edit_is_left_to_the_next_pause_while_it_is_still_the_goal() -> None:
    lost = an_edit_of(BEFORE, AFTER, age=6)
    again = observed_at(WISH, a_look(config=BEFORE), lost, precheck=checked())
    assert isinstance(again.action, Pause)
    assert attempts(again) == 1
    paused = observed_at(WISH_PAUSED, a_look(config=BEFORE), lost)
    assert isinstance(paused.action, Pause)


@pytest.mark.parametrize(
    "mirror",
    [
        pytest.param(AS_IT_IS, id="nothing differs"),
        pytest.param(a_mirror("public.a", runs=False), id="paused, nothing differs"),
        pytest.param(a_mirror("public.a", "public.c", runs=False), id="paused, another goal"),
        pytest.param(a_mirror(a_wish("public.a", "elsewhere")), id="the difference is withheld"),
    ],
)
def test_a_lost_edit_is_disarmed_when_no_pause_of_ours_would_settle_it(mirror: Desired) -> None:
    for age in (6, 60):
        decision = observed_at(mirror, a_look(config=BEFORE), an_edit_of(BEFORE, AFTER, age=age))
        assert (reason_of(decision), decision.action) == (Reason.EDITING, Disarm())
        assert decision.journal.operation is None


@pytest.mark.parametrize("generation", [GENERATION - 1, None], ids=["older", "not recorded"])
@pytest.mark.parametrize(
    "mirror",
    [
        pytest.param(a_mirror("public.a", "public.c"), id="the table is back"),
        pytest.param(a_mirror("public.a", "public.c", batch_size=7), id="the table is back, another edit"),
        pytest.param(a_mirror("public.a", batch_size=7), id="the table is still to go, another edit"),
        pytest.param(a_mirror("public.a", "public.c", runs=False), id="the table is back, paused"),
    ],
)
def test_an_edit_of_another_generation_is_disarmed_before_any_pause(mirror: Desired, generation: int | None) -> None:
    removal = an_edit_of(OTHER, BEFORE, age=6, generation=generation)
    decision = observed_at(mirror, a_look(config=OTHER), removal)
    assert (reason_of(decision), decision.action) == (Reason.EDITING, Disarm())
    assert (decision.journal.operation, attempts(decision)) == (None, 1)


def test_an_edit_of_another_generation_may_come_with_a_wished_pause_that_still_asks_for_it() -> None:
    removal = an_edit_of(OTHER, BEFORE, age=6, generation=GENERATION - 1)
    decision = observed_at(AS_IT_IS_PAUSED, a_look(config=OTHER), removal)
    assert isinstance(decision.action, Pause)
    assert decision.action.operation is not None
    assert decision.action.operation.to == BEFORE.fingerprint


def test_an_edit_of_this_generation_is_disarmed_when_its_bounds_let_no_pause_follow() -> None:
    bounds = settled_bounds(goal=AFTER.fingerprint, attempts=1)
    case = a_case(WISH, a_look(config=BEFORE), operation=an_edit_of(BEFORE, AFTER, age=6), bounds=bounds)
    decision = decision_of(case)
    assert (decision.action, attempts(decision)) == (Disarm(), 2)
    following = decision_of(a_case(WISH, a_look(config=BEFORE), bounds=decision.journal.bounds))
    assert (reason_of(following), following.action) == (Reason.EDIT_NOT_APPLIED, None)


def test_an_edit_of_this_generation_is_disarmed_when_its_precheck_fails() -> None:
    refused = replace(checked(), reason=Reason.PRECHECK_FAILED, retry_at=NOW + 60)
    decision = observed_at(WISH, a_look(config=BEFORE), an_edit_of(BEFORE, AFTER, age=6), precheck=refused)
    assert decision.action == Disarm()


def test_an_edit_of_this_generation_stays_open_until_its_precheck_is_answered() -> None:
    edit = an_edit_of(BEFORE, AFTER, age=6)
    decision = observed_at(WISH, a_look(config=BEFORE), edit)
    assert isinstance(decision.action, Precheck)
    assert (decision.journal.operation, attempts(decision)) == (edit, 0)


def test_an_edit_of_this_generation_stays_open_while_its_pause_waits_for_peerdb() -> None:
    edit = an_edit_of(BEFORE, AFTER, age=6)
    shaky, history = {"peerdb_reliable": False}, {"precheck": checked()}
    decision = decision_of(a_case(WISH, a_look(config=BEFORE), operation=edit, history=history, situation=shaky))
    assert (decision.rule, decision.journal.operation, attempts(decision)) == ("wait for answers", edit, 0)


def test_an_edit_from_the_future_is_disarmed_in_running_and_forgotten_in_paused() -> None:
    edit = an_edit_of(BEFORE, AFTER, age=-9999, generation=GENERATION - 1)
    assert observed_at(AS_IT_IS, a_look(config=BEFORE), edit).action == Disarm()
    assert observed_at(AS_IT_IS_PAUSED, a_look(State.PAUSED, BEFORE), edit).journal.operation is None


# A pause that may set an edit off remembers it: the pause may be lost, and the spec may change.


def test_a_pause_that_may_set_an_edit_off_carries_its_goal() -> None:
    decision = observed_at(WISH, a_look(config=BEFORE), an_edit_of(BEFORE, AFTER, age=6), precheck=checked())
    assert isinstance(decision.action, Pause)
    assert decision.action.operation is not None
    assert (decision.action.operation.to, decision.action.operation.generation) == (AFTER.fingerprint, GENERATION)
    plain = decision_of(a_case(WISH, a_look(config=BEFORE), history={"precheck": checked()}))
    assert isinstance(plain.action, Pause)
    assert plain.action.operation is not None
    assert plain.action.operation.to is None


@pytest.mark.parametrize("age", [15, 30])
@pytest.mark.parametrize(
    ("mirror", "generation"),
    [
        pytest.param(a_mirror("public.a", "public.c"), GENERATION - 1, id="the table is back"),
        pytest.param(a_mirror("public.a", "public.c", batch_size=7), GENERATION - 1, id="and another edit"),
        pytest.param(a_mirror("public.a", "public.c", runs=False), GENERATION - 1, id="and paused"),
        pytest.param(a_mirror("public.a", "public.c"), GENERATION, id="nothing differs any more"),
    ],
)
def test_a_lost_pause_is_not_repeated_over_an_edit_that_the_spec_does_not_ask_for(
    mirror: Desired, generation: int, age: float
) -> None:
    pause = an_operation(Step.PAUSE, age=age, to=BEFORE.fingerprint, generation=generation)
    decision = observed_at(mirror, a_look(config=OTHER), pause)
    assert (decision.action, decision.journal.operation, attempts(decision)) == (Disarm(), None, 0)


@pytest.mark.parametrize("mirror", [AS_IT_IS, AS_IT_IS_PAUSED])
def test_a_lost_pause_is_repeated_with_the_edit_that_the_spec_still_asks_for(mirror: Desired) -> None:
    pause = an_operation(Step.PAUSE, age=20, to=BEFORE.fingerprint)
    assert observed_at(mirror, a_look(config=OTHER), pause).action == Pause(None)
    again = observed_at(mirror, a_look(config=OTHER), replace(pause, sent_at=NOW - 30)).action
    assert isinstance(again, Pause)
    assert again.operation is not None
    assert again.operation.to == BEFORE.fingerprint


@pytest.mark.parametrize("mirror", [AS_IT_IS, AS_IT_IS_PAUSED])
def test_a_lost_pause_is_sent_anew_with_its_edit_while_nobody_can_see_it_only_for_a_wished_pause(
    mirror: Desired,
) -> None:
    pause = an_operation(Step.PAUSE, age=30, to=BEFORE.fingerprint)
    action = observed_at(mirror, a_blind_look(), pause).action
    assert isinstance(action, Disarm if mirror.wants_running else Pause)


@pytest.mark.parametrize("pausing_seen", [True, False])
def test_a_pause_that_set_its_edit_off_proves_the_edit(*, pausing_seen: bool) -> None:
    pause = an_operation(Step.PAUSE, to=AFTER.fingerprint)
    decision = decision_of(
        a_case(
            WISH,
            a_look(config=AFTER),
            operation=pause,
            bounds=settled_bounds(goal=AFTER.fingerprint, attempts=1),
            history={"pausing_seen": pausing_seen},
        )
    )
    assert (reason_of(decision), decision.journal.operation, attempts(decision)) == (Reason.RUNNING, None, 0)


def test_a_pause_that_was_seen_leaves_no_edit_behind() -> None:
    pause = an_operation(Step.PAUSE, to=BEFORE.fingerprint, generation=GENERATION - 1)
    mirror = a_mirror("public.a", "public.c", runs=False)
    ran_again = observed_at(mirror, a_look(config=BEFORE), pause, pausing_seen=True)
    assert isinstance(ran_again.action, Pause)
    paused = observed_at(mirror, a_look(State.PAUSED, BEFORE), pause)
    assert (paused.action, paused.journal.operation) == (None, None)


@pytest.mark.parametrize(
    ("mirror", "age", "reason"),
    [(WISH, 1000, Reason.EDITING), (WISH_PAUSED, 29, Reason.EDITING), (WISH_PAUSED, 30, Reason.PAUSING)],
)
def test_an_edit_is_given_up_unread_only_for_a_wished_pause(mirror: Desired, age: float, reason: Reason) -> None:
    decision = observed_at(mirror, a_blind_look(), an_edit_of(BEFORE, AFTER, age=age))
    assert reason_of(decision) is reason


def test_an_edit_that_nobody_can_see_in_paused_is_waited_for_since_a_worker_may_hold_it() -> None:
    operation = an_edit_of(BEFORE, AFTER, age=1000)
    decision = observed_at(WISH_PAUSED, a_blind_look(State.PAUSED), operation)
    assert (decision.action, decision.journal.operation) == (None, operation)


# No mirror stays paused for an edit.


@pytest.mark.parametrize("sent_at", [0.0, NOW - 15])
def test_a_mirror_is_resumed_after_two_minutes_whatever_edit_is_in_flight(sent_at: float) -> None:
    operation = an_edit_of(BEFORE, AFTER, age=100, accepted=False)
    decision = observed_at(WISH, a_blind_look(State.PAUSED), operation, sent_at=sent_at, **STOPPED)
    assert (reason_of(decision), decision.action) == (Reason.RESUMING, Resume(None))
    assert decision.journal.operation == operation, "the resume is not recorded, the edit stays open"


def test_a_stop_that_patience_ended_counts_once_the_mirror_runs() -> None:
    goal = AFTER.fingerprint
    resumed = an_operation(Step.RESUME, to=goal)
    decision = observed_at(WISH, a_look(config=BEFORE), resumed, precheck=checked())
    assert (attempts(decision), decision.journal.bounds.goal) == (1, goal)
    second = a_case(WISH, a_look(config=BEFORE), operation=resumed, bounds=settled_bounds(goal=goal, attempts=1))
    assert reason_of(decision_of(second)) is Reason.EDIT_NOT_APPLIED


def test_a_stop_that_patience_ended_does_not_count_when_the_resume_was_lost() -> None:
    resumed = an_operation(Step.RESUME, age=31, to=AFTER.fingerprint)
    decision = observed_at(WISH, a_look(State.PAUSED, BEFORE), resumed, **STOPPED)
    assert attempts(decision) == 0
    assert isinstance(decision.action, Resume)
    assert decision.action.operation is not None
    assert decision.action.operation.to == AFTER.fingerprint

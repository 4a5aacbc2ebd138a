"""The next step of a mirror at rest: pause, edit, resume, nothing; a withheld difference never stops the run state."""

from __future__ import annotations

import pytest

from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import Bounds, Step
from peerdb_operator.mirror.rules.change import identity, precheck_key
from peerdb_operator.mirror.rules.conditions import ConditionChange
from peerdb_operator.mirror.rules.decision import Confirm, Decision, Observe, Pause, Precheck, Resume, SendUpdate
from peerdb_operator.mirror.rules.desired import Desired
from peerdb_operator.mirror.rules.history import PrecheckResult
from peerdb_operator.mirror.rules.journal import after_unproven
from peerdb_operator.mirror.rules.observation import Found, State
from tests.unit.core.builders import (
    CREATED,
    GENERATION,
    LIMITS,
    NOW,
    UNASKED,
    a_blind_look,
    a_case,
    a_config,
    a_light_look,
    a_look,
    a_mirror,
    a_passed_precheck,
    a_wish,
    decision_of,
    edit_to,
    reason_of,
    settled_bounds,
)

LIVE = a_config("public.a")
AS_IT_IS = a_mirror("public.a")
MORE = a_mirror("public.a", "public.b")
MORE_PAUSED = a_mirror("public.a", "public.b", runs=False)
REMAPPED = a_mirror(a_wish("public.a", "elsewhere"))
KEY = precheck_key(edit_to(MORE, LIVE), MORE)
RUNS, STANDS = a_look(config=LIVE), a_look(State.PAUSED, LIVE)
STOPPED = {"paused_since": NOW - 10}
STOPPED_LONG = {"paused_since": NOW - 120}
READY = {"precheck": a_passed_precheck(KEY), "confirmed": True, **STOPPED}


def at_rest(mirror: Desired, look: Found, bounds: Bounds | None = None, /, **history: object) -> Decision:
    """The plan when nothing is in flight."""
    return decision_of(a_case(mirror, look, bounds=bounds, history=history))


def failed_precheck(reason: Reason = Reason.PRECHECK_FAILED, *, retry_in: float = 30.0) -> PrecheckResult:
    """PeerDB has found the additions of ``MORE`` impossible."""
    return PrecheckResult(KEY, NOW - 1, reason, "no such table: public.b", NOW + retry_in, failures=1)


# Light looks.


@pytest.mark.parametrize(
    ("mirror", "look", "reported", "expected"),
    [
        (AS_IT_IS, a_light_look(), Reason.RUNNING, Reason.RUNNING),
        (AS_IT_IS, a_light_look(), Reason.RUNNING_WITH_ERRORS, Reason.RUNNING),
        (a_mirror(runs=False), a_light_look(State.PAUSED), Reason.PAUSED, None),
        (a_mirror(runs=False), a_light_look(State.PAUSED), Reason.PAUSED_WITH_PENDING_CHANGES, None),
        (AS_IT_IS, a_light_look(State.COMPLETED), Reason.COMPLETED, None),
    ],
)
def test_a_light_look_suffices_when_a_settled_mirror_is_as_its_status_tells(
    mirror: Desired, look: Found, reported: Reason, expected: Reason | None
) -> None:
    decision = decision_of(a_case(mirror, look, situation={"reason": reported}))
    assert (reason_of(decision), decision.action, decision.requeue.after) == (expected, None, 300.0)


@pytest.mark.parametrize(
    ("look", "history", "situation", "bounds"),
    [
        pytest.param(a_light_look(State.PAUSED), {}, {}, None, id="another state than wished"),
        pytest.param(a_light_look(), {"changed_since_full": True}, {}, None, id="something has happened in between"),
        pytest.param(a_light_look(), {}, {"reason": Reason.DRIFT_LOOP}, None, id="the status tells of trouble"),
        pytest.param(a_light_look(), {}, {"reason": Reason.PEERDB_UNAVAILABLE}, None, id="an outage is over"),
        pytest.param(a_light_look(), {}, {"observed_generation": 1}, None, id="the status is of an older generation"),
        pytest.param(a_light_look(), {}, {}, Bounds(GENERATION), id="the generation never settled"),
    ],
)
def test_a_light_look_does_not_suffice_otherwise(
    look: Found, history: dict[str, object], situation: dict[str, object], bounds: Bounds | None
) -> None:
    decision = decision_of(a_case(AS_IT_IS, look, history=history, situation=situation, bounds=bounds))
    assert (decision.action, decision.verdict) == (Observe(), None)


def test_a_look_with_an_owner_but_without_an_answer_about_the_config_is_not_a_full_one() -> None:
    look = a_light_look(owner=a_look().owner)
    assert decision_of(a_case(MORE, look, bounds=Bounds(GENERATION))).action == Observe()
    without_owner = a_look(config=LIVE, owner=UNASKED)
    assert decision_of(a_case(MORE, without_owner, bounds=Bounds(GENERATION))).action == Observe()


# Wished to be paused.


def test_a_running_mirror_is_paused_when_it_should_be() -> None:
    decision = at_rest(MORE_PAUSED, RUNS)
    assert isinstance(decision.action, Pause)
    assert decision.action.operation is not None
    assert (decision.action.operation.step, decision.action.operation.created_at) == (Step.PAUSE, CREATED)
    assert (reason_of(decision), decision.requeue.after) == (Reason.PAUSING, 0.5)


def test_a_pause_is_asked_for_without_reading_the_config() -> None:
    decision = at_rest(MORE_PAUSED, a_blind_look())
    assert isinstance(decision.action, Pause)
    assert reason_of(decision) is Reason.PAUSING


def test_a_paused_mirror_is_settled_when_it_is_as_wished() -> None:
    decision = at_rest(a_mirror("public.a", runs=False), STANDS, Bounds(GENERATION))
    assert (reason_of(decision), decision.action, decision.requeue.after) == (Reason.PAUSED, None, 300.0)
    assert decision.journal.bounds.settled == GENERATION


def test_an_edit_waits_while_the_mirror_should_be_paused_for_peerdb_would_resume_it() -> None:
    decision = at_rest(MORE_PAUSED, STANDS, Bounds(GENERATION))
    assert (reason_of(decision), decision.action) == (Reason.PAUSED_WITH_PENDING_CHANGES, None)
    assert decision.verdict is not None
    assert "add public.b" in decision.verdict.message
    assert decision.journal.bounds.settled == GENERATION


@pytest.mark.parametrize(
    ("since", "bounds", "ready"),
    [
        (NOW - 14, settled_bounds(), None),
        (NOW - 15, settled_bounds(), ConditionChange.TRUE),
        (NOW - 15, Bounds(GENERATION), ConditionChange.UNKNOWN),
    ],
)
@pytest.mark.parametrize(
    ("mirror", "state"), [(AS_IT_IS, State.RUNNING), (a_mirror("public.a", runs=False), State.PAUSED)]
)
def test_a_config_that_cannot_be_read_is_told_when_it_lasts(
    mirror: Desired, state: State, since: float, bounds: Bounds, ready: ConditionChange | None
) -> None:
    decision = at_rest(mirror, a_blind_look(state), bounds, unreadable_since=since)
    assert decision.action is None
    reported = decision.verdict
    assert (None if reported is None else reported.ready) is ready
    assert reported is None or reported.reason is Reason.CONFIG_UNREADABLE


# Wished to run: prechecks and pauses.


@pytest.mark.parametrize(
    "precheck",
    [
        None,
        a_passed_precheck("another"),
        a_passed_precheck(KEY, age=61),
        failed_precheck(retry_in=0),
    ],
)
def test_additions_are_checked_before_the_mirror_is_stopped_for_them(precheck: PrecheckResult | None) -> None:
    decision = at_rest(MORE, RUNS, precheck=precheck)
    assert decision.action == Precheck(edit_to(MORE, LIVE), KEY, copy=True, short=False)
    assert decision.verdict is None


def test_the_mirror_is_paused_when_its_additions_are_possible() -> None:
    decision = at_rest(MORE, RUNS, precheck=a_passed_precheck(KEY, age=60))
    assert isinstance(decision.action, Pause)
    assert (reason_of(decision), decision.accept_tables) == (Reason.PAUSING, True)


@pytest.mark.parametrize(
    "mirror", [a_mirror("public.a", batch_size=7), a_mirror("public.a", tables=None, batch_size=7)]
)
def test_removals_and_settings_need_no_check(mirror: Desired) -> None:
    assert isinstance(at_rest(mirror, RUNS).action, Pause)
    removal = decision_of(a_case(AS_IT_IS, a_look(config=a_config("public.a", "public.b"))))
    assert isinstance(removal.action, Pause)


@pytest.mark.parametrize(
    ("precheck", "reason"),
    [
        (failed_precheck(), Reason.PRECHECK_FAILED),
        (failed_precheck(Reason.DESTINATION_IN_USE), Reason.DESTINATION_IN_USE),
        (failed_precheck(Reason.PEERDB_UNAVAILABLE), Reason.PEERDB_UNAVAILABLE),
    ],
)
def test_the_mirror_never_stops_for_additions_that_are_not_possible(precheck: PrecheckResult, reason: Reason) -> None:
    decision = at_rest(MORE, RUNS, precheck=precheck)
    assert (decision.action, reason_of(decision), decision.requeue.after) == (None, reason, 30.0)
    assert decision.compared
    assert decision.blocked is not None
    assert decision.blocked.reason is reason


def test_an_unanswered_precheck_is_the_fault_of_peerdb_not_of_the_spec() -> None:
    reported = at_rest(MORE, RUNS, precheck=failed_precheck(Reason.PEERDB_UNAVAILABLE)).verdict
    assert reported is not None
    assert (reported.ready, reported.stalled) == (ConditionChange.KEEP, ConditionChange.KEEP)


# Wished to run: paused.


def test_a_paused_mirror_is_resumed_when_nothing_is_to_be_edited() -> None:
    decision = at_rest(AS_IT_IS, STANDS, **STOPPED)
    assert isinstance(decision.action, Resume)
    assert decision.action.operation is not None
    assert (decision.action.operation.step, decision.action.operation.to) == (Step.RESUME, None)
    assert reason_of(decision) is Reason.RESUMING


def test_a_paused_mirror_is_resumed_when_the_difference_is_withheld() -> None:
    decision = at_rest(REMAPPED, STANDS, **STOPPED)
    assert isinstance(decision.action, Resume)
    assert reason_of(decision) is Reason.TABLE_CHANGE_REJECTED


@pytest.mark.parametrize("reason", [Reason.PRECHECK_FAILED, Reason.PEERDB_UNAVAILABLE])
def test_a_failed_precheck_is_no_reason_to_stay_paused(reason: Reason) -> None:
    decision = at_rest(MORE, STANDS, precheck=failed_precheck(reason), **STOPPED)
    assert isinstance(decision.action, Resume)


@pytest.mark.parametrize("precheck", [None, a_passed_precheck(KEY, age=71), failed_precheck(retry_in=0)])
def test_no_addition_goes_out_unchecked_however_the_mirror_came_to_be_paused(precheck: PrecheckResult | None) -> None:
    decision = at_rest(MORE, STANDS, **{**READY, "precheck": precheck})
    assert decision.action == Precheck(edit_to(MORE, LIVE), KEY, copy=True, short=True)


def test_a_check_holds_for_the_stop_it_was_made_for() -> None:
    early = {**READY, "precheck": a_passed_precheck(KEY, age=70)}
    assert isinstance(at_rest(MORE, STANDS, **early).action, SendUpdate)
    late = {**READY, "precheck": a_passed_precheck(KEY, age=1), "paused_since": NOW - 100}
    assert isinstance(at_rest(MORE, STANDS, **late).action, SendUpdate)


def test_an_edit_needs_two_looks_at_paused() -> None:
    decision = at_rest(MORE, STANDS, **{**READY, "confirmed": False})
    assert (decision.action, decision.verdict) == (Confirm(0.5), None)


def test_an_edit_goes_out_once_with_the_fingerprints_around_it() -> None:
    decision = at_rest(MORE, STANDS, **READY)
    assert isinstance(decision.action, SendUpdate)
    edit, operation = decision.action.edit, decision.action.operation
    assert edit == edit_to(MORE, LIVE)
    assert (operation.step, operation.from_, operation.to, operation.created_at, operation.accepted) == (
        Step.EDIT,
        LIVE.fingerprint,
        edit.applied_to(LIVE).fingerprint,
        CREATED,
        False,
    )
    assert (reason_of(decision), decision.accept_tables) == (Reason.EDITING, True)


def test_an_edit_of_a_settled_generation_is_noted_as_a_correction() -> None:
    settled = at_rest(MORE, STANDS, **READY).journal.bounds
    assert [each.difference for each in settled.corrections] == [identity(edit_to(MORE, LIVE))]
    assert at_rest(MORE, STANDS, Bounds(GENERATION), **READY).journal.bounds.corrections == ()


def test_edits_that_may_not_be_tried_yet_are_withheld_and_the_mirror_runs() -> None:
    goal = edit_to(MORE, LIVE).applied_to(LIVE).fingerprint
    tired = after_unproven(after_unproven(settled_bounds(), goal, LIMITS, NOW), goal, LIMITS, NOW)
    running = at_rest(MORE, RUNS, tired)
    assert (reason_of(running), running.action, running.requeue.after) == (Reason.EDIT_NOT_APPLIED, None, 300.0)
    assert isinstance(at_rest(MORE, STANDS, tired, **READY).action, Resume)


# No mirror stays paused.


def test_a_mirror_is_resumed_after_two_minutes_and_the_resume_carries_the_goal_it_gives_up() -> None:
    decision = at_rest(MORE, STANDS, **{**READY, **STOPPED_LONG})
    assert isinstance(decision.action, Resume)
    assert decision.action.operation is not None
    assert decision.action.operation.to == edit_to(MORE, LIVE).applied_to(LIVE).fingerprint
    assert decision.journal.bounds.attempts == 0, "it counts when the mirror is seen running"


@pytest.mark.parametrize("mirror", [AS_IT_IS, REMAPPED])
def test_a_resume_after_two_minutes_gives_nothing_up_when_no_edit_was_to_be_sent(mirror: Desired) -> None:
    decision = at_rest(mirror, STANDS, **STOPPED_LONG)
    assert isinstance(decision.action, Resume)
    assert decision.action.operation is not None
    assert decision.action.operation.to is None


def test_a_mirror_is_resumed_after_two_minutes_even_when_its_config_cannot_be_read() -> None:
    decision = at_rest(MORE, a_blind_look(State.PAUSED), unreadable_since=NOW, **STOPPED_LONG)
    assert isinstance(decision.action, Resume)
    assert decision.action.operation is not None
    assert decision.action.operation.to is None


@pytest.mark.parametrize("since", [None, NOW, NOW - 14.9])
def test_a_paused_mirror_waits_a_moment_for_its_config(since: float | None) -> None:
    decision = at_rest(MORE, a_blind_look(State.PAUSED), unreadable_since=since, **STOPPED)
    assert (decision.action, decision.verdict, decision.requeue.after) == (None, None, 0.5)


def test_a_paused_mirror_does_not_wait_for_its_config_for_long() -> None:
    decision = at_rest(MORE, a_blind_look(State.PAUSED), unreadable_since=NOW - 15, **STOPPED)
    assert isinstance(decision.action, Resume)
    assert reason_of(decision) is Reason.RESUMING
    assert decision.verdict is not None
    assert "without an edit: PeerDB does not show" in decision.verdict.message
    assert "no poller seen (are its workers up?)" in decision.verdict.message


# Settled.


def test_a_running_mirror_is_settled_when_it_is_as_wished() -> None:
    decision = at_rest(AS_IT_IS, RUNS, Bounds(GENERATION))
    assert (reason_of(decision), decision.action, decision.requeue.after) == (Reason.RUNNING, None, 300.0)
    assert (decision.journal.bounds.settled, decision.accept_tables) == (GENERATION, True)


def test_a_mirror_with_a_withheld_difference_has_not_settled() -> None:
    decision = at_rest(REMAPPED, RUNS, Bounds(GENERATION))
    assert (reason_of(decision), decision.requeue.after) == (Reason.TABLE_CHANGE_REJECTED, 60.0)
    assert decision.journal.bounds.settled is None

"""The next step of a mirror at rest: pause, edit, resume, nothing; a withheld difference never stops the run state."""

from __future__ import annotations

import pytest

from peerdb_operator.core.bounds import after_unproven
from peerdb_operator.core.desired import Desired
from peerdb_operator.core.edit import precheck_key
from peerdb_operator.core.journal import Bounds, Operation, Step
from peerdb_operator.core.memory import Precheck
from peerdb_operator.core.observed import Seen, State
from peerdb_operator.core.plan_types import LookFully, LookTwice, Pause, Plan, Resume, SendEdit, Validate
from peerdb_operator.core.reasons import Reason
from peerdb_operator.core.verdict import Truth
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
    edit_to,
    plan_of,
    reason_of,
    settled_bounds,
)

LIVE = a_config("public.a")
AS_IT_IS = a_mirror("public.a")
MORE = a_mirror("public.a", "public.b")
MORE_PAUSED = a_mirror("public.a", "public.b", runs=False)
REMAPPED = a_mirror(a_wish("public.a", "elsewhere"))
REMAPPED_PAUSED = a_mirror(a_wish("public.a", "elsewhere"), runs=False)
KEY = precheck_key(edit_to(MORE, LIVE), MORE)
RUNS, STANDS = a_look(config=LIVE), a_look(State.PAUSED, LIVE)
STOPPED = {"stopped_since": NOW - 10}
STOPPED_LONG = {"stopped_since": NOW - 120}
READY = {"precheck": a_passed_precheck(KEY), "confirmed": True, **STOPPED}


def at_rest(mirror: Desired, look: Seen, bounds: Bounds | None = None, /, **memory: object) -> Plan:
    """The plan when nothing is in flight."""
    return plan_of(a_case(mirror, look, bounds=bounds, memory=memory))


def failed_precheck(reason: Reason = Reason.PRECHECK_FAILED, *, retry_in: float = 30.0) -> Precheck:
    """PeerDB has found the additions of ``MORE`` impossible."""
    return Precheck(KEY, NOW - 1, reason, "no such table: public.b", NOW + retry_in, failures=1)


# Light looks.


@pytest.mark.parametrize(
    ("mirror", "look", "told", "expected"),
    [
        (AS_IT_IS, a_light_look(), Reason.RUNNING, Reason.RUNNING),
        (AS_IT_IS, a_light_look(), Reason.RUNNING_WITH_ERRORS, Reason.RUNNING),
        (a_mirror(runs=False), a_light_look(State.PAUSED), Reason.PAUSED, None),
        (a_mirror(runs=False), a_light_look(State.PAUSED), Reason.PAUSED_WITH_PENDING_CHANGES, None),
        (AS_IT_IS, a_light_look(State.COMPLETED), Reason.COMPLETED, None),
    ],
)
def test_a_light_look_suffices_when_a_settled_mirror_is_as_its_status_tells(
    mirror: Desired, look: Seen, told: Reason, expected: Reason | None
) -> None:
    planned = plan_of(a_case(mirror, look, situation={"reason": told}))
    assert (reason_of(planned), planned.action, planned.wait.after) == (expected, None, 300.0)


@pytest.mark.parametrize(
    ("look", "memory", "situation", "bounds"),
    [
        pytest.param(a_light_look(State.PAUSED), {}, {}, None, id="another state than wished"),
        pytest.param(a_light_look(), {"moved": True}, {}, None, id="something has happened in between"),
        pytest.param(a_light_look(), {}, {"reason": Reason.DRIFT_LOOP}, None, id="the status tells of trouble"),
        pytest.param(a_light_look(), {}, {"reason": Reason.PEERDB_UNAVAILABLE}, None, id="an outage is over"),
        pytest.param(a_light_look(), {}, {"observed_generation": 1}, None, id="the status is of an older generation"),
        pytest.param(a_light_look(), {}, {}, Bounds(GENERATION), id="the generation never settled"),
    ],
)
def test_a_light_look_does_not_suffice_otherwise(
    look: Seen, memory: dict[str, object], situation: dict[str, object], bounds: Bounds | None
) -> None:
    planned = plan_of(a_case(AS_IT_IS, look, memory=memory, situation=situation, bounds=bounds))
    assert (planned.action, planned.verdict) == (LookFully(), None)


def test_a_light_look_does_not_suffice_while_a_command_is_in_flight() -> None:
    operation = Operation("pause-1", Step.PAUSE, NOW, CREATED)
    assert plan_of(a_case(AS_IT_IS, a_light_look(), operation=operation)).action == LookFully()


def test_a_look_with_an_owner_but_without_an_answer_about_the_config_is_not_a_full_one() -> None:
    look = a_light_look(owner=a_look().owner)
    assert plan_of(a_case(MORE, look, bounds=Bounds(GENERATION))).action == LookFully()
    without_owner = a_look(config=LIVE, owner=UNASKED)
    assert plan_of(a_case(MORE, without_owner, bounds=Bounds(GENERATION))).action == LookFully()


# Wished to be paused.


def test_a_running_mirror_is_paused_when_it_should_be() -> None:
    planned = at_rest(MORE_PAUSED, RUNS)
    assert isinstance(planned.action, Pause)
    assert planned.action.operation is not None
    assert (planned.action.operation.step, planned.action.operation.created_at) == (Step.PAUSE, CREATED)
    assert (reason_of(planned), planned.wait.after) == (Reason.PAUSING, 0.5)


def test_a_pause_is_asked_for_without_reading_the_config() -> None:
    planned = at_rest(MORE_PAUSED, a_blind_look())
    assert isinstance(planned.action, Pause)
    assert reason_of(planned) is Reason.PAUSING


def test_a_paused_mirror_is_settled_when_it_is_as_wished() -> None:
    planned = at_rest(a_mirror("public.a", runs=False), STANDS, Bounds(GENERATION))
    assert (reason_of(planned), planned.action, planned.wait.after) == (Reason.PAUSED, None, 300.0)
    assert planned.journal.bounds.settled == GENERATION


def test_an_edit_waits_while_the_mirror_should_be_paused_for_peerdb_would_resume_it() -> None:
    planned = at_rest(MORE_PAUSED, STANDS, Bounds(GENERATION))
    assert (reason_of(planned), planned.action) == (Reason.PAUSED_WITH_PENDING_CHANGES, None)
    assert planned.verdict is not None
    assert "add public.b" in planned.verdict.message
    assert planned.journal.bounds.settled == GENERATION


def test_a_paused_mirror_stays_paused_however_long_it_should_be() -> None:
    assert at_rest(MORE_PAUSED, STANDS, **STOPPED_LONG).action is None


@pytest.mark.parametrize(
    ("since", "bounds", "ready"),
    [
        (NOW - 14, settled_bounds(), None),
        (NOW - 15, settled_bounds(), Truth.TRUE),
        (NOW - 15, Bounds(GENERATION), Truth.UNKNOWN),
    ],
)
@pytest.mark.parametrize(
    ("mirror", "state"), [(AS_IT_IS, State.RUNNING), (a_mirror("public.a", runs=False), State.PAUSED)]
)
def test_a_config_that_cannot_be_read_is_told_when_it_lasts(
    mirror: Desired, state: State, since: float, bounds: Bounds, ready: Truth | None
) -> None:
    planned = at_rest(mirror, a_blind_look(state), bounds, unreadable_since=since)
    assert planned.action is None
    told = planned.verdict
    assert (None if told is None else told.ready) is ready
    assert told is None or told.reason is Reason.CONFIG_UNREADABLE


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
def test_additions_are_checked_before_the_mirror_is_stopped_for_them(precheck: Precheck | None) -> None:
    planned = at_rest(MORE, RUNS, precheck=precheck)
    assert planned.action == Validate(edit_to(MORE, LIVE), KEY, copy=True, short=False)
    assert planned.verdict is None


def test_a_precheck_knows_when_rows_are_not_copied() -> None:
    planned = at_rest(a_mirror("public.a", "public.b", skip_snapshot=True), RUNS)
    assert isinstance(planned.action, Validate)
    assert not planned.action.copy


def test_the_mirror_is_paused_when_its_additions_are_possible() -> None:
    planned = at_rest(MORE, RUNS, precheck=a_passed_precheck(KEY, age=60))
    assert isinstance(planned.action, Pause)
    assert (reason_of(planned), planned.accept_tables) == (Reason.PAUSING, True)


@pytest.mark.parametrize(
    "mirror", [a_mirror("public.a", batch_size=7), a_mirror("public.a", tables=None, batch_size=7)]
)
def test_removals_and_settings_need_no_check(mirror: Desired) -> None:
    assert isinstance(at_rest(mirror, RUNS).action, Pause)
    removal = plan_of(a_case(AS_IT_IS, a_look(config=a_config("public.a", "public.b"))))
    assert isinstance(removal.action, Pause)


@pytest.mark.parametrize(
    ("precheck", "reason"),
    [
        (failed_precheck(), Reason.PRECHECK_FAILED),
        (failed_precheck(Reason.DESTINATION_IN_USE), Reason.DESTINATION_IN_USE),
        (failed_precheck(Reason.PEERDB_UNAVAILABLE), Reason.PEERDB_UNAVAILABLE),
    ],
)
def test_the_mirror_never_stops_for_additions_that_are_not_possible(precheck: Precheck, reason: Reason) -> None:
    planned = at_rest(MORE, RUNS, precheck=precheck)
    assert (planned.action, reason_of(planned), planned.wait.after) == (None, reason, 30.0)
    assert planned.compared
    assert planned.withheld is not None
    assert planned.withheld.reason is reason


def test_an_unanswered_precheck_is_the_fault_of_peerdb_not_of_the_spec() -> None:
    told = at_rest(MORE, RUNS, precheck=failed_precheck(Reason.PEERDB_UNAVAILABLE)).verdict
    assert told is not None
    assert (told.ready, told.stalled) == (Truth.KEEP, Truth.KEEP)


# Wished to run: paused.


def test_a_paused_mirror_is_resumed_when_nothing_is_to_be_edited() -> None:
    planned = at_rest(AS_IT_IS, STANDS, **STOPPED)
    assert isinstance(planned.action, Resume)
    assert planned.action.operation is not None
    assert (planned.action.operation.step, planned.action.operation.after) == (Step.RESUME, "")
    assert reason_of(planned) is Reason.RESUMING


def test_a_paused_mirror_is_resumed_when_the_difference_is_withheld() -> None:
    planned = at_rest(REMAPPED, STANDS, **STOPPED)
    assert isinstance(planned.action, Resume)
    assert reason_of(planned) is Reason.TABLE_CHANGE_REJECTED


@pytest.mark.parametrize("reason", [Reason.PRECHECK_FAILED, Reason.PEERDB_UNAVAILABLE])
def test_a_failed_precheck_is_no_reason_to_stay_paused(reason: Reason) -> None:
    planned = at_rest(MORE, STANDS, precheck=failed_precheck(reason), **STOPPED)
    assert isinstance(planned.action, Resume)


@pytest.mark.parametrize("precheck", [None, a_passed_precheck(KEY, age=71), failed_precheck(retry_in=0)])
def test_no_addition_goes_out_unchecked_however_the_mirror_came_to_be_paused(precheck: Precheck | None) -> None:
    planned = at_rest(MORE, STANDS, **{**READY, "precheck": precheck})
    assert planned.action == Validate(edit_to(MORE, LIVE), KEY, copy=True, short=True)


def test_a_check_holds_for_the_stop_it_was_made_for() -> None:
    early = {**READY, "precheck": a_passed_precheck(KEY, age=70)}
    assert isinstance(at_rest(MORE, STANDS, **early).action, SendEdit)
    late = {**READY, "precheck": a_passed_precheck(KEY, age=1), "stopped_since": NOW - 100}
    assert isinstance(at_rest(MORE, STANDS, **late).action, SendEdit)


def test_an_edit_needs_two_looks_at_paused() -> None:
    planned = at_rest(MORE, STANDS, **{**READY, "confirmed": False})
    assert (planned.action, planned.verdict) == (LookTwice(0.5), None)


def test_an_edit_goes_out_once_with_the_fingerprints_around_it() -> None:
    planned = at_rest(MORE, STANDS, **READY)
    assert isinstance(planned.action, SendEdit)
    edit, operation = planned.action.edit, planned.action.operation
    assert edit == edit_to(MORE, LIVE)
    assert (operation.step, operation.before, operation.after, operation.created_at, operation.accepted) == (
        Step.EDIT,
        LIVE.fingerprint,
        edit.applied_to(LIVE).fingerprint,
        CREATED,
        False,
    )
    assert (reason_of(planned), planned.accept_tables) == (Reason.EDITING, True)


def test_an_edit_of_a_settled_generation_is_noted_as_a_correction() -> None:
    settled = at_rest(MORE, STANDS, **READY).journal.bounds
    assert [identity for identity, _ in settled.corrections] == [edit_to(MORE, LIVE).identity()]
    assert at_rest(MORE, STANDS, Bounds(GENERATION), **READY).journal.bounds.corrections == ()


def test_edits_that_may_not_be_tried_yet_are_withheld_and_the_mirror_runs() -> None:
    goal = edit_to(MORE, LIVE).applied_to(LIVE).fingerprint
    tired = after_unproven(after_unproven(settled_bounds(), goal, LIMITS, NOW), goal, LIMITS, NOW)
    running = at_rest(MORE, RUNS, tired)
    assert (reason_of(running), running.action, running.wait.after) == (Reason.EDIT_NOT_APPLIED, None, 300.0)
    assert isinstance(at_rest(MORE, STANDS, tired, **READY).action, Resume)


# No mirror stays paused.


def test_a_mirror_is_resumed_after_two_minutes_and_the_resume_carries_the_goal_it_gives_up() -> None:
    planned = at_rest(MORE, STANDS, **{**READY, **STOPPED_LONG})
    assert isinstance(planned.action, Resume)
    assert planned.action.operation is not None
    assert planned.action.operation.after == edit_to(MORE, LIVE).applied_to(LIVE).fingerprint
    assert planned.journal.bounds.attempts == 0, "it counts when the mirror is seen running"


@pytest.mark.parametrize("mirror", [AS_IT_IS, REMAPPED])
def test_a_resume_after_two_minutes_gives_nothing_up_when_no_edit_was_to_be_sent(mirror: Desired) -> None:
    planned = at_rest(mirror, STANDS, **STOPPED_LONG)
    assert isinstance(planned.action, Resume)
    assert planned.action.operation is not None
    assert planned.action.operation.after == ""


def test_a_mirror_is_resumed_after_two_minutes_even_when_its_config_cannot_be_read() -> None:
    planned = at_rest(MORE, a_blind_look(State.PAUSED), unreadable_since=NOW, **STOPPED_LONG)
    assert isinstance(planned.action, Resume)
    assert planned.action.operation is not None
    assert planned.action.operation.after == ""


@pytest.mark.parametrize("since", [None, NOW, NOW - 14.9])
def test_a_paused_mirror_waits_a_moment_for_its_config(since: float | None) -> None:
    planned = at_rest(MORE, a_blind_look(State.PAUSED), unreadable_since=since, **STOPPED)
    assert (planned.action, planned.verdict, planned.wait.after) == (None, None, 0.5)


def test_a_paused_mirror_does_not_wait_for_its_config_for_long() -> None:
    planned = at_rest(MORE, a_blind_look(State.PAUSED), unreadable_since=NOW - 15, **STOPPED)
    assert isinstance(planned.action, Resume)
    assert reason_of(planned) is Reason.RESUMING
    assert planned.verdict is not None
    assert "without an edit: PeerDB does not show" in planned.verdict.message
    assert "no poller seen (are its workers up?)" in planned.verdict.message


# Settled.


def test_a_running_mirror_is_settled_when_it_is_as_wished() -> None:
    planned = at_rest(AS_IT_IS, RUNS, Bounds(GENERATION))
    assert (reason_of(planned), planned.action, planned.wait.after) == (Reason.RUNNING, None, 300.0)
    assert (planned.journal.bounds.settled, planned.accept_tables) == (GENERATION, True)


@pytest.mark.parametrize(("mirror", "look"), [(REMAPPED, RUNS), (REMAPPED_PAUSED, STANDS)])
def test_that_a_mirror_is_broken_outranks_a_withheld_difference(mirror: Desired, look: Seen) -> None:
    planned = at_rest(mirror, look, Bounds(GENERATION), orphaned=True, sent_at=NOW - 900)
    assert (reason_of(planned), planned.action) == (Reason.MIRROR_ORPHANED, None)
    assert planned.withheld is not None


def test_a_mirror_with_a_withheld_difference_has_not_settled() -> None:
    planned = at_rest(REMAPPED, RUNS, Bounds(GENERATION))
    assert (reason_of(planned), planned.wait.after) == (Reason.TABLE_CHANGE_REJECTED, 60.0)
    assert planned.journal.bounds.settled is None


def test_errors_in_the_log_of_a_running_mirror_are_told_for_a_quarter_of_an_hour() -> None:
    fresh = at_rest(AS_IT_IS, RUNS, error=("slot is gone", NOW - 899))
    assert (reason_of(fresh), fresh.wait.after) == (Reason.RUNNING_WITH_ERRORS, 1.0)
    assert fresh.verdict is not None
    assert "slot is gone" in fresh.verdict.message
    assert at_rest(AS_IT_IS, RUNS, error=("slot is gone", NOW - 800)).wait.after == 100.0
    over = at_rest(AS_IT_IS, RUNS, error=("slot is gone", NOW - 900))
    assert (reason_of(over), over.wait.after) == (Reason.RUNNING, 300.0)


def test_a_mirror_that_runs_unread_is_looked_at_at_the_next_tick() -> None:
    planned = at_rest(AS_IT_IS, a_blind_look(), unreadable_since=NOW)
    assert (planned.verdict, planned.wait.after) == (None, 10.0)

"""States in which nothing may be sent: what is told about them, and when they take too long."""

from __future__ import annotations

import pytest

from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import Bounds, Step
from peerdb_operator.mirror.rules.conditions import ConditionChange
from peerdb_operator.mirror.rules.decision import Observe, Pause
from peerdb_operator.mirror.rules.desired import Desired
from peerdb_operator.mirror.rules.observation import State, Unreadable
from peerdb_operator.peerdb.models import Progress
from tests.unit.core.builders import (
    GENERATION,
    LONG_AGO,
    NO_WORKERS,
    NOW,
    a_blind_look,
    a_case,
    a_light_look,
    a_look,
    a_mirror,
    an_operation,
    decision_of,
    reason_of,
)

MINUTE = 60.0
JUST_NOW = {"word_since": NOW, "previous_word": "RUNNING", "progress_at": NOW}
TRANSITIONS = {
    State.SETUP: Reason.SETTING_UP,
    State.SNAPSHOT: Reason.SNAPSHOTTING,
    State.MODIFYING: Reason.REMOVING_TABLES,
    State.RESYNC: Reason.RESYNCING,
    State.TERMINATING: Reason.TERMINATING,
    State.PAUSING: Reason.PAUSING,
}


# Broken.


@pytest.mark.parametrize(("since", "wait"), [(None, 5.0), (NOW, 5.0), (NOW - 3, 2.0)])
def test_failed_is_not_believed_at_once_for_it_flashes_during_table_changes(since: float | None, wait: float) -> None:
    operation = an_operation()
    decision = decision_of(a_case(look=a_look(State.FAILED), history={"broken_since": since}, operation=operation))
    assert (decision.verdict, decision.action, decision.requeue.after) == (None, None, wait)
    assert decision.journal.operation == operation


def test_failed_is_told_with_the_mirrors_own_error_when_it_lasts() -> None:
    history = {"broken_since": NOW - 5, "error": ("slot is gone", NOW)}
    decision = decision_of(a_case(look=a_look(State.FAILED), history=history, operation=an_operation()))
    assert (reason_of(decision), decision.action, decision.journal.operation) == (Reason.MIRROR_FAILED, None, None)
    assert decision.verdict is not None
    assert "slot is gone" in decision.verdict.message


def test_terminated_is_told_at_once() -> None:
    decision = decision_of(a_case(look=a_look(State.TERMINATED), operation=an_operation()))
    assert (reason_of(decision), decision.action, decision.journal.operation) == (Reason.MIRROR_TERMINATED, None, None)


def an_orphan(age: float) -> dict[str, object]:
    return {"orphaned": True, "sent_at": NOW - age}


def test_a_command_that_was_recorded_after_the_workflow_was_missed_is_judged_like_any_other() -> None:
    operation = an_operation(Step.EDIT, age=29.0)
    decision = decision_of(a_case(a_mirror(), a_look(State.PAUSED), operation=operation, history=an_orphan(30)))
    assert (reason_of(decision), decision.journal.operation) == (Reason.EDITING, operation)


def test_an_orphan_is_told_and_nothing_is_sent_to_it_for_a_while() -> None:
    wish, operation = a_mirror(runs=False), an_operation(Step.PAUSE, age=30.0)
    decision = decision_of(a_case(wish, operation=operation, bounds=Bounds(GENERATION), history=an_orphan(30)))
    assert (reason_of(decision), decision.action, decision.journal.operation) == (Reason.MIRROR_ORPHANED, None, None)
    assert decision.requeue.after == MINUTE


def test_an_orphan_is_tried_again_after_ten_minutes_for_peerdb_may_have_been_restored() -> None:
    wish = a_mirror(runs=False)
    assert decision_of(a_case(wish, bounds=Bounds(GENERATION), history=an_orphan(580))).requeue.after == 20
    again = decision_of(a_case(wish, bounds=Bounds(GENERATION), history=an_orphan(600)))
    assert isinstance(again.action, Pause)


@pytest.mark.parametrize(("state", "runs"), [(State.RUNNING, True), (State.PAUSED, False)])
def test_an_orphan_stays_one_when_there_is_nothing_to_send_to_it(state: State, *, runs: bool) -> None:
    decision = decision_of(
        a_case(a_mirror(runs=runs), a_look(state), bounds=Bounds(GENERATION), history=an_orphan(900))
    )
    assert (reason_of(decision), decision.action) == (Reason.MIRROR_ORPHANED, None)


# Completed.


def test_a_completed_mirror_is_compared_before_anything_is_said() -> None:
    decision = decision_of(a_case(look=a_light_look(State.COMPLETED)))
    assert (decision.action, decision.verdict) == (Observe(), None)


def test_a_completed_mirror_is_settled_when_it_is_as_wished() -> None:
    decision = decision_of(a_case(look=a_look(State.COMPLETED), operation=an_operation(), bounds=Bounds(GENERATION)))
    assert (reason_of(decision), decision.action, decision.accept_tables) == (Reason.COMPLETED, None, True)
    assert decision.journal.operation is None
    assert decision.journal.bounds.settled == GENERATION


@pytest.mark.parametrize("mirror", [a_mirror("public.orders", "public.b"), a_mirror(batch_size=7)])
def test_a_completed_mirror_stalls_when_it_is_not_as_wished(mirror: Desired) -> None:
    case = a_case(mirror, a_look(State.COMPLETED), situation={"tables_accepted": False})
    decision = decision_of(case)
    assert (reason_of(decision), decision.action, decision.accept_tables) == (Reason.TABLE_CHANGE_REJECTED, None, False)


@pytest.mark.parametrize(("since", "reason"), [(NOW - 14, None), (NOW - 15, Reason.CONFIG_UNREADABLE)])
def test_a_completed_mirror_that_cannot_be_compared_is_told_when_it_lasts(since: float, reason: Reason | None) -> None:
    decision = decision_of(a_case(look=a_blind_look(State.COMPLETED), history={"unreadable_since": since}))
    assert (reason_of(decision), decision.action) == (reason, None)
    assert decision.verdict is None or decision.verdict.ready is ConditionChange.TRUE


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (NO_WORKERS, "settings: PeerDB failed inside: no poller seen (are its workers up?); edits wait"),
        (Unreadable(Reason.PEERDB_UNAVAILABLE, "HTTP 503 by a proxy"), "settings: HTTP 503 by a proxy; edits wait"),
        (Unreadable(Reason.UNEXPECTED_REPLY, "no cdcStatus"), "settings: no cdcStatus; edits wait"),
    ],
)
def test_what_came_instead_of_the_config_is_told(cause: Unreadable, words: str) -> None:
    reported = decision_of(a_case(look=a_look(State.COMPLETED, cause), history={"unreadable_since": LONG_AGO})).verdict
    assert reported is not None
    assert reported.reason is Reason.CONFIG_UNREADABLE
    assert reported.message.endswith(words)


def test_an_unreadable_mirror_is_not_ready_when_its_generation_never_settled() -> None:
    case = a_case(look=a_blind_look(State.COMPLETED), history={"unreadable_since": LONG_AGO}, bounds=Bounds(GENERATION))
    reported = decision_of(case).verdict
    assert reported is not None
    assert reported.ready is ConditionChange.UNKNOWN


# On the way.


@pytest.mark.parametrize(("state", "reason"), TRANSITIONS.items())
@pytest.mark.parametrize("step", [None, Step.PAUSE, Step.RESUME])
@pytest.mark.parametrize("runs", [True, False])
def test_nothing_is_sent_on_the_way_and_the_journal_stays_open(
    state: State, reason: Reason, step: Step | None, *, runs: bool
) -> None:
    operation = None if step is None else an_operation(step, age=1000)
    case = a_case(a_mirror("public.new", runs=runs), a_look(state), operation=operation, history=JUST_NOW)
    decision = decision_of(case)
    assert (reason_of(decision), decision.action, decision.journal.operation) == (reason, None, operation)


def test_a_copy_adds_tables_when_an_edit_is_in_flight_or_the_mirror_was_paused_before() -> None:
    look = a_look(State.SNAPSHOT)
    ours = decision_of(a_case(look=look, operation=an_operation(Step.EDIT), history=JUST_NOW))
    theirs = decision_of(a_case(look=look, history={**JUST_NOW, "previous_word": "PAUSED"}))
    assert (reason_of(ours), reason_of(theirs)) == (Reason.ADDING_TABLES, Reason.ADDING_TABLES)


def test_a_copy_is_told_with_its_progress() -> None:
    look = a_look(State.SNAPSHOT, progress=Progress(3, 400, 8))
    reported = decision_of(a_case(look=look, history=JUST_NOW)).verdict
    assert reported is not None
    assert "3 of 8 partitions, 400 rows" in reported.message
    bare = decision_of(a_case(look=a_look(State.SNAPSHOT), history=JUST_NOW)).verdict
    assert bare is not None
    assert "partitions" not in bare.message


@pytest.mark.parametrize(("age", "wait"), [(0, 0.5), (299, 0.5), (300, 10.0)])
def test_pausing_is_watched_closely_until_its_deadline(age: float, wait: float) -> None:
    history = {"word_since": NOW - age, "previous_word": "RUNNING"}
    assert decision_of(a_case(look=a_look(State.PAUSING), history=history)).requeue.after == wait


@pytest.mark.parametrize(
    ("state", "minutes"),
    [(State.PAUSING, 5), (State.SETUP, 10), (State.MODIFYING, 10), (State.TERMINATING, 15), (State.RESYNC, 15)],
)
def test_a_phase_that_makes_no_progress_stalls_at_its_deadline(state: State, minutes: float) -> None:
    def reason(age: float) -> Reason | None:
        history = {"word_since": NOW - age, "previous_word": "RUNNING"}
        return reason_of(decision_of(a_case(look=a_look(state), history=history)))

    assert reason(minutes * MINUTE - 1) is TRANSITIONS[state]
    assert reason(minutes * MINUTE) is Reason.PROGRESS_DEADLINE_EXCEEDED


def test_a_copy_stalls_only_when_nothing_was_copied_for_half_an_hour() -> None:
    def reason(idle: float) -> Reason | None:
        history = {"word_since": LONG_AGO, "previous_word": "RUNNING", "progress_at": NOW - idle}
        return reason_of(decision_of(a_case(look=a_look(State.SNAPSHOT), history=history)))

    assert reason(29 * MINUTE) is Reason.SNAPSHOTTING
    assert reason(30 * MINUTE) is Reason.PROGRESS_DEADLINE_EXCEEDED
    never_seen = {"word_since": LONG_AGO, "previous_word": "RUNNING"}
    assert reason_of(decision_of(a_case(look=a_look(State.SNAPSHOT), history=never_seen))) is Reason.SNAPSHOTTING


def test_a_stalled_phase_names_the_mirrors_newest_error() -> None:
    history = {"word_since": LONG_AGO, "previous_word": "RUNNING", "progress_at": LONG_AGO, "error": ("disk full", NOW)}
    for state in (State.SNAPSHOT, State.SETUP):
        reported = decision_of(a_case(look=a_look(state), history=history)).verdict
        assert reported is not None
        assert "disk full" in reported.message
        assert ("no partition or row" in reported.message) is (state is State.SNAPSHOT)
    silent = decision_of(a_case(look=a_look(State.SETUP), history={**history, "error": None})).verdict
    assert silent is not None
    assert "log in PeerDB" in silent.message


def test_a_phase_counts_from_status_after_a_restart() -> None:
    restarted = {"word_since": NOW, "previous_word": None}
    situation = {"state": "Setup", "state_since": LONG_AGO}
    decision = decision_of(a_case(look=a_look(State.SETUP), history=restarted, situation=situation))
    assert reason_of(decision) is Reason.PROGRESS_DEADLINE_EXCEEDED


@pytest.mark.parametrize(
    ("history", "situation"),
    [
        ({"previous_word": "RUNNING"}, {"state": "Setup", "state_since": LONG_AGO}),
        ({"previous_word": None}, {"state": "Running", "state_since": LONG_AGO}),
        ({"previous_word": None}, {"state": "Setup", "state_since": None}),
    ],
)
def test_a_phase_counts_from_its_own_beginning_not_from_that_of_an_earlier_one(
    history: dict[str, object], situation: dict[str, object]
) -> None:
    decision = decision_of(
        a_case(look=a_look(State.SETUP), history={"word_since": NOW, **history}, situation=situation)
    )
    assert reason_of(decision) is Reason.SETTING_UP


def test_a_refusal_of_this_generation_is_told_on_the_way_too() -> None:
    def reason(generation: int, refusal: Reason) -> Reason | None:
        history = {**JUST_NOW, "blocked": (generation, refusal, "why")}
        return reason_of(decision_of(a_case(look=a_look(State.PAUSING), history=history)))

    assert reason(GENERATION, Reason.DRIFT_LOOP) is Reason.DRIFT_LOOP
    assert reason(GENERATION - 1, Reason.DRIFT_LOOP) is Reason.PAUSING
    assert reason(GENERATION, Reason.CONFIG_UNREADABLE) is Reason.PAUSING


# Known from the process before.


STANDS = {"reason": Reason.PROGRESS_DEADLINE_EXCEEDED, "state": "Snapshot"}
FIRST_READ = {"word_since": NOW - 60, "progress_at": NOW - 60}


def test_a_copy_that_was_found_standing_still_is_told_so_until_this_process_sees_it_move() -> None:
    look = a_light_look(State.SNAPSHOT)
    assert reason_of(decision_of(a_case(look=look, history=FIRST_READ, situation=STANDS))) is (
        Reason.PROGRESS_DEADLINE_EXCEEDED
    )
    for history, situation in (
        ({**FIRST_READ, "progress_at": NOW - 1}, STANDS),
        ({**FIRST_READ, "previous_word": "PAUSED"}, STANDS),
        (FIRST_READ, {**STANDS, "state": "Setup"}),
        (FIRST_READ, {**STANDS, "reason": Reason.SNAPSHOTTING}),
        (FIRST_READ, {**STANDS, "reason": ""}),
        (FIRST_READ, {**STANDS, "mirror_created_at": "2020-01-01T00:00:00Z"}),
    ):
        decision = decision_of(a_case(look=look, history=history, situation=situation))
        assert reason_of(decision) in {Reason.SNAPSHOTTING, Reason.ADDING_TABLES}

"""The next status: conditions of a verdict, numbers of the tables, and how soon it has to be written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from peerdb_operator.api.status import (
    MAX_CONDITIONS,
    MAX_ERROR,
    MAX_MESSAGE,
    MAX_PENDING,
    Condition,
    ConditionStatus,
    LastError,
    MirrorStatus,
    TablesStatus,
    read_status,
)
from peerdb_operator.core.config import LiveConfig
from peerdb_operator.core.desired import Desired
from peerdb_operator.core.journal import Journal, Step
from peerdb_operator.core.memory import Memory
from peerdb_operator.core.observed import Observation, State
from peerdb_operator.core.reasons import Reason
from peerdb_operator.core.status import Report, Urgency, conditions, next_status, urgency
from peerdb_operator.core.verdict import AWAY, ROWS, Truth, Verdict, away, verdict
from tests.unit.core.builders import (
    GENERATION,
    LONG_AGO,
    NO_WORKERS,
    NOW,
    a_config,
    a_light_look,
    a_look,
    a_mapping,
    a_memory,
    a_mirror,
    a_wish,
    an_absence,
    an_operation,
    an_outage,
    settled_bounds,
)

RUNNING = verdict(Reason.RUNNING, "running as wished")
PAUSING = verdict(Reason.PAUSING, "the spec wants the mirror paused")


def told(
    what: Verdict | None,
    before: MirrorStatus | None = None,
    *,
    mirror: Desired | None = None,
    look: Observation | None = None,
    memory: Memory | None = None,
    journal: Journal | None = None,
    accept: bool = True,
    now: float = NOW,
) -> MirrorStatus:
    """The status after a pass that looked at a mirror of ours and reached this verdict."""
    seen = a_look() if look is None else look
    return next_status(
        MirrorStatus() if before is None else before,
        a_mirror() if mirror is None else mirror,
        seen,
        a_memory(seen) if memory is None else memory,
        Report(what, Journal() if journal is None else journal, accept),
        now,
    )


def condition(status: MirrorStatus, kind: str) -> Condition:
    """The condition of that type; fails when it is absent."""
    return {each.type: each for each in status.conditions}[kind]


def kinds(status: MirrorStatus) -> list[str]:
    return [each.type for each in status.conditions]


# Conditions.


def test_ready_and_synced_are_always_told() -> None:
    assert kinds(told(RUNNING)) == ["Ready", "Synced"]


@pytest.mark.parametrize(
    ("what", "kind"), [(PAUSING, "Reconciling"), (verdict(Reason.MIRROR_FAILED, "failed"), "Stalled")]
)
def test_the_other_conditions_are_told_only_while_true(what: Verdict, kind: str) -> None:
    status = told(what)
    assert kinds(status) == ["Ready", "Synced", kind]
    assert condition(status, kind).status is ConditionStatus.TRUE
    assert kinds(told(RUNNING, status)) == ["Ready", "Synced"]


def test_a_stalled_mirror_is_reconciling_and_no_longer_stalled_when_it_moves_again() -> None:
    assert kinds(told(PAUSING, told(verdict(Reason.MIRROR_FAILED, "failed")))) == ["Ready", "Synced", "Reconciling"]


def test_a_condition_carries_reason_message_and_generation() -> None:
    ready = condition(told(RUNNING), "Ready")
    assert (ready.status, ready.reason, ready.message) == (ConditionStatus.TRUE, "Running", "running as wished")
    assert ready.observed_generation == GENERATION


def test_a_long_message_is_cut_to_what_the_api_takes() -> None:
    assert len(condition(told(replace(RUNNING, message="x" * 99_999)), "Ready").message) == MAX_MESSAGE


def test_the_transition_time_moves_only_when_the_status_flips() -> None:
    first = told(RUNNING)
    errors = told(verdict(Reason.RUNNING_WITH_ERRORS, "errors"), first, now=NOW + 10)
    assert condition(errors, "Ready").last_transition_time == NOW
    pausing = told(PAUSING, errors, now=NOW + 20)
    assert condition(pausing, "Ready").last_transition_time == NOW + 20


def test_ready_stays_as_it_was_when_peerdb_is_away_for_a_moment() -> None:
    outage = away(Reason.PEERDB_UNAVAILABLE, "away", long=False)
    status = told(outage, told(RUNNING), mirror=a_mirror(generation=GENERATION + 1), look=an_outage())
    ready, synced = condition(status, "Ready"), condition(status, "Synced")
    assert (ready.status, ready.reason) == (ConditionStatus.TRUE, "PeerDBUnavailable")
    assert ready.observed_generation == GENERATION, "what is kept still speaks of the old generation"
    assert (synced.status, synced.observed_generation) == (ConditionStatus.UNKNOWN, GENERATION + 1)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (PAUSING, ["Ready", "Synced", "Reconciling"]),
        (verdict(Reason.MIRROR_FAILED, "x"), ["Ready", "Synced", "Stalled"]),
    ],
)
def test_progress_stays_as_it_was_when_peerdb_is_away_for_a_moment(before: Verdict, expected: list[str]) -> None:
    assert kinds(told(away(Reason.PEERDB_UNAVAILABLE, "away", long=False), told(before))) == expected


def test_ready_is_unknown_when_peerdb_was_away_from_the_beginning() -> None:
    status = told(away(Reason.PEERDB_UNAVAILABLE, "away", long=False), look=an_outage())
    assert [(each.type, each.status) for each in status.conditions] == [
        ("Ready", ConditionStatus.UNKNOWN),
        ("Synced", ConditionStatus.UNKNOWN),
    ]


def test_a_mirror_is_never_reconciling_and_stalled_even_if_a_hand_wrote_both() -> None:
    both = [
        Condition(type=kind, status=ConditionStatus.TRUE, reason="ByHand", message="", last_transition_time=LONG_AGO)
        for kind in ("Reconciling", "Stalled")
    ]
    built = conditions(both, away(Reason.PEERDB_UNAVAILABLE, "away", long=False), GENERATION, NOW)
    assert [each.type for each in built] == ["Ready", "Synced", "Stalled"]


@pytest.mark.parametrize("reason", list(Reason))
def test_no_two_verdicts_in_a_row_leave_a_mirror_reconciling_and_stalled(reason: Reason) -> None:
    for before in Reason:
        present = kinds(told(verdict(reason, "now"), told(verdict(before, "before"))))
        assert not {"Reconciling", "Stalled"} <= set(present), before


def test_conditions_stay_when_a_pass_reaches_no_verdict() -> None:
    before = told(RUNNING)
    assert told(None, before).conditions == before.conditions


FOREIGN = Condition(
    type="example.com/Audited",
    status=ConditionStatus.TRUE,
    reason="Checked",
    message="by somebody else",
    last_transition_time=LONG_AGO + 0.25,
)


def test_conditions_of_other_writers_are_kept_as_they_are_behind_ours() -> None:
    another = FOREIGN.model_copy(update={"type": "Approved"})
    before = MirrorStatus(conditions=[FOREIGN, *told(PAUSING).conditions, another])
    assert told(RUNNING, before).conditions == [*told(RUNNING, told(PAUSING)).conditions, FOREIGN, another]


def test_a_condition_of_another_writer_is_written_back_as_it_was_read() -> None:
    wire = FOREIGN.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert read_status({"conditions": [wire]}).as_wire()["conditions"] == [wire]
    assert wire["lastTransitionTime"].endswith(".250000Z")


def test_our_conditions_find_room_when_other_writers_have_filled_the_list() -> None:
    strangers = [FOREIGN.model_copy(update={"type": f"Stranger{number}"}) for number in range(MAX_CONDITIONS)]
    full = told(PAUSING, MirrorStatus(conditions=strangers))
    assert kinds(full)[:3] == ["Ready", "Synced", "Reconciling"]
    assert len(full.conditions) == MAX_CONDITIONS


def test_nothing_is_written_before_the_first_verdict_because_another_writer_has_a_condition() -> None:
    before = MirrorStatus(conditions=[FOREIGN])
    assert urgency(before, told(None, before), told=False) is Urgency.NOTHING


# Generations.


@pytest.mark.parametrize("reason", sorted(set(Reason) - AWAY - {Reason.RECONCILE_DISABLED, Reason.INTERNAL_ERROR}))
def test_a_generation_counts_as_observed_when_it_was_evaluated(reason: Reason) -> None:
    assert told(verdict(reason, "why")).observed_generation == GENERATION


@pytest.mark.parametrize("reason", sorted(AWAY | {Reason.RECONCILE_DISABLED, Reason.INTERNAL_ERROR}))
def test_a_generation_does_not_count_as_observed_when_nothing_was_evaluated(reason: Reason) -> None:
    status = told(verdict(reason, "why"), told(RUNNING), mirror=a_mirror(generation=GENERATION + 1))
    assert status.observed_generation == GENERATION
    assert told(None).observed_generation == -1


@pytest.mark.parametrize("reason", list(Reason))
def test_no_row_says_ready_without_counting_as_observed(reason: Reason) -> None:
    status = told(verdict(reason, "why"))
    ready = condition(status, "Ready").status is ConditionStatus.TRUE
    assert not ready or status.observed_generation == GENERATION
    assert (ROWS[reason].ready is Truth.TRUE) is ready


# State.


def test_the_state_is_peerdbs_word_dated_from_its_first_look() -> None:
    status = told(None, look=a_look(State.PAUSING), memory=Memory(word="PAUSING", word_since=NOW - 7.5))
    assert (status.state, status.state_since) == ("Pausing", NOW - 8)


def test_a_state_keeps_its_date_while_it_lasts() -> None:
    before = told(RUNNING, memory=Memory(word="RUNNING", word_since=NOW - 100))
    after = told(RUNNING, before, memory=Memory(word="RUNNING", word_since=NOW))
    assert after.state_since == NOW - 100


def test_a_state_is_dated_now_when_nothing_is_remembered_of_it() -> None:
    assert told(None, memory=Memory(word="PAUSED", word_since=LONG_AGO)).state_since == NOW


def test_an_absent_mirror_is_missing() -> None:
    assert told(None, told(RUNNING), look=an_absence(), now=NOW + 5).state == "Missing"


def test_the_state_stays_when_peerdb_does_not_tell_it() -> None:
    before = told(RUNNING)
    assert told(None, before, look=an_outage()).state == "Running"
    unasked = next_status(before, a_mirror(), None, Memory(), Report(None, Journal()), NOW)
    assert (unasked.state, unasked.state_since) == (before.state, before.state_since)


def test_an_unknown_word_never_makes_a_status_that_the_api_server_refuses() -> None:
    status = told(None, look=a_look("X" * 500))
    assert read_status(status.as_wire()).state == status.state != ""


# Tables.


def test_tables_are_counted_against_the_live_list() -> None:
    mirror = a_mirror("public.a", "public.b", "public.c")
    status = told(PAUSING, mirror=mirror, look=a_look(config=a_config("public.a", "public.old")))
    assert status.tables == TablesStatus(
        desired=3, replicating=1, adding=2, removing=1, summary="1/3", pending=["public.b", "public.c", "public.old"]
    )


def test_only_the_first_pending_tables_are_named_each_within_the_limit() -> None:
    mirror = a_mirror("public.a", *(f"public.{number}{'x' * 240}" for number in range(30)))
    live = a_config("public.a", a_mapping("public." + "y" * 400))
    status = told(PAUSING, mirror=mirror, look=a_look(config=live))
    assert status.tables is not None
    assert len(status.tables.pending) == MAX_PENDING
    few = told(PAUSING, mirror=a_mirror("public.a"), look=a_look(config=live))
    assert read_status(few.as_wire()) == few


def test_tables_are_told_only_once_a_list_has_been_accepted() -> None:
    assert told(RUNNING, accept=False).tables is None
    assert told(RUNNING, told(RUNNING), accept=False).tables is not None


def test_tables_vanish_when_the_spec_has_no_list() -> None:
    assert told(RUNNING, told(RUNNING), mirror=a_mirror(tables=None)).tables is None


@pytest.mark.parametrize(
    "look",
    [
        a_light_look(),
        a_look(config=NO_WORKERS),
        a_look(State.SNAPSHOT, a_config("public.z")),
        an_outage(),
        an_absence(),
    ],
)
def test_tables_stay_as_they_were_when_the_live_list_is_not_known(look: Observation) -> None:
    before = told(RUNNING)
    assert told(None, before, look=look).tables == before.tables


def test_a_table_mapped_anew_counts_as_replicating() -> None:
    mirror = a_mirror(a_wish("public.orders", "elsewhere"))
    status = told(RUNNING, mirror=mirror, look=a_look(config=a_config()))
    assert status.tables is not None
    assert status.tables.summary == "1/1"


# Errors of the mirror's own log.


def error_after(before: LastError | None, error: tuple[str, float] | None) -> LastError | None:
    return told(None, MirrorStatus(last_error=before), memory=Memory(error=error)).last_error


KNOWN = LastError(message="broken", time=NOW)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, KNOWN),
        (("older", NOW - 1), KNOWN),
        (("of the same second", NOW), KNOWN),
        (("broken", NOW + 599), KNOWN),
        (("broken", NOW + 600), LastError(message="broken", time=NOW + 600)),
        (("another", NOW + 1.5), LastError(message="another", time=NOW + 1)),
    ],
)
def test_the_newest_error_is_told_and_a_repeated_one_not_too_often(
    error: tuple[str, float] | None, expected: LastError
) -> None:
    assert error_after(KNOWN, error) == expected


def test_the_first_error_is_told_within_the_limit() -> None:
    first = error_after(None, ("x" * 5000, NOW))
    assert first is not None
    assert len(first.message) == MAX_ERROR
    assert error_after(None, None) is None


# How soon to write.


def how_soon(before: MirrorStatus, after: MirrorStatus, *, told: bool = True) -> Urgency:
    return urgency(before, after, told=told)


def test_nothing_is_written_when_nothing_has_changed() -> None:
    before = told(RUNNING, journal=Journal(None, settled_bounds()))
    again = told(RUNNING, read_status(before.as_wire()), journal=Journal(None, settled_bounds()), now=NOW + 300)
    assert how_soon(before, again) is Urgency.NOTHING


def test_nothing_is_written_before_there_is_anything_to_tell() -> None:
    assert how_soon(MirrorStatus(), told(None), told=False) is Urgency.NOTHING


def test_a_new_step_is_written_at_once() -> None:
    before, step = told(RUNNING), Journal(an_operation(Step.PAUSE))
    pausing = told(PAUSING, before, journal=step)
    assert how_soon(before, pausing) is Urgency.NOW
    again = told(PAUSING, pausing, journal=Journal(an_operation(Step.PAUSE, age=0.5)))
    assert how_soon(pausing, again) is Urgency.NOW, "sent again, or its request ended without a reply"


def test_an_accepted_edit_rides_on_the_next_write() -> None:
    editing = verdict(Reason.EDITING, "sent")
    before = told(editing, journal=Journal(an_operation(Step.EDIT)))
    accepted = told(editing, before, journal=Journal(an_operation(Step.EDIT, accepted=True)))
    assert how_soon(before, accepted) is Urgency.PROGRESS


def test_a_verdict_at_rest_is_written_at_once() -> None:
    before = told(PAUSING, journal=Journal(an_operation(Step.PAUSE)))
    assert how_soon(before, told(verdict(Reason.PAUSED, "paused"), before)) is Urgency.NOW


def test_a_phase_is_written_only_if_it_lasts() -> None:
    before = told(verdict(Reason.EDITING, "sent"))
    adding = told(verdict(Reason.ADDING_TABLES, "copying"), before, look=a_look(State.SNAPSHOT))
    assert how_soon(before, adding) is Urgency.PHASE


def test_a_state_without_a_verdict_is_written_only_if_it_lasts() -> None:
    before = told(RUNNING)
    flash = told(None, before, look=a_look(State.FAILED))
    assert how_soon(before, flash, told=False) is Urgency.PHASE


def test_the_state_on_the_way_is_progress_when_the_reason_tells_it_already() -> None:
    before = told(PAUSING)
    pausing = told(PAUSING, before, look=a_look(State.PAUSING))
    assert how_soon(before, pausing) is Urgency.PROGRESS


def test_texts_counts_and_errors_are_progress() -> None:
    copying = verdict(Reason.SNAPSHOTTING, "1 of 9 partitions")
    before = told(copying, look=a_look(State.SNAPSHOT))
    further = told(replace(copying, message="2 of 9 partitions"), before, look=a_look(State.SNAPSHOT))
    assert how_soon(before, further) is Urgency.PROGRESS


def test_bounds_at_rest_are_written_at_once() -> None:
    before = told(RUNNING, journal=Journal(None, settled_bounds()))
    counted = told(RUNNING, before, journal=Journal(None, settled_bounds(goal="g", attempts=1)))
    assert how_soon(before, counted) is Urgency.NOW


def test_a_summary_at_rest_is_written_at_once() -> None:
    before = told(RUNNING)
    after = told(RUNNING, before, look=a_look(config=LiveConfig()))
    assert how_soon(before, after) is Urgency.NOW

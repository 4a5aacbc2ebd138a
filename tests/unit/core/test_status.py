"""The next status: conditions of a verdict, numbers of the tables, and how soon it has to be written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import (
    MAX_CONDITIONS,
    MAX_ERROR,
    MAX_MESSAGE,
    MAX_PENDING,
    Condition,
    ConditionStatus,
    LastError,
    MirrorStatus,
    Step,
    TablesStatus,
    read_status,
)
from peerdb_operator.api.times import parse_time
from peerdb_operator.mirror.rules.conditions import (
    AWAY,
    StatusUpdate,
    Urgency,
    Verdict,
    away,
    conditions,
    next_status,
    urgency,
    verdict,
)
from peerdb_operator.mirror.rules.desired import Desired
from peerdb_operator.mirror.rules.history import History
from peerdb_operator.mirror.rules.journal import Journal
from peerdb_operator.mirror.rules.observation import Observation, Owner, State
from tests.unit.core.builders import (
    CREATED,
    GENERATION,
    LONG_AGO,
    NO_WORKERS,
    NOBODYS,
    NOW,
    OTHERS,
    OURS,
    RECREATED,
    UNASKED,
    a_config,
    a_history,
    a_light_look,
    a_look,
    a_mapping,
    a_mirror,
    an_absence,
    an_operation,
    an_outage,
    settled_bounds,
)

RUNNING = verdict(Reason.RUNNING, "running as wished")
PAUSING = verdict(Reason.PAUSING, "the spec wants the mirror paused")


def reported(
    what: Verdict | None,
    before: MirrorStatus | None = None,
    *,
    mirror: Desired | None = None,
    look: Observation | None = None,
    history: History | None = None,
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
        a_history(seen) if history is None else history,
        StatusUpdate(what, Journal() if journal is None else journal, accept),
        now,
    )


def condition(status: MirrorStatus, kind: str) -> Condition:
    """The condition of that type; fails when it is absent."""
    return {each.type: each for each in status.conditions}[kind]


def kinds(status: MirrorStatus) -> list[str]:
    return [each.type for each in status.conditions]


# Conditions.


@pytest.mark.parametrize(
    ("what", "kind"), [(PAUSING, "Reconciling"), (verdict(Reason.MIRROR_FAILED, "failed"), "Stalled")]
)
def test_the_other_conditions_are_told_only_while_true(what: Verdict, kind: str) -> None:
    status = reported(what)
    assert kinds(status) == ["Ready", "Synced", kind]
    assert condition(status, kind).status is ConditionStatus.TRUE
    assert kinds(reported(RUNNING, status)) == ["Ready", "Synced"]


def test_a_long_message_is_cut_to_what_the_api_takes() -> None:
    assert len(condition(reported(replace(RUNNING, message="x" * 99_999)), "Ready").message) == MAX_MESSAGE


def test_the_transition_time_moves_only_when_the_status_flips() -> None:
    first = reported(RUNNING)
    errors = reported(verdict(Reason.RUNNING_WITH_ERRORS, "errors"), first, now=NOW + 10)
    assert condition(errors, "Ready").last_transition_time == NOW
    pausing = reported(PAUSING, errors, now=NOW + 20)
    assert condition(pausing, "Ready").last_transition_time == NOW + 20


def test_ready_stays_as_it_was_when_peerdb_is_away_for_a_moment() -> None:
    outage = away(Reason.PEERDB_UNAVAILABLE, "away", long=False)
    status = reported(outage, reported(RUNNING), mirror=a_mirror(generation=GENERATION + 1), look=an_outage())
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
    assert kinds(reported(away(Reason.PEERDB_UNAVAILABLE, "away", long=False), reported(before))) == expected


def test_ready_is_unknown_when_peerdb_was_away_from_the_beginning() -> None:
    status = reported(away(Reason.PEERDB_UNAVAILABLE, "away", long=False), look=an_outage())
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


FOREIGN = Condition(
    type="example.com/Audited",
    status=ConditionStatus.TRUE,
    reason="Checked",
    message="by somebody else",
    last_transition_time=LONG_AGO + 0.25,
)


def test_conditions_of_other_writers_are_kept_as_they_are_behind_ours() -> None:
    another = replace(FOREIGN, type="Approved")
    before = MirrorStatus(conditions=[FOREIGN, *reported(PAUSING).conditions, another])
    assert reported(RUNNING, before).conditions == [*reported(RUNNING, reported(PAUSING)).conditions, FOREIGN, another]


def test_a_condition_of_another_writer_is_written_back_as_it_was_read() -> None:
    (wire,) = MirrorStatus(conditions=[FOREIGN]).as_wire()["conditions"]
    assert read_status({"conditions": [wire]}).as_wire()["conditions"] == [wire]
    assert wire["lastTransitionTime"].endswith(".250000Z")


def test_our_conditions_find_room_when_other_writers_have_filled_the_list() -> None:
    strangers = [replace(FOREIGN, type=f"Stranger{number}") for number in range(MAX_CONDITIONS)]
    full = reported(PAUSING, MirrorStatus(conditions=strangers))
    assert kinds(full)[:3] == ["Ready", "Synced", "Reconciling"]
    assert len(full.conditions) == MAX_CONDITIONS


def test_nothing_is_written_before_the_first_verdict_because_another_writer_has_a_condition() -> None:
    before = MirrorStatus(conditions=[FOREIGN])
    assert urgency(before, reported(None, before), reported=False) is Urgency.NOTHING


# Generations.


@pytest.mark.parametrize("reason", sorted(set(Reason) - AWAY - {Reason.RECONCILE_DISABLED, Reason.INTERNAL_ERROR}))
def test_a_generation_counts_as_observed_when_it_was_evaluated(reason: Reason) -> None:
    assert reported(verdict(reason, "why")).observed_generation == GENERATION


@pytest.mark.parametrize("reason", sorted(AWAY | {Reason.RECONCILE_DISABLED, Reason.INTERNAL_ERROR}))
def test_a_generation_does_not_count_as_observed_when_nothing_was_evaluated(reason: Reason) -> None:
    status = reported(verdict(reason, "why"), reported(RUNNING), mirror=a_mirror(generation=GENERATION + 1))
    assert status.observed_generation == GENERATION
    assert reported(None).observed_generation == -1


# State.


def test_the_state_is_peerdbs_word_dated_from_its_first_look() -> None:
    status = reported(None, look=a_look(State.PAUSING), history=History(word="PAUSING", word_since=NOW - 7.5))
    assert (status.state, status.state_since) == ("Pausing", NOW - 8)


def test_a_state_keeps_its_date_while_it_lasts() -> None:
    before = reported(RUNNING, history=History(word="RUNNING", word_since=NOW - 100))
    after = reported(RUNNING, before, history=History(word="RUNNING", word_since=NOW))
    assert after.state_since == NOW - 100


def test_an_absent_mirror_is_missing() -> None:
    assert reported(None, reported(RUNNING), look=an_absence(), now=NOW + 5).state == "Missing"


def test_the_state_stays_when_peerdb_does_not_tell_it() -> None:
    before = reported(RUNNING)
    assert reported(None, before, look=an_outage()).state == "Running"
    unasked = next_status(before, a_mirror(), None, History(), StatusUpdate(None, Journal()), NOW)
    assert (unasked.state, unasked.state_since) == (before.state, before.state_since)


def test_an_unknown_word_never_makes_a_status_that_the_api_server_refuses() -> None:
    status = reported(None, look=a_look("X" * 500))
    assert read_status(status.as_wire()).state == status.state != ""


# Tables.


def test_tables_are_counted_against_the_live_list() -> None:
    mirror = a_mirror("public.a", "public.b", "public.c")
    status = reported(PAUSING, mirror=mirror, look=a_look(config=a_config("public.a", "public.old")))
    assert status.tables == TablesStatus(
        desired=3, replicating=1, adding=2, removing=1, summary="1/3 +1", pending=["public.b", "public.c", "public.old"]
    )


def test_only_the_first_pending_tables_are_named_each_within_the_limit() -> None:
    mirror = a_mirror("public.a", *(f"public.{number}{'x' * 240}" for number in range(30)))
    live = a_config("public.a", a_mapping("public." + "y" * 400))
    status = reported(PAUSING, mirror=mirror, look=a_look(config=live))
    assert status.tables is not None
    assert len(status.tables.pending) == MAX_PENDING
    few = reported(PAUSING, mirror=a_mirror("public.a"), look=a_look(config=live))
    assert read_status(few.as_wire()) == few


def test_tables_are_told_only_once_a_list_has_been_accepted() -> None:
    assert reported(RUNNING, accept=False).tables is None
    assert reported(RUNNING, reported(RUNNING), accept=False).tables is not None


def test_tables_vanish_when_the_spec_has_no_list() -> None:
    assert reported(RUNNING, reported(RUNNING), mirror=a_mirror(tables=None)).tables is None


@pytest.mark.parametrize(
    "look",
    [
        a_light_look(),
        a_look(config=NO_WORKERS),
        a_look(State.SNAPSHOT, a_config("public.z")),
        an_outage(),
    ],
)
def test_tables_stay_as_they_were_when_the_live_list_is_not_known(look: Observation) -> None:
    before = reported(RUNNING)
    assert reported(None, before, look=look).tables == before.tables


@pytest.mark.parametrize("look", [an_absence(), a_look(State.TERMINATED), a_light_look(created_at=RECREATED)])
def test_no_table_replicates_when_the_mirror_is_gone(look: Observation) -> None:
    mirror = a_mirror("public.a", "public.b")
    before = reported(RUNNING, mirror=mirror, look=a_look(config=a_config("public.a", "public.old")))
    assert before.tables is not None
    assert before.tables.summary == "1/2 +1"
    after = reported(verdict(Reason.MIRROR_NOT_FOUND, "gone"), before, mirror=mirror, look=look)
    assert after.tables == TablesStatus(desired=2, summary="0/2")


@pytest.mark.parametrize("reason", [Reason.ADOPTION_CONFLICT, Reason.MIRROR_NOT_OWNED, Reason.NAME_CONFLICT])
def test_a_list_is_not_accepted_of_a_mirror_that_took_the_place_of_ours_and_is_not_taken_over(reason: Reason) -> None:
    another = a_look(created_at=RECREATED, owner=NOBODYS)
    assert reported(verdict(reason, "not ours"), reported(RUNNING), look=another, accept=False).tables is None
    assert reported(verdict(reason, "as before"), reported(RUNNING), accept=False).tables is not None


# The mirror itself.


def test_the_mirror_is_known_by_its_creation_time_once_it_carries_our_tag() -> None:
    assert reported(RUNNING).created_at == CREATED
    assert reported(RUNNING, look=a_look(owner=NOBODYS), history=History(owner=(CREATED, NOBODYS))).created_at is None


@pytest.mark.parametrize("owner", [NOBODYS, OTHERS, UNASKED])
def test_a_mirror_that_took_the_place_of_ours_does_not_count_as_ours_before_it_is_taken_over(owner: Owner) -> None:
    another, history = a_look(created_at=RECREATED, owner=owner), History(owner=(RECREATED, owner))
    assert reported(None, reported(RUNNING), look=another, history=history).created_at == CREATED
    ours = a_look(created_at=RECREATED)
    assert (
        reported(RUNNING, reported(RUNNING), look=ours, history=History(owner=(RECREATED, OURS))).created_at
        == RECREATED
    )


def test_a_missing_workflow_stays_in_the_status_until_the_contrary_is_proven() -> None:
    orphan = a_history(a_look(), orphaned=True)
    first = reported(RUNNING, history=orphan)
    assert first.flow is not None
    assert (first.flow.verdict, first.flow.since) == (Reason.MIRROR_ORPHANED, NOW)
    assert how_soon(reported(RUNNING), first) is Urgency.NOW
    assert reported(RUNNING, first, history=orphan, now=NOW + 60).flow == first.flow
    assert reported(None, first, look=an_outage(), history=History()).flow == first.flow
    assert reported(RUNNING, first).flow is None
    assert reported(verdict(Reason.MIRROR_NOT_FOUND, "gone"), first, look=an_absence(), history=orphan).flow is None


def test_the_error_of_a_mirror_that_is_gone_is_not_kept_for_the_next_one() -> None:
    born = parse_time(RECREATED)
    ours = a_look(created_at=RECREATED)
    for age, kept in ((5.0, False), (-5.0, True)):
        before = MirrorStatus(last_error=LastError(message="broken", time=born - age))
        assert (reported(None, before, look=ours).last_error is not None) is kept


# Errors of the mirror's own log.


def error_after(before: LastError | None, error: tuple[str, float] | None) -> LastError | None:
    return reported(None, MirrorStatus(last_error=before), history=History(error=error)).last_error


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


def how_soon(before: MirrorStatus, after: MirrorStatus, *, reported: bool = True) -> Urgency:
    return urgency(before, after, reported=reported)


def test_nothing_is_written_when_nothing_has_changed() -> None:
    before = reported(RUNNING, journal=Journal(None, settled_bounds()))
    again = reported(RUNNING, read_status(before.as_wire()), journal=Journal(None, settled_bounds()), now=NOW + 300)
    assert how_soon(before, again) is Urgency.NOTHING


def test_nothing_is_written_before_there_is_anything_to_tell() -> None:
    assert how_soon(MirrorStatus(), reported(None), reported=False) is Urgency.NOTHING


def test_a_new_step_is_written_at_once() -> None:
    before, step = reported(RUNNING), Journal(an_operation(Step.PAUSE))
    pausing = reported(PAUSING, before, journal=step)
    assert how_soon(before, pausing) is Urgency.NOW
    again = reported(PAUSING, pausing, journal=Journal(an_operation(Step.PAUSE, age=0.5)))
    assert how_soon(pausing, again) is Urgency.NOW, "sent again, or its request ended without a reply"


def test_an_accepted_edit_rides_on_the_next_write() -> None:
    editing = verdict(Reason.EDITING, "sent")
    before = reported(editing, journal=Journal(an_operation(Step.EDIT)))
    accepted = reported(editing, before, journal=Journal(an_operation(Step.EDIT, accepted=True)))
    assert how_soon(before, accepted) is Urgency.PROGRESS


def test_a_verdict_at_rest_is_written_at_once() -> None:
    before = reported(PAUSING, journal=Journal(an_operation(Step.PAUSE)))
    assert how_soon(before, reported(verdict(Reason.PAUSED, "paused"), before)) is Urgency.NOW


def test_a_phase_is_written_only_if_it_lasts() -> None:
    edit = Journal(an_operation(), settled_bounds())
    before = reported(verdict(Reason.EDITING, "sent"), journal=edit)
    adding = reported(verdict(Reason.ADDING_TABLES, "copying"), before, look=a_look(State.SNAPSHOT), journal=edit)
    assert how_soon(before, adding) is Urgency.PHASE


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (State.TERMINATING, Reason.TERMINATING),
        (State.RESYNC, Reason.RESYNCING),
        (State.PAUSING, Reason.PAUSING),
        (State.SNAPSHOT, Reason.SNAPSHOTTING),
    ],
)
def test_what_somebody_else_does_to_a_mirror_is_written_at_once(state: State, reason: Reason) -> None:
    before = reported(RUNNING)
    after = reported(verdict(reason, "by hand"), before, look=a_look(state))
    assert how_soon(before, after) is Urgency.NOW


def test_the_state_on_the_way_is_progress_when_the_reason_tells_it_already() -> None:
    before = reported(PAUSING)
    pausing = reported(PAUSING, before, look=a_look(State.PAUSING))
    assert how_soon(before, pausing) is Urgency.PROGRESS


def test_texts_counts_and_errors_are_progress() -> None:
    copying = verdict(Reason.SNAPSHOTTING, "1 of 9 partitions")
    before = reported(copying, look=a_look(State.SNAPSHOT))
    further = reported(replace(copying, message="2 of 9 partitions"), before, look=a_look(State.SNAPSHOT))
    assert how_soon(before, further) is Urgency.PROGRESS


def test_bounds_at_rest_are_written_at_once() -> None:
    before = reported(RUNNING, journal=Journal(None, settled_bounds()))
    counted = reported(RUNNING, before, journal=Journal(None, settled_bounds(goal="g", attempts=1)))
    assert how_soon(before, counted) is Urgency.NOW

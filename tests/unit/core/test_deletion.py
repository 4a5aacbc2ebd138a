"""A Mirror goes: its PeerDB mirror is released, running and unharmed, or dropped knowingly, or nothing happens."""

from __future__ import annotations

from dataclasses import replace

import pytest

from peerdb_operator.api.mirror import DeletionPolicy, RunState
from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import Operation, Step
from peerdb_operator.mirror.rules.decision import Decision, Disarm, Observe, Release, Resume
from peerdb_operator.mirror.rules.desired import Desired
from peerdb_operator.mirror.rules.observation import Found, Observation, Owner, State
from tests.unit.core.builders import (
    CREATED,
    NOBODYS,
    NOW,
    OTHERS,
    RECREATED,
    RELEASED,
    Deletion,
    a_blind_look,
    a_case,
    a_config,
    a_deletion,
    a_light_look,
    a_look,
    a_mirror,
    an_absence,
    an_edit_of,
    an_operation,
    an_outage,
    deletion_of,
    reason_of,
)

DROP = a_mirror()
RETAIN = a_mirror(deletion_policy=DeletionPolicy.RETAIN)
RETAIN_PAUSED = a_mirror(deletion_policy=DeletionPolicy.RETAIN, runs=False)
BEFORE, AFTER = a_config("public.orders"), a_config("public.orders", "public.b")
LATE = a_deletion(deleted_at=NOW - 120)
CAUSES = [
    pytest.param(RETAIN, a_deletion(), True, id="Retain"),
    pytest.param(DROP, a_deletion(successor="data/heir"), True, id="hand over"),
    pytest.param(DROP, a_deletion(crd_terminating=True), False, id="CRD goes"),
    pytest.param(DROP, a_deletion(namespace_terminating=True), False, id="namespace goes"),
    pytest.param(RETAIN, a_deletion(crd_terminating=None, namespace_terminating=None), True, id="Retain, unread"),
]


def parting(
    mirror: Desired,
    look: Observation,
    deletion: Deletion | None = None,
    *,
    operation: Operation | None = None,
    frozen: bool = False,
    **history: object,
) -> Decision:
    """The plan for a Mirror that is being deleted."""
    return deletion_of(
        a_case(mirror, look, operation=operation, situation={"frozen": frozen}, history=history), deletion
    )


# Without a drop.


def test_nothing_is_done_when_our_finalizer_does_not_hold_the_object() -> None:
    decision = deletion_of(a_case(situation={"has_finalizer": False}))
    assert (decision.action, decision.verdict, decision.requeue.after) == (None, None, None)


@pytest.mark.parametrize(("mirror", "deletion", "hands_over"), CAUSES)
def test_a_running_mirror_is_released_without_a_command(
    mirror: Desired, deletion: Deletion, *, hands_over: bool
) -> None:
    assert parting(mirror, a_look(), deletion).action == Release(hands_over)


def test_an_object_whose_mirror_is_gone_is_released_at_once() -> None:
    decision = parting(RETAIN, an_absence())
    assert isinstance(decision.action, Release)
    assert "PeerDB has no such mirror" in decision.note


def test_a_mirror_is_never_dropped_with_the_crd_even_if_it_would_be_with_the_namespace() -> None:
    deletion = a_deletion(crd_terminating=True, namespace_terminating=True, drops_with_namespace=True)
    assert parting(DROP, a_look(), deletion).action == Release(hand_over=False)


@pytest.mark.parametrize("look", [a_look(), a_look(State.PAUSED), an_outage()])
def test_a_mirror_that_should_be_paused_is_released_as_it_is(look: Observation) -> None:
    assert parting(RETAIN_PAUSED, look).action == Release(hand_over=True)


@pytest.mark.parametrize("mirror", [RETAIN, RETAIN_PAUSED])
def test_the_tag_of_another_owner_is_never_overwritten(mirror: Desired) -> None:
    assert parting(mirror, a_look(owner=OTHERS)).action == Release(hand_over=False)
    assert parting(mirror, a_light_look()).action == Observe()


def test_a_missing_tag_is_read_twice_before_a_mirror_that_should_run_is_let_go() -> None:
    decision = parting(RETAIN, a_look(State.PAUSED, owner=NOBODYS))
    assert (decision.action, decision.requeue.after) == (None, 5.0)
    believed = parting(RETAIN, a_look(State.PAUSED, owner=NOBODYS), untagged=(CREATED, NOW - 5))
    assert believed.action == Release(hand_over=False)
    assert parting(RETAIN, a_look(State.PAUSED, owner=RELEASED)).action == Release(hand_over=False)


# A release does not leave behind a mirror that we stopped.


def test_a_paused_mirror_is_resumed_before_it_is_released() -> None:
    decision = parting(RETAIN, a_look(State.PAUSED))
    assert isinstance(decision.action, Resume)
    assert decision.action.operation is not None
    assert decision.action.operation.step is Step.RESUME
    assert (reason_of(decision), decision.requeue.after) == (Reason.RESUMING, 0.5)


def test_a_resume_without_effect_is_repeated() -> None:
    operation = an_operation(Step.RESUME, age=16)
    decision = parting(RETAIN, a_look(State.PAUSED), operation=operation)
    assert (decision.action, decision.journal.operation) == (Resume(None), operation)


def test_a_failed_resume_is_repeated_after_a_second() -> None:
    for age, expected in ((0.5, None), (1.0, Resume(None))):
        operation = an_operation(Step.RESUME, age=age)
        decision = parting(RETAIN, a_look(State.PAUSED), operation=operation, outcome_unknown="HTTP 503")
        assert decision.action == expected


@pytest.mark.parametrize(("age", "lasts"), [(31, 40), (6, 120)])
def test_an_edit_that_does_not_show_holds_no_resume_for_long(age: float, lasts: float) -> None:
    operation = an_edit_of(BEFORE, AFTER, age=age)
    decision = parting(RETAIN, a_look(State.PAUSED, BEFORE), operation=operation, paused_since=NOW - lasts)
    assert isinstance(decision.action, Resume)
    assert decision.journal.operation is None


@pytest.mark.parametrize(("stops", "longest"), [(True, 1.0), (False, 10.0)])
def test_a_release_asks_each_second_for_a_mirror_that_is_stopped(stops: bool, longest: float) -> None:
    decision = deletion_of(a_case(RETAIN, an_outage(), situation={"stops": stops}))
    assert (decision.requeue.after, decision.requeue.cap) == (1.0, longest)


@pytest.mark.parametrize(
    ("look", "operation"),
    [
        pytest.param(a_look(State.PAUSING), None, id="pausing"),
        pytest.param(a_look(), an_operation(Step.PAUSE), id="a pause on its way"),
        pytest.param(a_look(), an_operation(Step.PAUSE, age=20), id="a pause that may still come"),
        pytest.param(a_look(State.PAUSED), an_operation(Step.RESUME), id="a resume on its way"),
        pytest.param(a_look(State.PAUSED, BEFORE), an_edit_of(BEFORE, AFTER), id="an edit on its way"),
        pytest.param(a_look(State.SNAPSHOT, AFTER), an_edit_of(BEFORE, AFTER), id="an edit at work"),
        pytest.param(a_blind_look(State.PAUSED), an_edit_of(BEFORE, AFTER, age=29), id="an edit nobody can see"),
    ],
)
def test_a_release_waits_until_what_is_in_flight_is_over(look: Found, operation: Operation | None) -> None:
    decision = parting(RETAIN, look, operation=operation)
    assert (decision.action, decision.journal.operation) == (None, operation)
    assert reason_of(decision) is Reason.RESUMING


@pytest.mark.parametrize(
    ("look", "operation"),
    [
        pytest.param(a_look(), an_operation(Step.PAUSE, age=30), id="a pause that was lost"),
        pytest.param(a_look(), an_operation(Step.PAUSE, created_at=RECREATED), id="another mirror's pause"),
        pytest.param(a_look(config=AFTER), an_edit_of(BEFORE, AFTER), id="a proven edit"),
        pytest.param(a_look(), an_edit_of(BEFORE, AFTER, age=6, created_at=RECREATED), id="another mirror's edit"),
        pytest.param(a_look(State.SNAPSHOT), None, id="a copy that is not ours"),
    ],
)
def test_a_release_does_not_wait_longer_than_that(look: Found, operation: Operation | None) -> None:
    assert parting(RETAIN, look, operation=operation).action == Release(hand_over=True)


@pytest.mark.parametrize("runs", [True, False])
@pytest.mark.parametrize(
    ("look", "operation"),
    [
        pytest.param(a_look(config=BEFORE), an_edit_of(BEFORE, AFTER, age=6), id="a lost edit"),
        pytest.param(a_blind_look(), an_edit_of(BEFORE, AFTER, age=30), id="an edit nobody can see"),
        pytest.param(
            a_look(config=BEFORE), an_operation(Step.PAUSE, age=30, to=AFTER.fingerprint), id="behind a lost pause"
        ),
    ],
)
@pytest.mark.parametrize(("mirror", "deletion", "hands_over"), CAUSES)
def test_a_mirror_is_not_released_with_an_edit_that_its_next_pause_may_apply(
    mirror: Desired, deletion: Deletion, look: Found, operation: Operation, *, hands_over: bool, runs: bool
) -> None:
    mirror = replace(mirror, state=RunState.RUNNING if runs else RunState.PAUSED)
    decision = parting(mirror, look, deletion, operation=operation)
    assert (decision.action, decision.journal.operation, reason_of(decision)) == (Disarm(), None, Reason.EDITING)
    assert parting(mirror, look, deletion).action == Release(hands_over)


def test_an_edit_that_a_pause_has_applied_does_not_hold_a_release() -> None:
    fired = an_operation(Step.PAUSE, age=3, to=AFTER.fingerprint)
    assert parting(RETAIN, a_look(config=AFTER), operation=fired, pausing_seen=True).action == Release(hand_over=True)


def test_a_release_that_cannot_take_an_edit_back_says_so_after_two_minutes() -> None:
    edit = an_edit_of(BEFORE, AFTER, age=100)
    decision = parting(RETAIN, a_look(config=BEFORE), LATE, operation=edit, release_since=NOW - 120)
    assert decision.action == Release(hand_over=True, warns=True)
    assert "its next pause may apply an edit" in decision.note


def test_a_release_of_a_mirror_that_should_be_paused_waits_for_an_edit_in_flight() -> None:
    edit = an_edit_of(BEFORE, AFTER)
    decision = parting(RETAIN_PAUSED, a_look(State.PAUSED, BEFORE), operation=edit)
    assert (decision.action, decision.journal.operation) == (None, edit)
    assert parting(RETAIN_PAUSED, an_outage(), operation=edit).action is None
    settled = parting(RETAIN_PAUSED, a_blind_look(State.PAUSED), operation=replace(edit, sent_at=NOW - 30))
    assert settled.action == Release(hand_over=True)


@pytest.mark.parametrize(
    ("deleted_at", "since", "patient"),
    [
        (NOW - 120, NOW - 120, False),
        (NOW - 119, NOW - 999, True),
        (NOW - 999, NOW - 119, True),
        (NOW - 999, None, True),
    ],
)
@pytest.mark.parametrize("look", [an_outage(), a_look(State.PAUSING)])
def test_a_release_waits_two_minutes_at_most(
    look: Observation, deleted_at: float, since: float | None, *, patient: bool
) -> None:
    decision = parting(RETAIN, look, a_deletion(deleted_at=deleted_at), release_since=since)
    assert (decision.action is None) is patient
    if isinstance(decision.action, Release):
        assert decision.action == Release(hand_over=True, warns=True)
        assert '"orders" was not seen running again' in decision.note


@pytest.mark.parametrize(("age", "resumes"), [(14.0, False), (15.0, True)])
def test_a_mirror_without_a_workflow_is_asked_to_resume_no_oftener_than_any_command_is_repeated(
    age: float, *, resumes: bool
) -> None:
    decision = parting(RETAIN, a_look(State.PAUSED), orphaned=True, sent_at=NOW - age)
    assert isinstance(decision.action, Resume) is resumes
    assert resumes or decision.requeue.after == 1.0


def test_a_release_without_a_workflow_says_so_when_its_patience_ends() -> None:
    decision = parting(
        RETAIN, a_look(State.PAUSED), a_deletion(deleted_at=NOW - 200.0), orphaned=True, release_since=NOW - 200.0
    )
    assert decision.action == Release(hand_over=True, warns=True)
    assert "its workflow is gone" in decision.note


# Frozen.


@pytest.mark.parametrize(("mirror", "deletion", "_hands_over"), CAUSES)
def test_a_frozen_mirror_is_released_at_once_and_nothing_is_sent(
    mirror: Desired, deletion: Deletion, *, _hands_over: bool
) -> None:
    assert parting(mirror, a_look(State.PAUSED), deletion, frozen=True).action == Release(hand_over=False)


def test_a_frozen_mirror_is_not_dropped_but_its_surroundings_are_watched() -> None:
    decision = parting(DROP, a_look(), frozen=True)
    assert (reason_of(decision), decision.action, decision.requeue.after) == (Reason.RECONCILE_DISABLED, None, 60.0)


# Doubt.


@pytest.mark.parametrize("deletion", [a_deletion(crd_terminating=None), a_deletion(namespace_terminating=None)])
def test_nothing_is_dropped_before_kubernetes_tells_why_the_object_goes(deletion: Deletion) -> None:
    decision = parting(DROP, a_look(), deletion)
    assert (reason_of(decision), decision.action) == (Reason.DROP_BLOCKED, None)


@pytest.mark.parametrize(("since", "reason"), [(None, None), (NOW - 29, None), (NOW - 30, Reason.DROP_BLOCKED)])
def test_a_drop_waits_for_peerdb_and_says_so_when_it_lasts(since: float | None, reason: Reason | None) -> None:
    decision = parting(DROP, an_outage(), LATE, unknown_since=since, release_since=NOW - 120)
    assert (reason_of(decision), decision.action) == (reason, None)


@pytest.mark.parametrize(
    ("operation", "wait"), [(None, 5.0), (an_operation(Step.PAUSE), 5.0), (an_operation(Step.DROP), 2.0)]
)
def test_one_404_releases_nothing(operation: Operation | None, wait: float) -> None:
    decision = parting(DROP, an_outage(Reason.MIRROR_NOT_FOUND), operation=operation)
    assert (decision.action, decision.verdict, decision.requeue.after) == (None, None, wait)


def test_an_absent_mirror_counts_as_dropped_when_its_drop_was_sent() -> None:
    decision = parting(DROP, an_absence(), operation=an_operation(Step.DROP, age=100))
    assert decision.action == Release(hand_over=False, dropped=True)


def test_the_owner_tag_is_read_in_the_pass_that_drops() -> None:
    assert parting(DROP, a_light_look()).action == Observe()


@pytest.mark.parametrize("owner", [OTHERS, RELEASED])
@pytest.mark.parametrize("operation", [None, an_operation(Step.DROP, age=100)])
def test_a_mirror_that_is_not_ours_is_never_dropped(owner: Owner, operation: Operation | None) -> None:
    assert parting(DROP, a_look(owner=owner), operation=operation).action == Release(hand_over=False)


def test_a_missing_tag_is_read_twice_before_the_object_goes() -> None:
    assert parting(DROP, a_look(owner=NOBODYS)).requeue.after == 5.0
    decision = parting(DROP, a_look(owner=NOBODYS), untagged=(CREATED, NOW - 5))
    assert decision.action == Release(hand_over=False)


# A change of mind after the drop.


@pytest.mark.parametrize("look", [a_look(State.TERMINATING), a_look(), an_outage(), an_absence()])
@pytest.mark.parametrize(("mirror", "deletion", "_hands_over"), CAUSES)
def test_a_release_after_the_drop_says_that_the_drop_is_under_way(
    mirror: Desired, deletion: Deletion, look: Observation, *, _hands_over: bool
) -> None:
    decision = parting(mirror, look, deletion, operation=an_operation(Step.DROP, accepted=True))
    assert decision.action == Release(hand_over=False, warns=True)
    assert "its drop is already under way" in decision.note


@pytest.mark.parametrize("look", [a_look(State.PAUSED), a_look()])
def test_a_release_after_a_drop_that_nobody_answered_says_what_the_mirror_is_instead(look: Found) -> None:
    decision = parting(RETAIN, look, operation=an_operation(Step.DROP))
    assert decision.action == Release(hand_over=False, warns=True)
    assert f"may already be under way; the mirror is {look.state.capitalize()}: check it" in decision.note


def test_the_drop_of_an_earlier_mirror_of_the_name_is_not_under_way() -> None:
    operation = an_operation(Step.DROP, created_at=RECREATED)
    assert parting(RETAIN, a_look(), operation=operation).action == Release(hand_over=True)

"""What cannot be known or may not be touched: nothing is sent, and the status says so in time."""

from __future__ import annotations

import pytest

from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import Step
from peerdb_operator.mirror.rules.conditions import AWAY, ConditionChange
from tests.unit.core.builders import (
    GENERATION,
    NOW,
    a_case,
    a_light_look,
    a_mirror,
    an_absence,
    an_operation,
    an_outage,
    decision_of,
    reason_of,
    settled_bounds,
)


def test_a_frozen_mirror_is_left_alone_until_somebody_wakes_it() -> None:
    decision = decision_of(a_case(a_mirror("public.new"), situation={"frozen": True}))
    assert (reason_of(decision), decision.action, decision.requeue.after) == (Reason.RECONCILE_DISABLED, None, None)


@pytest.mark.parametrize("seconds", [0, 29.9])
def test_nothing_is_told_while_an_outage_is_short(seconds: float) -> None:
    decision = decision_of(a_case(look=an_outage(), history={"unknown_since": NOW - seconds}))
    assert (decision.verdict, decision.action) == (None, None)


def test_an_outage_is_looked_at_again_with_growing_distance_but_in_time_to_tell_it() -> None:
    fresh = decision_of(a_case(look=an_outage(), history={"unknown_since": NOW})).requeue
    assert (fresh.after, fresh.backoff, fresh.cap) == (1.0, Reason.PEERDB_UNAVAILABLE, 30.0)
    late = decision_of(a_case(look=an_outage(), history={"unknown_since": NOW - 29.5})).requeue
    assert (late.after, late.cap) == (0.5, 1.0)


@pytest.mark.parametrize("reason", sorted(AWAY))
def test_ready_stays_as_it_was_while_an_outage_lasts_less_than_five_minutes(reason: Reason) -> None:
    reported = decision_of(a_case(look=an_outage(reason), history={"unknown_since": NOW - 30})).verdict
    assert reported is not None
    assert (reported.reason, reported.ready, reported.synced) == (reason, ConditionChange.KEEP, ConditionChange.UNKNOWN)


@pytest.mark.parametrize(("lasts", "observed"), [(300, GENERATION), (30, GENERATION - 1)])
def test_ready_is_unknown_when_an_outage_is_long_or_a_new_generation_waits(lasts: float, observed: int) -> None:
    case = a_case(look=an_outage(), history={"unknown_since": NOW - lasts}, situation={"observed_generation": observed})
    reported = decision_of(case).verdict
    assert reported is not None
    assert reported.ready is ConditionChange.UNKNOWN


def test_what_only_time_or_a_human_heals_is_asked_again_slowly() -> None:
    look = an_outage(Reason.MAINTENANCE, slow=True)
    assert decision_of(a_case(look=look, history={"unknown_since": NOW - 100})).requeue.after == 30.0
    assert decision_of(a_case(look=look, history={"unknown_since": NOW})).requeue.after == 30.0


def test_a_first_404_is_asked_again_without_a_word() -> None:
    decision = decision_of(a_case(look=an_outage(Reason.MIRROR_NOT_FOUND), history={"unknown_since": NOW - 999}))
    assert (decision.verdict, decision.action, decision.requeue.after) == (None, None, 5.0)


def test_a_peerdb_that_is_too_old_is_told_at_once() -> None:
    decision = decision_of(a_case(look=an_outage(Reason.UNSUPPORTED_PEERDB)))
    assert (reason_of(decision), decision.requeue.after) == (Reason.UNSUPPORTED_PEERDB, 60.0)


def test_an_outage_leaves_the_journal_as_it_is() -> None:
    operation = an_operation(Step.PAUSE, age=500)
    assert decision_of(a_case(look=an_outage(), operation=operation)).journal.operation == operation


def test_counts_of_an_older_generation_are_not_rewritten_by_a_pass_that_tells_nothing() -> None:
    older = settled_bounds(generation=GENERATION - 1, attempts=1, goal="old")
    assert decision_of(a_case(look=an_outage(), bounds=older)).journal.bounds == older
    assert decision_of(a_case(bounds=older)).journal.bounds == settled_bounds()


@pytest.mark.parametrize(
    ("lasts", "observed", "ready"),
    [
        (29, GENERATION, None),
        (30, GENERATION, ConditionChange.KEEP),
        (30, GENERATION - 1, ConditionChange.UNKNOWN),
        (300, GENERATION, ConditionChange.UNKNOWN),
    ],
)
def test_a_word_that_nobody_knows_is_waited_out_and_told_like_an_outage(
    lasts: float, observed: int, ready: ConditionChange | None
) -> None:
    case = a_case(
        look=a_light_look("DEFROSTING"),
        history={"word_since": NOW - lasts},
        situation={"observed_generation": observed},
    )
    decision = decision_of(case)
    assert (decision.action, decision.requeue.after) == (None, 10.0)
    reported = decision.verdict
    assert (None if reported is None else reported.ready) is ready
    assert reported is None or (reported.reason is Reason.UNEXPECTED_REPLY and "DEFROSTING" in reported.message)


def test_an_absent_mirror_closes_what_was_in_flight_and_is_looked_for_slowly() -> None:
    decision = decision_of(a_case(look=an_absence(), operation=an_operation()))
    assert (reason_of(decision), decision.requeue.after) == (Reason.MIRROR_NOT_FOUND, 60.0)
    assert decision.journal.operation is None
    assert decision.verdict is not None
    assert '"orders"' in decision.verdict.message

"""Bounds: what keeps a wish that PeerDB does not follow from stopping a mirror for ever."""

from __future__ import annotations

from dataclasses import replace

import pytest

from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import Bounds, Correction
from peerdb_operator.mirror.rules.change import identity
from peerdb_operator.mirror.rules.journal import (
    KEPT_CORRECTIONS,
    after_proven,
    after_sending,
    after_settling,
    after_unproven,
    blocked_by,
    corrections_of,
    for_generation,
)
from peerdb_operator.peerdb.models import ConfigUpdate
from tests.unit.core.builders import GENERATION, LIMITS, NOW, a_config, a_mapping, settled_bounds

LIVE = a_config("public.a")
EDIT = ConfigUpdate(additions=(a_mapping("public.b"),))
GOAL = EDIT.applied_to(LIVE).fingerprint
MINUTE = 60.0


def withheld_reason(bounds: Bounds, now: float = NOW) -> Reason | None:
    held = blocked_by(bounds, EDIT, LIVE, LIMITS, now)
    return None if held is None else held.reason


def after_corrections(times: list[float]) -> Bounds:
    """A settled generation in which the same difference was corrected, and proven, at these times."""
    bounds = settled_bounds()
    for time in times:
        bounds = after_proven(after_sending(bounds, EDIT, time), LIMITS, time)
    return bounds


def test_counts_start_afresh_when_the_generation_is_another() -> None:
    counted = settled_bounds(goal=GOAL, attempts=5, not_before=NOW + 1, refused=Reason.EDIT_TOO_LARGE)
    assert for_generation(counted, GENERATION) is counted
    assert for_generation(counted, GENERATION + 1) == Bounds(generation=GENERATION + 1, settled=GENERATION)


def test_an_edit_is_withheld_for_ten_minutes_after_two_that_stayed_unproven() -> None:
    twice = after_unproven(after_unproven(settled_bounds(), GOAL, LIMITS, NOW), GOAL, LIMITS, NOW)
    assert withheld_reason(twice) is Reason.EDIT_NOT_APPLIED
    assert withheld_reason(twice, NOW + 10 * MINUTE) is None


def test_each_further_failure_doubles_the_wait_up_to_six_hours() -> None:
    bounds, waits = settled_bounds(), []
    for _ in range(9):
        bounds = after_unproven(bounds, GOAL, LIMITS, NOW)
        waits.append(0.0 if bounds.not_before is None else (bounds.not_before - NOW) / MINUTE)
    assert waits == [0, 10, 20, 40, 80, 160, 320, 360, 360]
    assert withheld_reason(bounds) is Reason.EDIT_NOT_APPLIED, "from the first moment of the longest wait on"


def test_only_the_goal_that_failed_is_withheld() -> None:
    elsewhere = settled_bounds(goal="another", attempts=2, not_before=NOW + MINUTE)
    assert withheld_reason(elsewhere) is None


@pytest.mark.parametrize("refused", [Reason.EDIT_NOT_APPLIED, Reason.EDIT_TOO_LARGE])
def test_a_refused_edit_uses_the_attempts_up_at_once(refused: Reason) -> None:
    bounds = after_unproven(settled_bounds(), GOAL, LIMITS, NOW, refused=refused)
    held = blocked_by(bounds, EDIT, LIVE, LIMITS, NOW)
    assert held is not None
    assert (held.reason, held.until) == (refused, NOW + 10 * MINUTE)
    assert "refuses" in held.message


def test_a_refusal_is_forgotten_when_a_later_try_is_merely_unproven() -> None:
    refused = after_unproven(settled_bounds(), GOAL, LIMITS, NOW, refused=Reason.EDIT_TOO_LARGE)
    again = after_unproven(refused, GOAL, LIMITS, NOW)
    assert withheld_reason(again) is Reason.EDIT_NOT_APPLIED


def test_a_proven_edit_clears_the_count() -> None:
    failed = after_unproven(settled_bounds(), GOAL, LIMITS, NOW, refused=Reason.EDIT_NOT_APPLIED)
    assert after_proven(failed, LIMITS, NOW) == settled_bounds()


def test_an_edit_is_no_correction_before_its_generation_has_settled() -> None:
    fresh = Bounds(generation=GENERATION, settled=GENERATION - 1)
    assert after_sending(fresh, EDIT, NOW) is fresh


def test_two_corrections_within_an_hour_are_not_a_loop() -> None:
    assert withheld_reason(after_corrections([NOW - 20, NOW - 10])) is None


def test_three_corrections_within_an_hour_are_a_loop() -> None:
    bounds = after_corrections([NOW - 20, NOW - 10, NOW])
    assert withheld_reason(bounds) is Reason.DRIFT_LOOP
    assert bounds.not_before == NOW + 10 * MINUTE


def test_a_loop_holds_only_the_difference_that_loops() -> None:
    bounds = after_corrections([NOW - 20, NOW - 10, NOW])
    other = ConfigUpdate(additions=(a_mapping("public.z"),))
    assert blocked_by(bounds, other, LIVE, LIMITS, NOW) is None


def test_corrections_over_an_hour_old_are_forgotten() -> None:
    assert withheld_reason(after_corrections([NOW - 4000, NOW - 3700, NOW])) is None


def test_a_loop_that_goes_on_waits_twice_as_long() -> None:
    bounds = after_corrections([NOW - 620, NOW - 610, NOW - 601, NOW])
    assert bounds.not_before == NOW + 20 * MINUTE


def test_a_loop_is_remembered_for_longer_than_its_own_wait() -> None:
    slow = settled_bounds(attempts=7, corrections=(Correction(identity(EDIT), NOW - 5 * 3600.0),))
    assert corrections_of(slow, identity(EDIT), LIMITS, NOW) == 1
    assert corrections_of(replace(slow, attempts=0), identity(EDIT), LIMITS, NOW) == 0
    first = settled_bounds(attempts=2, corrections=(Correction(identity(EDIT), NOW - 3600.0 - 599.0),))
    assert corrections_of(first, identity(EDIT), LIMITS, NOW) == 1


def test_only_the_newest_corrections_are_kept() -> None:
    bounds = settled_bounds()
    for number in range(KEPT_CORRECTIONS + 3):
        bounds = after_sending(bounds, EDIT, NOW + number)
    assert [each.time for each in bounds.corrections] == [NOW + 3 + number for number in range(KEPT_CORRECTIONS)]


def test_a_wait_beyond_the_longest_is_ignored_when_a_hand_has_written_it() -> None:
    assert withheld_reason(settled_bounds(goal=GOAL, attempts=2, not_before=NOW + 7 * 3600.0)) is None


def test_settling_is_remembered_once() -> None:
    settled = after_settling(Bounds(generation=GENERATION))
    assert settled.settled == GENERATION
    assert after_settling(settled) is settled

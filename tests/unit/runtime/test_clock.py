"""The real clock, on a fake wall clock and a fake steady one."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerdb_operator.runtime.clock import (
    LASTING_SECONDS,
    LEAD,
    LOST_AFTER_SECONDS,
    LOST_SECONDS,
    SystemClock,
    steady_seconds,
)

DAY = 86_400.0


class FakeTime:
    def __init__(self) -> None:
        self.wall = 1000.0
        self.steady = 5.0
        self.clock = SystemClock(lambda: self.wall, lambda: self.steady)

    def now(self) -> float:
        return self.clock.now()

    def pass_seconds(self, seconds: float) -> None:
        """Let time pass as it does in the process, where the clock is read several times a second."""
        while seconds > 0:
            step = min(seconds, 0.5)
            self.wall += step
            self.steady += step
            seconds -= step
            self.now()


def test_it_shows_the_wall_clock_when_that_runs_evenly() -> None:
    fake = FakeTime()
    fake.pass_seconds(7)
    assert fake.now() == pytest.approx(1007)


def test_a_drift_is_followed_at_once() -> None:
    fake = FakeTime()
    for _ in range(600):
        fake.wall += 0.01
        fake.pass_seconds(1)
    assert fake.now() == pytest.approx(fake.wall, abs=0.02)


@pytest.mark.parametrize("jump", [DAY, -DAY, 90.0, -90.0])
def test_a_jump_that_is_taken_back_leaves_no_trace(jump: float) -> None:
    fake = FakeTime()
    fake.pass_seconds(1)
    fake.wall += jump
    fake.pass_seconds(LASTING_SECONDS - 1)
    assert fake.now() == pytest.approx(1000 + LASTING_SECONDS)
    fake.wall -= jump
    fake.pass_seconds(3600)
    assert fake.now() == pytest.approx(fake.wall)


@pytest.mark.parametrize("jump", [600.0, -600.0])
def test_a_correction_that_lasts_is_followed_within_ten_times_its_size(jump: float) -> None:
    fake = FakeTime()
    fake.wall += jump
    fake.pass_seconds(LASTING_SECONDS + abs(jump) / LEAD + 1)
    assert fake.now() == pytest.approx(fake.wall)
    fake.pass_seconds(10)
    assert fake.now() == pytest.approx(fake.wall)


@pytest.mark.parametrize("jump", [600.0, DAY])
def test_a_patience_of_two_minutes_ends_neither_early_nor_never_when_the_clock_is_set(jump: float) -> None:
    for signed in (jump, -jump):
        fake = FakeTime()
        fake.wall += signed
        fake.pass_seconds(LASTING_SECONDS)
        began, began_steadily = fake.now(), fake.steady
        while fake.now() - began < 120:
            fake.pass_seconds(0.5)
        assert 109 <= fake.steady - began_steadily <= 134


@given(st.lists(st.tuples(st.floats(0, 3600), st.floats(-DAY, DAY)), max_size=30))
def test_a_duration_is_never_negative_and_never_wrong_by_more_than_a_tenth(steps: list[tuple[float, float]]) -> None:
    fake = FakeTime()
    for seconds, jump in steps:
        before = fake.now()
        fake.wall += seconds + jump
        fake.steady += seconds
        shown = fake.now() - before
        assert (1 - LEAD) * seconds - 1e-3 <= shown <= (1 + LEAD) * seconds + 1e-3


@pytest.mark.parametrize("jump", [LOST_SECONDS + 120, -LOST_SECONDS - 120])
def test_a_large_correction_that_lasts_is_a_problem_until_it_is_taken_back(jump: float) -> None:
    fake = FakeTime()
    assert fake.clock.problem() is None
    fake.wall += jump
    fake.pass_seconds(LOST_AFTER_SECONDS - 1)
    assert fake.clock.problem() is None
    fake.pass_seconds(2)
    direction = "forward" if jump > 0 else "back"
    assert str(fake.clock.problem()).startswith(f"the system's clock was set {direction} by 36")
    fake.wall -= jump
    assert fake.clock.problem() is None


def test_a_small_correction_is_no_problem() -> None:
    fake = FakeTime()
    fake.wall += 600
    fake.pass_seconds(LOST_AFTER_SECONDS + 1)
    assert fake.clock.problem() is None


def test_a_suspended_machine_is_no_jump() -> None:
    fake = FakeTime()
    fake.wall += 7200
    fake.steady += 7200
    assert fake.now() == pytest.approx(fake.wall)


def test_the_steady_clock_of_the_system_passes_like_any_other() -> None:
    outer, before, inner = time.monotonic(), steady_seconds(), time.monotonic()
    time.sleep(0.05)
    least, passed = time.monotonic() - inner, steady_seconds() - before
    assert least - 0.01 <= passed <= time.monotonic() - outer + 0.01
    earlier = time.time()
    assert earlier - 1 <= SystemClock().now() <= time.time() + 1

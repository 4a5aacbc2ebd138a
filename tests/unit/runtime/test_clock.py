"""The real clock, on fake sources."""

from peerdb_operator.runtime.clock import SystemClock


class FakeTime:
    def __init__(self) -> None:
        self.wall = 1000.0
        self.monotonic = 5.0

    def clock(self) -> SystemClock:
        return SystemClock(lambda: self.wall, lambda: self.monotonic)

    def pass_seconds(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds


def test_it_follows_the_wall_clock_when_that_runs_evenly_or_is_set_forward() -> None:
    time = FakeTime()
    clock = time.clock()
    time.pass_seconds(7)
    assert clock.now() == 1007
    time.wall += 3600
    assert clock.now() == 4607


def test_it_neither_goes_back_nor_stands_still_when_the_wall_clock_is_set_back() -> None:
    time = FakeTime()
    clock = time.clock()
    time.pass_seconds(10)
    assert clock.now() == 1010
    time.wall -= 3600
    time.pass_seconds(5)
    assert clock.now() == 1015
    time.pass_seconds(5)
    assert clock.now() == 1020


def test_it_catches_up_when_the_machine_slept() -> None:
    time = FakeTime()
    clock = time.clock()
    time.wall += 600
    assert clock.now() == 1600

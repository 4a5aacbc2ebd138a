"""What the person who waits is shown, and how often."""

import io

from tests.harness.gotools.progress import Progress, remaining, spoken
from tests.unit.harness_controlplane.support import FakeSteadyClock, FakeTerminal


def test_a_line_comes_at_most_every_ten_seconds_when_the_output_is_no_terminal() -> None:
    clock, output = FakeSteadyClock(), io.StringIO()
    progress = Progress(output, clock.now)

    progress.begin("Compiling", 100, "packages")
    for _ in range(50):
        clock.seconds += 1
        progress.advance()
    progress.end()

    assert output.getvalue().splitlines() == [
        "Compiling: 0 of 100 packages, 0 s so far",
        "Compiling: 10 of 100 packages, 10 s so far, about 2 min left",
        "Compiling: 20 of 100 packages, 20 s so far, about 1 min left",
        "Compiling: 30 of 100 packages, 30 s so far, about 1 min left",
        "Compiling: 40 of 100 packages, 40 s so far, about 1 min left",
        "Compiling: 50 of 100 packages, 50 s so far, less than 1 min left",
        "Compiling: done, 50 packages in 50 s.",
    ]


def test_one_line_is_rewritten_when_the_output_is_a_terminal() -> None:
    clock, output = FakeSteadyClock(), FakeTerminal()
    progress = Progress(output, clock.now)

    progress.begin("Compiling", 2, "packages")
    for _ in range(2):
        clock.seconds += 0.2
        progress.advance()
    progress.end()

    lines = output.getvalue().split("\r\x1b[2K")
    assert lines[1:3] == ["Compiling: 0 of 2 packages, 0 s so far", "Compiling: 1 of 2 packages, 0 s so far"]
    assert lines[-1] == "Compiling: done, 2 packages in 0 s.\n"


def test_a_terminal_is_not_flooded_when_packages_finish_at_once() -> None:
    output = FakeTerminal()
    progress = Progress(output, FakeSteadyClock().now)

    progress.begin("Compiling", 1000, "packages")
    for _ in range(1000):
        progress.advance()

    assert output.getvalue().count("\r") == 1


def test_no_estimate_is_given_when_there_is_too_little_to_go_by() -> None:
    assert remaining(0, 100, 60) == ""
    assert remaining(1, 100, 1) == ""
    assert remaining(100, 100, 60) == ""


def test_the_estimate_is_longer_when_later_units_are_heavier() -> None:
    assert remaining(25, 100, 60) == ", about 3 min left"
    assert remaining(25, 100, 60, slowing=1.5) == ", about 7 min left"


def test_durations_are_spoken_in_minutes_when_they_are_long() -> None:
    assert [spoken(seconds) for seconds in (0.4, 59, 61, 600)] == ["0 s", "59 s", "1 min 1 s", "10 min 0 s"]

"""The rate limit on drops: a token bucket."""

import pytest

from peerdb_operator.mirror.claims import DropRateLimiter

NOW = 10_000.0


def a_limiter(most: int, seconds: float, *, taken: int = 0) -> DropRateLimiter:
    limiter = DropRateLimiter(most, seconds)
    for number in range(taken):
        limiter.take(f"earlier-{number}", NOW, NOW)
    return limiter


def test_as_many_drops_as_the_bucket_holds_go_at_once_and_then_one_each_refill() -> None:
    limiter = a_limiter(5, 600.0)
    for number in range(5):
        assert limiter.wait(NOW) == 0.0
        limiter.take(f"drop-{number}", NOW, NOW)
    assert limiter.wait(NOW) == 120.0
    assert limiter.wait(NOW + 90.0) == pytest.approx(30.0)
    assert limiter.wait(NOW + 120.0) == 0.0
    limiter.take("drop-5", NOW + 120.0, NOW + 120.0)
    assert limiter.wait(NOW + 120.0) == pytest.approx(120.0)


def test_a_bucket_that_starts_empty_gives_its_first_token_after_one_refill() -> None:
    limiter = a_limiter(5, 600.0)
    limiter.start_empty(NOW)
    assert limiter.wait(NOW) == 120.0
    assert limiter.wait(NOW + 120.0) == 0.0


def test_the_same_drop_takes_one_token_however_often_it_is_reported() -> None:
    limiter = a_limiter(2, 600.0)
    for _ in range(3):
        limiter.take("drop", NOW, NOW)
    assert limiter.wait(NOW) == 0.0


def test_drops_of_a_former_process_have_refilled_since() -> None:
    limiter = DropRateLimiter(2, 600.0)
    limiter.take("older", NOW - 400.0, NOW)
    limiter.take("newer", NOW - 200.0, NOW)
    assert limiter.wait(NOW) == 0.0
    limiter.take("drop", NOW, NOW)
    assert limiter.wait(NOW) == pytest.approx(200.0)


def test_a_drop_of_long_ago_takes_no_token() -> None:
    limiter = DropRateLimiter(1, 600.0)
    limiter.take("old", NOW - 600.0, NOW)
    assert limiter.wait(NOW) == 0.0


def test_a_drop_that_another_clock_sent_in_the_future_counts_from_now() -> None:
    limiter = DropRateLimiter(1, 600.0)
    limiter.take("ahead", NOW + 3600.0, NOW)
    assert limiter.wait(NOW) == 600.0


def test_a_drop_that_was_not_taken_gives_its_token_back_once() -> None:
    limiter = a_limiter(1, 600.0)
    limiter.take("drop", NOW, NOW)
    for _ in range(2):
        limiter.give_back("drop")
    limiter.give_back("nobody")
    assert limiter.wait(NOW) == 0.0
    limiter.take("drop", NOW, NOW)
    assert limiter.wait(NOW) == 600.0


def test_a_wait_that_is_nearly_over_is_a_second() -> None:
    limiter = a_limiter(1, 600.0, taken=1)
    assert limiter.wait(NOW + 599.9) == 1.0

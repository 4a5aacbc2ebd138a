"""Times between the API's words and the product's numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerdb_operator.api.times import format_micros, format_seconds, parse_time

YEARS_1970_TO_2200 = st.floats(min_value=0, max_value=7_258_118_400)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("2026-01-31T12:00:00Z", 1_769_860_800.0),
        ("2026-01-31T13:00:00+01:00", 1_769_860_800.0),
        ("2026-01-31T12:00:00.25Z", 1_769_860_800.25),
        ("2026-01-31T12:00:00.123456789Z", 1_769_860_800.123456),
    ],
)
def test_a_time_is_read_when_it_has_a_zone(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "2026-01-31", "2026-01-31T12:00:00", "2026-13-31T12:00:00Z"])
def test_a_time_is_refused_when_it_is_none_or_has_no_zone(text: str) -> None:
    with pytest.raises(ValueError, match=r"isoformat|zone|month"):
        parse_time(text)


def test_a_second_is_not_rounded_up_when_it_is_not_over() -> None:
    assert format_seconds(1_769_860_800.999) == "2026-01-31T12:00:00Z"
    assert format_micros(1_769_860_800.25) == "2026-01-31T12:00:00.250000Z"


@given(YEARS_1970_TO_2200)
def test_a_time_comes_back_to_the_microsecond_when_it_is_written_and_read(seconds: float) -> None:
    assert parse_time(format_micros(seconds)) == pytest.approx(seconds, abs=1e-6)
    assert parse_time(format_seconds(seconds)) == seconds // 1

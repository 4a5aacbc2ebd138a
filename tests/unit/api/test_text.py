"""Text on one line: what names and values may contain, and how what others wrote is shown."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerdb_operator.api.text import PLAIN_PATTERN, is_plain, on_one_line

SPOILED_BY_CEL = r"[\x00-\x1f\x7f-\x9f]|^ | \Z"
"""What the rule in the CRD looks for; ``\\p{Cc}`` there."""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("public.orders", "public.orders"),
        ("Bestände 注文", "Bestände 注文"),
        ("a\nERROR b", "a\\nERROR b"),
        ("a\r\n\tb", "a\\r\\n\\tb"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("a\x00b\x7fc\x85d", "a\\x00b\\x7fc\\x85d"),
        ("a\u2028b\u2029c", "a\\u2028b\\u2029c"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("half of \ud83d", "half of \\ud83d"),
        ("", ""),
    ],
)
def test_what_does_not_print_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert on_one_line(text) == shown


@given(st.text(st.characters(codec=None)))
def test_a_shown_text_is_one_line_that_can_be_encoded_whatever_was_written(text: str) -> None:
    shown = on_one_line(text)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    assert shown.encode().decode() == shown
    assert on_one_line(shown) == shown


@given(st.text(st.sampled_from("a ö.\n\t\x00\x1f\x7f\x80\x9f\xa0"), min_size=1, max_size=5))
def test_the_pattern_and_the_rule_of_the_crd_refuse_the_same(text: str) -> None:
    assert is_plain(text) is (re.search(SPOILED_BY_CEL, text) is None)
    assert is_plain(text) is (re.fullmatch(PLAIN_PATTERN, text) is not None)

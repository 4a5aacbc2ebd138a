"""Text on one line: what the names and values of a spec may contain, and how text that others wrote is shown.

A line break in the name of a table would forge a line of a log, an escape sequence would paint a terminal, and a blank
at the end of a name is invisible. So a spec has none of them, in the CRD and here; what PeerDB says may have any,
and is shown through ``on_one_line`` wherever it leaves the operator: conditions, Events, log lines.
"""

import re
from typing import Final

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from peerdb_operator.api.schema import Rule

PLAIN_PATTERN: Final = r"^[^\x00-\x20\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\x9f])?$"
"""For lists, in which the API server has no budget for a rule; Go, Rust, Python and JavaScript read it alike."""

PLAIN: Final = "must not contain control characters such as line breaks, nor begin or end with a blank"
NOT_PLAIN: Final = "not_plain"
"""The type of the error that pydantic raises for it."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SPOILED: Final = r"matches(r'\p{Cc}|^ | $')"
PLAIN_TEXT: Final = Rule(f"!self.{_SPOILED}", PLAIN)
PLAIN_VALUES: Final = Rule(
    f"self.all(key, !self[key].{_SPOILED})",
    f"the values {PLAIN}",
    f"'the value of ' + self.filter(key, self[key].{_SPOILED})[0] + ' {PLAIN}'",
)


def is_plain(text: str) -> bool:
    """Whether a text may be a name or a value; an empty one is the caller's matter."""
    return text == text.strip(" ") and (text.isprintable() or _CONTROL.search(text) is None)


def _require_plain(text: str) -> str:
    if not is_plain(text):
        raise PydanticCustomError(NOT_PLAIN, PLAIN)
    return text


Plain: Final = AfterValidator(_require_plain)
"""The rules ``PLAIN_TEXT`` and ``PLAIN_VALUES`` once more, at run time."""


def on_one_line(text: str) -> str:
    r"""``text`` with every character that does not print as an escape: ``\n``, ``\x1b``, ``\u2028``."""
    return text if text.isprintable() else "".join(map(_printed, text))


def _printed(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")

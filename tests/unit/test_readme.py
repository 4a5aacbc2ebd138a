"""The README keeps what it promises: every reason is explained, every file it names exists."""

from pathlib import Path

import pytest

from peerdb_operator.api.reasons import Reason
from peerdb_operator.mirror.rules.conditions import ROWS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained(reason: Reason) -> None:
    assert f"`{reason}`" in README
    assert reason in ROWS


def test_the_two_commands_come_first() -> None:
    first_block = README.split("```")[1]

    assert "make demo" in first_block
    assert "make test" in first_block

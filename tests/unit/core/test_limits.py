"""Doubling waits: bounded, and safe for every count that a status may carry."""

from __future__ import annotations

import pytest

from peerdb_operator.mirror.rules.limits import doubling


@pytest.mark.parametrize(("times", "seconds"), [(-3, 600), (0, 600), (1, 1200), (5, 19200), (6, 21600), (10**9, 21600)])
def test_a_wait_doubles_up_to_its_longest(times: int, seconds: float) -> None:
    assert doubling(600, times, 21600) == seconds

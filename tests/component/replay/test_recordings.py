"""Recordings of a real PeerDB, played against the simulator; collected only where there are some."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.component.replay.folder import recordings
from tests.harness.replay.__main__ import report
from tests.harness.replay.recording import load
from tests.harness.replay.search import play


@pytest.mark.parametrize("path", recordings(), ids=lambda path: path.stem)
def test_simulator_answers_like_the_real_peerdb_when_a_recording_is_played(path: Path) -> None:
    scenario = load(path)

    outcome = play(scenario)

    assert outcome.compared > 0
    assert outcome.differences == [], report(scenario, outcome)

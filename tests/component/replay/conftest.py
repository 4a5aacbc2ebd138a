"""Where recordings of a real PeerDB are found, and one line in the summary when there are none to play."""

from __future__ import annotations

import pytest

from tests.component.replay.folder import VARIABLE, recordings

collect_ignore = [] if recordings() else ["test_recordings.py"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say whether recordings were played."""
    count = len(recordings())
    line = (
        f"replay: {count} recordings" if count else f"replay: not collected ({VARIABLE} names no folder of recordings)"
    )
    terminalreporter.write_line(line)

"""Our models read recordings of a real PeerDB where there are any: ``PEERDB_TRANSCRIPTS`` names the folder."""

import os
from pathlib import Path

import pytest

RECORDINGS = os.environ.get("PEERDB_TRANSCRIPTS", "")
HAVE_RECORDINGS = bool(RECORDINGS) and Path(RECORDINGS).is_dir()

collect_ignore = [] if HAVE_RECORDINGS else ["test_peerdb_recordings.py"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not HAVE_RECORDINGS:
        why = "does not exist" if RECORDINGS else "is not set"
        terminalreporter.write_line(f"models against PeerDB recordings: not collected, PEERDB_TRANSCRIPTS {why}")

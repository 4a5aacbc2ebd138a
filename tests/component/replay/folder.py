"""The folder of recordings that the environment names."""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
VARIABLE = "PEERDB_TRANSCRIPTS"


def recordings() -> list[Path]:
    """The recordings in the folder, sorted; empty without the variable or the folder."""
    named = os.environ.get(VARIABLE)
    return sorted(Path(named).glob("*.jsonl")) if named else []


def summary() -> str:
    """One line that says whether there was anything to play."""
    count = len(recordings())
    if count:
        return f"replay: {count} recordings"
    named = os.environ.get(VARIABLE)
    where = f"there is no recording in {named}" if named else "it is not set"
    return f"replay: not collected; {VARIABLE} names a folder of recordings, and {where}"

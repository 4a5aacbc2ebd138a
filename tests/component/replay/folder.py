"""The folder of recordings that the environment names."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "PEERDB_TRANSCRIPTS"


def recordings() -> list[Path]:
    """The recordings in the folder, sorted; empty without the variable or the folder."""
    named = os.environ.get(VARIABLE)
    return sorted(Path(named).glob("*.jsonl")) if named else []

"""A run says in one line whether recordings were played, however many workers it has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.component.replay.folder import VARIABLE

ROOT = Path(__file__).parents[3]
OTHERS = [folder for folder in (ROOT / "tests" / "component").iterdir() if folder.is_dir() and folder.name != "replay"]
ONE_TEST = "test_it_names_lines_of_an_unknown_kind_when_it_meets_them"


def a_run(folder: str, *asked: str) -> list[str]:
    """The output of a run of one test, with this folder of recordings."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", ONE_TEST, *asked],
        cwd=ROOT,
        env={**environ, VARIABLE: folder},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.OK, done.stdout
    return done.stdout.splitlines()


def test_the_run_says_so_when_there_is_nothing_to_play() -> None:
    lines = a_run("nowhere", "tests/component", "-n1", *(f"--ignore={other}" for other in OTHERS))

    assert [line for line in lines if line.startswith("replay:")] == [
        "replay: not collected; PEERDB_TRANSCRIPTS names a folder of recordings, and there is no recording in nowhere"
    ]
    assert lines[-1].startswith("1 passed")

"""The keeper: programs never outlive the run that asked for them, however it ends.

The programs here are small ones that hold a named pipe open: its other end reads to the end when they are gone.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.controlplane.supervision import Supervision
from tests.unit.harness_controlplane.support import a_process

WAITS = "import signal, sys; pipe = open(sys.argv[1], 'w'); pipe.write('up'); pipe.flush(); signal.pause()"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAITS}"
RUN = """
import pathlib, signal, sys
from tests.harness.controlplane.supervision import Supervision
supervision = Supervision(pathlib.Path(sys.argv[1]))
supervision.start("one", [sys.executable, "-c", sys.argv[2], sys.argv[3]], pathlib.Path(sys.argv[1], "log"))
print(supervision.keeper_pid, flush=True)
signal.pause()
"""


class Life:
    """What a program shows of itself through its pipe."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)

    @contextlib.contextmanager
    def begun(self) -> Iterator["Life"]:
        with self.path.open() as self._pipe:
            assert self._pipe.read(2) == "up"
            yield self

    def wait_for_end(self) -> None:
        assert self._pipe.read() == ""


@pytest.fixture
def run_directory(tmp_path: Path) -> Path:
    """The folder that goes with the run."""
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


@pytest.fixture
def supervision(run_directory: Path) -> Iterator[Supervision]:
    with contextlib.closing(Supervision(run_directory)) as started:
        yield started


def program(life: Life, script: str = WAITS) -> list[str]:
    return [sys.executable, "-c", script, str(life.path)]


@pytest.mark.parametrize("ended_by", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_program_and_no_file_is_left_when_the_run_is_killed(
    tmp_path: Path, run_directory: Path, ended_by: signal.Signals
) -> None:
    life = Life(tmp_path / "life")
    with a_process("-c", RUN, str(run_directory), WAITS, str(life.path), environ=os.environ) as run, life.begun():
        run.send_signal(ended_by)

        life.wait_for_end()
        _, keepers_last_words = run.communicate()

    assert run.returncode != 0
    assert not run_directory.exists()
    assert "keeper.py" not in keepers_last_words


@pytest.mark.parametrize("grace", [0.0, 0.05])
def test_a_program_is_killed_when_it_does_not_end_in_time(
    tmp_path: Path, run_directory: Path, supervision: Supervision, grace: float
) -> None:
    life = Life(tmp_path / "life")
    supervision.start("one", program(life, DEAF), run_directory / "log")
    with life.begun():
        assert supervision.stop("one", grace) == -signal.SIGKILL
        life.wait_for_end()


if sys.platform == "linux":

    def test_programs_die_when_the_keeper_itself_is_killed(
        tmp_path: Path, run_directory: Path, supervision: Supervision
    ) -> None:
        life = Life(tmp_path / "life")
        supervision.start("one", program(life), run_directory / "log")
        with life.begun():
            os.kill(supervision.keeper_pid, signal.SIGKILL)

            life.wait_for_end()

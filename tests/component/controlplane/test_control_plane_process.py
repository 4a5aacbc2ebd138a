"""The control plane as a command, and its end when the process that started it is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness.controlplane.assets import programs_for
from tests.harness.controlplane.recipe import Program

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[3]
RUN = """
import signal, sys
from tests.harness.controlplane.launch import ControlPlane
with ControlPlane.start() as control_plane:
    print(*control_plane.pids.values(), flush=True)
    print(control_plane.directory, flush=True)
    signal.pause()
"""


@contextmanager
def a_run(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process with a control plane of its own, whatever KUBECONFIG says; killed at the end."""
    environ = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    with subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    """The next line of a process's stdout."""
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def test_no_server_and_no_file_is_left_when_the_run_is_killed() -> None:
    with a_run("-c", RUN) as run:
        pids = [int(pid) for pid in line_of(run).split()]
        directory = Path(line_of(run))
        assert directory.is_dir()

        run.kill()
        run.communicate()  # the keeper shares stderr: this returns when the keeper is gone too

    assert len(pids) == 3
    assert not directory.exists()
    for server in pids[1:]:
        with pytest.raises(ProcessLookupError):
            os.kill(server, 0)


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_a_working_kubeconfig_and_ends_when_asked(ended_by: signal.Signals) -> None:
    with a_run("-m", "tests.harness.controlplane") as run:
        kubeconfig = Path(line_of(run))
        kubectl = programs_for([Program.KUBECTL], os.environ)[Program.KUBECTL]
        asked = [str(kubectl), f"--kubeconfig={kubeconfig}", "get", "namespace", "default", "--output=name"]
        answered = subprocess.run(asked, capture_output=True, text=True, check=True)

        run.send_signal(ended_by)
        more, said = run.communicate()

    assert answered.stdout == "namespace/default\n"
    assert (run.returncode, more) == (0, "")
    assert "Ready; Ctrl-C ends it." in said
    assert not kubeconfig.parent.exists()

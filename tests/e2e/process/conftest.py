"""One control plane for these tests, with the CRD in place before each of them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.harness.controlplane.launch import ControlPlane
from tests.harness.identity import Identities
from tests.harness.recorded_process import RecordedProcess, free_port

ROOT = Path(__file__).parents[3]
CRD = ROOT / "crds" / "mirrors.peerdb.io.yaml"
FOREIGN = ("PEERDB_", "KUBECONFIG", "KUBERNETES_")
NOBODY = "http://127.0.0.1:9"

Start = Callable[..., RecordedProcess]


@pytest.fixture
def cluster(our_control_plane: ControlPlane) -> Iterator[ControlPlane]:
    our_control_plane.kubectl("apply", "-f", str(CRD))
    our_control_plane.wait_established("mirrors.peerdb.io")
    yield our_control_plane
    our_control_plane.kubectl("delete", "mirrors", "--all", "--all-namespaces", "--ignore-not-found", check=False)


@pytest.fixture
def start(identities: Identities) -> Iterator[Start]:
    """Starts operators with a recording controller as the chart's ServiceAccount, and ends what a test leaves running.

    ``namespaces`` is what they watch, all if empty; ``kubeconfig`` makes them somebody else.
    """
    started: list[RecordedProcess] = []

    def begin(*flags: str, namespaces: Sequence[str] = (), kubeconfig: Path | None = None) -> RecordedProcess:
        port = free_port()
        access = kubeconfig or identities.identity(namespaces).kubeconfig
        watched = ["--namespaces", ",".join(namespaces)] if namespaces else []
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        fixed = ["--peerdb-url", NOBODY, "--kubeconfig", str(access), *watched]
        health = ["--health-host", "127.0.0.1", "--health-port", str(port), "--metrics-port", "0"]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.harness.recording_operator", *fixed, *health, "--log-format", "text", *flags],
            cwd=ROOT,
            env={**inherited, "PYTHONPATH": os.pathsep.join(["operator", "."])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(RecordedProcess(process, port))
        return started[-1]

    yield begin
    for operator in started:
        operator.close()

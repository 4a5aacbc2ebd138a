"""The processes under measurement: started under the keeper, weighed, stopped by their own id.

Owns nothing of what they do. The operator runs with its defaults and as the chart's ServiceAccount, the bare loop as
the same: what is measured is what users get.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.harness.controlplane.launch import ControlPlane
from tests.harness.controlplane.supervision import Supervision
from tests.harness.identity_on_file import account_kubeconfig
from tests.harness.operator_process import ROOT, Launch, RunningOperator

READY_SECONDS = 150.0
POLL_SECONDS = 0.05


class BenchError(RuntimeError):
    """A measurement could not be made; the message says which and why."""


@contextlib.contextmanager
def operator(control_plane: ControlPlane, namespace: str, peerdb_url: str, **flags: object) -> Iterator[int]:
    """A running operator that sees one namespace; gives its process id."""
    seen = {"namespaces": namespace, "log_level": "warning"}
    launch = Launch(account_kubeconfig(control_plane, namespace), peerdb_url, {**seen, **flags})
    with RunningOperator.start(launch) as running:
        yield running.pid
        if not running.running():
            raise BenchError(f"the operator ended by itself:\n{running.last_words()}")


@contextlib.contextmanager
def floor(control_plane: ControlPlane, namespace: str, peerdb_url: str) -> Iterator[int]:
    """A running bare loop; gives its process id."""
    directory = Path(tempfile.mkdtemp(prefix="peerdb-bench-"))
    log = directory / "floor.log"
    kubeconfig = str(account_kubeconfig(control_plane, namespace))
    flags = ["--kubeconfig", kubeconfig, "--namespace", namespace, "--peerdb-url", peerdb_url]
    path = f"PYTHONPATH={os.pathsep.join([str(ROOT / 'operator'), str(ROOT)])}"
    with contextlib.closing(Supervision(directory)) as supervision:
        pid = supervision.start("floor", ["env", path, sys.executable, "-m", "tests.bench.floor", *flags], log)
        deadline = time.monotonic() + READY_SECONDS
        while "ready" not in log.read_text(encoding="utf-8"):
            if time.monotonic() > deadline or not supervision.running("floor"):
                raise BenchError(f"the bare loop did not start: {log.read_text(encoding='utf-8')}")
            time.sleep(POLL_SECONDS)
        yield pid
        if not supervision.running("floor"):
            raise BenchError(f"the bare loop ended by itself: {log.read_text(encoding='utf-8')}")


def resident_mib(pid: int) -> float:
    """Resident memory of a process, in MiB."""
    shown = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return int(shown.stdout) / 1024

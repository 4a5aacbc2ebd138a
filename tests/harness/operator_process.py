"""The real operator as a child process: started, ready, read, stopped or killed.

Owns its command line, its environment and its log file. What keeps it from outliving the run is the control plane's
keeper: however the run ends, SIGKILL included, the operator ends with it.
"""

import dataclasses
import json
import os
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.harness.controlplane.ports import LOOPBACK, Reservation
from tests.harness.controlplane.supervision import Supervision

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 150.0
STOP_SECONDS = 60.0
POLL_SECONDS = 0.05
ANSWER_SECONDS = 5.0
OURS = ("PEERDB_", "KUBECONFIG")
NAME = "operator"


class OperatorError(RuntimeError):
    """The operator did not start; the message carries its last words."""


@dataclasses.dataclass(frozen=True, slots=True)
class Launch:
    """What an operator is started with: flags by field name (``tick_seconds``), variables on top of a clean set.

    Variables named PEERDB_... and KUBECONFIG of the surroundings do not reach it unless ``inherit`` is set.
    """

    kubeconfig: Path
    peerdb_url: str
    flags: Mapping[str, object] = dataclasses.field(default_factory=dict)
    environ: Mapping[str, str] = dataclasses.field(default_factory=dict)
    inherit: bool = False

    def argv(self, health_port: int) -> list[str]:
        """The command line, ``env`` in front: the keeper hands on its own environment."""
        unset = [] if self.inherit else [name for name in os.environ if name.startswith(OURS)]
        variables = {"PYTHONPATH": os.pathsep.join([str(ROOT / "operator"), str(ROOT)]), **self.environ}
        flags: dict[str, object] = {
            "peerdb_url": self.peerdb_url,
            "kubeconfig": self.kubeconfig,
            "health_host": LOOPBACK,
            "health_port": health_port,
            "metrics_port": 0,
            **self.flags,
        }
        return [
            "env",
            *(part for name in sorted(unset) for part in ("-u", name)),
            *(f"{name}={value}" for name, value in variables.items()),
            *(sys.executable, "-m", "peerdb_operator", "run"),
            *(part for name, value in flags.items() for part in (f"--{name.replace('_', '-')}", str(value))),
        ]


class RunningOperator:
    """One operator process; a context manager that ends it."""

    def __init__(self, launch: Launch) -> None:
        """Start it; ``wait_ready`` says when it works."""
        self._directory = Path(tempfile.mkdtemp(prefix="peerdb-operator-"))
        self.log_file = self._directory / "operator.log"
        with Reservation() as free:
            self.health_port = free.port
        self._supervision = Supervision(self._directory)
        try:
            self.pid = self._supervision.start(NAME, launch.argv(self.health_port), self.log_file)
        except BaseException:
            self._supervision.close()
            raise

    @classmethod
    def start(cls, launch: Launch) -> Self:
        """Start one and wait until it is ready; raises OperatorError with its last words."""
        operator = cls(launch)
        try:
            operator.wait_ready()
        except BaseException:
            operator.close()
            raise
        return operator

    def wait_ready(self, within: float = READY_SECONDS) -> None:
        """Wait until ``/readyz`` answers 200; raises OperatorError when it ends or does not come."""
        deadline = time.monotonic() + within
        while self.health("/readyz") != 200:
            if not self.running():
                raise OperatorError(f"the operator ended while starting:\n{self.last_words()}")
            if time.monotonic() > deadline:
                raise OperatorError(f"the operator was not ready after {within:g} s:\n{self.last_words()}")
            time.sleep(POLL_SECONDS)

    def health(self, path: str) -> int:
        """Status of ``/healthz`` or ``/readyz``; 0 while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{self.health_port}{path}", timeout=ANSWER_SECONDS) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return 0

    def running(self) -> bool:
        """Whether the process still runs."""
        return self._supervision.running(NAME)

    def lines(self) -> list[str]:
        """Its log so far, one line each."""
        return self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()

    def records(self) -> list[dict[str, Any]]:
        """The same, parsed; a line that is not JSON is left out."""
        return list(_objects(self.lines()))

    def last_words(self, count: int = 20) -> str:
        """The end of its log."""
        return "\n".join(self.lines()[-count:])

    def stop(self, grace: float = STOP_SECONDS) -> int:
        """SIGTERM, after ``grace`` seconds SIGKILL (0: SIGKILL at once); returns the exit code. The log stays."""
        return self._supervision.stop(NAME, grace)

    def close(self) -> None:
        """End it whatever it does, and remove its log; a second call does nothing."""
        self._supervision.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, trouble: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _objects(lines: Iterable[str]) -> Iterable[dict[str, Any]]:
    for line in lines:
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found

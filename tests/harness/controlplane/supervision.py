"""The run's end of the pipe to its keeper: start, stop and watch programs that must not outlive us.

Owns the protocol with `keeper.py` and nothing about what is started.
"""

import contextlib
import itertools
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

from tests.harness.controlplane.errors import ControlPlaneError

KEEPER = Path(__file__).with_name("keeper.py")
END_SECONDS = 20.0


def pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    """Both ends of the talk with a process that was started with pipes."""
    if process.stdin is None or process.stdout is None:
        raise ControlPlaneError("The keeper was started without pipes.")
    return process.stdin, process.stdout


class Supervision:
    """Programs of one run; every method may be called from any thread.

    Raises ControlPlaneError when the keeper is gone or cannot do what it was asked.
    """

    def __init__(self, run_directory: Path) -> None:
        """Start the keeper; `run_directory` is removed when the run ends."""
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", str(KEEPER), str(run_directory), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._requests, self._replies = pipes(self._keeper)
        self.pids: dict[str, int] = {}

    @property
    def keeper_pid(self) -> int:
        """Process id of the keeper."""
        return self._keeper.pid

    def start(self, name: str, argv: list[str], log: Path) -> int:
        """Start a program under `name`, its output appended to `log`; returns its process id."""
        self.pids[name] = int(self._ask({"do": "start", "name": name, "argv": argv, "log": str(log)})["pid"])
        return self.pids[name]

    def stop(self, name: str, grace: float = 10.0) -> int:
        """Stop the program: SIGTERM, after `grace` seconds SIGKILL (0: SIGKILL at once); returns its exit code."""
        return int(self._ask({"do": "stop", "name": name, "grace": grace})["code"])

    def running(self, name: str) -> bool:
        """Whether the program still runs."""
        return bool(self._ask({"do": "poll", "name": name})["running"])

    def close(self) -> None:
        """Let the keeper kill everything and go; a second call does nothing."""
        with self._lock:
            for pipe in (self._requests, self._replies):
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
            try:
                self._keeper.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self._keeper.kill()
                self._keeper.wait()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            answer = self._exchange(request)
        if "error" in answer:
            raise ControlPlaneError(f"Could not {request['do']} {request['name']}: {answer['error']}.")
        return answer

    def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and read up to its own reply: that of an earlier one may be left over from an interruption."""
        number = next(self._numbers)
        try:
            self._requests.write(json.dumps({"id": number, **request}).encode() + b"\n")
            self._requests.flush()
            for line in self._replies:
                answer: dict[str, Any] = json.loads(line)
                if answer["id"] == number:
                    return answer
        except (BrokenPipeError, ValueError):
            pass
        raise ControlPlaneError("The keeper of the control plane is gone, and its programs with it; start a new one.")

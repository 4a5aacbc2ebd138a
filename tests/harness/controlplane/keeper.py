"""The process that stands between a test run and its servers: when the run is gone, they go too.

Started as a script of its own (standard library only), in its own session so that Ctrl-C in the terminal reaches the
run and not the servers. It starts and stops programs on request, one JSON object per line on stdin, one JSON reply per
line on stdout. Its stdin is a pipe that only the run holds open: however the run ends, SIGKILL included, the pipe
closes, and the keeper kills every program it started, removes the run's directory and exits. On Linux the kernel also
kills the programs should the keeper itself be killed.

Requests, each with an `id` that its reply repeats:
`{"do": "start", "name", "argv", "log"}` -> `{"pid"}`;
`{"do": "stop", "name", "grace"}` (seconds between SIGTERM and SIGKILL, 0 means SIGKILL at once) -> `{"code"}`;
`{"do": "poll", "name"}` -> `{"running", "code"}`. A request that fails gets `{"error"}`.
"""

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
ORPHAN_CHECK_SECONDS = 1.0


def death_signal() -> Callable[[], None] | None:
    """What a child runs before exec so that it dies with the keeper; None where the kernel has no such thing."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    return lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Keeper:
    """The programs of one run, by name, and the directory that goes with them."""

    def __init__(self, run_directory: Path) -> None:
        """Keep nothing yet."""
        self._run_directory = run_directory
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._before_exec = death_signal()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out one request; an unknown name or a program that cannot start is an `error` reply."""
        return {"id": request["id"], **self._carry_out(request)}

    def _carry_out(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            if request["do"] == "start":
                return self._start(request["name"], request["argv"], request["log"])
            child = self._children[request["name"]]
            if request["do"] == "stop":
                return {"code": self._stop(child, request["grace"])}
            return {"running": child.poll() is None, "code": child.returncode}
        except (OSError, KeyError) as error:
            return {"error": f"{type(error).__name__}: {error}"}

    def _start(self, name: str, argv: list[str], log: str) -> dict[str, Any]:
        with Path(log).open("ab") as output:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=self._before_exec,  # noqa: PLW1509 - one thread here; only the child can ask for its signal
            )
        self._children[name] = child
        return {"pid": child.pid}

    @staticmethod
    def _stop(child: subprocess.Popen[bytes], grace: float) -> int:
        if grace > 0:
            child.terminate()
            try:
                return child.wait(grace)
            except subprocess.TimeoutExpired:
                pass
        child.kill()
        return child.wait()

    def end(self) -> None:
        """Kill what still runs, newest first, and remove the run's directory: its data is thrown away anyway."""
        children = list(reversed(self._children.values()))
        for child in children:
            child.kill()
        for child in children:
            child.wait()
        shutil.rmtree(self._run_directory, ignore_errors=True)


def serve(keeper: Keeper, run: int) -> None:
    """Answer requests until the pipe closes or the process `run` is no longer the parent."""
    pending = b""
    while os.getppid() == run:
        readable, _, _ = select.select([0], [], [], ORPHAN_CHECK_SECONDS)
        if not readable:
            continue
        received = os.read(0, 65536)
        if not received:
            return
        *lines, pending = (pending + received).split(b"\n")
        for line in lines:
            os.write(1, json.dumps(keeper.answer(json.loads(line))).encode() + b"\n")


def main() -> None:
    """Serve the run named by the arguments: its directory and its process id."""
    for ended_by in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ended_by, lambda *_: sys.exit(1))
    keeper = Keeper(Path(sys.argv[1]))
    try:
        serve(keeper, int(sys.argv[2]))
    except BrokenPipeError:
        pass
    finally:
        keeper.end()


if __name__ == "__main__":
    main()

"""A recording operator seen from outside: what it recorded, its health, its end.

Owns reading both outputs without ever blocking the operator, and bounded waits for what they say. Leaves starting the
process to the caller.
"""

import json
import queue
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, TextIO

PATIENCE = 150.0

Line = dict[str, Any]


def free_port() -> int:
    """A loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RecordedProcess:
    """Wraps a process of ``tests.harness.recording_operator``: JSON lines on one stream, its log on the other."""

    def __init__(self, process: "subprocess.Popen[str]", health_port: int) -> None:
        self._process = process
        self.health_port = health_port
        self._fresh: queue.Queue[Line | None] = queue.Queue()
        self.lines: list[Line] = []
        self.log = ""
        self._readers = [
            threading.Thread(target=self._read_lines, args=(process.stdout,), daemon=True),
            threading.Thread(target=self._read_log, args=(process.stderr,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def wait_for(self, what: str, matches: Callable[[Line], bool] = lambda _: True, **facts: object) -> Line:
        """The first line, old or new, of this kind with these facts; fails with the log if it does not come."""

        def is_it(line: Line) -> bool:
            return line["what"] == what and facts.items() <= line.items() and matches(line)

        deadline = time.monotonic() + PATIENCE
        for line in self.lines:
            if is_it(line):
                return line
        while (line_now := self._next(deadline)) is not None:
            if is_it(line_now):
                return line_now
        raise AssertionError(f"no line {what} {facts}; lines: {self.lines}; log:\n{self.log}")

    def health(self, path: str) -> tuple[int, str]:
        """Status and text of /healthz or /readyz; (0, "") while nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}{path}", timeout=PATIENCE) as reply:
                return int(reply.status), reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except urllib.error.URLError:
            return 0, ""

    def poll_health(self, path: str, status: int) -> str:
        """The text as soon as the status is this one."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            seen, text = self.health(path)
            if seen == status:
                return text
            self._process.poll()
            time.sleep(0.05)
        raise AssertionError(f"{path} never answered {status}; log:\n{self.log}")

    def terminate(self, within: float = PATIENCE) -> int:
        """Send SIGTERM and return the exit code; fails if that takes longer."""
        self._process.send_signal(signal.SIGTERM)
        return self.exit_code(within)

    def exit_code(self, within: float = PATIENCE) -> int:
        """Wait for the end; everything it has written has then been read."""
        code = self._process.wait(within)
        for reader in self._readers:
            reader.join(PATIENCE)
        while not self._fresh.empty():
            self._next(time.monotonic())
        return code

    def close(self) -> None:
        """End it whatever it does."""
        if self._process.poll() is None:
            self._process.kill()
        self.exit_code()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()

    def _next(self, deadline: float) -> Line | None:
        try:
            line = self._fresh.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            return None
        if line is not None:
            self.lines.append(line)
        return line

    def _read_lines(self, stream: TextIO) -> None:
        for text in stream:
            self._fresh.put(json.loads(text))
        self._fresh.put(None)

    def _read_log(self, stream: TextIO) -> None:
        for text in stream:
            self.log += text

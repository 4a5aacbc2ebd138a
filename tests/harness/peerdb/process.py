"""The simulator as a child process of a test: start, talk to ``/_sim``, stop by pid.

Standard library only: httpx stays the product's. The child ends with its parent, also when the parent is killed: it
watches the pipe that is its standard input.
"""

from __future__ import annotations

import http.client
import json
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast
from urllib.parse import quote, urlsplit

ROOT = Path(__file__).resolve().parents[3]
START_WITHIN = 30.0
STOP_WITHIN = 10.0
CALL_WITHIN = 30.0

Json = Mapping[str, object]


class SimulatorError(RuntimeError):
    """The control API refused, or the process did not start."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A raw HTTP answer, for tests of the transport itself."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def call(url: str, method: str, path: str, body: bytes | None = None, headers: Json | None = None) -> Answer:
    """One request on a connection of its own; follows no redirect. Raises OSError when the connection breaks."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=CALL_WITHIN)
    try:
        connection.request(method, parts.path + path, body, {key: str(value) for key, value in (headers or {}).items()})
        answer = connection.getresponse()
        return Answer(answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


class Control:
    """A typed client of ``/_sim``; every method raises SimulatorError with the simulator's own sentence."""

    def __init__(self, gateway_url: str) -> None:
        self.gateway_url = gateway_url

    def _ask(self, method: str, path: str, body: object = None) -> dict[str, object]:
        sent = None if body is None else json.dumps(body).encode()
        answer = call(self.gateway_url, method, f"/_sim/{path}", sent)
        found = cast("dict[str, object]", json.loads(answer.body))
        if answer.status != http.client.OK:
            raise SimulatorError(str(found.get("error", found)))
        return found

    def put_mirror(self, name: str, **fields: object) -> dict[str, object]:
        """Create or replace a mirror; the fields are those of ``docs/simulator.md`` (camelCase). Returns the truth."""
        return self._ask("PUT", f"mirrors/{quote(name, safe='')}", fields)

    def get_mirror(self, name: str) -> dict[str, object] | None:
        """The hidden truth about a mirror, or None when there is none."""
        known = {str(one["name"]): one for one in self.mirrors()}
        return known.get(name)

    def mirrors(self) -> list[dict[str, object]]:
        """The hidden truth about all mirrors."""
        return cast("list[dict[str, object]]", self._ask("GET", "mirrors")["mirrors"])

    def state(self, name: str) -> str | None:
        """What the mirror's row says (``RUNNING``), or None without a row."""
        found = self.get_mirror(name)
        row = None if found is None else cast("Json | None", found["row"])
        return None if row is None else str(row["state"])

    def delete_mirror(self, name: str) -> bool:
        """Make a mirror vanish; False when there was none."""
        return bool(self._ask("DELETE", f"mirrors/{quote(name, safe='')}")["removed"])

    def knobs(self, **patch: object) -> dict[str, object]:
        """Turn knobs (none: only read them); returns all of them."""
        return self._ask("PATCH", "knobs", patch)

    def advance(self, seconds: float) -> float:
        """Let simulated time pass; returns the new time."""
        return float(str(self._ask("POST", "clock/advance", {"seconds": seconds})["now"]))

    def databases(self, **contents: object) -> None:
        """Replace what the databases hold: sourceTables, publication, filledDestinations, peers."""
        self._ask("PUT", "databases", contents)

    def say(self, flow_name: str, message: str, level: str = "error") -> None:
        """Add a line to PeerDB's log table."""
        self._ask("POST", "logs", {"flowName": flow_name, "errorMessage": message, "errorType": level})

    def log(self, after: int = 0) -> list[dict[str, object]]:
        """All events with a number greater than ``after``."""
        events: list[dict[str, object]] = []
        while True:
            page = self._ask("GET", f"log?after={after}")
            found = cast("list[dict[str, object]]", page["events"])
            events += found
            if not found:
                return events
            after = cast("int", found[-1]["n"])

    def last_event(self) -> int:
        """The number of the newest event."""
        return cast("int", self._ask("GET", "log?after=0&limit=0")["last"])


class SimulatorProcess(Control):
    """A running simulator; a context manager that stops it."""

    def __init__(self, process: subprocess.Popen[bytes], addresses: Json) -> None:
        super().__init__(str(addresses["gateway"]))
        self.process = process
        self.ui_url = str(addresses["ui"])
        self.ui_api_url = str(addresses["uiApi"])

    @classmethod
    def start(
        cls,
        *,
        password: str | None = None,
        knobs: Json | None = None,
        clock: str = "real",
        seed: int = 0,
        port: int = 0,
        extra: Iterable[str] = (),
    ) -> Self:
        """Launch the process and wait until it serves; raises SimulatorError with its stderr when it does not."""
        command = [sys.executable, "-m", "tests.harness.peerdb", "--exit-with-parent", "--port", str(port)]
        command += ["--clock", clock, "--seed", str(seed), *extra]
        command += ["--password", password] if password is not None else []
        errors = tempfile.TemporaryFile()  # noqa: SIM115  # a pipe that nobody reads would fill up
        process = subprocess.Popen(  # our own interpreter with our own arguments; Ctrl-C is for whoever started it
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        try:
            running = cls(process, _first_line(process, errors))
        finally:
            errors.close()
        if knobs:
            running.knobs(**knobs)
        return running

    def stop(self) -> None:
        """End the process by its pid; harmless when it has ended."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(STOP_WITHIN)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, trouble: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _first_line(process: subprocess.Popen[bytes], errors: BinaryIO) -> Json:
    out, end = process.stdout, time.monotonic() + START_WITHIN
    while out is not None and time.monotonic() < end and process.poll() is None:
        if select.select([out], [], [], 0.1)[0]:
            line = out.readline()
            if line:
                return cast("Json", json.loads(line))
    process.kill()
    process.communicate()
    errors.seek(0)
    raise SimulatorError(f"the simulator did not start: {errors.read().decode('utf-8', 'replace').strip()[-2000:]}")

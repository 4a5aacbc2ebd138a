"""A gate between the operator and PeerDB: forwards every call, and breaks, rewrites or stops at a chosen one.

What the simulator's knobs do to PeerDB, the gate does to the line: the port refuses, a reply never arrives, a field
appears that PeerDB never sent. A ``Stop`` holds the first call that a test asks for, either before PeerDB sees it or
after PeerDB has answered, so that a test can end the operator at exactly that point of its work.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

HOST = "127.0.0.1"
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Passage:
    """One call: ``reply`` is None until PeerDB has answered."""

    method: str
    path: str
    body: Any
    status: int = 0
    reply: Any = None


Chooses = Callable[[Passage], bool]
Rewrites = Callable[[Passage], Any]


@dataclass(slots=True)
class Stop:
    """Holds one call. ``answered``: it is chosen and held after PeerDB has answered, not before PeerDB sees it."""

    chooses: Chooses
    answered: bool
    caught: Passage | None = None
    _reached: threading.Event = field(default_factory=threading.Event)
    _released: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> Passage:
        """The call that is held; raises AssertionError when none comes."""
        assert self._reached.wait(PATIENCE), "the operator never made the call at which it was to be stopped"
        assert self.caught is not None
        return self.caught

    def release(self) -> None:
        """Let go of it: its connection is closed without an answer."""
        self._released.set()

    def hold(self, passage: Passage) -> None:
        """Called by the gate."""
        self.caught = passage
        self._reached.set()
        self._released.wait(PATIENCE)


class Gate:
    """A running gate in front of ``upstream``; a context manager that closes it."""

    def __init__(self, upstream: str) -> None:
        self._upstream = urlsplit(upstream)
        self._lock = threading.Lock()
        self._stop: Stop | None = None
        self.rewrites: Rewrites | None = None
        """Given an answered call, returns what the operator gets instead: JSON, or bytes as they are."""
        self.passages: list[Passage] = []
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.open()

    @property
    def url(self) -> str:
        """What the operator is given as PEERDB_URL."""
        return f"http://{HOST}:{self._port}"

    def open(self) -> None:
        """Listen; after a ``shut`` at the same port."""
        gate = self

        class Handler(_Handler):
            owner = gate

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """A caller that was killed in the middle of a call is what this is for."""

        self._server = Server((HOST, self._port), Handler)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def shut(self) -> None:
        """Refuse connections until ``open``; calls on connections that are open break."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    @property
    def is_open(self) -> bool:
        """Whether calls pass."""
        return self._server is not None

    def stop_at(self, chooses: Chooses, *, answered: bool) -> Stop:
        """Hold the first call from now on that is chosen; later ones pass."""
        with self._lock:
            self._stop = Stop(chooses, answered)
            return self._stop

    def is_chosen(self, passage: Passage, *, answered: bool) -> Stop | None:
        """The stop that is meant for this call, which is used up by it. Called by the gate's threads."""
        with self._lock:
            stop = self._stop
            if stop is None or stop.answered is not answered or not stop.chooses(passage):
                return None
            self._stop = None
            return stop

    def ask_upstream(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, str, bytes]:
        """One call to PeerDB: status, content type, body."""
        connection = http.client.HTTPConnection(self._upstream.hostname or "", self._upstream.port, timeout=PATIENCE)
        try:
            connection.request(method, self._upstream.path + path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheader("content-type", ""), answer.read()
        finally:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, trouble: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shut()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    owner: Gate

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Be quiet: passages are kept."""

    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        asked = Passage(self.command, self.path, _json(body))
        if not self.owner.is_open or self._is_held(asked, answered=False):
            self._hang_up()
            return
        kept = {name: self.headers[name] for name in ("authorization", "content-type") if name in self.headers}
        status, kind, reply = self.owner.ask_upstream(self.command, self.path, body, kept)
        passage = Passage(asked.method, asked.path, asked.body, status, _json(reply))
        if self._is_held(passage, answered=True):
            self._hang_up()
            return
        self.owner.passages.append(passage)
        if self.owner.rewrites is not None:
            other = self.owner.rewrites(passage)
            reply = other if isinstance(other, bytes) else json.dumps(other).encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def _is_held(self, passage: Passage, *, answered: bool) -> bool:
        stop = self.owner.is_chosen(passage, answered=answered)
        if stop is not None:
            stop.hold(passage)
        return stop is not None

    def _hang_up(self) -> None:
        self.close_connection = True


def _json(data: bytes) -> object:
    try:
        return json.loads(data)
    except ValueError:
        return None

"""The simulator over HTTP: Starlette and uvicorn around an ``Engine``, one port per base.

Owns sockets, the clock and broken connections; decides nothing. Gateway and UI are two listeners of one server, told
apart by the port a request came in on. ``/_sim`` lives on the gateway's port.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator
from typing import Any, ClassVar, Literal, cast

import uvicorn
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from tests.harness.peerdb.control import Control
from tests.harness.peerdb.engine import Engine
from tests.harness.peerdb.values import Base, Deferred, Reply, Request

Clock = Literal["real", "manual"]
IDLE = 1.0
RESET_NOW = struct.pack("ii", 1, 0)
CONTROL = "/_sim/"


class Protocol(H11Protocol):
    """Remembers connections by client address, so that the application can break one."""

    transports: ClassVar[dict[tuple[str, int], asyncio.Transport]] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn itself
        """Keep the transport."""
        super().connection_made(transport)
        if self.client is not None:
            self.transports[self.client] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the transport."""
        if self.client is not None:
            self.transports.pop(self.client, None)
        super().connection_lost(exc)


class Simulator:
    """An engine, its clock, and the two listeners."""

    def __init__(self, engine: Engine, clock: Clock, host: str, port: int, ui_port: int) -> None:
        self.engine = engine
        self.clock = clock
        self.offset = 0.0
        self.sockets = [_listen(host, port), _listen(host, ui_port)]
        self.ports = [int(one.getsockname()[1]) for one in self.sockets]
        self.control = Control(engine, self.advance, clock)
        self.changed = asyncio.Event()

    # -- clock ---------------------------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """Let simulated time pass at once."""
        self.offset += seconds
        self.engine.run_until(self.engine.now + seconds)

    def catch_up(self) -> None:
        """On a real clock: let happen what is due by now."""
        if self.clock == "real":
            self.engine.run_until(time.time() + self.offset)

    async def tick(self) -> None:
        """Keep a real clock going between requests."""
        while True:
            self.catch_up()
            due = self.engine.next_due()
            wait = IDLE if due is None else min(max(due - time.time() - self.offset, 0.0), IDLE)
            self.changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), wait)

    # -- requests ------------------------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One HTTP request on either listener."""
        http = HttpRequest(scope, receive)
        try:
            body = await http.body()
        except ClientDisconnect:
            return
        self.catch_up()
        base = Base.UI if scope["server"][1] == self.ports[1] else Base.GATEWAY
        path = cast("bytes", scope["raw_path"]).decode("latin-1")
        query = cast("bytes", scope["query_string"]).decode("latin-1")
        if base is Base.GATEWAY and path.startswith(CONTROL):
            reply = self.control.handle(http.method, path.removeprefix(CONTROL), query, body)
        else:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            answer = self.engine.handle(Request(http.method, path, body, query, headers, base))
            reply = await self._wait(http, answer) if isinstance(answer, Deferred) else answer
        self.changed.set()
        if reply.fault is not None:
            await self._break(http)
            return
        response = Response(reply.body, reply.status, dict(reply.headers), reply.content_type)
        if reply.content_type is not None:
            response.headers["content-type"] = reply.content_type
        await response(scope, receive, send)

    async def _wait(self, http: HttpRequest, answer: Deferred) -> Reply:
        """Until the answer comes, or the client goes."""
        loop = asyncio.get_running_loop()
        came: asyncio.Future[Reply] = loop.create_future()
        if answer.reply is not None:
            return answer.reply
        answer.on_reply.append(lambda reply: None if came.done() else came.set_result(reply))
        self.changed.set()
        gone = asyncio.ensure_future(_disconnected(http))
        try:
            waiting: set[asyncio.Future[Any]] = {came, gone}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
        if not came.done():
            answer.abort()
            return Reply(499, b"", None)
        return came.result()

    async def _break(self, http: HttpRequest) -> None:
        client = http.client
        transport = None if client is None else Protocol.transports.get((client.host, client.port))
        if transport is not None:
            raw = cast("socket.socket | None", transport.get_extra_info("socket"))
            if raw is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_NOW)
            transport.abort()
        await _disconnected(http)

    # -- life ----------------------------------------------------------------------------------------------------

    async def serve(self, *, exit_with_parent: bool) -> None:
        """Print the addresses, serve until SIGTERM or SIGINT (or until stdin closes), then stop in order."""
        config = uvicorn.Config(
            self, http=Protocol, loop="asyncio", lifespan="off", log_config=None, access_log=False,
            timeout_graceful_shutdown=2, server_header=False, h11_max_incomplete_event_size=256 * 1024,
        )  # fmt: skip
        server = _Server(config)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.stop)
        if exit_with_parent:
            await _at_end_of_stdin(server)
        host = str(self.sockets[0].getsockname()[0])
        gateway, ui = (f"http://{host}:{port}" for port in self.ports)
        line = {"gateway": gateway, "ui": ui, "uiApi": f"{ui}/api", "control": f"{gateway}/_sim", "pid": os.getpid()}
        print(json.dumps(line), flush=True)
        ticking = asyncio.create_task(self.tick())
        try:
            await server.serve(sockets=self.sockets)
        finally:
            ticking.cancel()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The simulator has its own handlers; two in one process would fight."""
        yield

    def stop(self) -> None:
        """End ``serve`` in order."""
        self.should_exit = True


async def _disconnected(http: HttpRequest) -> None:
    while (await http.receive())["type"] != "http.disconnect":
        pass


async def _at_end_of_stdin(server: _Server) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    async def watch() -> None:
        await reader.read()
        server.stop()

    server.parent_watch = asyncio.create_task(watch())  # type: ignore[attr-defined]  # keeps the task alive


def _listen(host: str, port: int) -> socket.socket:
    listening = socket.create_server((host, port), backlog=512)
    # asyncio leaves it out for such sockets; without it a reply in two parts waits 40 ms for the client's kernel.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening

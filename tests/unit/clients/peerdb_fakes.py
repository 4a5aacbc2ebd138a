"""What stands in for PeerDB in the client's tests: a transport inside the process, and bytes on a loopback socket."""

import asyncio
import base64
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from peerdb_operator.peerdb.client import PeerDBClient, Reply, Request

_T = TypeVar("_T")


def run(work: Coroutine[Any, Any, _T]) -> _T:
    return asyncio.run(work)


def a_reply(body: object, status: int = 200) -> Reply:
    return Reply(status, "application/json", json.dumps(body).encode())


def a_refusal(status: int, code: int, message: str, *details: Mapping[str, Any]) -> Reply:
    return a_reply({"code": code, "message": message, "details": list(details)}, status)


@dataclass
class FakeTransport:
    """Answers every request with the same reply and remembers what it was asked."""

    reply: Reply
    asked: list[Request] = field(default_factory=list)

    async def send(self, request: Request) -> Reply:
        self.asked.append(request)
        return self.reply

    @property
    def only(self) -> Request:
        (request,) = self.asked
        return request


def a_client(body: object = None) -> tuple[PeerDBClient, FakeTransport]:
    transport = FakeTransport(a_reply({} if body is None else body))
    return PeerDBClient(transport), transport


@dataclass(frozen=True)
class RawRequest:
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


def a_response(status: str, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


TLS_HANDSHAKE = b"\x16"
RESET = b"<reset>"
SILENCE = b"<silence>"
Answer = Callable[[RawRequest], bytes]


@dataclass
class FakeServer:
    """A socket that speaks just enough HTTP/1.1; ``seen`` is every request in order."""

    answer: Answer
    base: str = ""
    seen: list[RawRequest] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    _open: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.append(writer)
        first = await reader.read(1)
        if first in (b"", TLS_HANDSHAKE):
            writer.write(a_response("400 Bad Request") if first else b"")
            writer.close()
            return
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        pairs = (line.split(": ", 1) for line in head[1:] if line)
        headers = {name.lower(): value for name, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.seen.append(RawRequest(method, target, headers, body))
        self.asked.set()
        said = self.answer(self.seen[-1])
        if said == SILENCE:
            return
        if said == RESET:
            sock: socket.socket = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            writer.write(said)
            await writer.drain()
        writer.close()

    def hang_up(self) -> None:
        for writer in self._open:
            writer.close()


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[FakeServer]:
    fake = FakeServer(answer)
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield fake
    finally:
        fake.hang_up()
        server.close()


@dataclass(frozen=True)
class FakeUi:
    """PeerDB's web UI as far as its password goes: the Latin-1 reading of what follows Basic must be ``:password``."""

    password: str

    def __call__(self, request: RawRequest) -> bytes:
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        if scheme != "Basic":
            location = "/api/auth/signin?callbackUrl=%2Fapi%2Fv1%2Fversion"
            return a_response("307 Temporary Redirect", location.encode(), location=location)
        if base64.b64decode(encoded).decode("latin-1") != f":{self.password}":
            return a_response("403 Forbidden")
        return a_response("200 OK", b'{"version": "rig"}', content_type="application/json", set_cookie="session=abc")

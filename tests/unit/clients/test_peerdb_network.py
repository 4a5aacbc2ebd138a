"""The network's faults, each made by a server on the loopback: what an error says of whether the request was sent.

A command of which it is wrongly said that it was not sent would be repeated, or a pause would be forgotten.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import client_exceptions

from peerdb_operator.errors import PeerDBError, PeerDBMisconfigured, PeerDBUnavailable, UnexpectedReply
from peerdb_operator.peerdb.http import HttpxTransport, translate
from peerdb_operator.peerdb.transport import Patience, Reply, Request
from tests.unit.clients.peerdb_fakes import run

CERTIFICATE = Path(__file__).with_name("loopback.pem")
READ = Request("GET", "version")
COMMAND = Request("POST", "mirrors/state_change", {"flowJobName": "m"})
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


@dataclass
class Connection:
    """One connection to the server, as the server sees it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int

    async def request(self) -> bytes:
        """The next request; empty when the client has hung up."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return b""
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        body = await self.reader.readexactly(int(lengths[0].partition(b":")[2]) if lengths else 0)
        return head + body

    async def answer(self, data: bytes = ANSWER) -> None:
        self.writer.write(data)
        await self.writer.drain()


Serve = Callable[[Connection], Coroutine[None, None, None]]


@dataclass
class Server:
    base: str
    connections: list[Connection] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def serving(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Each connection is served by ``serve`` and closed when it returns; ends once every client has hung up."""
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        connection = Connection(reader, writer, len(server.connections))
        server.connections.append(connection)
        try:
            await serve(connection)
        finally:
            writer.close()

    listener = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    scheme = "http" if tls is None else "https"
    server = Server(f"{scheme}://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
    try:
        yield server
    finally:
        listener.close()
        if tasks:
            await asyncio.wait_for(asyncio.wait(tasks), 5)


async def keep_answering(connection: Connection) -> None:
    while await connection.request():
        await connection.answer()


def in_a_hurry(base: str) -> HttpxTransport:
    return HttpxTransport(base, read_seconds=dict.fromkeys(Patience, 0.1), slack_seconds=0.2)


async def the_error(transport: HttpxTransport, request: Request = COMMAND) -> PeerDBError:
    async with transport:
        with pytest.raises(PeerDBError) as caught:
            await transport.send(request)
    return caught.value


def facts(error: PeerDBError) -> tuple[type[PeerDBError], bool, str]:
    return type(error), error.sent, error.code


def test_a_refused_connection_says_that_nothing_was_sent() -> None:
    async def scenario() -> PeerDBError:
        async with serving(keep_answering) as server:
            base = server.base
        return await the_error(HttpxTransport(base))

    error = run(scenario())

    assert facts(error) == (PeerDBUnavailable, False, "connect_error")
    assert "it could not be reached (ClientConnectorError" in str(error)


def test_a_connection_that_is_not_accepted_in_time_says_that_nothing_was_sent() -> None:
    async def scenario() -> PeerDBError:
        full = socket.create_server(("127.0.0.1", 0), backlog=0)
        address = full.getsockname()
        waiting: list[socket.socket] = []
        while len(waiting) < 20:  # Linux takes one more than it was told
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(address)
            waiting.append(one)
        try:
            return await the_error(HttpxTransport(f"http://127.0.0.1:{address[1]}", connect_seconds=0.1))
        finally:
            for each in (full, *waiting):
                each.close()

    assert facts(run(scenario())) == (PeerDBUnavailable, False, "connect_error")


async def hang_up(connection: Connection) -> None:
    await connection.request()


async def reset(connection: Connection) -> None:
    await connection.request()
    connection.writer.transport.abort()


async def stay_silent(connection: Connection) -> None:
    await connection.request()
    await connection.request()


async def break_off(connection: Connection) -> None:
    await connection.request()
    await connection.answer(ANSWER[:-1])


async def break_off_a_chunk(connection: Connection) -> None:
    await connection.request()
    await connection.answer(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{")


async def stop_within_the_body(connection: Connection) -> None:
    await connection.request()
    await connection.answer(ANSWER[:-1])
    await connection.request()


async def stop_within_the_headers(connection: Connection) -> None:
    await connection.request()
    await connection.answer(ANSWER[:20])
    await connection.request()


async def trickle(connection: Connection) -> None:
    await connection.request()
    await connection.answer(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    while not connection.reader.at_eof():
        await connection.answer(b" ")
        await asyncio.sleep(0.02)


async def speak_something_else(connection: Connection) -> None:
    await connection.request()
    await connection.answer(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


UNCERTAIN: list[tuple[Serve, str]] = [
    (hang_up, "reset"),
    (reset, "reset"),
    (break_off, "reset"),
    (break_off_a_chunk, "reset"),
    (speak_something_else, "reset"),
    (stay_silent, "timeout"),
    (stop_within_the_headers, "timeout"),
    (stop_within_the_body, "timeout"),
    (trickle, "timeout"),
]


@pytest.mark.parametrize(("serve", "code"), UNCERTAIN, ids=[serve.__name__ for serve, _ in UNCERTAIN])
def test_what_fails_after_the_request_has_left_may_have_taken_effect(serve: Serve, code: str) -> None:
    async def scenario() -> tuple[PeerDBError, int]:
        async with serving(serve) as server:
            return await the_error(make(server.base)), len(server.connections)

    make = in_a_hurry if code == "timeout" else HttpxTransport
    error, connections = run(scenario())

    assert facts(error) == (PeerDBUnavailable, True, code)
    assert connections == 1


def test_a_command_on_a_connection_that_the_server_closes_meanwhile_is_not_repeated() -> None:
    async def one_answer_only(connection: Connection) -> None:
        await connection.request()
        await connection.answer()
        await connection.request()
        connection.writer.transport.abort()

    async def scenario() -> tuple[PeerDBError, int]:
        async with serving(one_answer_only) as server, HttpxTransport(server.base) as transport:
            await transport.send(COMMAND)
            with pytest.raises(PeerDBUnavailable) as caught:
                await transport.send(COMMAND)
            return caught.value, len(server.connections)

    error, connections = run(scenario())

    assert facts(error) == (PeerDBUnavailable, True, "reset")
    assert connections == 1


def test_a_read_on_such_a_connection_is_asked_once_more_and_no_oftener() -> None:
    async def scenario() -> tuple[PeerDBError, int]:
        async with serving(hang_up) as server:
            return await the_error(HttpxTransport(server.base), READ), len(server.connections)

    error, connections = run(scenario())

    assert facts(error) == (PeerDBUnavailable, True, "reset")
    assert connections == 2


def test_a_connection_is_kept_for_the_next_request_and_a_closed_one_is_replaced() -> None:
    async def three_answers(connection: Connection) -> None:
        for _ in range(3):
            await connection.request()
            await connection.answer()

    async def scenario() -> list[int]:
        used = []
        async with serving(three_answers) as server, HttpxTransport(server.base) as transport:
            for _ in range(5):
                await transport.send(COMMAND)
                used.append(len(server.connections))
                await asyncio.sleep(0.01)
        return used

    assert run(scenario()) == [1, 1, 1, 2, 2]


def test_a_connection_whose_request_was_cancelled_is_not_used_again() -> None:
    async def late(connection: Connection) -> None:
        await connection.request()
        if connection.number:
            await connection.answer()
            return
        asked.set()
        await connection.request()

    async def scenario() -> tuple[Reply, int]:
        async with serving(late) as server, HttpxTransport(server.base) as transport:
            task = asyncio.create_task(transport.send(COMMAND))
            await asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return await transport.send(COMMAND), len(server.connections)

    asked = asyncio.Event()
    reply, connections = run(scenario())

    assert (reply.status, connections) == (200, 2)


def test_as_many_requests_run_at_once_as_are_asked() -> None:
    many = 150

    async def scenario() -> int:
        everybody = asyncio.Barrier(many)

        async def together(connection: Connection) -> None:
            await connection.request()
            await everybody.wait()
            await connection.answer()

        async with serving(together) as server, HttpxTransport(server.base) as transport:
            replies = await asyncio.wait_for(asyncio.gather(*(transport.send(COMMAND) for _ in range(many))), 20)
            return sum(reply.status == 200 for reply in replies)

    assert run(scenario()) == many


def test_closing_hangs_up_on_all_connections() -> None:
    async def scenario() -> bool:
        async with serving(keep_answering) as server:
            transport = HttpxTransport(server.base)
            await transport.send(COMMAND)
            await transport.aclose()
            await transport.aclose()
            return await asyncio.wait_for(server.connections[0].reader.read(), 5) == b""

    assert run(scenario())


def test_long_headers_are_read() -> None:
    long = b"HTTP/1.1 307 x\r\nset-cookie: " + b"c" * 30_000 + b"\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n"

    async def with_long_headers(connection: Connection) -> None:
        await connection.request()
        await connection.answer(long)

    async def scenario() -> Reply:
        async with serving(with_long_headers) as server, HttpxTransport(server.base) as transport:
            return await transport.send(COMMAND)

    assert run(scenario()).status == 307


def test_an_answer_beyond_all_bounds_is_given_up_and_its_connection_closed() -> None:
    async def flood(connection: Connection) -> None:
        await connection.request()
        try:
            await connection.answer(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                await connection.answer(bytes(8 * 1024 * 1024))
        except ConnectionError:
            return

    async def scenario() -> PeerDBError:
        async with serving(flood) as server, HttpxTransport(server.base) as transport:
            with pytest.raises(UnexpectedReply, match="has no end") as caught:
                await transport.send(COMMAND)
            return caught.value

    assert facts(run(scenario())) == (UnexpectedReply, True, "garbled")


def a_tls_server() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def test_a_certificate_of_an_unknown_authority_is_a_matter_of_settings_and_nothing_was_sent() -> None:
    async def scenario() -> PeerDBError:
        async with serving(keep_answering, a_tls_server()) as server:
            return await the_error(HttpxTransport(server.base))

    error = run(scenario())

    assert facts(error) == (PeerDBMisconfigured, False, "connect_error")
    assert "certificate is not trusted ([SSL: CERTIFICATE_VERIFY_FAILED]" in str(error)
    assert "PEERDB_CA_FILE" in str(error)


def test_a_certificate_of_the_authority_given_is_trusted_for_its_own_names_only() -> None:
    async def scenario() -> tuple[int, PeerDBError]:
        async with serving(keep_answering, a_tls_server()) as server:
            async with HttpxTransport(server.base, ca_file=CERTIFICATE) as transport:
                status = (await transport.send(COMMAND)).status
            return status, await the_error(
                HttpxTransport(server.base.replace("127.0.0.1", "localhost"), ca_file=CERTIFICATE)
            )

    status, error = run(scenario())

    assert status == 200
    assert facts(error) == (PeerDBMisconfigured, False, "connect_error")


def test_a_tls_connection_that_breaks_after_the_request_may_have_taken_effect() -> None:
    async def scenario() -> PeerDBError:
        async with serving(reset, a_tls_server()) as server:
            return await the_error(HttpxTransport(server.base, ca_file=CERTIFICATE))

    assert facts(run(scenario())) == (PeerDBUnavailable, True, "reset")


NOT_SENT = (
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.InvalidURL,
    aiohttp.NonHttpUrlClientError,
)
THEIRS = [
    kind
    for kind in vars(client_exceptions).values()
    if isinstance(kind, type) and issubclass(kind, aiohttp.ClientError)
]


@pytest.mark.parametrize("kind", THEIRS, ids=lambda kind: kind.__name__)
def test_each_exception_of_aiohttp_becomes_one_of_ours(kind: type[Exception]) -> None:
    made = type(kind.__name__, (kind,), {"__init__": lambda _: None, "__str__": lambda _: "words"})

    error = translate(made(), "version")

    assert error.sent is not issubclass(kind, NOT_SENT)
    assert kind.__name__ in str(error) or isinstance(error, PeerDBMisconfigured)

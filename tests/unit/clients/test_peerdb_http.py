"""Over a real socket and over httpx's own exceptions: nothing is followed, repeated, kept or leaked."""

import base64
import gzip
import json
import os
import ssl
from collections.abc import Callable
from pathlib import Path

import certifi
import httpx
import pytest

from peerdb_operator.errors import (
    PeerDBError,
    PeerDBMisconfigured,
    PeerDBUnauthorized,
    PeerDBUnavailable,
    UnexpectedReply,
)
from peerdb_operator.peerdb.client import PeerDBClient, RequestedState
from peerdb_operator.peerdb.http import READ_SECONDS, HttpxTransport, Password
from peerdb_operator.peerdb.transport import Patience, Reply, Request
from tests.unit.clients.peerdb_fakes import FakeUi, RawRequest, a_response, run, serving

VERSION = Request("GET", "version")
ODD_NAMES = {
    "Orders-CDC.v2": "Orders-CDC.v2",
    "a..b": "a..b",
    "50%": "50%25",
    "%2F": "%252F",
    "a/b?c#d": "a%2Fb%3Fc%23d",
}
CHANGE = Request("POST", "mirrors/state_change", {"flowJobName": "m", "note": "é"})
FINE = a_response("200 OK", b'{"version": "rig"}', content_type="application/json")


def a_failing_transport(error: Exception) -> HttpxTransport:
    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    return HttpxTransport("http://peerdb.test", inner=httpx.MockTransport(fail))


def the_error(transport: HttpxTransport, request: Request = VERSION) -> PeerDBError:
    async def send() -> None:
        async with transport:
            await transport.send(request)

    with pytest.raises(PeerDBError) as caught:
        run(send())
    return caught.value


NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.InvalidURL, httpx.PoolTimeout, httpx.UnsupportedProtocol)
KINDS: dict[type[Exception], type[PeerDBError]] = {
    httpx.DecodingError: UnexpectedReply,
    httpx.InvalidURL: PeerDBMisconfigured,
    httpx.UnsupportedProtocol: PeerDBMisconfigured,
}
THEIRS = [kind for kind in vars(httpx).values() if isinstance(kind, type) and issubclass(kind, Exception)]
LOWER = [OSError, ConnectionResetError, ssl.SSLError]
"""Of the socket and TLS layers, should httpx ever let them through."""


def an_exception(kind: type[Exception]) -> Exception:
    request = httpx.Request("GET", "http://peerdb.test", headers={"authorization": "Basic hunter2"})
    if issubclass(kind, httpx.HTTPStatusError):
        return kind("words", request=request, response=httpx.Response(500))
    if issubclass(kind, (httpx.StreamConsumed, httpx.StreamClosed, httpx.ResponseNotRead, httpx.RequestNotRead)):
        return kind()
    return kind("words")


@pytest.mark.parametrize("kind", [*THEIRS, *LOWER], ids=lambda kind: kind.__name__)
def test_each_exception_of_httpx_becomes_one_of_ours(kind: type[Exception]) -> None:
    error = the_error(a_failing_transport(an_exception(kind)))

    assert (type(error), error.sent) == (KINDS.get(kind, PeerDBUnavailable), kind not in NOT_SENT)
    assert kind.__name__ in str(error)
    assert isinstance(error.__cause__, kind)


def test_a_failure_of_our_own_request_is_never_quoted() -> None:
    error = the_error(a_failing_transport(httpx.LocalProtocolError("Illegal header value b'Basic hunter2'")))

    assert "hunter2" not in str(error)


def test_a_request_arrives_as_it_was_meant() -> None:
    async def scenario() -> tuple[list[RawRequest], list[Reply]]:
        async with serving(lambda _: FINE) as server, HttpxTransport(f"{server.base}/api/") as transport:
            replies = [await transport.send(request) for request in (VERSION, CHANGE)]
            return server.seen, replies

    (read, change), replies = run(scenario())

    assert replies == [Reply(200, "application/json", b'{"version": "rig"}')] * 2
    assert (read.method, read.target, read.body) == ("GET", "/api/v1/version", b"")
    assert (change.method, change.target) == ("POST", "/api/v1/mirrors/state_change")
    assert change.body == b'{"flowJobName":"m","note":"\\u00e9"}'
    assert change.headers["content-type"] == "application/json"
    assert change.headers["accept"] == "application/json"
    assert change.headers["user-agent"].startswith("peerdb-operator/")
    assert "content-type" not in read.headers
    assert "authorization" not in read.headers


LATIN = "pä%:#$ \"'\\ß"


@pytest.mark.parametrize("password", ["plain", "co:lon", LATIN, " blank ", "100%"])
def test_the_ui_accepts_any_password_within_latin_1(password: str) -> None:
    async def scenario() -> str:
        async with (
            serving(FakeUi(password)) as server,
            HttpxTransport(server.base, password=Password(password)) as transport,
        ):
            return await PeerDBClient(transport).version()

    assert run(scenario()) == "rig"


@pytest.mark.parametrize(
    ("password", "status"), [(Password("wrong"), 403), (Password(""), 307), (None, 307)], ids=["wrong", "empty", "none"]
)
def test_a_refused_command_is_never_taken_for_done(password: Password | None, status: int) -> None:
    async def scenario() -> int:
        async with serving(FakeUi("right")) as server, HttpxTransport(server.base, password=password) as transport:
            client = PeerDBClient(transport)
            with pytest.raises(PeerDBUnauthorized, match=str(status)) as caught:
                await client.change_state("m", RequestedState.PAUSED)
            assert caught.value.sent is False
            return len(server.seen)

    assert run(scenario()) == 1


def test_a_redirect_is_not_followed_when_it_stays_on_the_server() -> None:
    def elsewhere(request: RawRequest) -> bytes:
        return FINE if request.target == "/login" else a_response("302 Found", location="/login")

    async def scenario() -> tuple[Reply, int]:
        async with serving(elsewhere) as server, HttpxTransport(server.base) as transport:
            return await transport.send(VERSION), len(server.seen)

    reply, requests = run(scenario())

    assert (reply.status, requests) == (302, 1)


def test_no_cookie_is_kept() -> None:
    async def scenario() -> list[RawRequest]:
        async with (
            serving(FakeUi("p")) as server,
            HttpxTransport(server.base, password=Password("p")) as transport,
        ):
            await transport.send(VERSION)
            await transport.send(VERSION)
            return server.seen

    assert all("cookie" not in request.headers for request in run(scenario()))


def test_nothing_of_the_environment_redirects_or_signs_a_request(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")

    async def scenario() -> list[RawRequest]:
        async with serving(lambda _: FINE) as server, HttpxTransport(server.base) as transport:
            await transport.send(VERSION)
            return server.seen

    (request,) = run(scenario())

    assert "authorization" not in request.headers


def test_a_request_goes_to_the_proxy_that_is_given_with_its_password() -> None:
    async def scenario() -> list[RawRequest]:
        async with serving(lambda _: FINE) as proxy:
            address = proxy.base.replace("http://", "http://me:hunter2@")
            async with HttpxTransport("http://peerdb.test:8113", proxy=address) as transport:
                await transport.send(CHANGE)
            return proxy.seen

    (request,) = run(scenario())

    assert (request.method, request.target) == ("POST", "http://peerdb.test:8113/v1/mirrors/state_change")
    assert base64.b64decode(request.headers["proxy-authorization"].removeprefix("Basic ")) == b"me:hunter2"
    assert "authorization" not in request.headers


@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "502 Bad Gateway"])
def test_a_tunnel_that_the_proxy_refuses_says_that_nothing_was_sent(status: str) -> None:
    async def scenario() -> tuple[PeerDBError, list[RawRequest]]:
        async with serving(lambda _: a_response(status)) as proxy:
            transport = HttpxTransport(
                "https://peerdb.test", proxy=proxy.base.replace("http://", "http://me:hunter2@"), password=Password("p")
            )
            async with transport:
                with pytest.raises(PeerDBError) as caught:
                    await transport.send(CHANGE)
            return caught.value, proxy.seen

    error, (request,) = run(scenario())

    assert (request.method, request.target) == ("CONNECT", "peerdb.test:443")
    assert "authorization" not in request.headers
    assert (type(error), error.sent, error.code) == (PeerDBUnavailable, False, "connect_error")
    assert "hunter2" not in str(error)


def test_a_proxy_that_nobody_listens_at_says_that_nothing_was_sent() -> None:
    async def scenario() -> PeerDBError:
        async with serving(lambda _: FINE) as server:
            nobody = server.base
        async with HttpxTransport("http://peerdb.test", proxy=nobody) as transport:
            with pytest.raises(PeerDBUnavailable) as caught:
                await transport.send(CHANGE)
        return caught.value

    assert run(scenario()).sent is False


def test_a_server_without_tls_is_a_matter_of_settings() -> None:
    async def scenario() -> None:
        async with (
            serving(lambda _: FINE) as server,
            HttpxTransport(server.base.replace("http:", "https:")) as transport,
        ):
            with pytest.raises(PeerDBMisconfigured, match="http://") as caught:
                await transport.send(CHANGE)
            assert caught.value.sent is False

    run(scenario())


def test_a_packed_answer_is_unpacked() -> None:
    packed = a_response("200 OK", gzip.compress(b'{"version": "rig"}'), content_encoding="gzip")

    async def scenario() -> Reply:
        async with serving(lambda _: packed) as server, HttpxTransport(server.base) as transport:
            return await transport.send(VERSION)

    assert run(scenario()).body == b'{"version": "rig"}'


def test_an_answer_labelled_as_packed_that_is_not_is_unexpected() -> None:
    garbled = a_response("200 OK", b"{}", content_encoding="gzip")

    async def scenario() -> None:
        async with serving(lambda _: garbled) as server, HttpxTransport(server.base) as transport:
            with pytest.raises(UnexpectedReply):
                await transport.send(VERSION)

    run(scenario())


def the_header(password: Password) -> str | None:
    auth = password.auth()
    if auth is None:
        return None
    request = next(auth.auth_flow(httpx.Request("GET", "http://peerdb.test")))
    return base64.b64decode(request.headers["authorization"].partition(" ")[2]).decode("latin-1")


@pytest.mark.parametrize(
    ("content", "header"),
    [
        (b"alpha", ":alpha"),
        (b"alpha\n", ":alpha"),
        (b"alpha\r\n", ":alpha"),
        (b"alpha\n\n", ":alpha\n"),
        (b" alpha ", ": alpha "),
        ("pä".encode(), ":pä"),
        (b"", None),
        (b"\n", None),
    ],
)
def test_a_password_file_holds_the_password_and_at_most_a_line_break(
    tmp_path: Path, content: bytes, header: str | None
) -> None:
    file = tmp_path / "password"
    file.write_bytes(content)

    assert the_header(Password(file=file)) == header


def test_a_password_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file, other = tmp_path / "password", tmp_path / "other"
    file.write_text("alpha")
    password = Password(file=file)
    assert the_header(password) == ":alpha"

    file.write_text("a longer one")
    assert the_header(password) == ":a longer one"

    other.write_text("as long, new")
    other.replace(file)
    assert the_header(password) == ":as long, new"

    os.utime(file, ns=(0, 0))
    assert the_header(password) == ":as long, new"


UNUSABLE: list[tuple[str, Callable[[Path], object], str]] = [
    ("not UTF-8", lambda file: file.write_bytes(b"\xff\xfe"), "UTF-8"),
    ("beyond Latin-1", lambda file: file.write_text("p€ssword"), "Latin-1"),
    ("too long", lambda file: file.write_text("x" * 5000), "5000 bytes"),
    ("missing", lambda file: file.rename(file.with_name("away")), "No such file"),
    ("a folder", lambda file: file.rename(file.with_name("away")).parent.joinpath(file.name).mkdir(), "cannot be read"),
]


@pytest.mark.parametrize(("case", "spoil", "words"), UNUSABLE, ids=[case for case, _, _ in UNUSABLE])
def test_an_unusable_password_file_stops_the_start(
    tmp_path: Path, case: str, spoil: Callable[[Path], object], words: str
) -> None:
    file = tmp_path / "password"
    file.write_text("alpha")
    spoil(file)

    with pytest.raises(ValueError, match=words) as caught:
        Password(file=file)

    assert "p€ssword" not in str(caught.value), case


@pytest.mark.parametrize(("case", "spoil", "words"), UNUSABLE, ids=[case for case, _, _ in UNUSABLE])
def test_a_password_file_that_becomes_unusable_stops_no_more_than_the_requests(
    tmp_path: Path, case: str, spoil: Callable[[Path], object], words: str
) -> None:
    file = tmp_path / "password"
    file.write_text("alpha")

    async def scenario() -> int:
        async with (
            serving(FakeUi("alpha")) as server,
            HttpxTransport(server.base, password=Password(file=file)) as transport,
        ):
            spoil(file)
            with pytest.raises(PeerDBUnauthorized, match=words) as caught:
                await transport.send(CHANGE)
            assert caught.value.sent is False, case
            return len(server.seen)

    assert run(scenario()) == 0


@pytest.mark.parametrize("password", ["p€ssword", "x" * 5000])
def test_a_password_that_can_never_match_stops_the_start(password: str) -> None:
    with pytest.raises(ValueError, match="PEERDB_PASSWORD") as caught:
        Password(password)

    assert password not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_the_password_is_in_no_representation() -> None:
    password = Password("hunter2")

    assert "hunter2" not in repr(password)
    assert "hunter2" not in repr(vars(HttpxTransport("http://peerdb.test", password=password)))


@pytest.mark.parametrize("base", ["http://[::1", "http://a\x00b", "http://" + "a" * 70_000])
def test_an_address_that_is_none_stops_the_start(base: str) -> None:
    with pytest.raises(ValueError, match="PEERDB_URL"):
        HttpxTransport(base)


def test_a_ca_file_is_what_is_trusted(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with serving(lambda _: FINE) as server:
            transport = HttpxTransport(server.base, ca_file=Path(certifi.where()))
            async with transport:
                assert (await transport.send(VERSION)).status == 200

    run(scenario())
    broken = tmp_path / "ca.pem"
    broken.write_text("no certificate")
    for file in (broken, tmp_path / "missing"):
        with pytest.raises(ValueError, match="PEERDB_CA_FILE"):
            HttpxTransport("https://peerdb.test", ca_file=file)


@pytest.mark.parametrize("patience", Patience)
def test_each_request_has_the_time_of_its_kind(patience: Patience) -> None:
    given: list[object] = []

    def record_reading(request: httpx.Request) -> httpx.Response:
        given.append(request.extensions["timeout"])
        return httpx.Response(200)

    async def scenario() -> None:
        async with HttpxTransport("http://peerdb.test", inner=httpx.MockTransport(record_reading)) as transport:
            await transport.send(Request("GET", "version", patience=patience))

    run(scenario())

    seconds = READ_SECONDS[patience]
    assert given == [{"connect": 5.0, "read": seconds, "write": seconds, "pool": 5.0}]


@pytest.mark.parametrize(("name", "segment"), ODD_NAMES.items())
def test_a_name_is_one_segment_of_the_path_whatever_characters_it_has(name: str, segment: str) -> None:
    async def ask() -> list[RawRequest]:
        tags = json.dumps({"flowName": name, "tags": []}).encode()
        async with serving(lambda _: a_response("200 OK", tags)) as peerdb, HttpxTransport(peerdb.base) as transport:
            assert await PeerDBClient(transport).tags(name) == {}
            return peerdb.seen

    assert [(one.method, one.target) for one in run(ask())] == [("GET", f"/v1/flows/tags/{segment}")]

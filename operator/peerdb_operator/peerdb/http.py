"""PeerDB over HTTP: the only module that knows httpx.

Redirects are never followed: the web UI answers a request without a password with one that ends,
for a POST too, on a login page with status 200, and a refused command would seem done. No command is repeated here;
aiohttp asks a GET once more when the server closes the connection instead of answering. Neither proxies nor credentials
are read from the environment and cookies are not kept.

httpx runs on aiohttp's connections (``httpx-aiohttp``) and without httpx's client, which does nothing for us but handle
redirects and cookies: a request costs an eighth of what it costs with both of httpx's own.
What that package makes of aiohttp's exceptions does not say whether a request was sent (a connection that the server
closes becomes a ConnectTimeout), so the exception beneath decides.
"""

import asyncio
import ssl
from collections.abc import AsyncIterable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from peerdb_operator import __version__
from peerdb_operator.errors import (
    PeerDBError,
    PeerDBMisconfigured,
    PeerDBUnauthorized,
    PeerDBUnavailable,
    UnexpectedReply,
)
from peerdb_operator.peerdb.errors import BASE_HINT
from peerdb_operator.peerdb.models import encode_json
from peerdb_operator.peerdb.redaction import one_line
from peerdb_operator.peerdb.transport import Patience, Reply, Request

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final[Mapping[Patience, float]] = {
    Patience.PLAIN: 30.0,
    Patience.DROP_CLOSED: 400.0,  # PeerDB waits up to 360 s inside, then answers by chance; the drop goes on
    Patience.CHECK: 120.0,
    Patience.CHECK_SHORT: 30.0,
}
_SLACK_SECONDS = 20.0  # connecting, and reading a long body, on top of the wait for its first byte
_MAX_REPLY_BYTES = 64 * 1024 * 1024  # PeerDB's own limit is 4 MiB before it becomes JSON
_MAX_PASSWORD_CHARS = 4096  # the web UI refuses headers of 16 kB
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")  # what OpenSSL says of a plain HTTP server
_KEPT_SECONDS = 3.0  # the web UI closes idle connections after 5 s
_HEADERS: Final = httpx.Headers({
    "accept": "application/json",
    "accept-encoding": "gzip, deflate",
    "user-agent": f"peerdb-operator/{__version__}",
})  # fmt: skip
_HEADERS_WITH_BODY: Final = httpx.Headers([*_HEADERS.items(), ("content-type", "application/json")])
_MAX_HEADER_BYTES = 64 * 1024  # the web UI's cookies are longer than the 8 KiB that aiohttp takes


class Password:
    """PeerDB's password, given as text or as a file that is read again whenever it changes.

    The web UI compares the Latin-1 reading of what it is sent, so only passwords within Latin-1 can ever match. One
    line break at the end of a file does not belong to the password. An empty password is no password.
    """

    def __init__(self, text: str = "", *, file: Path | None = None) -> None:
        """Read it once (a file wins); raises ``ValueError`` with a sentence if it cannot be used."""
        self._file = file
        self._seen: tuple[int, int, int] | None = None
        self._auth = None if file is not None else _basic(text, "PEERDB_PASSWORD")
        self.auth()

    def auth(self) -> httpx.BasicAuth | None:
        """For the next request; raises ``ValueError`` if the file has become unusable."""
        if self._file is None:
            return self._auth
        where = f"the password file {self._file}"
        try:
            stat = self._file.stat()
            version = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
            if version != self._seen:
                if stat.st_size > _MAX_PASSWORD_CHARS:
                    raise ValueError(f"{where} holds more than a password: {stat.st_size} bytes")
                text = self._file.read_text("utf-8")
                self._auth = _basic(text.removesuffix("\n").removesuffix("\r"), where)
                self._seen = version
        except UnicodeDecodeError:
            raise ValueError(f"{where} is not UTF-8 text") from None
        except OSError as error:
            raise ValueError(f"{where} cannot be read: {error.strerror}") from None
        return self._auth


def _basic(text: str, where: str) -> httpx.BasicAuth | None:
    if len(text) > _MAX_PASSWORD_CHARS:
        raise ValueError(f"{where} is longer than the {_MAX_PASSWORD_CHARS} characters that PeerDB's web UI can take")
    try:
        return httpx.BasicAuth(b"", text.encode("latin-1")) if text else None
    except UnicodeEncodeError:
        raise ValueError(
            f"{where} has a character outside Latin-1; PeerDB's web UI can never match such a password: choose another"
        ) from None


class HttpxTransport:
    """A ``Transport`` over HTTP(S); close it with ``aclose`` or use it in an ``async with``."""

    def __init__(
        self,
        base_url: str,
        *,
        password: Password | None = None,
        ca_file: Path | None = None,
        proxy: str | None = None,
        read_seconds: Mapping[Patience, float] = READ_SECONDS,
        slack_seconds: float = _SLACK_SECONDS,
        connect_seconds: float = CONNECT_SECONDS,
        inner: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """``base_url`` is what ``/v1/...`` is appended to. Raises ``ValueError`` with a sentence for what cannot work.

        ``proxy`` is the address of an HTTP proxy; ``inner`` replaces the network.
        """
        self._base = _checked(base_url)
        self._password = password or Password()
        self._read_seconds = read_seconds
        self._slack_seconds = slack_seconds
        self._connect_seconds = connect_seconds
        self._urls: dict[str, httpx.URL] = {}
        self._network = inner or _network(_trust((self._base, proxy or ""), ca_file), proxy)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._network.aclose()

    async def send(self, request: Request) -> Reply:
        try:
            auth = self._password.auth()
        except ValueError as error:
            raise _coded("not_sent", PeerDBUnauthorized(f"{request.path} was not sent: {error}", sent=False)) from None
        seconds = self._read_seconds[request.patience]
        try:
            async with asyncio.timeout(seconds + self._slack_seconds):
                return await self._exchange(request, auth, seconds)
        except TimeoutError as error:
            what = f"PeerDB began but did not finish to answer {request.path} in time"
            raise _coded("timeout", PeerDBUnavailable(what, sent=True)) from error
        except _FOREIGN as error:
            raise translate(error, request.path) from error

    async def _exchange(self, request: Request, auth: httpx.BasicAuth | None, seconds: float) -> Reply:
        response = await self._network.handle_async_request(self._prepared(request, auth, seconds))
        body = bytearray()
        try:
            async for chunk in _chunks(response):
                body += chunk
                if len(body) > _MAX_REPLY_BYTES:
                    raise _coded("garbled", UnexpectedReply(f"the answer to {request.path} has no end", sent=True))
        finally:
            await response.aclose()
        return Reply(response.status_code, response.headers.get("content-type"), bytes(body))

    def _prepared(self, request: Request, auth: httpx.BasicAuth | None, seconds: float) -> httpx.Request:
        headers = _HEADERS if request.body is None else _HEADERS_WITH_BODY
        if request.headers:
            headers = headers.copy()
            headers.update(request.headers)
        limits = {"connect": self._connect_seconds, "read": seconds, "write": seconds, "pool": self._connect_seconds}
        prepared = httpx.Request(
            request.method,
            self._url(request),
            content=None if request.body is None else encode_json(request.body),
            headers=headers,
            extensions={"timeout": limits},
        )
        return prepared if auth is None else next(auth.auth_flow(prepared))

    def _url(self, request: Request) -> httpx.URL:
        """Parsed once for each path of a POST, which names its mirror in the body: parsing costs as much as sending."""
        known = self._urls.get(request.path)
        if known is None:
            known = httpx.URL(f"{self._base}/v1/{request.path}")
            if request.method == "POST":
                self._urls[request.path] = known
        return known


def _chunks(response: httpx.Response) -> AsyncIterable[bytes]:
    """The body in pieces; httpx takes three generators and a buffer to pass on one that is not compressed."""
    stream = response.stream
    plain = "content-encoding" not in response.headers
    return stream if plain and isinstance(stream, httpx.AsyncByteStream) else response.aiter_bytes()


def _checked(base_url: str) -> str:
    try:
        return str(httpx.URL(base_url)).rstrip("/")
    except httpx.InvalidURL:
        raise ValueError(f"PEERDB_URL is not an address; {BASE_HINT}") from None


def _network(trust: ssl.SSLContext | bool, proxy: str | None) -> AiohttpTransport:
    def connect() -> aiohttp.ClientSession:  # needs a running loop, so it is called with the first request
        return aiohttp.ClientSession(
            # How many calls run at once is the work queue's business.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEPT_SECONDS, ssl=trust),
            cookie_jar=aiohttp.DummyCookieJar(),
            proxy=proxy,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
        )

    return AiohttpTransport(client=connect, verify=trust, trust_env=False)


def _trust(addresses: tuple[str, ...], ca_file: Path | None) -> ssl.SSLContext | bool:
    """Reading the authorities costs memory: only what needs them does."""
    if ca_file is None and not any(address.startswith("https:") for address in addresses):
        return False
    try:
        return (
            httpx.create_ssl_context(trust_env=False) if ca_file is None else ssl.create_default_context(cafile=ca_file)
        )
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ValueError(f"PEERDB_CA_FILE {ca_file} cannot be used: {one_line(str(error))}") from None


def translate(error: Exception, path: str) -> PeerDBError:
    """What an exception of httpx, aiohttp or the socket under them means; the nearest class in its ancestry decides."""
    beneath = next((cause for cause in _causes(error) if isinstance(cause, aiohttp.ClientError)), error)
    meaning = next(_MEANINGS[kind] for kind in type(beneath).__mro__ if kind in _MEANINGS)
    what = f"{path}: PeerDB could not be asked"
    tls = None if meaning.sent else next((each for each in _causes(error) if type(each) in _TLS_ERRORS), None)
    if isinstance(tls, ssl.SSLCertVerificationError):
        why = one_line(str(tls))
        untrusted = f"{what}, its certificate is not trusted ({why}); check PEERDB_CA_FILE"
        return _coded("connect_error", PeerDBMisconfigured(untrusted, sent=False))
    if getattr(tls, "reason", None) in _NO_TLS:
        no_tls = f"{what}, it does not speak TLS; PEERDB_URL should begin with http://"
        return _coded("connect_error", PeerDBMisconfigured(no_tls, sent=False))
    name = type(beneath).__name__
    detail = f"{name}: {one_line(str(beneath))}" if meaning.quoted else name
    return _coded(meaning.code, meaning.kind(f"{what}, {meaning.words} ({detail})", sent=meaning.sent))


def _coded(code: str, error: PeerDBError) -> PeerDBError:
    error.code = code
    return error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@dataclass(frozen=True, slots=True)
class _Meaning:
    code: str
    words: str
    kind: Callable[..., PeerDBError] = PeerDBUnavailable
    sent: bool = True
    quoted: bool = True


_TLS_ERRORS: Final = (ssl.SSLError, ssl.SSLCertVerificationError)  # OpenSSL's own; aiohttp's are children of them
_UNUSABLE: Final = f"its address cannot be used: {BASE_HINT}"
_UNREACHABLE: Final = _Meaning("connect_error", "it could not be reached", sent=False)
# ``sent`` is False only where no byte of the request can have left.
_MEANINGS: Final[Mapping[type[BaseException], _Meaning]] = {
    aiohttp.ConnectionTimeoutError: _Meaning("connect_error", "it could not be reached in time", sent=False),
    aiohttp.ClientConnectorError: _UNREACHABLE,
    aiohttp.ClientHttpProxyError: _UNREACHABLE,
    aiohttp.ServerTimeoutError: _Meaning("timeout", "it did not answer in time"),
    aiohttp.ClientConnectionError: _Meaning("reset", "the connection to it broke"),
    aiohttp.ClientPayloadError: _Meaning("reset", "it broke off"),
    aiohttp.ClientResponseError: _Meaning("reset", "it broke off or does not speak HTTP"),
    aiohttp.InvalidURL: _Meaning("not_sent", _UNUSABLE, PeerDBMisconfigured, sent=False),
    aiohttp.NonHttpUrlClientError: _Meaning("not_sent", _UNUSABLE, PeerDBMisconfigured, sent=False),
    aiohttp.ClientError: _Meaning("client_error", "the HTTP client failed", quoted=False),
    httpx.ConnectTimeout: _Meaning("connect_error", "it could not be reached in time", sent=False),
    httpx.ConnectError: _UNREACHABLE,
    httpx.PoolTimeout: _Meaning("connect_error", "all connections to it are busy", sent=False),
    httpx.TimeoutException: _Meaning("timeout", "it did not answer in time"),
    httpx.NetworkError: _Meaning("reset", "the connection to it broke"),
    httpx.RemoteProtocolError: _Meaning("reset", "it broke off or does not speak HTTP"),
    httpx.DecodingError: _Meaning("garbled", "its answer is garbled", UnexpectedReply),
    httpx.UnsupportedProtocol: _Meaning("not_sent", _UNUSABLE, PeerDBMisconfigured, sent=False),
    httpx.InvalidURL: _Meaning("not_sent", _UNUSABLE, PeerDBMisconfigured, sent=False),
    # These speak of our own request, headers included.
    httpx.HTTPError: _Meaning("client_error", "the HTTP client failed", quoted=False),
    httpx.StreamError: _Meaning("client_error", "the HTTP client failed", quoted=False),
    httpx.CookieConflict: _Meaning("client_error", "the HTTP client failed", quoted=False),
    OSError: _Meaning("reset", "the connection to it broke"),
}
_FOREIGN: Final = (
    aiohttp.ClientError, httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, httpx.CookieConflict, OSError,
)  # fmt: skip

"""PeerDB over HTTP: the only module that knows httpx.

Owns the base address, the password, TLS, seconds, and the translation of httpx's exceptions. Leaves statuses and bodies
to ``peerdb_errors``. Redirects are never followed: the web UI answers a request without a password with one that ends,
for a POST too, on a login page with status 200, and a refused command would look done. Nothing is repeated here,
neither by httpx nor by us. Proxies and credentials of the environment are not used and cookies not kept: the settings
alone decide.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Final, Self

import httpx

from peerdb_operator import __version__
from peerdb_operator.clients.peerdb_codes import BASE_HINT
from peerdb_operator.clients.peerdb_transport import Patience, Reply, Request, encode_json, one_line
from peerdb_operator.errors import (
    PeerDBError,
    PeerDBMisconfigured,
    PeerDBUnauthorized,
    PeerDBUnavailable,
    UnexpectedReply,
)

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
# How many calls run at once is the work queue's business; the web UI closes idle connections after 5 s.
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=50, keepalive_expiry=3.0)


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
        read_seconds: Mapping[Patience, float] = READ_SECONDS,
        slack_seconds: float = _SLACK_SECONDS,
        inner: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """``base_url`` is what ``/v1/...`` is appended to. Raises ``ValueError`` with a sentence for what cannot work.

        ``inner`` replaces the network.
        """
        self._base = _checked(base_url)
        self._password = password or Password()
        self._read_seconds = read_seconds
        self._slack_seconds = slack_seconds
        self._http = httpx.AsyncClient(
            transport=inner,
            verify=_trust(ca_file),
            trust_env=False,
            follow_redirects=False,
            limits=_LIMITS,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers={"accept": "application/json", "user-agent": f"peerdb-operator/{__version__}"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def send(self, request: Request) -> Reply:
        """See ``Transport.send``."""
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
        body = bytearray()
        async with self._http.stream(
            request.method,
            f"{self._base}/v1/{request.path}",
            content=None if request.body is None else encode_json(request.body),
            headers={**request.headers, **({} if request.body is None else {"content-type": "application/json"})},
            auth=auth,
            timeout=httpx.Timeout(seconds, connect=CONNECT_SECONDS, pool=CONNECT_SECONDS),
        ) as response:
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _MAX_REPLY_BYTES:
                    raise _coded("garbled", UnexpectedReply(f"the answer to {request.path} has no end", sent=True))
            return Reply(response.status_code, response.headers.get("content-type"), bytes(body))


def _checked(base_url: str) -> str:
    try:
        return str(httpx.URL(base_url)).rstrip("/")
    except httpx.InvalidURL:
        raise ValueError(f"PEERDB_URL is not an address; {BASE_HINT}") from None


def _trust(ca_file: Path | None) -> ssl.SSLContext | bool:
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ValueError(f"PEERDB_CA_FILE {ca_file} cannot be used: {one_line(str(error))}") from None


def translate(error: Exception, path: str) -> PeerDBError:
    """What an exception of httpx or of the socket under it means; the nearest class in its ancestry decides."""
    tls = next((cause for cause in _causes(error) if isinstance(cause, ssl.SSLError)), None)
    what = f"{path}: PeerDB could not be asked"
    if isinstance(tls, ssl.SSLCertVerificationError):
        why = one_line(str(tls))
        untrusted = f"{what}, its certificate is not trusted ({why}); check PEERDB_CA_FILE"
        return _coded("connect_error", PeerDBMisconfigured(untrusted, sent=False))
    if getattr(tls, "reason", None) in _NO_TLS:  # only errors made by OpenSSL itself have one
        no_tls = f"{what}, it does not speak TLS; PEERDB_URL should begin with http://"
        return _coded("connect_error", PeerDBMisconfigured(no_tls, sent=False))
    meaning = next(_MEANINGS[kind] for kind in type(error).__mro__ if kind in _MEANINGS)
    detail = f"{type(error).__name__}: {one_line(str(error))}" if meaning.quoted else type(error).__name__
    return _coded(meaning.code, meaning.kind(f"{what}, {meaning.words} ({detail})", sent=meaning.sent))


def _coded(code: str, error: PeerDBError) -> PeerDBError:
    error.code = code
    return error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__  # httpcore hides its causes by raising "from None"


@dataclass(frozen=True, slots=True)
class _Meaning:
    code: str
    words: str
    kind: Callable[..., PeerDBError] = PeerDBUnavailable
    sent: bool = True
    quoted: bool = True


_UNUSABLE: Final = f"its address cannot be used: {BASE_HINT}"
# ``sent`` is False only where no byte of the request can have left.
_MEANINGS: Final[Mapping[type[BaseException], _Meaning]] = {
    httpx.ConnectTimeout: _Meaning("connect_error", "it could not be reached in time", sent=False),
    httpx.ConnectError: _Meaning("connect_error", "it could not be reached", sent=False),
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
_FOREIGN: Final = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, httpx.CookieConflict, OSError)

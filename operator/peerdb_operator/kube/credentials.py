"""Credentials for the API server that stay fresh, and the sessions that use them.

All are read anew at least every 60 seconds and after a 401, since tokens, client certificates and authorities rotate.
If they cannot be read, those read before stay in use. A request uses the newest TLS context; connections made with an
older one end by themselves. Watch and client have separate sessions, so that neither ends with the other.
"""

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import aiohttp

from peerdb_operator import __version__
from peerdb_operator.errors import KubeError
from peerdb_operator.kube.kubeconfig import KubeAccess, read_access
from peerdb_operator.proxies import Proxies, checked

logger = logging.getLogger(__name__)

USER_AGENT = f"peerdb-operator/{__version__}"
REREAD_SECONDS = 60.0
"""The kubelet refreshes a projected token at 80 % of its life, at least 10 minutes; client-go re-reads every minute."""
REFUSED_SECONDS = 1.0
"""The shortest time from one reading after a 401 to the next: each may start an exec plugin."""

_UNAUTHORIZED = 401
_KEEPALIVE_IDLE_SECONDS = 20
_KEEPALIVE_PROBES = 3
_UNACKNOWLEDGED_MILLISECONDS = 30_000


class KubeAuth:
    """Credentials that stay fresh, and sessions that use them."""

    def __init__(
        self,
        read: Callable[[], Awaitable[KubeAccess]],
        first: KubeAccess,
        monotonic: Callable[[], float] = time.monotonic,
        proxies: Proxies | None = None,
    ) -> None:
        """``proxies``: what leads to the API server where the kubeconfig names no proxy.

        Raises KubeError with a sentence for a proxy or certificates of no use.
        """
        self._proxy = _proxy(first, proxies or Proxies())
        self._read = read
        self._access = first
        self._tls = first.tls()
        self._monotonic = monotonic
        self._read_at = monotonic()
        self._reread_at = float("-inf")
        self._stale = False
        self._problem = ""
        self._reading = asyncio.Lock()

    @classmethod
    async def load(cls, kubeconfig: str | None, proxies: Proxies | None = None) -> "KubeAuth":
        """Read the credentials for the first time: ``kubeconfig`` if given, else the pod's service account.

        Raises KubeError with a sentence for the user if neither works.
        """

        async def read() -> KubeAccess:
            return await read_access(kubeconfig)

        return cls(read, await read(), proxies=proxies)

    @property
    def server(self) -> str:
        """Base address of the API server."""
        return self._access.server

    async def session(self, *, connections: int) -> aiohttp.ClientSession:
        """Open a session with at most ``connections`` connections (0: no limit); the caller closes it."""
        await self._refresh()
        connector = aiohttp.TCPConnector(limit=connections, ssl=self._tls, socket_factory=_attentive_socket)

        async def authorize(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            await self._refresh()
            if session.closed:  # kopf closes it for all requests when one is refused; aiohttp would fail an assertion
                raise aiohttp.ClientConnectionError("the session was closed while its credentials were read")
            return await self._authorized(request, handler)

        session = aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": USER_AGENT},
            proxy=self._proxy,
            trust_env=False,  # aiohttp would read proxies and netrc in a thread for each request
            read_bufsize=2**21,
            middlewares=(authorize,),
            request_class=_Request,
        )
        return session

    async def watch_session(self) -> aiohttp.ClientSession:
        """A new session without a limit: each watched namespace holds one connection for good."""
        return await self.session(connections=0)

    async def _authorized(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if self._access.authorization is not None:
            request.headers["Authorization"] = self._access.authorization
        if self._access.tls_server_name is not None:
            request.server_hostname = self._access.tls_server_name
        if isinstance(request, _Request):
            request.use(self._tls)
        response = await handler(request)
        self._stale = self._stale or response.status == _UNAUTHORIZED
        return response

    async def _refresh(self) -> None:
        if not self._is_due():
            return
        async with self._reading:
            if not self._is_due():
                return
            try:
                access = await self._read()
                tls = self._tls if access.has_tls_of(self._access) else access.tls()
            except KubeError as error:
                self._keep(str(error))
            else:
                self._access, self._tls = replace(access, server=self._access.server), tls
                self._problem = ""
            self._stale = False
            self._read_at = self._reread_at = self._monotonic()

    def _keep(self, problem: str) -> None:
        """What was read before stays in use; the API server decides how long it is valid."""
        level = logging.DEBUG if problem == self._problem else logging.WARNING
        self._problem = problem
        logger.log(level, "Keeping the Kubernetes credentials read before: %s", problem)

    def _is_due(self) -> bool:
        now = self._monotonic()
        refused = self._stale and now - self._reread_at >= REFUSED_SECONDS
        return refused or now - self._read_at >= REREAD_SECONDS


class _Request(aiohttp.ClientRequest):
    """A request whose TLS context can still be chosen when it is about to be sent."""

    def use(self, tls: ssl.SSLContext) -> None:
        """Connect with this context; pooled connections of another one are not used."""
        self._ssl = tls


def _proxy(access: KubeAccess, proxies: Proxies) -> str | None:
    try:
        return proxies.to(access.server) if access.proxy is None else checked(access.proxy, "proxy-url")
    except ValueError as error:
        raise KubeError(f"{access.server} cannot be reached: {error}.") from None


def _attentive_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket that notices a peer that is gone: without it a dead watch is silent until its next timeout."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", _KEEPALIVE_IDLE_SECONDS),
        ("TCP_KEEPINTVL", _KEEPALIVE_IDLE_SECONDS // 2),
        ("TCP_KEEPCNT", _KEEPALIVE_PROBES),
        ("TCP_USER_TIMEOUT", _UNACKNOWLEDGED_MILLISECONDS),
    ):
        if hasattr(socket, option):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return made

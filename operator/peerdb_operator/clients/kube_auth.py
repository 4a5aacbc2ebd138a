"""Where the API server is, and how to prove to it who we are.

Owns kubeconfig and service account: address, TLS material, proxy, and the ``Authorization`` header, which is read anew
at least every 60 seconds and after a 401, because the kubelet rotates tokens under a running process. The watch and
the client each get a session of their own from here, so that the end of one never takes the other with it.

Leaves parsing of kubeconfig files, exec plugins and in-cluster files to the ``kubernetes`` package, and every request
to ``clients.kube`` and kopf.
"""

import asyncio
import logging
import os
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes.aio import config as loaders
from kubernetes.aio.client import Configuration

from peerdb_operator import __version__
from peerdb_operator.clients.proxies import Proxies, checked
from peerdb_operator.errors import KubeError

logger = logging.getLogger(__name__)

USER_AGENT = f"peerdb-operator/{__version__}"
REREAD_SECONDS = 60.0
"""The kubelet refreshes a projected token at 80 % of its life, at least 10 minutes; client-go re-reads every minute."""

_UNAUTHORIZED = 401
_PROBLEM_LENGTH = 200
_KEEPALIVE_IDLE_SECONDS = 20
_KEEPALIVE_PROBES = 3
_UNACKNOWLEDGED_MILLISECONDS = 30_000


@dataclass(frozen=True, slots=True)
class KubeAccess:
    """One reading of the credentials. ``authorization`` is the whole header value or None; never log it."""

    server: str
    authorization: str | None
    ca_file: str | None
    cert_file: str | None
    key_file: str | None
    verify_tls: bool
    tls_server_name: str | None
    proxy: str | None

    def __repr__(self) -> str:
        return f"KubeAccess(server={self.server!r})"

    def tls(self) -> ssl.SSLContext:
        """A fresh TLS context from the files as they are now. Raises KubeError if they cannot be used."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file:
                context.load_cert_chain(self.cert_file, keyfile=self.key_file)
        except OSError as error:  # SSLError is one
            raise KubeError(f"The certificates for {self.server} cannot be used: {error}.") from error
        # Python 3.13 began to refuse authorities without key identifiers, as many clusters have them.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not self.verify_tls:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


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

        Raises KubeError with a sentence for a proxy of no use.
        """
        self._proxy = _proxy(first, proxies or Proxies())
        self._read = read
        self._access = first
        self._monotonic = monotonic
        self._read_at = monotonic()
        self._stale = False
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
        """A new session with at most so many connections (0: no limit); whoever asks for it closes it."""
        await self._refresh()
        access = self._access
        connector = aiohttp.TCPConnector(limit=connections, ssl=access.tls(), socket_factory=_attentive_socket)

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
            except KubeError as error:
                logger.warning("Keeping the Kubernetes credentials read before: %s", error)
            else:
                self._access = replace(access, server=self._access.server)
            self._stale = False
            self._read_at = self._monotonic()

    def _is_due(self) -> bool:
        return self._stale or self._monotonic() - self._read_at >= REREAD_SECONDS


async def read_access(kubeconfig: str | None) -> KubeAccess:
    """Read the credentials once. Raises KubeError with a sentence for the user."""
    configuration = Configuration()
    try:
        if kubeconfig is None:
            load: Any = loaders.load_incluster_config  # the package's loaders are untyped
            load(client_configuration=configuration, try_refresh_token=False)
        else:
            _require_a_file(kubeconfig)
            load = loaders.load_kube_config
            await load(config_file=kubeconfig, client_configuration=configuration, persist_config=False)
    except KubeError:
        raise
    except Exception as error:
        # The loader walks the YAML without a schema: a malformed file comes out as whatever it stumbles over.
        raise KubeError(_sentence(kubeconfig, error)) from error
    authorization = configuration.api_key.get("BearerToken")
    return KubeAccess(
        server=configuration.host,
        authorization=_header(authorization),
        ca_file=configuration.ssl_ca_cert,
        cert_file=configuration.cert_file,
        key_file=configuration.key_file,
        verify_tls=configuration.verify_ssl,
        tls_server_name=configuration.tls_server_name,
        proxy=configuration.proxy,
    )


def _proxy(access: KubeAccess, proxies: Proxies) -> str | None:
    try:
        return proxies.to(access.server) if access.proxy is None else checked(access.proxy, "proxy-url")
    except ValueError as error:
        raise KubeError(f"{access.server} cannot be reached: {error}.") from None


def _require_a_file(kubeconfig: str) -> None:
    if not any(Path(part).expanduser().is_file() for part in kubeconfig.split(os.pathsep) if part):
        raise KubeError(f"The kubeconfig {kubeconfig} does not exist; set --kubeconfig (KUBECONFIG).")


def _header(value: str | None) -> str | None:
    if value is None:
        return None
    scheme, _, secret = value.strip().partition(" ")
    return f"{scheme.capitalize()} {secret.strip()}"


def _sentence(kubeconfig: str | None, error: Exception) -> str:
    kind = "" if isinstance(error, loaders.ConfigException) else f"{type(error).__name__}: "
    problem = kind + " ".join(str(error).split())[:_PROBLEM_LENGTH].rstrip(".")
    if kubeconfig is None:
        return f"This is no pod with a service account ({problem}); set --kubeconfig (KUBECONFIG)."
    return f"The kubeconfig {kubeconfig} cannot be used: {problem}."


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

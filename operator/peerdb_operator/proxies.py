"""Which proxy leads to an address: HTTPS_PROXY, HTTP_PROXY and NO_PROXY, as kubectl reads them.

For PeerDB and the API server alike; the environment is read once, when the process starts. Follows Go's
``golang.org/x/net/http/httpproxy``, which kubectl uses (without its international names): no library for Python knows
CIDR and ports in NO_PROXY. Passwords are never taken from a netrc file.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

_PORTS: Final = {"http": 80, "https": 443}

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Exempt:
    """One entry of NO_PROXY: a network, or a domain whose ``suffix`` begins with a dot. An empty port means all."""

    network: IPNetwork | None = None
    suffix: str = ""
    subdomains_only: bool = False
    port: str = ""

    def matches(self, host: str, address: IPAddress | None, port: int) -> bool:
        """Whether a connection to this host and port is made without a proxy."""
        if self.port and self.port != str(port):
            return False
        if self.network is not None:
            return address is not None and address in self.network
        return host.endswith(self.suffix) or (not self.subdomains_only and host == self.suffix[1:])


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies of one environment; without arguments none. An address may hold a password: never log it."""

    http: str = field(default="", repr=False)
    https: str = field(default="", repr=False)
    no_proxy: str = ""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Proxies":
        """Read these variables; an upper-case name wins over a lower-case one."""

        def read(name: str) -> str:
            return environment.get(name) or environment.get(name.lower()) or ""

        return cls(read("HTTP_PROXY"), read("HTTPS_PROXY"), read("NO_PROXY"))

    def to(self, url: str) -> str | None:
        """The address of the proxy to ``url``, or None. Raises ValueError with a sentence for a proxy of no use."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        proxy, variable = (self.https, "HTTPS_PROXY") if parts.scheme == "https" else (self.http, "HTTP_PROXY")
        if not proxy or self._is_direct(host, parts.port or _PORTS.get(parts.scheme, 0)):
            return None
        return checked(proxy, variable)

    def _is_direct(self, host: str, port: int) -> bool:
        address = _address(host)
        if host == "localhost" or (address is not None and address.is_loopback):
            return True
        entries = [entry.strip().lower() for entry in self.no_proxy.split(",")]
        return "*" in entries or any(exempt.matches(host, address, port) for exempt in _exempts(entries))


def checked(proxy: str, where: str) -> str:
    """The proxy's address, ``http://`` before it where it has no scheme. Raises ValueError with a sentence."""
    address = proxy if "://" in proxy else f"http://{proxy}"
    try:
        parts = urlsplit(address)
        usable = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(f"{where} is no address of an HTTP proxy: give one like http://proxy.example.com:3128")
    return address


def without_password(proxy: str) -> str:
    """The address of a proxy, fit for a log."""
    parts = urlsplit(proxy)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _exempts(entries: list[str]) -> list[Exempt]:
    return [exempt for entry in entries if (exempt := _exempt(entry)) is not None]


def _exempt(entry: str) -> Exempt | None:
    """None for an entry that has no host."""
    _, slash, bits = entry.partition("/")
    if slash and bits.isdecimal():
        try:
            return Exempt(network=ipaddress.ip_network(entry, strict=False))
        except ValueError:
            return None
    host, port = _host_and_port(entry)
    address = _address(host)
    if address is not None:
        return Exempt(network=ipaddress.ip_network(address), port=port)
    host = host[1:] if host.startswith("*.") else host
    if not host.strip("."):
        return None
    return Exempt(suffix=f".{host.removeprefix('.')}", subdomains_only=host.startswith("."), port=port)


def _host_and_port(entry: str) -> tuple[str, str]:
    if entry.startswith("["):
        host, _, port = entry[1:].partition("]")
        return host, port.removeprefix(":")
    host, colon, port = entry.rpartition(":")
    return (host, port) if colon and ":" not in host else (entry, "")


def _address(host: str) -> IPAddress | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address

"""The web UI in front of the gateway: its password, redirects, methods, and what it does to a request on the way.

Follows PeerDB v0.37 ui/proxy.ts and ui/app/api/v1/[...slug]/route.ts as observed with Next.js 16. No I/O: ``front``
either answers by itself or says what goes up to the gateway.
"""

from __future__ import annotations

import base64
import re
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

from tests.harness.peerdb.values import Base, Reply, Request

BODY_LIMIT: Final = 10 * 1024 * 1024
HEADER_LIMIT: Final = 16 * 1024
PATIENCE: Final = 300.0
GAVE_UP_AFTER: Final = 301.6
FORWARDED: Final = frozenset({"GET", "POST", "DELETE", "HEAD"})
KNOWN: Final = FORWARDED | {"PUT", "PATCH", "OPTIONS", "TRACE"}

NO_ANSWER: Final = Reply(500, b"", None)
FORBIDDEN: Final = Reply(403, b"", None)
CRASH: Final = Reply(500, b"Internal Server Error", "text/plain")
WRONG_METHOD: Final = Reply(405, b"", None)
BAD_REQUEST: Final = Reply(400, b"", None)
HEADERS_TOO_LARGE: Final = Reply(431, b"", None)
OPTIONS: Final = Reply(204, b"", None, (("allow", "DELETE, GET, HEAD, OPTIONS, POST"),))
CACHED: Final = "/api/version"
"""A route of the UI's own: its first success is repeated for ever."""
PAGE: Final = b'<!DOCTYPE html><html lang="en" class="light"><head><title>PeerDB</title></head><body></body></html>'
HTML: Final = "text/html; charset=utf-8"


def _redirect(location: str, status: int = 307) -> Reply:
    return Reply(status, location.encode(), None, (("location", location),))


def front(request: Request, password: str | None, *, has_secret: bool) -> Reply | Request:
    """The UI's own answer, or the request as the gateway gets it."""
    if request.method not in KNOWN:
        return BAD_REQUEST
    if sum(len(name) + len(value) for name, value in request.headers.items()) > HEADER_LIMIT:
        return HEADERS_TOO_LARGE
    path, query = request.path, _reencoded(request.query)
    cleaned = re.sub(r"/{2,}", "/", path)
    cleaned = cleaned.rstrip("/") or "/"
    if cleaned != path:
        return _redirect(cleaned + (f"?{request.query}" if request.query else ""), 308)
    if path == "/":
        return _redirect("/peers")
    refused = _refused(request, password, path + (f"?{query}" if query else ""), has_secret=has_secret)
    return refused if refused is not None else _forward(request, path, query)


def _refused(request: Request, password: str | None, target: str, *, has_secret: bool) -> Reply | None:
    if not password:
        return None
    scheme, _, credentials = request.headers.get("authorization", "").strip().partition(" ")
    credentials = credentials.strip()
    if scheme.lower() != "basic" or not credentials:
        if not has_secret:
            return _redirect("/api/auth/error?error=Configuration")
        return _redirect(f"/api/auth/signin?callbackUrl={quote(target, safe='')}")
    given = _basic(credentials)
    if given is None:
        return CRASH
    return None if given == f":{password}" else FORBIDDEN


def _basic(credentials: str) -> str | None:
    """The Latin-1 reading of Base64 as JavaScript's ``atob`` takes it: padding may be missing, nothing else may."""
    text = re.sub(r"\s", "", credentials).rstrip("=")
    if re.fullmatch(r"[A-Za-z0-9+/]*", text) is None or len(text) % 4 == 1:
        return None
    return base64.b64decode(text + "=" * (-len(text) % 4)).decode("latin-1")


def _reencoded(query: str) -> str:
    return urlencode(parse_qsl(query, keep_blank_values=True))


def _forward(request: Request, path: str, query: str) -> Reply | Request:
    if path == "/peers":
        return Reply(200, PAGE, HTML)
    if path == CACHED and request.method in {"GET", "HEAD"}:
        return Request("GET", "/v1/version", headers={"user-agent": "node"}, base=Base.UI)
    if not path.startswith("/api/v1/"):
        return Reply(404, PAGE, HTML)
    if re.search(r"%(?![0-9a-fA-F]{2})", path) or not _is_utf8(path):
        return CRASH
    if request.method == "OPTIONS":
        return OPTIONS
    if request.method == "TRACE":
        return CRASH
    if request.method not in FORWARDED:
        return WRONG_METHOD
    parts = "/".join(quote(unquote(part), safe="") for part in path.removeprefix("/api/v1/").split("/"))
    is_post = request.method == "POST"
    return Request(
        method="GET" if request.method == "HEAD" else request.method,
        path=f"/v1/{parts}",
        body=request.body[:BODY_LIMIT] if is_post else b"",
        query="" if is_post else query,
        headers={"user-agent": "node"},
        base=Base.UI,
    )


def _is_utf8(path: str) -> bool:
    try:
        unquote(path, errors="strict")
    except UnicodeDecodeError:
        return False
    return True


def passed_through(request: Request, reply: Reply) -> Reply:
    """The gateway's answer as the client of the UI sees it."""
    return Reply(reply.status, b"", reply.content_type, reply.headers) if request.method == "HEAD" else reply

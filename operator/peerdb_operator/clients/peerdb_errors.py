"""What a reply means: a body to read, or an error.

Owns the way from an HTTP reply to one of the two, and the answers of whatever stands in front of PeerDB: the web UI
(redirects to a login page, empty bodies, HTML), an ingress, a wrong server. None of these must be taken for PeerDB's.
Leaves PeerDB's own error bodies to ``peerdb_codes`` and failures to get any reply to the transport. Every error says
what was asked and, where somebody has to act, what to do; bodies that are not PeerDB's are never quoted.

Source: PeerDB v0.37 ui/proxy.ts and ui/app/api/v1.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from peerdb_operator.clients.peerdb_codes import BASE_HINT, CREDENTIALS_HINT, Asked, by_code
from peerdb_operator.clients.peerdb_transport import Reply, one_line
from peerdb_operator.errors import (
    PeerDBError,
    PeerDBInternal,
    PeerDBMisconfigured,
    PeerDBRejected,
    PeerDBUnauthorized,
    PeerDBUnavailable,
    UnexpectedReply,
    UnsupportedPeerDB,
)

_REDIRECTION, _CLIENT_ERROR, _SERVER_ERROR = 3, 4, 5  # first digits


def body_of(reply: Reply, asked: Asked) -> dict[str, Any]:
    """The JSON object of a success: HTTP 200, and ``ok`` absent or true. Everything else raises a ``PeerDBError``."""
    body = _json_object(reply.body)
    if reply.status == HTTPStatus.OK and body is not None:
        _refuse_old_shapes(body, asked)
        return body
    raise _by_status_alone(reply, asked) or by_code(reply.status, body, asked) or _in_front(reply, asked)


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refuse_old_shapes(body: Mapping[str, Any], asked: Asked) -> None:
    """Up to v0.18.2 a failure came as 200 with ``ok`` false, and a missing mirror as a mirror in STATUS_UNKNOWN."""
    if asked.path == "mirrors/status" and not body.keys().isdisjoint({"ok", "errorMessage"}):
        raise UnsupportedPeerDB(
            f"this PeerDB is too old: its answer to {asked} has the shape of v0.18.2 or before, which cannot tell a "
            "missing mirror from an unknown state; v0.34.6 or later is needed"
        )
    if body.get("ok", True) is not True:
        said = one_line(str(body.get("errorMessage") or "no message"))
        raise PeerDBInternal(f"PeerDB failed; it answered {asked} with HTTP 200 but not ok: {said}", sent=True)


def _by_status_alone(reply: Reply, asked: Asked) -> PeerDBError | None:
    """Answers that mean one thing whoever gives them and whatever an error body says."""
    fixed = _FIXED.get(reply.status)
    family = reply.status // 100
    if fixed is not None:
        return fixed(reply, asked)
    if family == _REDIRECTION:
        what = f"{asked} was redirected (HTTP {reply.status}), as PeerDB's web UI does when no password is sent"
        return PeerDBUnauthorized(f"{what}; {CREDENTIALS_HINT}", sent=False)
    if family in (_CLIENT_ERROR, _SERVER_ERROR):
        return None
    if "html" in (reply.content_type or "").lower() or reply.body.lstrip().startswith(b"<"):
        what = f"{asked} was answered with a web page instead of JSON, by a login form or by the wrong server"
        return PeerDBMisconfigured(f"{what}; {BASE_HINT}", sent=False)
    return UnexpectedReply(f"{asked} was answered with HTTP {reply.status} and no JSON object", sent=True)


def _refused(reply: Reply, asked: Asked) -> PeerDBError:
    body = _json_object(reply.body) or {}
    # What follows the first colon may repeat the header that was refused.
    said = one_line(str(body.get("message") or "").partition(":")[0])
    words = f": {said}" if said else ""
    return PeerDBUnauthorized(f"{asked} was refused with HTTP {reply.status}{words}; {CREDENTIALS_HINT}", sent=False)


def _wrong_address(reply: Reply, asked: Asked) -> PeerDBError:
    what = f"{asked} was answered with HTTP {reply.status} by something that is not PeerDB's API"
    return PeerDBMisconfigured(f"{what}; {BASE_HINT}", sent=False)


def _away(reply: Reply, asked: Asked, *, sent: bool) -> PeerDBError:
    what = f"{asked} was answered with HTTP {reply.status}"
    return PeerDBUnavailable(f"{what} by something in front of PeerDB, which may be restarting", sent=sent)


def _too_large(reply: Reply, asked: Asked) -> PeerDBError:
    what = f"{asked} was answered with HTTP {reply.status}"
    return PeerDBRejected(f"{what}: something in front of PeerDB takes no request of this size", too_large=True)


def _no_answer(reply: Reply, asked: Asked) -> PeerDBError:
    """A 500 with no body is how the UI says that it got no answer, whether PeerDB acted or not."""
    what = f"{asked} was answered with HTTP {reply.status}"
    if reply.body.strip():
        return PeerDBInternal(f"{what} and a body that is not PeerDB's", sent=True)
    return PeerDBUnavailable(f"{what} and no body: PeerDB's web UI got no answer from PeerDB", sent=True)


def _in_front(reply: Reply, asked: Asked) -> PeerDBError:
    """An error without PeerDB's body: from the UI, a proxy, or another server altogether."""
    known = _IN_FRONT.get(reply.status)
    if known is None:
        known = _no_answer if reply.status // 100 == _SERVER_ERROR else _wrong_address
    return known(reply, asked)


def _refused_by_a_proxy(reply: Reply, asked: Asked) -> PeerDBError:
    what = f"{asked} was answered with HTTP {reply.status} by a proxy"
    return PeerDBMisconfigured(f"{what}, which wants a password: put it into HTTPS_PROXY or HTTP_PROXY", sent=False)


_Meaning = Callable[[Reply, Asked], PeerDBError]

_FIXED: Final[Mapping[int, _Meaning]] = {
    HTTPStatus.PERMANENT_REDIRECT: _wrong_address,  # the UI cleans up slashes, before any password check
    HTTPStatus.UNAUTHORIZED: _refused,
    HTTPStatus.FORBIDDEN: _refused,
    HTTPStatus.METHOD_NOT_ALLOWED: _wrong_address,
}
_IN_FRONT: Final[Mapping[int, _Meaning]] = {
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: _refused_by_a_proxy,
    HTTPStatus.REQUEST_TIMEOUT: partial(_away, sent=True),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: _too_large,
    HTTPStatus.TOO_EARLY: partial(_away, sent=False),
    HTTPStatus.TOO_MANY_REQUESTS: partial(_away, sent=False),
    499: partial(_away, sent=True),  # a proxy's word for a client that left
    HTTPStatus.NOT_IMPLEMENTED: _wrong_address,
    HTTPStatus.BAD_GATEWAY: partial(_away, sent=True),
    HTTPStatus.SERVICE_UNAVAILABLE: partial(_away, sent=True),
    HTTPStatus.GATEWAY_TIMEOUT: partial(_away, sent=True),
}

"""What PeerDB itself says when it refuses or fails: gRPC codes and their messages.

The gRPC code decides; the message is read only where one code means several things, and never that of the JSON codec,
which varies from build to build. Errors quote PeerDB: one line, trimmed, scrubbed of what looks like a secret.

Sources: PeerDB v0.37 flow/cmd/handler.go FlowStateChange and flow/cmd/validate_mirror.go; grpc-gateway v2
runtime/errors.go.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from peerdb_operator.errors import (
    PeerDBError,
    PeerDBInternal,
    PeerDBMisconfigured,
    PeerDBNotFound,
    PeerDBPreconditionFailed,
    PeerDBRejected,
    PeerDBUnauthorized,
    PeerDBUnavailable,
    UnexpectedReply,
    UnsupportedPeerDB,
    Violation,
)
from peerdb_operator.peerdb.redaction import one_line
from peerdb_operator.peerdb.transport import Reply

BASE_HINT: Final = (
    "PEERDB_URL must be the address under which /v1/... lives: that of PeerDB's gateway (http://<flow-api>:8113), "
    "or that of its web UI with /api behind it (http://<peerdb-ui>:3000/api)"
)
CREDENTIALS_HINT: Final = "check PEERDB_PASSWORD or PEERDB_PASSWORD_FILE: PeerDB's password alone, without a user name"


@dataclass(frozen=True, slots=True)
class Target:
    """What a reply answers: the endpoint, and the mirror (if any) whose absence it may report."""

    path: str
    mirror: str | None = None

    def __str__(self) -> str:
        return self.path if self.mirror is None else f"{self.path} for mirror {self.mirror}"


@dataclass(frozen=True, slots=True)
class _Refusal:
    """An error body of PeerDB's own (``google.rpc.Status``)."""

    target: Target
    status: int
    code: int
    message: str
    details: tuple[Mapping[str, Any], ...]

    def sentence(self, meaning: str) -> str:
        """The meaning, then PeerDB's own message."""
        said = one_line(self.message) or "no message"
        return f"{meaning}; it answered {self.target} with HTTP {self.status}, code {self.code}: {said}"

    def says(self, *patterns: str) -> bool:
        return any(pattern in self.message for pattern in patterns)


def by_code(status: int, body: Mapping[str, Any] | None, target: Target) -> PeerDBError | None:
    """The error behind a body with an integer ``code``; ``None`` if this is no error body of PeerDB's."""
    code = None if body is None else body.get("code")
    if body is None or not isinstance(code, int) or isinstance(code, bool):
        return None
    details = body.get("details")
    refusal = _Refusal(
        target=target,
        status=status,
        code=code,
        message=str(body.get("message") or ""),
        details=tuple(d for d in details if isinstance(d, dict)) if isinstance(details, list) else (),
    )
    return _BY_CODE.get(code, _internal)(refusal)


def _away(refusal: _Refusal) -> PeerDBError:
    if refusal.says("under maintenance"):
        meaning = "PeerDB is under maintenance and takes no changes"
        return PeerDBUnavailable(refusal.sentence(meaning), sent=False, maintenance=True)
    return PeerDBUnavailable(refusal.sentence("PeerDB cannot answer at the moment"), sent=True)


def _refused(refusal: _Refusal) -> PeerDBError:
    # PeerDB signals the config update before it checks the requested state.
    taken = refusal.says("illegal state change requested")
    return PeerDBRejected(refusal.sentence("PeerDB refuses this request as it is"), sent=taken)


def _not_found(refusal: _Refusal) -> PeerDBError:
    mirror = refusal.target.mirror
    named = mirror and re.search(rf"\bflow {re.escape(mirror)} (?:not found|does not exist)", refusal.message)
    if named and refusal.status == HTTPStatus.NOT_FOUND:
        return PeerDBNotFound(refusal.sentence(f"PeerDB has no mirror {mirror}"))
    return PeerDBMisconfigured(f"{refusal.sentence('this is not where PeerDB answers')}; {BASE_HINT}", sent=False)


def _exhausted(refusal: _Refusal) -> PeerDBError:
    if refusal.says("larger than max"):
        return PeerDBRejected(refusal.sentence("the request or its answer is too large for PeerDB"), too_large=True)
    return PeerDBUnavailable(refusal.sentence("PeerDB takes no more requests at the moment"), sent=False)


def _failed_precondition(refusal: _Refusal) -> PeerDBError:
    reason = next((str(d["reason"]) for d in _details(refusal, "ErrorInfo") if d.get("reason")), "")
    meaning = f"PeerDB's check failed{f' with {one_line(reason)}' if reason else ''}"
    return PeerDBPreconditionFailed(refusal.sentence(meaning), violations=tuple(_violations(refusal)))


def _violations(refusal: _Refusal) -> Iterator[Violation]:
    for detail in _details(refusal, "PreconditionFailure"):
        listed = detail.get("violations")
        for item in listed if isinstance(listed, list) else ():
            if isinstance(item, dict):
                kind, subject, text = (one_line(str(item.get(k) or "")) for k in ("type", "subject", "description"))
                yield Violation(kind, subject, text)


def _details(refusal: _Refusal, kind: str) -> Iterator[Mapping[str, Any]]:
    return (d for d in refusal.details if str(d.get("@type")).endswith(f"google.rpc.{kind}"))


def _unimplemented(refusal: _Refusal) -> PeerDBError:
    if refusal.says("Method Not Allowed"):
        return PeerDBMisconfigured(f"{refusal.sentence('this is not where PeerDB answers')}; {BASE_HINT}", sent=False)
    return _refused(refusal)


def _login(refusal: _Refusal) -> PeerDBError:
    return PeerDBUnauthorized(f"{refusal.target} was refused with code {refusal.code}; {CREDENTIALS_HINT}", sent=False)


def _internal(refusal: _Refusal) -> PeerDBError:
    if refusal.says("Blob data size exceeds limit"):
        return PeerDBRejected(refusal.sentence("the config update is too large for PeerDB"), too_large=True)
    orphaned = refusal.says("unable to signal workflow") and refusal.says(
        "workflow execution already completed", "workflow not found for ID"
    )
    meaning = "PeerDB has a row but no live workflow for this mirror" if orphaned else "PeerDB failed inside"
    return PeerDBInternal(refusal.sentence(meaning), orphaned=orphaned)


def _unknown(refusal: _Refusal) -> PeerDBError:
    """Up to v0.33 every error had this code."""
    target = refusal.target
    if refusal.says("under maintenance"):
        return _away(refusal)
    named = target.mirror and re.search(rf"\bflow job {re.escape(target.mirror)}(?![\w-])", refusal.message)
    if named and refusal.says("no rows in result set"):
        return PeerDBNotFound(refusal.sentence(f"PeerDB has no mirror {target.mirror}"))
    return _internal(refusal)


_BY_CODE: Final[Mapping[int, Callable[[_Refusal], PeerDBError]]] = {
    1: _away,
    2: _unknown,
    3: _refused,
    4: _away,
    5: _not_found,
    6: _refused,
    7: _login,
    8: _exhausted,
    9: _failed_precondition,
    11: _refused,
    12: _unimplemented,
    14: _away,
    16: _login,
}


_REDIRECTION, _CLIENT_ERROR, _SERVER_ERROR = 3, 4, 5  # first digits


def body_of(reply: Reply, target: Target) -> dict[str, Any]:
    """The JSON object of a success: HTTP 200, and ``ok`` absent or true. Everything else raises a ``PeerDBError``."""
    body = _json_object(reply.body)
    if reply.status == HTTPStatus.OK and body is not None:
        _refuse_old_shapes(body, target)
        return body
    raise _by_status_alone(reply, target) or by_code(reply.status, body, target) or _in_front(reply, target)


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _refuse_old_shapes(body: Mapping[str, Any], target: Target) -> None:
    """Up to v0.18.2 a failure came as 200 with ``ok`` false, and a missing mirror as a mirror in STATUS_UNKNOWN."""
    if target.path == "mirrors/status" and not body.keys().isdisjoint({"ok", "errorMessage"}):
        raise UnsupportedPeerDB(
            f"this PeerDB is too old: its answer to {target} has the shape of v0.18.2 or before, which cannot tell a "
            "missing mirror from an unknown state; v0.34.6 or later is needed"
        )
    if body.get("ok", True) is not True:
        said = one_line(str(body.get("errorMessage") or "no message"))
        raise PeerDBInternal(f"PeerDB failed; it answered {target} with HTTP 200 but not ok: {said}", sent=True)


def _by_status_alone(reply: Reply, target: Target) -> PeerDBError | None:
    """The error of a status that has one meaning, whatever the server and the body."""
    fixed = _FIXED.get(reply.status)
    family = reply.status // 100
    if fixed is not None:
        return fixed(reply, target)
    if family == _REDIRECTION:
        what = f"{target} was redirected (HTTP {reply.status}), as PeerDB's web UI does when no password is sent"
        return PeerDBUnauthorized(f"{what}; {CREDENTIALS_HINT}", sent=False)
    if family in (_CLIENT_ERROR, _SERVER_ERROR):
        return None
    if "html" in (reply.content_type or "").lower() or reply.body.lstrip().startswith(b"<"):
        what = f"{target} was answered with a web page instead of JSON, by a login form or by the wrong server"
        return PeerDBMisconfigured(f"{what}; {BASE_HINT}", sent=False)
    return UnexpectedReply(f"{target} was answered with HTTP {reply.status} and no JSON object", sent=True)


def _unauthorized(reply: Reply, target: Target) -> PeerDBError:
    body = _json_object(reply.body) or {}
    # What follows the first colon may repeat the header that was refused.
    said = one_line(str(body.get("message") or "").partition(":")[0])
    message = f": {said}" if said else ""
    return PeerDBUnauthorized(f"{target} was refused with HTTP {reply.status}{message}; {CREDENTIALS_HINT}", sent=False)


def _wrong_address(reply: Reply, target: Target) -> PeerDBError:
    what = f"{target} was answered with HTTP {reply.status} by something that is not PeerDB's API"
    return PeerDBMisconfigured(f"{what}; {BASE_HINT}", sent=False)


def _gateway_away(reply: Reply, target: Target, *, sent: bool) -> PeerDBError:
    what = f"{target} was answered with HTTP {reply.status}"
    return PeerDBUnavailable(f"{what} by something in front of PeerDB, which may be restarting", sent=sent)


def _too_large(reply: Reply, target: Target) -> PeerDBError:
    what = f"{target} was answered with HTTP {reply.status}"
    return PeerDBRejected(f"{what}: something in front of PeerDB takes no request of this size", too_large=True)


def _no_answer(reply: Reply, target: Target) -> PeerDBError:
    """A 500 with no body is how the UI says that it got no answer, whether PeerDB acted or not."""
    what = f"{target} was answered with HTTP {reply.status}"
    if reply.body.strip():
        return PeerDBInternal(f"{what} and a body that is not PeerDB's", sent=True)
    return PeerDBUnavailable(f"{what} and no body: PeerDB's web UI got no answer from PeerDB", sent=True)


def _in_front(reply: Reply, target: Target) -> PeerDBError:
    """An error without PeerDB's body: from the UI, a proxy, or another server altogether."""
    known = _IN_FRONT.get(reply.status)
    if known is None:
        known = _no_answer if reply.status // 100 == _SERVER_ERROR else _wrong_address
    return known(reply, target)


def _refused_by_a_proxy(reply: Reply, target: Target) -> PeerDBError:
    what = f"{target} was answered with HTTP {reply.status} by a proxy"
    return PeerDBMisconfigured(f"{what}, which wants a password: put it into HTTPS_PROXY or HTTP_PROXY", sent=False)


_Meaning = Callable[[Reply, Target], PeerDBError]

_FIXED: Final[Mapping[int, _Meaning]] = {
    HTTPStatus.PERMANENT_REDIRECT: _wrong_address,  # the UI cleans up slashes, before any password check
    HTTPStatus.UNAUTHORIZED: _unauthorized,
    HTTPStatus.FORBIDDEN: _unauthorized,
    HTTPStatus.METHOD_NOT_ALLOWED: _wrong_address,
}
_IN_FRONT: Final[Mapping[int, _Meaning]] = {
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: _refused_by_a_proxy,
    HTTPStatus.REQUEST_TIMEOUT: partial(_gateway_away, sent=True),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: _too_large,
    HTTPStatus.TOO_EARLY: partial(_gateway_away, sent=False),
    HTTPStatus.TOO_MANY_REQUESTS: partial(_gateway_away, sent=False),
    499: partial(_gateway_away, sent=True),  # a proxy's status for a client that closed the connection
    HTTPStatus.NOT_IMPLEMENTED: _wrong_address,
    HTTPStatus.BAD_GATEWAY: partial(_gateway_away, sent=True),
    HTTPStatus.SERVICE_UNAVAILABLE: partial(_gateway_away, sent=True),
    HTTPStatus.GATEWAY_TIMEOUT: partial(_gateway_away, sent=True),
}

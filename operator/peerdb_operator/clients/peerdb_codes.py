"""What PeerDB itself says when it refuses or fails: gRPC codes and the words beside them.

Owns the meaning of PeerDB's error body (``{"code", "message", "details"}``) for each endpoint the operator uses. Leaves
answers that are not PeerDB's (redirects, web pages, empty bodies) to ``peerdb_errors``. Codes decide; words are looked
at only where one code means several things, and never those of the JSON codec, which vary from build to build. Errors
quote PeerDB's words: one line, trimmed, scrubbed of what looks like a secret.

Sources: PeerDB v0.37 flow/cmd/handler.go FlowStateChange and flow/cmd/validate_mirror.go; grpc-gateway v2
runtime/errors.go.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from peerdb_operator.clients.peerdb_transport import one_line
from peerdb_operator.errors import (
    PeerDBError,
    PeerDBInternal,
    PeerDBMisconfigured,
    PeerDBNotFound,
    PeerDBPreconditionFailed,
    PeerDBRejected,
    PeerDBUnauthorized,
    PeerDBUnavailable,
    Violation,
)

BASE_HINT: Final = (
    "PEERDB_URL must be the address under which /v1/... lives: that of PeerDB's gateway (http://<flow-api>:8113), "
    "or that of its web UI with /api behind it (http://<peerdb-ui>:3000/api)"
)
CREDENTIALS_HINT: Final = "check PEERDB_PASSWORD or PEERDB_PASSWORD_FILE: PeerDB's password alone, without a user name"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a reply answers: the endpoint, and the mirror (if any) whose absence it may report."""

    path: str
    mirror: str | None = None

    def __str__(self) -> str:
        return self.path if self.mirror is None else f"{self.path} for mirror {self.mirror}"


@dataclass(frozen=True, slots=True)
class _Refusal:
    """An error body of PeerDB's own (``google.rpc.Status``)."""

    asked: Asked
    status: int
    code: int
    message: str
    details: tuple[Mapping[str, Any], ...]

    def sentence(self, meaning: str) -> str:
        """What it means, then PeerDB's own words."""
        said = one_line(self.message) or "no message"
        return f"{meaning}; it answered {self.asked} with HTTP {self.status}, code {self.code}: {said}"

    def says(self, *patterns: str) -> bool:
        return any(pattern in self.message for pattern in patterns)


def by_code(status: int, body: Mapping[str, Any] | None, asked: Asked) -> PeerDBError | None:
    """The error behind a body with an integer ``code``; ``None`` if this is no error body of PeerDB's."""
    code = None if body is None else body.get("code")
    if body is None or not isinstance(code, int) or isinstance(code, bool):
        return None
    details = body.get("details")
    refusal = _Refusal(
        asked=asked,
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
    # PeerDB signals the config update before it looks at the requested state.
    taken = refusal.says("illegal state change requested")
    return PeerDBRejected(refusal.sentence("PeerDB refuses this request as it is"), sent=taken)


def _not_found(refusal: _Refusal) -> PeerDBError:
    mirror = refusal.asked.mirror
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
    return PeerDBUnauthorized(f"{refusal.asked} was refused with code {refusal.code}; {CREDENTIALS_HINT}", sent=False)


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
    asked = refusal.asked
    if refusal.says("under maintenance"):
        return _away(refusal)
    named = asked.mirror and re.search(rf"\bflow job {re.escape(asked.mirror)}(?![\w-])", refusal.message)
    if named and refusal.says("no rows in result set"):
        return PeerDBNotFound(refusal.sentence(f"PeerDB has no mirror {asked.mirror}"))
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

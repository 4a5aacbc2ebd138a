"""Every failure that code of ours reacts to, as one tree.

::

    OperatorError                     reason, slow, message
    ├── InvalidSpec                   field, problem          the user must change the Mirror
    ├── PeerDBError                   sent                    PeerDB refused, failed or could not be asked
    │   ├── PeerDBUnavailable         maintenance             connect, time-out, 502 to 504, code 14, 500 without a body
    │   ├── PeerDBUnauthorized                                3xx but 308, 401, 403, code 16
    │   ├── PeerDBMisconfigured                               308, 405, 501 by method, 404 naming no mirror, HTML
    │   ├── PeerDBRejected            too_large               codes 3, 6, 8, 12: this content will never be taken
    │   ├── PeerDBPreconditionFailed  violations              code 9: a database is not ready, or the spec is wrong
    │   ├── PeerDBNotFound                                    404 with code 5 that names the mirror
    │   ├── PeerDBInternal            orphaned                code 13 and other 5xx
    │   ├── UnexpectedReply                                   an answer that does not fit our model of it
    │   └── UnsupportedPeerDB                                 an answer of a release that is too old to be driven
    └── KubeError                                             the API server refused or could not be asked
        ├── KubeConflict                                      409: the object has changed; read it again
        ├── KubeNotFound                                      404: the object is gone
        ├── KubeForbidden                                     401, 403: a role is missing, or a terminating namespace
        └── KubeUnavailable                                   connect, time-out, 429, 5xx

The tree is split by what has to happen next, not by status number. Two questions matter to code: does time alone heal
it soon, or only a human or a long wait (``slow``), and, for a command, may it have taken effect although an error came
back (``sent``)? Everything else is text.

``reason`` is the reason in ``status.conditions`` (PeerDB errors and ``InvalidSpec``) or for logs and metrics (the
others: what cannot reach the API server cannot be written to a status). ``str(error)`` is a sentence for a user;
its author keeps passwords, headers and whole bodies out of it. Translating httpx's and the kubernetes package's
exceptions into these is the clients' work; pacing the retries is the work queue's.
"""
# ruff: noqa: N818 - these are the names in the product's docs and logs, and all of them end up in an `except` clause

from collections.abc import Sequence
from dataclasses import dataclass


class OperatorError(Exception):
    """Base of all errors of ours; ``message`` is the sentence, ``reason`` and ``slow`` belong to the class."""

    reason: str = "InternalError"
    slow: bool = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidSpec(OperatorError):
    """The Mirror asks for something that can never be done as written.

    ``field`` is the path inside the object (``spec.tables[3].source``), ``problem`` says what is wrong and what to do
    next, ``more`` counts further problems that the message only mentions.
    """

    reason = "InvalidSpec"

    def __init__(self, field: str, problem: str, *, more: int = 0) -> None:
        also = f" (and {more} more {'problem' if more == 1 else 'problems'})" if more else ""
        super().__init__(f"{field}: {problem}{also}")
        self.field = field
        self.problem = problem
        self.more = more


class PeerDBError(OperatorError):
    """PeerDB did not do what was asked, or did not answer.

    ``sent`` is True when the request may have taken effect all the same, so that only an observation shows it. Each
    class has its own answer; the caller overrides it where a reply says otherwise. ``code`` names what went wrong on
    the way where there is no reply to read (``timeout``), for metrics.
    """

    reason = "PeerDBError"
    sent: bool = True
    code: str = ""

    def __init__(self, message: str, *, sent: bool | None = None) -> None:
        super().__init__(message)
        if sent is not None:
            self.sent = sent


class PeerDBUnavailable(PeerDBError):
    """PeerDB cannot be asked right now; under ``maintenance`` it says so itself (and has taken nothing)."""

    reason = "PeerDBUnavailable"

    def __init__(self, message: str, *, sent: bool, maintenance: bool = False) -> None:
        super().__init__(message, sent=sent)
        self.maintenance = maintenance
        if maintenance:
            self.reason = "Maintenance"
            self.slow = True


class PeerDBUnauthorized(PeerDBError):
    """The password is wrong or missing, or something in between asks for another one."""

    reason = "Unauthorized"
    slow = True
    sent = False


class PeerDBMisconfigured(PeerDBError):
    """What answers under this address is not the PeerDB API; the message hints at the right base address."""

    reason = "ConnectionMisconfigured"
    slow = True
    sent = False


class PeerDBRejected(PeerDBError):
    """PeerDB refused the content itself; ``too_large`` when it was its size (code 8, "Blob data size")."""

    reason = "EditNotApplied"
    sent = False

    def __init__(self, message: str, *, too_large: bool = False, sent: bool | None = None) -> None:
        super().__init__(message, sent=sent)
        self.too_large = too_large
        if too_large:
            self.reason = "EditTooLarge"


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing PeerDB found wrong (``google.rpc.PreconditionFailure``), e.g. SOURCE_TABLE_MISSING of public.nope."""

    kind: str
    subject: str
    description: str = ""


class PeerDBPreconditionFailed(PeerDBError):
    """PeerDB checked a config against the databases and found it not (yet) possible.

    ``violations`` names the tables as far as PeerDB did (since v0.36.19; empty before). Code 9 covers a wrong
    config and a database that is away for a minute alike.
    """

    reason = "PrecheckFailed"
    sent = False

    def __init__(self, message: str, *, violations: Sequence[Violation] = ()) -> None:
        super().__init__(message)
        self.violations: tuple[Violation, ...] = tuple(violations)


class PeerDBNotFound(PeerDBError):
    """PeerDB names the mirror and says that it does not exist: an observation rather than a failure."""

    reason = "MirrorNotFound"
    sent = False


class PeerDBInternal(PeerDBError):
    """PeerDB failed inside; what it had done by then is unknown.

    ``orphaned`` when it says that it has a row for the mirror but no live workflow: no command will ever reach it.
    """

    def __init__(self, message: str, *, orphaned: bool = False, sent: bool | None = None) -> None:
        super().__init__(message, sent=sent)
        self.orphaned = orphaned


class UnexpectedReply(PeerDBError):
    """PeerDB's answer does not have the shape we know; the message names the place, never the whole body."""

    reason = "UnexpectedReply"
    slow = True


class UnsupportedPeerDB(PeerDBError):
    """This PeerDB cannot be driven safely; the message names the release that can."""

    reason = "UnsupportedPeerDB"
    slow = True


class KubeError(OperatorError):
    """The API server did not do what was asked, or did not answer; ``reason`` is for logs and metrics only."""

    reason = "KubeError"


class KubeConflict(KubeError):
    """The object changed since it was read; nothing was written."""

    reason = "KubeConflict"


class KubeNotFound(KubeError):
    """The object does not exist (any more); nothing was written."""

    reason = "KubeNotFound"


class KubeForbidden(KubeError):
    """The operator may not do this: a role is missing, the token is refused, or the namespace is terminating."""

    reason = "KubeForbidden"
    slow = True


class KubeUnavailable(KubeError):
    """The API server cannot be asked; a write may or may not have happened."""

    reason = "KubeUnavailable"

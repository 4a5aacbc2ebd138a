"""One request and one reply as plain values: the seam between the PeerDB client and what carries its requests.

The same client runs over HTTP and, in tests, over a simulator inside the process.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from typing import Any, Literal, Protocol


class Patience(Enum):
    """How long an answer may take; the transport turns it into seconds."""

    PLAIN = auto()  # answered from PeerDB's catalog, by a worker (PeerDB gives up on one after 10 s) or by a signal
    DROP_CLOSED = auto()  # a FAILED or COMPLETED mirror: its drop runs inside the request, for minutes
    CHECK = auto()  # validation connects to both databases
    CHECK_SHORT = auto()  # the same while a mirror is paused for it


class Operation(StrEnum):
    """What a request is for: the label of its metrics and the name of its span."""

    MIRRORS_STATUS = "mirrors_status"
    MIRRORS_STATUS_FULL = "mirrors_status_full"
    MIRRORS_LIST = "mirrors_list"
    MIRRORS_LOGS = "mirrors_logs"
    MIRRORS_BATCHES = "mirrors_batches"
    TAGS_GET = "tags_get"
    TAGS_SET = "tags_set"
    VALIDATE = "validate"
    VERSION = "version"
    INSTANCE_INFO = "instance_info"
    DYNAMIC_SETTINGS = "dynamic_settings"
    PAUSE = "state_change_pause"
    RESUME = "state_change_resume"
    EDIT = "state_change_edit"
    DISARM = "state_change_disarm"
    DROP = "state_change_drop"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. ``path`` is relative to ``/v1/`` (``mirrors/status``), percent-encoded where it must be."""

    method: Literal["GET", "POST"]
    path: str
    body: Mapping[str, Any] | None = None
    patience: Patience = Patience.PLAIN
    operation: Operation = field(default=Operation.OTHER, kw_only=True, compare=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    """What is sent besides the transport's own headers: where the request belongs in a trace."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP reply, unread; ``content_type`` is ``None`` when there was no such header."""

    status: int
    content_type: str | None
    body: bytes


class Transport(Protocol):
    """Carries one request, once."""

    async def send(self, request: Request) -> Reply:
        """The reply, whatever its status: no redirect is followed, nothing is repeated.

        Raises children of ``errors.PeerDBError`` when there is none; their ``sent`` says whether PeerDB may have acted.
        """
        ...

"""The words of PeerDB and of HTTP that every other module of the simulator speaks.

Owns: the status enum (PeerDB v0.37 protos/flow.proto FlowStatus), what a request and a reply are, and the reply that
comes later. Leaves to others: what a reply says (``handlers``), how it travels (``server``).
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final


class Status(enum.IntEnum):
    """A mirror's state as PeerDB numbers it; ``wire`` is the name in JSON."""

    UNKNOWN = 0
    RUNNING = 1
    PAUSED = 2
    PAUSING = 3
    SETUP = 4
    SNAPSHOT = 5
    TERMINATING = 6
    TERMINATED = 7
    COMPLETED = 8
    RESYNC = 9
    FAILED = 10
    MODIFYING = 11

    @property
    def wire(self) -> str:
        """The enum name that PeerDB writes, e.g. ``STATUS_RUNNING``."""
        return f"STATUS_{self.name}"


STATUS_BY_WIRE: Final[Mapping[str, int]] = {status.wire: int(status) for status in Status}


def parse_status(word: str) -> Status:
    """Read ``RUNNING`` or ``STATUS_RUNNING``; raises ValueError for anything else."""
    name = word.removeprefix("STATUS_")
    if name not in Status.__members__:
        msg = f"unknown state {word!r}; one of {', '.join(Status.__members__)}"
        raise ValueError(msg)
    return Status[name]


def status_word(number: int) -> str:
    """How PeerDB prints an enum number in a message: its name, or the bare number when it has none."""
    return Status(number).wire if number in Status._value2member_map_ else str(number)


class Base(enum.Enum):
    """Which listener a request came in on: flow-api's gateway or the web UI in front of it."""

    GATEWAY = "gateway"
    UI = "ui"


class Fault(enum.Enum):
    """What happens instead of an HTTP answer."""

    RESET = "connection reset"


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. ``path`` is the raw path (escapes kept, no query); header names are lower case."""

    method: str
    path: str
    body: bytes = b""
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    base: Base = Base.GATEWAY


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer, or the ``fault`` that came in its place (then ``status`` is 0)."""

    status: int
    body: bytes = b""
    content_type: str | None = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    fault: Fault | None = None

    def json(self) -> object:
        """The body read as JSON; raises ValueError when it is none."""
        parsed: object = json.loads(self.body)
        return parsed


RESET: Final = Reply(0, content_type=None, fault=Fault.RESET)


@dataclass(slots=True, eq=False)
class Deferred:
    """An answer that comes later in simulated time.

    ``reply`` is None until ``Engine.run_until`` passed the moment. ``due`` is that moment (seconds since the epoch)
    where it is known beforehand. ``abort`` says that the client went away; what it cuts off is the operation's affair.
    """

    due: float | None = None
    reply: Reply | None = None
    aborted: bool = False
    on_reply: list[Callable[[Reply], None]] = field(default_factory=list)
    on_abort: list[Callable[[], None]] = field(default_factory=list)

    def resolve(self, reply: Reply) -> None:
        """Give the answer; a second one, or one after the client went, is dropped."""
        if self.reply is not None:
            return
        self.reply = reply
        for tell in self.on_reply:
            tell(reply)

    def abort(self) -> None:
        """The client closed the connection. Through the gateway that cancels the server's work, through the UI not."""
        if self.reply is not None or self.aborted:
            return
        self.aborted = True
        for tell in self.on_abort:
            tell()


Answer = Reply | Deferred


def json_reply(value: object, status: int = 200) -> Reply:
    """A JSON answer in compact form (PeerDB's own spacing varies between builds)."""
    return Reply(status, json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


EMPTY: Final = Reply(200, b"{}")

HTTP_OF_CODE: Final[Mapping[int, int]] = {
    1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 501, 13: 500, 14: 503,
    15: 500, 16: 401,
}  # fmt: skip


def error(code: int, message: str, details: tuple[Mapping[str, object], ...] = ()) -> Reply:
    """The body of every error that PeerDB itself makes, under the HTTP status that belongs to the gRPC code."""
    return json_reply({"code": code, "message": message, "details": list(details)}, HTTP_OF_CODE[code])


UNDER_MAINTENANCE: Final = "PeerDB is under maintenance. Please retry in a few minutes"

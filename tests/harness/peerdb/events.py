"""What happened, in order: the log that tests assert on.

Every entry has ``n`` (1, 2, 3, ...) and ``at`` (seconds since the epoch). ``as_json`` gives the form that
``GET /_sim/log`` returns. Nothing here is PeerDB's: it is the view from outside that a real PeerDB does not offer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from tests.harness.peerdb.values import Base, Reply, Request

SignalWhat = Literal[
    "stored", "received", "applied", "queued", "overwritten", "discarded", "skipped", "lost", "ignored"
]


@dataclass(frozen=True, slots=True)
class RequestSeen:
    """A request came in; its number ``n`` names it in the reply."""

    n: int
    at: float
    base: Base
    method: str
    path: str
    query: str
    body: bytes

    def as_json(self) -> dict[str, object]:
        """The entry as ``/_sim/log`` shows it."""
        return {
            "n": self.n, "at": self.at, "kind": "request", "base": self.base.value, "method": self.method,
            "path": self.path, "query": self.query, "body": self.body.decode("utf-8", "replace"),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReplySent:
    """The answer to request ``request``. ``not_simulated``: an endpoint of PeerDB that the simulator does not have."""

    n: int
    at: float
    request: int
    reply: Reply
    aborted: bool = False
    not_simulated: bool = False

    def as_json(self) -> dict[str, object]:
        """The entry as ``/_sim/log`` shows it."""
        fault = None if self.reply.fault is None else self.reply.fault.value
        return {
            "n": self.n, "at": self.at, "kind": "reply", "request": self.request, "status": self.reply.status,
            "body": self.reply.body.decode("utf-8", "replace"), "fault": fault, "aborted": self.aborted,
            "notSimulated": self.not_simulated,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class StateChanged:
    """A mirror's row changed: ``old`` and ``new`` are states, or None where there is no row."""

    n: int
    at: float
    mirror: str
    row_id: int
    old: str | None
    new: str | None

    def as_json(self) -> dict[str, object]:
        """The entry as ``/_sim/log`` shows it."""
        return {
            "n": self.n, "at": self.at, "kind": "state", "mirror": self.mirror, "id": self.row_id, "old": self.old,
            "new": self.new,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class SignalNoted:
    """What became of a signal: the part of the truth that no API of PeerDB shows."""

    n: int
    at: float
    mirror: str
    what: SignalWhat
    signal: str

    def as_json(self) -> dict[str, object]:
        """The entry as ``/_sim/log`` shows it."""
        return {
            "n": self.n, "at": self.at, "kind": "signal", "mirror": self.mirror, "what": self.what,
            "signal": self.signal,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class HandMoved:
    """Somebody used the control API (or the in-process one) to change the simulated world."""

    n: int
    at: float
    what: str

    def as_json(self) -> dict[str, object]:
        """The entry as ``/_sim/log`` shows it."""
        return {"n": self.n, "at": self.at, "kind": "hand", "what": self.what}


Event = RequestSeen | ReplySent | StateChanged | SignalNoted | HandMoved


@dataclass(slots=True)
class EventLog:
    """All events so far, oldest first."""

    events: list[Event] = field(default_factory=list)

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    @property
    def last(self) -> int:
        """The number of the newest event; 0 when there is none."""
        return len(self.events)

    def after(self, n: int) -> list[Event]:
        """The events with a number greater than ``n``."""
        return self.events[max(n, 0) :]

    def request_seen(self, at: float, request: Request) -> int:
        """Note a request; returns its number."""
        n = len(self.events) + 1
        self.events.append(
            RequestSeen(n, at, request.base, request.method, request.path, request.query, request.body),
        )
        return n

    def reply_sent(self, at: float, request: int, reply: Reply, *, aborted: bool, not_simulated: bool) -> None:
        """Note the answer to a request."""
        self.events.append(ReplySent(len(self.events) + 1, at, request, reply, aborted, not_simulated))

    def state_changed(self, at: float, mirror: str, row_id: int, old: str | None, new: str | None) -> None:
        """Note a change of a mirror's row."""
        self.events.append(StateChanged(len(self.events) + 1, at, mirror, row_id, old, new))

    def signal_noted(self, at: float, mirror: str, what: SignalWhat, signal: str) -> None:
        """Note what became of a signal."""
        self.events.append(SignalNoted(len(self.events) + 1, at, mirror, what, signal))

    def hand_moved(self, at: float, what: str) -> None:
        """Note a change from outside."""
        self.events.append(HandMoved(len(self.events) + 1, at, what))

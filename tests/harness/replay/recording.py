"""Recordings of a real PeerDB, read: calls, watches and notes of one scenario, with the times of the watch rows.

Owns the file format and the arithmetic of its clocks; judges nothing. A line that is none of the three kinds is kept as
``Other`` so that nobody plays it and everybody sees that it was there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DELETED = "DELETED"
ABSENT = "ABSENT"
SHORT_STEP = 0.02

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A request and the answer that the real PeerDB gave. ``at``: seconds since the scenario began."""

    step: int
    at: float
    before: Mapping[str, str]
    request: Json
    response: Json
    ui: str | None = None
    note: str = ""

    @property
    def seconds(self) -> float:
        """How long the answer took."""
        return float(self.response.get("ms") or 0.0) / 1000.0

    @property
    def end(self) -> float:
        """When the answer was there."""
        return self.at + self.seconds

    @property
    def path(self) -> str:
        """The path below ``/v1/`` (or the whole path, for what lies elsewhere), without the query."""
        path = str(self.request["path"]).partition("?")[0].removeprefix("/api")
        return path.removeprefix("/v1/")

    @property
    def body(self) -> Json:
        """The JSON object that was sent; empty when it was none."""
        sent = self.request.get("json")
        return sent if isinstance(sent, dict) else {}

    @property
    def gave_up(self) -> bool:
        """Whether the client went away before the answer."""
        return self.response.get("status") == 0

    @property
    def ok(self) -> bool:
        """Whether the real PeerDB answered 2xx."""
        return 200 <= int(self.response.get("status") or 0) < 300


@dataclass(frozen=True, slots=True)
class RowSeen:
    """A state that the catalog (or a poll) showed; ``at`` in seconds since the scenario began, roughly."""

    at: float
    state: str
    row_id: int | None = None


@dataclass(slots=True)
class Watch:
    """What a mirror's row went through from call ``first`` (index into the steps) on. ``rows`` excludes the start."""

    step: int
    label: str
    mirror: str
    catalog: Sequence[Sequence[Any]]
    polled: Sequence[Sequence[Any]]
    seconds: float | None
    has_catalog: bool
    first: int = 0
    start: float = 0.0
    rows: list[RowSeen] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Note:
    """A look at a mirror or at the databases, or a remark."""

    step: int
    text: str
    mirror: str | None
    data: Json


@dataclass(frozen=True, slots=True)
class Other:
    """A line of a kind that this program does not know."""

    step: int
    kind: str


Step = Call | Watch | Note | Other


@dataclass(slots=True)
class Scenario:
    """One file."""

    name: str
    steps: list[Step]

    def calls(self) -> list[Call]:
        """All calls, in order."""
        return [step for step in self.steps if isinstance(step, Call)]


def load(path: Path) -> Scenario:
    """Read a file; raises ValueError naming the line that is no JSON object."""
    steps: list[Step] = []
    name = path.stem
    clock = 0.0
    mirror: str | None = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        raw = json.loads(line)
        if not isinstance(raw, dict):
            msg = f"{path}:{number}: not a JSON object"
            raise ValueError(msg)  # noqa: TRY004  # the file is bad, not the program
        name = str(raw.get("scenario", name))
        step = _step(raw, clock, mirror)
        if isinstance(step, Call):
            clock = step.end
            mirror = next(iter(step.before), step.body.get("flowJobName") or mirror)
        elif isinstance(step, Watch):
            mirror = step.mirror
            clock += step.seconds or max((float(row[1]) / 1000 for row in step.catalog), default=0.0)
        steps.append(step)
        _by_beginning(steps)
    return Scenario(name, steps)


def _by_beginning(steps: list[Step]) -> None:
    """A call that was noted when it ended belongs before those that began while it lasted."""
    at = len(steps) - 1
    call = steps[at]
    while isinstance(call, Call) and at > 0:
        before = steps[at - 1]
        if not isinstance(before, Call) or before.at <= call.at:
            return
        steps[at], steps[at - 1] = before, call
        at -= 1


def _step(raw: Json, clock: float, mirror: str | None) -> Step:
    number = int(raw.get("step", 0))
    match raw.get("kind"):
        case "call":
            at = raw.get("at")
            before = raw.get("before") or {}
            return Call(
                number, clock + SHORT_STEP if at is None else float(at), before, raw["request"], raw["response"],
                raw.get("ui"), str(raw.get("note", "")),
            )  # fmt: skip
        case "watch":
            total = raw.get("total_ms")
            return Watch(
                number, str(raw.get("label", "")), str(raw.get("mirror") or mirror or ""), raw.get("catalog") or [],
                raw.get("polled") or [], None if total is None else float(total) / 1000, "catalog" in raw,
            )  # fmt: skip
        case "note":
            told = raw.get("mirror")
            data = {key: value for key, value in raw.items() if key not in {"scenario", "step", "kind", "mirror"}}
            return Note(number, str(raw.get("text", "")), str(told) if told else mirror, data)
        case other:
            return Other(number, str(other))

"""What the simulator's log says about latency and about mirrors that stood still. Pure.

Times are the simulator's, which are those of the clock. A mirror stands still from PAUSING to RUNNING. The
simulator's own part of that is stopping (PAUSING to PAUSED) and everything after it has received the edit; the rest,
from PAUSED to the edit, is what the operator took.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Command:
    """A state_change as PeerDB received it; ``edit`` when it carries a config update."""

    at: float
    mirror: str
    wanted: str
    edit: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop of one mirror, in seconds: as a whole, and the part that the operator took."""

    mirror: str
    whole: float
    operator: float

    @property
    def simulator(self) -> float:
        """What PeerDB itself took."""
        return self.whole - self.operator


def percentile(values: Iterable[float], percent: float) -> float:
    """The nearest-rank percentile; raises ValueError for no values."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("nothing was measured")
    return ordered[max(math.ceil(percent / 100 * len(ordered)), 1) - 1]


def commands(events: Iterable[Event]) -> list[Command]:
    """All state_change requests, in order."""
    found = []
    for event in events:
        if event["kind"] == "request" and str(event["path"]).endswith("/mirrors/state_change"):
            body = json.loads(event["body"])
            edit = "flowConfigUpdate" in body
            found.append(Command(event["at"], body["flowJobName"], body["requestedFlowState"], edit))
    return found


def calls(events: Iterable[Event]) -> dict[str, int]:
    """Requests by path; everything below ``flows/tags/`` is one."""
    counts: dict[str, int] = {}
    for event in events:
        if event["kind"] == "request":
            path = str(event["path"]).removeprefix("/v1/")
            key = "flows/tags" if path.startswith("flows/tags") else path
            counts[key] = counts.get(key, 0) + 1
    return dict(sorted(counts.items()))


def latencies(sent: Sequence[tuple[float, str, str]], received: Sequence[Command]) -> list[float]:
    """Seconds from each edit (clock time, mirror, wanted state) to the first such command after it.

    Raises ValueError naming a mirror whose command never came.
    """
    found = []
    for at, mirror, wanted in sent:
        match = [one.at for one in received if one.mirror == mirror and one.wanted == wanted and one.at >= at]
        if not match:
            raise ValueError(f"{mirror} was never asked for {wanted}")
        found.append(match[0] - at)
    return found


def stops(events: Sequence[Event]) -> list[Stop]:
    """Every finished stop, by mirror and in order."""
    edits = [one for one in commands(events) if one.edit]
    by_mirror: dict[str, list[Event]] = {}
    for event in events:
        if event["kind"] == "state":
            by_mirror.setdefault(event["mirror"], []).append(event)
    return [stop for mirror, states in sorted(by_mirror.items()) for stop in _stops(mirror, states, edits)]


def _stops(mirror: str, states: Sequence[Event], edits: Sequence[Command]) -> list[Stop]:
    found: list[Stop] = []
    began = paused = None
    for event in states:
        if event["new"] == "PAUSING":
            began, paused = event["at"], None
        elif event["new"] == "PAUSED":
            paused = event["at"]
        elif event["new"] == "RUNNING" and began is not None and paused is not None:
            came = [one.at for one in edits if one.mirror == mirror and paused <= one.at <= event["at"]]
            found.append(Stop(mirror, event["at"] - began, came[0] - paused if came else 0.0))
            began = None
    return found

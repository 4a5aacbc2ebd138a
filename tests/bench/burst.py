"""Many edits at once: how long until all have converged, what it costs in calls, how long mirrors stood still for it.

The simulated PeerDB takes its measured times (a stop some 6 s, a copy some 5 s). A few edits made alone, before the
burst, show what an operator with nothing else to do adds to a stop.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.bench.analysis import Event, Stop, calls, commands, stops
from tests.bench.fleet import furnish, open_fleet
from tests.bench.processes import BenchError, operator
from tests.harness.controlplane.launch import ControlPlane
from tests.harness.peerdb.process import SimulatorProcess

NAMESPACE = "burst"


@dataclass(frozen=True, slots=True)
class Burst:
    """``converged``: seconds from the first edit until every object says so; ``resumed``: until all mirrors run."""

    edits: int
    converged: float
    resumed: float
    pauses: int
    updates: int
    calls: dict[str, int]
    stops: list[Stop]
    alone: list[Stop]


async def measure(control_plane: ControlPlane, knobs: Mapping[str, object], *, edits: int, alone: int) -> Burst:
    """Add one table each to ``alone`` Mirrors one after the other, then to ``edits`` others at once."""
    total = edits + alone
    async with open_fleet(control_plane, NAMESPACE) as fleet:
        with SimulatorProcess.start(knobs=knobs) as simulator:
            furnish(simulator, range(total), 1)
            await fleet.create(range(total), 1)
            with operator(control_plane, NAMESPACE, simulator.gateway_url):
                await fleet.settled(total, 1)
                start = simulator.last_event()
                for number in range(alone):
                    await fleet.add_tables([number], 2)
                    await fleet.settled(number + 1, 2)
                calm = simulator.last_event()
                began = await fleet.add_tables(range(alone, total), 2)
                ended = await fleet.settled(total, 2)
                events: Sequence[Event] = simulator.log(calm)
                single = [one for one in simulator.log(start) if one["n"] <= calm]  # type: ignore[operator]  # n is an int
    found = stops(events)
    if len(found) < edits:
        raise BenchError(f"{edits} mirrors were edited, but only {len(found)} stops are in PeerDB's log")
    running = [event["at"] for event in events if event["kind"] == "state" and event["new"] == "RUNNING"]
    asked = commands(events)
    return Burst(
        edits=edits,
        converged=ended - began,
        resumed=max(running) - began,
        pauses=sum(one.wanted == "STATUS_PAUSED" for one in asked),
        updates=sum(one.edit for one in asked),
        calls=calls(events),
        stops=found,
        alone=stops(single),
    )

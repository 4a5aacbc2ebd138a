"""From a change of spec.state to the state_change that PeerDB receives: the operator beside the bare loop.

Both work on the same Mirrors and the same simulated PeerDB, in turns, so that what the machine does meanwhile strikes
both. One edit at a time: this is about the way, not about queueing.
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from tests.bench.analysis import commands, latencies
from tests.bench.fleet import Fleet, furnish, mirror_of, open_fleet
from tests.bench.processes import floor, operator
from tests.harness.controlplane.launch import ControlPlane
from tests.harness.gotools.progress import Progress
from tests.harness.peerdb.process import SimulatorProcess

NAMESPACE = "latency"
TABLES = 2
GAP_SECONDS = 0.35
CALM_SECONDS = 4.0
BRISK = {"t_stop": 0.05, "t_react": 0.04, "t_resume": 0.04, "t_boot": 0.1}
STATES = (("Paused", "STATUS_PAUSED"), ("Running", "STATUS_RUNNING"))

Forwarder = Callable[[ControlPlane, str, str], AbstractContextManager[int]]


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds per edit, each list in the order measured."""

    mirrors: int
    floor: list[float] = field(default_factory=list)
    operator: list[float] = field(default_factory=list)


async def measure(control_plane: ControlPlane, *, mirrors: int, sweeps: int, rounds: int) -> Latency:
    """A sweep pauses and resumes every mirror once; ``rounds`` times both forwarders make ``sweeps`` of them."""
    result = Latency(mirrors)
    async with open_fleet(control_plane, NAMESPACE) as fleet:
        with SimulatorProcess.start(knobs=BRISK) as simulator:
            furnish(simulator, range(mirrors), TABLES)
            await fleet.create(range(mirrors), TABLES)
            with operator(control_plane, NAMESPACE, simulator.gateway_url):
                await fleet.settled(mirrors, TABLES)
            turns: list[tuple[str, Forwarder, list[float]]] = [
                ("the bare loop", floor, result.floor),
                ("the operator", operator, result.operator),
            ]
            for _ in range(rounds):
                for who, forwarder, taken in turns:
                    with forwarder(control_plane, NAMESPACE, simulator.gateway_url):
                        await asyncio.sleep(CALM_SECONDS)
                        taken.extend(await _sweeps(fleet, simulator, who, mirrors, sweeps))
    return result


async def _sweeps(fleet: Fleet, simulator: SimulatorProcess, who: str, mirrors: int, sweeps: int) -> list[float]:
    after = simulator.last_event()
    sent: list[tuple[float, str, str]] = []
    progress = Progress(sys.stderr)
    progress.begin(f"Editing one Mirror at a time, {who} forwards", sweeps * mirrors * len(STATES), "edits")
    for _ in range(sweeps):
        for state, wire in STATES:
            for number in range(mirrors):
                at = await fleet.patch(number, {"state": state})
                sent.append((at, mirror_of(number), wire))
                progress.advance()
                await asyncio.sleep(GAP_SECONDS)
    progress.end()
    await asyncio.sleep(CALM_SECONDS)
    return latencies(sent, commands(simulator.log(after)))

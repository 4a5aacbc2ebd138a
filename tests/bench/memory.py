"""Resident memory of the operator as the fleet grows, how long it takes the new Mirrors over, and what a scrape costs.

Weighed twice: after the take-over in the same process, and after a restart over settled Mirrors. The bare loop, which
keeps one number per Mirror, is weighed beside it.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench import scrape
from tests.bench.fleet import furnish, open_fleet
from tests.bench.processes import floor, operator, resident_mib
from tests.harness.controlplane.launch import ControlPlane
from tests.harness.controlplane.ports import Reservation
from tests.harness.peerdb.process import SimulatorProcess

NAMESPACE = "memory"
TABLES = 3
CALM_SECONDS = 25.0
"""Two ticks of the fleet observer, and the first passes after a restart."""


@dataclass(frozen=True, slots=True)
class Weight:
    """Memory in MiB with ``mirrors`` settled Mirrors; ``new`` of them were taken over in ``take_over`` seconds.

    ``scraped`` is a scrape of the restarted operator.
    """

    mirrors: int
    new: int
    take_over: float
    after_take_over: float
    after_restart: float
    floor: float
    scraped: scrape.Scrape


async def measure(control_plane: ControlPlane, sizes: Sequence[int], calm: float = CALM_SECONDS) -> list[Weight]:
    """Weigh at each of these sizes, smallest first."""
    weights: list[Weight] = []
    async with open_fleet(control_plane, NAMESPACE) as fleet:
        with SimulatorProcess.start() as simulator:
            before = 0
            for size in sorted(sizes):
                numbers = range(before, size)
                furnish(simulator, numbers, TABLES)
                await fleet.create(numbers, TABLES)
                with operator(control_plane, NAMESPACE, simulator.gateway_url) as pid:
                    began = time.time()
                    take_over = await fleet.settled(size, TABLES) - began
                    await asyncio.sleep(calm)
                    full = resident_mib(pid)
                with Reservation() as free:
                    port = free.port
                with operator(control_plane, NAMESPACE, simulator.gateway_url, metrics_port=port) as pid:
                    await asyncio.sleep(calm)
                    fresh = resident_mib(pid)
                    scraped = scrape.measure(pid, port)
                with floor(control_plane, NAMESPACE, simulator.gateway_url) as pid:
                    bare = resident_mib(pid)
                weights.append(Weight(size, size - before, take_over, full, fresh, bare, scraped))
                before = size
    return weights

"""``python -m tests.bench``: measure latency, memory and a burst of edits, and write them into docs/performance.md.

Owns the sizes and the order. Everything runs on the loopback address and is stopped by its own id; a control plane of
our own is started, whatever KUBECONFIG says. Exit code 1 with a sentence when something could not be measured.
"""

import argparse
import asyncio
import dataclasses
import datetime as dt
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench import burst, latency, memory, report
from tests.bench.processes import BenchError
from tests.harness.controlplane.errors import ControlPlaneError
from tests.harness.controlplane.launch import ControlPlane
from tests.harness.operator_process import ROOT, OperatorError
from tests.harness.peerdb.process import SimulatorError

PAGE = ROOT / "docs" / "performance.md"
INTERRUPTED = 130


@dataclasses.dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    mirrors: int = 20
    sweeps: int = 4
    rounds: int = 2
    fleets: tuple[int, ...] = (1, 1_000, 5_000)
    calm: float = memory.CALM_SECONDS
    edits: int = 500
    alone: int = 10
    knobs: Mapping[str, object] = dataclasses.field(default_factory=dict)


QUICK = Sizes(
    mirrors=3, sweeps=1, rounds=1, fleets=(5,), calm=1.0, edits=5, alone=1, knobs={"t_stop": 0.3, "t_add": 0.5}
)


async def measure(control_plane: ControlPlane, sizes: Sizes) -> str:
    """All three; returns the section for the page."""
    began, load = time.monotonic(), os.getloadavg()[0]
    swift = await latency.measure(control_plane, mirrors=sizes.mirrors, sweeps=sizes.sweeps, rounds=sizes.rounds)
    many = await burst.measure(control_plane, sizes.knobs, edits=sizes.edits, alone=sizes.alone)
    weights = await memory.measure(control_plane, sizes.fleets, sizes.calm)
    loads = (load, os.getloadavg()[0])
    minutes = (time.monotonic() - began) / 60
    return report.render(swift, weights, many, minutes=minutes, loads=loads, moment=dt.datetime.now(dt.UTC))


def run(sizes: Sizes, page: Path) -> None:
    """Measure on a control plane of our own and write the page."""
    environ = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    with ControlPlane.start(environ=environ) as control_plane:
        control_plane.kubectl("apply", "--server-side", "--filename", str(ROOT / "crds"))
        control_plane.wait_established("mirrors.peerdb.io")
        section = asyncio.run(measure(control_plane, sizes))
    report.write(page, section)
    print(section)


def main(arguments: Sequence[str]) -> int:
    """Run it; returns the exit code. SIGTERM ends it like Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--page", type=Path, default=PAGE, help="the page whose section between the markers is replaced"
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes: whether it works, not how fast it is")
    options = parser.parse_args(arguments)
    try:
        run(QUICK if options.quick else Sizes(), options.page)
    except (BenchError, ControlPlaneError, OperatorError, SimulatorError, ValueError, OSError) as error:
        sys.stderr.write(f"Not measured: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted; everything has ended.\n")
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

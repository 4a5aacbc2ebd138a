"""``python -m tests.harness.peerdb``: the simulator as a process of its own.

Prints one JSON line with its base addresses when it is ready and stops on SIGTERM or Ctrl-C. The password is that of
the web UI; it may also come in the environment variable PEERDB_PASSWORD.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from random import Random

from tests.harness.peerdb.engine import EPOCH, Engine
from tests.harness.peerdb.server import Simulator


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.harness.peerdb", description="A simulated PeerDB.")
    parser.add_argument("--port", type=int, default=0, help="gateway port (0: a free one)")
    parser.add_argument("--ui-port", type=int, default=0, help="web UI port (0: a free one)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--password", default=os.environ.get("PEERDB_PASSWORD"), help="password of the web UI")
    parser.add_argument("--clock", choices=("real", "manual"), default="real", help="who lets time pass")
    parser.add_argument("--seed", type=int, default=0, help="seed of all chance")
    parser.add_argument("--exit-with-parent", action="store_true", help="stop when standard input closes")
    return parser.parse_args()


async def run(given: argparse.Namespace) -> None:
    """Serve until told to stop."""
    now = time.time() if given.clock == "real" else EPOCH
    engine = Engine(now=now, rng=Random(given.seed), password=given.password)
    simulator = Simulator(engine, given.clock, given.host, given.port, given.ui_port)
    await simulator.serve(exit_with_parent=given.exit_with_parent)


def main() -> None:
    """The entry point."""
    asyncio.run(run(arguments()))


if __name__ == "__main__":
    main()

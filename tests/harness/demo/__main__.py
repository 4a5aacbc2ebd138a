"""``python -m tests.harness.demo``: see Mirrors converge, on a simulated PeerDB or gently on a real one.

Owns the command line, signals and exit codes: 0 when every step converged, 1 with a report when one did not, 2 for a
command line or an answer that forbids it, 130 when interrupted. However it ends, what it started has ended.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from functools import partial

from tests.harness.controlplane.errors import ControlPlaneError
from tests.harness.demo import real, simulated
from tests.harness.demo.screen import RefusedError, Screen
from tests.harness.demo.waiting import NotConvergedError
from tests.harness.operator_process import OperatorError
from tests.harness.peerdb.process import SimulatorError

FAILED, REFUSED, INTERRUPTED = 1, 2, 130
STEP_SECONDS = 90.0
REAL_STEP_SECONDS = 300.0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.harness.demo", description=__doc__, allow_abbrev=False)
    parser.add_argument("--peerdb-url", help="a real PeerDB: its gateway, or its web UI with /api (needs --mirror)")
    parser.add_argument("--mirror", help="the mirror of the real PeerDB to pause and resume")
    parser.add_argument("--yes", action="store_true", help="agree beforehand (so does YES=1)")
    parser.add_argument("--step-seconds", type=float, help="how long one step may take (90; real PeerDB: 300)")
    parser.add_argument("--knobs", type=_knobs, default={}, help="turn knobs of the simulator, as a JSON object")
    parser.add_argument("--no-stay", action="store_true", help="end after the last step on a terminal too")
    options = parser.parse_args(arguments)
    if bool(options.peerdb_url) != bool(options.mirror):
        parser.error(
            "a real PeerDB takes both: PEERDB_URL (--peerdb-url) and MIRROR (--mirror); for the simulator unset both"
        )
    return options


def _knobs(text: str) -> Mapping[str, object]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError("give a JSON object")
    return found


def run(options: argparse.Namespace, screen: Screen) -> None:
    """The demo that was asked for."""
    ask = partial(screen.ask, yes=options.yes or os.environ.get("YES") == "1")
    if options.peerdb_url:
        seconds = options.step_seconds or REAL_STEP_SECONDS
        real.show(screen, ask, options.peerdb_url, options.mirror, seconds=seconds)
        return
    stay = screen.tty and sys.stdin.isatty() and not options.no_stay
    seconds = options.step_seconds or STEP_SECONDS
    simulated.show(screen, ask, seconds=seconds, knobs=options.knobs, stay=stay)


def main(arguments: Sequence[str]) -> int:
    """Run it; returns the exit code. SIGTERM and SIGHUP end it like Ctrl-C."""
    for ended_by in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ended_by, signal.default_int_handler)
    options, screen = parse(arguments), Screen()
    try:
        run(options, screen)
    except RefusedError as refused:
        screen.bad(str(refused))
        return REFUSED
    except (NotConvergedError, ControlPlaneError, OperatorError, SimulatorError, OSError) as error:
        if isinstance(error.__context__, NotConvergedError):
            screen.bad(str(error.__context__))
        screen.bad(str(error))
        return FAILED
    except KeyboardInterrupt:
        screen.bad("Interrupted; what was started has ended.")
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

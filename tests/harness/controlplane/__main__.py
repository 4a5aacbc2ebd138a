"""`python -m tests.harness.controlplane`: a control plane to play with, until Ctrl-C.

Prints the kubeconfig's path on stdout, one line, when it is ready; everything else goes to stderr. `--build-only` fills
the cache and prints its folder instead.
"""

import argparse
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Sequence

from tests.harness.controlplane.assets import programs_for
from tests.harness.controlplane.errors import ControlPlaneError
from tests.harness.controlplane.launch import ControlPlane
from tests.harness.controlplane.recipe import DEMO_PROGRAMS, Program

INTERRUPTED = 130


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.harness.controlplane", description=__doc__)
    parser.add_argument("--build-only", action="store_true", help="build what the cache lacks, print its folder, exit")
    parser.add_argument(
        "--with-controller-manager", action="store_true", help="also the controller manager (about 5 core-minutes once)"
    )
    parser.add_argument("--audit-log", action="store_true", help="keep an audit log in the run's folder")
    return parser.parse_args(arguments)


def build(*, controller_manager: bool) -> None:
    """Build what is missing, the demo's programs first."""
    folders = {path.parent for path in programs_for(DEMO_PROGRAMS, os.environ).values()}
    if controller_manager:
        folders |= {path.parent for path in programs_for([Program.CONTROLLER_MANAGER], os.environ).values()}
    for folder in sorted(folders):
        print(folder)


def serve(*, controller_manager: bool, audit_log: bool) -> None:
    """Run a control plane until a signal asks for its end."""
    with ControlPlane.start(controller_manager=controller_manager, audit_log=audit_log) as control_plane:
        print(control_plane.kubeconfig, flush=True)
        sys.stderr.write("Ready; Ctrl-C ends it.\n")
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


def main(arguments: Sequence[str]) -> int:
    """Exit code: 0, 1 with a sentence on stderr, 130 when interrupted before it was ready.

    SIGTERM and SIGHUP end it like Ctrl-C, so that a build under way is undone and the servers stop.
    """
    options = parse(arguments)
    for ended_by in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ended_by, signal.default_int_handler)
    try:
        if options.build_only:
            build(controller_manager=options.with_controller_manager)
        else:
            serve(controller_manager=options.with_controller_manager, audit_log=options.audit_log)
    except ControlPlaneError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted; nothing half-made is left.\n")
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`python -m tests.harness.controlplane`: a control plane to play with, until Ctrl-C.

Prints the kubeconfig's path on stdout, one line, when it is ready; everything else goes to stderr. `--build-only` fills
the cache and prints its folder instead.
"""

import argparse
import contextlib
import os
import sys
import threading
from collections.abc import Sequence

from tests.harness.controlplane.assets import programs_for
from tests.harness.controlplane.launch import ControlPlane
from tests.harness.controlplane.recipe import DEMO_PROGRAMS, Program
from tests.harness.gotools.command import finished


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
    """Exit code: see ``finished``; 130 only when interrupted before it was ready."""
    options = parse(arguments)
    if options.build_only:
        return finished(lambda: build(controller_manager=options.with_controller_manager))
    return finished(lambda: serve(controller_manager=options.with_controller_manager, audit_log=options.audit_log))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

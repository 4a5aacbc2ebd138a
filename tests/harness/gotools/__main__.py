"""`python -m tests.harness.gotools`: build Helm and promtool, or those that are named, where the cache lacks them.

Prints the path of each on stdout, one a line; everything else goes to stderr.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from tests.harness.gotools.errors import ToolError
from tests.harness.gotools.programs import TOOLS, path_of

INTERRUPTED = 130


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    names = [tool.name for tool in TOOLS]
    parser = argparse.ArgumentParser(prog="python -m tests.harness.gotools", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; all when none is given")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in names]
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(names)}")
    return options


def main(arguments: Sequence[str]) -> int:
    """Exit code: 0, 1 with a sentence on stderr, 130 when interrupted.

    SIGTERM and SIGHUP end it like Ctrl-C, so that a build under way is undone.
    """
    names = parse(arguments).names
    for ended_by in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ended_by, signal.default_int_handler)
    try:
        for tool in TOOLS:
            if not names or tool.name in names:
                print(path_of(tool, os.environ), flush=True)
    except ToolError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted; nothing half-made is left.\n")
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

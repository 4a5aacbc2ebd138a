"""`python -m tests.harness.gotools`: build Helm and promtool, or those that are named, where the cache lacks them.

Prints the path of each on stdout, one a line; everything else goes to stderr.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from tests.harness.gotools.command import finished
from tests.harness.gotools.programs import TOOLS, path_of


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
    """Exit code: see ``finished``."""
    names = parse(arguments).names

    def build() -> None:
        for tool in TOOLS:
            if not names or tool.name in names:
                print(path_of(tool, os.environ), flush=True)

    return finished(build)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

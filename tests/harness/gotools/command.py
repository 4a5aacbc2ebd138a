"""How a command that builds programs ends: exit codes, signals, and a sentence for what went wrong."""

import signal
import sys
from collections.abc import Callable

from tests.harness.gotools.errors import ToolError

FAILED = 1
INTERRUPTED = 130


def finished(work: Callable[[], None]) -> int:
    """Do the work; exit code: 0, 1 with a sentence on stderr, 130 when interrupted.

    SIGTERM and SIGHUP end it like Ctrl-C, so that a build under way is undone and servers stop.
    """
    for ended_by in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ended_by, signal.default_int_handler)
    try:
        work()
    except ToolError as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted; nothing half-made is left.\n")
        return INTERRUPTED
    return 0

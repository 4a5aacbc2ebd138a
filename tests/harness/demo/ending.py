"""The end of a demo, which nobody can cut short.

Owns that what was started is ended in reverse order, and that a second Ctrl-C does not stop half-way. Every end that is
put on the stack is bounded by itself.
"""

import contextlib
import signal
from types import TracebackType
from typing import Literal, Self

from tests.harness.demo.screen import Screen

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ending(contextlib.ExitStack):
    """An ExitStack that signals do not interrupt while it unwinds; they are ignored from then on."""

    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen = screen

    def __enter__(self) -> Self:
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        """Unwind; a failure goes on its way."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        with self._screen.waiting("Ending what was started"):
            super().__exit__(kind, error, trace)
        return False

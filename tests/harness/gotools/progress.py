"""How far a build is, for the person who waits: counts and an estimate, one living line on a terminal, few lines else.

Owns the wording and the pace of the lines and nothing about what is built. The estimate carries the pace so far on to
the end; where later units are heavier than early ones the caller says so. It is rough, so it is given in whole minutes
and says "about".
"""

import dataclasses
import time
from collections.abc import Callable
from typing import TextIO

TERMINAL_PACE_SECONDS = 0.2
PLAIN_PACE_SECONDS = 10.0
ESTIMATE_AFTER_SECONDS = 5.0
CLEAR_LINE = "\r\x1b[2K"


def spoken(seconds: float) -> str:
    """A duration in words, e.g. `50 s` or `3 min 20 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def remaining(done: int, total: int, elapsed: float, slowing: float = 1.0) -> str:
    """The estimate of what is left, in words; empty while there is too little to go by.

    With `slowing` s a fraction f of the units is taken for f**s of the time: 1 for an even pace.
    """
    if done <= 0 or done >= total or elapsed < ESTIMATE_AFTER_SECONDS:
        return ""
    left = elapsed * ((total / done) ** slowing - 1)
    return ", less than 1 min left" if left < 60 else f", about {round(left / 60)} min left"


@dataclasses.dataclass
class Progress:
    """Lines about a long job on `stream`.

    `now` gives seconds of any steady clock. On a terminal the line is rewritten in place, elsewhere there is at most
    one line per 10 s.
    """

    stream: TextIO
    now: Callable[[], float] = time.monotonic
    _what: str = dataclasses.field(default="", init=False)
    _unit: str = dataclasses.field(default="", init=False)
    _bound: str = dataclasses.field(default="", init=False)
    _total: int = dataclasses.field(default=0, init=False)
    _done: int = dataclasses.field(default=0, init=False)
    _slowing: float = dataclasses.field(default=1.0, init=False)
    _began: float = dataclasses.field(default=0.0, init=False)
    _shown_at: float = dataclasses.field(default=0.0, init=False)

    def say(self, sentence: str) -> None:
        """A sentence on a line of its own."""
        clear = CLEAR_LINE if self.stream.isatty() else ""
        self.stream.write(f"{clear}{sentence}\n")
        self.stream.flush()

    def begin(self, what: str, total: int, unit: str, *, at_most: bool = False, slowing: float = 1.0) -> None:
        """Start a job of `total` units; `at_most`: some may be done already, `slowing`: as in `remaining`."""
        self._slowing = slowing
        self._what, self._total, self._unit, self._done = what, total, unit, 0
        self._bound = "at most " if at_most else ""
        self._began = self.now()
        self._show()

    def advance(self) -> None:
        """One more unit is done."""
        self._done += 1
        pace = TERMINAL_PACE_SECONDS if self.stream.isatty() else PLAIN_PACE_SECONDS
        if self.now() - self._shown_at >= pace:
            self._show()

    def end(self) -> None:
        """The job is over; the last line says how long it took."""
        self.say(f"{self._what}: done, {self._done} {self._unit} in {spoken(self.now() - self._began)}.")

    def _show(self) -> None:
        self._shown_at = self.now()
        elapsed = self._shown_at - self._began
        estimate = remaining(self._done, self._total, elapsed, self._slowing)
        counts = f"{min(self._done, self._total)} of {self._bound}{self._total} {self._unit}"
        line = f"{self._what}: {counts}, {spoken(elapsed)} so far{estimate}"
        self.stream.write(f"{CLEAR_LINE}{line}" if self.stream.isatty() else f"{line}\n")
        self.stream.flush()

"""What the demo shows: sentences, commands, rows, and that a wait is still going on.

Owns colours (on a terminal only), widths and progress. Knows nothing of Mirrors. Nobody waits longer than two seconds
in front of a silent screen: a terminal shows a spinner with the time, anything else gets a line now and then.
"""

import contextlib
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

SILENCE_SECONDS = 2.0
REMINDER_SECONDS = 10.0
INDENT = "   "
PROSE_WIDTH = 100


class RefusedError(Exception):
    """The person at the terminal said no, or there is none to ask; the message says what to do."""


class Screen:
    """Writes to standard output; lines are never wrapped here."""

    def __init__(self, console: Console | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self._console = console or Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._steps = 0
        self._now = now
        self._began = now()

    @property
    def tty(self) -> bool:
        """Whether a person looks at it."""
        return self._console.is_terminal

    @property
    def width(self) -> int | None:
        """Columns of the terminal; None where lines may be as long as they like."""
        return self._console.width if self.tty else None

    def elapsed(self) -> float:
        """Seconds since the demo began."""
        return self._now() - self._began

    def step(self, title: str, why: str) -> None:
        """Announce the next step: what happens, and why."""
        self._steps += 1
        self._console.print()
        self._console.print(Text(f"{self._steps}. {title}", style="bold"))
        self.tell(why)

    def tell(self, text: str) -> None:
        """Sentences, filled into lines."""
        self.say(textwrap.fill(text, min(self.width or PROSE_WIDTH, PROSE_WIDTH) - len(INDENT)))

    def say(self, text: str) -> None:
        """Lines as they are."""
        for line in text.splitlines() or [""]:
            self._console.print(f"{INDENT}{line}" if line else "")

    def command(self, command: str) -> None:
        """A command as one would type it."""
        self._console.print(Text(f"{INDENT}$ {command}", style="cyan"))

    def line(self, text: Text) -> None:
        """One line of a table, cut to the terminal."""
        if self.width is not None:
            text.truncate(self.width, overflow="ellipsis")
        text.rstrip()
        self._console.print(text)

    def good(self, text: str) -> None:
        """What came true."""
        self._console.print(Text(f"{INDENT}✓ {text}", style="green"))

    def bad(self, text: str) -> None:
        """What did not."""
        for number, line in enumerate(text.splitlines()):
            self._console.print(Text(f"{'✗ ' if number == 0 else INDENT}{line}", style="red"))

    @contextlib.contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Show that something is going on for as long as the block runs."""
        if self.tty:
            columns = (TextColumn("  "), SpinnerColumn(), TextColumn("{task.description}", markup=False))
            with Progress(*columns, TimeElapsedColumn(), console=self._console, transient=True) as progress:
                progress.add_task(what, total=None)
                yield
            return
        with self._reminders(what):
            yield

    @contextlib.contextmanager
    def _reminders(self, what: str) -> Iterator[None]:
        done, began = threading.Event(), self._now()

        def remind() -> None:
            pause = SILENCE_SECONDS
            while not done.wait(pause):
                self._console.print(f"{INDENT}… {what}: {self._now() - began:.0f} s so far")
                pause = REMINDER_SECONDS

        reminder = threading.Thread(target=remind, daemon=True)
        reminder.start()
        try:
            yield
        finally:
            done.set()
            reminder.join()

    def ask(self, question: str, *, yes: bool) -> None:
        """Go on only with a yes, given beforehand or now. Raises RefusedError."""
        self.tell(question)
        if yes:
            self.say("Yes was given beforehand (--yes or YES=1).")
            return
        if not (self.tty and sys.stdin.isatty()):
            raise RefusedError("There is no terminal to ask on: run it again with YES=1 (or --yes) to agree.")
        if input(f"{INDENT}Go on? [y/N] ").strip().lower() not in {"y", "yes"}:
            raise RefusedError("Nothing was changed.")

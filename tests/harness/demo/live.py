"""``kubectl get mirrors``, live: a line is shown when it has changed.

Owns reading kubectl's table and the columns shown. What kubectl prints is shown as it is; columns that never change or
always change (age) are left out.
"""

from collections.abc import Callable, Mapping

from rich.text import Text

from tests.harness.demo.screen import Screen

COLUMNS = ("NAME", "DESIRED", "STATE", "READY", "REASON", "TABLES", "MESSAGE")
WIDTHS = (10, 7, 11, 7, 13, 6, 0)
TIME_WIDTH = 7
COLOURS = {"True": "green", "False": "red", "Unknown": "yellow"}
GONE = "(gone)"

Row = Mapping[str, str]


def read_table(text: str) -> dict[str, Row]:
    """The rows of ``kubectl get … -o wide`` by name; each a mapping from column to cell, empty cells included."""
    lines = text.splitlines()
    if not lines:
        return {}
    header = lines[0]
    titles = header.split()
    starts = [_start(header, title) for title in titles]
    ends: list[int | None] = [*starts[1:], None]
    rows = (
        {title: line[start:end].strip() for title, start, end in zip(titles, starts, ends, strict=True)}
        for line in lines[1:]
    )
    return {row["NAME"]: row for row in rows}


def _start(header: str, title: str) -> int:
    return f" {header} ".index(f" {title} ")


class LiveTable:
    """Remembers what was shown; ``poll`` shows what is new."""

    def __init__(self, get: Callable[[], str], screen: Screen) -> None:
        """``get`` returns the table as kubectl prints it, wide."""
        self._get = get
        self._screen = screen
        self._shown: dict[str, tuple[str, ...]] = {}
        self._headed = False

    def begin(self) -> None:
        """A new step: its first line comes with a header."""
        self._headed = False

    def poll(self) -> bool:
        """Show the lines that have changed; returns whether there were any."""
        rows = {name: tuple(row.get(column, "") for column in COLUMNS) for name, row in read_table(self._get()).items()}
        changed = [cells for name, cells in rows.items() if self._shown.get(name) != cells]
        changed += [(name, GONE) for name in self._shown if name not in rows]
        self._shown = rows
        for cells in changed:
            self._show(cells)
        return bool(changed)

    def _show(self, cells: tuple[str, ...]) -> None:
        if not self._headed:
            self._screen.line(Text(" " * TIME_WIDTH + _laid_out(COLUMNS), style="dim"))
            self._headed = True
        line = Text(f"{self._screen.elapsed():3.0f} s  ", style="dim")
        for title, cell, width in zip(COLUMNS, cells, WIDTHS, strict=False):
            line.append(_cell(cell, width), style=COLOURS.get(cell, "default") if title == "READY" else "default")
        self._screen.line(line)


def _laid_out(cells: tuple[str, ...]) -> str:
    return "".join(_cell(cell, width) for cell, width in zip(cells, WIDTHS, strict=True))


def _cell(text: str, width: int) -> str:
    return text if width == 0 else f"{text:<{width}} "

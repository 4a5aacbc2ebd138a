"""Markdown tables, the only markup that the generated pages need beside headings and paragraphs.

Owns escaping: a pipe ends a cell even inside a code span, and an angle bracket outside one would be taken for HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def code(text: str) -> str:
    """A code span; empty for an empty text."""
    return f"`{text}`" if text else ""


def plain(text: str) -> str:
    """Text as it is to be read: angle brackets outside code spans are escaped."""
    parts = text.split("`")
    shown = [part if index % 2 else part.replace("<", "&lt;").replace(">", "&gt;") for index, part in enumerate(parts)]
    return "`".join(shown)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; every row has as many cells as the header."""
    lines = [_line(header), "|" + "---|" * len(header)]
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"{len(row)} cells under {len(header)} headings: {row}")
        lines.append(_line(row))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"

"""What ``values.yaml`` says about its values: their paths, their defaults and the comments above them.

Owns the reading of comments, which no YAML library of ours keeps. The rules: a comment of whole lines directly above a
key, as deep as the key, is its text. A mapping whose keys have comments is a section; any other value is one value,
whatever is inside it. Leaves to ``schema`` and ``readme`` what is made of that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

_KEY = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z][A-Za-z0-9]*):(?= |$)")
_COMMENT = re.compile(r"^(?P<indent> *)# ?(?P<text>.*)$")
_STEP = 2

Path = tuple[str, ...]


class UndocumentedValue(Exception):  # noqa: N818 - it reads as a statement about the value it names
    """A value has no comment. ``path`` names it, such as ``metrics.port``."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{dotted(path)} has no comment in values.yaml")


@dataclass(frozen=True, slots=True)
class Value:
    """One key of ``values.yaml``. ``default`` is what stands there, also for a section."""

    path: Path
    text: str
    default: object
    is_section: bool


def dotted(path: Path) -> str:
    """``("metrics", "port")`` -> ``metrics.port``."""
    return ".".join(path)


def read_values(text: str) -> list[Value]:
    """Every section and every value in the order of the file. Raises UndocumentedValue."""
    comments = dict(_comments(text))
    return list(_walk((), yaml.safe_load(text), comments))


def _walk(above: Path, content: dict[str, object], comments: dict[Path, str]) -> Iterator[Value]:
    for key, default in content.items():
        path = (*above, key)
        if path not in comments:
            raise UndocumentedValue(path)
        inner = default if isinstance(default, dict) else {}
        is_section = any((*path, name) in comments for name in inner)
        yield Value(path, comments[path], default, is_section)
        if is_section:
            yield from _walk(path, inner, comments)


def _comments(text: str) -> Iterator[tuple[Path, str]]:
    path: list[str] = []
    pending: list[str] = []
    for line in text.splitlines():
        if found := _COMMENT.match(line):
            pending.append(found["text"])
            continue
        if found := _KEY.match(line):
            path = [*path[: len(found["indent"]) // _STEP], found["key"]]
            if pending:
                yield tuple(path), " ".join(pending)
        pending = []

"""Owns how a lock file (``requirements*.lock``) is read; what has to be pinned in which is said by the tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PIN = re.compile(r"^([a-z0-9][a-z0-9.-]*)(?:\[([a-z0-9,-]+)\])?==(\S+)(?: ; ([^\\]+))? \\$")
HASH = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Pin:
    """One package: ``marker`` is empty unless the pin is bound to a platform."""

    name: str
    extras: frozenset[str]
    version: str
    marker: str
    hashes: frozenset[str]


def pins(lock: Path) -> Iterator[Pin]:
    """The packages of a lock file, in its order; a line that is neither a pin nor a part of one is passed over."""
    text = lock.read_text(encoding="utf-8")
    for block in re.split(r"^(?=\S)", text, flags=re.MULTILINE):
        if found := PIN.match(block.partition("\n")[0]):
            name, extras, version, marker = found.groups(default="")
            wanted = frozenset(filter(None, extras.split(",")))
            yield Pin(name, wanted, version, marker, frozenset(HASH.findall(block)))

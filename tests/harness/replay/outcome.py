"""What a play-through found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Outcome:
    """What a play-through found. ``differences`` holds (index of the step, words)."""

    differences: list[tuple[int, str]] = field(default_factory=list)
    compared: int = 0
    watches: int = 0
    not_simulated: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    facts: list[str] = field(default_factory=list)

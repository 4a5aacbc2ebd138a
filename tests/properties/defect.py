"""What a seeded defect is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Defect:
    """Replace ``old`` (which stands exactly once in ``file``) by ``new``. ``guards``: the rule or invariant broken."""

    guards: str
    name: str
    file: str
    old: str
    new: str

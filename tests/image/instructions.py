"""A Dockerfile as a list of instructions.

Owns the syntax this project uses: comments, lines continued by a backslash, flags (``--from=build``), JSON arrays.
Leaves rules of style to hadolint and the meaning of an instruction to whoever plays or checks it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "Dockerfile"
QUOTES = '"'


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: ``keyword`` in capitals, ``flags`` without their dashes, ``text`` as it stands after them."""

    keyword: str
    text: str
    flags: Mapping[str, str] = field(default_factory=dict)

    @property
    def words(self) -> list[str]:
        """The text split at blanks; the elements of a JSON array for the exec form."""
        if self.text.startswith("["):
            return [str(word) for word in json.loads(self.text)]
        return self.text.split()

    @property
    def pairs(self) -> dict[str, str]:
        """The ``key=value`` pairs of ARG, ENV and LABEL; an ARG without a value has an empty one."""
        found = re.findall(r'([\w.-]+)(?:=("[^"]*"|\S*))?', self.text)
        return {key: value.strip(QUOTES) for key, value in found}


@dataclass(frozen=True, slots=True)
class Stage:
    """The instructions from one FROM to the next; ``base`` as it stands, ``name`` empty if it has none."""

    base: str
    name: str
    instructions: tuple[Instruction, ...]

    def all(self, keyword: str) -> list[Instruction]:
        """The instructions with this keyword, in order."""
        return [each for each in self.instructions if each.keyword == keyword]

    def merged(self, keyword: str) -> dict[str, str]:
        """All pairs of ARG, ENV or LABEL; the last one of a key wins."""
        return {key: value for each in self.all(keyword) for key, value in each.pairs.items()}


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """The whole file: the arguments before the first FROM, and the stages."""

    arguments: Mapping[str, str]
    stages: tuple[Stage, ...]

    @property
    def build(self) -> Stage:
        """The stage in which everything is made."""
        return next(stage for stage in self.stages if stage.name == "build")

    @property
    def final(self) -> Stage:
        """What becomes the image."""
        return self.stages[-1]


def read(path: Path = FILE) -> Dockerfile:
    """The parsed file."""
    arguments: dict[str, str] = {}
    stages: list[tuple[str, str, list[Instruction]]] = []
    for each in _instructions(path.read_text(encoding="utf-8")):
        if each.keyword == "FROM":
            base, _, name = each.text.partition(" AS ")
            stages.append((base, name, []))
        elif stages:
            stages[-1][2].append(each)
        else:
            arguments |= each.pairs
    return Dockerfile(arguments, tuple(Stage(base, name, tuple(steps)) for base, name, steps in stages))


def _instructions(text: str) -> Iterator[Instruction]:
    bare = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n\s*", " ", bare).splitlines():
        if line.strip():
            keyword, _, rest = line.strip().partition(" ")
            flags: dict[str, str] = {}
            while found := re.match(r"--(\w+)=(\S+)\s+", rest):
                flags[found[1]] = found[2]
                rest = rest[found.end() :]
            yield Instruction(keyword.upper(), rest.strip(), flags)

"""How a Go module becomes programs: packages, flags, and the name under which a result is cached.

The versions are those of the module's own `go.mod` and of nothing else; a change of go.mod, go.sum, flags or platform
changes the name, so a cached binary never answers for a recipe that did not make it. Which modules there are is the
business of those that use them: `tests.harness.controlplane.recipe` and `tests.harness.gotools.programs`.
"""

import dataclasses
import hashlib
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.harness.gotools.errors import ToolError

KEY_CHARACTERS = 16

GoVersion = tuple[int, int, int]


@dataclasses.dataclass(frozen=True, slots=True)
class Requirement:
    """What a go.mod asks for: the version of the module the programs come from, e.g. `v4.3.1`, and the oldest Go."""

    version: str
    go: GoVersion


@dataclasses.dataclass(frozen=True, slots=True)
class Recipe:
    """A Go module and what is made of it on this platform.

    `packages` are import paths of main packages by the file names of the programs; `stamps` are the linker's settings
    `<package>.<variable>=<value>`; `what` names the whole in sentences, `instead` says there how to do without a build,
    `folder` is its place in the cache.
    """

    module: Path
    required: Requirement
    packages: Mapping[str, str]
    stamps: Sequence[str]
    what: str
    instead: str
    folder: str

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags of `go build`: the version stamp, without which programs take themselves for another version."""
        stamps = [f"-X {stamp}" for stamp in self.stamps]
        return ("-trimpath", "-mod=readonly", "-buildvcs=false", f"-ldflags={' '.join(['-s', '-w', *stamps])}")

    @property
    def key(self) -> str:
        """Name of the cached result."""
        digest = hashlib.sha256()
        parts = [(self.module / name).read_bytes() for name in ("go.mod", "go.sum")]
        parts += [flag.encode() for flag in self.flags]
        parts += [f"{program}={package}".encode() for program, package in self.packages.items()]
        parts += [sys.platform.encode(), platform.machine().encode()]
        for part in parts:
            digest.update(hashlib.sha256(part).digest())
        return digest.hexdigest()[:KEY_CHARACTERS]

    def packages_of(self, programs: Sequence[str]) -> list[str]:
        """Import paths of the programs' main packages."""
        return [self.packages[program] for program in programs]


def read_requirement(module: Path, wanted: str) -> Requirement:
    """What the go.mod in the folder `module` asks for of the Go module `wanted`.

    Raises ToolError when the file lacks what a build needs.
    """
    text = (module / "go.mod").read_text(encoding="utf-8")
    required = re.search(rf"^\s*(?:require\s+)?{re.escape(wanted)} (v\S+)", text, re.MULTILINE)
    go = re.search(r"^go (\d+)\.(\d+)(?:\.(\d+))?", text, re.MULTILINE)
    if required is None or go is None:
        raise ToolError(f"{module / 'go.mod'} does not require {wanted} or has no go line: restore it.")
    return Requirement(required[1], (int(go[1]), int(go[2]), int(go[3] or 0)))

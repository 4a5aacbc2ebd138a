"""The build stage of the Dockerfile, played in a folder: what comes out is what the image would carry.

Owns how an instruction is carried out without a container: absolute paths below ``/opt`` and ``/src`` are moved below
the folder, everything else runs as it stands. Like a container builder it keeps the first layer (what the lock files
ask for), in the same cache as the built control plane; pip's own cache is used too. Leaves the syntax to
``instructions`` and what is checked to the tests.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.harness.gotools.cache import cache_root, locked, staging
from tests.image.instructions import ROOT, Instruction, Stage

MOVED = re.compile(r"(?<![\w.$}/-])/(?=(?:opt|src)(?:[/\s]|$))")
HIDDEN = ("PYTHON", "PEERDB_", "VIRTUAL_ENV", "COVERAGE_", "COV_")
"""What a build would not see of the surroundings; all else may be what pip needs to reach its registry."""

OWN_CACHE = "PIP_NO_CACHE_DIR"
MADE = "opt"
WHOLE = ".whole"
KEPT_LAYERS = 3


class BuildError(RuntimeError):
    """An instruction failed; the message carries it and its output."""


@dataclass(frozen=True, slots=True)
class Player:
    """Plays one stage into ``folder``, whose path must have no blanks; ``context`` is what COPY copies from."""

    stage: Stage
    folder: Path
    context: Path = ROOT

    def play(self) -> None:
        """Play all instructions, the first layer out of the cache if it is there. Raises BuildError."""
        steps = self.stage.instructions
        first = next(number for number, step in enumerate(steps, 1) if step.keyword == "RUN")
        layer = cache_root(os.environ) / "image" / self._key(steps[:first])
        with locked(layer.parent, on_wait=lambda: None):
            if (layer / WHOLE).exists():
                shutil.copytree(layer / MADE, self.folder / MADE, symlinks=True)
            else:
                self._carry_out(steps[:first])
                self._keep(layer)
            os.utime(layer)
            _forget(layer.parent)
        self._carry_out(steps, done=first)

    def _carry_out(self, steps: Sequence[Instruction], done: int = 0) -> None:
        """Carry out these steps; the commands among the first ``done`` of them have left their traces already."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith(HIDDEN)}
        environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environ["PATH"]])
        where = self.folder
        for number, step in enumerate(steps):
            match step.keyword:
                case "ARG" | "ENV":
                    environ |= {name: value for name, value in step.pairs.items() if name != OWN_CACHE}
                case "WORKDIR":
                    where = self._moved(step.text)
                    where.mkdir(parents=True, exist_ok=True)
                case "COPY":
                    self._copy(step, where)
                case "RUN":
                    if number >= done:
                        self._run(step, where, environ)
                case other:
                    raise BuildError(f"the build stage has a {other}, which is not played: keep to what is.")

    def _moved(self, path: str) -> Path:
        return Path(MOVED.sub(f"{self.folder}/", path))

    def _copy(self, step: Instruction, where: Path) -> None:
        *sources, target = step.words
        for source in sources:
            found = self.context / source
            if found.is_dir():
                ignore = shutil.ignore_patterns(*left_out(self.context))
                shutil.copytree(found, where / target, ignore=ignore, dirs_exist_ok=True)
            else:
                shutil.copy2(found, where / target)

    def _run(self, step: Instruction, where: Path, environ: dict[str, str]) -> None:
        command = MOVED.sub(f"{self.folder}/", step.text)
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=where,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise BuildError(f"RUN {command}\nended with {done.returncode}:\n{done.stdout}")

    def _key(self, steps: Iterable[Instruction]) -> str:
        python = (sys.version, sys.base_prefix, sysconfig.get_platform(), platform.libc_ver())
        parts = [repr(python)]
        for step in steps:
            parts.append(repr((step.keyword, step.text)))
            if step.keyword == "COPY":
                parts += [(self.context / source).read_text(encoding="utf-8") for source in step.words[:-1]]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]

    def _keep(self, layer: Path) -> None:
        with staging(layer.parent) as made:
            shutil.copytree(self.folder / MADE, made / MADE, symlinks=True)
            (made / WHOLE).touch()
            shutil.rmtree(layer, ignore_errors=True)
            made.rename(layer)


def left_out(context: Path = ROOT) -> list[str]:
    """The patterns of .dockerignore that hold in every folder."""
    lines = (context / ".dockerignore").read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("**/") for line in lines if line.startswith("**/")]


def _forget(folder: Path) -> None:
    """Keep only the layers that were used last."""
    layers = sorted((path.parent for path in folder.glob(f"*/{WHOLE}")), key=lambda path: path.stat().st_mtime)
    for layer in layers[:-KEPT_LAYERS]:
        shutil.rmtree(layer, ignore_errors=True)

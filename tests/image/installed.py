"""The installed image: where it lies, how it is started, and whether anything in it has changed.

Owns the folder that the played Dockerfile leaves behind, made unwritable, and the command line and environment that the
last stage gives it. Leaves building to ``playing`` and the lack of privileges to ``sandbox``.
"""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.image import sandbox
from tests.image.instructions import Dockerfile, Instruction, read
from tests.image.playing import Player

SANDBOX = Path(sandbox.__file__)
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
SECONDS = 60

State = Mapping[str, tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class Image:
    """What lies below ``folder`` is what the image has; ``plain`` if this system allows no namespaces."""

    folder: Path
    dockerfile: Dockerfile
    plain: bool

    @classmethod
    def make(cls) -> Self:
        """Play the Dockerfile and keep what its last stage copies, unwritable for everybody."""
        folder = Path(tempfile.mkdtemp(prefix="peerdb-operator-image-"))
        folder.chmod(0o755)
        dockerfile = read()
        Player(dockerfile.build, folder).play()
        _drop_all_but([each.words[0] for each in dockerfile.final.all("COPY") if "from" in each.flags], folder)
        for path in _all_of(folder):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~WRITE)
        return cls(folder, dockerfile, plain=not _namespaces())

    def path(self, inside: str) -> Path:
        """Where a path of the image lies here."""
        return self.folder / inside.removeprefix("/")

    @property
    def python(self) -> Path:
        """The interpreter of the image."""
        return self.path("/opt/venv/bin/python")

    @property
    def entrypoint(self) -> list[str]:
        """What the container starts, without arguments."""
        words = self._last("ENTRYPOINT").words
        return [str(self.path(words[0])), *words[1:]]

    @property
    def arguments(self) -> list[str]:
        """What it is started with if nothing is said."""
        return self._last("CMD").words

    def command(
        self, program: list[str], environ: Mapping[str, str] | None = None, run: Path | None = None
    ) -> list[str]:
        """The command line that starts a program of the image in the sandbox, with the image's environment."""
        own = self.dockerfile.final.merged("ENV")
        own["PATH"] = own["PATH"].replace("${PATH}", SYSTEM_PATH).replace("/opt/", f"{self.folder}/opt/")
        variables = {**own, "HOME": "/", **(environ or {})}
        means = ["--plain"] if self.plain else ["--run", str(run)] if run else []
        return [
            *(sys.executable, "-I", str(SANDBOX), *means, "--"),
            *(str(shutil.which("env")), "-i"),
            *(f"{name}={value}" for name, value in variables.items()),
            *program,
        ]

    def call(self, program: list[str], environ: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        """Start a program and wait for its end."""
        return subprocess.run(
            self.command(program, environ), capture_output=True, text=True, check=False, timeout=SECONDS
        )

    def state(self) -> State:
        """Mode, size and time of last change of everything in the image, by path."""
        seen = {str(path): path.lstat() for path in _all_of(self.folder)}
        return {path: (found.st_mode, found.st_size, found.st_mtime_ns) for path, found in seen.items()}

    def remove(self) -> None:
        """Make it writable again and delete it."""
        for path in _all_of(self.folder):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)
        shutil.rmtree(self.folder)

    def _last(self, keyword: str) -> Instruction:
        return self.dockerfile.final.all(keyword)[-1]


def _namespaces() -> bool:
    probe = [sys.executable, "-I", str(SANDBOX), "--", str(shutil.which("true"))]
    return subprocess.run(probe, capture_output=True, check=False, timeout=SECONDS).returncode == 0


def _all_of(folder: Path) -> list[Path]:
    return [folder, *(Path(where, name) for where, dirs, files in os.walk(folder) for name in (*dirs, *files))]


def _drop_all_but(kept: list[str], folder: Path) -> None:
    wanted = [folder / each.removeprefix("/") for each in kept]
    for top in (*(folder / "opt").iterdir(), *(each for each in folder.iterdir() if each.name != "opt")):
        if top not in wanted:
            shutil.rmtree(top)

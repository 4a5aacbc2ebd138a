"""What is built and how: programs, packages, flags, and the name under which a result is cached.

The versions are those of `go.mod` beside this file and of nothing else; a change of go.mod, go.sum, flags or platform
changes the name, so a cached binary never answers for a recipe that did not make it.
"""

import dataclasses
import enum
import hashlib
import platform
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.harness.controlplane.errors import ControlPlaneError

MODULE_DIRECTORY = Path(__file__).parent
KEY_CHARACTERS = 16
VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")


class Program(enum.Enum):
    """A program of the control plane; the value is its file name."""

    ETCD = "etcd"
    KUBECTL = "kubectl"
    APISERVER = "kube-apiserver"
    CONTROLLER_MANAGER = "kube-controller-manager"


PACKAGES: dict[Program, str] = {
    Program.ETCD: "go.etcd.io/etcd/server/v3",
    Program.KUBECTL: "k8s.io/kubernetes/cmd/kubectl",
    Program.APISERVER: "k8s.io/kubernetes/cmd/kube-apiserver",
    Program.CONTROLLER_MANAGER: "k8s.io/kubernetes/cmd/kube-controller-manager",
}
DEMO_PROGRAMS = (Program.ETCD, Program.KUBECTL, Program.APISERVER)


@dataclasses.dataclass(frozen=True, slots=True)
class Recipe:
    """A Go module and what is made of it on this platform."""

    module: Path
    kubernetes_version: str
    go_version: tuple[int, int]
    packages: dict[Program, str]

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags of `go build`: the version stamp, without which the programs take themselves for v0.0.0."""
        major, minor = self.kubernetes_version.lstrip("v").split(".")[:2]
        stamp = {"gitVersion": self.kubernetes_version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
        stamps = [f"-X {package}.{name}={value}" for package in VERSION_PACKAGES for name, value in stamp.items()]
        return ("-trimpath", "-mod=readonly", "-buildvcs=false", f"-ldflags={' '.join(['-s', '-w', *stamps])}")

    @property
    def key(self) -> str:
        """Name of the cached result."""
        digest = hashlib.sha256()
        parts = [(self.module / name).read_bytes() for name in ("go.mod", "go.sum")]
        parts += [flag.encode() for flag in self.flags]
        parts += [f"{program.value}={package}".encode() for program, package in self.packages.items()]
        parts += [sys.platform.encode(), platform.machine().encode()]
        for part in parts:
            digest.update(hashlib.sha256(part).digest())
        return digest.hexdigest()[:KEY_CHARACTERS]

    def packages_of(self, programs: Sequence[Program]) -> list[str]:
        """Import paths of the programs' main packages."""
        return [self.packages[program] for program in programs]


def read_recipe(module: Path = MODULE_DIRECTORY) -> Recipe:
    """The recipe of a module folder; raises ControlPlaneError when its go.mod lacks what a build needs."""
    text = (module / "go.mod").read_text(encoding="utf-8")
    kubernetes = re.search(r"^\s*(?:require\s+)?k8s\.io/kubernetes (v\S+)", text, re.MULTILINE)
    go = re.search(r"^go (\d+)\.(\d+)", text, re.MULTILINE)
    if kubernetes is None or go is None:
        raise ControlPlaneError(
            f"{module / 'go.mod'} does not require k8s.io/kubernetes or has no go line: restore it."
        )
    return Recipe(module, kubernetes[1], (int(go[1]), int(go[2])), PACKAGES)

"""What the control plane is built of: its four programs, their packages and version stamps.

All come out of the one Go module beside this file. How a module becomes programs is `tests.harness.gotools.recipe`.
"""

import enum
from pathlib import Path

from tests.harness.gotools.recipe import Recipe, read_requirement

MODULE_DIRECTORY = Path(__file__).parent
KUBERNETES = "k8s.io/kubernetes"
VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"


class Program(enum.StrEnum):
    """A program of the control plane; the value is its file name."""

    ETCD = "etcd"
    KUBECTL = "kubectl"
    APISERVER = "kube-apiserver"
    CONTROLLER_MANAGER = "kube-controller-manager"


PACKAGES: dict[str, str] = {
    Program.ETCD: "go.etcd.io/etcd/server/v3",
    Program.KUBECTL: "k8s.io/kubernetes/cmd/kubectl",
    Program.APISERVER: "k8s.io/kubernetes/cmd/kube-apiserver",
    Program.CONTROLLER_MANAGER: "k8s.io/kubernetes/cmd/kube-controller-manager",
}
DEMO_PROGRAMS = (Program.ETCD, Program.KUBECTL, Program.APISERVER)


def read_recipe(module: Path = MODULE_DIRECTORY) -> Recipe:
    """The recipe of a module folder; raises ToolError when its go.mod lacks what a build needs."""
    required = read_requirement(module, KUBERNETES)
    return Recipe(
        module,
        required,
        PACKAGES,
        stamps_of(required.version),
        what="the control plane",
        instead=f"set {ASSETS_VARIABLE} to a folder with kube-apiserver, etcd and kubectl",
        folder=required.version,
    )


def stamps_of(version: str) -> list[str]:
    """Without these the programs take themselves for v0.0.0."""
    major, minor = version.lstrip("v").split(".")[:2]
    stamp = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return [f"{package}.{name}={value}" for package in VERSION_PACKAGES for name, value in stamp.items()]

"""The command of the page adds its keys to ``argocd-cm``, and what else is there outlives it and every later apply."""

import json
import re
import shlex

import pytest

from tests.docs.pages import DOCS, ROOT, SHELL, Page, commands_of
from tests.docs.stage import put_namespace
from tests.harness.controlplane.launch import ControlPlane

pytestmark = pytest.mark.e2e

PAGE = Page(DOCS / "gitops" / "README.md")
COMMANDS = [
    command
    for block in PAGE.blocks
    if block.language in SHELL
    for command in commands_of(block)
    if re.search(r"argocd-cm\S*\.yaml", command)
]
THEIRS = {"url": "https://argocd.example.com", "dex.config": "connectors: []\n"}
INSTALLED = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {
        "name": "argocd-cm",
        "namespace": "argocd",
        "labels": {"app.kubernetes.io/name": "argocd-cm", "app.kubernetes.io/part-of": "argocd"},
    },
    "data": THEIRS,
}
PLACE = ("--namespace=argocd",)
OURS = 3


CLIENT_SIDE = ("apply", "--filename", "-")
SERVER_SIDE = ("apply", "--server-side", "--force-conflicts", "--filename", "-")
FILE = str(DOCS / "gitops" / "argocd" / "argocd-cm.yaml")


def install(cluster: ControlPlane, way: tuple[str, ...]) -> None:
    """Argo CD's own manifest is applied, in one of the ways that its documentation has had."""
    cluster.kubectl(*way, input=json.dumps(INSTALLED))


def data(cluster: ControlPlane) -> dict[str, str]:
    found: dict[str, str] = json.loads(
        cluster.kubectl("get", "configmap", "argocd-cm", *PLACE, "--output=json").stdout
    )["data"]
    return found


def pasted(cluster: ControlPlane, command: str) -> None:
    """A command of the page, word for word, but for where the checkout is."""
    program, *arguments = shlex.split(command)
    assert program == "kubectl"
    cluster.kubectl(*(str(ROOT / each) if each.startswith("docs/") else each for each in arguments))


def argocd(cluster: ControlPlane, way: tuple[str, ...]) -> None:
    """Install Argo CD's ConfigMap anew, with settings of somebody."""
    put_namespace(cluster, "argocd")
    cluster.kubectl("delete", "configmap", "argocd-cm", *PLACE, "--ignore-not-found")
    install(cluster, way)


def test_the_page_has_a_command_for_each_variant() -> None:
    files = [re.search(r"argocd-cm\S*\.yaml", command) for command in COMMANDS]

    assert [found[0] for found in files if found] == ["argocd-cm.yaml", "argocd-cm-suspended.yaml"]


@pytest.mark.parametrize("way", [CLIENT_SIDE, SERVER_SIDE], ids=["client-side", "server-side"])
@pytest.mark.parametrize("command", COMMANDS)
def test_all_keys_survive_when_argo_cd_is_installed_again_after_the_command_of_the_page(
    our_control_plane: ControlPlane, command: str, way: tuple[str, ...]
) -> None:
    argocd(our_control_plane, way)

    pasted(our_control_plane, command)
    before = data(our_control_plane)
    install(our_control_plane, way)

    assert before.items() >= THEIRS.items()
    assert len(before) == len(THEIRS) + OURS
    assert data(our_control_plane) == before


def test_one_variant_takes_the_place_of_the_other(our_control_plane: ControlPlane) -> None:
    argocd(our_control_plane, CLIENT_SIDE)

    for command in (*COMMANDS, *COMMANDS):
        pasted(our_control_plane, command)

    after = data(our_control_plane)
    assert "Suspended" in after["resource.customizations.health.peerdb.io_Mirror"]
    assert after.items() >= THEIRS.items()


@pytest.mark.parametrize("name", [(), ("--field-manager=peerdb-operator-docs",)], ids=["kubectl", "a name of its own"])
def test_other_keys_are_lost_when_the_file_is_applied_instead(
    our_control_plane: ControlPlane, name: tuple[str, ...]
) -> None:
    argocd(our_control_plane, CLIENT_SIDE)

    our_control_plane.kubectl("apply", "--server-side", *name, *PLACE, f"--filename={FILE}")

    assert data(our_control_plane).keys().isdisjoint(THEIRS)

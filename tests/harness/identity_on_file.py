"""Who the operator is in a cluster, without Helm: what the chart says of its account, kept on file.

For what must not wait for Helm to be built, the demo and the bench. Owns the file, what of the chart is in it, and how
an operator gets its account from it. ``python -m tests.harness.identity_on_file`` renders it anew and needs Helm; a
test holds it against the chart.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import yaml

from tests.harness.controlplane.launch import ControlPlane
from tests.harness.gotools import programs
from tests.harness.identity import RELEASE_NAMESPACE, account_of, admit, render
from tests.harness.identity_rights import Manifest, roles_of

FILE = Path(__file__).with_name("identity.yaml")
HEADER = "# Rendered from charts/peerdb-operator; do not edit.\n# Renew with: make fixtures\n"
RELEASE, NAMESPACE = "name-of-the-release", "name-of-the-namespace"
"""What stands in the file for the names that differ."""

_KEYS = {False: "without-cluster-id", True: "with-cluster-id"}


def account_manifests(release: str, namespace: str, *, cluster_id: bool) -> list[Manifest]:
    """A release whose operator watches one namespace and is told its cluster's id, or reads it."""
    text = FILE.read_text(encoding="utf-8").replace(RELEASE, release).replace(NAMESPACE, namespace)
    found: list[Manifest] = yaml.safe_load(text)[_KEYS[cluster_id]]
    return found


def account_kubeconfig(cluster: ControlPlane, namespace: str, *, cluster_id: bool = False) -> Path:
    """Make the account of an operator that watches this namespace, which has to exist; returns its kubeconfig.

    The release is named like the namespace, so that accounts of several do not meet.
    """
    return admit(cluster, account_manifests(namespace, namespace, cluster_id=cluster_id), namespace)[1]


def essence(manifests: Iterable[Manifest], release: str) -> list[Manifest]:
    """The account and what it may do; not the roles for people, nor labels, which change with every version."""
    known = list(manifests)
    roles = [role for _, role in roles_of(known, RELEASE_NAMESPACE, account_of(known, release))]
    kept = [each for each in known if each["kind"] not in {"Role", "ClusterRole"} or each in roles]
    return [
        {**each, "metadata": {key: value for key, value in each["metadata"].items() if key != "labels"}}
        for each in kept
    ]


def content(helm: Path) -> str:
    """What the file should be."""
    variants = {
        key: essence(render(helm, RELEASE, [NAMESPACE], "some-id" if cluster_id else ""), RELEASE)
        for cluster_id, key in _KEYS.items()
    }
    return HEADER + yaml.safe_dump(variants, sort_keys=False, width=120)


if __name__ == "__main__":
    FILE.write_text(content(programs.helm(os.environ)), encoding="utf-8")

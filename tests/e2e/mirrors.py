"""What a user does to Mirrors with kubectl, in a namespace of the admission tests. Nothing here judges an answer."""

import json
import subprocess
from collections.abc import Mapping
from typing import Any

from peerdb_operator.api import constants
from tests.harness.controlplane.launch import ControlPlane

NAMESPACE = "admission"

Object = dict[str, Any]


def a_mirror(spec: Mapping[str, Any], name: str = "orders-cdc") -> Object:
    """A Mirror as a user writes it."""
    return {
        "apiVersion": constants.API_VERSION,
        "kind": constants.KIND,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": dict(spec),
    }


def create(cluster: ControlPlane, wish: Object, *more: str) -> subprocess.CompletedProcess[str]:
    """`kubectl create`, with unknown fields refused."""
    return cluster.kubectl("create", "--validate=strict", *more, "-f", "-", input=json.dumps(wish), check=False)


def apply(cluster: ControlPlane, wish: Object, *more: str) -> subprocess.CompletedProcess[str]:
    """`kubectl apply --server-side`."""
    return cluster.kubectl("apply", "--server-side", *more, "-f", "-", input=json.dumps(wish), check=False)


def read(cluster: ControlPlane, name: str, *more: str) -> Object:
    """The object as the API server has it."""
    shown = cluster.kubectl("get", constants.PLURAL, name, f"--namespace={NAMESPACE}", "--output=json", *more)
    found: Object = json.loads(shown.stdout)
    return found


def patch_status(cluster: ControlPlane, name: str, status: object) -> subprocess.CompletedProcess[str]:
    """A merge patch on the status subresource, as the operator sends it."""
    return cluster.kubectl(
        "patch",
        constants.PLURAL,
        name,
        f"--namespace={NAMESPACE}",
        "--subresource=status",
        "--type=merge",
        f"--patch={json.dumps({'status': status})}",
        check=False,
    )

"""The cluster that the demo works in: a control plane of its own, or the one of KUBECONFIG.

Owns what is made in a cluster and that exactly this is removed again. A cluster that somebody brought is asked about
before anything is written, gets a namespace of its own, and keeps every definition and object that was there before.
The operator works as the chart's ServiceAccount in our own, and as the user in theirs: who may try a namespace need not
have the right to give rights.
"""

import contextlib
import dataclasses
import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.harness.controlplane.assets import programs_for
from tests.harness.controlplane.launch import ControlPlane
from tests.harness.controlplane.recipe import DEMO_PROGRAMS
from tests.harness.demo.screen import RefusedError, Screen
from tests.harness.identity_on_file import account_kubeconfig

ROOT = Path(__file__).resolve().parents[3]
CRD_FILE = ROOT / "crds" / "mirrors.peerdb.io.yaml"
CRD = "crd/mirrors.peerdb.io"
RESOURCE = "mirrors.peerdb.io"
DELETE_SECONDS = 30
STRANGER_SECONDS = 5.0
POLL_SECONDS = 0.25
OWN_NAMESPACE = "default"

Ask = Callable[[str], None]
"""Puts a question; raises RefusedError unless the answer is yes."""


@dataclasses.dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster with the CRD in it, the namespace to work in, and the kubeconfig of the operator there."""

    control_plane: ControlPlane
    namespace: str
    operator_kubeconfig: Path

    def kubectl(
        self,
        *arguments: str,
        input: str | None = None,  # noqa: A002 - the word of subprocess.run
        check: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl in the namespace; raises ControlPlaneError with kubectl's words."""
        return self.control_plane.kubectl(f"--namespace={self.namespace}", *arguments, input=input, check=check)

    def delete_mirrors(self) -> None:
        """Delete every Mirror of the namespace and give its operator time to let it go."""
        self.kubectl("delete", RESOURCE, "--all", "--ignore-not-found", f"--timeout={DELETE_SECONDS}s", check=False)

    def let_go(self) -> None:
        """Delete what its operator has not let go, without it."""
        self.kubectl("delete", RESOURCE, "--all", "--ignore-not-found", "--wait=false", check=False)
        for name in self.kubectl("get", RESOURCE, "--output=name", check=False).stdout.split():
            self.kubectl("patch", name, "--type=merge", '--patch={"metadata":{"finalizers":null}}', check=False)


def open_cluster(screen: Screen, ask: Ask, undo: contextlib.ExitStack) -> Cluster:
    """A cluster to work in; what it takes to leave it as it was is put on ``undo``.

    Raises ControlPlaneError with what to do, or RefusedError.
    """
    if os.environ.get("KUBECONFIG"):
        control_plane = undo.enter_context(ControlPlane.start())
        return _join(control_plane, screen, ask, undo)
    programs_for(DEMO_PROGRAMS, os.environ)
    with screen.waiting("Starting a Kubernetes API server (about 5 s)"):
        control_plane = undo.enter_context(ControlPlane.start())
        _install(control_plane)
        kubeconfig = account_kubeconfig(control_plane, OWN_NAMESPACE, cluster_id=True)
    return Cluster(control_plane, OWN_NAMESPACE, kubeconfig)


def _install(control_plane: ControlPlane) -> None:
    control_plane.kubectl("apply", "--server-side", f"--filename={CRD_FILE}")
    control_plane.wait_established(RESOURCE)


def _join(control_plane: ControlPlane, screen: Screen, ask: Ask, undo: contextlib.ExitStack) -> Cluster:
    there = control_plane.kubectl("get", CRD, "--ignore-not-found", "--output=name").stdout.strip() != ""
    cluster = Cluster(control_plane, f"peerdb-demo-{secrets.token_hex(3)}", control_plane.kubeconfig)
    definition = f"uses its {RESOURCE} as it is" if there else f"installs the CustomResourceDefinition {RESOURCE}"
    ask(
        f"The demo works in the cluster {control_plane.url}: it {definition}, makes the namespace {cluster.namespace}, "
        "and runs an operator on this machine that sees this namespace alone. At the end it removes what it made."
    )
    if not there:
        undo.callback(_remove_crd, control_plane, screen)
        _install(control_plane)
    control_plane.kubectl("create", "namespace", cluster.namespace)
    undo.callback(_remove_namespace, cluster)
    if there:
        with screen.waiting("Looking whether an operator works in this cluster already"):
            _refuse_a_stranger(cluster)
    return cluster


def _refuse_a_stranger(cluster: Cluster) -> None:
    """Somebody else's operator would take the demo's Mirrors to its own PeerDB.

    A Mirror that asks to be left alone shows it: an operator says so in its status at once, and does nothing else.
    """
    probe = {
        "apiVersion": "peerdb.io/v1alpha1",
        "kind": "Mirror",
        "metadata": {"name": "demo-probe", "annotations": {"peerdb.io/reconcile": "disabled"}},
        "spec": {"state": "Running", "deletionPolicy": "Retain"},
    }
    cluster.kubectl("create", "--filename=-", input=json.dumps(probe))
    deadline = time.monotonic() + STRANGER_SECONDS
    while time.monotonic() < deadline:
        shown = cluster.kubectl("get", RESOURCE, "demo-probe", "--output=jsonpath={.status.conditions}").stdout
        if shown.strip():
            raise RefusedError(
                "An operator works in this cluster already and would act on the demo's Mirrors in its own PeerDB: "
                "use a cluster without one, or none (unset KUBECONFIG)."
            )
        time.sleep(POLL_SECONDS)
    cluster.kubectl("delete", RESOURCE, "demo-probe", "--ignore-not-found")


def _remove_namespace(cluster: Cluster) -> None:
    cluster.let_go()
    cluster.control_plane.kubectl("delete", "namespace", cluster.namespace, "--wait=false", check=False)


def _remove_crd(control_plane: ControlPlane, screen: Screen) -> None:
    """Deleting a definition deletes every object of its kind: only when it is known that there is none."""
    left = control_plane.kubectl("get", RESOURCE, "--all-namespaces", "--output=name", check=False)
    if left.returncode != 0 or left.stdout.split():
        screen.say(f"The CustomResourceDefinition {RESOURCE} stays: there may be Mirrors of somebody else by now.")
        return
    control_plane.kubectl("delete", CRD, "--ignore-not-found", "--wait=false", check=False)

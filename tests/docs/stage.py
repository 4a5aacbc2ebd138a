"""Where the commands of the documentation are run: a checkout, a cluster with one Mirror, a PeerDB with its mirror.

Owns the folder, the programs on the path and the objects. What the programs may do is in ``standin``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from peerdb_operator.api.kinds import Mirror
from tests.docs.pages import ROOT
from tests.harness.controlplane.launch import ControlPlane
from tests.harness.crdgen import render
from tests.harness.peerdb.process import SimulatorProcess

NAMESPACE = "docs"
NAMESPACES = (NAMESPACE, "default", "peerdb", "peerdb-system", "data", "analytics", "data-eu", "argocd")
PROGRAMS = ("kubectl", "helm", "curl", "argocd", "flux")
STANDIN = Path(__file__).with_name("standin.py")
BLOCK_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Stage:
    """A folder that looks like a checkout, and the surroundings of a user in it."""

    folder: Path
    environ: Mapping[str, str]
    cluster: ControlPlane

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """One block of shell, as a user pastes it, but ended by the first failure."""
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=dict(self.environ),
            text=True,
            capture_output=True,
            check=False,
            timeout=BLOCK_SECONDS,
        )


def prepare_cluster(cluster: ControlPlane) -> None:
    """The kind, the namespaces that the documentation speaks of, and the Mirror of its examples."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename", "-", input=render(Mirror))
    cluster.wait_established("mirrors.peerdb.io")
    for name in NAMESPACES:
        put_namespace(cluster, name)


def put_namespace(cluster: ControlPlane, name: str) -> None:
    """A namespace, new or there already."""
    wish = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    cluster.kubectl("apply", "--server-side", "--filename", "-", input=json.dumps(wish))


def put_mirror(cluster: ControlPlane, name: str, spec: Mapping[str, object], status: Mapping[str, object]) -> None:
    """A Mirror with a status as the operator writes one; it stands for itself, no operator runs."""
    wish = {
        "apiVersion": "peerdb.io/v1alpha1",
        "kind": "Mirror",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": dict(spec),
    }
    cluster.kubectl("apply", "--server-side", "--filename", "-", input=json.dumps(wish))
    reported = json.dumps({"status": dict(status)})
    place = (f"--namespace={NAMESPACE}", "--type=merge")
    cluster.kubectl("patch", "mirror", name, *place, "--subresource=status", f"--patch={reported}")


def a_status(state: str, reason: str, ready: str, summary: str | None = None) -> dict[str, object]:
    """What the operator writes, as far as ``kubectl`` shows it."""
    moment = "2026-01-31T12:00:00Z"
    condition = {"message": "as told", "lastTransitionTime": moment, "observedGeneration": 1, "reason": reason}
    conditions = [{"type": kind, "status": ready, **condition} for kind in ("Ready", "Synced")]
    tables = {} if summary is None else {"tables": {"summary": summary}}
    return {"observedGeneration": 1, "state": state, "conditions": conditions, **tables}


def set_up(folder: Path, cluster: ControlPlane, sim: SimulatorProcess, helm: Path) -> Stage:
    """A stage in an empty folder."""
    prepare_cluster(cluster)
    put_mirror(cluster, "orders-cdc", {"state": "Running"}, a_status("Running", "Running", "True"))
    sim.put_mirror("orders_cdc", tables=[{"source": "public.orders", "destination": "orders"}])
    checkout = folder / "checkout"
    checkout.mkdir()
    for name in ("charts", "crds", "docs", "requirements.lock", "pyproject.toml", "operator"):
        (checkout / name).symlink_to(ROOT / name)
    (checkout / "peerdb-password").write_text("secret\n", encoding="utf-8")
    programs = folder / "bin"
    programs.mkdir()
    for program in PROGRAMS:
        script = programs / program
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{STANDIN}" {program} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
    environ = {
        "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
        "HOME": str(folder),
        "KUBECONFIG": str(_kubeconfig(cluster, folder)),
        "KUBECACHEDIR": str(folder / "cache"),
        "KUBERC": "off",
        "REAL_KUBECTL": str(cluster.kubectl_program),
        "REAL_HELM": str(helm),
        "PEERDB": sim.gateway_url,
    }
    return Stage(checkout, environ, cluster)


def clear(cluster: ControlPlane) -> None:
    """Take the Mirrors away, also those that an operator has put its finalizer on."""
    place = f"--namespace={NAMESPACE}"
    cluster.kubectl("delete", "mirrors", "--all", place, "--wait=false")
    left = cluster.kubectl("get", "mirrors", place, "--output=name").stdout.split()
    for name in left:
        cluster.kubectl("patch", name, place, "--type=merge", '--patch={"metadata": {"finalizers": []}}', check=False)


def _kubeconfig(cluster: ControlPlane, folder: Path) -> Path:
    """The admin's, in the namespace of the examples."""
    known = yaml.safe_load(cluster.kubeconfig.read_text(encoding="utf-8"))
    known["contexts"][0]["context"]["namespace"] = NAMESPACE
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(known), encoding="utf-8")
    path.chmod(0o600)
    return path

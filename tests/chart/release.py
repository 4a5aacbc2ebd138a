"""A release of the chart in a real cluster: installed, upgraded, rolled back, uninstalled; nothing runs its pods."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from peerdb_operator.api import constants
from tests.chart.helm_cli import Helm, Object
from tests.e2e.seeing import eventually
from tests.harness.chart.__main__ import CHART, CRD
from tests.harness.controlplane.launch import ControlPlane
from tests.harness.operator_process import Launch, RunningOperator

DEFINITION = CRD.name.removesuffix(".yaml")
POD_FILES = ("PEERDB_PASSWORD_FILE", "PEERDB_CA_FILE")
LISTENING = ("PEERDB_OPERATOR_HEALTH_PORT", "PEERDB_OPERATOR_METRICS_PORT")


@dataclass(frozen=True, slots=True)
class Release:
    """One release by its name, in a namespace that exists."""

    helm: Helm
    cluster: ControlPlane
    name: str
    namespace: str

    def install(self, values: Mapping[str, object], *flags: str, chart: Path = CHART) -> str:
        """``helm install``."""
        return self._run("install", self.name, str(chart), "--values=-", *flags, stdin=json.dumps(values))

    def upgrade(self, values: Mapping[str, object], *flags: str, chart: Path = CHART) -> str:
        """``helm upgrade``."""
        return self._run("upgrade", self.name, str(chart), "--values=-", *flags, stdin=json.dumps(values))

    def rollback(self, revision: int) -> str:
        """``helm rollback``."""
        return self._run("rollback", self.name, str(revision))

    def uninstall(self) -> str:
        """``helm uninstall``, which says what it keeps."""
        return self._run("uninstall", self.name)

    def revisions(self) -> list[str]:
        """Status of each revision, oldest first."""
        listed: list[Object] = json.loads(self._run("history", self.name, "--output=json"))
        return [str(each["status"]) for each in listed]

    def manifest(self) -> list[Object]:
        """What the newest revision consists of."""
        return [each for each in yaml.safe_load_all(self._run("get", "manifest", self.name)) if each]

    def start_operator(self, peerdb_url: str) -> RunningOperator:
        """The operator as the Deployment in the cluster describes it, its account's token included.

        Only PeerDB's address and the ports are those of the test.
        """
        found = json.loads(self.kubectl("get", "deployment", f"{self.name}-peerdb-operator", "--output=json"))
        spec = found["spec"]["template"]["spec"]
        told = {each["name"]: each["value"] for each in spec["containers"][0]["env"] if "value" in each}
        told = {name: value for name, value in told.items() if name not in {"PEERDB_URL", *LISTENING, *POD_FILES}}
        kubeconfig = self.cluster.kubeconfig_of_service_account(self.namespace, spec["serviceAccountName"])
        return RunningOperator.start(Launch(kubeconfig=kubeconfig, peerdb_url=peerdb_url, environ=told))

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl prints in this namespace."""
        return self.cluster.kubectl(f"--namespace={self.namespace}", *arguments, input=stdin).stdout

    def _run(self, *arguments: str, stdin: str = "") -> str:
        where = (f"--kubeconfig={self.cluster.kubeconfig}", f"--namespace={self.namespace}")
        return self.helm.run(*arguments, *where, stdin=stdin)


def definition(cluster: ControlPlane) -> Object | None:
    """The CustomResourceDefinition of Mirror as the cluster has it."""
    found = cluster.kubectl("get", "crd", DEFINITION, "--output=json", "--ignore-not-found").stdout
    return dict(json.loads(found)) if found else None


def remove_definition(cluster: ControlPlane) -> None:
    """Let go of every Mirror and take the definition away."""
    if definition(cluster) is None:
        return
    every: list[Object] = json.loads(cluster.kubectl("get", "mirrors", "-A", "--output=json").stdout)["items"]
    for each in (found["metadata"] for found in every):
        free = ("--type=merge", '--patch={"metadata":{"finalizers":null}}')
        cluster.kubectl("patch", "mirrors", each["name"], f"--namespace={each['namespace']}", *free)
    cluster.kubectl("delete", "crd", DEFINITION, "--wait=false")
    eventually(lambda: definition(cluster) is None, "the definition is gone")


def spec_properties(found: Object | None) -> set[str]:
    """Names of the fields that a definition knows in a Mirror's spec."""
    assert found is not None
    schema = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return set(schema["properties"]["spec"]["properties"])


def an_older_chart(folder: Path, forget: Callable[[Object], Any], version: str = "0.0.9") -> Path:
    """A copy of the chart with an earlier version and a definition from which something is missing."""
    copied = Path(shutil.copytree(CHART, folder / f"older-{version}"))
    meta = yaml.safe_load((copied / "Chart.yaml").read_text())
    (copied / "Chart.yaml").write_text(yaml.safe_dump({**meta, "version": version, "appVersion": version}))
    crd = copied / "files" / "crds" / CRD.name
    content = yaml.safe_load(crd.read_text())
    forget(content["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"])
    crd.write_text(yaml.safe_dump(content, sort_keys=False))
    return copied


def a_mirror(name: str, namespace: str, **spec: object) -> Object:
    """A Mirror as a user writes it."""
    return {
        "apiVersion": constants.API_VERSION,
        "kind": constants.KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }

"""The chart in a real cluster: install, upgrade over an older definition, rollback, uninstall, and what survives."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from peerdb_operator.api import constants
from tests.chart.helm_cli import MONITORING, Helm, HelmError, Object, one
from tests.chart.monitoring import definitions
from tests.chart.release import (
    DEFINITION,
    Release,
    a_mirror,
    an_older_chart,
    definition,
    remove_definition,
    spec_properties,
)
from tests.chart.samples import sheet_values
from tests.e2e.seeing import all_commands, eventually
from tests.e2e.world import QUICK
from tests.harness.chart.__main__ import CHART, CRD
from tests.harness.controlplane.errors import ControlPlaneError
from tests.harness.controlplane.launch import ControlPlane
from tests.harness.identity import make_namespace
from tests.harness.peerdb.process import SimulatorProcess

pytestmark = pytest.mark.e2e

HOME, DATA, RESTRICTED = "chart-home", "chart-data", "chart-restricted"
LEVEL = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
VALUES: Object = {
    "peerdb": {"url": "http://flow-api:8113"},
    "watchNamespaces": [DATA],
    "settings": {"tickSeconds": 0.5},
}
PATIENCE = "--timeout=150s"

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def cluster(our_control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """The API server with the namespaces of this file; it is left without a definition, as a new one is."""
    for name in (HOME, DATA, "a", "b"):
        make_namespace(our_control_plane, name)
    make_namespace(our_control_plane, RESTRICTED, LEVEL)
    yield our_control_plane
    remove_definition(our_control_plane)


@pytest.fixture
def release(chart_helm: Helm, cluster: ControlPlane) -> Iterator[Release]:
    """A release that is not installed yet, in a cluster that does not know Mirrors."""
    remove_definition(cluster)
    made = Release(chart_helm, cluster, f"r{next(_NUMBERS)}", HOME)
    yield made
    made.helm.run(
        "uninstall", made.name, "--ignore-not-found", f"--kubeconfig={cluster.kubeconfig}", f"--namespace={HOME}"
    )


@pytest.fixture
def sim() -> Iterator[SimulatorProcess]:
    """A PeerDB with one mirror that nobody owns."""
    with SimulatorProcess.start(knobs=dict(QUICK)) as started:
        started.put_mirror("orders_cdc", tags={constants.OWNER_TAG: constants.RELEASED}, tables=[])
        yield started


def applied(release: Release, wish: Object) -> bool:
    """Whether the API server takes an object; it knows a new kind or field a moment after the definition has it."""
    arguments = ("apply", "--server-side", "-f", "-")
    return release.cluster.kubectl(*arguments, input=json.dumps(wish), check=False).returncode == 0


def mirror_of(release: Release, name: str) -> Object:
    """A Mirror as the cluster has it."""
    found: Object = json.loads(release.kubectl("get", "mirror", name, f"--namespace={DATA}", "--output=json"))
    return found


def test_an_installation_brings_all_that_it_renders_and_takes_all_but_the_definition_away(release: Release) -> None:
    release.install(VALUES)
    installed = release.manifest()
    there = [(each["kind"], each["metadata"]["name"], each["metadata"].get("namespace", HOME)) for each in installed]

    assert release.revisions() == ["deployed"]
    for kind, name, namespace in there:
        release.kubectl("get", kind, name, f"--namespace={namespace}")

    assert DEFINITION in release.uninstall()
    left = [
        kind
        for kind, name, namespace in there
        if release.kubectl("get", kind, name, f"--namespace={namespace}", "--ignore-not-found", "--output=name")
    ]
    assert left == ["CustomResourceDefinition"]


def test_the_definition_is_upgraded_with_the_chart_and_rolled_back_with_it(release: Release, tmp_path: Path) -> None:
    older = an_older_chart(tmp_path, lambda properties: properties.pop("idleTimeoutSeconds"))
    older_mirror = a_mirror("older", DATA, state="Paused")
    newer = a_mirror("newer", DATA, state="Paused", idleTimeoutSeconds=30)

    release.install(VALUES, chart=older)
    release.cluster.wait_established(DEFINITION)
    eventually(lambda: applied(release, older_mirror), "a Mirror of the older kind")
    assert "idleTimeoutSeconds" not in spec_properties(definition(release.cluster))
    assert not applied(release, newer)

    release.upgrade(VALUES)
    assert "idleTimeoutSeconds" in spec_properties(definition(release.cluster))
    eventually(lambda: applied(release, newer), "a Mirror with the new field")
    assert mirror_of(release, "newer")["spec"]["idleTimeoutSeconds"] == 30

    release.rollback(1)
    assert "idleTimeoutSeconds" not in spec_properties(definition(release.cluster))
    assert release.revisions() == ["superseded", "superseded", "deployed"]
    assert {mirror_of(release, name)["spec"]["state"] for name in ("older", "newer")} == {"Paused"}


def test_uninstalling_drops_no_mirror_and_the_next_installation_goes_on(
    release: Release, sim: SimulatorProcess
) -> None:
    release.install(VALUES)
    release.cluster.wait_established(DEFINITION)
    ready = ("wait", "--for=condition=Ready", "mirror/orders-cdc", f"--namespace={DATA}", PATIENCE)
    with release.start_operator(sim.gateway_url) as operator:
        assert applied(release, a_mirror("orders-cdc", DATA, state="Running"))
        release.kubectl(*ready)
        before = mirror_of(release, "orders-cdc")
        release.uninstall()
        operator.stop()

    after = mirror_of(release, "orders-cdc")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["finalizers"] == [constants.FINALIZER]
    assert "deletionTimestamp" not in after["metadata"]
    assert all_commands(sim) == {}

    release.install(VALUES)
    with release.start_operator(sim.gateway_url):
        release.kubectl(
            "annotate", "mirror", "orders-cdc", f"--namespace={DATA}", f"{constants.ANNOTATION_REQUESTED_AT}=1"
        )
        release.kubectl(*ready)
        assert all_commands(sim) == {}
        release.kubectl("delete", "mirror", "orders-cdc", f"--namespace={DATA}", PATIENCE)

    assert [command.state for command in all_commands(sim)["orders_cdc"]] == ["TERMINATING"]
    assert definition(release.cluster) is not None


def test_without_keep_the_definition_goes_with_the_release(release: Release) -> None:
    release.install({**VALUES, "crds": {"keep": False}})
    assert definition(release.cluster) is not None

    release.uninstall()

    eventually(lambda: definition(release.cluster) is None, "the definition is gone")


def test_without_keep_the_definition_waits_for_mirrors_that_an_operator_took_over_unless_it_goes_first(
    release: Release, sim: SimulatorProcess
) -> None:
    release.install({**VALUES, "crds": {"keep": False}})
    release.cluster.wait_established(DEFINITION)
    ready = ("wait", "--for=condition=Ready", "mirror/orders-cdc", f"--namespace={DATA}", PATIENCE)
    with release.start_operator(sim.gateway_url) as operator:
        assert applied(release, a_mirror("orders-cdc", DATA, state="Running"))
        release.kubectl(*ready)
        operator.stop()
    release.uninstall()
    waiting = definition(release.cluster)
    assert waiting is not None
    assert "deletionTimestamp" in waiting["metadata"]
    assert mirror_of(release, "orders-cdc")["metadata"]["finalizers"] == [constants.FINALIZER]
    remove_definition(release.cluster)

    release.install({**VALUES, "crds": {"keep": False}})
    release.cluster.wait_established(DEFINITION)
    with release.start_operator(sim.gateway_url):
        assert applied(release, a_mirror("orders-cdc", DATA, state="Running"))
        release.kubectl(*ready)
        release.kubectl("delete", "crd", DEFINITION, PATIENCE)
        assert definition(release.cluster) is None
        release.uninstall()
    assert all_commands(sim) == {}


def test_a_definition_that_was_applied_by_hand_is_taken_over_only_when_asked(release: Release, tmp_path: Path) -> None:
    older = an_older_chart(tmp_path, lambda properties: properties.pop("idleTimeoutSeconds"))
    release.cluster.kubectl("apply", "--server-side", "-f", str(older / "files" / "crds" / CRD.name))

    with pytest.raises(HelmError, match="CustomResourceDefinition") as refusal:
        release.install(VALUES)
    assert DEFINITION in str(refusal.value)

    with pytest.raises(HelmError, match=r'conflict with "kubectl": \.spec\.versions'):
        release.install(VALUES, "--take-ownership")
    release.uninstall()

    release.install(VALUES, "--take-ownership", "--force-conflicts")
    assert "idleTimeoutSeconds" in spec_properties(definition(release.cluster))


def test_a_second_release_lives_beside_the_first_when_only_one_has_the_definition(
    release: Release, chart_helm: Helm
) -> None:
    release.install(VALUES)
    second = Release(chart_helm, release.cluster, release.name, "a")

    with pytest.raises(HelmError, match=DEFINITION):
        second.install(VALUES)
    second.install({**VALUES, "watchNamespaces": ["a"], "crds": {"enabled": False}})
    second.uninstall()

    assert definition(release.cluster) is not None
    assert release.revisions() == ["deployed"]


@pytest.fixture(scope="module")
def monitored(cluster: ControlPlane) -> ControlPlane:
    """A cluster with the kinds of the Prometheus operator."""
    kinds = definitions()
    cluster.kubectl(
        "apply", "--server-side", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": kinds})
    )
    for kind in kinds:
        cluster.wait_established(kind["metadata"]["name"])
    return cluster


@pytest.mark.parametrize("sheet", ["main", "other", "pods"])
def test_the_api_server_takes_all_of_it_in_a_restricted_namespace_without_a_warning(
    chart_helm: Helm, monitored: ControlPlane, sheet: str
) -> None:
    arguments = ("template", "rel", str(CHART), f"--namespace={RESTRICTED}", "--values=-", MONITORING)
    manifests = chart_helm.run(*arguments, stdin=json.dumps(sheet_values(sheet)))
    dry = ("apply", "--dry-run=server", "--validate=strict", "--server-side", "--force-conflicts", "-f", "-")
    done = monitored.kubectl(*dry, input=manifests)

    assert "Deployment" in manifests
    assert done.stderr == ""


def a_pod(spec: Object) -> Object:
    """A pod of its own with this spec."""
    metadata = {"name": "operator", "namespace": RESTRICTED}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def test_a_pod_of_the_deployment_is_let_in_where_only_restricted_ones_are(
    chart_helm: Helm, monitored: ControlPlane
) -> None:
    template = one(chart_helm.template(), "Deployment")["spec"]["template"]
    dry = ("create", "--dry-run=server", "--validate=strict", "-f", "-")

    assert monitored.kubectl(*dry, input=json.dumps(a_pod(template["spec"]))).stderr == ""
    careless = {**template["spec"], "securityContext": {}}
    with pytest.raises(ControlPlaneError, match="violates PodSecurity"):
        monitored.kubectl(*dry, input=json.dumps(a_pod(careless)))

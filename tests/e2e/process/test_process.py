"""The process on a real API server, with a controller that only records."""

import pytest

from tests.e2e.process.conftest import CRD, Start
from tests.harness.controlplane.launch import ControlPlane
from tests.harness.identity import admit
from tests.harness.identity import apply as apply_manifests
from tests.harness.identity_on_file import account_manifests
from tests.harness.recording_operator import PASS_SECONDS

pytestmark = pytest.mark.e2e


def a_mirror(name: str, namespace: str = "default", *, state: str = "Running", seconds: float = 0) -> str:
    return f"""
apiVersion: peerdb.io/v1alpha1
kind: Mirror
metadata:
  name: {name}
  namespace: {namespace}
  annotations: {{{PASS_SECONDS}: "{seconds}"}}
spec: {{state: {state}}}
---
"""


def apply(cluster: ControlPlane, *mirrors: str) -> None:
    cluster.kubectl("apply", "-f", "-", input="".join(mirrors))


def test_creation_edit_and_deletion_arrive_and_nothing_is_written_when_the_operator_watches(
    cluster: ControlPlane, start: Start
) -> None:
    mark = cluster.audit_mark()
    operator = start()
    operator.poll_health("/readyz", 200)
    apply(cluster, a_mirror("orders"))
    operator.wait_for("passed", name="orders")
    apply(cluster, a_mirror("orders", state="Paused"))
    operator.wait_for("pass", name="orders", generation=2)
    cluster.kubectl("delete", "mirror", "orders")
    operator.wait_for("observed", type="DELETED", name="orders")
    assert operator.terminate() == 0
    ours = [event for event in cluster.audit_events(mark) if event.user_agent.startswith("peerdb-operator/")]
    assert "watch" in {event.verb for event in ours}
    assert [event for event in ours if event.is_write] == []
    kopfs = [event for event in cluster.audit_events(mark) if event.user_agent.startswith("kopf")]
    assert kopfs == []


def test_no_pass_begins_before_every_mirror_is_known_when_the_operator_starts(
    cluster: ControlPlane, start: Start
) -> None:
    cluster.kubectl("create", "namespace", "other", check=False)
    apply(cluster, *(a_mirror(f"m{number}", namespace) for number in range(20) for namespace in ("default", "other")))
    operator = start(namespaces=["default", "other"])
    operator.wait_for("passed")
    assert operator.terminate() == 0
    kinds = [line["what"] for line in operator.lines]
    first_pass = kinds.index("pass")
    assert kinds.index("listed") < first_pass
    observed = {(line["namespace"], line["name"]) for line in operator.lines[:first_pass] if line["what"] == "observed"}
    assert len(observed) == 40


def test_other_namespaces_are_not_seen_when_namespaces_are_set(cluster: ControlPlane, start: Start) -> None:
    cluster.kubectl("create", "namespace", "elsewhere", check=False)
    apply(cluster, a_mirror("before", "elsewhere"))
    operator = start(namespaces=["default"])
    operator.poll_health("/readyz", 200)
    apply(cluster, a_mirror("after", "elsewhere"))
    apply(cluster, a_mirror("orders"))
    operator.wait_for("passed", name="orders")
    assert operator.terminate() == 0
    assert {line["namespace"] for line in operator.lines if line["what"] == "observed"} == {"default"}


def test_the_process_ends_with_0_and_lets_a_pass_end_when_it_is_told_to_stop(
    cluster: ControlPlane, start: Start
) -> None:
    apply(cluster, a_mirror("short", seconds=1.5))
    operator = start()
    operator.wait_for("pass", name="short")
    assert operator.terminate() == 0
    assert [line["what"] for line in operator.lines if line.get("name") == "short"][-1] == "passed"


def test_the_process_ends_with_1_and_a_sentence_when_the_crd_was_never_installed(
    our_control_plane: ControlPlane, start: Start
) -> None:
    our_control_plane.kubectl("delete", "-f", str(CRD), "--ignore-not-found")
    operator = start()
    assert operator.exit_code() == 1
    assert "install the CustomResourceDefinition first" in operator.log.splitlines()[-1]
    assert "Traceback" not in operator.log


def test_the_operator_waits_and_then_works_when_the_api_server_is_away_at_its_start(
    cluster: ControlPlane, start: Start
) -> None:
    apply(cluster, a_mirror("orders"))
    cluster.stop_apiserver()
    try:
        operator, other = start(), start()
        assert "not been listed" in operator.poll_health("/readyz", 503)
        assert operator.health("/healthz")[0] == 200
        other.poll_health("/readyz", 503)
        assert other.terminate() == 0
        assert other.lines == []
    finally:
        cluster.start_apiserver()
    operator.wait_for("passed", name="orders")
    assert operator.terminate() == 0


def test_the_fleet_is_asked_only_when_there_is_a_mirror(cluster: ControlPlane, start: Start) -> None:
    operator = start("--tick-seconds", "0.2")
    operator.poll_health("/readyz", 200)
    assert not [line for line in operator.lines if line["what"] == "fleet"]
    apply(cluster, a_mirror("orders"))
    operator.wait_for("fleet", error="PeerDBUnavailable", mirrors=None)
    assert operator.terminate() == 0
    kinds = [line["what"] for line in operator.lines]
    assert kinds.index("observed") < kinds.index("fleet")


def test_the_operator_waits_for_its_rights_and_then_watches_when_it_is_a_service_account(
    cluster: ControlPlane, start: Start
) -> None:
    release = account_manifests("late", "default", cluster_id=False)
    apply(cluster, a_mirror("orders"))
    _, kubeconfig = admit(cluster, [each for each in release if each["kind"] == "ServiceAccount"], "late")
    operator = start(namespaces=["default"], kubeconfig=kubeconfig)
    operator.poll_health("/readyz", 503)
    apply_manifests(cluster, release)
    operator.wait_for("passed", name="orders")
    operator.poll_health("/readyz", 200)
    assert "Waiting for the cluster's uid" in operator.log
    assert operator.terminate() == 0

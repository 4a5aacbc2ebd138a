"""The real control plane: what the rest of the test suite relies on."""

import http.client
import json
import os
import re
import ssl
import subprocess
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.harness.controlplane.audit import KEPT_VARIABLE, read_events
from tests.harness.controlplane.launch import ControlPlane

pytestmark = pytest.mark.e2e


@pytest.fixture
def namespace(our_control_plane: ControlPlane) -> str:
    """A fresh namespace; it goes with the control plane."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    our_control_plane.kubectl("create", "namespace", name)
    return name


def without_kubeconfig() -> dict[str, str]:
    """Our environment for a control plane of its own, whatever KUBECONFIG says."""
    return {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}


def listening_addresses(pid: int) -> set[str]:
    """Local addresses on which a process listens for TCP connections, without ports."""
    if Path("/proc/net/tcp").exists():
        return {address for address, inode in linux_listeners() if inode in socket_inodes(pid)}
    asked = ["lsof", "-nP", "-a", "-iTCP", "-sTCP:LISTEN", "-Fn", f"-p{pid}"]
    lines = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    return {line[1:].rpartition(":")[0] for line in lines if line.startswith("n")}


def linux_listeners() -> list[tuple[str, str]]:
    """Address (as the kernel writes it) and inode of every listening TCP socket."""
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path("/proc/net", name).read_text("utf-8").splitlines()]
    return [(row[1].partition(":")[0], row[9]) for row in rows if row[3] == "0A"]


def socket_inodes(pid: int) -> set[str]:
    """Inodes of the sockets a process has open."""
    links = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    return {found[1] for link in links if (found := re.fullmatch(r"socket:\[(\d+)\]", link))}


def status_of(control_plane: ControlPlane, path: str, token: str) -> int:
    """Status of a GET with a bearer token."""
    place = urlsplit(control_plane.url)
    trust = ssl.create_default_context(cafile=str(control_plane.ca_file))
    connection = http.client.HTTPSConnection(place.hostname or "", place.port, timeout=30, context=trust)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_the_api_answers_kubectl_when_the_control_plane_is_ready(our_control_plane: ControlPlane) -> None:
    names = our_control_plane.kubectl("get", "namespaces", "--output=name").stdout.split()

    assert "namespace/default" in names
    version = json.loads(our_control_plane.kubectl("version", "--output=json").stdout)
    assert version["serverVersion"]["gitVersion"] == version["clientVersion"]["gitVersion"]
    assert re.fullmatch(r"v1\.\d+\.\d+", version["serverVersion"]["gitVersion"])


def test_servers_listen_on_the_loopback_address_alone(our_control_plane: ControlPlane) -> None:
    loopback = {"0100007F", "127.0.0.1"}

    for program in ("etcd", "kube-apiserver"):
        assert listening_addresses(our_control_plane.pids[program]) <= loopback
        assert listening_addresses(our_control_plane.pids[program])


def test_a_service_account_may_do_only_what_it_was_granted(our_control_plane: ControlPlane, namespace: str) -> None:
    kubectl = our_control_plane.kubectl
    kubectl("create", "serviceaccount", "reader", f"--namespace={namespace}")
    reader = our_control_plane.kubeconfig_of_service_account(namespace, "reader")
    get = ("get", "configmaps", f"--namespace={namespace}")

    denied = kubectl(*get, as_kubeconfig=reader, check=False)
    assert denied.returncode == 1
    assert f'User "system:serviceaccount:{namespace}:reader" cannot list resource "configmaps"' in denied.stderr

    kubectl("create", "role", "reads", "--verb=list", "--resource=configmaps", f"--namespace={namespace}")
    grant = ("create", "rolebinding", "reads", "--role=reads", f"--serviceaccount={namespace}:reader")
    kubectl(*grant, f"--namespace={namespace}")
    assert kubectl(*get, as_kubeconfig=reader).returncode == 0


def test_requests_are_counted_by_agent_and_verb_when_the_audit_log_is_on(
    our_control_plane: ControlPlane, namespace: str
) -> None:
    mark = our_control_plane.audit_mark()
    create = ("create", "configmap", "counted", f"--namespace={namespace}")
    our_control_plane.kubectl(*create)
    our_control_plane.kubectl(*create, check=False)

    writes = [event for event in our_control_plane.audit_events(mark) if event.is_write and event.user == "admin"]

    assert [(event.verb, event.resource, event.namespace, event.name, event.code) for event in writes] == [
        ("create", "configmaps", namespace, "counted", 201),
        ("create", "configmaps", namespace, "counted", 409),
    ]
    assert all(event.user_agent.startswith("kubectl/v1.") for event in writes)


def test_clients_are_refused_during_an_outage_and_find_their_data_after_it(
    our_control_plane: ControlPlane, namespace: str
) -> None:
    before = our_control_plane.url
    our_control_plane.stop_apiserver(grace=0)
    try:
        with pytest.raises(ConnectionRefusedError):
            status_of(our_control_plane, "/readyz", our_control_plane.admin_token)
        down = our_control_plane.kubectl("get", "namespaces", check=False)
    finally:
        our_control_plane.start_apiserver()

    assert down.returncode == 1
    assert our_control_plane.url == before
    assert our_control_plane.kubectl("get", "namespace", namespace).returncode == 0


def test_a_control_plane_leaves_its_audit_log_when_a_folder_for_it_is_named(tmp_path: Path) -> None:
    with ControlPlane.start(environ={**without_kubeconfig(), KEPT_VARIABLE: str(tmp_path)}) as control_plane:
        control_plane.kubectl("create", "namespace", "remembered")
        directory = control_plane.directory

    events = read_events(tmp_path / directory.name / "audit.log")
    assert ("create", "remembered") in {(event.verb, event.name) for event in events if event.user == "admin"}
    assert not directory.exists()


@pytest.mark.controllermanager
def test_a_namespace_is_emptied_and_gone_when_the_controllers_run(controllers: ControlPlane, namespace: str) -> None:
    kubectl = controllers.kubectl
    kubectl("create", "configmap", "content", f"--namespace={namespace}")

    kubectl("delete", "namespace", namespace, "--timeout=90s")

    assert kubectl("get", "namespace", namespace, check=False).returncode == 1


@pytest.mark.controllermanager
def test_dependents_go_with_their_owner_when_the_controllers_run(controllers: ControlPlane, namespace: str) -> None:
    kubectl = controllers.kubectl
    kubectl("create", "configmap", "owner", f"--namespace={namespace}")
    owner = json.loads(kubectl("get", "configmap", "owner", f"--namespace={namespace}", "--output=json").stdout)
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    dependent = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "dependent", "namespace": namespace, "ownerReferences": [reference]},
    }
    kubectl("create", "--filename=-", input=json.dumps(dependent))

    kubectl("delete", "configmap", "owner", f"--namespace={namespace}")

    gone = ("wait", "--for=delete", "configmap/dependent", f"--namespace={namespace}", "--timeout=90s")
    assert kubectl(*gone).returncode == 0

"""The Kubernetes client on a real API server: what a fake cannot promise."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable

import pytest

from peerdb_operator.api.constants import FINALIZER
from peerdb_operator.errors import KubeConflict, KubeForbidden, KubeNotFound
from peerdb_operator.kube.client import KubeClient
from peerdb_operator.kube.credentials import KubeAuth
from tests.e2e.process.test_process import a_mirror, apply
from tests.harness.controlplane.launch import ControlPlane
from tests.harness.identity import Identities

pytestmark = pytest.mark.e2e


@pytest.fixture
def namespace(cluster: ControlPlane) -> str:
    name = f"client-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    return name


def ask(identities: Identities, questions: Callable[[KubeClient], Awaitable[None]], *namespaces: str) -> None:
    """Put them as the chart's ServiceAccount."""

    async def main() -> None:
        auth = await KubeAuth.load(str(identities.identity(namespaces).kubeconfig))
        client = await KubeClient.connect(auth, namespaces, connections=2)
        try:
            await questions(client)
        finally:
            await client.close()

    asyncio.run(main())


def test_status_and_finalizer_are_written_with_a_version_check_and_without_an_edit(
    cluster: ControlPlane, identities: Identities, namespace: str
) -> None:
    apply(cluster, a_mirror("orders", namespace))

    async def questions(client: KubeClient) -> None:
        first = await client.get_mirror(namespace, "orders")
        version = first["metadata"]["resourceVersion"]
        finalizers = {"metadata": {"finalizers": [FINALIZER], "resourceVersion": version}}
        second = await client.patch_mirror(namespace, "orders", finalizers)
        assert second["metadata"]["finalizers"] == [FINALIZER]
        for stale in (
            client.patch_mirror(namespace, "orders", finalizers),
            client.patch_status(
                namespace, "orders", {"metadata": {"resourceVersion": version}, "status": {"state": "x"}}
            ),
        ):
            with pytest.raises(KubeConflict):
                await stale
        third = await client.patch_status(namespace, "orders", {"status": {"state": "Running"}})
        assert third["status"]["state"] == "Running"
        assert third["metadata"]["generation"] == first["metadata"]["generation"]
        managers = {field["manager"] for field in third["metadata"]["managedFields"]}
        assert "peerdb-operator" in managers
        ((uid, where, name, generation, newest, deleted),) = await client.list_mirror_versions()
        assert (uid, where, name) == (first["metadata"]["uid"], namespace, "orders")
        assert (generation, newest, deleted) == (1, third["metadata"]["resourceVersion"], None)
        await client.patch_mirror(namespace, "orders", {"metadata": {"finalizers": []}})
        with pytest.raises(KubeNotFound):
            await client.get_mirror(namespace, "no-such")

    ask(identities, questions, namespace)


def test_the_kind_and_the_crd_are_as_they_are(cluster: ControlPlane, identities: Identities) -> None:
    async def questions(client: KubeClient) -> None:
        assert await client.kind_is_served()
        assert not await client.crd_is_terminating()
        assert len(await client.cluster_uid()) == 36
        cluster.kubectl("delete", "crd", "mirrors.peerdb.io")
        assert await client.crd_is_terminating()
        with pytest.raises(KubeNotFound):
            await client.list_mirrors()

    ask(identities, questions)


def test_an_event_is_shown_and_then_refused_when_its_namespace_terminates(
    cluster: ControlPlane, identities: Identities, namespace: str
) -> None:
    apply(cluster, a_mirror("orders", namespace))

    async def questions(client: KubeClient) -> None:
        body = await client.get_mirror(namespace, "orders")
        regarding = {
            "apiVersion": body["apiVersion"],
            "kind": body["kind"],
            "namespace": namespace,
            "name": "orders",
            "uid": body["metadata"]["uid"],
        }
        await client.emit_event(regarding, "Warning", "DropHeld", "Five mirrors were dropped", "Drop")
        shown = cluster.kubectl("events", f"--namespace={namespace}", "--for=mirror/orders").stdout
        assert "DropHeld" in shown
        assert "Five mirrors were dropped" in shown
        assert not await client.namespace_is_terminating(namespace)
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")
        assert await client.namespace_is_terminating(namespace)
        assert await client.namespace_is_terminating("no-such-namespace")
        with pytest.raises(KubeForbidden):
            await client.emit_event(regarding, "Normal", "Running", "It runs", "Observe")

    ask(identities, questions)

"""The Kubernetes client against a small API server on loopback."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

import pytest
from aiohttp import web

from peerdb_operator import __version__
from peerdb_operator.errors import KubeConflict, KubeError, KubeForbidden, KubeNotFound, KubeUnavailable
from peerdb_operator.kube import client as client_module
from peerdb_operator.kube.client import KubeClient
from peerdb_operator.kube.credentials import KubeAuth
from peerdb_operator.kube.kubeconfig import KubeAccess
from tests.harness.fakekube import FakeKube

Body = Callable[[FakeKube, KubeClient], Awaitable[None]]


def an_access(server: str, authorization: str | None = None) -> KubeAccess:
    return KubeAccess(
        server=server,
        authorization=authorization,
    )


def play(body: Body, namespaces: Sequence[str] = ()) -> FakeKube:
    fake = FakeKube()

    async def main() -> None:
        runner = await fake.start()
        access = an_access(fake.address)

        async def read() -> KubeAccess:
            return access

        client = await KubeClient.connect(KubeAuth(read, access), namespaces, connections=5)
        try:
            await body(fake, client)
        finally:
            await client.close()
            await runner.cleanup()

    asyncio.run(main())
    return fake


def test_a_mirror_is_returned_whole_when_it_exists() -> None:
    async def body(fake: FakeKube, client: KubeClient) -> None:
        stored = fake.add("data", "orders")
        assert await client.get_mirror("data", "orders") == stored

    asked = play(body).asked[0]
    assert asked.headers["User-Agent"] == f"peerdb-operator/{__version__}"


def test_the_new_object_comes_back_and_the_field_manager_is_named_when_finalizers_are_patched() -> None:
    async def body(fake: FakeKube, client: KubeClient) -> None:
        before = fake.add("data", "orders")
        version = before["metadata"]["resourceVersion"]
        new = await client.patch_mirror(
            "data", "orders", {"metadata": {"finalizers": ["a/b"], "resourceVersion": version}}
        )
        assert new["metadata"]["finalizers"] == ["a/b"]
        assert new["metadata"]["resourceVersion"] != version

    assert play(body).asked[-1].query == {"fieldManager": "peerdb-operator"}


def test_status_alone_changes_when_the_status_is_patched() -> None:
    async def body(fake: FakeKube, client: KubeClient) -> None:
        fake.add("data", "orders")
        new = await client.patch_status("data", "orders", {"status": {"state": "Paused"}, "spec": {"state": "x"}})
        assert new["status"] == {"state": "Paused"}
        assert new["spec"] == {"state": "Running"}

    assert play(body).asked[-1].path.endswith("/namespaces/data/mirrors/orders/status")


@pytest.mark.parametrize("method", ["patch_mirror", "patch_status"])
def test_conflict_is_raised_when_the_version_is_stale(method: str) -> None:
    async def body(fake: FakeKube, client: KubeClient) -> None:
        fake.add("data", "orders")
        with pytest.raises(KubeConflict):
            await getattr(client, method)("data", "orders", {"metadata": {"resourceVersion": "1"}})

    play(body)


def test_every_page_of_every_namespace_is_read_when_mirrors_are_listed() -> None:
    async def body(fake: FakeKube, client: KubeClient) -> None:
        for number in range(client_module.PAGE + 3):
            fake.add("a", f"m{number:04}")
        fake.add("b", "one")
        fake.add("hidden", "two")
        pages = [page async for page in client.mirror_pages()]
        assert [len(page) for page in pages] == [client_module.PAGE, 3, 1]
        names = [item["metadata"]["name"] for item in await client.list_mirrors()]
        assert len(set(names)) == client_module.PAGE + 4
        assert "two" not in names

    play(body, ["a", "b"])


def test_one_object_s_metadata_is_asked_for_when_the_question_is_whether_the_kind_exists() -> None:
    async def body(fake: FakeKube, client: KubeClient) -> None:
        fake.add("a", "one")
        fake.add("a", "two")
        assert await client.kind_exists()
        fake.no_such_kind = True
        assert not await client.kind_exists()

    fake = play(body, ["a", "b"])
    assert [asked.query for asked in fake.asked] == [{"limit": "1"}] * 2
    assert all(
        asked.headers["Accept"].startswith("application/json;as=PartialObjectMetadataList;") for asked in fake.asked
    )


def test_metadata_alone_is_asked_for_when_versions_are_listed() -> None:
    async def body(fake: FakeKube, client: KubeClient) -> None:
        fake.add("a", "one", resourceVersion="7", generation=3)
        fake.add("b", "two", resourceVersion="9", deletionTimestamp="2026-11-23T00:00:00Z")
        assert await client.list_mirror_versions() == [
            ("uid-a-one", "a", "one", 3, "7", None),
            ("uid-b-two", "b", "two", 1, "9", "2026-11-23T00:00:00Z"),
        ]

    assert play(body).asked[-1].headers["Accept"].startswith("application/json;as=PartialObjectMetadataList;")


def test_the_list_fails_as_a_whole_when_a_page_token_expires() -> None:
    async def body(fake: FakeKube, client: KubeClient) -> None:
        for number in range(client_module.PAGE + 1):
            fake.add("a", f"m{number}")
        fake.expire_pages = True
        with pytest.raises(KubeUnavailable, match="410"):
            await client.list_mirrors()

    play(body)


GOING: dict[str, object] = {"metadata": {"deletionTimestamp": "2026-11-23T00:00:00Z"}}


@pytest.mark.parametrize("namespace", [None, GOING])
def test_the_other_namespaces_are_listed_when_one_has_gone_or_goes_with_the_role_in_it(
    namespace: dict[str, object] | None, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(fake: FakeKube, client: KubeClient) -> None:
        fake.add("data", "one")
        fake.add("other", "two")
        fake.closed.add("data")
        if namespace is not None:
            fake.others[NAMESPACE] = namespace
        assert [item["metadata"]["name"] for item in await client.list_mirrors()] == ["two"]

    play(body, ["data", "other"])
    assert "Going on without the namespace data" in caplog.text


def test_the_list_is_refused_when_the_role_is_missing_in_a_namespace_that_stays() -> None:
    async def body(fake: FakeKube, client: KubeClient) -> None:
        fake.add("other", "two")
        fake.closed.add("data")
        fake.others[NAMESPACE] = {"metadata": {}}
        with pytest.raises(KubeForbidden, match="no rights in data"):
            await client.list_mirrors()

    play(body, ["data", "other"])


def test_versions_are_listed_when_a_namespace_with_the_role_in_it_is_gone_but_not_while_it_goes() -> None:
    async def body(fake: FakeKube, client: KubeClient) -> None:
        fake.add("other", "two")
        fake.closed.add("data")
        assert [version[2] for version in await client.list_mirror_versions()] == ["two"]
        fake.others[NAMESPACE] = GOING  # what is left in it is still ours
        with pytest.raises(KubeForbidden, match="no rights in data"):
            await client.list_mirror_versions()

    play(body, ["data", "other"])


def test_the_list_is_refused_when_all_namespaces_are_watched_and_the_role_is_missing() -> None:
    async def body(fake: FakeKube, client: KubeClient) -> None:
        fake.refusal = (403, "no role")
        with pytest.raises(KubeForbidden, match="no role"):
            await client.list_mirrors()
        with pytest.raises(KubeForbidden, match="no role"):
            await client.list_mirror_versions()

    play(body)


NAMESPACE = "/api/v1/namespaces/data"
CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/mirrors.peerdb.io"


@pytest.mark.parametrize(
    ("content", "terminating"),
    [
        (None, True),
        ({"metadata": {}}, False),
        ({"metadata": {}, "status": {"phase": "Active"}}, False),
        ({"metadata": {"deletionTimestamp": "2026-11-23T00:00:00Z"}}, True),
        ({"metadata": {}, "status": {"phase": "Terminating"}}, True),
    ],
)
def test_a_namespace_and_a_crd_count_as_terminating_when_they_are_or_do_not_exist(
    content: dict[str, object] | None, terminating: bool
) -> None:
    async def body(fake: FakeKube, client: KubeClient) -> None:
        if content is not None:
            fake.others = {NAMESPACE: content, CRD: content}
        assert await client.namespace_is_terminating("data") is terminating
        assert await client.crd_is_terminating() is terminating

    play(body)


def test_terminating_is_not_answered_when_the_read_fails() -> None:
    async def body(fake: FakeKube, client: KubeClient) -> None:
        fake.refusal = (503, "shutting down")
        with pytest.raises(KubeUnavailable):
            await client.namespace_is_terminating("data")
        with pytest.raises(KubeUnavailable):
            await client.crd_is_terminating()

    play(body)


def test_the_uid_of_kube_system_is_the_cluster_s() -> None:
    async def body(fake: FakeKube, client: KubeClient) -> None:
        fake.others["/api/v1/namespaces/kube-system"] = {"metadata": {"uid": "abc"}}
        assert await client.cluster_uid() == "abc"

    play(body)


def test_the_schema_is_that_of_the_version_that_the_operator_works_with() -> None:
    async def body(fake: FakeKube, client: KubeClient) -> None:
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/mirrors.peerdb.io"
        versions = [{"name": name, "schema": {"openAPIV3Schema": {"x": name}}} for name in ("v1", "v1alpha1")]
        fake.others[path] = {"spec": {"versions": versions}}
        assert await client.served_schema() == {"x": "v1alpha1"}
        fake.others[path] = {"spec": {"versions": versions[:1]}}
        assert await client.served_schema() == {}

    play(body)


@pytest.mark.parametrize(
    ("groups", "resources", "served"),
    [
        ([], None, False),
        (["peerdb.io"], None, False),
        (["peerdb.io"], ["mirrors/status"], False),
        (["peerdb.io"], ["mirrors", "mirrors/status"], True),
    ],
)
def test_the_kind_counts_as_served_only_when_discovery_shows_it(
    groups: list[str], resources: list[str] | None, served: bool
) -> None:
    async def body(fake: FakeKube, client: KubeClient) -> None:
        fake.others["/apis"] = {"groups": [{"name": name} for name in groups]}
        if resources is not None:
            fake.others["/apis/peerdb.io/v1alpha1"] = {"resources": [{"name": name} for name in resources]}
        assert await client.kind_is_served() is served

    play(body)


def test_an_event_names_its_object_and_fits_when_the_message_is_long() -> None:
    regarding = {
        "kind": "Mirror",
        "namespace": "data",
        "name": "orders",
        "uid": "u1",
        "apiVersion": "peerdb.io/v1alpha1",
    }

    async def body(_: FakeKube, client: KubeClient) -> None:
        await client.emit_event(regarding, "Warning", "DropHeld", "ü" * 600, "Drop")

    fake = play(body)
    event = fake.events[0]
    assert fake.asked[0].path == "/apis/events.k8s.io/v1/namespaces/data/events"
    assert event["regarding"] == regarding
    assert (event["type"], event["reason"], event["action"]) == ("Warning", "DropHeld", "Drop")
    assert re.fullmatch(r"orders\.[0-9a-f]{16}", event["metadata"]["name"])
    assert event["metadata"]["namespace"] == "data"
    assert len(event["note"].encode()) <= 1024
    assert event["note"].endswith("ü…")
    assert datetime.fromisoformat(event["eventTime"]).tzinfo == UTC


def test_an_event_s_name_is_legal_when_its_object_s_name_is_as_long_as_names_get() -> None:
    regarding = {"kind": "Mirror", "namespace": "data", "name": f"{'a' * 235}.{'b' * 17}", "uid": "u1"}

    async def body(_: FakeKube, client: KubeClient) -> None:
        await client.emit_event(regarding, "Normal", "Running", "fine", "Reconcile")

    name = play(body).events[0]["metadata"]["name"]
    assert re.fullmatch(r"a{235}\.[0-9a-f]{16}", name)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, KubeError),
        (401, KubeForbidden),
        (403, KubeForbidden),
        (404, KubeNotFound),
        (409, KubeConflict),
        (410, KubeUnavailable),
        (422, KubeError),
        (429, KubeUnavailable),
        (500, KubeUnavailable),
        (503, KubeUnavailable),
    ],
)
def test_each_refusal_has_its_class_and_the_server_s_words(status: int, kind: type[KubeError]) -> None:
    async def body(fake: FakeKube, client: KubeClient) -> None:
        fake.refusal = (status, "because of this")
        with pytest.raises(KubeError, match=f"PATCH .*orders/status: {status} because of this") as caught:
            await client.patch_status("data", "orders", {"status": {}})
        assert type(caught.value) is kind

    play(body)


def test_unavailable_is_raised_when_nobody_listens() -> None:
    async def main() -> None:
        runner = await (fake := FakeKube()).start()
        await runner.cleanup()
        access = an_access(fake.address)

        async def read() -> KubeAccess:
            return access

        client = await KubeClient.connect(KubeAuth(read, access), [], connections=5)
        try:
            with pytest.raises(KubeUnavailable, match="ClientConnectorError"):
                await client.cluster_uid()
        finally:
            await client.close()

    asyncio.run(main())


@pytest.mark.parametrize("text", ["<html>", json.dumps(["a"]), ""])
def test_unavailable_is_raised_when_the_answer_is_no_json_object(text: str) -> None:
    with pytest.raises(KubeUnavailable, match="not a JSON object"):
        client_module._content("GET /x", 200, text.encode())


def test_a_refusal_without_json_keeps_its_class() -> None:
    with pytest.raises(KubeUnavailable, match=r"GET /x: 502$"):
        client_module._content("GET /x", 502, b"<html>")


def test_unavailable_is_raised_when_the_answer_does_not_come_in_time() -> None:
    async def main() -> None:
        told_to_end = asyncio.Event()

        async def hang(_: web.Request) -> web.Response:
            await told_to_end.wait()
            return web.Response()

        application = web.Application()
        application.router.add_get("/{path:.*}", hang)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        access = an_access(f"http://127.0.0.1:{runner.addresses[0][1]}")

        async def read() -> KubeAccess:
            return access

        client = await KubeClient.connect(KubeAuth(read, access), [], connections=5)
        try:
            with pytest.raises(KubeUnavailable, match=r"no answer within 0\.05 s"):
                await client._call("GET", "/slow", seconds=0.05)
        finally:
            told_to_end.set()
            await client.close()
            await runner.cleanup()

    asyncio.run(main())

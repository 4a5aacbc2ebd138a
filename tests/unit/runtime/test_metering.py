"""Counting what goes out: the operation of each request, how it ended, and that nothing is changed on the way."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from peerdb_operator.errors import (
    KubeConflict,
    KubeError,
    KubeForbidden,
    KubeNotFound,
    KubeUnavailable,
    PeerDBError,
    PeerDBUnavailable,
)
from peerdb_operator.peerdb.client import Patience, PeerDBClient, Reply, Request, RequestedState
from peerdb_operator.peerdb.http import READ_SECONDS
from peerdb_operator.peerdb.models import CdcFlowConfigUpdate
from peerdb_operator.ports import MirrorVersion
from peerdb_operator.telemetry.families import PEERDB_SECONDS, QUEUE_WAIT, RECONCILE_SECONDS, Family
from peerdb_operator.telemetry.metering import OPERATIONS, MeteredKube, MeteredTransport, operation_of
from peerdb_operator.telemetry.metrics import Metrics

Body = dict[str, object]
MOVE = "mirrors/state_change"


@pytest.mark.parametrize(
    ("request_", "operation"),
    [
        (Request("POST", "mirrors/status", {"flowJobName": "m"}), "mirrors_status"),
        (Request("POST", "mirrors/status", {"flowJobName": "m", "includeFlowInfo": True}), "mirrors_status_full"),
        (Request("GET", "mirrors/list"), "mirrors_list"),
        (Request("POST", "mirrors/logs", {}), "mirrors_logs"),
        (Request("GET", "flows/tags/orders"), "tags_get"),
        (Request("POST", "flows/tags", {}), "tags_set"),
        (Request("POST", "mirrors/cdc/validate", {}, Patience.CHECK), "validate"),
        (Request("GET", "version"), "version"),
        (Request("GET", "instance/info"), "instance_info"),
        (Request("GET", "dynamic_settings"), "dynamic_settings"),
        (Request("POST", MOVE, {"requestedFlowState": "STATUS_SNAPSHOT"}), "other"),
        (Request("POST", "mirrors/../secrets", {}), "other"),
    ],
)
def test_the_operation_of_a_request_is_its_endpoint(request_: Request, operation: str) -> None:
    assert operation_of(request_) == operation
    assert operation in OPERATIONS


class FakeTransport:
    """Answers with a status, or raises."""

    def __init__(self, answer: int | BaseException = 200) -> None:
        self.answer = answer
        self.sent: list[Request] = []

    async def send(self, request: Request) -> Reply:
        self.sent.append(request)
        if isinstance(self.answer, BaseException):
            raise self.answer
        await asyncio.sleep(0)
        return Reply(self.answer, "application/json", b"{}")


@pytest.mark.parametrize(
    ("state", "update", "operation"),
    [
        (RequestedState.PAUSED, None, "state_change_pause"),
        (RequestedState.RUNNING, None, "state_change_resume"),
        (RequestedState.RUNNING, CdcFlowConfigUpdate(batch_size=5), "state_change_edit"),
        (RequestedState.RUNNING, CdcFlowConfigUpdate(), "state_change_disarm"),
        (RequestedState.TERMINATING, None, "state_change_drop"),
    ],
)
def test_a_command_is_counted_by_what_the_client_really_sends(
    state: RequestedState, update: CdcFlowConfigUpdate | None, operation: str
) -> None:
    metrics = Metrics()

    asyncio.run(PeerDBClient(MeteredTransport(FakeTransport(), metrics)).change_state("m", state, update=update))

    assert requests(metrics, operation, "200") == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (200, "200"),
        (503, "503"),
        (PeerDBUnavailable("no", sent=True), "other"),
        (asyncio.CancelledError(), "cancelled"),
    ],
)
def test_every_end_of_a_request_is_counted_and_passed_on(answer: int | BaseException, code: str) -> None:
    metrics, inner = Metrics(), FakeTransport(answer)
    asked = Request("GET", "version")

    async def main() -> object:
        try:
            return (await MeteredTransport(inner, metrics).send(asked)).status
        except (PeerDBError, asyncio.CancelledError) as error:
            return error

    assert asyncio.run(main()) == answer
    assert inner.sent == [asked]
    assert requests(metrics, "version", code) == 1


def requests(metrics: Metrics, operation: str, code: str) -> float | None:
    name = "peerdb_operator_peerdb_requests_total"
    return metrics.registry.get_sample_value(name, {"operation": operation, "code": code})


class FakeKube:
    """Answers each call with its name and arguments; writes may fail."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    async def get_mirror(self, namespace: str, name: str) -> Body:
        return {"get": (namespace, name)}

    async def patch_mirror(self, namespace: str, name: str, body: Body) -> Body:
        return self._write({"patch": (namespace, name, body)})

    async def patch_status(self, namespace: str, name: str, body: Body) -> Body:
        return self._write({"status": (namespace, name, body)})

    async def list_mirrors(self) -> list[Body]:
        return [{"list": 1}]

    async def mirror_pages(self) -> AsyncIterator[list[Body]]:
        yield await self.list_mirrors()

    async def list_mirror_versions(self) -> list[MirrorVersion]:
        return [("u", "n", "m", 1, "2", None)]

    async def namespace_is_terminating(self, name: str) -> bool:
        return name == "going"

    async def crd_is_terminating(self) -> bool:
        return True

    async def cluster_uid(self) -> str:
        return "uid"

    async def emit_event(self, regarding: dict[str, str], type_: str, reason: str, message: str, action: str) -> None:
        self._write({"event": (regarding, type_, reason, message, action)})

    def _write(self, answer: Body) -> Body:
        if self.error is not None:
            raise self.error
        return answer


def writes(metrics: Metrics, kind: str, code: str) -> float | None:
    name = "peerdb_operator_kubernetes_writes_total"
    return metrics.registry.get_sample_value(name, {"kind": kind, "code": code})


def test_reads_and_writes_go_through_as_they_are_and_only_writes_are_counted() -> None:
    metrics = Metrics()
    kube = MeteredKube(FakeKube(), metrics)

    async def main() -> list[object]:
        await kube.emit_event({"name": "m"}, "Normal", "Running", "as wished", "Reconcile")
        return [
            await kube.get_mirror("n", "m"),
            await kube.patch_mirror("n", "m", {"a": 1}),
            await kube.patch_status("n", "m", {"b": 2}),
            await kube.list_mirrors(),
            [page async for page in kube.mirror_pages()],
            await kube.list_mirror_versions(),
            (await kube.namespace_is_terminating("going"), await kube.namespace_is_terminating("staying")),
            await kube.crd_is_terminating(),
            await kube.cluster_uid(),
        ]

    assert asyncio.run(main()) == [
        {"get": ("n", "m")},
        {"patch": ("n", "m", {"a": 1})},
        {"status": ("n", "m", {"b": 2})},
        [{"list": 1}],
        [[{"list": 1}]],
        [("u", "n", "m", 1, "2", None)],
        (True, False),
        True,
        "uid",
    ]
    kinds = {"mirror": "200", "mirror_status": "200", "event": "201"}
    assert [writes(metrics, kind, code) for kind, code in kinds.items()] == [1, 1, 1]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KubeConflict("x"), "409"),
        (KubeNotFound("x"), "404"),
        (KubeForbidden("x"), "403"),
        (KubeUnavailable("x"), "unavailable"),
        (KubeError("x"), "other"),
        (asyncio.CancelledError(), "cancelled"),
    ],
)
def test_a_write_that_fails_is_counted_by_how_and_still_fails(error: BaseException, code: str) -> None:
    metrics, inner = Metrics(), FakeKube()
    inner.error = error

    async def main() -> None:
        with pytest.raises(type(error)):
            await MeteredKube(inner, metrics).patch_status("n", "m", {})

    asyncio.run(main())
    assert writes(metrics, "mirror_status", code) == 1


@pytest.mark.parametrize("family", [PEERDB_SECONDS, RECONCILE_SECONDS], ids=lambda family: family.name)
def test_the_longest_call_falls_between_two_bounds_of_its_histogram(family: Family) -> None:
    for seconds in READ_SECONDS.values():
        assert any(below < seconds <= above for below, above in zip(family.buckets, family.buckets[1:], strict=False))
    assert len(family.buckets) == len(QUEUE_WAIT.buckets)

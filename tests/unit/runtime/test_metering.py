"""Counting what goes out: the operation of each request, how it ended, and that nothing is changed on the way."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from peerdb_operator.errors import (
    KubeConflict,
    KubeError,
    KubeForbidden,
    KubeNotFound,
    KubeUnavailable,
    PeerDBError,
    PeerDBUnavailable,
    UnexpectedReply,
)
from peerdb_operator.peerdb.client import LogLevel, Operation, PeerDBClient, Reply, Request, RequestedState
from peerdb_operator.peerdb.models import ConfigUpdate
from peerdb_operator.telemetry.metering import KubeWrite, MeteredTransport, WriteMeter
from peerdb_operator.telemetry.metrics import Metrics


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
    ("call", "operation"),
    [
        (lambda client: client.status("m"), "mirrors_status"),
        (lambda client: client.status_with_config("m"), "mirrors_status_full"),
        (lambda client: client.list_mirrors(), "mirrors_list"),
        (lambda client: client.logs(level=LogLevel.ERROR, num_per_page=1), "mirrors_logs"),
        (lambda client: client.batch_ends("m", limit=1), "mirrors_batches"),
        (lambda client: client.tags("m"), "tags_get"),
        (lambda client: client.set_tags("m", {"key": "value"}), "tags_set"),
        (lambda client: client.validate({}), "validate"),
        (lambda client: client.version(), "version"),
        (lambda client: client.instance_status(), "instance_info"),
        (lambda client: client.dynamic_settings(), "dynamic_settings"),
    ],
)
def test_a_request_is_counted_by_the_call_that_sends_it(
    call: Callable[[PeerDBClient], Awaitable[object]], operation: str
) -> None:
    metrics = Metrics()

    async def main() -> None:
        with suppress(UnexpectedReply):  # an empty answer is enough to be counted
            await call(PeerDBClient(MeteredTransport(FakeTransport(), metrics)))

    asyncio.run(main())
    assert requests(metrics, operation, "200") == 1
    assert operation in set(Operation)


@pytest.mark.parametrize(
    ("state", "update", "operation"),
    [
        (RequestedState.PAUSED, None, "state_change_pause"),
        (RequestedState.RUNNING, None, "state_change_resume"),
        (RequestedState.RUNNING, ConfigUpdate(batch_size=5), "state_change_edit"),
        (RequestedState.RUNNING, ConfigUpdate(), "state_change_disarm"),
        (RequestedState.TERMINATING, None, "state_change_drop"),
    ],
)
def test_a_command_is_counted_by_what_the_client_really_sends(
    state: RequestedState, update: ConfigUpdate | None, operation: str
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
    asked = Request("GET", "version", operation=Operation.VERSION)

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


def writes(metrics: Metrics, kind: str, code: str) -> float | None:
    name = "peerdb_operator_kubernetes_writes_total"
    return metrics.registry.get_sample_value(name, {"kind": kind, "code": code})


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
    metrics = Metrics()

    with pytest.raises(type(error)), WriteMeter(metrics).measure(KubeWrite.STATUS):
        raise error

    assert writes(metrics, "mirror_status", code) == 1

"""Routing and limits of the gateway base ``/v1``."""

from __future__ import annotations

import pytest

from tests.harness.peerdb.values import Reply, Request
from tests.unit.harness_peerdb.building import NAME, a_mirror, an_engine, post, refusal, wire

UNKNOWN = (404, 5, "Not Found")
WRONG_METHOD = (501, 12, "Method Not Allowed")


def ask(method: str, path: str, body: bytes = b"", **headers: str) -> Reply:
    engine = an_engine(version="v1")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return engine.finish(engine.handle(Request(method, path, body, "", named)))


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/nope"), ("GET", "/"), ("GET", "/v1"), ("POST", "/v1/mirrors/nope"), ("GET", "/api/v1/version"),
     ("GET", "/v1/version/"), ("GET", "/v1//version"), ("GET", "/V1/version"), ("GET", "/v1/Version"),
     ("GET", "/v1/flows/tags/a%2Fb"), ("GET", "/v1/flows/tags/a%2fb"), ("GET", "/v1/flows/tags/a/b")],
)  # fmt: skip
def test_path_is_not_found_when_no_route_has_it(method: str, path: str) -> None:
    assert refusal(ask(method, path)) == UNKNOWN


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/mirrors/status"), ("POST", "/v1/version"), ("DELETE", "/v1/mirrors/list"),
     ("PUT", "/v1/mirrors/status"), ("OPTIONS", "/v1/mirrors/status"), ("PATCH", "/v1/mirrors/state_change"),
     ("POST", "/v1/mirrors/list")],
)  # fmt: skip
def test_method_is_not_allowed_when_the_route_has_another(method: str, path: str) -> None:
    assert refusal(ask(method, path)) == WRONG_METHOD


# -- sizes -------------------------------------------------------------------------------------------------------------


def test_request_is_429_when_its_message_is_larger_than_4_mib() -> None:
    reply = post(an_engine(), "mirrors/status", {"flowJobName": "x" * 5_000_000})

    text = "grpc: received message larger than max (5000005 vs. 4194304)"
    assert refusal(reply) == (429, 8, text)


def test_large_answer_is_429_when_it_does_not_fit_a_message() -> None:
    engine = an_engine()
    a_mirror(engine, *(f"{number:0200d}" for number in range(9_000)))

    flags = {"flowJobName": NAME, "includeFlowInfo": True, "excludeSnapshotStatus": True}
    reply = post(engine, "mirrors/status", flags)

    assert refusal(reply)[:2] == (429, 8)
    assert post(engine, "mirrors/status", {"flowJobName": NAME}).status == 200


@pytest.mark.parametrize(("count", "fits"), [(7_000, True), (20_000, False)])
def test_update_is_refused_whole_when_it_exceeds_a_temporal_payload(count: int, *, fits: bool) -> None:
    engine = an_engine()
    a_mirror(engine)
    many = wire(*(f"{number:020d}" for number in range(count)))
    slim = [{key: table[key] for key in ("sourceTableIdentifier", "destinationTableIdentifier")} for table in many]
    body = {"flowJobName": NAME, "requestedFlowState": "STATUS_PAUSED",
            "flowConfigUpdate": {"cdcFlowConfigUpdate": {"additionalTables": slim}}}  # fmt: skip

    reply = post(engine, "mirrors/state_change", body)

    if fits:
        assert reply.status == 200
    else:
        text = "unable to signal workflow update: Blob data size exceeds limit."
        assert refusal(reply) == (500, 13, text)
        assert engine.world.journal.lines == []

"""Routing and limits of the gateway base ``/v1``."""

from __future__ import annotations

import pytest

from tests.harness.peerdb.values import Reply, Request
from tests.unit.harness_peerdb.building import NAME, a_mirror, an_engine, get, post, refusal, send, wire

UNKNOWN = (404, 5, "Not Found")
WRONG_METHOD = (501, 12, "Method Not Allowed")


def ask(method: str, path: str, body: bytes = b"", **headers: str) -> Reply:
    """One request with a raw path."""
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


@pytest.mark.parametrize(("path", "status"), [("/v1/version", 501), ("/v1/nope", 404)])
def test_refusal_has_no_body_when_the_method_is_head(path: str, status: int) -> None:
    reply = ask("HEAD", path)

    assert (reply.status, reply.body) == (status, b"")


@pytest.mark.parametrize("path", ["/v1/flows/tags/%zz", "/v1/%", "/%G1"])
def test_malformed_escape_is_a_plain_400_when_it_is_in_the_path(path: str) -> None:
    reply = ask("GET", path)

    assert (reply.status, reply.body) == (400, b"400 Bad Request")
    assert reply.content_type == "text/plain; charset=utf-8"


def test_escape_is_decoded_when_it_is_in_a_path_parameter() -> None:
    engine = an_engine()
    engine.put_mirror("a b", tags={"k": "v"})

    assert get(engine, "flows/tags/a%20b").json() == {"flowName": "a b", "tags": [{"key": "k", "value": "v"}]}


def test_empty_path_parameter_is_a_parameter_when_the_path_ends_there() -> None:
    assert refusal(ask("GET", "/v1/flows/tags/")) == (404, 5, "flow  does not exist")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "nonsense"])
def test_content_type_does_not_matter_when_the_body_is_json(kind: str) -> None:
    reply = ask("POST", "/v1/mirrors/status", b'{"flowJobName":"nope"}', content_type=kind)

    assert refusal(reply) == (404, 5, "flow nope not found")


def test_form_post_falls_back_to_the_get_route_when_there_is_one() -> None:
    form = "application/x-www-form-urlencoded"

    assert ask("POST", "/v1/version", b"", content_type=form).json() == {"version": "v1"}
    assert refusal(ask("POST", "/v1/mirrors/list", b"", x_http_method_override="GET")) == WRONG_METHOD


@pytest.mark.parametrize(
    ("header", "expected"),
    [("1n", (504, 4, "context deadline exceeded")), ("10S", (404, 5, "flow nope not found")),
     ("soon", (400, 3, "invalid grpc-timeout: soon"))],
)  # fmt: skip
def test_grpc_timeout_is_honoured_when_the_header_is_sent(header: str, expected: tuple[int, int, str]) -> None:
    assert refusal(ask("POST", "/v1/mirrors/status", b'{"flowJobName":"nope"}', grpc_timeout=header)) == expected


def test_grpc_timeout_cancels_the_work_when_it_is_over() -> None:
    engine = an_engine(t_validate=1.0)
    a_mirror(engine)
    body = f'{{"flowJobName":"{NAME}","requestedFlowState":"STATUS_RESYNC"}}'.encode()

    answer = engine.handle(Request("POST", "/v1/mirrors/state_change", body, headers={"grpc-timeout": "100m"}))
    reply = engine.finish(answer)
    engine.run_until(engine.now + 60)

    assert refusal(reply) == (504, 4, "context deadline exceeded")
    state = engine.state(NAME)
    assert state is not None
    assert state.name == "RUNNING"


def test_known_endpoint_says_so_when_the_simulator_does_not_have_it() -> None:
    engine = an_engine()

    reply = engine.finish(send(engine, "POST", "flows/cdc/create", {}))

    assert refusal(reply) == (501, 12, "the simulator does not have this endpoint: POST /v1/flows/cdc/create")
    assert [event.as_json()["notSimulated"] for event in engine.log if event.as_json()["kind"] == "reply"] == [True]


# -- sizes -------------------------------------------------------------------------------------------------------------


def test_request_is_429_when_its_message_is_larger_than_4_mib() -> None:
    reply = post(an_engine(), "mirrors/status", {"flowJobName": "x" * 5_000_000})

    text = "grpc: received message larger than max (5000005 vs. 4194304)"
    assert refusal(reply) == (429, 8, text)


def test_large_request_is_read_when_only_unknown_fields_make_it_large() -> None:
    reply = post(an_engine(), "mirrors/status", {"flowJobName": "nope", "unknown": "x" * 5_000_000})

    assert refusal(reply) == (404, 5, "flow nope not found")


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

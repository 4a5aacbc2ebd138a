"""The web UI in front of the gateway: password, redirects, methods, and what gets through."""

from __future__ import annotations

import base64

import pytest

from tests.harness.peerdb.engine import Engine
from tests.harness.peerdb.ui import front
from tests.harness.peerdb.values import Base, Deferred, Reply, Request, Status
from tests.unit.harness_peerdb.building import NAME, a_mirror, an_engine, change, refusal, send, states

PASSWORD = "s:cret%#$ \\"
SIGN_IN = "/api/auth/signin?callbackUrl="


def basic(text: str, scheme: str = "Basic") -> str:
    """An Authorization header."""
    return f"{scheme} {base64.b64encode(text.encode()).decode()}"


def ask(
    method: str, path: str, *, auth: str | None = None, body: bytes = b"", query: str = "",
    engine: Engine | None = None, **headers: str,
) -> Reply:  # fmt: skip
    """One request to a UI with a password."""
    engine = engine or an_engine(PASSWORD)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named |= {} if auth is None else {"authorization": auth}
    return engine.finish(engine.handle(Request(method, path, body, query, named, Base.UI)))


OK = basic(f":{PASSWORD}")


def test_nobody_is_asked_when_there_is_no_password() -> None:
    for auth in (None, "Basic !!!", basic("x:y"), "Bearer x"):
        assert ask("GET", "/api/v1/version", auth=auth, engine=an_engine()).status == 200
        assert ask("GET", "/api/v1/version", auth=auth, engine=an_engine("")).status == 200


@pytest.mark.parametrize(
    "auth",
    [OK, basic(f":{PASSWORD}", "bAsIc"), OK.replace("Basic ", "Basic   "), OK.rstrip("=")],
    ids=["plain", "scheme in any case", "blanks", "no padding"],
)  # fmt: skip
def test_caller_gets_in_when_the_password_is_right_and_the_user_empty(auth: str) -> None:
    assert ask("GET", "/api/v1/version", auth=auth).status == 200


@pytest.mark.parametrize("text", [":wrong", f"user:{PASSWORD}", f":{PASSWORD}\n", f"admin:{PASSWORD}", ":", ""])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_answer_is_403_without_a_body_when_the_credentials_are_wrong(text: str, method: str) -> None:
    reply = ask(method, "/api/v1/mirrors/list", auth=basic(text) if text else basic("x"))

    assert (reply.status, reply.body, reply.content_type) == (403, b"", None)


def test_utf8_password_never_matches_and_latin1_does_when_it_is_not_ascii() -> None:
    engine = an_engine("pässwört")
    utf8 = basic(":pässwört")
    latin = "Basic " + base64.b64encode(":pässwört".encode("latin-1")).decode()

    assert ask("GET", "/api/v1/version", auth=utf8, engine=engine).status == 403
    assert ask("GET", "/api/v1/version", auth=latin, engine=engine).status == 200


@pytest.mark.parametrize("auth", [None, "Bearer x", "Digest y", "Basic", "Basic "])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_caller_is_sent_to_the_sign_in_page_when_there_is_no_basic_header(auth: str | None, method: str) -> None:
    reply = ask(method, "/api/v1/mirrors/state_change", auth=auth, body=b"{}")

    location = SIGN_IN + "%2Fapi%2Fv1%2Fmirrors%2Fstate_change"
    assert (reply.status, dict(reply.headers)["location"], reply.body.decode()) == (307, location, location)
    assert reply.content_type is None


def test_callback_carries_the_query_re_encoded_when_there_is_one() -> None:
    reply = ask("GET", "/api/v1/x", query="excludeCdc=true&a=b%20c")

    assert dict(reply.headers)["location"] == SIGN_IN + "%2Fapi%2Fv1%2Fx%3FexcludeCdc%3Dtrue%26a%3Db%2Bc"


def test_caller_is_sent_to_the_error_page_when_the_ui_has_no_secret() -> None:
    engine = an_engine(PASSWORD, ui_secret=False)

    assert dict(ask("GET", "/api/v1/version", engine=engine).headers)["location"] == (
        "/api/auth/error?error=Configuration"
    )
    assert ask("GET", "/api/v1/version", auth=OK, engine=engine).status == 200


@pytest.mark.parametrize("credentials", ["!!!", "a", "YS1-_w=="])
def test_answer_is_a_plain_500_when_the_base64_is_broken(credentials: str) -> None:
    reply = ask("GET", "/api/v1/version", auth=f"Basic {credentials}")

    assert (reply.status, reply.body, reply.content_type) == (500, b"Internal Server Error", "text/plain")


def test_answer_is_431_when_a_header_is_far_too_long() -> None:
    assert ask("GET", "/api/v1/version", auth="Basic " + "A" * 20_000).status == 431


# -- methods and paths -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "status", "body", "kind"),
    [("PUT", 405, b"", None), ("PATCH", 405, b"", None), ("TRACE", 500, b"Internal Server Error", "text/plain"),
     ("FOO", 400, b"", None), ("OPTIONS", 204, b"", None), ("HEAD", 200, b"", "application/json")],
)  # fmt: skip
def test_method_is_answered_by_the_ui_itself_when_it_does_not_forward_it(
    method: str, status: int, body: bytes, kind: str | None
) -> None:
    reply = ask(method, "/api/v1/version", auth=OK)

    assert (reply.status, reply.body, reply.content_type) == (status, body, kind)
    if method == "OPTIONS":
        assert dict(reply.headers)["allow"] == "DELETE, GET, HEAD, OPTIONS, POST"


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [("GET", "/api/v1/nope", (404, 5, "Not Found")), ("DELETE", "/api/v1/version", (501, 12, "Method Not Allowed")),
     ("GET", "/api/v1/flows/tags/a%2Fb", (404, 5, "Not Found"))],
)  # fmt: skip
def test_refusal_of_the_gateway_passes_through_when_the_ui_forwards(
    method: str, path: str, expected: tuple[int, int, str]
) -> None:
    assert refusal(ask(method, path, auth=OK)) == expected


@pytest.mark.parametrize(
    ("path", "location"),
    [("/api/v1/version/", "/api/v1/version"), ("//api//v1/version", "/api/v1/version"),
     ("/api/v1/flows/tags/", "/api/v1/flows/tags")],
)  # fmt: skip
def test_path_is_redirected_for_good_when_it_has_a_slash_too_many(path: str, location: str) -> None:
    reply = ask("GET", path)

    assert (reply.status, dict(reply.headers)["location"]) == (308, location)


@pytest.mark.parametrize("path", ["/health", "/api", "/api/v1"])
def test_page_is_html_404_when_it_is_outside_the_api(path: str) -> None:
    reply = ask("GET", path, auth=OK)

    assert (reply.status, reply.content_type) == (404, "text/html; charset=utf-8")
    assert ask("GET", path).status == 307


def test_root_is_redirected_without_any_check_when_it_is_asked_for() -> None:
    for auth in (None, OK, basic(":wrong")):
        assert dict(ask("GET", "/", auth=auth).headers)["location"] == "/peers"


@pytest.mark.parametrize("path", ["/api/v1/flows/tags/%zz", "/api/v1/flows/tags/%E9"])
def test_answer_is_a_plain_500_when_an_escape_is_malformed(path: str) -> None:
    assert (ask("GET", path, auth=OK).status, ask("GET", path, auth=OK).body) == (500, b"Internal Server Error")


# -- on the way up -----------------------------------------------------------------------------------------------------


def test_no_header_gets_through_when_a_request_is_forwarded() -> None:
    engine = an_engine(PASSWORD)
    form = "application/x-www-form-urlencoded"

    late = ask("POST", "/api/v1/mirrors/status", auth=OK, engine=engine, body=b'{"flowJobName":"x"}',
               grpc_timeout="1n")  # fmt: skip
    posted = ask("POST", "/api/v1/version", auth=OK, engine=engine, content_type=form)

    assert refusal(late) == (404, 5, "flow x not found")
    assert refusal(posted) == (501, 12, "Method Not Allowed")


def test_query_is_re_encoded_on_a_get_and_dropped_on_a_post_when_a_request_is_forwarded() -> None:
    def forwarded(method: str) -> str:
        onward = front(Request(method, "/api/v1/x", b"", "a=b%20c&flag"), None, has_secret=True)
        assert isinstance(onward, Request)
        return onward.query

    assert (forwarded("GET"), forwarded("DELETE"), forwarded("POST")) == ("a=b+c&flag=", "a=b+c&flag=", "")


def test_body_is_cut_off_when_it_is_larger_than_10_mib() -> None:
    filler = b"x" * 11_000_000
    reply = ask("POST", "/api/v1/mirrors/status", auth=OK, body=b'{"flowJobName":"x","filler":"' + filler + b'"}')

    assert refusal(reply) == (400, 3, "unexpected EOF")


def test_answer_is_an_empty_500_when_the_gateway_is_away() -> None:
    engine = an_engine(ui_upstream_down=True)

    for method in ("GET", "POST", "DELETE", "HEAD"):
        reply = ask(method, "/api/v1/mirrors/list", engine=engine)
        assert (reply.status, reply.body, reply.content_type) == (500, b"", None)


def test_answer_is_an_empty_500_when_the_gateway_breaks_the_connection() -> None:
    engine = an_engine(reset_before=True)

    reply = ask("GET", "/api/v1/version", engine=engine)

    assert (reply.status, reply.body, reply.content_type) == (500, b"", None)


def test_answer_is_an_empty_500_when_the_gateway_takes_longer_than_five_minutes() -> None:
    engine = an_engine(latency=400.0)
    start = engine.now

    reply = ask("GET", "/api/v1/version", engine=engine)

    assert (reply.status, reply.body) == (500, b"")
    assert engine.now - start == pytest.approx(301.6)


def test_work_goes_on_when_the_client_leaves() -> None:
    engine = an_engine()
    a_mirror(engine, state=Status.COMPLETED, tags={"owner": "x"})
    body = f'{{"flowJobName":"{NAME}","requestedFlowState":"STATUS_RESYNC"}}'.encode()
    answer = send(engine, "POST", "mirrors/state_change", body, Base.UI)
    assert isinstance(answer, Deferred)

    engine.run_until(engine.now + 0.15)
    answer.abort()
    engine.run_until(engine.now + 60)

    row = engine.world.row(NAME)
    assert row is not None
    assert (states(engine)[-1], row.tags) == ("RUNNING", {"owner": "x"})


def test_old_version_is_repeated_for_ever_when_the_route_of_the_ui_is_asked() -> None:
    engine = an_engine(version="one")
    first = ask("GET", "/api/version", engine=engine).json()
    engine.turn(version="two", ui_upstream_down=True)

    assert ask("GET", "/api/version", engine=engine).json() == first == {"version": "one"}
    assert ask("GET", "/api/version", engine=an_engine(ui_upstream_down=True)).status == 500


def test_state_change_is_made_when_it_comes_through_the_ui() -> None:
    engine = an_engine()
    a_mirror(engine)
    body = f'{{"flowJobName":"{NAME}","requestedFlowState":"STATUS_PAUSED"}}'.encode()

    reply = engine.finish(send(engine, "POST", "mirrors/state_change?ignored=1", body, Base.UI))
    engine.run_until(engine.now + 10)

    assert (reply.status, engine.state(NAME)) == (200, Status.PAUSED)
    assert change(engine, "PAUSED") is not None

"""The web UI in front of the gateway: password, redirects, methods, and what gets through."""

from __future__ import annotations

import base64

import pytest

from tests.harness.peerdb.engine import Engine
from tests.harness.peerdb.values import Base, Deferred, Reply, Request, Status
from tests.unit.harness_peerdb.building import NAME, a_mirror, an_engine, change, send, states

PASSWORD = "s:cret%#$ \\"
SIGN_IN = "/api/auth/signin?callbackUrl="


def basic(text: str, scheme: str = "Basic") -> str:
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


@pytest.mark.parametrize("auth", [None, "Bearer x", "Digest y", "Basic", "Basic "])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_caller_is_sent_to_the_sign_in_page_when_there_is_no_basic_header(auth: str | None, method: str) -> None:
    reply = ask(method, "/api/v1/mirrors/state_change", auth=auth, body=b"{}")

    location = SIGN_IN + "%2Fapi%2Fv1%2Fmirrors%2Fstate_change"
    assert (reply.status, dict(reply.headers)["location"], reply.body.decode()) == (307, location, location)
    assert reply.content_type is None


# -- on the way up -----------------------------------------------------------------------------------------------------


def test_answer_is_an_empty_500_when_the_gateway_is_away() -> None:
    engine = an_engine(ui_upstream_down=True)

    for method in ("GET", "POST", "DELETE", "HEAD"):
        reply = ask(method, "/api/v1/mirrors/list", engine=engine)
        assert (reply.status, reply.body, reply.content_type) == (500, b"", None)


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


def test_state_change_is_made_when_it_comes_through_the_ui() -> None:
    engine = an_engine()
    a_mirror(engine)
    body = f'{{"flowJobName":"{NAME}","requestedFlowState":"STATUS_PAUSED"}}'.encode()

    reply = engine.finish(send(engine, "POST", "mirrors/state_change?ignored=1", body, Base.UI))
    engine.run_until(engine.now + 10)

    assert (reply.status, engine.state(NAME)) == (200, Status.PAUSED)
    assert change(engine, "PAUSED") is not None

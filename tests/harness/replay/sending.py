"""How a recorded call is made again: its request, byte for byte where the recording has the bytes.

Placeholders stand for what a recording must not hold: ``<N bytes>`` is a body of that length, credentials are named by
kind. Raw bodies are Latin-1, so that bytes that are no UTF-8 survive in the file.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping

from tests.harness.peerdb.engine import Engine
from tests.harness.peerdb.routes import Match, find
from tests.harness.peerdb.values import Base, Reply, Request
from tests.harness.replay.recording import Call
from tests.harness.replay.stage import UI_PASSWORD

PLACEHOLDER = re.compile(r"<(\d+) bytes>")
NAME = re.compile(r'"(?:flowJobName|flow_job_name|flowName|flow_name)"\s*:\s*"([^"]*)"')
CREDENTIALS: Mapping[str, str] = {
    "basic-ok": f":{UI_PASSWORD}",
    "basic-wrong": ":not the password",
    "basic-user": f"user:{UI_PASSWORD}",
}
UI_VARIANTS = frozenset({"password", "open", "no-secret", "down"})
TAGS = "flows/tags/"


def request_of(call: Call, engine: Engine) -> Request:
    """The request of a call; sets the UI up as the call met it."""
    asked = call.request
    path, _, query = str(asked["path"]).partition("?")
    headers = {str(name).lower(): str(value) for name, value in (asked.get("headers") or {}).items()}
    if call.ui is None:
        return Request(str(asked["method"]), path, _body(asked), query, headers)
    engine.password = None if call.ui in {"open", "down"} else UI_PASSWORD
    engine.turn(ui_secret=call.ui != "no-secret", ui_upstream_down=call.ui == "down")
    given = _authorization(str(asked.get("auth", "none")))
    if given:
        headers["authorization"] = given
    return Request(str(asked["method"]), path, _body(asked), query, headers, Base.UI)


def not_simulated(request: Request, engine: Engine) -> bool:
    """Whether a request reaches an endpoint of PeerDB that the simulator does not have."""
    onward = request
    if request.base is Base.UI:
        let_in = not engine.password or request.headers.get("authorization") == _authorization("basic-ok")
        if engine.knobs.ui_upstream_down or not let_in:
            return False
        method = "GET" if request.method == "HEAD" else request.method
        onward = Request(method, request.path.removeprefix("/api"))
    found = find(onward)
    return isinstance(found, Match) and found.route.body is None


def mirror_of(call: Call) -> str:
    """The mirror that a call names; raw bodies are searched for it."""
    raw = NAME.search(str(call.request.get("raw") or ""))
    if raw is not None:
        return raw[1]
    if call.path.startswith(TAGS):
        return call.path.removeprefix(TAGS)
    config = call.body.get("connectionConfigs")
    body = config if isinstance(config, dict) else call.body
    return str(body.get("flowJobName", body.get("flowName", "")))


def with_state_of(first: Reply, later: Reply) -> Reply:
    """A status call reads the state at its beginning and the configuration at its end."""
    try:
        early, late = json.loads(first.body), json.loads(later.body)
    except ValueError:
        return later
    if not isinstance(early, dict) or not isinstance(late, dict) or "currentFlowState" not in early:
        return later
    late["currentFlowState"] = early["currentFlowState"]
    return Reply(later.status, json.dumps(late).encode(), later.content_type, later.headers)


def _authorization(auth: str) -> str:
    if auth in CREDENTIALS:
        return "Basic " + base64.b64encode(CREDENTIALS[auth].encode()).decode()
    return {"bearer": "Bearer x", "garbled": "Basic !!!"}.get(auth, "")


def _body(asked: Mapping[str, object]) -> bytes:
    if "json" in asked:
        return json.dumps(asked["json"], ensure_ascii=False).encode()
    raw = str(asked.get("raw") or "")
    stands_for = PLACEHOLDER.fullmatch(raw)
    if stands_for is not None:
        head, tail = b'{"flowJobName":"nope","filler":"', b'"}'
        return head + b"x" * (int(stands_for[1]) - len(head) - len(tail)) + tail
    try:
        return raw.encode("latin-1")
    except UnicodeEncodeError:
        return raw.encode()

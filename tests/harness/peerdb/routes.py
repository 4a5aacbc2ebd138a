"""Which paths the gateway knows, with which methods, and what it says to the others.

The table holds every route of PeerDB v0.37's flow-api; those without a message are known but not simulated. Routing
errors are grpc-gateway's own: unknown path 404, known path with another method 501, a malformed escape a plain 400.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote_to_bytes

from tests.harness.peerdb import schema
from tests.harness.peerdb.gojson import CodecError
from tests.harness.peerdb.schema import Message
from tests.harness.peerdb.values import Reply, Request, error

FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Route:
    """One route: its name in the handler table, and the message of its body (None: not simulated)."""

    name: str
    body: Message | None
    parameter: str = ""


def _simulated(name: str, body: Message, parameter: str = "") -> Route:
    return Route(name, body, parameter)


def _known(*names: str) -> dict[str, Route]:
    return {name: Route(name, None) for name in names}


POST: Final[Mapping[str, Route]] = {
    "mirrors/state_change": _simulated("state_change", schema.STATE_CHANGE),
    "mirrors/status": _simulated("status", schema.MIRROR_STATUS),
    "mirrors/logs": _simulated("logs", schema.LOGS),
    "mirrors/cdc/validate": _simulated("validate", schema.CREATE),
    "mirrors/cdc/batches": _simulated("batches", schema.BATCHES),
    "flows/tags": _simulated("set_tags", schema.SET_TAGS),
    "dynamic_settings": _simulated("set_setting", schema.SETTING),
    **_known(
        "flows/cdc/create",
        "flows/qrep/create",
        "flows/cdc/cancel_table_addition",
        "mirrors/cdc/graph",
        "mirrors/row_counts",
        "mirrors/sequences/reset",
        "peers/create",
        "peers/validate",
        "peers/drop",
        "alerts/config",
        "scripts",
        "instance/maintenance",
        "flags",
    ),
}
GET: Final[Mapping[str, Route]] = {
    "version": _simulated("version", schema.NOTHING),
    "instance/info": _simulated("instance_info", schema.NOTHING),
    "mirrors/list": _simulated("list", schema.NOTHING),
    "dynamic_settings": _simulated("get_settings", schema.NOTHING),
    "mirrors/cdc/batches/*": _simulated("batches", schema.BATCHES, "flowJobName"),
    "flows/tags/*": _simulated("get_tags", schema.NOTHING, "flowName"),
    **_known(
        "mirrors/names",
        "mirrors/total_rows_synced/*",
        "mirrors/cdc/table_total_counts/*",
        "mirrors/cdc/initial_load/*",
        "peers/list",
        "peers/info/*",
        "peers/type/*",
        "peers/schemas/*",
        "peers/tables/*",
        "peers/tables/all/*",
        "peers/columns/*",
        "peers/publications/*",
        "peers/slots/*",
        "peers/stats/*",
        "alerts/config",
        "scripts/*",
        "instance/maintenance/status",
    ),
}
DELETE: Final[Mapping[str, Route]] = _known("alerts/config/*", "scripts/*")
TABLES: Final[Mapping[str, Mapping[str, Route]]] = {"POST": POST, "GET": GET, "DELETE": DELETE}

NOT_FOUND: Final = error(5, "Not Found")
WRONG_METHOD: Final = error(12, "Method Not Allowed")
BAD_ESCAPE: Final = Reply(400, b"400 Bad Request", "text/plain; charset=utf-8")
BROKEN: Final = re.compile(r"%(?![0-9a-fA-F]{2})")


@dataclass(frozen=True, slots=True)
class Match:
    """A route that a request reached, with the value of its path parameter."""

    route: Route
    parameter: str = ""


def find(request: Request) -> Match | Reply:
    """The route of a request, or the gateway's own refusal."""
    if "%" in request.path and BROKEN.search(request.path):
        return BAD_ESCAPE
    if not request.path.startswith("/v1/"):
        return _refusal(request, NOT_FOUND)
    path = request.path[4:]
    found = _look_up(request.method, path)
    if found is None and request.method == "POST" and _is_form(request):
        found = _look_up("GET", path)
    if found is not None:
        return found
    known = any(_look_up(method, path) for method in TABLES if method != request.method)
    return _refusal(request, WRONG_METHOD if known else NOT_FOUND)


def _refusal(request: Request, reply: Reply) -> Reply:
    return Reply(reply.status, b"", reply.content_type) if request.method == "HEAD" else reply


def _look_up(method: str, path: str) -> Match | None:
    table = TABLES.get(method, {})
    route = table.get(path)
    if route is not None:
        return Match(route)
    head, slash, last = path.rpartition("/")
    route = table.get(f"{head}/*") if slash else None
    if route is None or "%2F" in last.upper():
        return None
    return Match(route, unquote_to_bytes(last).decode("utf-8", "replace"))


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == FORM


def query_fields(query: str, message: Message) -> dict[str, object]:
    """The fields that a query string gives, unknown ones left out; raises ``CodecError`` for a value of no use."""
    found: dict[str, object] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        known = message.fields.get(name)
        if known is None:
            continue
        try:
            found[known.json] = text if known.kind == "string" else _BOOLS[text] if known.kind == "bool" else int(text)
        except (KeyError, ValueError):
            raise CodecError(f'parsing field "{known.text}": strconv: parsing "{text}": invalid syntax') from None
    return found


_BOOLS: Final = {"true": True, "false": False, "1": True, "0": False, "t": True, "f": False}
GAP: Final = "the simulator does not have this endpoint: "


def gap(request: Request) -> Reply:
    """The answer of a route that PeerDB has and the simulator has not."""
    return error(12, f"{GAP}{request.method} {request.path}")


def is_gap(reply: Reply) -> bool:
    """Whether an answer is that of a route that is not simulated."""
    return reply.status == WRONG_METHOD.status and GAP.encode() in reply.body


_UNITS: Final[Mapping[str, float]] = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


def grpc_timeout(request: Request) -> float | Reply | None:
    """Seconds that a ``Grpc-Timeout`` header allows, the refusal of a malformed one, or None."""
    text = request.headers.get("grpc-timeout")
    if not text:
        return None
    found = re.fullmatch(r"([0-9]{1,8})([HMSmun])", text)
    return error(3, f"invalid grpc-timeout: {text}") if found is None else int(found[1]) * _UNITS[found[2]]

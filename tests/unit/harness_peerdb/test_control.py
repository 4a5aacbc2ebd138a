"""The control API ``/_sim``, in process: what it takes, what it shows, how it refuses."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from tests.harness.peerdb.control import Control
from tests.harness.peerdb.engine import Engine
from tests.harness.peerdb.values import Status
from tests.unit.harness_peerdb.building import NAME, an_engine, changed, get, info, wire


class Desk:
    """A control API with an engine on a manual clock behind it."""

    def __init__(self) -> None:
        self.engine: Engine = an_engine()
        self.control = Control(self.engine, self._advance, "manual")

    def _advance(self, seconds: float) -> None:
        self.engine.run_until(self.engine.now + seconds)

    def ask(self, method: str, path: str, body: object = None, status: int = 200) -> dict[str, Any]:
        """One request that has to be answered with ``status``."""
        raw = b"" if body is None else json.dumps(body).encode()
        path, _, query = path.partition("?")
        reply = self.control.handle(method, path, query, raw)
        assert reply.status == status, reply.body
        return cast("dict[str, Any]", reply.json())


FULL = {
    "state": "PAUSED",
    "tables": [{"source": "public.a", "destination": "public.d_a", "exclude": ["x"], "partitionKey": "id",
                "engine": "CH_ENGINE_NULL", "shardingKey": "s", "policyName": "p", "partitionByExpr": "e",
                "columns": [{"sourceName": "c", "ordering": 2}]}],
    "batchSize": 5, "idleTimeoutSeconds": 6, "tags": {"owner": "x"}, "createdAt": "2026-01-02T03:04:05Z",
    "settings": {"K": "v"}, "snapshot": {"snapshotMaxParallelWorkers": 3}, "publication": "p",
}  # fmt: skip


def test_mirror_is_as_it_was_put_when_peerdb_is_asked() -> None:
    desk = Desk()

    desk.ask("PUT", "mirrors/m", FULL)

    config = info(desk.engine)
    assert desk.engine.state(NAME) is Status.PAUSED
    assert (config["maxBatchSize"], config["idleTimeoutSeconds"], config["env"]) == (5, "6", {"K": "v"})
    assert (config["snapshotMaxParallelWorkers"], config["publicationName"]) == (3, "p")
    assert config["tableMappings"] == [
        {
            "sourceTableIdentifier": "public.a", "destinationTableIdentifier": "public.d_a", "partitionKey": "id",
            "exclude": ["x"], "engine": "CH_ENGINE_NULL", "shardingKey": "s", "policyName": "p",
            "partitionByExpr": "e",
            "columns": [{"sourceName": "c", "destinationName": "", "destinationType": "", "ordering": 2,
                         "partitioning": 0, "nullableEnabled": False}],
        }
    ]  # fmt: skip
    assert get(desk.engine, "flows/tags/m").json() == {"flowName": "m", "tags": [{"key": "owner", "value": "x"}]}
    assert json.loads(get(desk.engine, "mirrors/list").body)["mirrors"][0]["createdAt"] == 1_767_323_045_000


@pytest.mark.parametrize(
    ("body", "words"),
    [({"state": "HAPPY"}, "unknown state 'HAPPY'"), ({"statex": "RUNNING"}, "statex: Extra inputs"),
     ({"tables": [{"source": "a", "engine": "X"}]}, "unknown engine 'X'"), ({"batchSize": -1}, "batchSize: "),
     ({"snapshot": {"x": 1}}, "unknown snapshot field"), ({"createdAt": "yesterday"}, "createdAt")],
)  # fmt: skip
def test_mirror_is_refused_with_a_sentence_when_its_description_is_wrong(body: dict[str, object], words: str) -> None:
    assert words in Desk().ask("PUT", "mirrors/m", body, status=400)["error"]


def test_knobs_are_turned_and_kept_when_patched() -> None:
    desk = Desk()

    desk.ask("PATCH", "knobs", {"t_stop": [1, 2], "maintenance": True})
    found = desk.ask("PATCH", "knobs", {"t_stop": None})

    assert (found["t_stop"], found["maintenance"]) == (None, True)
    assert desk.ask("GET", "knobs") == found
    for bad in ({"nope": 1}, [1]):
        assert desk.ask("PATCH", "knobs", bad, status=400)["error"]


def test_time_passes_when_the_clock_is_advanced() -> None:
    desk = Desk()
    start = desk.ask("GET", "clock")["now"]

    assert desk.ask("POST", "clock/advance", {"seconds": 12.5})["now"] == start + 12.5
    assert desk.ask("GET", "clock")["clock"] == "manual"
    assert "seconds" in desk.ask("POST", "clock/advance", {"seconds": -1}, status=400)["error"]


def test_log_has_every_request_reply_state_and_signal_in_order_when_read() -> None:
    desk = Desk()
    desk.ask("PUT", "mirrors/m", {"tables": [{"source": "public.a", "destination": "a"}], "state": "PAUSED"})
    after = desk.ask("GET", "log")["last"]
    changed(desk.engine, "RUNNING", {"removedTables": wire("zzz")})
    desk.ask("POST", "clock/advance", {"seconds": 10})

    events = desk.ask("GET", f"log?after={after}")["events"]

    assert [event["n"] for event in events] == list(range(after + 1, after + 1 + len(events)))
    assert [(event["kind"], event.get("what") or event.get("new")) for event in events] == [
        ("request", None), ("signal", "stored"), ("signal", "stored"), ("reply", None), ("signal", "received"),
        ("signal", "applied"), ("signal", "received"), ("signal", "ignored"), ("state", "MODIFYING"),
        ("state", "RUNNING"),
    ]  # fmt: skip
    assert json.loads(events[0]["body"])["flowJobName"] == "m"
    assert (events[3]["request"], events[3]["status"], events[3]["body"]) == (events[0]["n"], 200, "{}")
    assert desk.ask("GET", f"log?after={after}&limit=2")["events"] == events[:2]

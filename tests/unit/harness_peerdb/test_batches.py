"""``mirrors/cdc/batches``: what is read of the batches of a mirror, and when there are any."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.harness.peerdb.engine import Engine
from tests.harness.peerdb.values import Request, Status
from tests.unit.harness_peerdb.building import NAME, a_mirror, an_engine, changed, post


def read(engine: Engine, query: str = "limit=30", name: str = NAME) -> dict[str, Any]:
    reply = engine.finish(engine.handle(Request("GET", f"/v1/mirrors/cdc/batches/{name}", query=query)))
    assert reply.status == 200, reply.body
    answer: dict[str, Any] = json.loads(reply.body)
    return answer


def ids(engine: Engine, query: str) -> list[int]:
    return [int(batch["batchId"]) for batch in read(engine, query)["cdcBatches"]]


def a_busy_engine(seconds: float = 61.0) -> Engine:
    """A mirror that runs and has ended six batches; a seventh is under way."""
    engine = an_engine(traffic=True)
    a_mirror(engine)
    engine.run_until(engine.now + seconds)
    return engine


def test_a_mirror_without_traffic_has_no_batches() -> None:
    engine = an_engine()
    a_mirror(engine)
    engine.run_until(engine.now + 600)
    assert read(engine) == {"cdcBatches": [], "total": 0, "page": 1}


def test_an_unknown_mirror_has_none_either() -> None:
    assert read(an_engine(), name="nope") == {"cdcBatches": [], "total": 0, "page": 1}
    assert read(an_engine(), "", name="nope") == {"cdcBatches": [], "total": 0, "page": 0}


def test_the_newest_comes_first_and_is_still_under_way() -> None:
    newest, older = read(a_busy_engine(), "limit=2")["cdcBatches"]
    assert (newest["batchId"], newest["endTime"], newest["numRows"], newest["endLsn"]) == ("7", None, "0", "0")
    assert (older["batchId"], older["endTime"]) == ("6", newest["startTime"])
    assert older["endLsn"] != "0"


@pytest.mark.parametrize(
    ("query", "expected", "page"),
    [
        ("limit=3", [7, 6, 5], 1),
        ("limit=3&ascending=true", [5, 6, 7], 2),
        ("limit=3&beforeId=3", [2, 1], 2),
        ("limit=3&before_id=3", [2, 1], 2),
        ("limit=3&beforeId=-1&afterId=2", [5, 4, 3], 1),
        ("limit=3&afterId=2", [], 1),
        ("limit=3&beforeId=-1&afterId=99", [], 1),
        ("limit=30&unknown=1", [7, 6, 5, 4, 3, 2, 1], 1),
    ],
)
def test_pages_are_cut_as_peerdb_cuts_them(query: str, expected: list[int], page: int) -> None:
    engine = a_busy_engine()
    assert ids(engine, query) == expected
    assert (read(engine, query)["page"], read(engine, query)["total"]) == (page, 7)


@pytest.mark.parametrize("query", ["ascending=maybe", "limit=x"])
def test_a_parameter_that_is_none_is_refused(query: str) -> None:
    engine = an_engine()
    reply = engine.finish(engine.handle(Request("GET", f"/v1/mirrors/cdc/batches/{NAME}", query=query)))
    assert (reply.status, json.loads(reply.body)["code"]) == (400, 3)


def test_a_post_asks_the_same() -> None:
    engine = a_busy_engine()
    answer = json.loads(post(engine, "mirrors/cdc/batches", {"flowJobName": NAME, "limit": 2}).body)
    assert answer == read(engine, "limit=2")


def test_no_batch_ends_while_the_mirror_is_paused() -> None:
    engine = a_busy_engine()
    changed(engine, "PAUSED")
    engine.run_until(engine.now + 30)
    ended = ids(engine, "limit=1")
    engine.run_until(engine.now + 600)
    assert ids(engine, "limit=1") == ended
    changed(engine, "RUNNING")
    engine.run_until(engine.now + 60)
    assert ids(engine, "limit=1")[0] > ended[0]


@pytest.mark.parametrize("knob", [{"workers_down": True}, {"failing_sync": True}, {"traffic": False}])
def test_no_batch_ends_while_nothing_is_synced(knob: dict[str, object]) -> None:
    engine = a_busy_engine()
    engine.turn(**knob)
    engine.run_until(engine.now + 600)
    assert [batch["batchId"] for batch in read(engine, "limit=1")["cdcBatches"]] == ["6"]


def test_no_batch_ends_without_a_workflow() -> None:
    engine = a_busy_engine()
    engine.orphan(NAME)
    engine.run_until(engine.now + 600)
    assert ids(engine, "limit=1") == [6]


def test_synced_batches_stay_open_until_they_reach_the_destination() -> None:
    engine = a_busy_engine()
    engine.turn(failing_normalize=True)
    engine.run_until(engine.now + 30)
    waiting = [one for one in read(engine)["cdcBatches"] if one["endTime"] is None and one["endLsn"] != "0"]
    assert [one["batchId"] for one in waiting] == ["9", "8", "7"]
    engine.turn(failing_normalize=False)
    engine.run_until(engine.now + 11)
    assert [one["batchId"] for one in read(engine)["cdcBatches"] if one["endTime"] is None] == ["11"]


def test_batches_survive_the_mirror_and_go_with_its_statistics() -> None:
    engine = a_busy_engine()
    engine.remove_mirror(NAME)
    a_mirror(engine)
    assert ids(engine, "limit=30") == [7, 6, 5, 4, 3, 2, 1]
    changed(engine, "TERMINATING", dropMirrorStats=True)
    engine.run_until(engine.now + 60)
    assert engine.state(NAME) is None
    assert ids(engine, "limit=30") == []


def test_a_batch_can_be_finished_by_hand() -> None:
    engine = an_engine()
    a_mirror(engine)
    engine.world.batches.finish(NAME)
    assert engine.world.batches.newest_end(NAME) == engine.now
    assert engine.state(NAME) is Status.RUNNING

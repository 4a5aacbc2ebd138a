"""Refusals of state_change and the reads, and the endpoints beside them."""

from __future__ import annotations

import json

import pytest

from tests.harness.peerdb.values import Status
from tests.unit.harness_peerdb.building import (
    NAME,
    a_mirror,
    an_engine,
    changed,
    get,
    info,
    mapped,
    post,
    refusal,
    states,
    watch,
    wire,
)  # fmt: skip

BUSY = (503, 14, "PeerDB is under maintenance. Please retry in a few minutes")


@pytest.mark.parametrize("state", [None, "PAUSED", "TERMINATING", "RESYNC", 99])
def test_unknown_mirror_is_not_found_before_anything_else_when_a_state_is_requested(state: object) -> None:
    assert refusal(changed(an_engine(), state)) == (404, 5, "flow m not found")


def test_older_releases_word_it_otherwise_when_the_knob_says_so() -> None:
    engine = an_engine(not_found_shape="500", reply_shape="ok")
    text = "unable to get workflowID for flow job m: no rows in result set"

    assert refusal(changed(engine, "PAUSED")) == (500, 2, text)
    assert refusal(post(engine, "mirrors/status", {"flowJobName": NAME})) == (500, 2, text)
    a_mirror(engine)
    assert changed(engine, "PAUSED").json() == {"ok": True, "errorMessage": ""}


def test_maintenance_comes_before_the_mirror_when_a_state_is_requested() -> None:
    engine = an_engine(maintenance=True)
    a_mirror(engine)

    assert refusal(changed(engine, "PAUSED")) == BUSY
    assert refusal(post(engine, "mirrors/state_change", {"flowJobName": "nope"})) == BUSY
    assert post(engine, "mirrors/status", {"flowJobName": NAME}).status == 200
    assert get(engine, "mirrors/list").status == 200
    assert get(engine, "instance/info").json() == {"status": "INSTANCE_STATUS_MAINTENANCE"}
    assert states(engine) == ["RUNNING"]


# -- workers and Temporal ----------------------------------------------------------------------------------------------


def test_signals_wait_in_order_when_the_workers_are_down() -> None:
    engine = an_engine()
    a_mirror(engine, "a")
    engine.turn(workers_down=True)

    changed(engine, "RUNNING", {"additionalTables": wire("b")})
    changed(engine, "RUNNING", {"batchSize": 9})
    changed(engine, "PAUSED")
    assert watch(engine, 600) == []
    engine.turn(workers_down=False, t_stop=None)
    back = engine.now

    assert watch(engine, 90) == ["PAUSING", "PAUSED", "RUNNING"]
    assert mapped(info(engine)) == ["a"]
    stopped = next(event.at for event in engine.log.after(3) if getattr(event, "new", "") == "PAUSED")
    assert 35 <= stopped - back <= 60


def test_transient_phase_stands_still_when_the_workers_are_down() -> None:
    engine = an_engine(t_snapshot=10)
    a_mirror(engine, state=Status.SNAPSHOT)
    engine.run_until(engine.now + 5)
    engine.turn(workers_down=True)
    assert watch(engine, 600) == []

    engine.turn(workers_down=False)

    assert watch(engine, 4.9) == []
    assert watch(engine, 0.2) == ["RUNNING"]


# -- beside the mirrors ------------------------------------------------------------------------------------------------


def test_tags_are_replaced_and_an_empty_list_changes_nothing_when_posted() -> None:
    engine = an_engine()
    a_mirror(engine)
    first = [{"key": "owner", "value": "uid"}, {"key": "b", "value": ""}]

    assert get(engine, "flows/tags/m").json() == {"flowName": "m", "tags": []}
    assert post(engine, "flows/tags", {"flowName": "m", "tags": first}).json() == {"flowName": "m"}
    post(engine, "flows/tags", {"flowName": "m", "tags": []})
    assert sorted(tag["key"] for tag in json.loads(get(engine, "flows/tags/m").body)["tags"]) == ["b", "owner"]
    post(engine, "flows/tags", {"flowName": "m", "tags": [{"key": "only", "value": "x"}]})
    assert json.loads(get(engine, "flows/tags/m").body)["tags"] == [{"key": "only", "value": "x"}]


def test_tags_of_an_unknown_mirror_are_not_found_when_asked_for() -> None:
    engine = an_engine()

    assert refusal(get(engine, "flows/tags/nope")) == (404, 5, "flow nope does not exist")
    assert refusal(post(engine, "flows/tags", {"tags": []})) == (404, 5, "flow  does not exist")


# -- logs --------------------------------------------------------------------------------------------------------------


def page(reply_body: bytes) -> list[int]:
    """The ids of a page of log lines."""
    return [line["id"] for line in json.loads(reply_body)["errors"]]


def test_logs_are_matched_by_substring_newest_first_when_asked_for() -> None:
    engine = an_engine()
    for flow, level in (("m", "info"), ("m_2", "error"), ("clone_m_public_a_x", "error"), ("other", "warn")):
        engine.world.say(flow, f"line of {flow}", level)

    everything = post(engine, "mirrors/logs", {"numPerPage": 10})
    assert page(everything.body) == [4, 3, 2, 1]
    assert page(post(engine, "mirrors/logs", {"flowJobName": "m", "numPerPage": 10}).body) == [3, 2, 1]
    errors = post(engine, "mirrors/logs", {"flowJobName": "m", "level": "error", "numPerPage": 1})
    assert json.loads(errors.body) == {
        "errors": [{"flowName": "clone_m_public_a_x", "errorMessage": "line of clone_m_public_a_x",
                    "errorType": "error", "errorTimestamp": 1_700_000_000_000, "id": 3}],
        "total": 2, "page": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("cursor", "ids"),
    [({"beforeId": 8}, [7, 6, 5]), ({"beforeId": -1, "afterId": 5}, [8, 7, 6]), ({}, [12, 11, 10]),
     ({"page": 2}, [9, 8, 7]), ({"beforeId": -1, "afterId": 11}, [12])],
)  # fmt: skip
def test_logs_are_paged_by_cursor_when_one_is_given(cursor: dict[str, int], ids: list[int]) -> None:
    engine = an_engine()
    for number in range(12):
        engine.world.say("m", f"line {number}")

    assert page(post(engine, "mirrors/logs", {"numPerPage": 3, **cursor}).body) == ids

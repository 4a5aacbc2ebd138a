"""Refusals of state_change and the reads, and the endpoints beside them."""

from __future__ import annotations

import json

import pytest

from tests.harness.peerdb.values import Status
from tests.unit.harness_peerdb.building import (
    NAME,
    a_mirror,
    an_engine,
    change,
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


def test_empty_name_is_a_name_when_it_is_asked_for() -> None:
    engine = an_engine()

    assert refusal(post(engine, "mirrors/status")) == (404, 5, "flow  not found")
    engine.put_mirror("")
    assert post(engine, "mirrors/status").status == 200


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


def test_maintenance_follows_the_dynamic_setting_when_it_is_posted() -> None:
    engine = an_engine()
    name = "PEERDB_MAINTENANCE_MODE_ENABLED"

    assert post(engine, "dynamic_settings", {"name": name, "value": "true"}).json() == {}
    assert get(engine, "instance/info").json() == {"status": "INSTANCE_STATUS_MAINTENANCE"}
    post(engine, "dynamic_settings", {"name": name, "value": "false"})
    assert get(engine, "instance/info").json() == {"status": "INSTANCE_STATUS_READY"}
    post(engine, "dynamic_settings", {"name": "PEERDB_MISSPELT", "value": "false"})
    listed = {one["name"]: one for one in json.loads(get(engine, "dynamic_settings").body)["settings"]}
    assert listed[name] == {"name": name, "value": "false", "defaultValue": "false"}
    assert listed["PEERDB_NULLABLE"] == {"name": "PEERDB_NULLABLE", "defaultValue": "false"}
    assert "PEERDB_MISSPELT" not in listed


@pytest.mark.parametrize("state", ["RUNNING", "COMPLETED", "FAILED"])
def test_query_replication_mirror_cannot_be_resynced_when_asked_to(state: str) -> None:
    engine = an_engine()
    a_mirror(engine, state=Status[state], is_cdc=False)
    status, code = (400, 3) if state == "RUNNING" else (500, 13)

    assert refusal(changed(engine, "RESYNC")) == (status, code, "resync is only supported for CDC mirrors")


def test_query_replication_mirror_ignores_updates_and_pauses_when_asked_to() -> None:
    engine = an_engine()
    a_mirror(engine, is_cdc=False, batch=1)

    changed(engine, "PAUSED", {"batchSize": 9})

    assert watch(engine) == ["PAUSING", "PAUSED"]
    reply = post(engine, "mirrors/status", {"flowJobName": NAME, "includeFlowInfo": True})
    assert set(json.loads(reply.body)) == {"flowJobName", "qrepStatus", "currentFlowState", "createdAt"}
    assert json.loads(get(engine, "mirrors/list").body)["mirrors"][0]["isCdc"] is False


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


def test_info_fails_after_ten_seconds_when_the_workers_are_down() -> None:
    engine = an_engine(workers_down=True)
    a_mirror(engine)
    start = engine.now

    reply = post(engine, "mirrors/status", {"flowJobName": NAME, "includeFlowInfo": True})

    head = "unable to obtain CDC information for mirror m: failed to get state in workflow with ID m-peerflow: "
    assert refusal(reply)[:2] == (500, 13)
    assert refusal(reply)[2].startswith(head)
    assert 9 <= engine.now - start <= 10
    assert post(engine, "mirrors/status", {"flowJobName": NAME}).status == 200


def test_transient_phase_stands_still_when_the_workers_are_down() -> None:
    engine = an_engine(t_snapshot=10)
    a_mirror(engine, state=Status.SNAPSHOT)
    engine.run_until(engine.now + 5)
    engine.turn(workers_down=True)
    assert watch(engine, 600) == []

    engine.turn(workers_down=False)

    assert watch(engine, 4.9) == []
    assert watch(engine, 0.2) == ["RUNNING"]


def test_signalling_calls_fail_after_ten_seconds_when_temporal_is_down() -> None:
    engine = an_engine(temporal_down=True)
    a_mirror(engine)
    start = engine.now
    late = "context deadline exceeded"

    assert refusal(changed(engine, "PAUSED")) == (500, 13, f"unable to signal workflow: {late}")
    assert refusal(changed(engine, "PAUSED", {})) == (500, 13, f"unable to signal workflow update: {late}")
    assert refusal(changed(engine, "RESYNC"))[:2] == (500, 13)
    assert engine.now - start == pytest.approx(30.1)
    assert changed(engine, "RUNNING").status == 200
    assert refusal(changed(engine, "SETUP"))[:2] == (400, 3)
    assert get(engine, "instance/info").json() == {"status": "INSTANCE_STATUS_READY"}
    assert engine.now - start == pytest.approx(30.1)


def test_synchronous_drop_ends_after_six_minutes_and_goes_on_when_no_worker_runs() -> None:
    engine = an_engine()
    a_mirror(engine, state=Status.FAILED)
    engine.turn(workers_down=True)
    start = engine.now

    reply = changed(engine, "TERMINATING")

    assert refusal(reply)[:2] == (500, 13)
    assert engine.now - start == pytest.approx(360)
    engine.turn(workers_down=False)
    assert watch(engine) == ["GONE"]


def test_synchronous_drop_has_no_limit_when_the_mirror_is_completed() -> None:
    engine = an_engine(stuck_drop=True)
    a_mirror(engine, state=Status.COMPLETED)
    answer = change(engine, "TERMINATING")

    engine.run_until(engine.now + 3000)
    assert getattr(answer, "reply", "") is None
    engine.turn(stuck_drop=False)

    assert engine.finish(answer).status == 200


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


def test_tags_are_away_for_a_moment_when_a_completed_mirror_is_resynced() -> None:
    engine = an_engine(t_validate=0.1, t_sync_drop=1.0, t_recreate=1.0, t_retag=1.0)
    a_mirror(engine, state=Status.COMPLETED, tags={"owner": "x"})
    change(engine, "RESYNC")
    seen = []

    for _ in range(4):
        engine.run_until(engine.now + 0.9)
        reply = get(engine, "flows/tags/m")
        seen.append(json.loads(reply.body).get("tags", reply.status))

    owner = [{"key": "owner", "value": "x"}]
    assert seen == [owner, 404, [], owner]


def test_list_shows_every_kind_of_mirror_when_asked_for() -> None:
    engine = an_engine()
    engine.put_mirror("a", created_at=1_700_000_000.123)
    engine.put_mirror("b", state=Status.PAUSED, is_cdc=False)

    listed = json.loads(get(engine, "mirrors/list").body)["mirrors"]

    assert listed[0] == {
        "id": "1", "workflowId": "a-peerflow", "name": "a", "sourceName": "src", "sourceType": "POSTGRES",
        "destinationName": "dst", "destinationType": "CLICKHOUSE", "createdAt": 1_700_000_000_123, "isCdc": True,
        "status": "STATUS_RUNNING",
    }  # fmt: skip
    assert [row["name"] for row in listed] == ["a", "b"]
    changed_row = engine.world.mirrors["a"]
    engine.world.set_status(changed_row, Status.FAILED)
    assert [row["name"] for row in json.loads(get(engine, "mirrors/list").body)["mirrors"]] == ["b", "a"]


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


def test_page_of_logs_is_empty_when_its_size_is_zero_and_refused_when_negative() -> None:
    engine = an_engine()
    engine.world.say("m", "x")

    assert json.loads(post(engine, "mirrors/logs", {}).body) == {"errors": [], "total": 1, "page": 0}
    text = "failed to collect mirror logs: ERROR: LIMIT must not be negative (SQLSTATE 2201W)"
    assert refusal(post(engine, "mirrors/logs", {"numPerPage": -1})) == (500, 13, text)


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


def test_accepted_signals_are_logged_when_they_are_stored() -> None:
    engine = an_engine()
    a_mirror(engine)
    for state, update in (("PAUSED", None), ("RUNNING", {"batchSize": 1}), ("RESYNC", None), ("TERMINATED", None)):
        changed(engine, state, update)
    engine.run_until(engine.now + 60)
    changed(engine, "TERMINATING")
    engine.run_until(engine.now + 60)

    lines = [line.message for line in engine.world.journal.lines if not line.flow.startswith("clone_")]
    assert lines == [
        "Mirror pause signaled", "Flow config update signaled", "Mirror resync signaled",
        "Mirror termination signaled", "Mirror termination signaled",
        "Cleaned up destination peer replication objects. Any metadata storage has been dropped.",
        "Cleaned up source peer replication objects.",
    ]  # fmt: skip

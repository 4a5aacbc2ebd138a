"""Knobs: each does what it says, and bad ones are refused."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from tests.harness.peerdb.knobs import Knobs
from tests.harness.peerdb.process import ROOT
from tests.harness.peerdb.spans import DEFAULTS, Span
from tests.harness.peerdb.values import Deferred, Fault, Reply, Status
from tests.unit.harness_peerdb.building import (
    GONE,
    NAME,
    a_mirror,
    an_engine,
    change,
    changed,
    fates,
    get,
    info,
    paused,
    post,
    refusal,
    watch,
    wire,
)  # fmt: skip


def test_every_span_has_a_knob_and_a_range_when_durations_are_drawn() -> None:
    assert {span.value for span in Span} == {name for name in Knobs.model_fields if name.startswith("t_")}
    assert set(DEFAULTS) == set(Span)


@pytest.mark.parametrize("patch", [{"bogus": 1}, {"t_stop": -1}, {"t_stop": [3, 1]}, {"update_race": "win"},
                                   {"lose_next_signals": -1}])  # fmt: skip
def test_knob_is_refused_when_it_is_unknown_or_out_of_range(patch: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        an_engine().turn(**patch)


def test_duration_lies_in_its_range_when_a_knob_gives_one() -> None:
    engine = an_engine(t_stop=[2.0, 3.0])
    for _ in range(20):
        a_mirror(engine)
        changed(engine, "PAUSED")
        engine.run_until(engine.now + 1.9)
        assert engine.state(NAME) is Status.PAUSING
        engine.run_until(engine.now + 1.3)
        assert engine.state(NAME) is Status.PAUSED


def test_pause_is_quick_when_the_sync_is_failing() -> None:
    engine = an_engine(t_stop=None, failing_sync=True)
    a_mirror(engine)
    changed(engine, "PAUSED")

    assert watch(engine, 1.1) == ["PAUSING", "PAUSED"]


def test_signal_is_lost_after_a_200_when_the_knob_says_so() -> None:
    engine = an_engine(lose_next_signals=1)
    a_mirror(engine)

    assert changed(engine, "PAUSED").status == 200
    assert watch(engine) == []
    assert fates(engine, "lost") == ["STATUS_PAUSED"]
    changed(engine, "PAUSED")
    assert watch(engine) == ["PAUSING", "PAUSED"]


def test_workflow_is_gone_when_a_mirror_is_orphaned() -> None:
    engine = an_engine()
    a_mirror(engine)
    engine.put_mirror("other")

    engine.turn(orphan=[NAME])

    assert changed(engine, "PAUSED").status == 500
    body = {"flowJobName": "other", "requestedFlowState": "STATUS_PAUSED"}
    assert post(engine, "mirrors/state_change", body).status == 200


def test_signals_are_ignored_when_the_workflow_is_wedged() -> None:
    engine = an_engine(wedged=[NAME])
    a_mirror(engine)

    assert changed(engine, "TERMINATING").status == 200
    assert watch(engine) == []
    assert post(engine, "mirrors/status", {"flowJobName": NAME, "includeFlowInfo": True}).status == 500


@pytest.mark.parametrize(
    ("knob", "update", "state"),
    [("stuck_addition", {"additionalTables": wire("c")}, "SNAPSHOT"), ("stuck_removal", {"removedTables": wire("a")},
                                                                        "MODIFYING")],
)  # fmt: skip
def test_table_change_hangs_until_the_knob_is_turned_back_when_it_is_stuck(
    knob: str, update: dict[str, object], state: str
) -> None:
    engine = an_engine()
    engine.turn(**{knob: [NAME]})
    paused(engine)

    changed(engine, "RUNNING", update)
    assert watch(engine, 3600) == [state]
    engine.turn(**{knob: False})

    assert watch(engine, 30) == ["RUNNING"]


def test_addition_ends_failed_when_the_knob_says_so() -> None:
    engine = an_engine(failing_addition=True)
    paused(engine)

    changed(engine, "RUNNING", {"additionalTables": wire("c")})

    assert watch(engine) == ["SNAPSHOT", "FAILED"]


def test_drop_hangs_with_error_lines_when_it_is_stuck() -> None:
    engine = an_engine(stuck_drop=True)
    a_mirror(engine)
    changed(engine, "TERMINATING")

    assert watch(engine, 600) == ["TERMINATING"]
    assert engine.world.journal.lines[-1].message.startswith("DropFlow Error: [DropFlowDestination]")
    engine.turn(stuck_drop=False)
    assert watch(engine, 10) == [GONE]


def test_stored_value_differs_from_the_sent_one_when_a_field_is_normalised() -> None:
    fixed = {"batchSize": 100, "partitionKey": "id", "exclude": ["x"], "env.K": "1", "snapshotMaxParallelWorkers": 2}
    engine = an_engine(normalise=fixed)
    paused(engine, "a")

    changed(engine, "RUNNING", {"batchSize": 7, "additionalTables": wire("b"), "updatedEnv": {"K": "9"},
                                "snapshotMaxParallelWorkers": 8})  # fmt: skip
    engine.run_until(engine.now + 20)

    config = info(engine)
    assert (config["maxBatchSize"], config["env"], config["snapshotMaxParallelWorkers"]) == (100, {"K": "1"}, 2)
    assert (config["tableMappings"][1]["partitionKey"], config["tableMappings"][1]["exclude"]) == ("id", ["x"])


# -- faults on the line ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("knob", "paused_after"), [("reset_before", False), ("reset_after", True)])
def test_connection_breaks_before_or_after_the_effect_when_it_is_reset(knob: str, *, paused_after: bool) -> None:
    engine = an_engine()
    engine.turn(**{knob: 1})
    a_mirror(engine)

    reply = changed(engine, "PAUSED")
    engine.run_until(engine.now + 10)

    assert (reply.status, reply.fault) == (0, Fault.RESET)
    assert (engine.state(NAME) is Status.PAUSED) is paused_after
    assert changed(engine, "PAUSED").status == 200


def test_answer_is_html_when_a_proxy_stands_in_between() -> None:
    engine = an_engine(bad_gateway=2)

    replies = [get(engine, "version") for _ in range(3)]

    assert [reply.status for reply in replies] == [502, 502, 200]
    assert replies[0].content_type == "text/html"


def test_a_share_of_the_requests_is_refused_at_once_when_a_replica_is_broken() -> None:
    engine = an_engine(unavailable=0.5, latency=5.0)
    a_mirror(engine)

    answers = [change(engine, "PAUSED") for _ in range(100)]

    refused = [answer for answer in answers if isinstance(answer, Reply)]
    assert {answer.status for answer in refused} == {503}
    assert 30 <= len(refused) <= 70


def test_a_refused_request_has_no_effect_when_every_replica_is_broken() -> None:
    engine = an_engine(unavailable=1.0)
    a_mirror(engine)

    assert changed(engine, "PAUSED").status == 503
    engine.run_until(engine.now + 10)
    assert engine.state(NAME) is Status.RUNNING


def test_answer_is_429_when_it_is_oversize() -> None:
    assert refusal(get(an_engine(oversize=True), "version"))[:2] == (429, 8)


def test_fault_strikes_one_endpoint_when_a_path_is_given() -> None:
    engine = an_engine(bad_gateway=True, fault_path="mirrors/status")

    assert get(engine, "version").status == 200
    assert post(engine, "mirrors/status", {}).status == 502


def test_answer_is_late_and_the_effect_is_not_when_there_is_latency() -> None:
    engine = an_engine(latency=5.0)
    a_mirror(engine)
    start = engine.now

    answer = change(engine, "PAUSED")
    assert isinstance(answer, Deferred)
    assert answer.due == start + 5.0
    engine.run_until(start + 4.9)

    assert (answer.reply, engine.state(NAME)) == (None, Status.PAUSED)
    engine.run_until(start + 5.1)
    assert answer.reply is not None


def test_every_knob_is_described_when_users_read_the_page() -> None:
    page = (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")

    assert [name for name in Knobs.model_fields if f"`{name}`" not in page] == []


def test_mirrors_are_paused_and_resumed_when_peerdb_maintains_itself() -> None:
    engine = an_engine()
    a_mirror(engine, batch=1000)
    changed(engine, "RUNNING", {"batchSize": 9})
    engine.put_mirror("rests", state=Status.PAUSED)

    engine.turn(maintenance_run=True)
    assert refusal(changed(engine, "RUNNING"))[:2] == (503, 14)
    assert watch(engine, 30) == ["PAUSING", "PAUSED", "RUNNING", "PAUSING", "PAUSED"]
    engine.turn(maintenance_run=False)

    assert watch(engine, 30) == ["RUNNING"]
    assert (info(engine)["maxBatchSize"], engine.state("rests")) == (9, Status.PAUSED)


def test_knobs_survive_a_round_trip_when_they_are_written_as_json() -> None:
    knobs = Knobs().patched({"t_stop": [1, 2], "orphan": ["a"], "normalise": {"batchSize": 1}})

    assert Knobs.model_validate(json.loads(knobs.model_dump_json())) == knobs

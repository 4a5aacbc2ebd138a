"""What the bench makes of a simulator's log, and of a page."""

import json

import pytest

from tests.bench.analysis import Command, Event, commands, latencies, percentile, stops
from tests.bench.report import BEGIN, END, put_between_markers
from tests.bench.scrape import count


def a_request(at: float, path: str, **body: object) -> Event:
    return {"kind": "request", "at": at, "path": path, "body": json.dumps(body)}


def a_command(at: float, mirror: str, wanted: str, **more: object) -> Event:
    return a_request(at, "/v1/mirrors/state_change", flowJobName=mirror, requestedFlowState=wanted, **more)


def a_state(at: float, mirror: str, new: str) -> Event:
    return {"kind": "state", "at": at, "mirror": mirror, "new": new}


@pytest.mark.parametrize(("percent", "found"), [(50, 5), (99, 10), (100, 10), (1, 1)])
def test_the_percentile_is_the_nearest_measured_value(percent: float, found: float) -> None:
    assert percentile(range(10, 0, -1), percent) == found


def test_only_state_changes_are_commands_and_edits_are_told_apart() -> None:
    log = [
        a_request(1.0, "/v1/mirrors/status", flowJobName="a"),
        a_command(2.0, "a", "STATUS_PAUSED"),
        a_command(3.0, "a", "STATUS_RUNNING", flowConfigUpdate={}),
    ]
    assert commands(log) == [
        Command(2.0, "a", "STATUS_PAUSED", edit=False),
        Command(3.0, "a", "STATUS_RUNNING", edit=True),
    ]


def test_a_latency_ends_with_the_first_command_of_the_same_mirror_and_wish_after_the_edit() -> None:
    received = [
        Command(0.5, "a", "STATUS_PAUSED", edit=False),
        Command(1.1, "b", "STATUS_PAUSED", edit=False),
        Command(1.2, "a", "STATUS_RUNNING", edit=False),
        Command(1.3, "a", "STATUS_PAUSED", edit=False),
        Command(1.9, "a", "STATUS_PAUSED", edit=False),
    ]
    assert latencies([(1.0, "a", "STATUS_PAUSED")], received) == [pytest.approx(0.3)]


def test_a_stop_is_split_into_the_wait_for_the_edit_and_what_peerdb_took() -> None:
    log = [
        a_state(10.0, "a", "PAUSING"),
        a_state(16.0, "a", "PAUSED"),
        a_state(16.5, "b", "PAUSED"),
        a_command(16.8, "a", "STATUS_RUNNING", flowConfigUpdate={}),
        a_state(17.0, "a", "SNAPSHOT"),
        a_state(22.0, "a", "RUNNING"),
    ]
    (stop,) = stops(log)
    assert (stop.mirror, stop.whole) == ("a", 12.0)
    assert stop.operator == pytest.approx(0.8)
    assert stop.simulator == pytest.approx(11.2)


def test_a_series_is_of_a_mirror_when_it_names_the_namespace_of_one() -> None:
    lines = [
        "# HELP peerdb_operator_mirror_info Always 1.",
        'peerdb_operator_mirror_info{mirror="a",name="a",namespace="data",reason="Running",state="Running"} 1.0',
        'peerdb_operator_mirror_paused_seconds_bucket{le="1.0"} 0.0',
        "process_open_fds 9.0",
        "",
    ]
    assert count(lines) == (3, 1)


def test_the_section_replaces_what_is_between_the_markers_and_nothing_else() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert put_between_markers(page, "new") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"

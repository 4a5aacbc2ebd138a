"""What the bench makes of a simulator's log, and of a page."""

import datetime as dt
import json

import pytest

from tests.bench.analysis import Command, Event, Stop, calls, commands, latencies, percentile, stops
from tests.bench.burst import Burst
from tests.bench.latency import Latency
from tests.bench.memory import Weight
from tests.bench.report import BEGIN, END, put_between_markers, render
from tests.bench.scrape import Scrape, count


def a_request(at: float, path: str, **body: object) -> Event:
    return {"kind": "request", "at": at, "path": path, "body": json.dumps(body)}


def a_command(at: float, mirror: str, wanted: str, **more: object) -> Event:
    return a_request(at, "/v1/mirrors/state_change", flowJobName=mirror, requestedFlowState=wanted, **more)


def a_state(at: float, mirror: str, new: str) -> Event:
    return {"kind": "state", "at": at, "mirror": mirror, "new": new}


@pytest.mark.parametrize(("percent", "found"), [(50, 5), (99, 10), (100, 10), (1, 1)])
def test_the_percentile_is_the_nearest_measured_value(percent: float, found: float) -> None:
    assert percentile(range(10, 0, -1), percent) == found


def test_a_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        percentile([], 50)


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


def test_calls_are_counted_by_path_and_all_tags_as_one() -> None:
    log = [
        a_request(1.0, "/v1/flows/tags/a"),
        a_request(2.0, "/v1/flows/tags"),
        a_request(3.0, "/v1/mirrors/list"),
        a_state(4.0, "a", "PAUSED"),
    ]
    assert calls(log) == {"flows/tags": 2, "mirrors/list": 1}


def test_a_latency_ends_with_the_first_command_of_the_same_mirror_and_wish_after_the_edit() -> None:
    received = [
        Command(0.5, "a", "STATUS_PAUSED", edit=False),
        Command(1.1, "b", "STATUS_PAUSED", edit=False),
        Command(1.2, "a", "STATUS_RUNNING", edit=False),
        Command(1.3, "a", "STATUS_PAUSED", edit=False),
        Command(1.9, "a", "STATUS_PAUSED", edit=False),
    ]
    assert latencies([(1.0, "a", "STATUS_PAUSED")], received) == [pytest.approx(0.3)]


def test_a_command_that_never_came_is_named() -> None:
    with pytest.raises(ValueError, match="a was never asked for STATUS_PAUSED"):
        latencies([(1.0, "a", "STATUS_PAUSED")], [])


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


def test_a_stop_that_has_not_ended_is_left_out() -> None:
    assert stops([a_state(1.0, "a", "PAUSING"), a_state(2.0, "a", "PAUSED")]) == []


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


@pytest.mark.parametrize("page", ["no marker", f"{BEGIN}", f"{END} before {BEGIN}"])
def test_a_page_without_both_markers_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="the page needs"):
        put_between_markers(page, "new")


def test_the_section_shows_ratios_first_as_measured() -> None:
    section = render(
        Latency(1, floor=[0.008], operator=[0.016]),
        [
            Weight(1, 1, 6.0, 80.0, 70.0, 35.0, Scrape(405, 5, 40_960, 0.01)),
            Weight(5_000, 4_999, 99.0, 160.0, 140.0, 40.0, Scrape(25_400, 25_000, 2_662_400, 0.6)),
        ],
        Burst(
            2,
            30.0,
            29.0,
            2,
            2,
            {"mirrors/status": 7},
            [Stop("a", 11.0, 1.0), Stop("b", 10.0, 0.5)],
            [Stop("c", 9, 0.6)],
        ),
        minutes=12,
        loads=(0.5, 2.5),
        moment=dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
    )
    assert section.index("### Ratios") < section.index("### From") < section.index("### Memory")
    assert "Measured on 2026-01-02" in section
    assert "load was 0.5 before the run and 2.5 at its end" in section
    assert "| latency p50, operator to bare loop | 2.0 |" in section
    assert "| memory, 5,000 Mirrors to 1 | 2.00 |" in section
    assert "| processor time of a scrape every 30 s at 5,000 Mirrors, to one core | 0.020 |" in section
    assert "| 5,000 | 25,400 | 25,000 | 2,600 KiB | 600.0 ms |" in section
    assert "| 2 edits: time stood still to what PeerDB itself took, all mirrors | 1.08 |" in section
    assert "| 2 edits: time to converge to PeerDB's slowest single stop | 3.0 |" in section
    assert "| calls of mirrors/status | 7 |" in section

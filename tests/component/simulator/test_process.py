"""The simulator as a process: two ports, one control API, an orderly end."""

from __future__ import annotations

import base64
import json
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.harness.peerdb.process import SimulatorProcess, call

PASSWORD = "a password"
TABLES = [{"source": "public.a", "destination": "a"}]


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    """A simulator with a password on a manual clock."""
    with SimulatorProcess.start(password=PASSWORD, clock="manual", knobs={"t_stop": 1.0}) as running:
        yield running


def until(holds: Callable[[], bool]) -> None:
    """Ask again until something is so; the asking itself takes the time."""
    for _ in range(5000):
        if holds():
            return
    pytest.fail("it never came to that")


def basic(password: str) -> dict[str, object]:
    """The header of the web UI's password."""
    return {"authorization": "Basic " + base64.b64encode(f":{password}".encode()).decode()}


def test_gateway_and_ui_answer_on_ports_of_their_own_when_it_runs(simulator: SimulatorProcess) -> None:
    assert call(simulator.gateway_url, "GET", "/v1/version").status == 200
    assert call(simulator.gateway_url, "GET", "/api/v1/version").status == 404
    assert call(simulator.ui_url, "GET", "/v1/version", headers=basic(PASSWORD)).status == 404
    assert call(simulator.ui_api_url, "GET", "/v1/version").status == 307
    assert call(simulator.ui_api_url, "GET", "/v1/version", headers=basic("wrong")).status == 403
    assert call(simulator.ui_api_url, "GET", "/v1/version", headers=basic(PASSWORD)).status == 200
    assert call(simulator.ui_url, "GET", "/_sim/clock", headers=basic(PASSWORD)).status == 404


def test_mirror_pauses_when_the_clock_is_advanced(simulator: SimulatorProcess) -> None:
    simulator.put_mirror("m", tables=TABLES)
    mark = simulator.last_event()
    body = json.dumps({"flowJobName": "m", "requestedFlowState": "STATUS_PAUSED"}).encode()
    assert call(simulator.gateway_url, "POST", "/v1/mirrors/state_change", body).body == b"{}"
    assert simulator.state("m") == "RUNNING"

    simulator.advance(30)

    assert simulator.state("m") == "PAUSED"
    changes = [event["new"] for event in simulator.log(mark) if event["kind"] == "state"]
    assert changes == ["PAUSING", "PAUSED"]
    assert simulator.delete_mirror("m") is True
    assert (simulator.get_mirror("m"), simulator.state("m")) == (None, None)


def test_connection_breaks_without_an_answer_when_it_is_reset(simulator: SimulatorProcess) -> None:
    simulator.knobs(reset_after=1)

    with pytest.raises(ConnectionError):
        call(simulator.gateway_url, "GET", "/v1/version")

    assert call(simulator.gateway_url, "GET", "/v1/version").status == 200


def test_answer_waits_for_simulated_time_when_it_is_late(simulator: SimulatorProcess) -> None:
    simulator.put_mirror("late", tables=TABLES)
    simulator.knobs(temporal_down=True)
    body = json.dumps({"flowJobName": "late", "requestedFlowState": "STATUS_PAUSED"}).encode()
    answers: list[int] = []

    def ask() -> None:
        answers.append(call(simulator.gateway_url, "POST", "/v1/mirrors/state_change", body).status)

    asking = threading.Thread(target=ask)
    asking.start()
    until(lambda: any('"late"' in str(event.get("body")) for event in simulator.log()))
    simulator.advance(10.5)
    asking.join(20)
    simulator.knobs(temporal_down=False)

    assert answers == [500]


def test_resync_is_cut_in_half_when_the_client_disconnects_from_the_gateway(simulator: SimulatorProcess) -> None:
    simulator.put_mirror("done", tables=TABLES, state="COMPLETED")
    simulator.knobs(t_validate=0.1, t_sync_drop=5.0)
    body = json.dumps({"flowJobName": "done", "requestedFlowState": "STATUS_RESYNC"}).encode()
    host, _, port = simulator.gateway_url.removeprefix("http://").partition(":")
    head = f"POST /v1/mirrors/state_change HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(head.encode() + body)
        until(lambda: any("done" in str(event.get("body")) for event in simulator.log()))
        simulator.advance(1.0)
        assert simulator.state("done") == "TERMINATING"
    until(lambda: any(event.get("aborted") for event in simulator.log()))

    simulator.advance(60.0)

    assert simulator.state("done") is None


def test_mirror_pauses_by_itself_when_the_clock_is_real() -> None:
    with SimulatorProcess.start(knobs={"t_stop": 0.0, "t_lag": 0.0, "t_react": 0.0}) as running:
        running.put_mirror("m", tables=TABLES)
        body = json.dumps({"flowJobName": "m", "requestedFlowState": "STATUS_PAUSED"}).encode()
        call(running.gateway_url, "POST", "/v1/mirrors/state_change", body)
        until(lambda: running.state("m") == "PAUSED")
        assert running.advance(3600) > 0


def test_process_ends_in_order_when_it_is_told_to() -> None:
    running = SimulatorProcess.start()

    running.process.send_signal(signal.SIGTERM)

    assert running.process.wait(20) == 0
    running.stop()


def test_process_ends_when_its_parent_closes_the_pipe() -> None:
    running = SimulatorProcess.start()
    assert running.process.stdin is not None

    running.process.stdin.close()

    assert running.process.wait(20) == 0
    running.stop()

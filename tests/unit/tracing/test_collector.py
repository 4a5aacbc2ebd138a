"""The way of the spans to a collector: one that takes them, one that does not, and variables of no use."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

import peerdb_operator.telemetry.trace
from peerdb_operator.telemetry.spans import SpanTracer
from peerdb_operator.telemetry.trace import open_tracer

ROOT = Path(__file__).parents[3]
SECRET = "s3cret-value"
CHILD_SECONDS = 15.0
"""Half of a pod's grace period; most of it is for a slow machine."""


class Collector(HTTPServer):
    """Takes what is sent and keeps it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[tuple[str, bytes]] = []


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        self.server.got.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silence."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_spans_reach_the_collector_that_the_environment_names(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=stage")
    tracer = open_tracer("1.2.3")
    with tracer.trace("mirror.reconcile", {}), tracer.child("peerdb mirrors_status"):
        pass
    tracer.close()
    ((path, body),) = collector.got
    assert path == "/v1/traces"
    for word in (b"mirror.reconcile", b"peerdb mirrors_status", b"peerdb-operator", b"1.2.3", b"stage"):
        assert word in body


# -- a collector that takes nothing ----------------------------------------------------------------------------------


class Stuck(SpanProcessor):
    """Its end comes only when it is let go."""

    def __init__(self) -> None:
        self.release_now = threading.Event()
        self.ended = False

    def shutdown(self) -> None:
        self.release_now.wait(CHILD_SECONDS)
        self.ended = True


@pytest.mark.parametrize("patience", [0.0, 0.01])
def test_the_end_waits_for_the_collector_no_longer_than_it_is_told(
    patience: float, caplog: pytest.LogCaptureFixture
) -> None:
    processor, provider = Stuck(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    SpanTracer(provider, patience).close()
    assert not processor.ended
    assert caplog.messages == [f"traces: the collector did not take the last spans within {patience:g} s"]
    processor.release_now.set()


A_PROCESS = """
import asyncio, logging, sys
from peerdb_operator.telemetry.log import configure_logging
from peerdb_operator.settings import LogFormat, LogLevel
from peerdb_operator.telemetry.trace import open_tracer

async def main():
    tracer = open_tracer("1.2.3")
    for _ in range(int(sys.argv[1])):
        with tracer.trace("mirror.reconcile", {}):
            pass
    await asyncio.to_thread(tracer.close)

configure_logging(LogFormat.TEXT, LogLevel.INFO)
asyncio.run(main())
print("closed", flush=True)
"""
"""Ends as the operator does: see ``app.run``."""


def child(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Raises TimeoutExpired when it does not end by itself."""
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": "operator", **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=CHILD_SECONDS,
        check=False,
    )


def end_of_a_process(port: int, spans: int) -> subprocess.CompletedProcess[str]:
    return child("-c", A_PROCESS, str(spans), OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("spans", [1, 3000], ids=["one span", "a full queue"])
def test_a_process_ends_by_itself_when_the_collector_takes_connections_and_never_answers(spans: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as watch_stalled:
        done = end_of_a_process(watch_stalled.getsockname()[1], spans)
    assert (done.returncode, done.stdout) == (0, "closed\n")
    assert "did not take the last spans" in done.stderr


@pytest.mark.parametrize("spans", [1, 3000], ids=["one span", "a full queue"])
def test_a_process_ends_by_itself_when_the_collector_refuses(spans: int) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody else gets the port, and nobody listens
        done = end_of_a_process(closed.getsockname()[1], spans)
    assert (done.returncode, done.stdout) == (0, "closed\n")
    assert "did not take the last spans" in done.stderr
    assert "Traceback" not in done.stderr


# -- variables of no use ---------------------------------------------------------------------------------------------


def refusal(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="OTEL") as caught:
        open_tracer("1.2.3")
    return str(caught.value)


def test_a_variable_of_no_use_is_said_in_a_sentence_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(monkeypatch, OTEL_BSP_MAX_EXPORT_BATCH_SIZE="100000", OTEL_EXPORTER_OTLP_HEADERS=f"api-key={SECRET}")
    assert said == (
        "PEERDB_OPERATOR_TRACING: no traces can be sent as the OTEL_* variables say: "
        "max_export_batch_size must be less than or equal to max_queue_size "
        "(set: OTEL_BSP_MAX_EXPORT_BATCH_SIZE, OTEL_EXPORTER_OTLP_HEADERS)"
    )


def test_what_a_provider_of_credentials_says_stays_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(monkeypatch, OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER=SECRET)
    assert said == (
        "PEERDB_OPERATOR_TRACING: no traces can be sent as the OTEL_* variables say: "
        "RuntimeError while the exporter was built (set: OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER)"
    )


def test_the_operator_ends_with_code_2_and_the_sentence() -> None:
    done = child(
        "-m",
        "peerdb_operator",
        "run",
        "--peerdb-url=http://127.0.0.1:9",
        "--tracing=true",
        OTEL_BSP_SCHEDULE_DELAY="-1",
    )
    *_, last = done.stderr.splitlines()
    assert done.returncode == 2
    assert last.startswith("peerdb-operator: PEERDB_OPERATOR_TRACING: ")
    assert last.endswith("(set: OTEL_BSP_SCHEDULE_DELAY)")


def test_a_missing_library_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(peerdb_operator.telemetry, "spans", raising=False)
    monkeypatch.delitem(sys.modules, "peerdb_operator.telemetry.spans", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
    with pytest.raises(ValueError, match=r"PEERDB_OPERATOR_TRACING needs .* peerdb-operator\[tracing\]"):
        open_tracer("1.2.3")

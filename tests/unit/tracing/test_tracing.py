"""Traces: one for each reconcile that sends something, what it carries on, and what it keeps to itself."""

from __future__ import annotations

import asyncio
import io
import logging

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_trace_id

from peerdb_operator.api.constants import OWNER_TAG, RELEASED
from peerdb_operator.errors import PeerDBUnavailable
from peerdb_operator.telemetry.log import TraceIds, log_traces
from peerdb_operator.telemetry.spans import SpanTracer
from peerdb_operator.telemetry.trace import Tracer
from tests.unit.controllers.stage import STATE_CHANGE, Stage, Tap, a_settled_stage, a_spec, forget, tables

SECRET = "s3cret-value"


class Traced:
    """A stage whose controller is traced, and the spans that have ended."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._spans = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.tracer = stage.tracer = SpanTracer(provider)
        stage.restart()

    def spans(self, name: str = "") -> list[ReadableSpan]:
        """Ended spans in the order of their ends."""
        return [span for span in self._spans.get_finished_spans() if span.name.startswith(name)]

    def roots(self) -> list[ReadableSpan]:
        return [span for span in self.spans() if span.parent is None]

    def parent(self, span: ReadableSpan) -> str:
        """Name of the span around another one."""
        assert span.parent is not None
        known = {each.context.span_id: each.name for each in self.spans() if each.context is not None}
        return known[span.parent.span_id]


def reported(span: ReadableSpan, key: str) -> object:
    return (span.attributes or {}).get(key)


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return format_trace_id(span.context.trace_id)


def traces(traced: Traced) -> list[tuple[object, list[str]]]:
    """Of each trace the action and the spans within it, in the order of their ends."""
    names: dict[str, list[str]] = {}
    for span in traced.spans():
        names.setdefault(trace_of(span), []).append(span.name)
    return [(reported(root, "peerdb_operator.action"), names[trace_of(root)]) for root in traced.roots()]


# -- what is traced --------------------------------------------------------------------------------------------------


def test_each_reconcile_that_sends_something_is_one_trace_with_its_requests_and_writes() -> None:
    traced = Traced(a_settled_stage("a"))
    traced.stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    traced.stage.follow(30.0)
    assert traces(traced) == [
        ("Pause", ["peerdb state_change_pause", "kubernetes write mirror_status", "mirror.reconcile"]),
        (
            "SendUpdate",
            ["kubernetes write mirror_status", "peerdb state_change_edit", "mirror.reconcile"],
        ),
    ]
    for root in traced.roots():
        assert (reported(root, "k8s.mirror.name"), reported(root, "k8s.mirror.generation")) == ("orders", 2)
        assert reported(root, "peerdb_operator.mirror") == "orders"
        assert reported(root, "k8s.mirror.uid") == traced.stage.uid()
        assert reported(root, "peerdb_operator.operation_id")
    assert {traced.parent(span) for span in traced.spans() if span.parent is not None} == {"mirror.reconcile"}


def test_nothing_is_traced_while_a_mirror_is_only_observed() -> None:
    traced = Traced(a_settled_stage("a"))
    traced.stage.follow(900.0)
    assert traced.spans() == []


def test_commands_carry_their_trace_on_and_nothing_else_does() -> None:
    traced = Traced(a_settled_stage("a"))
    forget(traced.stage)
    traced.stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    traced.stage.follow(30.0)
    carried = [one.headers["traceparent"].split("-")[1] for one in traced.stage.commands()]
    assert carried == [trace_of(root) for root in traced.roots()]
    assert {one.path for one in traced.stage.peerdb.asked if one.headers} == {STATE_CHANGE}


def test_traces_of_two_mirrors_do_not_mix_when_they_are_edited_at_once() -> None:
    stage = a_settled_stage("a")
    stage.engine.put_mirror("other", tables=tables("o"), tags={OWNER_TAG: RELEASED})
    traced = Traced(stage)
    stage.cluster.create("other", a_spec("o"))
    stage.follow(5.0, "other")
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    stage.cluster.edit("other", {"spec": a_spec("o", "p")})

    async def both() -> None:
        ends = await asyncio.gather(*(stage.controller.reconcile(stage.uid(name)) for name in ("orders", "other")))
        await asyncio.gather(*(stage.controller.reconcile(key) for end in ends for key in end.wakes))

    for _ in range(60):
        stage.deliver()
        stage.do(both())
        stage.wait(0.5)
    mirrors = {trace_of(root): reported(root, "peerdb_operator.mirror") for root in traced.roots()}
    assert set(mirrors.values()) == {"orders", "other"}
    for one in stage.commands():
        assert mirrors[one.headers["traceparent"].split("-")[1]] == one.body["flowJobName"]


def test_of_an_error_only_its_class_is_told() -> None:
    traced = Traced(a_settled_stage("a"))
    failure = PeerDBUnavailable(f"it could not be reached, password={SECRET}", sent=False)
    traced.stage.peerdb.taps.put(STATE_CHANGE, Tap(instead=failure))
    traced.stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    traced.stage.follow(60.0)
    first = traced.spans("peerdb state_change_pause")[0]
    assert reported(first, "error.type") == "PeerDBUnavailable"
    assert all(SECRET not in span.to_json() for span in traced.spans())


# -- logs ------------------------------------------------------------------------------------------------------------


def test_a_log_line_carries_the_ids_within_a_trace_only() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    tracer = SpanTracer(provider)
    traced = TraceIds(tracer)
    outside, inside = logging.makeLogRecord({}), logging.makeLogRecord({})
    assert traced.filter(outside)
    with tracer.trace("mirror.reconcile", {}):
        assert traced.filter(inside)
    assert "trace_id" not in vars(outside)
    assert (len(vars(inside)["trace_id"]), len(vars(inside)["span_id"])) == (32, 16)


def test_the_line_of_an_action_carries_the_ids_of_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    traced = Traced(a_settled_stage("a"))
    caplog.set_level(logging.INFO)
    traced.stage.cluster.edit("orders", {"spec": {"state": "Paused"}})
    traced.stage.run()
    (line,) = [each for each in caplog.records if each.getMessage().startswith("Pause:")]
    assert vars(line)["trace_id"] == trace_of(traced.roots()[0])


def test_every_handler_of_the_root_logger_tells_the_trace() -> None:
    before = logging.getLogger().handlers[:]
    handler = logging.StreamHandler(io.StringIO())
    logging.getLogger().handlers[:] = [handler]
    try:
        log_traces(SpanTracer(TracerProvider(shutdown_on_exit=False)))
        assert [type(each) for each in handler.filters] == [TraceIds]
    finally:
        logging.getLogger().handlers[:] = before


# -- off ---------------------------------------------------------------------------------------------------------------


def test_without_tracing_nothing_happens_at_all() -> None:
    tracer = Tracer()
    with tracer.trace("mirror.reconcile", {}), tracer.child("peerdb mirrors_status") as span:
        span.set_attributes({"http.response.status_code": 200})
        assert (dict(span.headers), dict(tracer.ids())) == ({}, {})
    tracer.close()

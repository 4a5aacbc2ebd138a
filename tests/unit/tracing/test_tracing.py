"""Traces: the tree of one edit, what it carries on, and what it keeps to itself."""

from __future__ import annotations

import asyncio
import io
import logging
from time import time_ns

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_trace_id

from peerdb_operator.api.constants import ANNOTATION_RECONCILE, OWNER_TAG, RELEASED
from peerdb_operator.errors import PeerDBUnavailable
from peerdb_operator.telemetry.log import TraceIds, log_traces
from peerdb_operator.telemetry.spans import MAX_RECONCILES, SpanTracer
from peerdb_operator.telemetry.trace import Tracer
from tests.harness.fakecluster import Body
from tests.unit.controllers.stage import STATE_CHANGE, Stage, Tap, a_settled_stage, a_spec, forget, tables

SECRET = "s3cret-value"
FREEZE = {"metadata": {"annotations": {ANNOTATION_RECONCILE: "disabled"}}}


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
    """One attribute of a span."""
    return (span.attributes or {}).get(key)


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return format_trace_id(span.context.trace_id)


def an_edit_under_way() -> Traced:
    traced = Traced(a_settled_stage("a", knobs={"t_stop": 5.0}))
    traced.stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    traced.stage.follow(2.0)
    assert traced.spans("peerdb state_change_pause")
    return traced


# -- the tree --------------------------------------------------------------------------------------------------------


def test_an_edit_is_one_tree_from_the_pause_to_the_end() -> None:
    traced = Traced(a_settled_stage("a"))
    traced.stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    traced.stage.follow(30.0)
    (root,) = traced.roots()
    assert (root.name, reported(root, "peerdb_operator.outcome"), reported(root, "peerdb_operator.mirror")) == (
        "mirror.edit",
        "Running",
        "orders",
    )
    assert {trace_of(span) for span in traced.spans()} == {trace_of(root)}
    assert [reported(span, "peerdb_operator.action") for span in traced.spans("mirror.act")] == ["Pause", "SendUpdate"]
    assert {traced.parent(span) for span in traced.spans("peerdb state_change")} == {"mirror.act"}
    assert {traced.parent(span) for span in traced.spans("mirror.pass")} == {"mirror.edit"}
    assert "kubernetes write mirror_status" in {span.name for span in traced.spans()}


def test_nothing_is_traced_when_nothing_is_edited() -> None:
    traced = Traced(a_settled_stage("a"))
    traced.stage.follow(30.0)
    traced.stage.cluster.edit("orders", {"spec": {"state": "Paused"}})
    traced.stage.follow(30.0)
    assert traced.stage.condition() == ("True", "Paused")
    assert traced.spans() == []


def test_commands_carry_the_trace_on_while_an_edit_lasts_and_nothing_else_does() -> None:
    traced = Traced(a_settled_stage("a"))
    forget(traced.stage)
    traced.stage.follow(5.0)
    assert all(not one.headers for one in traced.stage.peerdb.asked)
    traced.stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    traced.stage.follow(30.0)
    (root,) = traced.roots()
    carried = [one.headers["traceparent"] for one in traced.stage.commands()]
    assert [each.split("-")[1] for each in carried] == [trace_of(root)] * 2
    assert {one.path for one in traced.stage.peerdb.asked if one.headers} == {STATE_CHANGE}


def test_edits_of_two_mirrors_do_not_mix_when_they_run_at_once() -> None:
    stage = a_settled_stage("a")
    stage.engine.put_mirror("other", tables=tables("o"), tags={OWNER_TAG: RELEASED})
    traced = Traced(stage)
    stage.cluster.create("other", a_spec("o"))
    stage.follow(5.0, "other")
    stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    stage.cluster.edit("other", {"spec": a_spec("o", "p")})

    async def both() -> None:
        rests = await asyncio.gather(*(stage.controller.reconcile(stage.uid(name)) for name in ("orders", "other")))
        await asyncio.gather(*(stage.controller.reconcile(key) for rest in rests for key in rest.wakes))

    for _ in range(60):
        stage.deliver()
        stage.do(both())
        stage.wait(0.5)
    roots = {reported(root, "peerdb_operator.mirror"): trace_of(root) for root in traced.roots()}
    assert roots.keys() == {"orders", "other"}
    for one in stage.commands():
        assert one.headers["traceparent"].split("-")[1] == roots[one.body["flowJobName"]]


def test_of_an_error_only_its_class_is_told() -> None:
    traced = Traced(a_settled_stage("a"))
    failure = PeerDBUnavailable(f"it could not be reached, password={SECRET}", sent=False)
    traced.stage.peerdb.taps.put(STATE_CHANGE, Tap(instead=failure))
    traced.stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    traced.stage.follow(60.0)
    first = traced.spans("peerdb state_change_pause")[0]
    assert reported(first, "error.type") == "PeerDBUnavailable"
    assert all(SECRET not in span.to_json() for span in traced.spans())


def test_a_span_lasts_from_its_begin_to_its_end_though_it_is_sent_later() -> None:
    traced = Traced(a_settled_stage("a"))
    trace, marks = traced.tracer.begin("mirror.edit"), [time_ns()]
    with traced.tracer.sampled_step("mirror.pass", trace):
        marks.append(time_ns())
        with traced.tracer.step("mirror.act"):
            marks.append(time_ns())
        marks.append(time_ns())
        traced.tracer.sample()
    act, around = traced.spans("mirror")
    times = [marks[0], around.start_time, marks[1], act.start_time, marks[2], act.end_time, marks[3], around.end_time]
    assert times == sorted(times, key=lambda each: each or 0)


# -- how much --------------------------------------------------------------------------------------------------------


def spans_of_a_copy(seconds: float) -> list[str]:
    traced = Traced(a_settled_stage("a", knobs={"t_add": seconds}))
    traced.stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    traced.stage.follow(seconds + 60.0)
    (root,) = traced.roots()
    assert reported(root, "peerdb_operator.outcome") == "Running"
    passes = reported(root, "peerdb_operator.passes")
    assert isinstance(passes, int)
    assert passes > seconds / 60
    return sorted(span.name for span in traced.spans())


def test_a_trace_does_not_grow_with_the_copy() -> None:
    hour = spans_of_a_copy(3600.0)
    assert len(hour) <= 30
    assert spans_of_a_copy(600.0) == hour


def test_a_command_that_fails_again_and_again_is_shown_once_and_again_when_it_succeeds() -> None:
    traced = Traced(a_settled_stage("a"))
    for _ in range(20):
        traced.stage.peerdb.taps.put(STATE_CHANGE, Tap(instead=PeerDBUnavailable("away", sent=False)))
    traced.stage.cluster.edit("orders", {"spec": a_spec("a", "b")})
    traced.stage.follow(300.0)
    pauses = [reported(span, "error.type") for span in traced.spans("peerdb state_change_pause")]
    assert len([one for one in traced.stage.commands() if one.state == "PAUSED"]) == 21
    assert pauses == ["PeerDBUnavailable", None]
    assert traced.roots()


def test_a_trace_shows_a_bounded_number_of_passes_and_counts_them_all() -> None:
    traced = Traced(a_settled_stage("a"))
    trace = traced.tracer.begin("mirror.edit")
    for _ in range(MAX_RECONCILES + 50):
        with traced.tracer.sampled_step("mirror.pass", trace), traced.tracer.step("peerdb mirrors_status"):
            traced.tracer.sample()
    trace.end("Running")
    assert len(traced.spans("mirror.pass")) == len(traced.spans("peerdb")) == MAX_RECONCILES
    assert [reported(root, "peerdb_operator.passes") for root in traced.roots()] == [MAX_RECONCILES + 50]


def test_a_step_that_is_not_sampled_is_not_sent_nor_is_what_is_in_it() -> None:
    traced = Traced(a_settled_stage("a"))
    trace = traced.tracer.begin("mirror.edit")
    with traced.tracer.sampled_step("mirror.pass", trace), traced.tracer.step("peerdb mirrors_status"):
        pass
    with traced.tracer.step("mirror.act", trace=trace):
        traced.tracer.sample()
    assert [span.name for span in traced.spans()] == ["mirror.act"]


# -- ends ------------------------------------------------------------------------------------------------------------


def test_an_edit_that_another_process_takes_over_gets_a_tree_of_its_own() -> None:
    traced = an_edit_under_way()
    traced.stage.restart()
    traced.stage.follow(60.0)
    (root,) = traced.roots()
    assert reported(root, "peerdb_operator.outcome") == "Running"
    assert trace_of(traced.spans("peerdb state_change_pause")[0]) != trace_of(root)


def test_both_traces_of_an_edit_name_the_operation_that_the_second_process_takes_over() -> None:
    traced = an_edit_under_way()
    traced.stage.restart()
    traced.stage.follow(60.0)
    (root,) = traced.roots()
    first, *_ = traced.spans("mirror.act")
    assert reported(first, "peerdb_operator.action") == "Pause"
    assert reported(first, "peerdb_operator.operation_id") is not None
    assert reported(root, "peerdb_operator.operation_id") == reported(first, "peerdb_operator.operation_id")


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({"spec": {"tables": 7}}, "InvalidSpec"),
        (FREEZE, "ReconcileDisabled"),
        ({"spec": {"state": "Paused"}}, "PauseRequested"),
    ],
)
def test_a_trace_ends_with_the_cause_when_the_edit_is_let_go(change: Body, outcome: str) -> None:
    traced = an_edit_under_way()
    traced.stage.cluster.edit("orders", change)
    traced.stage.run()
    assert [reported(root, "peerdb_operator.outcome") for root in traced.roots()] == [outcome]
    traced.stage.follow(60.0)
    assert len(traced.roots()) == 1


def test_a_trace_ends_when_the_deletion_begins_and_shows_nothing_of_the_drop() -> None:
    traced = an_edit_under_way()
    traced.stage.cluster.delete("orders")
    traced.stage.follow(60.0)
    assert traced.stage.state() is None
    assert [reported(root, "peerdb_operator.outcome") for root in traced.roots()] == ["Deleted"]
    assert "Drop" not in {reported(span, "peerdb_operator.action") for span in traced.spans("mirror.act")}


@pytest.mark.parametrize("deleted", [False, True], ids=["frozen", "deleted"])
def test_nobody_traces_an_edit_that_is_let_go_before_another_process_takes_it_over(*, deleted: bool) -> None:
    stage = an_edit_under_way().stage
    if deleted:
        stage.cluster.delete("orders")
    else:
        stage.cluster.edit("orders", FREEZE)
    successor = Traced(stage)
    stage.follow(60.0)
    stage.deliver()
    successor.tracer.close()
    assert successor.spans() == []


def test_what_is_left_of_an_edit_is_a_trace_of_its_own_when_the_object_is_given_back() -> None:
    traced = an_edit_under_way()
    traced.stage.cluster.edit("orders", FREEZE)
    traced.stage.follow(10.0)
    traced.stage.cluster.edit("orders", {"metadata": {"annotations": {ANNOTATION_RECONCILE: None}}})
    traced.stage.follow(60.0)
    assert [reported(root, "peerdb_operator.outcome") for root in traced.roots()] == ["ReconcileDisabled", "Running"]


def test_a_spec_that_changes_during_its_edit_is_an_event_of_the_same_trace() -> None:
    traced = an_edit_under_way()
    traced.stage.cluster.edit("orders", {"spec": a_spec("a", "b", "c")})
    traced.stage.follow(60.0)
    (root,) = traced.roots()
    assert reported(root, "k8s.mirror.generation") == 2
    assert [(event.name, dict(event.attributes or {})) for event in root.events] == [
        ("spec changed", {"k8s.mirror.generation": 3})
    ]


def test_an_open_trace_ends_when_the_object_is_gone() -> None:
    traced = an_edit_under_way()
    traced.stage.controller.forget(traced.stage.uid())
    assert [reported(root, "peerdb_operator.outcome") for root in traced.roots()] == ["Gone"]


def test_an_open_trace_ends_when_the_operator_stops() -> None:
    traced = an_edit_under_way()
    traced.tracer.close()
    assert [reported(root, "peerdb_operator.outcome") for root in traced.roots()] == ["OperatorStopped"]


# -- logs ------------------------------------------------------------------------------------------------------------


def test_a_log_line_carries_the_ids_within_a_trace_only() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    tracer = SpanTracer(provider)
    traced = TraceIds(tracer)
    outside, inside = logging.makeLogRecord({}), logging.makeLogRecord({})
    assert traced.filter(outside)
    with tracer.step("mirror.pass", trace=tracer.begin("mirror.edit")):
        assert traced.filter(inside)
    assert "trace_id" not in vars(outside)
    assert (len(vars(inside)["trace_id"]), len(vars(inside)["span_id"])) == (32, 16)


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
    trace = tracer.begin("mirror.edit")
    with tracer.step("mirror.pass", trace=trace) as step:
        step.set_attributes({"peerdb_operator.reason": "Running"})
        assert (dict(step.headers), dict(tracer.ids())) == ({}, {})
    trace.end("Running")
    tracer.close()

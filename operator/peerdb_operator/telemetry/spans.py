"""Traces as spans of OpenTelemetry, sent to a collector. The only importer of opentelemetry.

A span carries the class of an error but not its message, which may quote PeerDB or a user.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import time_ns
from weakref import WeakSet

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, format_span_id, format_trace_id, get_current_span, use_span
from opentelemetry.trace.propagation import set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from peerdb_operator.telemetry.trace import NOTHING, Attributes, Step, Trace, Tracer

logger = logging.getLogger(__name__)

STOPPED = "OperatorStopped"
PATIENCE = 3.0
"""Seconds that the end of the process waits for the collector: a pod has more to do in its grace period."""
MAX_RECONCILES = 100
"""How many reconciles of one trace are sent."""
_PROPAGATOR = TraceContextTextMapPropagator()


@dataclass(slots=True)
class _Buffer:
    """Finished spans with their end times, held back until it is known whether they are sent."""

    finished: list[tuple[Span, int]] = field(default_factory=list)
    sampled: bool = False


_BUFFER: ContextVar[_Buffer | None] = ContextVar("buffer", default=None)


class SpanStep(Step):
    """A step as a span."""

    def __init__(self, span: Span) -> None:
        self._span = span
        carried: dict[str, str] = {}
        _PROPAGATOR.inject(carried, set_span_in_context(span))
        self.headers = carried

    def set_attributes(self, attributes: Attributes) -> None:
        self._span.set_attributes(dict(attributes))


class SpanTrace(Trace):
    """An edit as the root of a tree."""

    def __init__(self, span: Span, still_open: WeakSet[SpanTrace]) -> None:
        self.span = span
        self._open = still_open
        self._reconciles = self._sent = 0
        still_open.add(self)

    def count_reconcile(self) -> None:
        self._reconciles += 1

    def may_send(self) -> bool:
        """Whether one more reconcile may be sent; counts it."""
        self._sent += 1
        return self._sent <= MAX_RECONCILES

    def add_event(self, name: str, attributes: Attributes) -> None:
        self.span.add_event(name, dict(attributes))

    def end(self, outcome: str) -> None:
        self._open.discard(self)
        self.span.set_attributes({"peerdb_operator.outcome": outcome, "peerdb_operator.passes": self._reconciles})
        self.span.end()


class SpanTracer(Tracer):
    """A tracer over a provider of OpenTelemetry."""

    def __init__(self, provider: TracerProvider, patience: float = PATIENCE) -> None:
        self._provider, self._patience = provider, patience
        self._tracer = provider.get_tracer("peerdb_operator")
        self._open: WeakSet[SpanTrace] = WeakSet()  # whoever forgets a Mirror forgets its trace

    def begin(self, name: str, attributes: Attributes = NOTHING) -> Trace:
        return SpanTrace(self._tracer.start_span(name, Context(), attributes=dict(attributes)), self._open)

    @contextmanager
    def step(self, name: str, attributes: Attributes = NOTHING, trace: Trace | None = None) -> Iterator[Step]:
        parent = get_current_span()
        if not _is_real(parent) and isinstance(trace, SpanTrace):
            parent = trace.span
        if not _is_real(parent):
            yield Step()
            return
        with self._span(name, attributes, parent) as step:
            yield step

    @contextmanager
    def sampled_step(self, name: str, trace: Trace) -> Iterator[Step]:
        assert isinstance(trace, SpanTrace)  # noqa: S101 - nobody else begins a trace
        trace.count_reconcile()
        buffer = _Buffer()
        token = _BUFFER.set(buffer)
        try:
            with self._span(name, NOTHING, trace.span) as step:
                yield step
        finally:
            _BUFFER.reset(token)
            # A span that never ends is never sent.
            if buffer.sampled and trace.may_send():
                for span, end in buffer.finished:
                    span.end(end)

    def sample(self) -> None:
        buffer = _BUFFER.get()
        if buffer is not None:
            buffer.sampled = True

    @contextmanager
    def _span(self, name: str, attributes: Attributes, parent: Span) -> Iterator[Step]:
        kind = SpanKind.CLIENT if "http.request.method" in attributes else SpanKind.INTERNAL
        span = self._tracer.start_span(name, set_span_in_context(parent), kind, dict(attributes))
        try:
            with use_span(span, record_exception=False, set_status_on_exception=False):
                yield SpanStep(span)
        except Exception as error:
            span.set_status(StatusCode.ERROR)
            span.set_attribute("error.type", type(error).__name__)
            raise
        finally:
            buffer = _BUFFER.get()
            if buffer is None:
                span.end()
            else:
                buffer.finished.append((span, time_ns()))

    def ids(self) -> Mapping[str, str]:
        context = get_current_span().get_span_context()
        if not context.is_valid:
            return {}
        return {"trace_id": format_trace_id(context.trace_id), "span_id": format_span_id(context.span_id)}

    def close(self) -> None:
        for trace in tuple(self._open):
            trace.end(STOPPED)
        # Shutting a provider down waits up to half a minute for the collector; the process does not wait for a daemon.
        sender = threading.Thread(target=self._provider.shutdown, name="last-traces", daemon=True)
        sender.start()
        sender.join(self._patience)
        if sender.is_alive():
            logger.warning("traces: the collector did not take the last spans within %g s", self._patience)


def to_collector(version: str) -> SpanTracer:
    """Sends in the background; where, how often and how much of it is up to the OTEL_* variables.

    Raises ValueError, or what the libraries raise, when they are of no use.
    """
    ours = Resource.create({SERVICE_NAME: "peerdb-operator", SERVICE_VERSION: version})
    provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_exporter()))
    return SpanTracer(provider)


def _exporter() -> OTLPSpanExporter:
    try:
        return OTLPSpanExporter()
    except Exception as error:
        # A header, or what a provider of credentials says, may hold a key.
        raise ValueError(f"{type(error).__name__} while the exporter was built") from error


def _is_real(span: Span) -> bool:
    return span.get_span_context().is_valid

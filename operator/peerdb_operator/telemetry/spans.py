"""Spans of OpenTelemetry and their way to a collector.

Owns the provider, the exporter and how steps become spans. Of an error only its class is told: its words may come from
elsewhere. The only importer of opentelemetry.
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
MOST_PASSES = 100
"""How many glances of one trace are shown."""
_PROPAGATOR = TraceContextTextMapPropagator()


@dataclass(slots=True)
class _Glance:
    """Spans that are over, with their ends, and of which nobody knows yet whether they are shown."""

    over: list[tuple[Span, int]] = field(default_factory=list)
    kept: bool = False


_AROUND: ContextVar[_Glance | None] = ContextVar("glance", default=None)


class SpanStep(Step):
    """A step as a span."""

    def __init__(self, span: Span) -> None:
        self._span = span
        carried: dict[str, str] = {}
        _PROPAGATOR.inject(carried, set_span_in_context(span))
        self.headers = carried

    def note(self, attributes: Attributes) -> None:
        """See ``Step``."""
        self._span.set_attributes(dict(attributes))


class SpanTrace(Trace):
    """An edit as the root of a tree."""

    def __init__(self, span: Span, still_open: WeakSet[SpanTrace]) -> None:
        self.span = span
        self._open = still_open
        self._glances = self._shown = 0
        still_open.add(self)

    def begin_glance(self) -> None:
        """Count one."""
        self._glances += 1

    def may_show(self) -> bool:
        """Whether one more glance may be shown; counts it if so."""
        self._shown += 1
        return self._shown <= MOST_PASSES

    def tell(self, name: str, attributes: Attributes) -> None:
        """See ``Trace``."""
        self.span.add_event(name, dict(attributes))

    def end(self, outcome: str) -> None:
        """See ``Trace``."""
        self._open.discard(self)
        self.span.set_attributes({"peerdb_operator.outcome": outcome, "peerdb_operator.passes": self._glances})
        self.span.end()


class SpanTracer(Tracer):
    """A tracer over a provider of OpenTelemetry."""

    def __init__(self, provider: TracerProvider, patience: float = PATIENCE) -> None:
        self._provider, self._patience = provider, patience
        self._tracer = provider.get_tracer("peerdb_operator")
        self._open: WeakSet[SpanTrace] = WeakSet()  # whoever forgets a Mirror forgets its trace

    def begin(self, name: str, attributes: Attributes = NOTHING) -> Trace:
        """See ``Tracer``."""
        return SpanTrace(self._tracer.start_span(name, Context(), attributes=dict(attributes)), self._open)

    @contextmanager
    def step(self, name: str, attributes: Attributes = NOTHING, trace: Trace | None = None) -> Iterator[Step]:
        """See ``Tracer``."""
        parent = get_current_span()
        if not _is_real(parent) and isinstance(trace, SpanTrace):
            parent = trace.span
        if not _is_real(parent):
            yield Step()
            return
        with self._span(name, attributes, parent) as step:
            yield step

    @contextmanager
    def glance(self, name: str, trace: Trace) -> Iterator[Step]:
        """See ``Tracer``."""
        assert isinstance(trace, SpanTrace)  # noqa: S101 - nobody else begins a trace
        trace.begin_glance()
        glance = _Glance()
        around = _AROUND.set(glance)
        try:
            with self._span(name, NOTHING, trace.span) as step:
                yield step
        finally:
            _AROUND.reset(around)
            # A span that never ends is never sent.
            if glance.kept and trace.may_show():
                for span, end in glance.over:
                    span.end(end)

    def keep(self) -> None:
        """See ``Tracer``."""
        glance = _AROUND.get()
        if glance is not None:
            glance.kept = True

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
            glance = _AROUND.get()
            if glance is None:
                span.end()
            else:
                glance.over.append((span, time_ns()))

    def ids(self) -> Mapping[str, str]:
        """See ``Tracer``."""
        context = get_current_span().get_span_context()
        if not context.is_valid:
            return {}
        return {"trace_id": format_trace_id(context.trace_id), "span_id": format_span_id(context.span_id)}

    def close(self) -> None:
        """See ``Tracer``."""
        for trace in tuple(self._open):
            trace.end(STOPPED)
        # Whoever shuts a provider down waits for the collector, up to half a minute. No end of a process waits for a
        # daemon.
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

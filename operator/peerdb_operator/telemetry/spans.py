"""Traces as spans of OpenTelemetry, sent to a collector. The only importer of opentelemetry.

A span carries the class of an error but not its message, which may quote PeerDB or a user.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span as SdkSpan
from opentelemetry.trace import SpanKind, StatusCode, format_span_id, format_trace_id, get_current_span, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from peerdb_operator.telemetry.trace import NOTHING, Attributes, Span, Tracer

logger = logging.getLogger(__name__)

PATIENCE = 3.0
"""Seconds that the end of the process waits for the collector: a pod has more to do in its grace period."""
_PROPAGATOR = TraceContextTextMapPropagator()


class RecordedSpan(Span):
    """A span of OpenTelemetry, which is the current one."""

    def __init__(self, span: SdkSpan) -> None:
        self._span = span
        carried: dict[str, str] = {}
        _PROPAGATOR.inject(carried)
        self.headers = carried

    def set_attributes(self, attributes: Attributes) -> None:
        self._span.set_attributes(dict(attributes))


class SpanTracer(Tracer):
    """A tracer over a provider of OpenTelemetry."""

    def __init__(self, provider: TracerProvider, patience: float = PATIENCE) -> None:
        self._provider, self._patience = provider, patience
        self._tracer = provider.get_tracer("peerdb_operator")

    @contextmanager
    def trace(self, name: str, attributes: Attributes) -> Iterator[Span]:
        with self._recorded(self._tracer.start_span(name, Context(), attributes=dict(attributes))) as span:
            yield span

    @contextmanager
    def child(self, name: str, attributes: Attributes = NOTHING) -> Iterator[Span]:
        if not get_current_span().get_span_context().is_valid:
            yield Span()
            return
        kind = SpanKind.CLIENT if "http.request.method" in attributes else SpanKind.INTERNAL
        with self._recorded(self._tracer.start_span(name, kind=kind, attributes=dict(attributes))) as span:
            yield span

    @contextmanager
    def _recorded(self, span: SdkSpan) -> Iterator[Span]:
        """Make a span the current one, and end it."""
        with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield RecordedSpan(span)
            except Exception as error:
                span.set_status(StatusCode.ERROR)
                span.set_attribute("error.type", type(error).__name__)
                raise

    def ids(self) -> Mapping[str, str]:
        context = get_current_span().get_span_context()
        if not context.is_valid:
            return {}
        return {"trace_id": format_trace_id(context.trace_id), "span_id": format_span_id(context.span_id)}

    def close(self) -> None:
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

"""Traces: one for each reconcile that sends something; off unless the setting asks for them.

Only ``open_tracer`` imports ``spans``, so that the libraries of OpenTelemetry are needed with tracing alone.
"""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final

Attributes = Mapping[str, str | int | bool]

NOTHING: Final[Attributes] = {}


class Span:
    """An open span, or none."""

    headers: Mapping[str, str] = {}
    """HTTP headers that carry the trace on (W3C trace context); empty without a trace."""

    def set_attributes(self, attributes: Attributes) -> None:
        """Add attributes."""


class Tracer:
    """Traces nothing, and costs next to nothing."""

    def trace(self, name: str, attributes: Attributes) -> AbstractContextManager[Span]:  # noqa: ARG002 - it does nothing
        """The root span of a new trace."""
        return _NO_SPAN

    def child(self, name: str, attributes: Attributes = NOTHING) -> AbstractContextManager[Span]:  # noqa: ARG002 - the same
        """A span within the one around it; without one nothing is traced."""
        return _NO_SPAN

    def ids(self) -> Mapping[str, str]:
        """``trace_id`` and ``span_id`` for a log line of this moment; empty outside a trace."""
        return {}

    def close(self) -> None:
        """Send what is left; may take a few seconds, and no more."""


def open_tracer(version: str) -> Tracer:
    """A tracer that sends OTLP over HTTP as the OTEL_* variables say.

    Raises ValueError with a sentence when the libraries are missing, or make nothing of the variables.
    """
    try:
        from peerdb_operator.telemetry import spans  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise ValueError(
            f"PEERDB_OPERATOR_TRACING needs the module {error.name}, which is not installed: "
            "install peerdb-operator[tracing], or do not set it"
        ) from None
    try:
        return spans.to_collector(version)
    except Exception as error:
        given = ", ".join(sorted(name for name in os.environ if name.startswith("OTEL_")))
        why = str(error).rstrip(".")
        raise ValueError(
            f"PEERDB_OPERATOR_TRACING: no traces can be sent as the OTEL_* variables say: {why} (set: {given})"
        ) from error


_NO_SPAN: Final = nullcontext(Span())

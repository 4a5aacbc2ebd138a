"""Traces: one tree of spans per edit of a mirror; off unless the setting asks for them.

Only ``open_tracer`` imports ``spans``, so that the libraries of OpenTelemetry are needed with tracing alone.
"""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final

Attributes = Mapping[str, str | int | bool]

NOTHING: Final[Attributes] = {}


class Step:
    """An open span within the trace of an edit."""

    headers: Mapping[str, str] = {}
    """HTTP headers that carry the trace on (W3C trace context); empty without a trace."""

    def set_attributes(self, attributes: Attributes) -> None:
        """Add attributes to the span."""


class Trace:
    """The open root span of an edit."""

    def add_event(self, name: str, attributes: Attributes) -> None:
        """Add an event at this moment."""

    def end(self, outcome: str) -> None:
        """End it; ``outcome`` is the reason of Ready, or why the operator no longer works on the mirror."""


class Tracer:
    """Traces nothing, and costs next to nothing."""

    def begin(self, name: str, attributes: Attributes = NOTHING) -> Trace:  # noqa: ARG002 - it does nothing
        """Begin the trace of an edit."""
        return _NO_TRACE

    def step(
        self,
        name: str,  # noqa: ARG002 - it does nothing
        attributes: Attributes = NOTHING,  # noqa: ARG002 - it does nothing
        trace: Trace | None = None,  # noqa: ARG002 - it does nothing
    ) -> AbstractContextManager[Step]:
        """A span within the step around it, or else within ``trace``; without either nothing is traced."""
        return _NO_STEP

    def sampled_step(self, name: str, trace: Trace) -> AbstractContextManager[Step]:  # noqa: ARG002 - it does nothing
        """A step within ``trace`` that is sent, with all steps in it, only if ``sample`` is called before it ends."""
        return _NO_STEP

    def sample(self) -> None:
        """Send the sampled step around this call."""

    def ids(self) -> Mapping[str, str]:
        """``trace_id`` and ``span_id`` for a log line of this moment; empty outside a trace."""
        return {}

    def close(self) -> None:
        """End what is open and send what is left; may take a few seconds, and no more."""


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


_NO_TRACE: Final = Trace()
_NO_STEP: Final = nullcontext(Step())

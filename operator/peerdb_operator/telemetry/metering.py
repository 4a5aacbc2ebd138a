"""Counts and traces every request to PeerDB and every write to Kubernetes; changes nothing about them.

Only a command to PeerDB carries the trace on, as a header.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum
from http import HTTPStatus
from typing import Final

from peerdb_operator.errors import KubeConflict, KubeError, KubeForbidden, KubeNotFound, KubeUnavailable, PeerDBError
from peerdb_operator.peerdb.client import Operation, Reply, Request, Transport
from peerdb_operator.telemetry.metrics import Metrics
from peerdb_operator.telemetry.trace import Tracer

OTHER: Final = "other"
CANCELLED: Final = "cancelled"
_BY_ERROR: Final[Mapping[type[KubeError], str]] = {
    KubeConflict: str(HTTPStatus.CONFLICT.value),
    KubeNotFound: str(HTTPStatus.NOT_FOUND.value),
    KubeForbidden: str(HTTPStatus.FORBIDDEN.value),
    KubeUnavailable: "unavailable",
}
_COMMANDS: Final = frozenset({
    Operation.PAUSE, Operation.RESUME, Operation.EDIT, Operation.DISARM, Operation.DROP,
})  # fmt: skip


class MeteredTransport:
    """A ``Transport`` that counts and traces."""

    def __init__(self, inner: Transport, metrics: Metrics, tracer: Tracer | None = None) -> None:
        self._inner = inner
        self._metrics = metrics
        self._tracer = tracer or Tracer()

    async def send(self, request: Request) -> Reply:
        operation = request.operation.value
        attributes = {"peerdb_operator.operation": operation, "http.request.method": request.method}
        loop = asyncio.get_running_loop()
        with self._tracer.child(f"peerdb {operation}", attributes) as span:
            began, code = loop.time(), CANCELLED
            try:
                traced = span.headers and request.operation in _COMMANDS
                reply = await self._inner.send(replace(request, headers=span.headers) if traced else request)
                code = str(reply.status)
                span.set_attributes({"http.response.status_code": reply.status})
            except PeerDBError as error:
                code = error.code or OTHER
                raise
            finally:
                self._metrics.record_request(operation, code, loop.time() - began)
            return reply


class KubeWrite(Enum):
    """A kind of write to Kubernetes: its label, and the HTTP status of its success."""

    MIRROR = "mirror", HTTPStatus.OK
    STATUS = "mirror_status", HTTPStatus.OK
    EVENT = "event", HTTPStatus.CREATED


class WriteMeter:
    """Counts and traces writes to Kubernetes, each where it is made."""

    def __init__(self, metrics: Metrics, tracer: Tracer | None = None) -> None:
        self._metrics = metrics
        self._tracer = tracer or Tracer()

    @contextmanager
    def measure(self, write: KubeWrite) -> Iterator[None]:
        """Count the body as one write, by how it ends."""
        kind, success = write.value
        code = CANCELLED
        try:
            with self._tracer.child(f"kubernetes write {kind}"):
                yield
            code = str(success.value)
        except KubeError as error:
            code = _BY_ERROR.get(type(error), OTHER)
            raise
        finally:
            self._metrics.record_write(kind, code)

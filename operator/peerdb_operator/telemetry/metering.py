"""Counting and tracing what goes out: decorators around PeerDB's transport and around the port to Kubernetes.

Owns the closed sets of the labels: which operation a request is, and how it ended. Changes nothing about a call or its
answer, except that a command within a trace carries it on. Leaves the numbers to ``metrics``, the spans to ``tracing``.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final, TypeVar

from peerdb_operator.errors import KubeConflict, KubeError, KubeForbidden, KubeNotFound, KubeUnavailable, PeerDBError
from peerdb_operator.peerdb.client import Reply, Request, Transport
from peerdb_operator.ports import KubePort, MirrorVersion
from peerdb_operator.telemetry.metrics import Metrics
from peerdb_operator.telemetry.trace import Step, Tracer

T = TypeVar("T")

OTHER: Final = "other"
CANCELLED: Final = "cancelled"
_BY_PATH: Final[Mapping[str, str]] = {
    "mirrors/list": "mirrors_list",
    "mirrors/logs": "mirrors_logs",
    "mirrors/cdc/validate": "validate",
    "flows/tags": "tags_set",
    "version": "version",
    "instance/info": "instance_info",
    "dynamic_settings": "dynamic_settings",
}
_BY_STATE: Final[Mapping[object, str]] = {
    "STATUS_PAUSED": "state_change_pause",
    "STATUS_RUNNING": "state_change_resume",
    "STATUS_TERMINATING": "state_change_drop",
}
_BY_ERROR: Final[Mapping[type[KubeError], str]] = {
    KubeConflict: str(HTTPStatus.CONFLICT.value),
    KubeNotFound: str(HTTPStatus.NOT_FOUND.value),
    KubeForbidden: str(HTTPStatus.FORBIDDEN.value),
    KubeUnavailable: "unavailable",
}
_COMMANDS: Final = frozenset({"state_change_edit", "state_change_disarm", *_BY_STATE.values()})
OPERATIONS: Final = frozenset({
    "mirrors_status", "mirrors_status_full", "tags_get", *_BY_PATH.values(), *_COMMANDS, OTHER,
})  # fmt: skip


def operation_of(request: Request) -> str:
    """The operation of a request; ``other`` for what the operator never asks."""
    body = request.body or {}
    if request.path == "mirrors/status":
        return "mirrors_status_full" if body.get("includeFlowInfo") else "mirrors_status"
    if request.path.startswith("flows/tags/"):
        return "tags_get"
    if request.path != "mirrors/state_change":
        return _BY_PATH.get(request.path, OTHER)
    update = body.get("flowConfigUpdate")
    if isinstance(update, Mapping):
        return "state_change_edit" if update.get("cdcFlowConfigUpdate") else "state_change_disarm"
    return _BY_STATE.get(body.get("requestedFlowState"), OTHER)


class MeteredTransport:
    """A ``Transport`` that counts and traces."""

    def __init__(self, inner: Transport, metrics: Metrics, tracer: Tracer | None = None) -> None:
        self._inner = inner
        self._metrics = metrics
        self._tracer = tracer or Tracer()

    async def send(self, request: Request) -> Reply:
        """See ``Transport.send``."""
        operation = operation_of(request)
        attributes = {"peerdb_operator.operation": operation, "http.request.method": request.method}
        with self._tracer.step(f"peerdb {operation}", attributes) as step:
            return await self._counted(request, operation, step)

    async def _counted(self, request: Request, operation: str, step: Step) -> Reply:
        loop = asyncio.get_running_loop()
        began, code = loop.time(), CANCELLED
        try:
            traced = step.headers and operation in _COMMANDS
            reply = await self._inner.send(replace(request, headers=step.headers) if traced else request)
            code = str(reply.status)
            step.note({"http.response.status_code": reply.status})
        except PeerDBError as error:
            code = error.code or OTHER
            raise
        finally:
            self._metrics.asked(operation, code, loop.time() - began)
        return reply


class MeteredKube:
    """A ``KubePort`` that counts and traces what is written."""

    def __init__(self, inner: KubePort, metrics: Metrics, tracer: Tracer | None = None) -> None:
        self._inner = inner
        self._metrics = metrics
        self._tracer = tracer or Tracer()

    async def get_mirror(self, namespace: str, name: str) -> dict[str, Any]:
        """See ``KubePort``."""
        return await self._inner.get_mirror(namespace, name)

    async def patch_mirror(self, namespace: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """See ``KubePort``."""
        return await self._write("mirror", HTTPStatus.OK, self._inner.patch_mirror(namespace, name, body))

    async def patch_status(self, namespace: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """See ``KubePort``."""
        return await self._write("mirror_status", HTTPStatus.OK, self._inner.patch_status(namespace, name, body))

    async def list_mirrors(self) -> list[dict[str, Any]]:
        """See ``KubePort``."""
        return await self._inner.list_mirrors()

    def mirror_pages(self) -> AsyncIterator[list[dict[str, Any]]]:
        """See ``KubePort``."""
        return self._inner.mirror_pages()

    async def list_mirror_versions(self) -> list[MirrorVersion]:
        """See ``KubePort``."""
        return await self._inner.list_mirror_versions()

    async def namespace_is_terminating(self, name: str) -> bool:
        """See ``KubePort``."""
        return await self._inner.namespace_is_terminating(name)

    async def crd_is_terminating(self) -> bool:
        """See ``KubePort``."""
        return await self._inner.crd_is_terminating()

    async def cluster_uid(self) -> str:
        """See ``KubePort``."""
        return await self._inner.cluster_uid()

    async def emit_event(self, regarding: dict[str, str], type_: str, reason: str, message: str, action: str) -> None:
        """See ``KubePort``."""
        created = self._inner.emit_event(regarding, type_, reason, message, action)
        await self._write("event", HTTPStatus.CREATED, created)

    async def _write(self, kind: str, success: HTTPStatus, call: Awaitable[T]) -> T:
        code = CANCELLED
        try:
            with self._tracer.step(f"kubernetes write {kind}"):
                answer = await call
            code = str(success.value)
        except KubeError as error:
            code = _BY_ERROR.get(type(error), OTHER)
            raise
        finally:
            self._metrics.update_from_write(kind, code)
        return answer

"""Every call that the operator itself makes to the Kubernetes API, with its paging, time limit and errors.

Reads are never cached and nothing is retried. Bodies are plain dictionaries: the generated model classes of the
``kubernetes`` package would cost 25 MiB and a second parse.
"""

import json
import logging
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import quote

import aiohttp

from peerdb_operator.api.constants import GROUP, PLURAL, VERSION
from peerdb_operator.errors import KubeConflict, KubeError, KubeForbidden, KubeNotFound, KubeUnavailable
from peerdb_operator.kube.credentials import USER_AGENT, KubeAuth
from peerdb_operator.kube.package import ApiClient, Configuration
from peerdb_operator.kube.port import MirrorVersion

logger = logging.getLogger(__name__)
FIELD_MANAGER = "peerdb-operator"
CALL_SECONDS = 10.0
EVENT_SECONDS = 5.0
LIST_SECONDS = 60.0
PAGE = 25
"""Whole objects per page. One may be as large as 1.5 MiB, and a page is read and parsed in one go."""
VERSIONS_PAGE = 250
"""Objects per page where only their metadata is asked for."""
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
_NAMESPACES = "/api/v1/namespaces"
_EVENTS = "/apis/events.k8s.io/v1/namespaces"
_CRD = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{PLURAL}.{GROUP}"
_MERGE_PATCH = "application/merge-patch+json"
_EVENT_NOTE_BYTES = 1024
_EVENT_SUBJECT_LENGTH = 253 - 17  # a legal name less a dot and 16 digits
_MESSAGE_LENGTH = 500

_BY_STATUS: dict[int, type[KubeError]] = {
    401: KubeForbidden,
    403: KubeForbidden,
    404: KubeNotFound,
    409: KubeConflict,
    410: KubeUnavailable,  # a page token has expired: the list has to begin anew
    429: KubeUnavailable,
}
_FIRST_SERVER_ERROR = 500
_FIRST_FAILURE = 300


class KubeClient:
    """Implements ``kube.port.KubePort`` on the asyncio side of the ``kubernetes`` package."""

    def __init__(
        self,
        api: ApiClient,
        session: aiohttp.ClientSession,
        namespaces: Sequence[str],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._session = session
        self._namespaces = list(namespaces) or [""]
        self._now = now

    @classmethod
    async def connect(cls, auth: KubeAuth, namespaces: Sequence[str], *, connections: int) -> Self:
        """A client for these namespaces (none: all) with a pool of its own; nothing is sent yet."""
        session = await auth.session(connections=connections)
        api = ApiClient(Configuration(host=auth.server))
        api.rest_client.pool_manager = session
        api.user_agent = USER_AGENT
        return cls(api, session, namespaces)

    async def close(self) -> None:
        """Give the connections back."""
        await self._session.close()

    async def get_mirror(self, namespace: str, name: str) -> dict[str, Any]:
        """The whole object as it is now."""
        return await self._call("GET", _mirror(namespace, name))

    async def patch_mirror(self, namespace: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Merge patch on the main resource; returns the new object."""
        return await self._patch(_mirror(namespace, name), body)

    async def patch_status(self, namespace: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Merge patch on ``/status``; returns the new object."""
        return await self._patch(f"{_mirror(namespace, name)}/status", body)

    async def list_mirrors(self) -> list[dict[str, Any]]:
        """Every Mirror of every watched namespace."""
        return [item async for page in self.mirror_pages() for item in page]

    def mirror_pages(self) -> AsyncIterator[list[dict[str, Any]]]:
        """In pages of at most ``PAGE`` objects, without those of a terminating namespace that denies access."""
        return self._mirrors("application/json", PAGE, skip_terminating=True)

    async def list_mirror_versions(self) -> list[MirrorVersion]:
        """uid, namespace, name, generation, resourceVersion and deletionTimestamp of every Mirror."""
        pages = self._mirrors(_METADATA_ONLY, VERSIONS_PAGE, skip_terminating=False)
        return [_version(item) async for page in pages for item in page]

    async def kind_exists(self) -> bool:
        """Whether the API server answers for the kind; asks for the metadata of one object."""
        path = _mirrors_in(self._namespaces[0])
        try:
            await self._call("GET", path, query=[("limit", "1")], accept=_METADATA_ONLY)
        except KubeNotFound:
            return False
        return True

    async def kind_is_served(self) -> bool:
        """Whether discovery shows the kind: it appears there a moment after the API server begins to serve it."""
        groups = await self._call("GET", "/apis")
        if GROUP not in [group.get("name") for group in groups.get("groups", [])]:
            return False
        try:
            resources = await self._call("GET", f"/apis/{GROUP}/{VERSION}")
        except KubeNotFound:
            return False
        return PLURAL in [resource.get("name") for resource in resources.get("resources", [])]

    async def namespace_is_terminating(self, name: str) -> bool:
        """Also True for a namespace that does not exist."""
        return await self._is_terminating(f"{_NAMESPACES}/{quote(name)}") is not False

    async def crd_is_terminating(self) -> bool:
        """Also True for a CustomResourceDefinition that does not exist."""
        return await self._is_terminating(_CRD) is not False

    async def served_schema(self) -> dict[str, Any]:
        """The schema of the version that this operator works with; empty without that version."""
        found = await self._call("GET", _CRD)
        versions = found.get("spec", {}).get("versions", [])
        schema: dict[str, Any] = next(
            (
                version.get("schema", {}).get("openAPIV3Schema", {})
                for version in versions
                if version["name"] == VERSION
            ),
            {},
        )
        return schema

    async def cluster_uid(self) -> str:
        found = await self._call("GET", f"{_NAMESPACES}/kube-system")
        return str(found["metadata"]["uid"])

    async def emit_event(self, regarding: dict[str, str], type_: str, reason: str, message: str, action: str) -> None:
        """Create one Event in the namespace of its object; a reconcile waits for it, so its time limit is short."""
        namespace = regarding["namespace"]
        moment = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="microseconds")
        body = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": _event_name(regarding["name"]), "namespace": namespace},
            "eventTime": moment.replace("+00:00", "Z"),
            "reportingController": FIELD_MANAGER,
            "reportingInstance": socket.gethostname()[:128] or FIELD_MANAGER,
            "regarding": regarding,
            "type": type_,
            "reason": reason,
            "action": action,
            "note": _shortened(message),
        }
        await self._call("POST", f"{_EVENTS}/{quote(namespace)}/events", body=body, seconds=EVENT_SECONDS)

    async def _patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        query = [("fieldManager", FIELD_MANAGER)]
        return await self._call("PATCH", path, query=query, content_type=_MERGE_PATCH, body=body)

    async def _is_terminating(self, path: str) -> bool | None:
        """None when it does not exist."""
        try:
            found = await self._call("GET", path)
        except KubeNotFound:
            return None
        ending = found.get("status", {}).get("phase") == "Terminating"
        return ending or bool(found.get("metadata", {}).get("deletionTimestamp"))

    async def _mirrors(self, accept: str, limit: int, *, skip_terminating: bool) -> AsyncIterator[list[dict[str, Any]]]:
        for namespace in self._namespaces:
            try:
                async for page in self._pages(_mirrors_in(namespace), accept, limit):
                    yield page
            except KubeForbidden as refusal:
                terminating = await self._is_terminating(f"{_NAMESPACES}/{quote(namespace)}") if namespace else False
                if terminating is False or (terminating and not skip_terminating):
                    raise
                logger.warning("Going on without the namespace %s, which is being deleted: %s", namespace, refusal)

    async def _pages(self, path: str, accept: str, limit: int) -> AsyncIterator[list[dict[str, Any]]]:
        token = ""
        while True:
            query = [("limit", str(limit))] + ([("continue", token)] if token else [])
            reply = await self._call("GET", path, query=query, accept=accept, seconds=LIST_SECONDS)
            yield reply.get("items") or []
            token = reply.get("metadata", {}).get("continue") or ""
            if not token:
                return

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: list[tuple[str, str]] | None = None,
        accept: str = "application/json",
        content_type: str = "application/json",
        body: dict[str, Any] | None = None,
        seconds: float = CALL_SECONDS,
    ) -> dict[str, Any]:
        headers = {"Accept": accept, "Content-Type": content_type}
        request = await self._api.param_serialize(method, path, query_params=query, header_params=headers, body=body)
        try:
            reply = await self._api.call_api(*request, _request_timeout=aiohttp.ClientTimeout(total=seconds))
            data: bytes = await reply.response.read()
        except TimeoutError as error:
            raise KubeUnavailable(f"{method} {path}: no answer within {seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise KubeUnavailable(f"{method} {path}: {type(error).__name__}: {error}") from error
        return _content(f"{method} {path}", reply.status, data)


def _mirrors_in(namespace: str) -> str:
    return f"/apis/{GROUP}/{VERSION}/{f'namespaces/{quote(namespace)}/' if namespace else ''}{PLURAL}"


def _mirror(namespace: str, name: str) -> str:
    return f"{_mirrors_in(namespace)}/{quote(name)}"


def _version(item: dict[str, Any]) -> tuple[str, str, str, int, str, str | None]:
    metadata = item["metadata"]
    return (
        metadata["uid"],
        metadata["namespace"],
        metadata["name"],
        metadata["generation"],
        metadata["resourceVersion"],
        metadata.get("deletionTimestamp"),
    )


def _content(what: str, status: int, data: bytes) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except ValueError:
        content = None
    if status < _FIRST_FAILURE and isinstance(content, dict):
        return content
    if status < _FIRST_FAILURE:
        raise KubeUnavailable(f"{what}: the answer is not a JSON object; is the address that of an API server?")
    kind = KubeUnavailable if status >= _FIRST_SERVER_ERROR else _BY_STATUS.get(status, KubeError)
    message = str(content.get("message", "")) if isinstance(content, dict) else ""
    raise kind(f"{what}: {status} {message[:_MESSAGE_LENGTH]}".rstrip())


def _event_name(subject: str) -> str:
    """A name of our own making: ``generateName`` has to be a legal name itself, and so must not end with the dot."""
    return f"{subject[:_EVENT_SUBJECT_LENGTH].rstrip('-.')}.{secrets.token_hex(8)}"


def _shortened(message: str) -> str:
    """An Event's note of more than 1 KiB is refused."""
    data = message.encode()
    if len(data) <= _EVENT_NOTE_BYTES:
        return message
    return data[: _EVENT_NOTE_BYTES - len("…".encode())].decode(errors="ignore") + "…"

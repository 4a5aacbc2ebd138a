"""A small API server for tests of the Kubernetes client and of the watch: loopback HTTP, full of faults on demand.

Owns the behaviour that our side relies on: resource versions and the 409 of a stale one, the split of ``/status``,
pages with a token that can expire, metadata-only lists, Status bodies, discovery, a watch that can be cut, go silent or
forget (410). What depends on a whole API server (schema, CEL, finalizers, rights) is tested on a real one.

``start`` serves in the running loop; ``served`` in a thread of its own, for tests in which kopf runs: it would take the
server's tasks for its own and wait for them.
"""

import asyncio
import contextlib
import copy
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

MIRRORS = "/apis/peerdb.io/v1alpha1"
POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass
class FakeKube:
    """The state of the cluster, free to be changed by a test, and a log of what was asked."""

    mirrors: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    others: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    refused: list[Asked] = field(default_factory=list)
    refuse_watches: int | None = None
    no_such_kind: bool = False
    refusal: tuple[int, str] | None = None
    closed: set[str] = field(default_factory=set)
    """Namespaces in which nobody has a right to Mirrors."""
    token: str | None = None
    expire_pages: bool = False
    version: int = 100
    address: str = ""
    history: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    forgotten_until: int = 0
    """Watches that begin before this version get 410."""
    deaf: bool = False
    """Watches stay open and say nothing."""
    watches: int = 0
    _cut: int = 0

    def add(self, namespace: str, name: str, **metadata: object) -> dict[str, Any]:
        """Create a Mirror."""
        self.version += 1
        fixed = {"namespace": namespace, "name": name, "uid": f"uid-{namespace}-{name}", "generation": 1}
        body = {"metadata": {**fixed, "resourceVersion": str(self.version), **metadata}, "spec": {"state": "Running"}}
        self.mirrors[namespace, name] = body
        self.history.append((self.version, "ADDED", body))
        return body

    def delete(self, namespace: str, name: str) -> None:
        """Remove a Mirror at once."""
        self.version += 1
        body = copy.deepcopy(self.mirrors.pop((namespace, name)))
        body["metadata"]["resourceVersion"] = str(self.version)
        self.history.append((self.version, "DELETED", body))

    def forget(self) -> None:
        """Cut all watches; those that want to go on get 410."""
        self.version += 1
        self.forgotten_until = self.version
        self._cut += 1

    def cut(self) -> None:
        """Close the connection of all watches."""
        self._cut += 1

    def serve_discovery(self) -> None:
        """What kopf and our own start look up."""
        preferred = {"groupVersion": "peerdb.io/v1alpha1", "version": "v1alpha1"}
        group = {"name": "peerdb.io", "versions": [preferred], "preferredVersion": preferred}
        self.others["/api"] = {"versions": ["v1"]}
        self.others["/api/v1"] = {"resources": [_resource("namespaces", "Namespace", namespaced=False)]}
        self.others["/apis"] = {"groups": [group]}
        self.others[MIRRORS] = {"resources": [_resource("mirrors", "Mirror", namespaced=True)]}
        self.others["/api/v1/namespaces/kube-system"] = {"metadata": {"uid": "cluster-1"}}

    @contextlib.contextmanager
    def served(self) -> Iterator["FakeKube"]:
        """Serve from another thread."""
        loop = asyncio.new_event_loop()
        runner = loop.run_until_complete(self.start())
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.cut()
            asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def start(self) -> web.AppRunner:
        """Listen on loopback; the caller cleans the runner up."""
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._serve)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(Asked(request.method, request.path, dict(request.query), dict(request.headers)))
        if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
            return self._refuse(401, "Unauthorized")
        if self.refusal is not None:
            return self._refuse(*self.refusal)
        if self.refuse_watches is not None and request.query.get("watch") == "true":
            return self._refuse(self.refuse_watches, "no watch")
        if self.no_such_kind and request.path.startswith(MIRRORS):
            return self._refuse(404, "the server could not find the requested resource")
        parts = request.path.removeprefix(f"{MIRRORS}/").split("/")
        if parts[0] == "namespaces" and parts[1] in self.closed:
            return self._refuse(403, f"no rights in {parts[1]}")
        match request.method, parts:
            case "GET", ["mirrors"] if request.query.get("watch") == "true":
                return await self._watch(request)
            case "GET", ["mirrors"] | ["namespaces", _, "mirrors"]:
                return self._list(request, parts[1] if len(parts) > 1 else None)
            case "GET" | "PATCH", ["namespaces", namespace, "mirrors", name, *rest]:
                return await self._one(request, (namespace, name), status=rest == ["status"])
            case "POST", _:
                self.events.append(await request.json())
                return web.json_response(self.events[-1], status=201)
        found = self.others.get(request.path)
        return _status(404, f"{request.path} not found") if found is None else web.json_response(found)

    def _refuse(self, status: int, message: str) -> web.Response:
        self.refused.append(self.asked[-1])
        return _status(status, message)

    def _list(self, request: web.Request, namespace: str | None) -> web.Response:
        items = [body for key, body in sorted(self.mirrors.items()) if namespace in {None, key[0]}]
        begin = int(request.query.get("continue", "0"))
        if begin and self.expire_pages:
            return _status(410, "The provided continue parameter is too old")
        end = begin + int(request.query["limit"])
        if "PartialObjectMetadataList" in request.headers["Accept"]:
            items = [{"metadata": body["metadata"]} for body in items]
        more = {"continue": str(end)} if end < len(items) else {}
        return web.json_response(
            {"metadata": {**more, "resourceVersion": str(self.version)}, "items": items[begin:end]}
        )

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        self.watches += 1
        response, cut, seen = web.StreamResponse(), self._cut, int(request.query["resourceVersion"])
        await response.prepare(request)
        if seen < self.forgotten_until:
            error = {"kind": "Status", "code": 410, "message": "too old resource version"}
            await response.write(json.dumps({"type": "ERROR", "object": error}).encode() + b"\n")
            return response
        while cut == self._cut:
            for version, kind, body in list(self.history):
                if version > seen and not self.deaf:
                    await response.write(json.dumps({"type": kind, "object": body}).encode() + b"\n")
                    seen = version
            await asyncio.sleep(POLL_SECONDS)
        return response

    async def _one(self, request: web.Request, key: tuple[str, str], *, status: bool) -> web.Response:
        if key not in self.mirrors:
            return _status(404, f'mirrors.peerdb.io "{key[1]}" not found')
        stored = self.mirrors[key]
        if request.method == "GET":
            return web.json_response(stored)
        assert request.content_type == "application/merge-patch+json"
        patch = await request.json()
        version = patch.get("metadata", {}).pop("resourceVersion", stored["metadata"]["resourceVersion"])
        if version != stored["metadata"]["resourceVersion"]:
            return _status(409, "the object has been modified")
        kept = {"status": patch.get("status")} if status else {k: v for k, v in patch.items() if k != "status"}
        new = _merged(copy.deepcopy(stored), kept)
        if new != stored:
            self.version += 1
            new["metadata"]["resourceVersion"] = str(self.version)
            self.mirrors[key] = new
            self.history.append((self.version, "MODIFIED", new))
        return web.json_response(new)


def _resource(plural: str, kind: str, *, namespaced: bool) -> dict[str, Any]:
    verbs = ["get", "list", "watch", "patch"]
    return {"name": plural, "kind": kind, "singularName": kind.lower(), "namespaced": namespaced, "verbs": verbs}


def _merged(target: dict[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            target[key] = _merged(target.get(key) or {}, value)
        else:
            target[key] = value
    return target


def _status(code: int, message: str) -> web.Response:
    return web.json_response({"kind": "Status", "status": "Failure", "code": code, "message": message}, status=code)

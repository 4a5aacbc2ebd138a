"""A small API server for tests of the Kubernetes client: loopback HTTP, in the same event loop.

Owns the behaviour that the client relies on: resource versions and the 409 of a stale one, the split of ``/status``,
pages with a token that can expire, metadata-only lists, Status bodies. What depends on a whole API server (schema, CEL,
watch, finalizers) is tested on a real one.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

MIRRORS = "/apis/peerdb.io/v1alpha1"


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
    refusal: tuple[int, str] | None = None
    token: str | None = None
    expire_pages: bool = False
    version: int = 100
    address: str = ""

    def add(self, namespace: str, name: str, **metadata: object) -> dict[str, Any]:
        """Create a Mirror."""
        self.version += 1
        fixed = {"namespace": namespace, "name": name, "uid": f"uid-{namespace}-{name}", "generation": 1}
        body = {"metadata": {**fixed, "resourceVersion": str(self.version), **metadata}, "spec": {"state": "Running"}}
        self.mirrors[namespace, name] = body
        return body

    async def start(self) -> web.AppRunner:
        """Listen on loopback; the caller cleans the runner up."""
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._serve)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    async def _serve(self, request: web.Request) -> web.Response:
        self.asked.append(Asked(request.method, request.path, dict(request.query), dict(request.headers)))
        if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
            return _status(401, "Unauthorized")
        if self.refusal is not None:
            return _status(*self.refusal)
        parts = request.path.removeprefix(f"{MIRRORS}/").split("/")
        match request.method, parts:
            case "GET", ["mirrors"] | ["namespaces", _, "mirrors"]:
                return self._list(request, parts[1] if len(parts) > 1 else None)
            case "GET" | "PATCH", ["namespaces", namespace, "mirrors", name, *rest]:
                return await self._one(request, (namespace, name), status=rest == ["status"])
            case "POST", _:
                self.events.append(await request.json())
                return web.json_response(self.events[-1], status=201)
        found = self.others.get(request.path)
        return _status(404, f"{request.path} not found") if found is None else web.json_response(found)

    def _list(self, request: web.Request, namespace: str | None) -> web.Response:
        items = [body for key, body in sorted(self.mirrors.items()) if namespace in {None, key[0]}]
        begin = int(request.query.get("continue", "0"))
        if begin and self.expire_pages:
            return _status(410, "The provided continue parameter is too old")
        end = begin + int(request.query["limit"])
        if "PartialObjectMetadataList" in request.headers["Accept"]:
            items = [{"metadata": body["metadata"]} for body in items]
        more = {"continue": str(end)} if end < len(items) else {}
        return web.json_response({"metadata": more, "items": items[begin:end]})

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
        return web.json_response(new)


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

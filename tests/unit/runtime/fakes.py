"""What stands in for controller, API server and PeerDB in tests of the process."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from peerdb_operator.errors import KubeNotFound
from peerdb_operator.kube.port import MirrorVersion
from peerdb_operator.peerdb.transport import Reply, Request
from peerdb_operator.ports import Periodic, Pool, Requeue


def a_body(uid: str, version: int = 1, *, generation: int = 1, name: str | None = None) -> dict[str, Any]:
    metadata = {
        "uid": uid,
        "namespace": "data",
        "name": name or uid,
        "generation": generation,
        "resourceVersion": str(version),
    }
    return {"metadata": metadata}


class FakeController:
    """Knows versions, wakes on everything new, and remembers what it was told."""

    def __init__(self) -> None:
        self.versions: dict[str, tuple[int, str]] = {}
        self.observed: list[tuple[str | None, str, str]] = []
        self.forgotten: list[str] = []
        self.tasks: tuple[Periodic, ...] = ()
        self.was_listed = False

    def observe(self, event_type: str | None, body: Mapping[str, Any]) -> str | None:
        metadata = body["metadata"]
        uid, version = metadata["uid"], (metadata["generation"], metadata["resourceVersion"])
        self.observed.append((event_type, uid, version[1]))
        if event_type == "DELETED":
            self.versions.pop(uid, None)
            return str(uid)
        if uid in self.versions and int(self.versions[uid][1]) >= int(version[1]):
            return None
        self.versions[uid] = version
        return str(uid)

    def restore(self, body: Mapping[str, Any], instead_of: int) -> str | None:
        metadata = body["metadata"]
        uid, known = metadata["uid"], self.versions.get(metadata["uid"])
        if known is not None and int(known[1]) != instead_of:
            return self.observe(None, body)
        self.versions[uid] = (metadata["generation"], metadata["resourceVersion"])
        return str(uid)

    def listed(self) -> None:
        self.was_listed = True

    def pool(self, _uid: str) -> Pool:
        return Pool.NORMAL

    async def reconcile(self, _uid: str) -> Requeue:
        return Requeue(after=None)

    def periodic(self) -> tuple[Periodic, ...]:
        return self.tasks

    def known_versions(self) -> dict[str, tuple[int, str]]:
        return dict(self.versions)

    def forget(self, uid: str) -> None:
        self.forgotten.append(uid)
        del self.versions[uid]


class FakeCluster:
    """Objects by uid, as much of ``KubePort`` as the comparison needs; an error set on it is raised."""

    def __init__(self) -> None:
        self.bodies: dict[str, dict[str, Any]] = {}
        self.error: Exception | None = None
        self.gets: list[str] = []
        self.lists = 0
        self.on_list: list[dict[str, Any]] = []
        """Objects that appear while the list is on its way."""
        self.hidden_from_get: set[str] = set()
        self.on_get: Callable[[], None] = lambda: None
        self.after_list: Callable[[], None] = lambda: None
        self.appear_in: FakeController | None = None

    def put(self, body: dict[str, Any]) -> None:
        self.bodies[body["metadata"]["uid"]] = body

    async def list_mirror_versions(self) -> list[MirrorVersion]:
        self.lists += 1
        if self.error is not None:
            raise self.error
        listed: list[MirrorVersion] = []
        for body in self.bodies.values():
            m = body["metadata"]
            listed.append((m["uid"], m["namespace"], m["name"], m["generation"], m["resourceVersion"], None))
        if self.appear_in is not None:
            for body in self.on_list:
                self.appear_in.observe("ADDED", body)
        self.after_list()
        return listed

    async def get_mirror(self, _namespace: str, name: str) -> dict[str, Any]:
        self.gets.append(name)
        self.on_get()
        for body in self.bodies.values():
            if body["metadata"]["name"] == name and name not in self.hidden_from_get:
                return body
        raise KubeNotFound(f"{name} not found")


class FakePeerDB:
    """A transport with a list of mirrors and a log; answers like PeerDB's ListMirrorLogs, newest row first."""

    def __init__(self) -> None:
        self.mirrors: list[dict[str, Any]] = []
        self.rows: list[tuple[int, str, str]] = []
        self.requests: list[Request] = []
        self.failing: dict[str, Exception] = {}
        self.answers_left = 0
        """How many requests are answered before those in ``failing`` fail."""

    def add_mirror(self, name: str, state: str = "STATUS_RUNNING") -> None:
        row = {"name": name, "status": state, "createdAt": 1755770400123.0, "isCdc": True, "id": "1"}
        self.mirrors.append(row)

    def log(self, *ids: int, mirror: str = "orders") -> None:
        self.rows += [(number, mirror, f"error {number}") for number in ids]

    def asked(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.path == path]

    async def send(self, request: Request) -> Reply:
        self.requests.append(request)
        if request.path in self.failing:
            self.answers_left -= 1
            if self.answers_left < 0:
                raise self.failing[request.path]
        body: dict[str, Any] = {"mirrors": self.mirrors}
        if request.path == "mirrors/logs":
            assert request.body is not None
            body = {"errors": self._page(request.body), "total": len(self.rows), "page": 1}
        return Reply(200, "application/json", json.dumps(body).encode())

    def _page(self, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
        assert asked["level"] == "error"
        size, after, before = asked["numPerPage"], asked["afterId"], asked["beforeId"]
        rows = sorted(self.rows)
        if (after, before) == (0, 0):
            page = rows[-size:]
        else:
            assert before == -1
            page = [row for row in rows if row[0] > after][:size]
        return [
            {
                "id": number,
                "flowName": mirror,
                "errorMessage": message,
                "errorType": "error",
                "errorTimestamp": 1000.0 * number,
            }
            for number, mirror, message in reversed(page)
        ]

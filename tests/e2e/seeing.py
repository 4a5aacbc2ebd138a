"""How the tests of this folder see: waiting with a limit, reading the API server, reading what PeerDB was asked.

Looks only; what people do is in ``world``. Kubernetes is read straight from the API server over one connection, because
starting kubectl costs more than asking.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from tests.harness.controlplane.launch import ControlPlane
from tests.harness.peerdb.process import SimulatorProcess

PATIENCE = 150.0
POLL = 0.05

Object = dict[str, Any]
T = TypeVar("T")


def eventually(look: Callable[[], T | None], what: str, about: object = "", *, within: float = PATIENCE) -> T:
    """The first truthy answer of ``look``; raises AssertionError with ``what`` and ``about`` as it is then."""
    deadline = time.monotonic() + within
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {what}\n{about}")
        time.sleep(POLL)


@dataclass(frozen=True, slots=True)
class Command:
    """One ``state_change`` as PeerDB got it, and the HTTP status it answered (0: none yet)."""

    n: int
    state: str
    update: Object | None
    body: Object
    status: int

    @property
    def added(self) -> list[str]:
        """Sources that it adds."""
        return [table["sourceTableIdentifier"] for table in (self.update or {}).get("additionalTables", [])]

    @property
    def removed(self) -> list[str]:
        """Sources that it removes."""
        return [table["sourceTableIdentifier"] for table in (self.update or {}).get("removedTables", [])]


class Kube:
    """Reads of the API server without kubectl, over one connection for as long as it lasts."""

    def __init__(self, cluster: ControlPlane) -> None:
        self._headers = {"Authorization": f"Bearer {cluster.admin_token}", "User-Agent": "e2e"}
        self._address = urlsplit(cluster.url).netloc
        self._tls = ssl.create_default_context(cafile=cluster.ca_file)
        self._open: http.client.HTTPSConnection | None = None

    def get(self, path: str) -> Object | None:
        """The object at ``path``, or None for a 404."""
        status, body = self._ask(path)
        if status == http.client.NOT_FOUND:
            return None
        assert status == http.client.OK, f"GET {path}: {status} {body[:500]!r}"
        found: Object = json.loads(body)
        return found

    def close(self) -> None:
        """Give the connection back."""
        if self._open is not None:
            self._open.close()

    def _ask(self, path: str) -> tuple[int, bytes]:
        if self._open is not None:
            try:
                return self._exchange(self._open, path)
            except (OSError, http.client.HTTPException):
                self._open.close()  # the server has been restarted since
        self._open = http.client.HTTPSConnection(self._address, timeout=PATIENCE, context=self._tls)
        return self._exchange(self._open, path)

    def _exchange(self, connection: http.client.HTTPSConnection, path: str) -> tuple[int, bytes]:
        connection.request("GET", path, headers=self._headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def commands(sim: SimulatorProcess, mirror: str, after: int = 0) -> list[Command]:
    """The ``state_change`` calls for a mirror that PeerDB has got, in order."""
    return all_commands(sim, after).get(mirror, [])


def all_commands(sim: SimulatorProcess, after: int = 0) -> dict[str, list[Command]]:
    """The same for every mirror that has got any."""
    events = sim.log(after)
    replies = {event["request"]: event["status"] for event in events if event["kind"] == "reply"}
    found: dict[str, list[Command]] = {}
    for event in events:
        if event["kind"] != "request" or not str(event["path"]).endswith("mirrors/state_change"):
            continue
        body: Object = json.loads(str(event["body"]))
        update = (body.get("flowConfigUpdate") or {}).get("cdcFlowConfigUpdate")
        state = str(body["requestedFlowState"]).removeprefix("STATUS_")
        number = int(str(event["n"]))
        command = Command(number, state, update, body, int(str(replies.get(event["n"], 0))))
        found.setdefault(body["flowJobName"], []).append(command)
    return found

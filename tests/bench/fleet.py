"""Many Mirrors at once: made, edited and watched until they settle, straight through the API, many requests at a time.

Owns the shape of the Mirrors of the bench and the clock times of their edits. Raises BenchError for a refusal or when
something does not settle in time.
"""

import asyncio
import contextlib
import json
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import aiohttp

from peerdb_operator.api.constants import API_VERSION, GROUP, KIND, PLURAL, VERSION
from tests.bench.processes import BenchError
from tests.harness.controlplane.launch import ControlPlane
from tests.harness.gotools.progress import Progress
from tests.harness.peerdb.process import Control

CONNECTIONS = 40
PAGE = 500
POLL_SECONDS = 0.5
SETTLE_SECONDS = 900.0
MERGE_PATCH = "application/merge-patch+json"

Object = dict[str, Any]


def name_of(number: int) -> str:
    """The object's name; PeerDB's is the same with ``_``."""
    return f"bench-{number}"


def mirror_of(number: int) -> str:
    """PeerDB's name."""
    return f"bench_{number}"


def tables(number: int, count: int) -> list[Object]:
    """The tables of one Mirror; every name is its own."""
    return [{"source": f"s{number}.t{table}", "destination": f"d{number}_t{table}"} for table in range(count)]


def furnish(simulator: Control, numbers: Iterable[int], count: int) -> None:
    """Put running mirrors with ``count`` tables each into PeerDB."""
    for number in numbers:
        simulator.put_mirror(mirror_of(number), tables=tables(number, count))


class Fleet:
    """The Mirrors of one namespace. Made by ``open_fleet``."""

    def __init__(self, session: aiohttp.ClientSession, url: str, namespace: str) -> None:
        self._session = session
        self._core = f"{url}/api/v1/namespaces"
        self._path = f"{url}/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}"
        self._namespace = namespace
        self._progress = Progress(sys.stderr)

    async def make_namespace(self) -> None:
        """The namespace itself; there is no other part of it."""
        wish = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self._namespace}}
        await self._ask("POST", self._core, wish)

    async def create(self, numbers: Iterable[int], count: int) -> None:
        """Mirrors that run with ``count`` tables; deletionPolicy Retain, for their end is nobody's subject here."""
        await self._all(f"Creating Mirrors in {self._namespace}", [self._creation(number, count) for number in numbers])

    async def patch(self, number: int, spec: Object) -> float:
        """Change a spec; returns the clock time at which the request was sent."""
        sent = time.time()
        await self._ask("PATCH", f"{self._path}/{name_of(number)}", {"spec": spec}, MERGE_PATCH)
        return sent

    async def add_tables(self, numbers: Iterable[int], count: int) -> float:
        """Edit all of them at once, to ``count`` tables each; returns the clock time of the first edit."""
        began = time.time()

        def edit(number: int) -> Callable[[], Awaitable[object]]:
            return lambda: self.patch(number, {"tables": tables(number, count)})

        await self._all(f"Editing Mirrors in {self._namespace}", [edit(number) for number in numbers])
        return began

    async def settled(self, total: int, tables_each: int, within: float = SETTLE_SECONDS) -> float:
        """Wait until that many are Ready for their newest spec with all tables; returns the clock time."""
        deadline, shown = time.monotonic() + within, 0
        self._progress.begin(f"Settling Mirrors in {self._namespace}", total, "Mirrors")
        while True:
            ready = sum(_is_settled(item, f"{tables_each}/{tables_each}") for item in await self._list())
            for _ in range(shown, ready):
                self._progress.advance()
            shown = max(shown, ready)
            if ready >= total:
                self._progress.end()
                return time.time()
            if time.monotonic() > deadline:
                raise BenchError(f"only {ready} of {total} Mirrors settled within {within:g} s")
            await asyncio.sleep(POLL_SECONDS)

    def _creation(self, number: int, count: int) -> Callable[[], Awaitable[object]]:
        spec = {"mirrorName": mirror_of(number), "tables": tables(number, count), "deletionPolicy": "Retain"}
        metadata = {"name": name_of(number), "namespace": self._namespace}
        body = {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}
        return lambda: self._ask("POST", self._path, body)

    async def _all(self, what: str, calls: list[Callable[[], Awaitable[object]]]) -> None:
        slots = asyncio.Semaphore(CONNECTIONS)
        self._progress.begin(what, len(calls), "requests")

        async def one(call: Callable[[], Awaitable[object]]) -> None:
            async with slots:
                await call()
            self._progress.advance()

        await asyncio.gather(*map(one, calls))
        self._progress.end()

    async def _list(self) -> list[Object]:
        items: list[Object] = []
        token = ""
        while True:
            page = await self._ask("GET", f"{self._path}?limit={PAGE}" + (f"&continue={token}" if token else ""))
            items += page["items"]
            token = page["metadata"].get("continue", "")
            if not token:
                return items

    async def _ask(self, method: str, url: str, body: Object | None = None, kind: str = "application/json") -> Object:
        data = None if body is None else json.dumps(body)
        async with self._session.request(method, url, data=data, headers={"Content-Type": kind}) as reply:
            found: Object = await reply.json()
            if not reply.ok:
                raise BenchError(f"{method} {url}: {reply.status} {found.get('message', '')}")
            return found


@contextlib.asynccontextmanager
async def open_fleet(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Fleet]:
    """A fleet in a new namespace of a control plane of our own."""
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, ssl=ssl.create_default_context(cafile=control_plane.ca_file))
    headers = {"Authorization": f"Bearer {control_plane.admin_token}"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        fleet = Fleet(session, control_plane.url, namespace)
        await fleet.make_namespace()
        yield fleet


def _is_settled(item: Object, summary: str) -> bool:
    status = item.get("status", {})
    ready = [one["status"] for one in status.get("conditions", []) if one["type"] == "Ready"]
    current = status.get("observedGeneration") == item["metadata"]["generation"]
    return current and ready == ["True"] and status.get("tables", {}).get("summary") == summary

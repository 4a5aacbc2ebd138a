"""The floor of latency: a bare loop that watches Mirrors and forwards ``spec.state`` at once, with no other thought.

A process of its own, like the operator: ``python -m tests.bench.floor --kubeconfig FILE --namespace NS --peerdb-url
URL``. Prints ``ready`` when it watches. It looks at nothing, remembers one number per Mirror, and proves nothing: what
the operator takes longer is the price of looking before acting. The kubeconfig is the harness's own (JSON, a token).
"""

import argparse
import asyncio
import json
import ssl
from pathlib import Path
from typing import Any

import aiohttp

from peerdb_operator.api.constants import GROUP, PLURAL, VERSION

WIRE = {"Running": "STATUS_RUNNING", "Paused": "STATUS_PAUSED"}
LINE_LIMIT = 2**21


class Floor:
    """The loop, between two open sessions."""

    def __init__(self, kube: aiohttp.ClientSession, peerdb: aiohttp.ClientSession, path: str, peerdb_url: str) -> None:
        self._kube = kube
        self._peerdb = peerdb
        self._path = path
        self._forward_to = f"{peerdb_url}/v1/mirrors/state_change"
        self._generations: dict[str, int] = {}
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """List once, then watch until the connection ends."""
        async with self._kube.get(self._path) as reply:
            listed = await reply.json()
        for item in listed["items"]:
            self._generations[item["metadata"]["uid"]] = item["metadata"]["generation"]
        query = {"watch": "1", "resourceVersion": listed["metadata"]["resourceVersion"]}
        async with self._kube.get(self._path, params=query) as reply:
            print("ready", flush=True)
            async for line in reply.content:
                self._take_in(json.loads(line)["object"])

    def _take_in(self, body: dict[str, Any]) -> None:
        uid, generation = body["metadata"]["uid"], body["metadata"]["generation"]
        if self._generations.get(uid) == generation:
            return
        self._generations[uid] = generation
        task = asyncio.create_task(self._forward(body["spec"]))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _forward(self, spec: dict[str, Any]) -> None:
        wish = {"flowJobName": spec["mirrorName"], "requestedFlowState": WIRE[spec["state"]]}
        async with self._peerdb.post(self._forward_to, json=wish) as reply:
            await reply.read()


async def run(config: dict[str, Any], namespace: str, peerdb_url: str) -> None:
    """Forward until the watch ends; ``config`` is a kubeconfig."""
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    trust = ssl.create_default_context(cafile=cluster["certificate-authority"])
    patience = aiohttp.ClientTimeout(total=None)
    path = f"{cluster['server']}/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}"
    headers = {"Authorization": f"Bearer {user['token']}"}
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trust), headers=headers, timeout=patience, read_bufsize=LINE_LIMIT
        ) as kube,
        aiohttp.ClientSession() as peerdb,
    ):
        await Floor(kube, peerdb, path, peerdb_url).run()


def main() -> None:
    """The entry point."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.floor", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--peerdb-url", required=True)
    options = parser.parse_args()
    config = json.loads(options.kubeconfig.read_text(encoding="utf-8"))
    asyncio.run(run(config, options.namespace, options.peerdb_url))


if __name__ == "__main__":
    main()

"""The real process around a controller that decides nothing: it writes down what it is shown, one JSON line each.

Owns the controller and a command line that takes the product's flags; ``python -m tests.harness.recording_operator
--peerdb-url … --kubeconfig …``. The lines go to standard output, the product's own log to standard error. A Mirror's
annotation ``test/pass-seconds`` says how long a pass over it takes.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any

from peerdb_operator import app
from peerdb_operator.errors import PeerDBError
from peerdb_operator.ports import Controller, Periodic, Pool, Requeue, Wake
from peerdb_operator.settings import load_settings

PASS_SECONDS = "test/pass-seconds"


def write(what: str, **facts: object) -> None:
    """One line, at once."""
    sys.stdout.write(json.dumps({"what": what, **facts}) + "\n")
    sys.stdout.flush()


class RecordingController:
    """Implements ``Controller`` without a word to Kubernetes; asks PeerDB for its list alone."""

    def __init__(self, world: app.World) -> None:
        write("made", cluster_id=world.cluster_id)
        self._world = world
        self._versions: dict[str, tuple[int, str]] = {}
        self._bodies: dict[str, Mapping[str, Any]] = {}

    def observe(self, event_type: str | None, body: Mapping[str, Any]) -> str | None:
        metadata = body["metadata"]
        uid = str(metadata["uid"])
        write("observed", type=event_type, namespace=metadata["namespace"], name=metadata["name"])
        if event_type == "DELETED":
            self.forget(uid)
            return uid
        known = self._versions.get(uid)
        version = (int(metadata["generation"]), str(metadata["resourceVersion"]))
        if known is not None and int(known[1]) >= int(version[1]):
            return None
        self._versions[uid] = version
        self._bodies[uid] = body
        return uid if known is None or known[0] != version[0] else None

    def restore(self, body: Mapping[str, Any], instead_of: int) -> str | None:
        del instead_of
        return self.observe(None, body)

    def listed(self) -> None:
        write("listed", known=len(self._versions))

    def pool(self, _uid: str) -> Pool:
        return Pool.NORMAL

    async def reconcile(self, uid: str) -> Requeue:
        body = self._bodies.get(uid)
        if body is None:
            return Requeue(after=None)
        name = body["metadata"]["name"]
        write("pass", name=name, generation=body["metadata"]["generation"])
        seconds = float(body["metadata"].get("annotations", {}).get(PASS_SECONDS, "0"))
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            write("cancelled", name=name)
            raise
        write("passed", name=name)
        return Requeue(after=None)

    def periodic(self) -> tuple[Periodic, ...]:
        return (Periodic("poll of all mirrors", self._world.settings.tick_seconds, self._poll),)

    async def _poll(self, _wake: Wake) -> None:
        if self._versions:
            try:
                write("fleet", mirrors=len(await self._world.peerdb.list_mirrors()), error=None)
            except PeerDBError as error:
                write("fleet", mirrors=None, error=error.reason)

    def known_versions(self) -> dict[str, tuple[int, str]]:
        return dict(self._versions)

    def forget(self, uid: str) -> None:
        self._versions.pop(uid, None)
        self._bodies.pop(uid, None)


def make(world: app.World) -> Controller:
    return RecordingController(world)


def main(arguments: list[str]) -> int:
    flags = {arguments[i].removeprefix("--").replace("-", "_"): arguments[i + 1] for i in range(0, len(arguments), 2)}
    return app.run_operator(load_settings(flags), make)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

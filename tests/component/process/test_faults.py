"""The process and kopf's watch against an API server with faults: what must not end it, and what must.

Each case is a way in which operators on kopf have gone deaf or died in production.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from peerdb_operator.clients.kube import KubeClient
from peerdb_operator.clients.kube_auth import KubeAccess, KubeAuth
from peerdb_operator.clients.peerdb import PeerDBClient
from peerdb_operator.controllers.ports import Rest
from peerdb_operator.runtime.assembly import Parts
from peerdb_operator.runtime.clock import SystemClock
from peerdb_operator.runtime.process import Process
from peerdb_operator.settings import Settings
from tests.harness.fakekube import FakeKube
from tests.unit.runtime.fakes import FakeController, FakePeerDB

PATIENCE = 30.0


class Recorder(FakeController):
    """Also says when something has happened."""

    def __init__(self) -> None:
        super().__init__()
        self.passes: list[str] = []

    async def reconcile(self, uid: str) -> Rest:
        self.passes.append(uid)
        return Rest(after=None)


class Scene:
    """A process, and the server it talks to."""

    def __init__(self, kube: FakeKube, anti_entropy_seconds: float) -> None:
        self.kube = kube
        self.controller = Recorder()
        self.token: str | None = kube.token
        self.settings = Settings(
            peerdb_url="http://127.0.0.1:9",
            health_port=0,
            drain_seconds=1,
            anti_entropy_seconds=anti_entropy_seconds,
        )
        self.process: Process | None = None
        self.cluster_ids: list[str] = []

    async def access(self) -> KubeAccess:
        return KubeAccess(
            server=self.kube.address,
            authorization=None if self.token is None else f"Bearer {self.token}",
            ca_file=None,
            cert_file=None,
            key_file=None,
            verify_tls=True,
            tls_server_name=None,
            proxy=None,
        )

    def make_controller(self, cluster_id: str) -> Recorder:
        self.cluster_ids.append(cluster_id)
        return self.controller

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait until it is so; the server works in a thread of its own, so there is nothing to be woken by."""
        async with asyncio.timeout(PATIENCE):
            while not happened():  # noqa: ASYNC110 - see above
                await asyncio.sleep(0.01)

    async def sees(self, name: str) -> None:
        await self.until(lambda: self.kube.watches > 0)
        self.kube.add("data", name)
        await self.until(lambda: f"uid-data-{name}" in self.controller.passes)

    def stop(self) -> None:
        assert self.process is not None
        self.process.stop()


Story = Callable[[Scene], Awaitable[None]]


def play(
    story: Story,
    *,
    token: str | None = None,
    anti_entropy_seconds: float = 300,
    discovery: bool = True,
    identity: bool = True,
) -> tuple[int, Scene]:
    """Run the process with a story beside it; returns the exit code."""
    kube = FakeKube(token=token)
    kube.serve_discovery()
    if not discovery:
        kube.others["/apis"] = {"groups": []}
    if not identity:
        del kube.others["/api/v1/namespaces/kube-system"]

    async def main() -> tuple[int, Scene]:
        scene = Scene(kube, anti_entropy_seconds)
        auth = KubeAuth(scene.access, await scene.access())
        client = await KubeClient.connect(auth, [], connections=5)
        parts = Parts(
            settings=scene.settings,
            kube=client,
            peerdb=PeerDBClient(FakePeerDB()),
            clock=SystemClock(),
            rng=random.Random(1),
            server=auth.server,
            session=auth.watch_session,
            make_controller=scene.make_controller,
        )
        scene.process = Process(parts)
        told = asyncio.create_task(_tell(story, scene))
        try:
            return await scene.process.run(), scene
        finally:
            told.cancel()
            await asyncio.gather(told, return_exceptions=True)
            await client.close()
            if not told.cancelled() and (error := told.exception()) is not None:
                raise error

    with kube.served():
        return asyncio.run(main())


async def _tell(story: Story, scene: Scene) -> None:
    try:
        await story(scene)
    except BaseException:
        scene.stop()
        raise


def test_everything_is_known_before_the_watch_begins_when_the_process_starts() -> None:
    async def story(scene: Scene) -> None:
        await scene.until(lambda: scene.kube.watches == 1)
        assert scene.cluster_ids == ["cluster-1"]
        assert scene.controller.was_listed
        await scene.sees("orders")
        scene.stop()

    assert play(story)[0] == 0


def test_the_watch_begins_only_when_discovery_shows_the_kind(caplog: pytest.LogCaptureFixture) -> None:
    async def story(scene: Scene) -> None:
        await scene.until(lambda: "discovery does not show the kind yet" in caplog.text)
        assert scene.kube.watches == 0
        scene.kube.serve_discovery()
        await scene.sees("orders")
        scene.stop()

    assert play(story, discovery=False)[0] == 0


def test_the_watch_goes_on_when_one_request_is_refused_with_401_and_the_token_is_the_same() -> None:
    async def story(scene: Scene) -> None:
        await scene.sees("before")
        scene.kube.token = "another"
        scene.kube.cut()
        await scene.until(lambda: any(asked.query.get("watch") for asked in scene.kube.refused))
        scene.kube.token = "first"
        await scene.sees("after")
        scene.stop()

    assert play(story, token="first")[0] == 0


def test_the_watch_goes_on_with_the_new_token_when_the_old_one_was_revoked() -> None:
    async def story(scene: Scene) -> None:
        await scene.sees("before")
        scene.token = scene.kube.token = "second"
        scene.kube.cut()
        await scene.sees("after")
        scene.stop()

    assert play(story, token="first")[0] == 0


@pytest.mark.parametrize("status", [403, 429, 500, 503])
def test_the_watch_goes_on_when_the_server_refuses_for_a_while(status: int) -> None:
    async def story(scene: Scene) -> None:
        await scene.sees("before")
        scene.kube.refusal = (status, "for a while")
        scene.kube.cut()
        await scene.until(lambda: len(scene.kube.refused) >= 3)
        scene.kube.refusal = None
        await scene.sees("after")
        scene.stop()

    assert play(story)[0] == 0


def test_a_mirror_that_vanished_in_a_gap_is_forgotten_and_others_arrive() -> None:
    async def story(scene: Scene) -> None:
        await scene.sees("staying")
        await scene.sees("vanishing")
        scene.kube.deaf = True
        scene.kube.delete("data", "vanishing")
        scene.kube.forget()
        scene.kube.deaf = False
        await scene.sees("later")
        assert "uid-data-vanishing" not in [uid for kind, uid, _ in scene.controller.observed if kind == "DELETED"]
        await scene.until(lambda: scene.controller.forgotten == ["uid-data-vanishing"])
        scene.stop()

    assert play(story, anti_entropy_seconds=0.2)[0] == 0


def test_a_change_reaches_the_controller_when_the_watch_is_deaf() -> None:
    async def story(scene: Scene) -> None:
        await scene.sees("before")
        scene.kube.deaf = True
        await scene.sees("after")
        scene.stop()

    assert play(story, anti_entropy_seconds=0.2)[0] == 0


def test_the_process_ends_with_1_and_a_sentence_when_the_cluster_has_no_uid(caplog: pytest.LogCaptureFixture) -> None:
    async def story(scene: Scene) -> None:
        assert scene.cluster_ids == []

    assert play(story, identity=False)[0] == 1
    assert "set --cluster-id" in caplog.text


def test_the_process_ends_with_1_when_the_watch_is_refused_for_good(caplog: pytest.LogCaptureFixture) -> None:
    async def story(scene: Scene) -> None:
        await scene.sees("before")
        scene.kube.refuse_watches = 404
        scene.kube.cut()

    assert play(story)[0] == 1
    assert "The watch of Mirrors ended unexpectedly (APINotFoundError" in caplog.text

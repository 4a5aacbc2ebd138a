"""The process and kopf's watch against an API server with faults: what must not end it, and what must.

Each case is a way in which operators on kopf have gone deaf or died in production.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from peerdb_operator.kube.client import KubeClient
from peerdb_operator.kube.credentials import KubeAuth
from peerdb_operator.kube.kubeconfig import KubeAccess
from peerdb_operator.peerdb.client import PeerDBClient
from peerdb_operator.ports import Clock, Requeue
from peerdb_operator.runtime.clock import SystemClock
from peerdb_operator.runtime.process import Parts, Process
from peerdb_operator.settings import Settings
from tests.harness.fakekube import FakeKube
from tests.harness.recorded_process import free_port
from tests.unit.runtime.fakes import FakeController, FakePeerDB

PATIENCE = 30.0


class Recorder(FakeController):
    """Also says when something has happened."""

    def __init__(self) -> None:
        super().__init__()
        self.passes: list[str] = []
        self.cancelled: list[str] = []

    async def reconcile(self, uid: str) -> Requeue:
        self.passes.append(uid)
        try:
            await asyncio.sleep(600 if uid.endswith("hanging") else 0)
        except asyncio.CancelledError:
            self.cancelled.append(uid)
            raise
        return Requeue(after=None)


class Scene:
    """A process, and the server it talks to."""

    def __init__(self, kube: FakeKube) -> None:
        self.kube = kube
        self.controller = Recorder()
        self.token: str | None = kube.token
        self.clock: Clock = SystemClock()
        self.settings = Settings(
            peerdb_url="http://127.0.0.1:9",
            health_host="127.0.0.1",
            health_port=0,
            metrics_host="127.0.0.1",
            metrics_port=0,
            drain_seconds=0.2,
        )
        self.clock_problem: str | None = None
        self.process: Process | None = None
        self.cluster_ids: list[str] = []

    async def access(self) -> KubeAccess:
        return KubeAccess(
            server=self.kube.address,
            authorization=None if self.token is None else f"Bearer {self.token}",
        )

    def set(self, **settings: object) -> None:
        self.settings = self.settings.model_copy(update=settings)

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


EventRecorder = Callable[[Scene], Awaitable[None]]


def play(
    story: EventRecorder, *, token: str | None = None, prepare: Callable[[Scene], object] = lambda _: None
) -> tuple[int, Scene]:
    """Run the process with a story beside it; returns the exit code."""
    kube = FakeKube(token=token)
    kube.serve_discovery()

    async def main() -> tuple[int, Scene]:
        scene = Scene(kube)
        prepare(scene)
        auth = KubeAuth(scene.access, await scene.access())
        client = await KubeClient.connect(auth, [], connections=5)
        parts = Parts(
            settings=scene.settings,
            kube=client,
            peerdb=PeerDBClient(FakePeerDB()),
            clock=scene.clock,
            clock_problem=lambda: scene.clock_problem,
            rng=random.Random(1),
            server=auth.server,
            session=auth.watch_session,
            make_controller=scene.make_controller,
        )
        scene.process = Process(parts)
        reported = asyncio.create_task(_tell(story, scene))
        try:
            return await scene.process.run(), scene
        finally:
            reported.cancel()
            await asyncio.gather(reported, return_exceptions=True)
            await client.close()
            if not reported.cancelled() and (error := reported.exception()) is not None:
                raise error

    with kube.served():
        return asyncio.run(main())


async def _tell(story: EventRecorder, scene: Scene) -> None:
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

    assert play(story, prepare=lambda scene: scene.kube.others.update({"/apis": {"groups": []}}))[0] == 0


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

    assert play(story, prepare=lambda scene: scene.set(anti_entropy_seconds=0.2))[0] == 0


def test_a_change_reaches_the_controller_when_the_watch_is_deaf() -> None:
    async def story(scene: Scene) -> None:
        await scene.sees("before")
        scene.kube.deaf = True
        await scene.sees("after")
        scene.stop()

    assert play(story, prepare=lambda scene: scene.set(anti_entropy_seconds=0.2))[0] == 0


def test_the_process_ends_with_1_and_a_sentence_when_the_cluster_has_no_uid(caplog: pytest.LogCaptureFixture) -> None:
    async def story(scene: Scene) -> None:
        assert scene.cluster_ids == []

    assert play(story, prepare=lambda scene: scene.kube.others.pop("/api/v1/namespaces/kube-system"))[0] == 1
    assert "set --cluster-id" in caplog.text


def test_the_process_ends_with_1_when_the_watch_is_refused_for_good(caplog: pytest.LogCaptureFixture) -> None:
    async def story(scene: Scene) -> None:
        await scene.sees("before")
        scene.kube.refuse_watches = 404
        scene.kube.cut()

    assert play(story)[0] == 1
    assert "The watch of Mirrors ended unexpectedly (APINotFoundError" in caplog.text


class BrokenClock(SystemClock):
    async def sleep(self, seconds: float) -> None:
        raise ArithmeticError(f"no {seconds:g} s left")


def test_the_process_ends_with_1_and_a_traceback_when_a_part_of_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    async def story(scene: Scene) -> None:
        await scene.until(lambda: scene.controller.was_listed)

    def prepare(scene: Scene) -> None:
        scene.clock = BrokenClock()

    assert play(story, prepare=prepare)[0] == 1
    assert "ended unexpectedly (ArithmeticError: no" in caplog.text
    assert "Traceback" in caplog.text


def test_a_pass_that_hangs_is_cancelled_when_the_process_is_told_to_stop(caplog: pytest.LogCaptureFixture) -> None:
    async def story(scene: Scene) -> None:
        await scene.sees("hanging")
        scene.stop()

    code, scene = play(story)
    assert code == 0
    assert scene.controller.cancelled == ["uid-data-hanging"]
    assert "1 reconciles did not end in time" in caplog.text


def test_health_follows_the_process_from_its_start_to_its_end() -> None:
    port = free_port()

    async def get(path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as reply:
            return reply.status, await reply.text()

    async def story(scene: Scene) -> None:
        await scene.until(lambda: len(scene.kube.refused) > 0)
        assert await get("/readyz") == (503, "watch: the Mirrors have not been listed yet\n")
        assert (await get("/healthz"))[0] == 200
        scene.kube.refusal = None
        await scene.sees("orders")
        assert await get("/readyz") == (200, "ok\n")
        assert (await get("/healthz"))[0] == 200
        scene.clock_problem = "it was set back"
        assert await get("/healthz") == (503, "clock: it was set back\n")
        await scene.sees("hanging")
        scene.stop()
        assert await get("/readyz") == (503, "process: stopping on a signal\n")

    def prepare(scene: Scene) -> None:
        scene.set(health_port=port, drain_seconds=1)
        scene.kube.refusal = (503, "not yet")

    assert play(story, prepare=prepare)[0] == 0


def test_the_metrics_are_served_from_before_the_first_list_until_the_end() -> None:
    port = free_port()

    async def scrape() -> str:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as reply:
            return await reply.text()

    async def story(scene: Scene) -> None:
        await scene.until(lambda: len(scene.kube.refused) > 0)
        before = await scrape()
        assert 'peerdb_operator_workqueue_depth{name="mirror"} 0.0' in before
        assert "\npeerdb_operator_watch_last_event_timestamp_seconds " not in before
        scene.kube.refusal = None
        await scene.sees("orders")
        await scene.sees("hanging")
        after = await scrape()
        assert 'peerdb_operator_workqueue_active{lane="normal",name="mirror"} 1.0' in after
        assert 'peerdb_operator_workqueue_wait_seconds_count{name="mirror"} 2.0' in after
        assert "\npeerdb_operator_watch_last_event_timestamp_seconds " in after
        scene.stop()

    def prepare(scene: Scene) -> None:
        scene.set(metrics_port=port)
        scene.kube.refusal = (503, "not yet")

    assert play(story, prepare=prepare)[0] == 0


def test_the_process_ends_with_1_and_a_sentence_when_the_kind_is_not_served(caplog: pytest.LogCaptureFixture) -> None:
    async def story(_: Scene) -> None:
        return None

    def prepare(scene: Scene) -> None:
        scene.kube.no_such_kind = True

    assert play(story, prepare=prepare)[0] == 1
    assert "install the CustomResourceDefinition first" in caplog.text


def test_the_process_ends_with_1_and_a_sentence_when_the_kind_goes(caplog: pytest.LogCaptureFixture) -> None:
    async def story(scene: Scene) -> None:
        await scene.sees("orders")
        scene.kube.no_such_kind = True
        scene.kube.cut()

    assert play(story)[0] == 1
    assert "was deleted: there is nothing left to watch" in caplog.text


def test_the_process_works_and_is_not_ready_while_the_installed_crd_is_older_than_it_is() -> None:
    port = free_port()

    async def story(scene: Scene) -> None:
        await scene.sees("orders")
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/readyz") as reply:
            assert reply.status == 503
            said = await reply.text()
        assert said.startswith("CRD: the installed CRD is older than this operator: apply crds/mirrors.peerdb.io.yaml")
        assert "status.observedGeneration" in said
        scene.stop()

    def prepare(scene: Scene) -> None:
        scene.set(health_port=port)
        older = {"name": "v1alpha1", "schema": {"openAPIV3Schema": {"properties": {"status": {"type": "object"}}}}}
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/mirrors.peerdb.io"
        scene.kube.others[path] = {"metadata": {"name": "mirrors.peerdb.io"}, "spec": {"versions": [older]}}

    assert play(story, prepare=prepare)[0] == 0

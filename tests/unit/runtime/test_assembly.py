"""The wiring: each setting of the process reaches the part that it is about."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import cast

import aiohttp
import pytest

from peerdb_operator.kube.client import KubeClient
from peerdb_operator.peerdb.client import PeerDBClient
from peerdb_operator.ports import Periodic, Pool, Requeue, Wake
from peerdb_operator.runtime.anti_entropy import JITTER
from peerdb_operator.runtime.process import Parts, Work, assemble, background
from peerdb_operator.settings import Settings
from tests.harness.fakeloop import FakeClock, run_fake
from tests.unit.runtime.fakes import FakeCluster, FakeController, FakePeerDB

PASS_SECONDS = 1.0
MANY = 20
LANES = [("concurrency", Pool.NORMAL), ("long_concurrency", Pool.LONG), ("precheck_concurrency", Pool.PRECHECK)]


class Busy(FakeController):
    """Every pass takes a second; counts how many run at once."""

    def __init__(self, pool: Pool) -> None:
        super().__init__()
        self._lane = pool
        self._running = 0
        self.most = 0

    def pool(self, _uid: str) -> Pool:
        return self._lane

    async def reconcile(self, _uid: str) -> Requeue:
        self._running += 1
        self.most = max(self.most, self._running)
        await asyncio.sleep(PASS_SECONDS)
        self._running -= 1
        return Requeue(after=None)


async def no_session() -> aiohttp.ClientSession:
    raise AssertionError("nothing is watched here")


def play(
    script: Callable[[Work], Coroutine[object, object, None]],
    controller: FakeController,
    *,
    settings: dict[str, float],
    cluster: FakeCluster | None = None,
) -> None:
    """Assemble with these settings and run a script on simulated time."""

    async def main() -> None:
        parts = Parts(
            settings=Settings(peerdb_url="http://peerdb.test", **settings),  # type: ignore[arg-type]  # by name
            kube=cast("KubeClient", cluster or FakeCluster()),
            peerdb=PeerDBClient(FakePeerDB()),
            clock=FakeClock(),
            rng=random.Random(1),
            server="https://api.test",
            session=no_session,
            make_controller=lambda _: controller,
        )
        await script(assemble(parts, controller))

    run_fake(main())


@pytest.mark.parametrize(("setting", "pool"), LANES, ids=[pool.value for _, pool in LANES])
def test_so_many_passes_run_at_once_as_the_setting_of_their_lane_allows(setting: str, pool: Pool) -> None:
    controller = Busy(pool)

    async def script(work: Work) -> None:
        work.queue.start()
        for number in range(MANY):
            work.queue.wake(f"uid-{number}")
        await asyncio.sleep(MANY * PASS_SECONDS)
        await work.queue.drain(0.0)

    play(script, controller, settings={setting: 3})

    assert controller.most == 3


def test_periodic_work_of_the_controller_wakes_whom_it_names_and_goes_on_after_a_bug(
    caplog: pytest.LogCaptureFixture,
) -> None:
    controller, begins, woken = FakeController(), list[float](), list[int]()

    async def check(wake: Wake) -> None:
        begins.append(asyncio.get_running_loop().time())
        if len(begins) == 2:
            raise ZeroDivisionError("our own bug")
        await asyncio.sleep(25.0 if len(begins) == 3 else 1.0)
        if len(begins) == 4:
            wake("u1")

    async def script(work: Work) -> None:
        tasks = [
            asyncio.create_task(coroutine)
            for _, coroutine in background(work.controller, work.queue, work.entropy, FakeClock())
        ]
        for _ in range(3):
            await asyncio.sleep(29.0)
            woken.append(work.queue.remembered)
        for task in tasks:
            task.cancel()

    controller.tasks = (Periodic("check", 20.0, check),)
    play(script, controller, settings={})

    assert [round(each - begins[0]) for each in begins] == [0, 20, 40, 65, 85]
    assert woken == [0, 0, 1]
    assert "The check ended with an unclassified error" in caplog.text


def test_the_list_is_compared_in_the_rhythm_of_its_setting() -> None:
    cluster = FakeCluster()
    period = 20.0

    async def script(work: Work) -> None:
        ((_, coroutine),) = background(work.controller, work.queue, work.entropy, FakeClock())
        task = asyncio.create_task(coroutine)
        await asyncio.sleep(10 * period)
        task.cancel()

    play(script, FakeController(), cluster=cluster, settings={"anti_entropy_seconds": period})

    assert 10 / (1 + JITTER) - 1 <= cluster.lists <= 10 / (1 - JITTER)

"""Anti-entropy and the deafness of a watch."""

import asyncio
import itertools
import random
from collections.abc import Callable, Coroutine

import pytest

from peerdb_operator.errors import KubeUnavailable
from peerdb_operator.kube.port import MirrorVersion
from peerdb_operator.runtime.anti_entropy import (
    FIRST_COMPARISON_SECONDS,
    JITTER,
    STALLED_SECONDS,
    AntiEntropy,
    WatchHandler,
)
from peerdb_operator.runtime.periodic import repeat
from peerdb_operator.runtime.queue import Urgency
from tests.harness.fakeloop import FakeClock, run_fake
from tests.unit.runtime.fakes import FakeCluster, FakeController, a_body

PERIOD = 300.0


class Scene:
    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.controller = FakeController()
        self.woken: list[tuple[str, Urgency]] = []
        self.watch_handler = WatchHandler(self.controller, lambda uid, urgency: self.woken.append((uid, urgency)))
        self.watch_handler.listed()
        self.entropy = AntiEntropy(
            kube=self.cluster,
            controller=self.controller,
            watch_handler=self.watch_handler,
            wake=lambda uid: self.woken.append((uid, Urgency.OBSERVE)),
            clock=FakeClock(),
            rng=random.Random(1),
            period=PERIOD,
        )

    def watched(self, body: dict[str, object]) -> None:
        self.watch_handler.watched("MODIFIED", body)
        self.woken.clear()


def play(script: Callable[[Scene], Coroutine[object, object, None]], cluster: FakeCluster | None = None) -> Scene:
    scene = Scene(cluster or FakeCluster())
    run_fake(script(scene))
    return scene


def test_a_mirror_that_the_watch_never_showed_is_fetched_and_woken() -> None:
    async def script(scene: Scene) -> None:
        scene.cluster.put(a_body("u1", 5))
        await scene.entropy.compare()

    scene = play(script)
    assert scene.controller.versions == {"u1": (1, "5")}
    assert scene.woken == [("u1", Urgency.EDIT)]


def test_a_newer_version_is_fetched_and_the_known_one_is_not() -> None:
    async def script(scene: Scene) -> None:
        scene.watched(a_body("old", 5))
        scene.watched(a_body("new", 9))
        scene.cluster.put(a_body("old", 7, generation=2))
        scene.cluster.put(a_body("new", 9))
        await scene.entropy.compare()

    scene = play(script)
    assert scene.cluster.gets == ["old"]
    assert scene.woken == [("old", Urgency.EDIT)]


def test_the_version_of_the_list_counts_when_the_data_of_the_api_server_was_restored_from_a_backup(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def script(scene: Scene) -> None:
        scene.watched(a_body("u1", 1_000_000, generation=3))
        scene.watched(a_body("u2", 2_000_000, generation=3))
        scene.cluster.put(a_body("u1", 400_000, generation=2))
        scene.cluster.put(a_body("u2", 400_001, generation=2))
        await scene.entropy.compare()
        await scene.entropy.compare()

    scene = play(script)
    assert scene.controller.versions == {"u1": (2, "400000"), "u2": (2, "400001")}
    assert scene.cluster.gets == ["u1", "u2"]
    assert [uid for uid, _ in scene.woken] == ["u1", "u2"]
    assert len([line for line in caplog.messages if "restored from a backup" in line]) == 1


def test_a_version_that_the_watch_delivers_while_the_restored_one_is_read_is_not_replaced() -> None:
    async def script(scene: Scene) -> None:
        scene.watched(a_body("u1", 1_000))
        scene.cluster.put(a_body("u1", 998))
        scene.cluster.on_get = lambda: scene.watch_handler.watched("MODIFIED", a_body("u1", 1_001))
        await scene.entropy.compare()

    assert play(script).controller.versions == {"u1": (1, "1001")}


def test_the_watch_is_deaf_when_it_delivers_nothing_after_a_restore() -> None:
    async def script(scene: Scene) -> None:
        scene.watched(a_body("u1", 1_000_000))
        scene.cluster.put(a_body("u1", 400_000))
        await scene.entropy.compare()
        assert scene.watch_handler.delivered("u1") == 0
        await asyncio.sleep(STALLED_SECONDS + 1)
        assert scene.entropy.watch_stalled() is not None
        scene.watched(a_body("u1", 400_000))
        assert scene.entropy.watch_stalled() is None

    play(script)


def test_the_watch_is_not_deaf_when_it_began_anew_with_a_list_after_a_restore() -> None:
    async def script(scene: Scene) -> None:
        scene.watched(a_body("u1", 1_000_000))
        scene.cluster.put(a_body("u1", 1_000_001))
        await scene.entropy.compare()
        scene.cluster.put(a_body("u1", 400_000))
        scene.watch_handler.watched(None, a_body("u1", 400_000))
        await scene.entropy.compare()
        await asyncio.sleep(STALLED_SECONDS + 1)
        assert scene.entropy.watch_stalled() is None

    assert play(script).controller.versions == {"u1": (1, "400000")}


def test_a_mirror_whose_deletion_was_undone_by_a_restore_comes_back() -> None:
    async def script(scene: Scene) -> None:
        scene.watched(a_body("u1", 5))
        scene.watch_handler.watched("DELETED", a_body("u1", 6))
        scene.cluster.put(a_body("u1", 5))
        await scene.entropy.compare()

    assert play(script).controller.versions == {"u1": (1, "5")}


def test_a_mirror_that_is_deleted_while_the_list_runs_does_not_come_back() -> None:
    async def script(scene: Scene) -> None:
        scene.watched(a_body("u1", 5))
        scene.cluster.put(a_body("u1", 5))
        scene.cluster.after_list = lambda: scene.watch_handler.watched("DELETED", a_body("u1", 6))
        await scene.entropy.compare()

    assert play(script).controller.versions == {}


def test_a_mirror_that_vanished_in_a_gap_is_forgotten_and_woken_once() -> None:
    async def script(scene: Scene) -> None:
        scene.watched(a_body("gone", 5))
        await scene.entropy.compare()
        await scene.entropy.compare()

    scene = play(script)
    assert scene.controller.forgotten == ["gone"]
    assert scene.woken == [("gone", Urgency.OBSERVE)]


def test_a_mirror_that_appears_while_the_list_runs_is_not_taken_for_gone() -> None:
    async def script(scene: Scene) -> None:
        scene.cluster.appear_in = scene.controller
        scene.cluster.on_list = [a_body("young", 9)]
        await scene.entropy.compare()

    scene = play(script)
    assert scene.controller.forgotten == []
    assert "young" in scene.controller.versions


def test_a_mirror_that_is_deleted_between_list_and_read_is_passed_over() -> None:
    async def script(scene: Scene) -> None:
        scene.cluster.put(a_body("short", 5))
        scene.cluster.put(a_body("other", 6))
        scene.cluster.hidden_from_get = {"short"}
        await scene.entropy.compare()

    assert list(play(script).controller.versions) == ["other"]


def test_nothing_is_forgotten_when_the_list_fails(caplog: pytest.LogCaptureFixture) -> None:
    async def script(scene: Scene) -> None:
        scene.watched(a_body("u1", 5))
        scene.cluster.error = KubeUnavailable("the API server is away")
        await scene.entropy.compare()

    assert play(script).controller.forgotten == []
    assert "the API server is away" in caplog.text


def test_comparisons_come_soon_after_the_start_and_then_on_a_jittered_rhythm() -> None:
    times: list[float] = []

    class Timed(FakeCluster):
        async def list_mirror_versions(self) -> list[MirrorVersion]:
            times.append(asyncio.get_running_loop().time())
            return await super().list_mirror_versions()

    async def script(scene: Scene) -> None:
        entropy = scene.entropy
        work = repeat("comparison", entropy.compare, entropy.period, FakeClock(), first=entropy.first)
        task = asyncio.create_task(work)
        await asyncio.sleep(20 * PERIOD)
        task.cancel()

    play(script, Timed())
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert times[0] == FIRST_COMPARISON_SECONDS
    assert all(PERIOD * (1 - JITTER) <= pause <= PERIOD * (1 + JITTER) for pause in pauses)
    assert len(set(pauses)) == len(pauses)


def test_the_watch_counts_as_deaf_when_it_withholds_a_change_for_long() -> None:
    async def script(scene: Scene) -> None:
        scene.watched(a_body("u1", 5))
        scene.cluster.put(a_body("u1", 7))
        await scene.entropy.compare()
        assert scene.entropy.watch_stalled() is None
        await asyncio.sleep(STALLED_SECONDS + 1)
        problem = scene.entropy.watch_stalled()
        assert problem is not None
        assert "version 7 of u1" in problem

    play(script)


def test_the_watch_is_not_deaf_when_it_was_merely_late() -> None:
    async def script(scene: Scene) -> None:
        scene.watched(a_body("u1", 5))
        scene.cluster.put(a_body("u1", 7))
        await scene.entropy.compare()
        await asyncio.sleep(STALLED_SECONDS / 2)
        scene.watched(a_body("u1", 8))
        await asyncio.sleep(STALLED_SECONDS)
        assert scene.entropy.watch_stalled() is None

    play(script)


def test_the_watch_is_not_deaf_when_the_withheld_mirror_is_gone() -> None:
    async def script(scene: Scene) -> None:
        scene.cluster.put(a_body("u1", 7))
        await scene.entropy.compare()
        scene.cluster.bodies.clear()
        await scene.entropy.compare()
        await asyncio.sleep(STALLED_SECONDS + 1)
        assert scene.entropy.watch_stalled() is None

    play(script)


def test_each_lateness_is_counted_by_itself_when_a_mirror_changes_all_the_time() -> None:
    async def script(scene: Scene) -> None:
        for version in range(10, 20):
            scene.cluster.put(a_body("u1", version))
            await scene.entropy.compare()
            scene.watched(a_body("u1", version))
            await asyncio.sleep(PERIOD)
        assert scene.entropy.watch_stalled() is None

    play(script)

"""The fleet observer: one list and one log call per tick, nothing lost, nothing asked for nobody."""

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from peerdb_operator.errors import PeerDBUnavailable
from peerdb_operator.mirror import fleet_observer
from peerdb_operator.mirror.fleet_observer import FleetObserver
from peerdb_operator.peerdb.client import ListedMirror, PeerDBClient
from peerdb_operator.peerdb.transport import Reply, Request
from peerdb_operator.ports import FleetPoll
from tests.harness.fakeloop import EPOCH, FakeClock, run_fake
from tests.unit.runtime.fakes import FakeController, FakePeerDB

AWAY = PeerDBUnavailable("away", sent=False)


class Scene:
    def __init__(self) -> None:
        self.peerdb = FakePeerDB()
        self.controller = FakeController()
        self.controller.versions["u1"] = (1, "1")
        self.woken: list[str] = []
        self.observer = FleetObserver(
            PeerDBClient(self.peerdb), self.controller, self.woken.append, FakeClock(), tick=10.0
        )

    @property
    def row_ids(self) -> list[list[int]]:
        return [[row.id for row in look.log_rows] for look in self.controller.looks]


def play(script: Callable[[Scene], Coroutine[object, object, None]]) -> Scene:
    scene = Scene()
    run_fake(script(scene))
    return scene


def test_each_tick_asks_twice_and_feeds_the_controller_when_there_is_a_mirror() -> None:
    async def script(scene: Scene) -> None:
        scene.peerdb.add_mirror("orders")
        scene.controller.wakes_on_look = ["u1"]
        task = asyncio.create_task(scene.observer.run())
        await asyncio.sleep(25)
        task.cancel()

    scene = play(script)
    assert [request.path for request in scene.peerdb.requests] == ["mirrors/list", "mirrors/logs"] * 3
    assert scene.woken == ["u1"] * 3
    assert [look.began_at for look in scene.controller.looks] == [EPOCH, EPOCH + 10, EPOCH + 20]
    listed = ListedMirror(name="orders", state="RUNNING", created_at_ms=1755770400123, is_cdc=True)
    assert scene.controller.looks[0] == FleetPoll(began_at=EPOCH, mirrors=(listed,), log_rows=(), error=None)


def test_peerdb_is_not_asked_when_there_are_no_mirrors() -> None:
    async def script(scene: Scene) -> None:
        scene.controller.versions.clear()
        await scene.observer.look()
        assert scene.peerdb.requests == []
        scene.controller.versions["u1"] = (1, "1")
        await scene.observer.look()

    assert len(play(script).peerdb.requests) == 2


def test_the_look_carries_the_error_and_the_rows_when_only_the_list_fails() -> None:
    async def script(scene: Scene) -> None:
        scene.peerdb.failing["mirrors/list"] = AWAY
        scene.peerdb.log(1)
        await scene.observer.look()

    look = play(script).controller.looks[0]
    assert look.mirrors is None
    assert look.error is AWAY
    assert [row.id for row in look.log_rows] == [1]


def test_an_empty_peerdb_is_not_a_failed_list() -> None:
    async def script(scene: Scene) -> None:
        await scene.observer.look()

    look = play(script).controller.looks[0]
    assert look.mirrors == ()
    assert look.error is None


def test_rows_are_made_up_for_when_a_log_call_failed() -> None:
    async def script(scene: Scene) -> None:
        scene.peerdb.log(1, 2)
        await scene.observer.look()
        scene.peerdb.failing["mirrors/logs"] = AWAY
        scene.peerdb.log(3)
        await scene.observer.look()
        del scene.peerdb.failing["mirrors/logs"]
        scene.peerdb.log(4)
        await scene.observer.look()

    scene = play(script)
    assert scene.row_ids == [[1, 2], [], [3, 4]]
    assert [look.error for look in scene.controller.looks] == [None, None, None]


def test_the_first_tick_reads_the_newest_page_and_later_ones_read_on() -> None:
    async def script(scene: Scene) -> None:
        scene.peerdb.log(*range(1, 2 * fleet_observer.ROWS + 1))
        await scene.observer.look()
        scene.peerdb.log(1001)
        await scene.observer.look()
        await scene.observer.look()

    scene = play(script)
    assert scene.row_ids == [list(range(fleet_observer.ROWS + 1, 2 * fleet_observer.ROWS + 1)), [1001], []]
    bodies = [request.body for request in scene.peerdb.asked("mirrors/logs")]
    assert [(body["afterId"], body["beforeId"]) for body in bodies if body] == [
        (0, 0),
        (2 * fleet_observer.ROWS, -1),
        (1001, -1),
    ]
    assert all(body and body["numPerPage"] > 0 and body["flowJobName"] == "" for body in bodies)


def test_the_log_is_read_from_its_beginning_when_it_was_empty_at_first() -> None:
    async def script(scene: Scene) -> None:
        await scene.observer.look()
        scene.peerdb.log(1, 2)
        await scene.observer.look()

    assert play(script).row_ids == [[], [1, 2]]


def test_further_pages_are_read_in_the_same_tick_and_no_row_is_lost_when_many_are_new() -> None:
    async def script(scene: Scene) -> None:
        scene.peerdb.log(1)
        await scene.observer.look()
        scene.peerdb.log(*range(2, fleet_observer.ROWS * fleet_observer.PAGES + 12))
        await scene.observer.look()
        await scene.observer.look()

    scene = play(script)
    assert len(scene.row_ids[1]) == fleet_observer.ROWS * fleet_observer.PAGES
    assert len(scene.peerdb.asked("mirrors/logs")) == 1 + fleet_observer.PAGES + 1
    assert [number for tick in scene.row_ids for number in tick] == list(
        range(1, fleet_observer.ROWS * fleet_observer.PAGES + 12)
    )


def test_rows_are_seen_again_when_the_ids_of_the_log_begin_anew() -> None:
    async def script(scene: Scene) -> None:
        scene.peerdb.log(900)
        await scene.observer.look()
        scene.peerdb.rows.clear()
        scene.peerdb.log(1, 2)
        for _ in range(fleet_observer.NEWEST_EVERY):
            await scene.observer.look()
        scene.peerdb.log(3)
        await scene.observer.look()

    assert [ids for ids in play(script).row_ids if ids] == [[900], [1, 2], [3]]


def test_the_next_tick_looks_again_when_the_controller_fails(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(FakeController):
        def fleet(self, look: FleetPoll) -> list[str]:
            super().fleet(look)
            raise ZeroDivisionError("our own bug")

    async def script(scene: Scene) -> None:
        controller = Failing()
        controller.versions["u1"] = (1, "1")
        observer = FleetObserver(PeerDBClient(scene.peerdb), controller, scene.woken.append, FakeClock(), tick=10.0)
        task = asyncio.create_task(observer.run())
        await asyncio.sleep(15)
        task.cancel()
        assert len(controller.looks) == 2

    play(script)
    assert "our own bug" in caplog.text


def test_the_next_look_follows_at_once_when_one_takes_longer_than_a_tick() -> None:
    class Slow(FakePeerDB):
        async def send(self, request: Request) -> Reply:
            await asyncio.sleep(14)
            return await super().send(request)

    async def script(scene: Scene) -> None:
        observer = FleetObserver(PeerDBClient(Slow()), scene.controller, scene.woken.append, FakeClock(), tick=10.0)
        task = asyncio.create_task(observer.run())
        await asyncio.sleep(60)
        task.cancel()

    assert [look.began_at - EPOCH for look in play(script).controller.looks] == [0, 14, 28, 42]

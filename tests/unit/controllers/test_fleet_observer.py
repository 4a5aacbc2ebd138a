"""The fleet observer: one list and one log call per poll, nothing lost, nothing asked for nobody."""

import asyncio
import random
from collections.abc import Callable, Coroutine

from peerdb_operator.errors import PeerDBError, PeerDBUnavailable
from peerdb_operator.mirror import fleet
from peerdb_operator.mirror.fleet import FleetObserver, FleetPoll, FleetReader
from peerdb_operator.mirror.outage import OutageReporter
from peerdb_operator.mirror.rules.limits import Limits
from peerdb_operator.mirror.store import MirrorStore
from peerdb_operator.peerdb.client import ListedMirror, PeerDBClient
from peerdb_operator.telemetry.metering import WriteMeter
from peerdb_operator.telemetry.metrics import Metrics
from tests.harness.fakecluster import FakeCluster
from tests.harness.fakeloop import EPOCH, FakeClock, run_fake
from tests.harness.fakeport import FakePort, KubeFaults
from tests.harness.simulation import some_settings
from tests.unit.runtime.fakes import FakePeerDB

AWAY = PeerDBUnavailable("away", sent=False)


class RecordingReader(FleetReader):
    """Keeps the polls and wakes one object."""

    def __init__(self) -> None:
        super().__init__(MirrorStore(), Limits())
        self.polls: list[FleetPoll] = []
        self.empty = False

    @property
    def has_no_mirrors(self) -> bool:
        return self.empty

    def compare(self, poll: FleetPoll, now: float) -> list[str]:
        del now
        self.polls.append(poll)
        return ["u1"]


class Scene:
    def __init__(self) -> None:
        self.peerdb, self.reader, metrics = FakePeerDB(), RecordingReader(), Metrics()
        self.woken: list[str] = []
        self.kube = FakePort(FakeCluster(lambda: EPOCH), "operator", KubeFaults(), random.Random(1))
        outage = OutageReporter(self.kube, FakeClock(), some_settings(), WriteMeter(metrics))
        self.observer = FleetObserver(
            peerdb=PeerDBClient(self.peerdb), reader=self.reader, clock=FakeClock(), metrics=metrics, outage=outage
        )

    @property
    def row_ids(self) -> list[list[int]]:
        return [[row.id for row in poll.log_rows] for poll in self.reader.polls]


def play(script: Callable[[Scene], Coroutine[object, object, None]]) -> Scene:
    scene = Scene()
    run_fake(script(scene))
    return scene


def test_each_poll_asks_twice_and_wakes_whom_it_concerns() -> None:
    async def script(scene: Scene) -> None:
        scene.peerdb.add_mirror("orders")
        await scene.observer.poll(scene.woken.append)

    scene = play(script)
    assert [request.path for request in scene.peerdb.requests] == ["mirrors/list", "mirrors/logs"]
    assert scene.woken == ["u1"]
    listed = ListedMirror(name="orders", state="RUNNING", created_at_ms=1755770400123, is_cdc=True)
    assert scene.reader.polls == [FleetPoll(began_at=EPOCH, mirrors=(listed,), log_rows=(), error=None)]


def test_an_event_that_takes_long_holds_up_no_wake() -> None:
    class Hanging(OutageReporter):
        async def observe(self, error: PeerDBError | None) -> None:
            del error
            await asyncio.sleep(3600)

    async def script(scene: Scene) -> None:
        scene.observer._outage = Hanging(scene.kube, FakeClock(), some_settings(), WriteMeter(Metrics()))
        task = asyncio.create_task(scene.observer.poll(scene.woken.append))
        await asyncio.sleep(1)
        assert scene.woken == ["u1"]
        task.cancel()

    play(script)


def test_peerdb_is_not_asked_when_there_are_no_mirrors() -> None:
    async def script(scene: Scene) -> None:
        scene.reader.empty = True
        await scene.observer.poll(scene.woken.append)
        assert scene.peerdb.requests == []
        scene.reader.empty = False
        await scene.observer.poll(scene.woken.append)

    assert len(play(script).peerdb.requests) == 2


def test_the_look_carries_the_error_and_the_rows_when_only_the_list_fails() -> None:
    async def script(scene: Scene) -> None:
        scene.peerdb.failing["mirrors/list"] = AWAY
        scene.peerdb.log(1)
        await scene.observer.poll(scene.woken.append)

    look = play(script).reader.polls[0]
    assert look.mirrors is None
    assert look.error is AWAY
    assert [row.id for row in look.log_rows] == [1]


def test_an_empty_peerdb_is_not_a_failed_list() -> None:
    async def script(scene: Scene) -> None:
        await scene.observer.poll(scene.woken.append)

    look = play(script).reader.polls[0]
    assert look.mirrors == ()
    assert look.error is None


def test_rows_are_made_up_for_when_a_log_call_failed() -> None:
    async def script(scene: Scene) -> None:
        scene.peerdb.log(1, 2)
        await scene.observer.poll(scene.woken.append)
        scene.peerdb.failing["mirrors/logs"] = AWAY
        scene.peerdb.log(3)
        await scene.observer.poll(scene.woken.append)
        del scene.peerdb.failing["mirrors/logs"]
        scene.peerdb.log(4)
        await scene.observer.poll(scene.woken.append)

    scene = play(script)
    assert scene.row_ids == [[1, 2], [], [3, 4]]
    assert [look.error for look in scene.reader.polls] == [None, None, None]


def test_no_row_is_lost_when_a_later_page_of_the_log_fails() -> None:
    async def script(scene: Scene) -> None:
        scene.peerdb.log(1)
        await scene.observer.poll(scene.woken.append)
        scene.peerdb.log(*range(2, fleet.ROWS + 3))
        scene.peerdb.failing["mirrors/logs"], scene.peerdb.answers_left = AWAY, 1
        await scene.observer.poll(scene.woken.append)
        del scene.peerdb.failing["mirrors/logs"]
        await scene.observer.poll(scene.woken.append)

    assert play(script).row_ids == [[1], list(range(2, fleet.ROWS + 2)), [fleet.ROWS + 2]]


def test_the_first_tick_reads_the_newest_page_and_later_ones_read_on() -> None:
    async def script(scene: Scene) -> None:
        scene.peerdb.log(*range(1, 2 * fleet.ROWS + 1))
        await scene.observer.poll(scene.woken.append)
        scene.peerdb.log(1001)
        await scene.observer.poll(scene.woken.append)
        await scene.observer.poll(scene.woken.append)

    scene = play(script)
    assert scene.row_ids == [list(range(fleet.ROWS + 1, 2 * fleet.ROWS + 1)), [1001], []]
    bodies = [request.body for request in scene.peerdb.asked("mirrors/logs")]
    assert [(body["afterId"], body["beforeId"]) for body in bodies if body] == [
        (0, 0),
        (2 * fleet.ROWS, -1),
        (1001, -1),
    ]
    assert all(body and body["numPerPage"] > 0 and body["flowJobName"] == "" for body in bodies)


def test_the_log_is_read_from_its_beginning_when_it_was_empty_at_first() -> None:
    async def script(scene: Scene) -> None:
        await scene.observer.poll(scene.woken.append)
        scene.peerdb.log(1, 2)
        await scene.observer.poll(scene.woken.append)

    assert play(script).row_ids == [[], [1, 2]]


def test_further_pages_are_read_in_the_same_tick_and_no_row_is_lost_when_many_are_new() -> None:
    async def script(scene: Scene) -> None:
        scene.peerdb.log(1)
        await scene.observer.poll(scene.woken.append)
        scene.peerdb.log(*range(2, fleet.ROWS * fleet.PAGES + 12))
        await scene.observer.poll(scene.woken.append)
        await scene.observer.poll(scene.woken.append)

    scene = play(script)
    assert len(scene.row_ids[1]) == fleet.ROWS * fleet.PAGES
    assert len(scene.peerdb.asked("mirrors/logs")) == 1 + fleet.PAGES + 1
    assert [number for tick in scene.row_ids for number in tick] == list(range(1, fleet.ROWS * fleet.PAGES + 12))


def test_rows_are_seen_again_when_the_ids_of_the_log_begin_anew() -> None:
    async def script(scene: Scene) -> None:
        scene.peerdb.log(900)
        await scene.observer.poll(scene.woken.append)
        scene.peerdb.rows.clear()
        scene.peerdb.log(1, 2)
        for _ in range(fleet.NEWEST_EVERY):
            await scene.observer.poll(scene.woken.append)
        scene.peerdb.log(3)
        await scene.observer.poll(scene.woken.append)

    assert [ids for ids in play(script).row_ids if ids] == [[900], [1, 2], [3]]

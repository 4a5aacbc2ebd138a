"""The work queue's promises, on a loop whose time jumps."""

import asyncio
import contextvars
import gc
import itertools
import random
import weakref
from collections.abc import Callable, Coroutine

import pytest

from peerdb_operator.ports import CONFLICT, Pool, Requeue
from peerdb_operator.runtime.queue import EDIT_PATIENCE, Urgency, WorkQueue
from tests.harness.fakeloop import run_fake

IDLE = Requeue(after=None)


class FakeReconciler:
    """Records when each pass began; what a pass takes and asks for is set per uid."""

    def __init__(self) -> None:
        self.began: list[tuple[float, str]] = []
        self.takes: dict[str, float] = {}
        self.rests: dict[str, list[Requeue]] = {}
        self.pools: dict[str, Pool] = {}
        self.now_running: list[str] = []
        self.peak: dict[str, int] = {}
        self.cancelled: list[str] = []
        self.during: dict[str, Callable[[], None]] = {}

    async def __call__(self, uid: str) -> Requeue:
        self.began.append((asyncio.get_running_loop().time(), uid))
        self.now_running.append(uid)
        self.peak["all"] = max(self.peak.get("all", 0), len(self.now_running))
        self.peak[uid] = max(self.peak.get(uid, 0), self.now_running.count(uid))
        try:
            if uid in self.during:
                self.during.pop(uid)()
            await asyncio.sleep(self.takes.get(uid, 0))
        except asyncio.CancelledError:
            self.cancelled.append(uid)
            raise
        finally:
            self.now_running.remove(uid)
        decision = self.rests.get(uid, [])
        return decision.pop(0) if decision else IDLE

    def pool(self, uid: str) -> Pool:
        return self.pools.get(uid, Pool.NORMAL)

    def times(self, uid: str) -> list[float]:
        return [time for time, each in self.began if each == uid]

    @property
    def order(self) -> list[str]:
        return [uid for _, uid in self.began]


def a_queue(
    reconciler: FakeReconciler, *, normal: int = 10, long: int = 2, precheck: int = 2, seed: int = 1
) -> WorkQueue:
    limits = {Pool.NORMAL: normal, Pool.LONG: long, Pool.PRECHECK: precheck}
    return WorkQueue(reconciler, reconciler.pool, limits, random.Random(seed))


def play(
    script: Callable[[WorkQueue, FakeReconciler], Coroutine[object, object, None]], **limits: int
) -> FakeReconciler:
    reconciler = FakeReconciler()

    async def main() -> None:
        queue = a_queue(reconciler, **limits)
        await script(queue, reconciler)
        await queue.drain(0)

    run_fake(main())
    return reconciler


def test_no_pass_begins_when_the_queue_has_not_been_started() -> None:
    async def script(queue: WorkQueue, reconciler: FakeReconciler) -> None:
        queue.wake("a", Urgency.EDIT)
        await asyncio.sleep(60)
        assert reconciler.began == []
        queue.start()
        await asyncio.sleep(1)

    assert play(script).began == [(60.0, "a")]


def test_another_pass_follows_at_once_when_a_wake_up_comes_during_a_pass() -> None:
    async def script(queue: WorkQueue, reconciler: FakeReconciler) -> None:
        reconciler.takes["a"] = 3
        reconciler.rests["a"] = [Requeue(after=100)]
        queue.start()
        queue.wake("a")
        for _i in range(3):
            await asyncio.sleep(0.5)
            queue.wake("a")
        await asyncio.sleep(20)

    played = play(script)
    assert played.times("a") == [0.0, 3.0]
    assert played.peak["a"] == 1


def test_the_wait_is_cut_short_when_a_look_is_asked_for() -> None:
    async def script(queue: WorkQueue, reconciler: FakeReconciler) -> None:
        reconciler.rests["a"] = [Requeue(after=100), Requeue(after=100)]
        queue.start()
        queue.wake("a")
        await asyncio.sleep(7)
        queue.wake("a")
        await asyncio.sleep(150)

    assert play(script).times("a") == [0.0, 7.0, 107.0]


def test_delays_double_with_jitter_up_to_the_cap_when_passes_keep_failing() -> None:
    failing = Requeue(after=2, backoff="PeerDBUnavailable", cap=20)

    async def script(queue: WorkQueue, reconciler: FakeReconciler) -> None:
        reconciler.rests["a"] = [failing] * 7
        queue.start()
        queue.wake("a")
        await asyncio.sleep(300)

    times = play(script).times("a")
    delays = [after - before for before, after in itertools.pairwise(times)]
    assert len(delays) == 7
    for delay, longest in zip(delays, [2, 4, 8, 16, 20, 20, 20], strict=True):
        assert longest / 2 <= delay <= longest
    assert (
        len({round(delay / longest, 6) for delay, longest in zip(delays, [2, 4, 8, 16, 20, 20, 20], strict=True)}) > 1
    )


def test_the_backoff_starts_anew_when_a_pass_succeeds() -> None:
    failing = Requeue(after=2, backoff="PeerDBUnavailable", cap=1000)

    async def script(queue: WorkQueue, reconciler: FakeReconciler) -> None:
        reconciler.rests["a"] = [failing, failing, failing, Requeue(after=5), failing]
        queue.start()
        queue.wake("a")
        await asyncio.sleep(100)

    times = play(script).times("a")
    assert times[4] - times[3] == 5
    assert 1 <= times[5] - times[4] <= 2


def test_each_error_class_has_its_own_backoff_when_classes_alternate() -> None:
    first = Requeue(after=2, backoff="PeerDBUnavailable", cap=1000)
    other = Requeue(after=100, backoff="Unauthorized", cap=1000)

    async def script(queue: WorkQueue, reconciler: FakeReconciler) -> None:
        reconciler.rests["a"] = [first, other, first]
        queue.start()
        queue.wake("a")
        await asyncio.sleep(1000)

    times = play(script).times("a")
    assert 50 <= times[2] - times[1] <= 100
    assert 2 <= times[3] - times[2] <= 4


def test_a_backoff_is_cut_when_the_user_edits_and_not_when_a_periodic_look_comes() -> None:
    failing = Requeue(after=100, backoff="Unauthorized")

    async def script(queue: WorkQueue, reconciler: FakeReconciler) -> None:
        reconciler.rests["a"] = [failing]
        queue.start()
        queue.wake("a")
        await asyncio.sleep(10)
        queue.wake("a", Urgency.OBSERVE)
        await asyncio.sleep(10)
        assert reconciler.times("a") == [0.0]
        queue.wake("a", Urgency.EDIT)
        await asyncio.sleep(500)

    assert play(script).times("a") == [0.0, 20.0]


@pytest.mark.parametrize(("urgency", "passes"), [(Urgency.EDIT, 2), (Urgency.OBSERVE, 1)])
def test_a_failed_pass_is_repeated_at_once_only_when_an_edit_came_during_it(urgency: Urgency, passes: int) -> None:
    async def script(queue: WorkQueue, reconciler: FakeReconciler) -> None:
        reconciler.rests["a"] = [Requeue(after=100, backoff="PeerDBError")]
        reconciler.takes["a"] = 2
        queue.start()
        queue.wake("a")
        await asyncio.sleep(1)
        queue.wake("a", urgency)
        await asyncio.sleep(10)
        assert len(reconciler.began) == passes

    play(script)


def test_edits_overtake_looks_when_all_slots_are_taken() -> None:
    async def script(queue: WorkQueue, reconciler: FakeReconciler) -> None:
        for uid in "abcde":
            reconciler.takes[uid] = 1
        queue.start()
        queue.wake("a")
        queue.wake("b")
        queue.wake("c")
        queue.wake("d", Urgency.EDIT)
        queue.wake("c", Urgency.OBSERVE)
        queue.wake("e", Urgency.EDIT)
        queue.wake("c", Urgency.EDIT)
        await asyncio.sleep(10)

    assert play(script, normal=1).order == ["a", "d", "e", "c", "b"]


def test_a_place_that_was_given_up_is_not_used_again_when_an_object_is_woken_anew() -> None:
    async def script(queue: WorkQueue, reconciler: FakeReconciler) -> None:
        for uid in ("busy", "a", "b"):
            reconciler.takes[uid] = 1
        queue.start()
        queue.wake("busy")
        queue.wake("a")
        queue.wake("b")
        queue.wake("a", Urgency.EDIT)
        await asyncio.sleep(1.5)
        queue.wake("a")
        await asyncio.sleep(10)

    assert play(script, normal=1).order == ["busy", "a", "b", "a"]


def test_no_more_passes_run_than_the_lane_allows_when_many_objects_wake() -> None:
    async def script(queue: WorkQueue, reconciler: FakeReconciler) -> None:
        for number in range(20):
            reconciler.takes[str(number)] = 1
            queue.wake(str(number))
        queue.start()
        await asyncio.sleep(0.5)
        assert queue.active == 3
        await asyncio.sleep(20)

    played = play(script, normal=3)
    assert played.peak["all"] == 3
    assert len(played.began) == 20
    assert played.began[-1][0] == 6.0


def test_long_passes_take_no_slot_of_the_others_when_they_hang() -> None:
    async def script(queue: WorkQueue, reconciler: FakeReconciler) -> None:
        for uid in ("drop1", "drop2", "drop3"):
            reconciler.pools[uid] = Pool.LONG
            reconciler.takes[uid] = 300
            queue.wake(uid)
        queue.wake("a")
        queue.start()
        await asyncio.sleep(1)
        assert sorted(reconciler.order) == ["a", "drop1", "drop2"]
        await asyncio.sleep(700)
        assert reconciler.order[-1] == "drop3"

    play(script, normal=1, long=2)


def test_a_pass_counts_against_its_lane_of_the_moment_when_the_lane_changed_while_it_waited() -> None:
    async def script(queue: WorkQueue, reconciler: FakeReconciler) -> None:
        reconciler.takes["busy"] = 5
        reconciler.takes["a"] = 50
        reconciler.takes["b"] = 50
        queue.start()
        queue.wake("busy")
        queue.wake("a")
        queue.wake("b")
        reconciler.pools["a"] = reconciler.pools["b"] = Pool.LONG
        await asyncio.sleep(6)
        assert reconciler.order == ["busy", "a"]
        queue.wake("other")
        await asyncio.sleep(100)
        assert reconciler.times("other") == [6.0]

    assert play(script, normal=1, long=1).times("b") == [55.0]


def test_the_others_go_on_when_one_pass_crashes(caplog: pytest.LogCaptureFixture) -> None:
    class Crashing(FakeReconciler):
        async def __call__(self, uid: str) -> Requeue:
            rest = await super().__call__(uid)
            if uid == "bad" and len(self.times("bad")) < 3:
                raise ValueError("our own bug")
            return rest

    reconciler = Crashing()

    async def main() -> None:
        queue = a_queue(reconciler, normal=1)
        queue.start()
        queue.wake("bad")
        queue.wake("good")
        await asyncio.sleep(30)
        assert queue.remembered == 0

    run_fake(main())
    assert reconciler.order[:2] == ["bad", "good"]
    assert len(reconciler.times("bad")) == 3
    assert reconciler.times("bad")[1] > 0
    assert "our own bug" in caplog.text


def test_running_passes_end_and_waiting_ones_never_begin_when_the_queue_drains() -> None:
    async def script(queue: WorkQueue, reconciler: FakeReconciler) -> None:
        reconciler.takes["a"] = 3
        reconciler.rests["a"] = [Requeue(after=1)]
        reconciler.rests["waiting"] = [Requeue(after=2)]
        queue.start()
        queue.wake("waiting")
        await asyncio.sleep(0.1)
        queue.wake("a")
        queue.wake("next")
        await asyncio.sleep(0.5)
        assert await queue.drain(10) == 0
        assert asyncio.get_running_loop().time() == pytest.approx(3.1)
        queue.wake("late", Urgency.EDIT)
        await asyncio.sleep(20)

    played = play(script, normal=1)
    assert played.order == ["waiting", "a"]
    assert played.cancelled == []


def test_passes_are_cancelled_when_they_outlast_the_drain() -> None:
    async def script(queue: WorkQueue, reconciler: FakeReconciler) -> None:
        reconciler.takes["slow"] = 300
        queue.start()
        queue.wake("slow")
        await asyncio.sleep(1)
        assert await queue.drain(5) == 1
        assert asyncio.get_running_loop().time() == 6.0
        assert queue.active == 0

    assert play(script).cancelled == ["slow"]


def test_the_caller_s_context_is_not_kept_alive_when_a_wake_up_leads_to_a_wait() -> None:
    class Body:
        pass

    held: contextvars.ContextVar[Body | None] = contextvars.ContextVar("held", default=None)

    def wake_from_a_handler(queue: WorkQueue) -> "weakref.ref[Body]":
        body = Body()
        held.set(body)
        queue.wake("a")
        return weakref.ref(body)

    async def script(queue: WorkQueue, reconciler: FakeReconciler) -> None:
        reconciler.rests["a"] = [Requeue(after=100)]
        queue.start()
        body = contextvars.copy_context().run(wake_from_a_handler, queue)
        await asyncio.sleep(1)
        assert reconciler.order == ["a"]
        gc.collect()
        assert body() is None

    play(script)


STANDING = Requeue(after=1.0, must_resume=True)


@pytest.mark.parametrize("woken_early", [False, True])
def test_a_mirror_that_stands_still_overtakes_edits_when_all_slots_are_taken(woken_early: bool) -> None:
    async def script(queue: WorkQueue, reconciler: FakeReconciler) -> None:
        reconciler.rests["stopped"] = [STANDING]
        reconciler.takes = {f"edit{number}": 2.0 for number in range(3)}
        queue.start()
        queue.wake("stopped", Urgency.EDIT)
        await asyncio.sleep(0.1)
        for number in range(3):
            queue.wake(f"edit{number}", Urgency.EDIT)
        if woken_early:
            queue.wake("stopped", Urgency.OBSERVE)
        await asyncio.sleep(10)

    assert play(script, normal=1).order == ["stopped", "edit0", "stopped", "edit1", "edit2"]


def test_an_edit_is_not_starved_when_others_stand_still_for_ever() -> None:
    async def script(queue: WorkQueue, reconciler: FakeReconciler) -> None:
        for name in ("a", "b"):
            reconciler.takes[name] = 1.0
            reconciler.rests[name] = [Requeue(after=0.1, must_resume=True)] * 1000
            queue.wake(name)
        queue.start()
        await asyncio.sleep(5)
        queue.wake("edited", Urgency.EDIT)
        await asyncio.sleep(200)

    (edited,) = play(script, normal=1).times("edited")
    assert 5 + EDIT_PATIENCE <= edited <= 5 + EDIT_PATIENCE + 3


@pytest.mark.parametrize(
    ("backoff", "order"),
    [
        ("PeerDBUnavailable", ["stopped", "edit0", "edit1", "stopped"]),
        (CONFLICT, ["stopped", "edit0", "stopped", "edit1"]),
    ],
)
def test_a_failed_pass_of_a_mirror_that_stands_still_overtakes_edits_only_after_a_conflict(
    backoff: str, order: list[str]
) -> None:
    async def script(queue: WorkQueue, reconciler: FakeReconciler) -> None:
        reconciler.rests["stopped"] = [Requeue(after=1.0, backoff=backoff, must_resume=True)]
        reconciler.takes = {"edit0": 5.0}
        queue.start()
        queue.wake("stopped")
        await asyncio.sleep(0.1)
        queue.wake("edit0", Urgency.EDIT)
        queue.wake("edit1", Urgency.EDIT)
        await asyncio.sleep(10)

    assert play(script, normal=1).order == order


# -- keys that a pass wakes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [True, False])
def test_a_key_that_a_pass_wakes_goes_before_others_when_the_pass_says_so(*, first: bool) -> None:
    async def script(queue: WorkQueue, reconciler: FakeReconciler) -> None:
        reconciler.rests["check"] = [Requeue(after=None, wakes=("mirror",), must_resume=first)]
        reconciler.pools["check"] = Pool.PRECHECK
        reconciler.takes = {"edit0": 5.0, "check": 1.0}
        queue.start()
        for uid in ("check", "edit0", "edit1", "edit2"):
            queue.wake(uid, Urgency.EDIT)
        await asyncio.sleep(10)
        assert queue.remembered == 0

    order = play(script, normal=1).order
    assert order.index("mirror") == (2 if first else 4)


def test_a_key_that_waits_already_moves_to_the_front_once_when_a_pass_wakes_it() -> None:
    async def script(queue: WorkQueue, reconciler: FakeReconciler) -> None:
        reconciler.rests["check"] = [Requeue(after=None, wakes=("mirror",), must_resume=True)]
        reconciler.rests["mirror"] = [Requeue(after=0.1)]
        reconciler.pools["check"] = Pool.PRECHECK
        reconciler.takes = {"edit0": 5.0, "edit1": 5.0}
        queue.start()
        for uid in ("edit0", "edit1", "edit2"):
            queue.wake(uid, Urgency.EDIT)
        queue.wake("mirror")
        queue.wake("check")
        await asyncio.sleep(20)

    assert play(script, normal=1).order == ["edit0", "check", "mirror", "edit1", "edit2", "mirror"]


def test_a_key_that_runs_when_it_is_woken_by_a_pass_runs_once_more() -> None:
    async def script(queue: WorkQueue, reconciler: FakeReconciler) -> None:
        reconciler.rests["mirror"] = [Requeue(after=None, wakes=("check",))] * 2
        reconciler.takes = {"check": 5.0}
        queue.start()
        queue.wake("mirror")
        await asyncio.sleep(1)
        queue.wake("mirror")
        await asyncio.sleep(20)

    assert play(script).times("check") == [0.0, 5.0]

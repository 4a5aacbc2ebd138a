"""The loop of simulated time, its processes, and the port and watch in front of a cluster."""

import asyncio
import contextvars
import random

import pytest

from peerdb_operator.errors import KubeUnavailable
from tests.harness.fakecluster import Body, FakeCluster
from tests.harness.fakeport import FakePort, FakeWatch, KubeFaults
from tests.harness.simloop import Process, SimClock, SimLoop

START = 1_000.0


class FakeSurroundings:
    """A world with a few moments of its own."""

    def __init__(self, *moments: float) -> None:
        self.moments = list(moments)
        self.happened: list[float] = []

    def next_due(self) -> float | None:
        return self.moments[0] if self.moments else None

    def run_until(self, moment: float) -> None:
        while self.moments and self.moments[0] <= moment:
            self.happened.append(self.moments.pop(0))


def a_loop(*moments: float) -> tuple[SimLoop, FakeSurroundings]:
    world = FakeSurroundings(*moments)
    return SimLoop(START, world), world  # type: ignore[abstract]  # what is missing is not used


async def note(loop: SimLoop, log: list[tuple[str, float]], name: str, *waits: float) -> None:
    try:
        for wait in waits:
            await SimClock(loop).sleep(wait)
            log.append((name, loop.time() - START))
    finally:
        log.append((name, -1.0))


def test_things_happen_in_the_order_of_their_times_when_time_passes() -> None:
    loop, world = a_loop(START + 1.5)
    log: list[tuple[str, float]] = []
    loop.spawn(Process("a"), note(loop, log, "a", 1.0, 1.0), "a")
    loop.spawn(Process("b"), note(loop, log, "b", 1.5), "b")
    loop.run_until(START + 1.2)
    assert (log, world.happened, loop.time()) == ([("a", 1.0)], [], START + 1.2)
    loop.run_until(START + 5.0)
    assert log[1:] == [("b", 1.5), ("b", -1.0), ("a", 2.0), ("a", -1.0)]
    assert world.happened == [START + 1.5]


def test_a_process_stops_where_it_stands_when_it_is_killed() -> None:
    loop, _ = a_loop()
    log: list[tuple[str, float]] = []
    process = Process("a")
    loop.spawn(process, note(loop, log, "a", 1.0, 1.0), "a")
    loop.run_until(START + 1.5)
    process.kill()
    loop.run_until(START + 9)
    assert log == [("a", 1.0)]
    loop.close()


def test_a_process_dies_between_two_steps_when_its_steps_are_counted() -> None:
    loop, _ = a_loop()
    log: list[tuple[str, float]] = []
    process = Process("a")
    loop.spawn(process, note(loop, log, "a", 1.0, 1.0, 1.0), "a")
    loop.run_until(START + 1.5)
    process.kill_after(2)  # the timer that ends the wait, and the task that goes on
    loop.run_until(START + 9)
    assert log == [("a", 1.0), ("a", 2.0)]
    assert process.dead
    loop.close()


def test_a_process_catches_up_in_order_when_it_was_stalled() -> None:
    loop, _ = a_loop()
    log: list[tuple[str, float]] = []
    process = Process("a")
    loop.spawn(process, note(loop, log, "a", 1.0, 1.0), "a")
    loop.spawn(Process("b"), note(loop, log, "b", 2.0), "b")
    process.stall(START + 5.0)
    loop.run_until(START + 4.9)
    assert log == [("b", 2.0), ("b", -1.0)]
    loop.run_until(START + 9)
    assert [name for name, _ in log] == ["b", "b", "a", "a", "a"]
    assert log[2][1] >= 5.0


def test_a_stalled_process_goes_on_in_order_as_soon_as_its_stall_is_ended() -> None:
    loop, _ = a_loop()
    log: list[tuple[str, float]] = []
    process = Process("a")
    loop.spawn(process, note(loop, log, "a", 1.0, 1.0), "a")
    process.stall(START + 5.0)
    process.stall(START + 3.0)
    loop.run_until(START + 4.0)
    assert log == []
    loop.resume(process)
    loop.run_until(START + 9)
    assert log == [("a", 5.0), ("a", 6.0), ("a", -1.0)]


def a_port(loop: SimLoop, faults: KubeFaults) -> tuple[FakeCluster, FakePort, list[Body]]:
    cluster = FakeCluster(loop.time)
    cluster.create("orders", {"state": "Running"})
    learned: list[Body] = []
    return cluster, FakePort(cluster, "operator", faults, random.Random(1), learned.append), learned


def finish(loop: SimLoop, port_call: "asyncio.Task[object]") -> object:
    loop.run_until(loop.time() + 60)
    return port_call.result()


def test_the_effect_stays_when_a_reply_is_lost() -> None:
    loop, _ = a_loop()
    cluster, port, _ = a_port(loop, KubeFaults(lose_replies=1))
    task = loop.spawn(Process("a"), port.patch_status("data", "orders", {"status": {"state": "x"}}), "patch")
    with pytest.raises(KubeUnavailable):
        finish(loop, task)
    assert cluster.get(("data", "orders"))["status"]["state"] == "x"


def a_watch(loop: SimLoop, cluster: FakeCluster) -> tuple[FakeWatch, list[tuple[str | None, str]]]:
    seen: list[tuple[str | None, str]] = []

    def deliver(kind: str | None, body: Body) -> None:
        seen.append((kind, body["metadata"]["name"]))

    watch = FakeWatch(cluster, loop, deliver, KubeFaults(), random.Random(1), contextvars.copy_context())
    return watch, seen


def test_changes_arrive_later_and_in_order_when_a_watch_is_open() -> None:
    loop, _ = a_loop()
    cluster = FakeCluster(loop.time)
    cluster.create("old", {})
    watch, seen = a_watch(loop, cluster)
    watch.open()
    for name in ("a", "b", "c"):
        cluster.create(name, {})
    assert seen == []
    loop.run_until(START + 1)
    assert seen == [(None, "old"), ("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c")]


def test_a_deletion_is_never_told_when_it_falls_into_a_gap() -> None:
    loop, _ = a_loop()
    cluster = FakeCluster(loop.time)
    cluster.create("a", {})
    watch, seen = a_watch(loop, cluster)
    watch.open()
    loop.run_until(START + 1)
    watch.lose()
    cluster.delete("a")
    cluster.create("b", {})
    loop.run_until(START + 2)
    watch.reconnect()
    loop.run_until(START + 3)
    assert seen == [(None, "a"), (None, "b")]

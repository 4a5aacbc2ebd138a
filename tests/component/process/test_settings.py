"""What the process is told about its end and its address, it follows."""

from __future__ import annotations

import asyncio

import pytest

from peerdb_operator.ports import Requeue
from tests.component.process.test_faults import Recorder, Scene, play
from tests.harness.recorded_process import free_port

NOBODYS = "203.0.113.1"
"""An address that is kept for documentation: no machine has it."""


class Slow(Recorder):
    """A pass takes until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.release_now = asyncio.Event()
        self.ended: list[str] = []

    async def reconcile(self, uid: str) -> Requeue:
        self.passes.append(uid)
        try:
            await self.release_now.wait()
        except asyncio.CancelledError:
            self.cancelled.append(uid)
            raise
        self.ended.append(uid)
        return Requeue(after=None)


@pytest.mark.parametrize(("seconds", "ends_by_itself"), [(0.0, False), (60.0, True)], ids=["no time", "enough time"])
def test_a_running_pass_gets_the_time_to_end_that_was_set(seconds: float, *, ends_by_itself: bool) -> None:
    controller = Slow()

    def prepare(scene: Scene) -> None:
        scene.controller = controller
        scene.set(drain_seconds=seconds)

    async def story(scene: Scene) -> None:
        await scene.sees("orders")
        scene.stop()
        asyncio.get_running_loop().call_later(2.0, controller.release_now.set)

    assert play(story, prepare=prepare)[0] == 0
    ended, cancelled = (["uid-data-orders"], []) if ends_by_itself else ([], ["uid-data-orders"])
    assert (controller.ended, controller.cancelled) == (ended, cancelled)


def test_the_process_ends_with_a_sentence_when_its_address_is_not_of_this_machine(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story(_: Scene) -> None:
        await asyncio.sleep(600)

    code, _ = play(story, prepare=lambda scene: scene.set(health_host=NOBODYS, health_port=free_port()))

    assert code == 1
    assert f"--health-host and --health-port: {NOBODYS}, port " in caplog.text

"""The health endpoint and the lag of the event loop."""

import asyncio
import socket

import aiohttp
import pytest

from peerdb_operator.runtime.http_server import BEAT_SECONDS, LAG_LIMIT_SECONDS, HealthServer, LoopLag
from tests.harness.fakeloop import FakeLoop, run_fake


class FakeChecks:
    def __init__(self) -> None:
        self.live: str | None = None
        self.ready: str | None = None

    def server(self) -> HealthServer:
        return HealthServer(
            live={"loop": lambda: self.live}, ready={"start": lambda: self.ready, "other": lambda: None}
        )


async def get(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as reply:
        return reply.status, await reply.text()


def test_each_path_answers_for_its_own_checks() -> None:
    async def main() -> None:
        checks = FakeChecks()
        server = await checks.server().start("127.0.0.1", 0)
        assert await get(server.port, "/healthz") == (200, "ok\n")
        checks.ready = "not listed yet"
        assert await get(server.port, "/readyz") == (503, "start: not listed yet\n")
        assert (await get(server.port, "/healthz"))[0] == 200
        checks.live, checks.ready = "late", None
        assert await get(server.port, "/healthz") == (503, "loop: late\n")
        assert (await get(server.port, "/readyz"))[0] == 200
        assert (await get(server.port, "/other"))[0] == 404
        await server.stop()

    asyncio.run(main())


def test_no_task_is_left_behind_when_a_client_keeps_its_connection() -> None:
    async def main() -> None:
        before = asyncio.all_tasks()
        server = await FakeChecks().server().start("127.0.0.1", 0)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{server.port}/healthz") as reply:
                await reply.read()
            await server.stop()
        await server.stop()
        assert asyncio.all_tasks() == before

    asyncio.run(main())


def test_an_address_that_is_taken_is_an_error_of_the_system() -> None:
    async def main() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            server = FakeChecks().server()
            with pytest.raises(OSError, match="address already in use"):
                await server.start("127.0.0.1", taken.getsockname()[1])
            await server.stop()

    asyncio.run(main())


def stall(seconds: float) -> None:
    """What a blocking call does to the loop: time passes and nothing runs."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, FakeLoop)
    loop.stall(seconds)


@pytest.mark.parametrize(("seconds", "is_bad"), [(LAG_LIMIT_SECONDS - 1, False), (LAG_LIMIT_SECONDS + 2, True)])
def test_a_stalled_loop_is_a_problem_until_it_beats_again(seconds: float, is_bad: bool) -> None:
    async def main() -> None:
        lag = LoopLag()
        assert lag.problem() is None
        task = asyncio.create_task(lag.run())
        await asyncio.sleep(5 * BEAT_SECONDS)
        assert lag.problem() is None
        stall(seconds)
        assert (lag.problem() is not None) is is_bad
        await asyncio.sleep(0.1)
        assert (lag.problem() is not None) is is_bad
        await asyncio.sleep(2 * BEAT_SECONDS)
        assert lag.problem() is None
        task.cancel()

    run_fake(main())

"""``/healthz`` and ``/readyz``: the process tells the kubelet how it is.

Owns the endpoint and the measurement of the event loop's lag. Leaves to others what is asked: each check is a function
that returns a sentence when something is wrong. The endpoint runs on the same loop as everything else, so a loop that
stands still answers nothing, which the kubelet counts as a failure too.

Alive (``/healthz``) means that a restart would not help: PeerDB or the API server being away is no reason for one.
Ready (``/readyz``) means that all Mirrors are known and watched.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Self

from aiohttp import web

Check = Callable[[], str | None]
"""Cheap and synchronous; a sentence if something is wrong, else None."""

BEAT_SECONDS = 1.0
LAG_LIMIT_SECONDS = 10.0
_CLOSE_SECONDS = 0.5
_UNAVAILABLE = 503


class LoopLag:
    """Measures by how much the event loop runs late."""

    def __init__(self) -> None:
        self._beat_at: float | None = None
        self._lag = 0.0

    async def run(self) -> None:
        """Beat for ever."""
        loop = asyncio.get_running_loop()
        while True:
            self._beat_at = loop.time()
            await asyncio.sleep(BEAT_SECONDS)
            self._lag = max(0.0, loop.time() - self._beat_at - BEAT_SECONDS)

    def problem(self) -> str | None:
        """A sentence if the last beat, or the one that is due, is too late."""
        overdue = 0.0
        if self._beat_at is not None:
            overdue = asyncio.get_running_loop().time() - self._beat_at - BEAT_SECONDS
        lag = max(self._lag, overdue)
        return f"the event loop runs {lag:.0f} s late" if lag > LAG_LIMIT_SECONDS else None


class HealthServer:
    """Serves the checks over HTTP: 200 ``ok``, or 503 with one line per problem."""

    def __init__(self, live: Mapping[str, Check], ready: Mapping[str, Check]) -> None:
        application = web.Application()
        application.router.add_get("/healthz", _answer(live))
        application.router.add_get("/readyz", _answer(ready))
        # A connection that is kept alive is a task, and kopf waits for tasks when it ends.
        self._runner = web.AppRunner(
            application, access_log=None, handle_signals=False, keepalive_timeout=0, shutdown_timeout=_CLOSE_SECONDS
        )
        self._started = False

    async def start(self, host: str | None, port: int) -> Self:
        """Listen on ``host`` (None: all addresses). Raises OSError if the address cannot be had."""
        await self._runner.setup()
        self._started = True
        await web.TCPSite(self._runner, host, port).start()
        return self

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Close all connections. May be called again."""
        if self._started:
            self._started = False
            await self._runner.cleanup()


def _answer(checks: Mapping[str, Check]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(_: web.Request) -> web.Response:
        problems = [f"{name}: {problem}" for name, check in checks.items() if (problem := check()) is not None]
        if problems:
            return web.Response(status=_UNAVAILABLE, text="\n".join(problems) + "\n")
        return web.Response(text="ok\n")

    return handle

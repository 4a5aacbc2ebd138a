"""The health and metrics servers, and the measurement of the event loop that they run on."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Self

from aiohttp import hdrs, web

from peerdb_operator.telemetry.metrics import Metrics

Handler = Callable[[web.Request], Awaitable[web.Response]]

_CLOSE_SECONDS = 0.5


class Listener:
    """Answers GET on the paths of ``handlers``."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        application = web.Application()
        for path, handler in handlers.items():
            application.router.add_get(path, handler)
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


Check = Callable[[], str | None]
"""Cheap and synchronous; a sentence if something is wrong, else None."""

BEAT_SECONDS = 1.0
LAG_LIMIT_SECONDS = 10.0
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


class HealthServer(Listener):
    """Serves the checks over HTTP: 200 ``ok``, or 503 with one line per problem."""

    def __init__(self, live: Mapping[str, Check], ready: Mapping[str, Check]) -> None:
        super().__init__({"/healthz": _answer(live), "/readyz": _answer(ready)})


def _answer(checks: Mapping[str, Check]) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        problems = [f"{name}: {problem}" for name, check in checks.items() if (problem := check()) is not None]
        if problems:
            return web.Response(status=_UNAVAILABLE, text="\n".join(problems) + "\n")
        return web.Response(text="ok\n")

    return handle


class MetricsServer(Listener):
    """Serves the metrics as text, or in the OpenMetrics format if the request prefers it."""

    def __init__(self, metrics: Metrics) -> None:
        super().__init__({"/metrics": self._scrape})
        self._metrics = metrics
        self._turn = asyncio.Lock()

    async def _scrape(self, request: web.Request) -> web.Response:
        accept = request.headers.get(hdrs.ACCEPT, "")
        async with self._turn:
            self._metrics.prepare()
            body, content_type = await asyncio.to_thread(self._metrics.expose, accept)
        return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})

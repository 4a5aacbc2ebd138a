"""A small HTTP server on the loop of everything else: what ``health`` and ``exposition`` are served with.

Owns listening, and closing in time. Leaves paths and answers to those who use it.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Self

from aiohttp import web

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

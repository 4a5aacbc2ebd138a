"""``/healthz`` and ``/readyz``: the process tells the kubelet how it is.

Owns the endpoint and the measurement of the event loop's lag. Leaves to others what is asked: each check is a function
that returns a sentence when something is wrong. The endpoint runs on the same loop as everything else, so a loop that
stands still answers nothing, which the kubelet counts as a failure too.

Alive (``/healthz``) means that a restart would not help: PeerDB or the API server being away is no reason for one.
Ready (``/readyz``) means that all Mirrors are known and watched.
"""

import asyncio
from collections.abc import Callable, Mapping

from aiohttp import web

from peerdb_operator.runtime.listener import Handler, Listener

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

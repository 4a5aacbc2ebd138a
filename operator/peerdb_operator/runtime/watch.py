"""kopf, run as a part of our process: the watch of all Mirrors.

Owns how kopf is started, told to stop, and made to end in time. Leaves the handlers to ``handlers`` and what happens
when the watch ends by itself to ``process``.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

import aiohttp
import kopf

from peerdb_operator.runtime.handlers import register

LINGER_SECONDS = 1.5


class Watch:
    """One run of kopf. ``session`` gives a new session to the API server at ``server`` each time it is called."""

    def __init__(
        self,
        *,
        watched: Callable[[str | None, Mapping[str, Any]], None],
        server: str,
        session: Callable[[], Awaitable[aiohttp.ClientSession]],
        namespaces: Sequence[str],
        rng: random.Random,
    ) -> None:
        self._watched = watched
        self._server = server
        self._session = session
        self._namespaces = namespaces
        self._rng = rng
        self._sessions: list[aiohttp.ClientSession] = []
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, shut_down: Callable[[], Awaitable[None]], installed: Callable[[], None]) -> asyncio.Task[None]:
        """Begin to watch; the task ends when the watch does.

        ``shut_down`` is awaited when kopf has stopped watching, whatever the reason. ``installed`` is called right
        after kopf has put its own signal handlers in place.
        """
        self._task = asyncio.create_task(self._run(shut_down, installed), name="watch of Mirrors")
        return self._task

    def is_running(self) -> bool:
        """Whether kopf has been started and has not ended."""
        return self._task is not None and not self._task.done()

    def has_ended(self) -> bool:
        """Whether kopf was started and has ended."""
        return self._task is not None and self._task.done()

    def stop(self) -> None:
        """Ask kopf to end; returns at once."""
        self._stop.set()

    async def close(self) -> None:
        """Wait a moment for kopf to end, then end it, and give its connections back."""
        if self._task is not None:
            # kopf waits up to 5 s for every task that began after it, but cancels at once when it is cancelled itself.
            await asyncio.wait({self._task}, timeout=LINGER_SECONDS)
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=LINGER_SECONDS)
        for session in self._sessions:
            await session.close()

    async def _run(self, shut_down: Callable[[], Awaitable[None]], installed: Callable[[], None]) -> None:
        registry = register(
            watched=self._watched, server=self._server, session=self._log_in, shut_down=shut_down, rng=self._rng
        )
        older = asyncio.all_tasks()
        tasks = await kopf.spawn_tasks(
            registry=registry,
            settings=kopf.OperatorSettings(),
            clusterwide=not self._namespaces,
            namespaces=tuple(self._namespaces),
            standalone=True,
            # Nobody reads it; without one kopf asks for the name of the user, and a container's may have none.
            identity=cast("Any", "peerdb-operator"),  # a new type of kopf that it does not export
            stop_flag=self._stop,
        )
        installed()
        await kopf.run_tasks(tasks, ignored=older)

    async def _log_in(self) -> aiohttp.ClientSession:
        self._sessions = [session for session in self._sessions if not session.closed]
        self._sessions.append(await self._session())
        return self._sessions[-1]

"""The watch of Mirrors, by kopf; every departure from kopf's defaults is here, with its reason.

Measured with kopf 1.45.2: check this table again for anything but a newer patch release.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import aiohttp
import kopf

from peerdb_operator.api.constants import GROUP, PLURAL, VERSION
from peerdb_operator.kube.client import PAGE

_BACKOFFS = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)

WATCH_SECONDS = (300, 600)


class _EndlessBackoffs:
    """A pause after each failed request, without an end: an outage of the API server must not end the watch."""

    def __iter__(self) -> Iterator[float]:
        yield from _BACKOFFS
        while True:
            yield _BACKOFFS[-1]


class _NoDiffBase(kopf.DiffBaseStorage):
    """Remembers nothing of an object: the default annotation cannot hold 1,800 tables and costs 70 ms at 5,000."""

    def build(self, **_: object) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: object) -> kopf.BodyEssence:
        return kopf.BodyEssence()  # None would make every object a new one

    def store(self, **_: object) -> None:
        return None


class _NoProgress(kopf.ProgressStorage):
    """Remembers nothing of a handler: ours has no retries."""

    def fetch(self, **_: object) -> None:
        return None

    def store(self, **_: object) -> None:
        return None

    def purge(self, **_: object) -> None:
        return None

    def touch(self, **_: object) -> None:
        return None

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


def configure(settings: kopf.OperatorSettings, rng: random.Random) -> None:
    """Set every departure from kopf's defaults."""
    _configure_watch(settings, rng)
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.persistence.progress_storage = _NoProgress()
    settings.posting.enabled = False  # Events are the controllers' own, deduplicated
    settings.peering.standalone = True
    settings.scanning.disabled = True  # no cluster-wide LIST and WATCH of CRDs and namespaces, and no rights for them
    settings.queueing.idle_timeout = 0.1  # an idle worker keeps its slot and its memory
    settings.queueing.worker_limit = 500
    settings.queueing.exit_timeout = 2.0
    settings.queueing.error_delays = (0.5, 1, 2, 5, 10, 30)  # the default's last step delivers nothing for 610 s
    settings.execution.default_backoff = 5
    # A cancelled operator would have its thread killed 10 minutes later, whatever runs there by then.
    settings.process.ultimate_exiting_timeout = None


def _configure_watch(settings: kopf.OperatorSettings, rng: random.Random) -> None:
    watching, networking = settings.watching, settings.networking
    watching.server_timeout = rng.randint(*WATCH_SECONDS)  # replicas do not reconnect in step
    watching.client_timeout = watching.server_timeout + 15
    watching.inactivity_timeout = 70  # must be longer than the 60 s between two bookmarks
    watching.connect_timeout = 5
    watching.reconnect_backoff = 0.5  # a lasting 410 would list ten times a second
    watching.chunk_size = PAGE
    watching.initial_streaming = False  # needs Kubernetes 1.34
    networking.connect_timeout = 5
    networking.request_timeout = 60
    networking.error_backoffs = _EndlessBackoffs()
    networking.enforce_retry_after = True


def register(
    *,
    watched: Callable[[str | None, Mapping[str, Any]], None],
    server: str,
    session: Callable[[], Awaitable[aiohttp.ClientSession]],
    shut_down: Callable[[], Awaitable[None]],
    rng: random.Random,
) -> kopf.OperatorRegistry:
    """Register our handlers with kopf. ``session`` opens a new session each time: kopf closes the one it gets."""
    registry = kopf.OperatorRegistry()

    @kopf.on.startup(registry=registry)
    async def start(settings: kopf.OperatorSettings, **_: object) -> None:
        configure(settings, rng)

    @kopf.on.login(registry=registry)
    async def log_in(**_: object) -> kopf.AiohttpSession:
        # A session is never equal to another one. kopf refuses equal credentials after a 401 and would end the process.
        return kopf.AiohttpSession(server=server, aiohttp_session=await session())

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def see(event: kopf.RawEvent, **_: object) -> None:
        watched(event["type"], event["object"])

    @kopf.on.cleanup(registry=registry)
    async def end(**_: object) -> None:
        await shut_down()

    return registry


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
            # kopf requires an identity; without one it asks for the user's name, and a container's user may have none.
            identity=cast("Any", "peerdb-operator"),  # a new type of kopf that it does not export
            stop_flag=self._stop,
        )
        installed()
        await kopf.run_tasks(tasks, ignored=older)

    async def _log_in(self) -> aiohttp.ClientSession:
        self._sessions = [session for session in self._sessions if not session.closed]
        self._sessions.append(await self._session())
        return self._sessions[-1]

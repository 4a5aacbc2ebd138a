"""The life of the process: its parts, the order in which they start and end, and what its end means.

Start: health endpoint, identity of the cluster, first full LIST of all watched namespaces, and only then the first
reconcile, the watch, the fleet observer and anti-entropy. End: no new reconciles, a bounded time for the running ones,
then the connections. SIGTERM and SIGINT end it with 0; anything else that ends is logged and ends it with 1.
"""

import asyncio
import logging
import random
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import aiohttp

from peerdb_operator.api.constants import GROUP, PLURAL, VERSION
from peerdb_operator.errors import KubeError, KubeNotFound, KubeUnavailable
from peerdb_operator.kube.client import KubeClient
from peerdb_operator.kube.watch import Watch
from peerdb_operator.peerdb.client import PeerDBClient
from peerdb_operator.ports import Clock, Controller, Pool
from peerdb_operator.runtime.anti_entropy import AntiEntropy, WatchHandler
from peerdb_operator.runtime.crd import InstalledCrd
from peerdb_operator.runtime.http_server import Check, HealthServer, Listener, LoopLag, MetricsServer
from peerdb_operator.runtime.memory import give_back_freed_memory, system_trim
from peerdb_operator.runtime.periodic import repeat
from peerdb_operator.runtime.queue import WorkQueue
from peerdb_operator.settings import Settings
from peerdb_operator.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)

STOPPED = 0
FAILED = 1

FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 15.0

CRD, COMPARISON = "comparison with the installed CRD", "comparison with the API server"
CRD_SECONDS = 60.0

_KIND = f"{PLURAL}.{GROUP}"
_NOT_SERVED = f"The API server does not serve {_KIND} in version {VERSION}: install the CustomResourceDefinition first"
_DELETED = f"The CustomResourceDefinition {_KIND} was deleted: there is nothing left to watch."
_NO_IDENTITY = "There is no namespace kube-system to take the cluster's uid from: set --cluster-id."

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the process is made of. ``make_controller`` is given the identity of the cluster."""

    settings: Settings
    kube: KubeClient
    peerdb: PeerDBClient
    clock: Clock
    rng: random.Random
    server: str
    session: Callable[[], Awaitable[aiohttp.ClientSession]]
    make_controller: Callable[[str], Controller]
    clock_problem: Check = lambda: None
    metrics: Metrics = field(default_factory=Metrics)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What exists once the controller does."""

    controller: Controller
    queue: WorkQueue
    watch_handler: WatchHandler
    entropy: AntiEntropy
    watch: Watch


def pool_limits(settings: Settings) -> dict[Pool, int]:
    """How many reconciles of each pool may run at once."""
    return {
        Pool.NORMAL: settings.concurrency,
        Pool.LONG: settings.long_concurrency,
        Pool.PRECHECK: settings.precheck_concurrency,
    }


def assemble(parts: Parts, controller: Controller) -> Work:
    """Tie everything to one controller; nothing runs yet."""
    settings, metrics = parts.settings, parts.metrics
    queue = WorkQueue(controller.reconcile, controller.pool, pool_limits(settings), parts.rng, metrics)
    watch_handler = WatchHandler(controller, queue.wake)
    entropy = AntiEntropy(
        kube=parts.kube,
        controller=controller,
        watch_handler=watch_handler,
        wake=queue.wake,
        clock=parts.clock,
        rng=parts.rng,
        period=settings.anti_entropy_seconds,
        metrics=metrics,
    )

    def watched(event_type: str | None, body: Mapping[str, Any]) -> None:
        metrics.record_watch_event(parts.clock.now())
        watch_handler.watched(event_type, body)

    watch = Watch(
        watched=watched,
        server=parts.server,
        session=parts.session,
        namespaces=settings.namespaces,
        rng=parts.rng,
    )
    return Work(
        controller=controller,
        queue=queue,
        watch_handler=watch_handler,
        entropy=entropy,
        watch=watch,
    )


def background(
    controller: Controller, queue: WorkQueue, entropy: AntiEntropy, clock: Clock
) -> Iterator[tuple[str, Coroutine[object, object, None]]]:
    """Periodic work besides reconciles, by name."""
    for task in controller.periodic():
        yield task.name, repeat(task.name, partial(task.run, queue.wake), _always(task.period), clock)
    yield COMPARISON, repeat(COMPARISON, entropy.compare, entropy.period, clock, first=entropy.first)


def _always(seconds: float) -> Callable[[], float]:
    return lambda: seconds


class FatalError(Exception):
    """The process cannot go on; the message is a sentence for the operator's user."""


class EndedError(FatalError):
    """Something that runs for ever has ended for an unknown reason; its cause is logged with a traceback."""


class Process:
    """One run; ``run`` may be called once."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._metrics = MetricsServer(parts.metrics)
        self._stop = asyncio.Event()
        self._lag = LoopLag()
        self._crd = InstalledCrd(parts.kube)
        self._work: Work | None = None
        self._background: set[asyncio.Task[None]] = set()
        self._ending: asyncio.Task[None] | None = None
        self._health = HealthServer(
            live={"event loop": self._lag.problem, "watch": self._watch_stalled, "clock": parts.clock_problem},
            ready={"watch": self._not_watching, "process": self._stopping, "CRD": self._crd.problem},
        )

    async def run(self) -> int:
        """Work until ``stop`` or a signal; returns the exit code."""
        self._install_signals()
        stopped = asyncio.create_task(self._stop.wait(), name="wait for a signal")
        try:
            settings = self._parts.settings
            await _serve(self._health, "health", settings.health_host, settings.health_port)
            await _serve(self._metrics, "metrics", settings.metrics_host, settings.metrics_port)
            self._begin(self._lag.run(), "measurement of the event loop")
            self._work = await self._unless(stopped, self._prepare())
            if self._work is not None:
                await self._unless(stopped, self._keep_working(self._work))
        except FatalError as error:
            # Where the reason is known, a sentence is all that a user needs.
            logger.critical("%s", error, exc_info=error.__cause__ if isinstance(error, EndedError) else None)
            return FAILED
        finally:
            await self._shut_down()
            await self._close()
            stopped.cancel()
        logger.info("Stopped on a signal")
        return STOPPED

    def stop(self) -> None:
        """What SIGTERM does: returns at once, ``run`` ends in good order."""
        self._stop.set()

    async def _unless(self, stopped: "asyncio.Task[bool]", work: Coroutine[object, object, T]) -> T | None:
        """What ``work`` returns or raises, or None if the stop comes first."""
        task = asyncio.create_task(work, name="work")
        await asyncio.wait({stopped, task}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.wait({task})
        return None

    async def _prepare(self) -> Work:
        """Make the controller and list all Mirrors; nothing is reconciled yet."""
        parts = self._parts
        work = assemble(parts, parts.make_controller(await self._cluster_id()))

        async def list_all() -> None:
            async for page in parts.kube.mirror_pages():
                for body in page:
                    work.watch_handler.observed(None, body)
            # The watch finds the kind by discovery, once; where it finds nothing it would wait for ever. Discovery lags
            # behind when the API server or the kind is new, so only the list can say that there is no such kind.
            if not await parts.kube.kind_is_served():
                raise KubeUnavailable("discovery does not show the kind yet")

        try:
            await self._wait_for("the list of Mirrors", list_all)
        except KubeNotFound as error:
            raise FatalError(f"{_NOT_SERVED} ({error}).") from error
        await self._crd.compare()
        return work

    async def _cluster_id(self) -> str:
        if self._parts.settings.cluster_id is not None:
            return self._parts.settings.cluster_id
        try:
            return await self._wait_for("the cluster's uid", self._parts.kube.cluster_uid)
        except KubeNotFound as error:
            raise FatalError(_NO_IDENTITY) from error

    async def _wait_for(self, what: str, call: Callable[[], Awaitable[T]]) -> T:
        """The answer to ``call``, repeated until the API server gives one; raises KubeNotFound."""
        delay = FIRST_RETRY_SECONDS
        while True:
            try:
                return await call()
            except KubeNotFound:
                raise
            except KubeError as error:
                logger.warning("Waiting for %s: %s", what, error)
            await self._parts.clock.sleep(delay)
            delay = min(delay * 2, LONGEST_RETRY_SECONDS)

    async def _keep_working(self, work: Work) -> None:
        """Ends only by FatalError or by being cancelled."""
        settings = self._parts.settings
        work.watch_handler.listed()
        work.queue.start()
        # Begun before kopf, which takes every younger task for one of its own and waits for it at the end.
        for name, coroutine in background(work.controller, work.queue, work.entropy, self._parts.clock):
            self._begin(coroutine, name)
        self._begin(repeat(CRD, self._crd.compare, _always(CRD_SECONDS), self._parts.clock, first=CRD_SECONDS), CRD)
        trim = system_trim()
        if trim is not None:
            self._begin(give_back_freed_memory(trim), "return of freed memory")
        watch = work.watch.start(self._shut_down, self._install_signals)
        logger.info(
            "Watching %d Mirrors in %s",
            len(work.controller.known_versions()),
            f"the namespaces {', '.join(settings.namespaces)}" if settings.namespaces else "all namespaces",
        )
        done, _ = await asyncio.wait({watch, *self._background}, return_when=asyncio.FIRST_COMPLETED)
        if self._ending is not None:  # kopf has begun to end and has had the others ended first
            await asyncio.wait({watch})
        ended = watch if watch.done() else done.pop()
        error = None if ended.cancelled() else ended.exception()
        if ended is watch and await self._is_kind_gone():
            raise FatalError(_DELETED) from error
        cause = "without an error" if error is None else f"{type(error).__name__}: {error}"
        raise EndedError(f"The {ended.get_name()} ended unexpectedly ({cause}).") from error

    async def _is_kind_gone(self) -> bool:
        try:
            return not await self._parts.kube.kind_exists()
        except KubeError:
            return False

    async def _shut_down(self) -> None:
        """End all work in order; the first of several calls does it, the others wait for it."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end_work(), name="end of work")
        await asyncio.shield(self._ending)

    async def _end_work(self) -> None:
        if self._work is not None:
            self._work.watch.stop()
            late = await self._work.queue.drain(self._parts.settings.drain_seconds)
            if late:
                logger.warning("%d reconciles did not end in time and were cancelled", late)
        for task in self._background:
            task.cancel()
        if self._background:
            await asyncio.wait(self._background)

    async def _close(self) -> None:
        if self._work is not None:
            await self._work.watch.close()
        await self._health.stop()
        await self._metrics.stop()

    def _begin(self, work: Coroutine[object, object, None], name: str) -> None:
        self._background.add(asyncio.create_task(work, name=name))

    def _install_signals(self) -> None:
        """Called again after kopf has installed its own handlers, which would end it before the work queue."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)

    def _watch_stalled(self) -> str | None:
        if self._work is None:
            return None
        return "the watch has ended" if self._work.watch.has_ended() else self._work.entropy.watch_stalled()

    def _not_watching(self) -> str | None:
        if self._work is None:
            return "the Mirrors have not been listed yet"
        return None if self._work.watch.is_running() else "the Mirrors are not watched"

    def _stopping(self) -> str | None:
        return "stopping on a signal" if self._stop.is_set() else None


async def _serve(listener: Listener, what: str, host: str | None, port: int) -> None:
    if port == 0:
        return
    try:
        await listener.start(host, port)
    except OSError as error:
        where = f"{host or 'all addresses'}, port {port}"
        problem = f"--{what}-host and --{what}-port: {where} cannot be served: {error.strerror or error}."
        raise FatalError(problem) from error

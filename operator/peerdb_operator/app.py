"""Composition: settings become clients, clients become a controller, and the process runs it."""

import asyncio
import gc
import logging
import os
import random
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from peerdb_operator import __version__
from peerdb_operator.errors import KubeError
from peerdb_operator.kube.client import KubeClient
from peerdb_operator.kube.credentials import KubeAuth
from peerdb_operator.kube.port import KubePort
from peerdb_operator.mirror.controller import MirrorController
from peerdb_operator.peerdb.client import PeerDBClient
from peerdb_operator.peerdb.http import HttpxTransport, Password
from peerdb_operator.ports import Clock, Controller
from peerdb_operator.proxies import Proxies, without_password
from peerdb_operator.runtime.clock import SystemClock
from peerdb_operator.runtime.process import Parts, Process
from peerdb_operator.settings import Settings
from peerdb_operator.telemetry.log import configure_logging, log_traces
from peerdb_operator.telemetry.metering import MeteredTransport
from peerdb_operator.telemetry.metrics import Metrics
from peerdb_operator.telemetry.trace import Tracer, open_tracer

logger = logging.getLogger(__name__)

BAD_SETTINGS = 2
"""Exit code."""

_GC_OBJECTS, _GC_YOUNG, _GC_MIDDLE = 2_000, 20, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything a controller gets from outside."""

    settings: Settings
    peerdb: PeerDBClient
    kube: KubePort
    clock: Clock
    rng: random.Random
    cluster_id: str
    metrics: Metrics
    tracer: Tracer


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """The composed operator: what runs, and what has to be closed after it."""

    parts: Parts
    tracer: Tracer
    opened: AsyncExitStack


def mirror_controller(world: World) -> Controller:
    """The controller of the kind Mirror."""
    return MirrorController(
        peerdb=world.peerdb,
        kube=world.kube,
        clock=world.clock,
        rng=world.rng,
        settings=world.settings,
        cluster_id=world.cluster_id,
        metrics=world.metrics,
        tracer=world.tracer,
    )


async def build_app(settings: Settings, make_controller: Callable[[World], Controller] = mirror_controller) -> App:
    """Open the clients; nothing is asked of PeerDB or Kubernetes yet.

    Raises ValueError or KubeError with a sentence for a password, certificate, proxy, kubeconfig or tracer of no use.
    """
    password = _password(settings)
    async with AsyncExitStack() as opened:
        tracer = open_tracer(__version__) if settings.tracing else Tracer()
        opened.push_async_callback(asyncio.to_thread, tracer.close)
        proxies = Proxies.of(os.environ)
        proxy = settings.peerdb_proxy or proxies.to(settings.peerdb_url)
        if proxy is not None:
            logger.info("PeerDB is asked through the proxy %s", without_password(proxy))
        auth = await KubeAuth.load(settings.kubeconfig, proxies)
        transport = HttpxTransport(settings.peerdb_url, password=password, ca_file=settings.peerdb_ca_file, proxy=proxy)
        opened.push_async_callback(transport.aclose)
        kube = await KubeClient.connect(auth, settings.namespaces, connections=settings.concurrency)
        opened.push_async_callback(kube.close)
        metrics = Metrics(__version__, process=True)
        peerdb = PeerDBClient(MeteredTransport(transport, metrics, tracer))
        clock, rng = SystemClock(), random.Random()  # noqa: S311 - jitter is no secret

        world = partial(
            World, settings=settings, peerdb=peerdb, kube=kube, clock=clock, rng=rng, metrics=metrics, tracer=tracer
        )
        parts = Parts(
            settings=settings,
            kube=kube,
            peerdb=peerdb,
            clock=clock,
            clock_problem=clock.problem,
            rng=rng,
            server=auth.server,
            session=auth.watch_session,
            make_controller=lambda cluster_id: make_controller(world(cluster_id=cluster_id)),
            metrics=metrics,
        )
        return App(parts=parts, tracer=tracer, opened=opened.pop_all())


def _password(settings: Settings) -> Password:
    text = "" if settings.peerdb_password is None else settings.peerdb_password.get_secret_value()
    return Password(text, file=settings.peerdb_password_file)


async def run(app: App) -> int:
    """Work until a signal, then close everything; returns the exit code."""
    try:
        return await Process(app.parts).run()
    finally:
        await app.opened.aclose()


def _spare_collections() -> None:
    """Exempt imported objects from the collection of cycles, and run it less often than every 700 objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_OBJECTS, _GC_YOUNG, _GC_MIDDLE)


def run_operator(settings: Settings, make_controller: Callable[[World], Controller] = mirror_controller) -> int:
    """Run the operator in this thread; returns the exit code."""
    configure_logging(settings.log_format, settings.log_level)
    _spare_collections()
    logger.info("peerdb-operator %s starts", __version__, extra={"peerdb_url": settings.peerdb_url})

    async def build_and_run() -> int:
        try:
            app = await build_app(settings, make_controller)
        except (ValueError, KubeError) as error:
            sys.stderr.write(f"peerdb-operator: {error}\n")
            return BAD_SETTINGS
        log_traces(app.tracer)
        return await run(app)

    return asyncio.run(build_and_run())

"""What the process is made of, and how the parts are tied together.

Owns the wiring of controller, queue, intake, watch, fleet observer, check of held drops and anti-entropy. Leaves when
each of them runs to ``process``, and how clients and controllers are made to ``app``.
"""

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from peerdb_operator.kube.client import KubeClient
from peerdb_operator.kube.watch import Watch
from peerdb_operator.mirror.fleet_observer import FleetObserver
from peerdb_operator.peerdb.client import PeerDBClient
from peerdb_operator.ports import Clock, Controller, Pool
from peerdb_operator.runtime.anti_entropy import AntiEntropy, WatchHandler
from peerdb_operator.runtime.held import HeldDropCheck
from peerdb_operator.runtime.http_server import Check
from peerdb_operator.runtime.queue import WorkQueue
from peerdb_operator.settings import Settings
from peerdb_operator.telemetry.metrics import Metrics


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
    fleet: FleetObserver
    held: HeldDropCheck
    entropy: AntiEntropy
    watch: Watch


def lane_limits(settings: Settings) -> dict[Pool, int]:
    """How many passes of each lane may run at once."""
    return {
        Pool.NORMAL: settings.concurrency,
        Pool.LONG: settings.long_concurrency,
        Pool.PRECHECK: settings.precheck_concurrency,
    }


def assemble(parts: Parts, controller: Controller) -> Work:
    """Tie everything to one controller; nothing runs yet."""
    settings, metrics = parts.settings, parts.metrics
    queue = WorkQueue(controller.reconcile, controller.pool, lane_limits(settings), parts.rng, metrics)
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
        metrics.watched(parts.clock.now())
        watch_handler.watched(event_type, body)

    watch = Watch(
        watched=watched,
        server=parts.server,
        session=parts.session,
        namespaces=settings.namespaces,
        rng=parts.rng,
    )
    fleet = FleetObserver(parts.peerdb, controller, queue.wake, parts.clock, settings.tick_seconds, metrics)
    held = HeldDropCheck(controller, queue.wake, parts.clock, settings.tick_seconds)
    return Work(
        controller=controller,
        queue=queue,
        watch_handler=watch_handler,
        fleet=fleet,
        held=held,
        entropy=entropy,
        watch=watch,
    )

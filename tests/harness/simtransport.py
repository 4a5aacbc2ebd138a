"""The PeerDB client's transport onto a simulator in the same process, on simulated time.

Owns the network between a process and PeerDB: time on the way, an address that nobody listens at, patience that ends.
Keeps a record of who sent which request of the simulator's log, and in which pass. Leaves every answer to the engine.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from peerdb_operator.peerdb import transport as wire
from peerdb_operator.peerdb.http import READ_SECONDS, translate
from peerdb_operator.peerdb.models import encode_json
from tests.harness.peerdb.engine import Engine
from tests.harness.peerdb.values import Deferred, Reply, Request


@dataclass(slots=True, eq=False)
class Call:
    """One request of the simulator's log. ``work`` is what the sender calls its unit of work (a pass), None for others.

    ``began`` is when the client sent it; ``ended`` when the client had its answer or lost hope; ``status`` is None
    while it waits, 0 when there was no answer.
    """

    n: int
    who: str
    work: object
    began: float
    ended: float | None = None
    status: int | None = None


@dataclass(slots=True)
class Network:
    """What is wrong between the processes and PeerDB, and every call that got through, by its number in the log.

    ``overtaking`` are shown each request right before PeerDB gets it; one that answers True is not asked again.
    """

    away: bool = False
    latency: tuple[float, float] = (0.001, 0.01)
    calls: dict[int, Call] = field(default_factory=dict)
    overtaking: list[Callable[[wire.Request], bool]] = field(default_factory=list)


class SimTransport:
    """A ``Transport`` for one process."""

    def __init__(
        self, engine: Engine, network: Network, rng: random.Random, who: str, work: Callable[[], object] = lambda: None
    ) -> None:
        self._engine = engine
        self._network = network
        self._rng = rng
        self._who = who
        self._work = work

    async def send(self, request: wire.Request) -> wire.Reply:
        """Carry one request; raises what the product's own transport raises."""
        network, engine = self._network, self._engine
        began = engine.now
        on_the_way = self._rng.uniform(*network.latency)
        # One wait per call is enough to let others act before or after it arrives.
        if out := self._rng.random() < 0.5:
            await asyncio.sleep(on_the_way)
        if network.away:
            raise translate(httpx.ConnectError("connection refused"), request.path)
        network.overtaking[:] = [one for one in network.overtaking if not one(request)]
        body = b"" if request.body is None else encode_json(request.body)
        call = Call(engine.log.last + 1, self._who, self._work(), began)
        network.calls[call.n] = call
        answer = engine.handle(Request(request.method, f"/v1/{request.path}", body))
        reply = await self._patiently(answer, request) if isinstance(answer, Deferred) else answer
        if not out:
            await asyncio.sleep(on_the_way)
        call.ended = engine.now
        call.status = 0 if reply is None else reply.status
        if reply is None:
            raise translate(httpx.ReadTimeout("no answer"), request.path)
        if reply.fault is not None:
            raise translate(httpx.ReadError("connection reset by peer"), request.path)
        return wire.Reply(reply.status, reply.content_type, reply.body)

    async def _patiently(self, answer: Deferred, request: wire.Request) -> Reply | None:
        """The reply that comes later, or None when patience ends first."""
        if answer.reply is not None:
            return answer.reply
        loop = asyncio.get_running_loop()
        came: asyncio.Future[Reply | None] = loop.create_future()

        def settle(reply: Reply | None) -> None:
            if not came.done():
                came.set_result(reply)

        answer.on_reply.append(settle)
        timer = loop.call_later(READ_SECONDS[request.patience], settle, None)
        reply = await came
        timer.cancel()
        if reply is None:
            answer.abort()
        return reply

"""All that kopf calls: the only kopf decorators of the product.

Owns the registration of one event handler and of the process's start, login and end. Each handler unwraps kopf's
arguments and calls what it was given. ``on.event`` is the one kind of handler that writes nothing to Kubernetes, needs
no finalizer of kopf's and is never delayed or retried.

The handlers are coroutines without an ``await``: kopf would run plain functions in threads.
"""

import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import aiohttp
import kopf

from peerdb_operator.api.constants import GROUP, PLURAL, VERSION
from peerdb_operator.runtime import kopf_settings


def register(
    *,
    watched: Callable[[str | None, Mapping[str, Any]], None],
    server: str,
    session: Callable[[], Awaitable[aiohttp.ClientSession]],
    shut_down: Callable[[], Awaitable[None]],
    rng: random.Random,
) -> kopf.OperatorRegistry:
    """A registry with our handlers. ``session`` gives a new session each time: kopf closes what it was given."""
    registry = kopf.OperatorRegistry()

    @kopf.on.startup(registry=registry)
    async def start(settings: kopf.OperatorSettings, **_: object) -> None:
        kopf_settings.configure(settings, rng)

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

"""Builders for tests of the PeerDB simulator: an engine with short, fixed durations and a mirror in a given state."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from random import Random
from typing import Any, cast

from tests.harness.peerdb.config import Config, Table
from tests.harness.peerdb.engine import Engine
from tests.harness.peerdb.events import SignalNoted, StateChanged
from tests.harness.peerdb.knobs import Knobs
from tests.harness.peerdb.values import Base, Deferred, Reply, Request, Status

NAME = "m"
GONE = "GONE"
FIXED: Mapping[str, object] = {
    "t_lag": 0.02, "t_react": 0.1, "t_stop": 1.0, "t_resume": 0.3, "t_boot": 0.5, "t_prepare": 0.05, "t_add": 2.0,
    "t_add_without_copy": 1.0, "t_remove": 0.4, "t_write": 0.05, "t_drop": 0.3, "t_close": 0.05, "t_flash": 0.2,
    "t_setup": 0.5, "t_snapshot": 2.0, "t_resync_drop": 1.0, "t_swap": 0.1, "t_validate": 0.1, "t_sync_drop": 0.2,
    "t_recreate": 0.06, "t_retag": 0.03, "t_retry": 5.0,
}  # fmt: skip
Json = Mapping[str, Any]


def an_engine(password: str | None = None, **knobs: object) -> Engine:
    """An engine on whose durations a test can count; ``knobs`` override them."""
    return Engine(rng=Random(7), knobs=Knobs().patched({**FIXED, **knobs}), password=password)


def tables(*names: str) -> list[Table]:
    return [Table(f"public.{name}", f"public.d_{name}") for name in names]


def wire(*names: str, **more: object) -> list[dict[str, object]]:
    """The same mappings as a request names them."""
    return [{**table.as_dict(), **more} for table in tables(*names)]


def a_mirror(engine: Engine, *names: str, batch: int = 1000, **more: Any) -> None:  # noqa: ANN401  # put_mirror's own
    """A mirror with these tables (``a`` and ``b`` if none is named); ``more`` as for ``put_mirror``."""
    config = Config(tables=tuple(tables(*(names or ("a", "b")))), batch_size=batch)
    engine.put_mirror(NAME, **{"config": config, "destination_type": "POSTGRES", **more})


def send(engine: Engine, method: str, path: str, body: object = None, base: Base = Base.GATEWAY) -> Reply | Deferred:
    """One request, JSON or bytes, below the base's own prefix."""
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    prefix = "/v1/" if base is Base.GATEWAY else "/api/v1/"
    path, _, query = path.partition("?")
    return engine.handle(Request(method, prefix + path, raw, query, {}, base))


def post(engine: Engine, path: str, body: object = None) -> Reply:
    """A POST to the gateway, waited for."""
    return engine.finish(send(engine, "POST", path, body))


def get(engine: Engine, path: str) -> Reply:
    """A GET from the gateway, waited for."""
    return engine.finish(send(engine, "GET", path))


def change(engine: Engine, state: object = None, update: Json | None = None, **flags: object) -> Reply | Deferred:
    """A state_change of the mirror; a state is a word without its prefix or a number."""
    body: dict[str, object] = {"flowJobName": NAME, **flags}
    if state is not None:
        body["requestedFlowState"] = f"STATUS_{state}" if isinstance(state, str) else state
    if update is not None:
        body["flowConfigUpdate"] = {"cdcFlowConfigUpdate": update}
    return send(engine, "POST", "mirrors/state_change", body)


def changed(engine: Engine, state: object = None, update: Json | None = None, **flags: object) -> Reply:
    return engine.finish(change(engine, state, update, **flags))


def states(engine: Engine, after: int = 0) -> list[str]:
    """The states that the mirror's row went through since event ``after``."""
    found = (event for event in engine.log.after(after) if isinstance(event, StateChanged) and event.mirror == NAME)
    return [event.new or GONE for event in found]


def fates(engine: Engine, what: str) -> list[str]:
    """The signals of which ``what`` was noted."""
    return [event.signal for event in engine.log if isinstance(event, SignalNoted) and event.what == what]


def watch(engine: Engine, seconds: float = 60.0) -> list[str]:
    start = engine.log.last
    engine.run_until(engine.now + seconds)
    return states(engine, start)


def info(engine: Engine, **flags: object) -> Json:
    return cast("Json", full(engine, **flags)["cdcStatus"]["config"])


def full(engine: Engine, **flags: object) -> Json:
    """A status with info, whole; fails the test when it is refused."""
    reply = post(engine, "mirrors/status", {"flowJobName": NAME, "includeFlowInfo": True, **flags})
    assert reply.status == 200, reply.body
    return cast("Json", reply.json())


def mapped(config: Json) -> list[str]:
    """The destinations of a config, in order."""
    return [str(table["destinationTableIdentifier"]).removeprefix("public.d_") for table in config["tableMappings"]]


def refusal(reply: Reply) -> tuple[int, int, str]:
    """HTTP status, gRPC code and message of an error."""
    body = cast("Json", reply.json())
    return reply.status, int(body["code"]), str(body["message"])


def paused(engine: Engine, *names: str, **more: Any) -> None:  # noqa: ANN401  # put_mirror's own
    a_mirror(engine, *names, state=Status.PAUSED, **more)


def listed(items: Iterable[str]) -> list[str]:
    return sorted(items)

"""Mirrors in every state of the matrices, with what they do when nobody touches them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.harness.peerdb.config import Config
from tests.harness.peerdb.engine import Engine
from tests.harness.peerdb.mirror import Phase
from tests.harness.peerdb.values import Status
from tests.unit.harness_peerdb.building import NAME, a_mirror, an_engine, changed, tables

Start = Callable[[], Engine]


def _put(state: Status, **more: Any) -> Start:  # noqa: ANN401  # put_mirror's own
    def start() -> Engine:
        engine = an_engine()
        a_mirror(engine, state=state, **more)
        return engine

    return start


def _resyncing(phase: Phase, state: Status) -> Start:
    config = Config(tables=tuple(tables("a", "b")), batch_size=1000, resync=True)
    return _put(state, config=config, phase=phase)


def _accepted(requested: str) -> Start:
    def start() -> Engine:
        engine = an_engine()
        a_mirror(engine)
        changed(engine, requested)
        engine.run_until(engine.now + 0.3)
        return engine

    return start


def _dropping_from(state: Status) -> Start:
    """TERMINATING of a mirror whose workflow was closed already: its drop runs inside another request."""

    def start() -> Engine:
        engine = an_engine(t_sync_drop=5.0)
        a_mirror(engine, state=state)
        row = engine.world.row(NAME)
        assert row is not None
        row.drop_from_closed = True
        engine.world.set_status(engine.world.mirrors[NAME], Status.TERMINATING)
        return engine

    return start


STARTS: dict[str, Start] = {
    "UNKNOWN": _put(Status.UNKNOWN),
    "SETUP": _put(Status.SETUP),
    "SNAPSHOT initial": _put(Status.SNAPSHOT),
    "SNAPSHOT in resync": _resyncing(Phase.SNAPSHOT, Status.SNAPSHOT),
    "SNAPSHOT addition": _put(Status.SNAPSHOT, phase=Phase.ADDING),
    "RUNNING": _put(Status.RUNNING),
    "RUNNING, drop accepted": _accepted("TERMINATING"),
    "RUNNING, resync accepted": _accepted("RESYNC"),
    "PAUSING": _put(Status.PAUSING),
    "PAUSED": _put(Status.PAUSED),
    "MODIFYING": _put(Status.MODIFYING),
    "RESYNC drop": _put(Status.RESYNC),
    "RESYNC swap": _resyncing(Phase.SWAPPING, Status.RESYNC),
    "TERMINATING": _put(Status.TERMINATING),
    "TERMINATING from FAILED": _dropping_from(Status.FAILED),
    "TERMINATED": _put(Status.TERMINATED),
    "COMPLETED": _put(Status.COMPLETED),
    "FAILED": _put(Status.FAILED),
    "orphan RUNNING": _put(Status.RUNNING, orphan=True),
    "orphan PAUSED": _put(Status.PAUSED, orphan=True),
}

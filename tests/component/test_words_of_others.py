"""What PeerDB and people have named leaves the operator on one line, whatever characters it has."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from peerdb_operator.api.constants import OWNER_TAG
from peerdb_operator.settings import LogFormat, LogLevel
from peerdb_operator.telemetry.log import configure_logging
from tests.component.test_metrics import QUICK, a_spec
from tests.harness.peerdb.config import Table
from tests.harness.peerdb.values import Status
from tests.harness.simulation import Simulation

FORGED = "x\r\n12:00:00 ERROR   data/orders: \x1b[31mall is lost\u2028\x85"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What a terminal shows of the log."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    configure_logging(LogFormat.TEXT, LogLevel.INFO, stream)
    yield stream
    root.handlers[:], root.level = handlers, level


def texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def test_no_name_or_word_of_peerdb_forges_a_line_or_paints_a_terminal(log: io.StringIO) -> None:
    simulation = Simulation(seed=3, knobs=QUICK)
    engine, cluster = simulation.engine, simulation.cluster
    live = [Table("public.a", "a"), Table(f"public.{FORGED}", FORGED)]
    engine.put_mirror("edited", state=Status.RUNNING, tables=[Table("public.a", "a")])
    cluster.create("edited", a_spec("a"))
    engine.put_mirror("watched", state=Status.RUNNING, tables=live)
    cluster.create("watched", {})
    simulation.operator()
    simulation.run(60)
    engine.put_mirror("conflict", state=Status.RUNNING, tables=live)
    engine.put_mirror("foreign", state=Status.RUNNING, tables=[Table("public.a", "a")], tags={OWNER_TAG: FORGED})
    for name in ("conflict", "foreign"):
        cluster.create(name, a_spec("a"))
    cluster.edit("edited", {"spec": a_spec("a", "b")})
    cluster.edit("watched", {"spec": {"batchSize": 7}})
    for name in ("edited", "watched"):
        engine.world.journal.add(name, f"could not copy {FORGED}", "error", simulation.now)
    simulation.run(120)

    reasons = {name: one["status"]["conditions"][0]["reason"] for (_, name), one in cluster.mirrors.items()}
    assert reasons == {
        "edited": "RunningWithErrors",
        "watched": "RunningWithErrors",
        "conflict": "AdoptionConflict",
        "foreign": "MirrorNotOwned",
    }
    notes = [str(one.patch["message"]) for one in cluster.events()]
    statuses = [text for one in cluster.mirrors.values() for text in texts(one["status"])]
    lines = log.getvalue().split("\n")[:-1]
    assert [text for text in [*notes, *statuses, *lines] if not text.isprintable()] == []
    for shown in (notes, statuses, lines):
        assert any("all is lost" in text for text in shown)
    assert not [line for line in lines if line.startswith("12:00:00")]

"""A mirror whose name only its source database would allow: from the takeover to the drop, as any other."""

from __future__ import annotations

import pytest

from peerdb_operator.api.constants import OWNER_TAG
from tests.component.test_metrics import QUICK, a_spec
from tests.harness.peerdb.config import Table
from tests.harness.peerdb.values import Status
from tests.harness.simulation import Simulation


@pytest.mark.parametrize("name", ["Orders-CDC.v2", "_", "a..b", "x" * 255])
def test_a_mirror_is_driven_from_takeover_to_drop_whatever_name_it_has(name: str) -> None:
    simulation = Simulation(seed=7, knobs=QUICK)
    engine, key = simulation.engine, ("data", "orders")
    engine.put_mirror(name, state=Status.RUNNING, tables=[Table("public.a", "a")])
    engine.put_mirror(name.lower() + "_", state=Status.RUNNING, tables=[Table("public.a", "a")])
    simulation.cluster.create("orders", a_spec("a", mirrorName=name))
    simulation.operator()
    simulation.run(60)

    simulation.cluster.edit("orders", {"spec": a_spec("a", "b")})
    simulation.run(60)
    mirror, status = engine.mirror(name), simulation.cluster.get(key)["status"]
    assert mirror is not None
    assert mirror.row is not None
    assert mirror.row.tags[OWNER_TAG].startswith("alpha/data/orders/")
    assert [table.source for table in mirror.row.config.tables] == ["public.a", "public.b"]
    assert (status["mirrorName"], status["state"], status["tables"]["summary"]) == (name, "Running", "2/2")

    simulation.cluster.delete("orders")
    simulation.run(60)
    assert engine.state(name) is None
    assert key not in simulation.cluster.mirrors
    assert engine.state(name.lower() + "_") is Status.RUNNING


def test_the_error_of_a_copy_reaches_the_mirror_whose_name_peerdb_writes_otherwise_there() -> None:
    simulation = Simulation(seed=7, knobs=QUICK.patched({"stuck_addition": True}))
    simulation.engine.put_mirror("Orders-CDC.v2", state=Status.RUNNING, tables=[Table("public.a", "a")])
    simulation.cluster.create("orders", a_spec("a", mirrorName="Orders-CDC.v2"))
    simulation.operator()
    simulation.run(60)
    added = {"source": "My-Shop.all orders", "destination": "b"}
    simulation.cluster.edit("orders", {"spec": {"tables": [{"source": "public.a", "destination": "a"}, added]}})
    simulation.run(120)
    status = simulation.cluster.get(("data", "orders"))["status"]
    assert (status["state"], status["lastError"]["message"]) == ("Snapshot", "failed to replicate partition")

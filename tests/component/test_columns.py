"""A table's ``columns`` against what PeerDB shows: only what the spec sets is compared, and an added one is proven."""

from __future__ import annotations

from tests.component.test_metrics import QUICK
from tests.harness.fakecluster import Body
from tests.harness.peerdb.config import COLUMN_ZEROS, Table
from tests.harness.peerdb.values import Status
from tests.harness.simulation import Simulation


def a_live_column(**fields: object) -> tuple[tuple[str, object], ...]:
    """A column as PeerDB keeps it, every field filled."""
    return tuple({**COLUMN_ZEROS, **fields}.items())


def a_table(name: str, *columns: Body) -> Body:
    return {"source": f"public.{name}", "destination": name, "columns": list(columns)}


def a_world(*columns: Body) -> Simulation:
    """A mirror of one table, made elsewhere, and a Mirror that lists these columns of it."""
    simulation = Simulation(seed=5, knobs=QUICK)
    live = (a_live_column(sourceName="id", destinationName="id", ordering=1, nullableEnabled=True),)
    simulation.engine.put_mirror("m0", state=Status.RUNNING, tables=[Table("public.a", "a", columns=live)])
    simulation.cluster.create("m0", {"tables": [a_table("a", *columns)]})
    simulation.operator()
    simulation.run(60)
    return simulation


def ready(simulation: Simulation) -> Body:
    status = simulation.cluster.get(("data", "m0"))["status"]
    [found] = [one for one in status["conditions"] if one["type"] == "Ready"]
    return {**found, "operation": status.get("operation")}


def test_a_mirror_is_taken_over_when_its_columns_differ_only_in_what_the_spec_leaves_out() -> None:
    assert ready(a_world({"sourceName": "id", "ordering": 1}))["reason"] == "Running"


def test_a_conflict_names_the_field_of_the_column_that_differs() -> None:
    reported = ready(a_world({"sourceName": "id", "ordering": 2, "destinationType": "Int8"}))
    assert reported["reason"] == "AdoptionConflict"
    assert "public.a (columns[id].destinationType, columns[id].ordering)" in reported["message"]


def test_an_added_table_is_proven_by_the_columns_that_peerdb_then_shows() -> None:
    first = {"sourceName": "id", "ordering": 1}
    simulation = a_world(first)
    added = a_table(
        "b", {"sourceName": "id"}, {"sourceName": "at", "destinationName": "at", "partitioning": 1},
        {"sourceName": "v", "destinationType": "Int8", "nullableEnabled": False},
    )  # fmt: skip
    simulation.cluster.edit("m0", {"spec": {"tables": [a_table("a", first), added]}})
    simulation.run(60)

    reported = ready(simulation)
    assert (reported["reason"], reported["status"], reported["operation"]) == ("Running", "True", None)
    pauses = [one for one in simulation.cluster.events() if one.patch["reason"] == "Pausing"]
    assert len(pauses) == 1

"""Programs written by hand, on the same simulated world as the random ones."""

from tests.harness.fakecluster import Body
from tests.harness.peerdb.config import Table
from tests.harness.peerdb.values import Status
from tests.harness.simulation import Simulation
from tests.properties.actions import Ask, Delete, DeleteAround, Orphan, Wish, WishTables
from tests.properties.programs import Program
from tests.properties.stage import Start


def a_spec(*names: str, **more: object) -> Body:
    """A spec with the tables public.<name> onto <name>."""
    return {"tables": [{"source": f"public.{name}", "destination": name} for name in names], **more}


def ready(simulation: Simulation, name: str) -> tuple[str, str]:
    """Status and reason of Ready."""
    status = simulation.cluster.get(("data", name))["status"]
    conditions = {one["type"]: (one["status"], one["reason"]) for one in status.get("conditions", [])}
    return conditions.get("Ready", ("", ""))


def test_a_mirror_follows_edits_a_pause_and_a_deletion_on_simulated_time() -> None:
    simulation = Simulation(seed=1)
    simulation.engine.put_mirror("orders", state=Status.RUNNING, tables=[Table("public.a", "a")])
    simulation.cluster.create("orders", a_spec("a"))
    simulation.operator()
    simulation.run(10)
    assert ready(simulation, "orders") == ("True", "Running")

    simulation.cluster.edit("orders", {"spec": a_spec("a", "b")})
    simulation.run(1)
    assert ready(simulation, "orders") == ("Unknown", "Pausing")
    simulation.run(40)
    assert ready(simulation, "orders") == ("True", "Running")
    mirror = simulation.engine.mirror("orders")
    assert mirror is not None
    assert mirror.workflow is not None
    assert [table.source for table in mirror.workflow.live.tables] == ["public.a", "public.b"]

    simulation.cluster.edit("orders", {"spec": {"state": "Paused"}})
    simulation.run(20)
    assert ready(simulation, "orders") == ("True", "Paused")

    simulation.cluster.delete("orders")
    simulation.run(20)
    assert simulation.cluster.mirrors == {}
    assert simulation.engine.state("orders") is None


def test_nothing_is_written_when_a_precheck_fails_again_and_again() -> None:
    simulation = Simulation(seed=1)
    simulation.engine.put_mirror("orders", state=Status.RUNNING, tables=[Table("public.a", "a")])
    simulation.engine.put_databases(source_tables=["public.a"])
    simulation.cluster.create("orders", a_spec("a", "b"))
    simulation.operator()
    simulation.run(20)
    assert ready(simulation, "orders") == ("False", "PrecheckFailed")

    before = len(simulation.cluster.record)
    simulation.run(1800)
    assert len(simulation.cluster.record) == before


def test_a_drop_follows_an_edit_at_once_when_the_mirror_has_no_workflow_that_could_have_taken_it() -> None:
    steps = (
        (0.05, Ask(mirror=0, state="PAUSED")),
        ("PAUSED", Wish(mirror=0, spec=(("batchSize", 500),))),
        (0.0, Orphan(mirror=0)),
        (1.5, Delete(mirror=0)),
    )
    Program(seed=0, starts=(Start(),), steps=steps).play()


def test_a_mirror_without_a_workflow_is_not_asked_again_and_again_when_its_namespace_goes() -> None:
    steps = (
        (8.0, WishTables(mirror=0, tables=(("a", "a"),))),
        ("PAUSED", Orphan(mirror=0)),
        (0.0, DeleteAround(what="namespace")),
    )
    Program(seed=0, starts=(Start(),), steps=steps).play()

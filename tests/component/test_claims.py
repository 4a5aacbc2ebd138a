"""Two Mirrors for one PeerDB mirror that are created so close together that the API server cannot tell their order."""

from tests.harness.fakecluster import Body
from tests.harness.peerdb.config import Table
from tests.harness.peerdb.knobs import Knobs
from tests.harness.peerdb.values import Status
from tests.harness.simulation import Simulation

BEFORE_THEM = 8
"""Mirrors made before, so that the uid of the tenth sorts before that of the ninth."""


def a_spec(*names: str) -> Body:
    return {"mirrorName": "m", "tables": [{"source": f"public.{name}", "destination": name} for name in names]}


def ready_of(simulation: Simulation, name: str) -> str:
    found = simulation.cluster.mirrors["data", name]["status"]["conditions"]
    return next(str(one["reason"]) for one in found if one["type"] == "Ready")


def test_an_edit_is_finished_by_its_beginner_when_another_mirror_of_the_same_second_claims_the_mirror() -> None:
    simulation = Simulation(seed=1, knobs=Knobs(t_validate=0.05, t_stop=1.0, t_add=1.0))
    engine = simulation.engine
    engine.put_mirror("m", state=Status.RUNNING, tables=[Table("public.a", "a")], tags={"peerdb.io/owner": "released"})
    for number in range(BEFORE_THEM):
        simulation.cluster.create(f"before-{number}", {})
    simulation.operator()
    simulation.run(1.0 - simulation.now % 1)
    first = simulation.cluster.create("first", a_spec("a", "b"))["metadata"]

    def runs() -> bool:
        mirror = engine.mirror("m")
        return mirror is not None and mirror.row is not None and mirror.row.status is Status.RUNNING

    assert simulation.run_while(runs, limit=0.9, step=0.05)
    second = simulation.cluster.create("second", a_spec("a"))["metadata"]
    assert second["creationTimestamp"] == first["creationTimestamp"]
    assert second["uid"] < first["uid"]
    simulation.run(30)
    assert (ready_of(simulation, "first"), ready_of(simulation, "second")) == ("Running", "MirrorNotOwned")
    assert runs()
    mirror = engine.mirror("m")
    assert mirror is not None
    assert mirror.row is not None
    assert [table.source for table in mirror.row.config.tables] == ["public.a", "public.b"]

"""Programs written by hand, on the same simulated world as the random ones."""

import pytest

from peerdb_operator.api.constants import OWNER_TAG
from tests.harness.fakecluster import Body
from tests.harness.peerdb.config import Table
from tests.harness.peerdb.events import RequestSeen
from tests.harness.peerdb.knobs import Knobs
from tests.harness.peerdb.values import Status
from tests.harness.simulation import Simulation
from tests.properties.actions import (
    OURS,
    Action,
    Ask,
    Delete,
    DeleteAround,
    Fails,
    Fault,
    Orphan,
    Overlap,
    Recreate,
    Stall,
    Tag,
    WhileStopped,
    Wish,
    WishTables,
)
from tests.properties.programs import Program
from tests.properties.stage import Start


def a_spec(*names: str, **more: object) -> Body:
    """A spec with the tables public.<name> onto <name>."""
    return {"tables": [{"source": f"public.{name}", "destination": name} for name in names], **more}


def ready(simulation: Simulation, name: str) -> tuple[str, str]:
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


@pytest.mark.parametrize(
    "actions", [(Fails(mirror=0), Overlap()), (Overlap(), Fails(mirror=0))], ids=["before", "after"]
)
def test_a_second_process_does_not_overlook_an_error_that_the_first_has_written(actions: tuple[Action, Action]) -> None:
    first, then = actions
    Program(seed=0, starts=(Start(),), steps=((8.0, first), (0.0, then))).play()


def test_a_mirror_without_a_workflow_is_not_asked_again_and_again_when_its_namespace_goes() -> None:
    steps = (
        (8.0, WishTables(mirror=0, tables=(("a", "a"),))),
        ("PAUSED", Orphan(mirror=0)),
        (0.0, DeleteAround(what="namespace")),
    )
    Program(seed=0, starts=(Start(),), steps=steps).play()


def test_a_mirror_is_not_ready_for_another_one_of_its_name_while_a_precheck_takes_minutes() -> None:
    steps = (
        (12.0, Fault(what="slow checks", seconds=200.0)),
        (0.0, Recreate(mirror=0, tables=(("a", "a"),))),
        (0.0, Tag(mirror=0, value=OURS)),
        (130.0, Ask(mirror=0, state="RUNNING")),
    )
    Program(seed=0, starts=(Start(),), steps=steps, quick=True).play()


def test_an_operator_that_was_stalled_is_at_work_as_soon_as_the_stall_ends() -> None:
    steps = ((8.0, Stall(seconds=40.0)), (4.0, Recreate(mirror=0, tables=(("a", "a"),))))
    Program(seed=0, starts=(Start(),), steps=steps).play()


# -- prechecks that hang -----------------------------------------------------------------------------------------------

HANGING = 20


def a_fleet(mirrors: int, **settings: object) -> Simulation:
    """So many mirrors m0, m1, ... that run as desired; a precheck of new tables hangs until PeerDB is given up on."""
    simulation = Simulation(seed=1, knobs=Knobs(t_stop=0.2, t_resume=0.2, t_lag=0.01, t_react=0.01, t_validate=600.0))
    for number in range(mirrors):
        simulation.engine.put_mirror(
            f"m{number}", state=Status.RUNNING, tables=[Table("public.a", "a")], tags={OWNER_TAG: "released"}
        )
        simulation.cluster.create(f"m{number}", a_spec("a"))
    simulation.operator(settings=settings)
    simulation.run(60)
    assert {ready(simulation, f"m{number}") for number in range(mirrors)} == {("True", "Running")}
    return simulation


def seconds_until(simulation: Simulation, name: str, state: Status, limit: float = 300.0) -> float:
    """How long it takes a mirror to get into a state."""
    began = simulation.now
    assert simulation.run_while(lambda: simulation.engine.state(name) is not state, limit, step=0.05)
    return simulation.now - began


def test_a_mirror_is_edited_as_quickly_as_ever_while_the_prechecks_of_many_others_hang() -> None:
    simulation = a_fleet(HANGING + 1)
    for number in range(1, HANGING + 1):
        simulation.cluster.replace_spec(f"m{number}", a_spec("a", "b"))
    simulation.run(1.0)
    simulation.cluster.replace_spec("m0", a_spec("a", batchSize=7777))
    seconds_until(simulation, "m0", Status.PAUSED, 3.0)
    assert seconds_until(simulation, "m0", Status.RUNNING) < 3.0


def test_the_prechecks_that_hang_are_as_many_as_the_setting_allows_and_the_others_follow_them() -> None:
    simulation = a_fleet(3, precheck_concurrency=1)
    asked: list[str] = []
    for number in range(3):
        simulation.cluster.replace_spec(f"m{number}", a_spec("a", "b"))
    for expected in (1, 2, 3):
        simulation.run(110.0 if expected == 1 else 120.0)
        asked = [event.path for event in simulation.engine.log.events if isinstance(event, RequestSeen)]
        assert asked.count("/v1/mirrors/cdc/validate") == expected


def test_a_mirror_that_waits_for_the_precheck_of_others_is_paused_and_resumed_at_once() -> None:
    simulation = a_fleet(2, precheck_concurrency=1)
    simulation.cluster.replace_spec("m1", a_spec("a", "b"))
    simulation.run(1.0)
    simulation.cluster.replace_spec("m0", a_spec("a", "b"))
    simulation.run(1.0)
    simulation.cluster.replace_spec("m0", a_spec("a", "b", state="Paused"))
    assert seconds_until(simulation, "m0", Status.PAUSED) < 3.0
    simulation.cluster.replace_spec("m0", a_spec("a", state="Running"))
    assert seconds_until(simulation, "m0", Status.RUNNING) < 3.0


@pytest.mark.parametrize("waits", ["for its turn", "for its answer"])
def test_a_mirror_that_somebody_pauses_while_it_waits_for_a_precheck_is_resumed_after_half_a_minute(waits: str) -> None:
    simulation = a_fleet(2, precheck_concurrency=1)
    for name in ("m1", "m0") if waits == "for its turn" else ("m0",):
        simulation.cluster.replace_spec(name, a_spec("a", "b"))
        simulation.run(1.0)
    body = b'{"flowJobName":"m0","requestedFlowState":"STATUS_PAUSED"}'
    simulation.human("POST", "/v1/mirrors/state_change", body)
    seconds_until(simulation, "m0", Status.PAUSED, 3.0)
    assert seconds_until(simulation, "m0", Status.RUNNING) < 10.0 + 30.0 + 5.0
    assert ready(simulation, "m0")[1] in {"PeerDBUnavailable", "Resuming"}


@pytest.mark.parametrize("restart", [False, True], ids=["", "restarted"])
@pytest.mark.parametrize(
    "fault", ["kube away", "half refused", "most refused", "temporal", "bad gateway", "slow", "very slow"]
)
def test_a_mirror_that_is_paused_for_an_edit_does_not_stay_so_whatever_breaks(fault: str, *, restart: bool) -> None:
    more = (("a", "a"), ("b", "b"), ("c", "c"))
    Program(seed=7, starts=(Start(),), steps=((1.5, WhileStopped(0, more, fault, 200.0, restart)),)).play()

"""A PeerDB mirror that is dropped and created again under the same name: nothing said of the old one stays true."""

from __future__ import annotations

import json

import pytest

from peerdb_operator.api.constants import OWNER_TAG
from tests.component.test_counts import QUICK, a_settled_world, a_spec
from tests.harness.fakecluster import Body
from tests.harness.peerdb.config import Table
from tests.harness.peerdb.values import Status
from tests.harness.simulation import Simulation

TICK = 10.0
READ_AND_WRITTEN = 1.0
TAG_BELIEVED = 6.0
"""A missing owner tag counts after two reads five seconds apart."""
FOREIGN = "elsewhere/data/orders/uid"


def replace_mirror(
    simulation: Simulation, *names: str, owner: str | None = None, state: Status = Status.RUNNING, timers: bool = True
) -> None:
    """Somebody drops the mirror and creates it again with these tables, between two ticks."""
    simulation.run(3.3)
    tables = [Table(f"public.{name}", name) for name in names or ("a",)]
    tags = {} if owner is None else {OWNER_TAG: owner}
    simulation.engine.put_mirror("m0", state=state, tables=tables, tags=tags, timers=timers)


def owner_of(simulation: Simulation) -> str | None:
    row = simulation.engine.world.row("m0")
    return None if row is None else row.tags.get(OWNER_TAG)


def status_of(simulation: Simulation) -> Body:
    found: Body = simulation.cluster.get(("data", "m0"))["status"]
    return found


def ready_of(simulation: Simulation) -> tuple[str, str]:
    ready = next(one for one in status_of(simulation)["conditions"] if one["type"] == "Ready")
    return ready["status"], ready["reason"]


def ready_since(simulation: Simulation, since: float) -> list[tuple[str, str]]:
    """Status and reason of Ready as written since a time, each run of equals once."""
    found: list[tuple[str, str]] = []
    for change in simulation.cluster.record:
        if change.verb == "patch-status" and change.at >= since and change.after is not None:
            ready = next(one for one in change.after["status"]["conditions"] if one["type"] == "Ready")
            if not found or found[-1] != (ready["status"], ready["reason"]):
                found.append((ready["status"], ready["reason"]))
    return found


@pytest.mark.parametrize(
    ("names", "reason", "adopted"), [(("a",), "Running", True), (("b",), "AdoptionConflict", False)]
)
def test_ready_is_unknown_within_a_tick_and_then_first_contact_decides(
    names: tuple[str, ...], reason: str, *, adopted: bool
) -> None:
    simulation, _ = a_settled_world()
    created = status_of(simulation)["createdAt"]
    replace_mirror(simulation, *names)
    began = simulation.now
    simulation.run(TICK + READ_AND_WRITTEN)
    assert ready_of(simulation)[0] == "Unknown" or ready_of(simulation)[1] == reason
    simulation.run(TAG_BELIEVED)
    assert ready_since(simulation, began)[0][0] == "Unknown"
    assert ready_of(simulation)[1] == reason
    assert (owner_of(simulation) is not None) is adopted
    assert (status_of(simulation)["createdAt"] != created) is adopted
    assert ("tables" in status_of(simulation)) is adopted


def test_the_mirror_of_somebody_else_is_told_within_a_tick() -> None:
    simulation, _ = a_settled_world()
    replace_mirror(simulation, owner=FOREIGN)
    simulation.run(TICK + READ_AND_WRITTEN)
    assert ready_of(simulation) == ("False", "MirrorNotOwned")
    assert "tables" not in status_of(simulation)
    assert owner_of(simulation) == FOREIGN


def test_the_first_copy_of_the_new_mirror_is_told_within_a_tick() -> None:
    simulation, _ = a_settled_world()
    replace_mirror(simulation, state=Status.SNAPSHOT, timers=False)
    simulation.run(TICK + READ_AND_WRITTEN)
    assert ready_of(simulation) == ("Unknown", "Snapshotting")
    assert (status_of(simulation)["state"], status_of(simulation)["tables"]["summary"]) == ("Snapshot", "0/1")


def test_a_mirror_that_carries_our_tag_is_ours_and_is_compared_at_once() -> None:
    simulation, _ = a_settled_world()
    before, created = owner_of(simulation), status_of(simulation)["createdAt"]
    replace_mirror(simulation, "a", "b", owner=before)
    began = simulation.now
    simulation.run(TICK + READ_AND_WRITTEN)
    assert ready_since(simulation, began)[0] == ("Unknown", "Pausing")
    simulation.run(30)
    assert ready_of(simulation) == ("True", "Running")
    assert status_of(simulation)["createdAt"] != created
    mirror = simulation.engine.mirror("m0")
    assert mirror is not None
    assert mirror.workflow is not None
    assert [table.source for table in mirror.workflow.live.tables] == ["public.a"]


def test_ready_is_unknown_within_a_tick_while_peerdb_checks_for_minutes_what_the_new_mirror_lacks() -> None:
    simulation, _ = a_settled_world(knobs=QUICK.patched({"t_validate": 100.0}))
    replace_mirror(simulation, "b", owner=owner_of(simulation))
    began = simulation.now
    simulation.run(TICK + READ_AND_WRITTEN)
    assert ready_since(simulation, began) == [("Unknown", "SettingUp")]
    simulation.run(80.0)
    assert ready_since(simulation, began) == [("Unknown", "SettingUp")]
    simulation.run(60.0)
    assert ready_of(simulation)[1] == "DestinationInUse"


def test_ready_is_unknown_within_a_tick_although_the_new_mirror_itself_cannot_be_read() -> None:
    simulation, _ = a_settled_world()
    replace_mirror(simulation)
    simulation.engine.turn(bad_gateway=True, fault_path="mirrors/status")
    simulation.run(TICK + READ_AND_WRITTEN)
    assert ready_of(simulation)[0] == "Unknown"
    simulation.run(600)
    assert ready_of(simulation)[0] == "Unknown"
    simulation.engine.turn(bad_gateway=False)
    simulation.run(60)
    assert ready_of(simulation) == ("True", "Running")


def test_a_mirror_that_was_replaced_while_no_operator_ran_is_not_taken_for_the_old_one() -> None:
    simulation, operator = a_settled_world()
    operator.kill()
    replace_mirror(simulation, "b")
    began = simulation.now
    operator.start()
    simulation.run(TICK)
    assert ready_since(simulation, began) == [("Unknown", "SettingUp"), ("False", "AdoptionConflict")]


def test_an_error_of_the_old_mirror_is_not_told_of_the_new_one() -> None:
    simulation, _ = a_settled_world()
    simulation.engine.world.say("m0", "the slot is gone", "error")
    simulation.run(TICK + READ_AND_WRITTEN)
    assert ready_of(simulation) == ("True", "RunningWithErrors")
    replace_mirror(simulation)
    simulation.run(TICK + TAG_BELIEVED)
    assert ready_of(simulation) == ("True", "Running")
    assert "lastError" not in status_of(simulation)


# What somebody else does to a mirror is told with the tick that sees it.


def test_a_drop_by_hand_is_told_with_the_tick_that_sees_it_and_leaves_no_numbers_behind() -> None:
    simulation, _ = a_settled_world(knobs=QUICK.patched({"t_drop": 6.0}))
    simulation.run(3.3)
    simulation.human(
        "POST", "/v1/mirrors/state_change", b'{"flowJobName": "m0", "requestedFlowState": "STATUS_TERMINATING"}'
    )
    began = simulation.now
    simulation.run(TICK + READ_AND_WRITTEN)
    assert ready_since(simulation, began) == [("Unknown", "Terminating")]
    simulation.run(TAG_BELIEVED)
    assert ready_of(simulation) == ("False", "MirrorNotFound")
    status = status_of(simulation)
    assert (status["state"], status["tables"]) == (
        "Missing",
        {"desired": 1, "replicating": 0, "adding": 0, "removing": 0, "summary": "0/1", "pending": []},
    )


def test_a_pause_by_hand_is_told_with_the_tick_that_sees_it_while_peerdb_checks_what_the_same_hand_removed() -> None:
    simulation, _ = a_settled_world()
    simulation.cluster.edit("m0", {"spec": a_spec("a", "b")})
    simulation.run(60)
    assert ready_of(simulation) == ("True", "Running")
    simulation.engine.turn(t_validate=20.0)
    removed = [{"sourceTableIdentifier": "public.b", "destinationTableIdentifier": "b"}]
    edit = {"cdcFlowConfigUpdate": {"removedTables": removed}}
    for wanted, more in (("PAUSED", {}), ("RUNNING", {"flowConfigUpdate": edit}), ("PAUSED", {})):
        body = {"flowJobName": "m0", "requestedFlowState": f"STATUS_{wanted}", **more}
        simulation.human("POST", "/v1/mirrors/state_change", json.dumps(body).encode())
        simulation.run(2.5)
    began = simulation.now
    simulation.run(TICK + READ_AND_WRITTEN)
    assert ready_since(simulation, began - 7.5)[0] == ("Unknown", "Editing")
    simulation.run(60)
    assert ready_of(simulation)[1] == "DestinationInUse"
    assert simulation.engine.state("m0") is Status.RUNNING

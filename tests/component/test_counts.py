"""How often the operator writes and asks, counted in the logs of the simulated PeerDB and of the cluster.

A write to Kubernetes is a change of a Mirror (status or metadata); Events, of which there is one for each new reason of
Ready, are counted beside them where nothing at all may be written.
"""

import json
from collections import Counter

import pytest

from tests.harness.fakecluster import Body, Change
from tests.harness.peerdb.config import Table
from tests.harness.peerdb.events import RequestSeen
from tests.harness.peerdb.knobs import Knobs
from tests.harness.peerdb.values import Status
from tests.harness.simulation import Operator, Simulation

QUICK = Knobs(t_stop=1.0, t_add=1.0, t_remove=0.3, t_resume=0.1)
"""Every phase of an edit is shorter than the two seconds after which it is written down."""

MANY = 60


class Counted:
    """What was asked and written since it was made."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._requests = simulation.engine.log.last
        self._changes = len(simulation.cluster.record)

    @property
    def changes(self) -> list[Change]:
        record = self._simulation.cluster.record[self._changes :]
        return [one for one in record if "#" in one.who]

    @property
    def writes(self) -> int:
        return sum(1 for one in self.changes if one.verb != "event")

    @property
    def requests(self) -> list[RequestSeen]:
        return [one for one in self._simulation.engine.log.after(self._requests) if isinstance(one, RequestSeen)]

    @property
    def commands(self) -> list[Body]:
        return [json.loads(one.body) for one in self.requests if one.path.endswith("state_change")]

    @property
    def tag_writes(self) -> int:
        return sum(1 for one in self.requests if one.method == "POST" and "/flows/tags" in one.path)

    def by_path(self) -> Counter[str]:
        """Requests by endpoint; tags of all mirrors together."""
        return Counter("tags" if "/flows/tags" in one.path else one.path.rpartition("/")[2] for one in self.requests)


def a_spec(*names: str, **more: object) -> Body:
    return {"tables": [{"source": f"public.{name}", "destination": name} for name in names], **more}


def a_world(mirrors: int = 1, knobs: Knobs = QUICK) -> tuple[Simulation, Operator]:
    """So many mirrors with one Mirror each, and an operator that has just been started."""
    simulation = Simulation(seed=7, knobs=knobs)
    for number in range(mirrors):
        simulation.engine.put_mirror(f"m{number}", state=Status.RUNNING, tables=[Table("public.a", "a")])
        simulation.cluster.create(f"m{number}", a_spec("a"))
    return simulation, simulation.operator()


def a_settled_world(mirrors: int = 1, knobs: Knobs = QUICK) -> tuple[Simulation, Operator]:
    """The same, when every Mirror is Ready."""
    simulation, operator = a_world(mirrors, knobs)
    simulation.run(60)
    assert reasons(simulation) == {("True", "Running")}
    return simulation, operator


def reasons(simulation: Simulation) -> set[tuple[str, str]]:
    """Status and reason of all Ready conditions."""
    found = set()
    for body in simulation.cluster.all():
        ready = [one for one in body["status"]["conditions"] if one["type"] == "Ready"]
        found.add((ready[0]["status"], ready[0]["reason"]))
    return found


def test_first_contact_takes_three_writes_at_most() -> None:
    simulation, _ = a_world()
    counted = Counted(simulation)
    simulation.run(60)
    assert reasons(simulation) == {("True", "Running")}
    assert len(counted.changes) <= 3
    assert counted.commands == []
    assert counted.tag_writes == 1


def test_a_pause_takes_one_command_and_two_writes_at_most() -> None:
    simulation, _ = a_settled_world()
    counted = Counted(simulation)
    simulation.cluster.edit("m0", {"spec": {"state": "Paused"}})
    simulation.run(60)
    assert reasons(simulation) == {("True", "Paused")}
    assert [one["requestedFlowState"] for one in counted.commands] == ["STATUS_PAUSED"]
    assert counted.writes <= 2


def test_a_resume_takes_one_command_and_two_writes_at_most() -> None:
    simulation, _ = a_settled_world()
    simulation.cluster.edit("m0", {"spec": {"state": "Paused"}})
    simulation.run(60)
    counted = Counted(simulation)
    simulation.cluster.edit("m0", {"spec": {"state": "Running"}})
    simulation.run(60)
    assert reasons(simulation) == {("True", "Running")}
    assert [one["requestedFlowState"] for one in counted.commands] == ["STATUS_RUNNING"]
    assert counted.writes <= 2


@pytest.mark.parametrize("names", [("a", "b"), ("b",), ("a",)], ids=["add", "replace", "settings only"])
def test_an_edit_takes_two_commands_a_cycle_and_three_writes_when_every_phase_is_short(names: tuple[str, ...]) -> None:
    simulation, _ = a_settled_world()
    counted = Counted(simulation)
    simulation.cluster.edit("m0", {"spec": a_spec(*names, batchSize=700)})
    simulation.run(60)
    assert reasons(simulation) == {("True", "Running")}
    wanted = [one["requestedFlowState"] for one in counted.commands]
    cycles = 2 if names == ("b",) else 1  # replacing every table adds first and removes in a second cycle
    assert wanted == ["STATUS_PAUSED", "STATUS_RUNNING"] * cycles
    assert counted.writes <= 3 * cycles


def test_an_edit_asks_peerdb_no_more_than_its_proofs_need_when_every_phase_is_short() -> None:
    simulation, _ = a_settled_world(knobs=QUICK.patched({"t_stop": 0.05, "t_add": 0.05}))
    counted = Counted(simulation)
    simulation.cluster.edit("m0", {"spec": a_spec("a", "b")})
    simulation.run(9)
    assert reasons(simulation) == {("True", "Running")}
    asked = counted.by_path()
    assert (asked["validate"], asked["state_change"]) == (1, 2)
    # Before the precheck, before the pause, twice in PAUSED, and once for the proof.
    assert (asked["status"], asked["tags"]) == (5, 5)


def test_nothing_is_written_and_two_reads_a_tick_are_made_when_many_mirrors_are_settled() -> None:
    simulation, _ = a_settled_world(MANY)
    counted = Counted(simulation)
    simulation.run(600)
    asked = counted.by_path()
    assert counted.changes == []
    assert counted.commands == []
    assert counted.tag_writes == 0
    assert 59 <= asked.pop("list") <= 61
    assert 59 <= asked.pop("logs") <= 63  # a newest page now and then
    sampled = asked.pop("status")
    assert MANY <= sampled <= 3 * MANY
    assert asked.pop("tags") == sampled
    assert asked.pop("version", 0) <= 1
    assert asked == {}


@pytest.mark.parametrize("fault", ["unreachable", "bad gateway", "workers down", "maintenance"])
def test_nothing_is_written_when_an_outage_is_shorter_than_half_a_minute(fault: str) -> None:
    simulation, _ = a_settled_world(20)
    counted = Counted(simulation)
    seconds = 14.0 if fault == "workers down" else 29.0
    simulation.network.away = fault == "unreachable"
    knobs = {"bad gateway": "bad_gateway", "workers down": "workers_down", "maintenance": "maintenance"}
    if fault in knobs:
        simulation.engine.turn(**{knobs[fault]: True})
    simulation.run(seconds)
    simulation.network.away = False
    simulation.engine.turn(bad_gateway=False, workers_down=False, maintenance=False)
    simulation.run(120)
    assert counted.changes == []
    assert counted.commands == []
    assert reasons(simulation) == {("True", "Running")}


def test_nothing_is_written_when_the_operator_restarts_over_many_settled_mirrors() -> None:
    simulation, operator = a_settled_world(MANY)
    counted = Counted(simulation)
    operator.kill()
    simulation.run(5)
    operator.start()
    simulation.run(120)
    assert counted.changes == []
    assert counted.commands == []
    assert counted.tag_writes == 0
    assert counted.by_path()["status"] >= MANY


def test_three_pauses_at_most_are_spent_in_ten_minutes_when_peerdb_normalises_a_field() -> None:
    simulation, _ = a_settled_world(knobs=QUICK.patched({"normalise": {"batchSize": 777}}))
    counted = Counted(simulation)
    simulation.cluster.edit("m0", {"spec": {"batchSize": 700}})
    simulation.run(600)
    pauses = [one for one in counted.commands if one["requestedFlowState"] == "STATUS_PAUSED"]
    assert 1 <= len(pauses) <= 3
    assert reasons(simulation) == {("False", "EditNotApplied")}
    assert simulation.engine.state("m0") is Status.RUNNING

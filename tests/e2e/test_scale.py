"""Large lists and many Mirrors on a real API server: 5,000 tables in one Mirror, 20 Mirrors at once."""

import json

import pytest

from peerdb_operator.api import constants
from tests.e2e.conftest import MakeWorld
from tests.e2e.world import Object, Subject, World, a_table, all_commands
from tests.e2e.writing import Writes

pytestmark = pytest.mark.e2e

MANY = 5000
ETCD_LIMIT = 1_572_864
"""Bytes of the largest request that etcd takes as it comes (--max-request-bytes)."""
MIRRORS = 20
WITHIN = 120.0


@pytest.fixture(scope="module")
def world(make_world: MakeWorld) -> World:
    world = make_world("scale")
    world.start_operator(config_sample_seconds=60)
    return world


def many_tables(count: int) -> list[Object]:
    """Tables with names of a usual length."""
    return [a_table(f"public.table_number_{number:05d}") for number in range(count)]


def assert_holds(subject: Subject, tables: list[Object]) -> None:
    """The mirror has exactly these tables, and the status says so in few words."""
    assert subject.tables() == {each["source"]: each["destination"] for each in tables}
    count = len(tables)
    found = subject.read()
    assert found["status"]["tables"] == {
        "desired": count,
        "replicating": count,
        "adding": 0,
        "removing": 0,
        "summary": f"{count}/{count}",
        "pending": [],
    }
    assert found["status"]["observedGeneration"] == found["metadata"]["generation"]


def assert_small(subject: Subject) -> None:
    """The object carries nothing but the spec that a user wrote, and a status of some hundred bytes."""
    found = subject.read()
    meta = found["metadata"]
    assert len(json.dumps(meta.get("annotations", {}))) < 4096
    assert meta["finalizers"] == [constants.FINALIZER]
    assert "kopf" not in json.dumps({**found, "spec": None})
    assert len(json.dumps(found["status"])) < 4096
    assert len(json.dumps(found, separators=(",", ":"))) < ETCD_LIMIT / 2


@pytest.fixture(scope="module")
def large(world: World) -> Subject:
    """A settled Mirror with very many tables."""
    tables = many_tables(MANY)
    subject = world.declare(world.live(tables, name="large"), {"tables": tables})
    subject.wait_ready()
    return subject


def test_five_thousand_tables_are_taken_over_and_told_in_few_words_when_they_are_applied(
    world: World, large: Subject
) -> None:
    assert_holds(large, large.read()["spec"]["tables"])
    assert_small(large)
    assert large.commands() == []
    lines = world.kubectl("get", constants.SHORT, large.name).splitlines()
    assert f"{MANY}/{MANY}" in lines[1].split()


def test_one_table_is_added_by_two_calls_and_a_write_for_each_step_when_there_are_five_thousand(
    world: World, large: Subject
) -> None:
    tables = [*large.read()["spec"]["tables"], a_table("public.one_more")]
    writes, before = Writes.of(large), world.sim.last_event()
    large.apply({"tables": tables})
    large.wait_ready()
    assert_holds(large, tables)
    assert_small(large)
    assert [(each.state, each.added, each.removed) for each in large.commands(before)] == [
        ("PAUSED", [], []),
        ("RUNNING", ["public.one_more"], []),
    ]
    writes.assert_few("Pausing", "Editing", "Running")


def test_one_table_is_removed_by_two_calls_and_a_write_for_each_step_when_there_are_five_thousand(
    world: World, large: Subject
) -> None:
    gone, *tables = large.read()["spec"]["tables"]
    writes, before = Writes.of(large), world.sim.last_event()
    large.apply({"tables": tables})
    large.wait_ready()
    assert_holds(large, tables)
    assert_small(large)
    assert [(each.state, each.added, each.removed) for each in large.commands(before)] == [
        ("PAUSED", [], []),
        ("RUNNING", [], [gone["source"]]),
    ]
    writes.assert_few("Pausing", "Editing", "Running")


def test_five_thousand_tables_are_added_in_several_stops_and_counted_on_the_way_when_a_mirror_has_one(
    world: World,
) -> None:
    orders = a_table("public.orders")
    subject = world.settled([orders])
    tables = [orders, *many_tables(MANY - 1)]
    subject.apply({"tables": tables})
    subject.wait_ready()
    assert_holds(subject, tables)
    assert_small(subject)
    sent = [each for each in subject.commands() if each.update is not None]
    assert len(sent) > 1
    assert sorted(source for each in sent for source in each.added) == sorted(each["source"] for each in tables[1:])
    assert all(len(json.dumps(each.update)) <= 512 * 1024 for each in sent)


def a_mirror(peerdb: str, tables: list[Object]) -> Object:
    """A Mirror as a user writes it."""
    name = peerdb.replace("_", "-")
    spec = {"tables": tables}
    return {"apiVersion": constants.API_VERSION, "kind": constants.KIND, "metadata": {"name": name}, "spec": spec}


def apply_all(world: World, wishes: dict[str, list[Object]]) -> list[Subject]:
    """One ``kubectl apply`` of many Mirrors; returns them once all are Ready."""
    items = [a_mirror(peerdb, tables) for peerdb, tables in wishes.items()]
    listed = {"apiVersion": "v1", "kind": "List", "items": items}
    world.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(listed))
    subjects = [Subject(world, peerdb.replace("_", "-"), peerdb) for peerdb in wishes]
    names = [f"{constants.PLURAL}/{subject.name}" for subject in subjects]
    world.kubectl("wait", "--for=condition=Ready", *names, f"--timeout={WITHIN:g}s")
    return subjects


def test_twenty_mirrors_are_taken_over_and_edited_with_one_stop_each_when_they_are_applied_at_once(
    make_world: MakeWorld,
) -> None:
    world = make_world("scale-fleet")
    world.start_operator()
    orders = a_table("public.orders")
    names = [world.live([orders], name=f"fleet_{number}") for number in range(MIRRORS)]
    before = world.sim.last_event()
    apply_all(world, {name: [orders] for name in names})
    assert all_commands(world.sim, before) == {}
    subjects = apply_all(world, {name: [orders, a_table("public.invoices")] for name in names})
    calls = all_commands(world.sim, before)
    sent = {name: [(each.state, each.added) for each in found] for name, found in calls.items()}
    assert sent == {name: [("PAUSED", []), ("RUNNING", ["public.invoices"])] for name in names}
    assert {subject.name: subject.status()["tables"]["summary"] for subject in subjects} == {
        subject.name: "2/2" for subject in subjects
    }
    truth = {str(each["name"]): each["row"] for each in world.sim.mirrors()}
    assert {row["state"] for row in truth.values()} == {"RUNNING"}  # type: ignore[index]  # control API returns JSON
    assert [len(row["tables"]) for row in truth.values()] == [2] * MIRRORS  # type: ignore[index]  # the same

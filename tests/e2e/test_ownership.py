"""Who may touch a mirror: two Mirrors for one, tags of others, adoption, handing over, two operators."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from peerdb_operator.api import constants
from peerdb_operator.api.times import parse_time
from tests.e2e.conftest import MakeWorld
from tests.e2e.world import Object, Subject, World, a_table, eventually
from tests.harness.identity import make_namespace

pytestmark = pytest.mark.e2e

ORDERS = a_table("public.orders")
INVOICES = a_table("public.invoices")
STALLED = {"Ready": "False", "Synced": "False", "Stalled": "True"}
STRANGER = "another-cluster/data/orders/0f9a5c1e"
NEIGHBOUR, ELSEWHERE = "ownership-neighbour", "ownership-elsewhere"


@pytest.fixture(scope="module")
def world(make_world: MakeWorld) -> World:
    """A namespace of an operator that watches its neighbour too."""
    world = make_world("ownership")
    make_namespace(world.cluster, NEIGHBOUR)
    world.flags.update(namespaces=f"{world.namespace},{NEIGHBOUR}", brake_drops=1000)
    world.start_operator()
    return world


@pytest.fixture(scope="module")
def neighbour(world: World) -> Iterator[World]:
    """The other namespace of the same operator."""
    other = World(world.cluster, world.sim, NEIGHBOUR, world.identities)
    yield other
    other.close()


@pytest.fixture(scope="module")
def elsewhere(world: World) -> Iterator[World]:
    """A namespace of another cluster's operator on the same PeerDB."""
    make_namespace(world.cluster, ELSEWHERE)
    other = World(world.cluster, world.sim, ELSEWHERE, world.identities)
    other.start_operator(cluster_id="another-cluster", brake_drops=1000)
    yield other
    other.close()


def declared_later(older: Subject, world: World, spec: dict[str, Any], name: str) -> Subject:
    """Another Mirror for the same PeerDB mirror that is younger for certain: creation is told in whole seconds."""
    born = parse_time(older.read()["metadata"]["creationTimestamp"])
    eventually(lambda: time.time() >= born + 1, "the next second begins")
    return world.declare(older.peerdb, spec, name=name)


def never_dropped(subject: Subject) -> bool:
    """The mirror has run all the time, and nothing else was asked of it."""
    return subject.commands() == [] and subject.state() == "RUNNING"


def owner_of(subject: Subject) -> str:
    """The owner tag's value without the cluster."""
    return str(subject.tag()).partition("/")[2]


def itself(subject: Subject) -> str:
    """What that is when the mirror is this Mirror's."""
    return f"{subject.world.namespace}/{subject.name}/{subject.read()['metadata']['uid']}"


@pytest.mark.parametrize("where", ["the same namespace", "another namespace"])
def test_the_younger_waits_and_gets_the_mirror_when_the_older_of_two_mirrors_is_deleted(
    world: World, neighbour: World, where: str
) -> None:
    older = world.settled([ORDERS])
    younger = declared_later(older, world if where == "the same namespace" else neighbour, {"tables": [ORDERS]}, "heir")
    found = younger.wait_reason("NameConflict")
    assert f"the Mirror {world.namespace}/{older.name} is older" in found["message"]
    assert younger.conditions() == STALLED
    assert "finalizers" not in younger.read()["metadata"]
    older.wait_ready()
    assert owner_of(older) == itself(older)
    older.delete()
    younger.wait_reason("Running")
    assert owner_of(younger) == itself(younger)
    assert never_dropped(younger)
    younger.delete()
    assert younger.state() is None


def test_the_younger_does_nothing_whatever_it_wishes_when_an_older_mirror_holds_the_name(world: World) -> None:
    older = world.settled([ORDERS])
    wish = {"tables": [ORDERS, INVOICES], "state": "Paused"}
    younger = declared_later(older, world, wish, "contrary")
    younger.wait_reason("NameConflict")
    younger.delete()
    older.wait_ready()
    assert never_dropped(older)
    assert owner_of(older) == itself(older)


def test_the_heir_s_own_wish_is_followed_when_the_mirror_is_handed_over(world: World) -> None:
    older = world.settled([ORDERS])
    wish = {"tables": [ORDERS, a_table("public.invoices")]}
    younger = declared_later(older, world, wish, "ambitious")
    younger.wait_reason("NameConflict")
    older.delete()
    younger.wait_reason("Running")
    assert set(younger.tables()) == {"public.orders", "public.invoices"}
    assert [each.state for each in younger.commands()] == ["PAUSED", "RUNNING"]


def test_the_heir_keeps_its_hands_off_when_its_list_would_take_something_away(world: World) -> None:
    older = world.settled([ORDERS, INVOICES])
    younger = declared_later(older, world, {"tables": [ORDERS]}, "greedy")
    younger.wait_reason("NameConflict")
    older.delete()
    found = younger.wait_reason("AdoptionConflict")
    assert "remove public.invoices" in found["message"]
    assert never_dropped(younger)
    assert younger.tag() == constants.RELEASED


def test_the_mirror_runs_when_the_older_that_stopped_it_to_edit_it_is_deleted_while_the_younger_waits(
    world: World,
) -> None:
    older = world.settled([ORDERS])
    younger = declared_later(older, world, {"tables": [ORDERS]}, "patient")
    younger.wait_reason("NameConflict")
    before = world.sim.last_event()
    world.sim.knobs(t_stop=1.5)
    try:
        older.wish(tables=[ORDERS, a_table("public.invoices")])
        older.wait_state("PAUSING")
        older.delete(wait=False)
        older.wait_gone()
    finally:
        world.sim.knobs(t_stop=0.2)
    assert older.state() == "RUNNING"
    younger.wait_reason("Running")
    assert [each.state for each in younger.commands(before)] == ["PAUSED", "RUNNING"]
    assert set(younger.tables()) == {"public.orders"}
    assert owner_of(younger) == itself(younger)


def test_the_younger_gets_the_mirror_when_the_older_is_deleted_while_no_operator_runs(world: World) -> None:
    older = world.settled([ORDERS])
    younger = declared_later(older, world, {"tables": [ORDERS]}, "sleeper")
    younger.wait_reason("NameConflict")
    world.operator.stop()
    older.delete(wait=False)
    world.start_operator()
    older.wait_gone()
    younger.wait_reason("Running")
    assert owner_of(younger) == itself(younger)
    assert never_dropped(younger)


def test_nothing_is_sent_and_nothing_dropped_when_the_tag_names_another_owner(world: World) -> None:
    tags = {constants.OWNER_TAG: STRANGER, "team": "data"}
    peerdb = world.live([ORDERS], tags=tags)
    subject = world.declare(peerdb, {"tables": [ORDERS, INVOICES], "state": "Paused"})
    found = subject.wait_reason("MirrorNotOwned")
    assert STRANGER in found["message"]
    assert 'set the tag to "released" in PeerDB' in found["message"]
    assert subject.conditions() == STALLED
    subject.delete()
    assert never_dropped(subject)
    assert subject.truth()["tags"] == tags


def test_the_mirror_is_taken_over_when_its_former_owner_has_let_go_of_it(world: World) -> None:
    peerdb = world.live([ORDERS], tags={constants.OWNER_TAG: STRANGER})
    subject = world.declare(peerdb, {"tables": [ORDERS]})
    subject.wait_reason("MirrorNotOwned")
    world.sim.put_mirror(peerdb, tables=[ORDERS], tags={constants.OWNER_TAG: constants.RELEASED})
    subject.annotate(f"{constants.ANNOTATION_REQUESTED_AT}=now")
    subject.wait_ready()
    assert owner_of(subject) == itself(subject)


def test_nothing_more_is_sent_and_nothing_dropped_when_another_owner_takes_the_tag(world: World) -> None:
    subject = world.settled([ORDERS])
    row = subject.truth()
    tags = {constants.OWNER_TAG: STRANGER}
    world.sim.put_mirror(subject.peerdb, tables=[ORDERS], tags=tags, createdAt=row["createdAt"])
    subject.wait_reason("MirrorNotOwned")
    subject.wish(state="Paused")
    subject.wait_reason("MirrorNotOwned")
    subject.delete()
    assert never_dropped(subject)
    assert subject.tag() == STRANGER


CONFLICTS: dict[str, tuple[list[Object], str]] = {
    "a table less": ([ORDERS], "remove public.invoices"),
    "another mapping": (
        [{**ORDERS, "exclude": ["card_number"]}, INVOICES],
        "change the mapping of public.orders (exclude)",
    ),
    "both": (
        [{**ORDERS, "destination": "elsewhere"}, a_table("public.more")],
        "remove public.invoices and change the mapping of public.orders (destination)",
    ),
}


@pytest.mark.parametrize("conflict", CONFLICTS)
def test_a_mirror_is_not_taken_over_until_its_live_tables_are_listed_when_the_list_would_take_something_away(
    world: World, conflict: str
) -> None:
    tables, told = CONFLICTS[conflict]
    subject = world.declare(world.live([ORDERS, INVOICES]), {"tables": tables, "state": "Paused"})
    found = subject.wait_reason("AdoptionConflict")
    assert f"spec.tables would {told} in the existing PeerDB mirror" in found["message"]
    assert subject.conditions() == STALLED
    assert subject.commands() == []
    assert subject.tag() == constants.RELEASED
    assert "finalizers" not in subject.read()["metadata"]
    subject.wish(tables=[ORDERS, INVOICES], state="Running")
    subject.wait_ready()
    assert owner_of(subject) == itself(subject)
    subject.wish(tables=[ORDERS])
    subject.wait_ready()
    assert set(subject.tables()) == {"public.orders"}
    assert [(each.state, each.removed) for each in subject.commands()] == [
        ("PAUSED", []),
        ("RUNNING", ["public.invoices"]),
    ]


def test_nothing_is_dropped_when_a_mirror_that_was_never_taken_over_is_deleted(world: World) -> None:
    subject = world.declare(world.live([ORDERS, INVOICES]), {"tables": [ORDERS]})
    subject.wait_reason("AdoptionConflict")
    subject.delete()
    assert never_dropped(subject)


def test_the_run_state_is_obeyed_and_nothing_removed_when_the_first_list_would_take_something_away(
    world: World,
) -> None:
    subject = world.declare(world.live([ORDERS, INVOICES]))
    subject.wait_ready()
    subject.wish(tables=[ORDERS])
    found = subject.wait_reason("AdoptionConflict")
    assert "remove public.invoices" in found["message"]
    assert "tables" not in subject.status()
    subject.wish(state="Paused")
    subject.wait_state("PAUSED")
    subject.wait_reason("AdoptionConflict")
    subject.wish(state="Running")
    subject.wait_state("RUNNING")
    assert [each.update for each in subject.commands()] == [None, None]
    subject.wish(tables=[ORDERS, INVOICES])
    subject.wait_ready()
    assert subject.status()["tables"]["summary"] == "2/2"
    assert set(subject.tables()) == {"public.orders", "public.invoices"}


def forget(subject: Subject) -> None:
    """The object vanishes behind the operator's back, as if its cluster had been lost."""
    subject.patch({"metadata": {"finalizers": None}})
    subject.delete()


@pytest.mark.parametrize("tables", [[ORDERS], [ORDERS, a_table("public.more")]], ids=["the same list", "a longer list"])
def test_a_mirror_finds_its_own_when_it_is_created_again_under_its_name(world: World, tables: list[Object]) -> None:
    subject = world.settled([ORDERS])
    owner = subject.tag()
    world.operator.stop()
    forget(subject)
    world.start_operator()
    assert (subject.find(), subject.tag()) == (None, owner)
    again = world.declare(subject.peerdb, {"tables": tables}, name=subject.name)
    again.wait_ready()
    assert again.read()["metadata"]["finalizers"] == [constants.FINALIZER]
    assert str(again.tag()).rpartition("/")[0] == str(owner).rpartition("/")[0]
    assert set(again.tables()) == {each["source"] for each in tables}
    again.delete()
    assert again.state() is None


def test_nothing_is_removed_when_a_mirror_is_created_again_with_a_shorter_list(world: World) -> None:
    subject = world.settled([ORDERS, INVOICES])
    world.operator.stop()
    forget(subject)
    world.start_operator()
    again = world.declare(subject.peerdb, {"tables": [ORDERS]}, name=subject.name)
    found = again.wait_reason("AdoptionConflict")
    assert "remove public.invoices" in found["message"]
    assert never_dropped(again)


def test_the_other_cluster_keeps_its_hands_off_until_the_mirror_is_let_go_when_two_operators_share_a_peerdb(
    world: World, elsewhere: World
) -> None:
    here = world.settled([ORDERS], {"deletionPolicy": "Retain"})
    there = elsewhere.declare(here.peerdb, {"tables": [ORDERS], "state": "Paused"}, name=here.name)
    found = there.wait_reason("MirrorNotOwned")
    assert str(here.tag()) in found["message"]
    here.wait_ready()
    assert never_dropped(here)
    here.delete()
    assert there.tag() == constants.RELEASED
    there.annotate(f"{constants.ANNOTATION_REQUESTED_AT}=now")
    there.wait_reason("Paused")
    assert there.tag() == f"another-cluster/{itself(there)}"
    assert [each.state for each in there.commands()] == ["PAUSED"]


def test_one_of_two_operators_gets_the_mirror_when_both_reach_for_it_at_once(world: World, elsewhere: World) -> None:
    orders = a_table("public.orders")
    peerdb = world.live([orders])
    both = [each.declare(peerdb, {"tables": [orders]}) for each in (world, elsewhere)]

    def reasons() -> set[str]:
        return {each.condition().get("reason", "") for each in both}

    eventually(lambda: reasons() == {"Running", "MirrorNotOwned"}, "one has it, and the other knows", both[0])
    owner = next(each for each in both if each.condition()["reason"] == "Running")
    other = next(each for each in both if each is not owner)
    assert owner_of(owner) == itself(owner)
    other.delete()
    assert never_dropped(owner)
    owner.delete()
    assert owner.state() is None

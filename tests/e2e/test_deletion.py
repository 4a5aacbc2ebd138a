"""Deleting a Mirror: what is dropped, what is released, what waits, and how many at once."""

from collections.abc import Iterator

import pytest

from peerdb_operator.api import constants
from tests.e2e.conftest import MakeWorld
from tests.e2e.world import Subject, World, a_table, all_commands, eventually
from tests.harness.gate import Gate

pytestmark = pytest.mark.e2e

ORDERS = a_table("public.orders")


@pytest.fixture(scope="module")
def made(make_world: MakeWorld) -> World:
    return make_world("deletion")


@pytest.fixture(scope="module")
def gate(made: World) -> Iterator[Gate]:
    """The line between the operator and PeerDB."""
    with Gate(made.sim.gateway_url) as gate:
        yield gate


@pytest.fixture(scope="module")
def world(made: World, gate: Gate) -> World:
    made.start_operator(peerdb_url=gate.url, brake_drops=1000)
    return made


@pytest.mark.parametrize(
    ("drop", "flags"),
    [
        (None, {}),
        ({"statistics": "Delete"}, {"dropMirrorStats": True}),
        ({"destinationMetadata": "Keep"}, {"skipDestinationDrop": True}),
        (
            {"statistics": "Delete", "destinationMetadata": "Keep"},
            {"dropMirrorStats": True, "skipDestinationDrop": True},
        ),
    ],
    ids=["by default", "statistics too", "but for the destination's metadata", "both"],
)
def test_the_mirror_is_dropped_by_one_call_with_the_flags_of_the_spec_when_it_is_deleted(
    world: World, drop: dict[str, str] | None, flags: dict[str, bool]
) -> None:
    subject = world.settled([ORDERS], {"drop": drop} if drop else {})
    subject.delete()
    assert subject.find() is None
    assert subject.state() is None
    wanted = {"flowJobName": subject.peerdb, "requestedFlowState": "STATUS_TERMINATING", **flags}
    assert [each.body for each in subject.commands()] == [wanted]
    subject.wait_event("Normal", "Dropping")


def test_a_paused_mirror_is_dropped_when_it_is_deleted(world: World) -> None:
    subject = world.settled([ORDERS], {"state": "Paused"})
    subject.delete()
    assert subject.state() is None


def test_the_mirror_is_dropped_when_it_is_deleted_in_the_middle_of_an_edit(world: World) -> None:
    subject = world.settled([ORDERS])
    world.sim.knobs(t_add=3)
    try:
        subject.wish(tables=[ORDERS, a_table("public.invoices")])
        subject.wait_state("SNAPSHOT")
        subject.delete()
    finally:
        world.sim.knobs(t_add=0.3)
    assert subject.state() is None
    assert [each.state for each in subject.commands()] == ["PAUSED", "RUNNING", "TERMINATING"]


@pytest.mark.parametrize(("wish", "state"), [("Running", "RUNNING"), ("Paused", "PAUSED")])
def test_the_mirror_stays_as_it_is_and_is_released_when_the_policy_is_retain(
    world: World, wish: str, state: str
) -> None:
    subject = world.settled([ORDERS], {"state": wish, "deletionPolicy": "Retain"})
    before = world.sim.last_event()
    subject.delete()
    assert subject.find() is None
    assert (subject.state(), subject.tag()) == (state, constants.RELEASED)
    assert subject.commands(before) == []


def test_the_mirror_runs_again_before_it_is_released_when_we_had_stopped_it(world: World) -> None:
    subject = world.settled([ORDERS], {"deletionPolicy": "Retain"})
    world.sim.knobs(t_stop=1)
    try:
        subject.wish(tables=[ORDERS, a_table("public.invoices")])
        subject.wait_state("PAUSING")
        subject.delete()
    finally:
        world.sim.knobs(t_stop=0.2)
    assert (subject.state(), subject.tag()) == ("RUNNING", constants.RELEASED)
    assert set(subject.tables()) == {"public.orders"}
    assert [(each.state, each.update) for each in subject.commands()] == [("PAUSED", None), ("RUNNING", None)]


def test_the_object_goes_and_the_mirror_stays_when_it_was_never_ours(world: World) -> None:
    stranger = world.live([ORDERS], tags={constants.OWNER_TAG: "another/cluster/orders/1"})
    foreign = world.declare(stranger)
    foreign.wait_reason("MirrorNotOwned")
    foreign.delete()
    assert (foreign.state(), foreign.tag()) == ("RUNNING", "another/cluster/orders/1")
    assert foreign.commands() == []
    missing = world.declare("never_there")
    missing.delete()
    assert missing.find() is None


def test_nothing_is_dropped_until_the_annotation_goes_when_a_frozen_mirror_is_deleted(world: World) -> None:
    held, released = world.settled([ORDERS]), world.settled([ORDERS])
    for subject in (held, released):
        subject.annotate(f"{constants.ANNOTATION_RECONCILE}=disabled")
        subject.wait_reason("ReconcileDisabled")
        subject.delete(wait=False)
        subject.wait_reason("ReconcileDisabled")
    released.wish(deletionPolicy="Retain")
    released.wait_gone()
    assert released.state() == "RUNNING"
    assert (held.commands(), released.commands()) == ([], [])
    held.annotate(f"{constants.ANNOTATION_RECONCILE}-")
    held.wait_gone()
    assert held.state() is None


def blocked(subject: Subject) -> None:
    """Delete it and see it say that PeerDB is away."""
    subject.delete(wait=False)
    found = subject.wait_reason("DropBlocked")
    assert "set spec.deletionPolicy: Retain" in found["message"]
    assert subject.conditions() == {"Ready": "False", "Synced": "False", "Reconciling": "True"}


def test_the_drop_waits_until_peerdb_is_back_or_the_policy_is_retain_when_peerdb_is_down(
    world: World, gate: Gate
) -> None:
    paused = world.settled([ORDERS], {"state": "Paused"})
    running, doomed = world.settled([ORDERS]), world.settled([ORDERS])
    gate.shut()
    try:
        for subject in (paused, running, doomed):
            blocked(subject)
        paused.wish(deletionPolicy="Retain")
        paused.wait_gone()
        running.wish(deletionPolicy="Retain")
        assert running.read()["metadata"]["finalizers"] == [constants.FINALIZER]
    finally:
        gate.open()
    running.wait_gone()
    doomed.wait_gone()
    assert (paused.state(), running.state(), doomed.state()) == ("PAUSED", "RUNNING", None)
    assert running.tag() == constants.RELEASED
    assert [each.state for each in running.commands()] == []


def test_five_mirrors_are_dropped_and_the_others_held_when_eight_are_deleted_at_once(make_world: MakeWorld) -> None:
    world = make_world("drop-rate")
    world.start_operator()
    subjects = world.declare_all(8)
    world.kubectl("delete", constants.PLURAL, "--all", "--wait=false")
    eventually(lambda: sum(subject.find() is None for subject in subjects) == 5, "five are gone")
    held = [subject for subject in subjects if subject.find() is not None]
    for subject in held:
        assert "at most 5 mirrors at once" in subject.wait_reason("DropHeld")["message"]
        subject.wait_event("Warning", "DropHeld")
    names = [f"{constants.PLURAL}/{subject.name}" for subject in held]
    world.kubectl("patch", *names, "--type=merge", '--patch={"spec":{"deletionPolicy":"Retain"}}')
    for subject in held:
        subject.wait_gone()
        assert (subject.state(), subject.tag()) == ("RUNNING", constants.RELEASED)
    dropped = {subject.peerdb for subject in subjects if subject not in held}
    sent = {mirror: [each.state for each in asked] for mirror, asked in all_commands(world.sim).items()}
    assert sent == {mirror: ["TERMINATING"] for mirror in dropped}

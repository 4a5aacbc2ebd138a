"""The ground is pulled away: the namespace goes, or the kind itself. No mirror is dropped for it."""

import pytest

from tests.e2e.conftest import MakeWorld, install_crd
from tests.e2e.world import Subject, World, a_table, eventually
from tests.harness.controlplane.launch import ControlPlane

pytestmark = pytest.mark.e2e


def two_mirrors(world: World) -> list[Subject]:
    orders = a_table("public.orders")
    return [world.settled([orders]), world.settled([orders], {"state": "Paused"})]


def drops(subjects: list[Subject]) -> list[str]:
    return [subject.name for subject in subjects for each in subject.commands() if each.state == "TERMINATING"]


@pytest.mark.controllermanager
def test_no_mirror_is_dropped_when_the_namespace_is_deleted(make_world: MakeWorld, controllers: ControlPlane) -> None:
    world = make_world("ending")
    with world.start_operator(namespaces=None) as operator:
        subjects = two_mirrors(world)
        controllers.kubectl("delete", "namespace", world.namespace, "--timeout=150s")
        assert [subject.find() for subject in subjects] == [None, None]
        assert [subject.state() for subject in subjects] == ["RUNNING", "PAUSED"]
        assert drops(subjects) == []
        assert [line for line in operator.records() if line["level"] in ("ERROR", "CRITICAL")] == []
        assert operator.running()


@pytest.mark.controllermanager
def test_mirrors_go_with_their_namespace_when_the_operator_is_set_to_drop(
    make_world: MakeWorld, controllers: ControlPlane
) -> None:
    world = make_world("ending-with-drops")
    with world.start_operator(namespaces=None, namespace_deletion="Drop"):
        subjects = two_mirrors(world)
        controllers.kubectl("delete", "namespace", world.namespace, "--timeout=150s")
    assert [subject.state() for subject in subjects] == [None, None]
    assert drops(subjects) == [subject.name for subject in subjects]


@pytest.mark.controllermanager
def test_held_drops_are_given_up_when_their_namespace_is_deleted(
    make_world: MakeWorld, controllers: ControlPlane
) -> None:
    world = make_world("ending-while-held")
    with world.start_operator(namespaces=None, brake_drops=0):
        subjects = two_mirrors(world)
        for subject in subjects:
            subject.delete(wait=False)
            subject.wait_reason("DropHeld")
        controllers.kubectl("delete", "namespace", world.namespace, "--timeout=150s")
        assert [subject.find() for subject in subjects] == [None, None]
        assert [subject.state() for subject in subjects] == ["RUNNING", "PAUSED"]
        assert drops(subjects) == []


def test_no_mirror_is_dropped_and_the_operator_says_why_it_ends_when_the_crd_is_deleted(
    make_world: MakeWorld, our_control_plane: ControlPlane
) -> None:
    world = make_world("no-kind")
    operator = world.start_operator()
    subjects = two_mirrors(world)
    try:
        our_control_plane.kubectl("delete", "crd", "mirrors.peerdb.io", "--timeout=150s")
        eventually(lambda: not operator.running(), "the operator has ended")
        assert operator.stop() == 1
        assert "was deleted: there is nothing left to watch" in operator.records()[-1]["message"]
        assert [subject.state() for subject in subjects] == ["RUNNING", "PAUSED"]
        assert drops(subjects) == []
    finally:
        install_crd(our_control_plane)

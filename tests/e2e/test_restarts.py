"""An operator that dies at any step: the next one finishes what it finds, and nothing happens twice.

What counts is what PeerDB was asked, by its own log; how the operator dies is in ``killing``.
"""

from collections.abc import Callable, Iterator

import pytest

from peerdb_operator.api import constants
from tests.e2e.conftest import MakeWorld
from tests.e2e.killing import (
    FAREWELLS,
    KILL,
    LASTING,
    STEPS,
    Moment,
    Plot,
    a_mirror_to_edit,
    asking,
    assert_dropped,
    assert_edited_once,
    drops,
    showing,
    state_at,
    stay_away,
    updates,
    writing_tags,
)
from tests.e2e.world import Subject, World, a_table, eventually
from tests.harness.gate import Gate, Passage

pytestmark = pytest.mark.e2e

ORDERS = a_table("public.orders")
CHECKED = "after the check of the new table"
HALF_A_MINUTE = 31.0
A_MINUTE = 61.0


@pytest.fixture(scope="module")
def made(make_world: MakeWorld) -> World:
    world = make_world("restarts")
    world.flags["brake_drops"] = 1000
    return world


@pytest.fixture(scope="module")
def gate(made: World) -> Iterator[Gate]:
    """What the operator takes for PeerDB."""
    with Gate(made.sim.gateway_url) as gate:
        yield gate


@pytest.fixture
def world(made: World, gate: Gate) -> World:
    """A world in which an operator runs, whatever became of the one before."""
    if not made.operators or not made.operator.running():
        made.start_operator(peerdb_url=gate.url)
    return made


MakePlot = Callable[[Subject], Plot]


@pytest.fixture
def plot(world: World, gate: Gate) -> MakePlot:
    return lambda subject: Plot(world, gate, subject)


@pytest.mark.parametrize("step", [step for step in STEPS if step not in {CHECKED, *LASTING}])
def test_an_edit_is_finished_and_made_once_when_the_operator_is_killed(world: World, plot: MakePlot, step: str) -> None:
    subject, wish = a_mirror_to_edit(world)
    scene = plot(subject)
    scene.die_at(STEPS[step], lambda: subject.wish(tables=wish))
    scene.restart()
    assert_edited_once(subject, wish)


def test_an_edit_is_finished_and_made_once_when_every_operator_dies_one_step_further(
    world: World, plot: MakePlot
) -> None:
    subject, wish = a_mirror_to_edit(world)
    scene = plot(subject)
    scene.die_at(STEPS[CHECKED], lambda: subject.wish(tables=wish))
    for step in LASTING:
        scene.die_at(STEPS[step], scene.restart)
    scene.restart()
    assert_edited_once(subject, wish)


def test_the_edit_is_sent_after_all_when_the_operator_dies_between_recording_and_sending_it(
    world: World, plot: MakePlot
) -> None:
    subject, wish = a_mirror_to_edit(world)
    scene = plot(subject)
    scene.die_at(Moment(asking("RUNNING"), answered=False), lambda: subject.wish(tables=wish))
    assert subject.status()["operation"]["step"] == "Edit"
    assert updates(subject) == []
    stay_away(subject, HALF_A_MINUTE)
    scene.restart()
    assert_edited_once(subject, wish)


def test_the_edit_is_not_made_again_when_it_arrives_after_the_death_of_its_sender(world: World, plot: MakePlot) -> None:
    subject, wish = a_mirror_to_edit(world)
    scene = plot(subject)
    late = scene.die_at(Moment(asking("RUNNING"), answered=False), lambda: subject.wish(tables=wish))
    seen = len(scene.gate.passages)
    scene.restart()

    def looks() -> int:
        return sum(1 for each in scene.gate.passages[seen:] if showing("PAUSED")(each))

    eventually(lambda: looks() >= 10, "the next operator has looked long enough to send an edit of its own", subject)
    assert updates(subject) == []
    scene.arrive(late)
    assert_edited_once(subject, wish)


def test_the_mirror_runs_again_when_a_pause_arrives_after_the_death_of_its_sender_and_the_edit_was_withdrawn(
    world: World, plot: MakePlot
) -> None:
    subject, wish = a_mirror_to_edit(world)
    before = subject.read()["spec"]["tables"]
    scene = plot(subject)
    late = scene.die_at(Moment(asking("PAUSED"), answered=False), lambda: subject.wish(tables=wish))
    subject.wish(tables=before)
    scene.restart()
    subject.wait_ready()
    scene.arrive(late)
    subject.wait_state("PAUSED")
    subject.wait_state("RUNNING")
    assert [each.state for each in subject.commands()] == ["PAUSED", "RUNNING"]
    assert updates(subject) == []


@pytest.mark.parametrize("step", ["after the pause reached PeerDB", "when PAUSED"])
def test_the_mirror_runs_unchanged_when_the_edit_is_withdrawn_while_no_operator_runs(
    world: World, plot: MakePlot, step: str
) -> None:
    subject, wish = a_mirror_to_edit(world)
    before = subject.read()["spec"]["tables"]
    scene = plot(subject)
    scene.die_at(STEPS[step], lambda: subject.wish(tables=wish))
    subject.wish(tables=before)
    scene.restart()
    subject.wait_ready()
    assert subject.state() == "RUNNING"
    assert updates(subject) == []
    assert "operation" not in subject.status()


def test_the_edit_is_taken_back_by_another_when_it_is_withdrawn_after_it_reached_peerdb(
    world: World, plot: MakePlot
) -> None:
    subject, wish = a_mirror_to_edit(world)
    scene = plot(subject)
    scene.die_at(STEPS["after the edit reached PeerDB"], lambda: subject.wish(tables=wish))
    subject.wish(tables=wish[:1])
    scene.restart()
    subject.wait_ready()
    assert set(subject.tables()) == {"public.orders"}
    assert [(each.added, each.removed) for each in updates(subject)] == [
        (["public.invoices"], ["public.tmp"]),
        ([], ["public.invoices"]),
    ]
    assert [state_at(subject, each.n) for each in updates(subject)] == ["PAUSED", "PAUSED"]


def test_no_edit_is_sent_when_the_wish_is_paused_by_the_time_the_next_operator_runs(
    world: World, plot: MakePlot
) -> None:
    subject, wish = a_mirror_to_edit(world)
    scene = plot(subject)
    scene.die_at(Moment(asking("RUNNING"), answered=False), lambda: subject.wish(tables=wish))
    subject.wish(state="Paused")
    stay_away(subject, HALF_A_MINUTE)
    scene.restart()
    subject.wait_reason("PausedWithPendingChanges")
    assert [each.state for each in subject.commands()] == ["PAUSED"]
    subject.wish(state="Running")
    assert_edited_once(subject, wish)


@pytest.mark.parametrize(("state", "answered"), [("Paused", False), ("Running", True)])
def test_the_run_state_is_reached_when_the_operator_is_killed_around_the_command_for_it(
    world: World, plot: MakePlot, state: str, *, answered: bool
) -> None:
    other = {"Paused": "Running", "Running": "Paused"}[state]
    subject = world.settled([ORDERS], {"state": other})
    before = world.sim.last_event()
    scene = plot(subject)
    scene.die_at(Moment(asking(state.upper()), answered=answered), lambda: subject.wish(state=state))
    scene.restart()
    subject.wait_reason(state)
    assert subject.state() == state.upper()
    assert {each.state for each in subject.commands(before)} == {state.upper()}


def test_a_mirror_is_taken_over_when_the_operator_dies_between_finalizer_and_tag(world: World, plot: MakePlot) -> None:
    subject = Subject(world, "taken-over", world.live([ORDERS], name="taken_over"))
    scene = plot(subject)
    scene.die_at(Moment(writing_tags, answered=False), lambda: subject.apply({"tables": [ORDERS]}))
    assert subject.read()["metadata"]["finalizers"] == [constants.FINALIZER]
    assert subject.tag() == constants.RELEASED
    scene.restart()
    subject.wait_ready()
    assert str(subject.tag()).endswith(subject.read()["metadata"]["uid"])


def test_nothing_is_dropped_when_a_mirror_is_deleted_before_its_tag_was_written(world: World, plot: MakePlot) -> None:
    subject = Subject(world, "never-ours", world.live([ORDERS], name="never_ours"))
    scene = plot(subject)
    scene.die_at(Moment(writing_tags, answered=False), lambda: subject.apply({"tables": [ORDERS]}))
    subject.delete(wait=False)
    scene.restart()
    subject.wait_gone()
    assert subject.commands() == []
    assert subject.tag() == constants.RELEASED


@pytest.mark.parametrize("step", FAREWELLS)
def test_the_mirror_is_dropped_by_one_request_when_the_operator_is_killed_in_the_middle_of_it(
    world: World, plot: MakePlot, step: str
) -> None:
    subject = world.settled([ORDERS])
    scene = plot(subject)
    scene.die_at(FAREWELLS[step], lambda: subject.delete(wait=False))
    scene.restart()
    assert_dropped(subject, times=1)


def test_the_drop_is_sent_after_all_when_the_operator_dies_between_recording_and_sending_it(
    world: World, plot: MakePlot
) -> None:
    subject = world.settled([ORDERS])
    scene = plot(subject)
    scene.die_at(Moment(asking("TERMINATING"), answered=False), lambda: subject.delete(wait=False))
    assert subject.status()["operation"]["step"] == "Drop"
    assert drops(subject) == []
    stay_away(subject, A_MINUTE)
    scene.restart()
    assert_dropped(subject, times=1)


def test_the_drop_is_repeated_word_for_word_when_it_was_lost_and_its_sender_is_dead(
    world: World, plot: MakePlot
) -> None:
    subject = world.settled([ORDERS], {"drop": {"statistics": "Delete"}})
    scene = plot(subject)
    world.sim.knobs(lose_next_signals=1)
    scene.die_at(FAREWELLS["after the drop reached PeerDB"], lambda: subject.delete(wait=False))
    assert subject.state() == "RUNNING"
    subject.wish(drop={"statistics": "Keep"})
    stay_away(subject, A_MINUTE)
    scene.restart()
    assert_dropped(subject, times=2)


@pytest.mark.parametrize("step", ["when PAUSED", "after the edit reached PeerDB"])
def test_the_mirror_is_dropped_when_it_is_deleted_in_the_middle_of_an_edit_whose_operator_was_killed(
    world: World, plot: MakePlot, step: str
) -> None:
    subject, wish = a_mirror_to_edit(world)
    scene = plot(subject)
    scene.die_at(STEPS[step], lambda: subject.wish(tables=wish))
    subject.delete(wait=False)
    scene.restart()
    assert_dropped(subject, times=1)


@pytest.mark.parametrize("step", ["when PAUSED", "after the edit reached PeerDB"])
def test_the_mirror_runs_again_when_it_is_let_go_in_the_middle_of_an_edit_whose_operator_was_killed(
    world: World, plot: MakePlot, step: str
) -> None:
    subject, wish = a_mirror_to_edit(world)
    scene = plot(subject)
    scene.die_at(STEPS[step], lambda: subject.wish(tables=wish))
    subject.wish(deletionPolicy="Retain")
    subject.delete(wait=False)
    scene.restart()
    subject.wait_gone()
    assert subject.state() == "RUNNING"
    assert drops(subject) == []
    assert subject.tag() == constants.RELEASED


def test_nothing_is_written_anywhere_when_the_operator_is_killed_and_started_again_over_settled_mirrors(
    world: World, gate: Gate
) -> None:
    subjects = [world.settled([ORDERS]), world.settled([ORDERS], {"state": "Paused"})]
    subjects += [world.declare(world.live([ORDERS]))]
    subjects[-1].wait_ready()
    missing = world.declare("nowhere_to_be_found")
    missing.wait_reason("MirrorNotFound")
    refused = world.declare(world.live([ORDERS, a_table("public.tmp")]), {"tables": [ORDERS]})
    refused.wait_reason("AdoptionConflict")
    everyone = [*subjects, missing, refused]
    last_news = [("Normal", "TakenOver"), ("Normal", "Paused"), ("Normal", "TakenOver")]
    last_news += [("Warning", "MirrorNotFound"), ("Warning", "AdoptionConflict")]
    for each, (kind, reason) in zip(everyone, last_news, strict=True):
        each.wait_event(kind, reason)
    world.operator.stop(KILL)
    mark, before = world.cluster.audit_mark(), world.sim.last_event()
    world.start_operator(peerdb_url=gate.url)
    seen = len(gate.passages)

    def looks(path: str) -> list[Passage]:
        return [each for each in gate.passages[seen:] if each.path.endswith(path)]

    eventually(lambda: len(looks("mirrors/list")) >= 8, "the next operator has looked eight times")
    assert {each.body["flowJobName"] for each in looks("mirrors/status")} >= {each.peerdb for each in everyone}
    assert [event for event in world.cluster.audit_events(mark) if event.is_write] == []
    assert [each.commands(before) for each in everyone] == [[]] * len(everyone)
    assert [each for each in gate.passages[seen:] if writing_tags(each)] == []

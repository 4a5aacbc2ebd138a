"""What happens to mirrors under a GitOps tool: applied again and again, healed, annotated, pruned, diffed."""

from collections.abc import Iterable
from typing import TypeVar

import pytest

from peerdb_operator.api import constants
from peerdb_operator.mirror.status import merge_patch
from tests.e2e.conftest import MakeWorld
from tests.e2e.gitops_tool import ARGO_CD, FLUX, OPERATOR, Brand, Tool, history, owned
from tests.e2e.world import Object, Subject, World, a_table, eventually
from tests.e2e.writing import Writes
from tests.harness.gitops.argolua import acted, health
from tests.harness.gitops.kstatus import Kstatus, kstatus
from tests.harness.gitops.paths import ACTIONS, MIRROR

pytestmark = pytest.mark.e2e

T = TypeVar("T")

ORDERS = a_table("public.orders")
LOOKS = 6


@pytest.fixture(scope="module")
def world(make_world: MakeWorld) -> World:
    world = make_world("gitops")
    world.start_operator(brake_drops=1000)
    return world


def under(world: World, brand: Brand, spec: Object) -> tuple[Tool, Object]:
    """A mirror that a tool has declared, at rest; and its file in Git."""
    peerdb = world.live(spec["tables"])
    tool = Tool(world, Subject(world, peerdb, peerdb), brand)
    wish = tool.manifest(spec)
    tool.apply_until_ready(wish)
    return tool, wish


def version(subject: Subject) -> str:
    found: str = subject.read()["metadata"]["resourceVersion"]
    return found


def shown(objects: Iterable[Object]) -> list[str]:
    """The health that Argo CD shows over time, each word once in a row."""
    script = (MIRROR / "health.lua").read_text()
    return without_repeats(health(script, obj).status for obj in objects)


def waited_for(objects: Iterable[Object]) -> list[Kstatus]:
    """What Flux waits for, likewise."""
    return without_repeats(kstatus(obj) for obj in objects)


def without_repeats(values: Iterable[T]) -> list[T]:
    found: list[T] = []
    for value in values:
        if found[-1:] != [value]:
            found.append(value)
    return found


def looks(world: World, since: int) -> int:
    return sum(1 for event in world.sim.log(since) if str(event.get("path", "")).endswith("mirrors/list"))


@pytest.mark.parametrize("brand", [ARGO_CD, FLUX], ids=lambda brand: str(brand.manager))
def test_an_edit_takes_its_course_once_and_nothing_flaps_when_a_tool_applies_the_list_all_the_time(
    world: World, brand: Brand
) -> None:
    tool, _ = under(world, brand, {"state": "Running", "tables": [ORDERS]})
    subject = tool.subject
    start, writes, before = version(subject), Writes.of(subject), world.sim.last_event()
    world.sim.knobs(t_stop=0.8, t_add=0.8)
    try:
        longer = tool.manifest({"state": "Running", "tables": [ORDERS, a_table("public.invoices")]})
        tool.applied = 0
        tool.apply_until_ready(longer)
    finally:
        world.sim.knobs(t_stop=0.2, t_add=0.3)
    assert tool.applied >= LOOKS
    assert [(each.state, each.added) for each in subject.commands(before)] == [
        ("PAUSED", []),
        ("RUNNING", ["public.invoices"]),
    ]
    versions = history(subject, start)
    assert shown(versions) == ["Progressing", "Healthy"]
    assert waited_for(versions) == [Kstatus.IN_PROGRESS, Kstatus.CURRENT]
    assert {each["metadata"]["generation"] for each in versions} == {2}
    assert {each.subresource for each in world.writes(writes.mark, subject.name)} == {"status"}
    writes.assert_few("Pausing", "Editing", "Running")
    assert tool.diff(longer) == ""


def test_nothing_is_written_when_a_tool_applies_what_is_already_so(world: World) -> None:
    tool, wish = under(world, ARGO_CD, {"state": "Running", "tables": [ORDERS]})
    start, mark, before = version(tool.subject), world.cluster.audit_mark(), world.sim.last_event()
    for _ in range(LOOKS):
        tool.between_looks(tool.apply, wish)
    assert version(tool.subject) == start
    assert world.writes(mark, tool.subject.name) == []
    assert tool.subject.commands(before) == []


def test_git_wins_and_the_mirror_runs_again_when_somebody_pauses_it_with_kubectl(world: World) -> None:
    tool, wish = under(world, ARGO_CD, {"state": "Running", "tables": [ORDERS]})
    subject = tool.subject
    start = version(subject)
    subject.wish(state="Paused")
    subject.wait_reason("Paused")
    tool.apply_until_ready(wish)
    assert subject.state() == "RUNNING"
    assert [each.state for each in subject.commands()] == ["PAUSED", "RUNNING"]
    reasons = without_repeats(
        next(each["reason"] for each in obj["status"]["conditions"] if each["type"] == "Ready")
        for obj in history(subject, start)
    )
    assert reasons == ["Running", "Pausing", "Paused", "Resuming", "Running"]
    assert "f:spec.f:state" in owned(subject.read(), ARGO_CD.manager)


def test_a_table_that_somebody_adds_with_kubectl_goes_again_when_git_does_not_list_it(world: World) -> None:
    tool, wish = under(world, ARGO_CD, {"state": "Running", "tables": [ORDERS]})
    subject = tool.subject
    subject.wish(tables=[ORDERS, a_table("public.tmp")])
    eventually(subject.commands, "the operator acts on the edit by hand", subject)
    tool.apply_until_ready(wish)
    assert (subject.state(), set(subject.tables())) == ("RUNNING", {"public.orders"})
    assert tool.diff(wish) == ""


def test_a_pause_by_hand_stays_when_git_leaves_the_state_out(world: World) -> None:
    tool, wish = under(world, ARGO_CD, {"tables": [ORDERS]})
    subject = tool.subject
    subject.wish(state="Paused")
    subject.wait_reason("Paused")
    tool.apply_until_ready(wish)
    assert subject.condition()["reason"] == "Paused"
    assert tool.diff(wish) == ""


def test_nothing_happens_when_a_tool_changes_its_annotations(world: World) -> None:
    tool, _ = under(world, ARGO_CD, {"state": "Running", "tables": [ORDERS]})
    subject = tool.subject
    start, mark, before = version(subject), world.cluster.audit_mark(), world.sim.last_event()
    for number in range(LOOKS):
        tool.apply(
            tool.manifest(
                {"state": "Running", "tables": [ORDERS]}, **{"argocd.argoproj.io/tracking-id": f"other:{number}"}
            )
        )
    eventually(lambda: looks(world, before) >= LOOKS, "the operator has looked again")
    found = subject.read()
    assert found["metadata"]["generation"] == 1
    assert len(history(subject, start)) == LOOKS
    assert world.writes(mark, subject.name) == []
    assert subject.commands(before) == []


def test_the_operator_owns_its_status_and_its_finalizer_and_nothing_else(world: World) -> None:
    tool, _ = under(world, ARGO_CD, {"state": "Running", "tables": [ORDERS], "batchSize": 10})
    tool.apply_until_ready(tool.manifest({"state": "Running", "tables": [ORDERS], "batchSize": 20}))
    found = tool.subject.read()
    ours = owned(found, OPERATOR)
    finalizers = {path for path in ours if path.startswith("f:metadata.f:finalizers")}
    assert {path for path in ours - finalizers if not path.startswith("f:status")} == set()
    assert finalizers == {"f:metadata.f:finalizers..", f'f:metadata.f:finalizers.v:"{constants.FINALIZER}"'} - {""}
    theirs = owned(found, ARGO_CD.manager)
    assert {"f:spec.f:tables", "f:spec.f:state", "f:spec.f:batchSize"} <= theirs
    assert not {path for path in theirs if path.startswith("f:status")}


def test_the_mirror_is_dropped_once_and_only_our_finalizer_goes_when_a_tool_prunes_again_and_again(
    world: World,
) -> None:
    tool, _ = under(world, ARGO_CD, {"state": "Running", "tables": [ORDERS]})
    subject = tool.subject
    start = version(subject)
    world.sim.knobs(t_drop=0.8)
    try:
        for _ in range(LOOKS):
            tool.between_looks(tool.prune)
        eventually(lambda: not is_ours(subject.find()), "our finalizer goes", subject)
    finally:
        world.sim.knobs(t_drop=0.2)
    assert subject.state() is None
    assert [each.state for each in subject.commands()] == ["TERMINATING"]
    versions = history(subject, start)
    assert shown(versions) == ["Progressing"]
    assert waited_for(versions) == [Kstatus.TERMINATING]
    let_go(subject)
    tool.prune()


def is_ours(found: Object | None) -> bool:
    """Whether our finalizer still holds the object."""
    return found is not None and constants.FINALIZER in found["metadata"].get("finalizers", [])


def let_go(subject: Subject) -> None:
    """Do what the garbage collector does: where one runs, it may have been sooner."""
    if subject.find() is not None:
        subject.world.cluster.kubectl(
            f"--namespace={subject.world.namespace}", "patch", constants.PLURAL, subject.name, "--type=merge",
            '--patch={"metadata":{"finalizers":null}}', check=False,
        )  # fmt: skip
    subject.wait_gone()


def test_the_mirror_stays_when_a_tool_prunes_and_the_policy_is_retain(world: World) -> None:
    tool, _ = under(world, FLUX, {"state": "Running", "deletionPolicy": "Retain", "tables": [ORDERS]})
    tool.prune()
    eventually(lambda: tool.subject.tag() == constants.RELEASED, "the mirror is released", tool.subject)
    assert tool.subject.state() == "RUNNING"
    assert tool.subject.commands() == []


def press(subject: Subject, action: str) -> None:
    """An action of Argo CD's UI: its script's difference, sent as a merge patch."""
    obj = subject.read()
    subject.patch(merge_patch(obj, acted((ACTIONS / action / "action.lua").read_text(), obj)))


def test_the_actions_pause_resume_and_look_again_when_they_are_pressed_in_argo_cd(world: World) -> None:
    later = world.declare("comes_later")
    subject = world.settled([ORDERS])
    press(subject, "pause")
    subject.wait_reason("Paused")
    press(subject, "resume")
    subject.wait_reason("Running")
    assert [each.state for each in subject.commands()] == ["PAUSED", "RUNNING"]
    later.wait_reason("MirrorNotFound")
    world.live([ORDERS], name="comes_later")
    press(later, "reconcile")
    later.wait_reason("Running")

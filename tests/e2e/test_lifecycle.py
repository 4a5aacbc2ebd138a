"""The life of one Mirror: taken over, paused, resumed, watched by people, left in peace."""

import json

import pytest

from peerdb_operator.api import constants
from tests.e2e.conftest import MakeWorld
from tests.e2e.world import World, a_table, eventually
from tests.e2e.writing import Writes

pytestmark = pytest.mark.e2e

ORDERS = a_table("public.orders", exclude=["card_number"])
INVOICES = a_table("public.invoices")


@pytest.fixture(scope="module")
def world(make_world: MakeWorld) -> World:
    world = make_world("lifecycle")
    world.start_operator()
    return world


def test_a_mirror_is_taken_over_in_three_writes_when_it_carries_no_owner_and_is_as_declared(world: World) -> None:
    peerdb = world.live([ORDERS], tags={"team": "data"})
    mark = world.cluster.audit_mark()
    subject = world.declare(peerdb, {"tables": [ORDERS]})
    subject.wait_ready()
    found = subject.read()
    assert found["metadata"]["finalizers"] == [constants.FINALIZER]
    assert found["status"]["observedGeneration"] == 1
    assert subject.truth()["tags"] == {"team": "data", constants.OWNER_TAG: subject.tag()}
    cluster_id, namespace, name, uid = str(subject.tag()).split("/")
    assert cluster_id == json.loads(world.kubectl("get", "namespace", "kube-system", "-o", "json"))["metadata"]["uid"]
    assert (namespace, name, uid) == (world.namespace, subject.name, found["metadata"]["uid"])
    assert subject.commands() == []
    assert len(world.writes(mark, subject.name)) <= 3


def test_a_mirror_stops_by_one_call_and_two_writes_when_spec_state_becomes_paused(world: World) -> None:
    subject = world.settled([ORDERS])
    writes = Writes.of(subject)
    subject.wish(state="Paused")
    subject.wait_reason("Paused")
    assert subject.state() == "PAUSED"
    assert [each.state for each in subject.commands()] == ["PAUSED"]
    writes.assert_few("Pausing", "Paused")
    assert subject.conditions() == {"Ready": "True", "Synced": "True"}


def test_a_mirror_runs_by_one_call_and_two_writes_when_spec_state_becomes_running(world: World) -> None:
    subject = world.settled([ORDERS], {"state": "Paused"})
    writes, before = Writes.of(subject), world.sim.last_event()
    subject.wish(state="Running")
    subject.wait_reason("Running")
    assert subject.state() == "RUNNING"
    assert [(each.state, each.update) for each in subject.commands(before)] == [("RUNNING", None)]
    writes.assert_few("Resuming", "Running")


def test_kubectl_wait_returns_only_after_the_new_generation_was_judged_when_it_follows_an_edit_at_once(
    world: World,
) -> None:
    subject = world.settled([ORDERS])
    for state, reached in [("Paused", "PAUSED"), ("Running", "RUNNING")] * 2:
        subject.wish(state=state)
        subject.wait_ready()
        found = subject.read()
        assert subject.state() == reached
        assert found["status"]["observedGeneration"] == found["metadata"]["generation"]
        assert {each["observedGeneration"] for each in found["status"]["conditions"]} == {
            found["metadata"]["generation"]
        }


def test_kubectl_get_shows_wish_state_and_reason_when_mirrors_are_listed(world: World) -> None:
    running, paused = world.settled([ORDERS, INVOICES]), world.settled([ORDERS], {"state": "Paused"})
    missing = world.declare("nowhere", {"deletionPolicy": "Retain"})
    missing.wait_reason("MirrorNotFound")
    lines = world.kubectl("get", constants.SHORT, running.name, paused.name, missing.name).splitlines()
    assert lines[0].split() == ["NAME", "DESIRED", "STATE", "READY", "REASON", "TABLES", "AGE"]
    assert [line.split()[:-1] for line in lines[1:]] == [
        [running.name, "Running", "Running", "True", "Running", "2/2"],
        [paused.name, "Paused", "Paused", "True", "Paused", "1/1"],
        [missing.name, "Running", "Missing", "False", "MirrorNotFound"],
    ]
    wide = world.kubectl("get", constants.PLURAL, missing.name, "--output=wide").splitlines()
    assert "Retain" in wide[1]
    assert 'PeerDB has no mirror named "nowhere"; create it in PeerDB' in wide[1]


def test_people_see_what_happened_as_events_when_they_ask_kubectl(world: World) -> None:
    subject = world.settled([ORDERS])
    subject.wish(state="Paused")
    subject.wait_reason("Paused")
    subject.wait_event("Normal", "Paused")
    assert subject.events() == [("Normal", "TakenOver"), ("Normal", "Pausing"), ("Normal", "Paused")]
    listed = world.kubectl("events", "--for", f"{constants.PLURAL}/{subject.name}")
    assert "paused as wished" in listed
    described = world.kubectl("describe", constants.PLURAL, subject.name)
    assert "the spec wants the mirror paused" in described.partition("Events:")[2]


def test_nothing_is_written_anywhere_when_all_mirrors_are_as_wished(world: World) -> None:
    paused = world.settled([ORDERS], {"state": "Paused"})
    subjects = [world.settled([ORDERS]) for _ in range(3)] + [paused]
    for subject in subjects:
        subject.wait_event("Normal", "TakenOver")
    paused.wait_event("Normal", "Paused")
    mark, before = world.cluster.audit_mark(), world.sim.last_event()

    def looks() -> int:
        return sum(1 for event in world.sim.log(before) if str(event.get("path", "")).endswith("mirrors/list"))

    eventually(lambda: looks() >= 8, "the operator has looked eight times")
    assert world.writes(mark) == []
    assert [event for event in world.cluster.audit_events(mark) if event.resource == "events" and event.is_write] == []
    assert [subject.commands(before) for subject in subjects] == [[]] * 4


def test_nothing_is_sent_until_the_annotation_goes_when_a_mirror_is_frozen(world: World) -> None:
    subject = world.settled([ORDERS])
    subject.annotate(f"{constants.ANNOTATION_RECONCILE}=disabled")
    subject.wait_reason("ReconcileDisabled")
    subject.wish(state="Paused")
    subject.wait_reason("ReconcileDisabled")
    assert subject.conditions() == {"Ready": "Unknown", "Synced": "Unknown"}
    assert subject.commands() == []
    subject.annotate(f"{constants.ANNOTATION_RECONCILE}-")
    subject.wait_reason("Paused")
    assert subject.state() == "PAUSED"


def test_a_mirror_is_looked_at_anew_when_its_annotation_asks_for_it(world: World) -> None:
    subject = world.declare("created_later")
    subject.wait_reason("MirrorNotFound")
    world.live([ORDERS], name="created_later")
    subject.annotate(f"{constants.ANNOTATION_REQUESTED_AT}=now")
    subject.wait_ready()
    assert subject.condition()["reason"] == "Running"


def test_an_error_in_peerdb_s_log_is_shown_when_the_mirror_runs(world: World) -> None:
    subject = world.settled([ORDERS])
    world.sim.say(subject.peerdb, "failed to push records: relation does not exist")
    found = subject.wait_reason("RunningWithErrors")
    assert found["status"] == "True"
    assert "relation does not exist" in found["message"]
    assert "relation does not exist" in subject.status()["lastError"]["message"]


def test_a_mirror_is_followed_when_it_is_dropped_and_created_again_in_peerdb(world: World) -> None:
    subject = world.settled([ORDERS])
    world.sim.delete_mirror(subject.peerdb)
    subject.wait_reason("MirrorNotFound")
    assert subject.status()["state"] == "Missing"
    assert subject.conditions() == {"Ready": "False", "Synced": "False", "Stalled": "True"}
    world.live([ORDERS], name=subject.peerdb)
    subject.wait_ready()
    assert subject.tag() not in (None, constants.RELEASED)


def test_every_line_of_the_log_is_json_and_names_its_object_when_the_operator_works(world: World) -> None:
    subject = world.settled([ORDERS])
    subject.wish(state="Paused")
    subject.wait_reason("Paused")
    lines = world.operator.lines()
    records = world.operator.records()
    assert len(records) == len(lines)
    uid = subject.read()["metadata"]["uid"]
    mine = [each for each in records if each.get("object", {}).get("uid") == uid]
    identity = {"namespace": world.namespace, "name": subject.name, "uid": uid}
    assert [each["object"] for each in mine] == [identity] * len(mine)
    assert [(each["generation"], each["mirror"]) for each in mine if each.get("action") == "Pause"] == [
        (2, subject.peerdb)
    ]

"""What bad input gets when the API server lets it through: an answer in words, and a mirror that keeps its run state.

What the API server itself refuses is in ``test_admission``; a PeerDB that cannot be asked is in ``test_outages``.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.world import Object, Subject, World, a_table, eventually
from tests.harness.gate import Gate, Passage
from tests.harness.peerdb.process import call

pytestmark = pytest.mark.e2e

STALLED = {"Ready": "False", "Synced": "False", "Stalled": "True"}
BROKEN = {"Ready": "False", "Synced": "Unknown", "Stalled": "True"}


@pytest.fixture(scope="module")
def gate(made: World) -> Iterator[Gate]:
    """What the operator takes for PeerDB."""
    with Gate(made.sim.gateway_url) as gate:
        yield gate


@pytest.fixture(scope="module")
def made(make_world: MakeWorld) -> World:
    return make_world("bad-input")


@pytest.fixture(scope="module")
def world(made: World, gate: Gate) -> World:
    made.start_operator(peerdb_url=gate.url)
    return made


def never_stopped(subject: Subject) -> bool:
    return subject.state() == "RUNNING" and not {"PAUSING", "PAUSED"} & set(subject.states())


@pytest.mark.parametrize("field", ["destination", "exclude", "engine"])
def test_the_mirror_keeps_running_and_obeys_state_when_the_mapping_of_a_live_table_is_changed(
    world: World, field: str
) -> None:
    orders = a_table("public.orders", exclude=["card_number"])
    subject = world.settled([orders])
    other: Object = {"destination": "elsewhere", "exclude": ["a", "b"], "engine": "MergeTree"}
    subject.wish(tables=[{**orders, field: other[field]}, a_table("public.invoices")], batchSize=7)
    found = subject.wait_reason("TableChangeRejected")
    assert f"public.orders ({field})" in found["message"]
    assert "put the old mapping back, or take the table out of the list" in found["message"]
    assert subject.conditions() == STALLED
    assert never_stopped(subject)
    subject.wish(state="Paused")
    subject.wait_state("PAUSED")
    eventually(lambda: subject.status()["state"] == "Paused", "the status says Paused", subject)
    assert subject.condition()["reason"] == "TableChangeRejected"
    subject.wish(state="Running", tables=[orders], batchSize=None)
    subject.wait_reason("Running")
    assert set(subject.tables()) == {"public.orders"}
    assert [each.update for each in subject.commands()] == [None, None]


def test_nothing_is_sent_when_an_added_table_s_destination_stays_fed_by_another(world: World) -> None:
    orders = a_table("public.orders")
    subject = world.settled([orders])
    before = world.sim.last_event()
    subject.wish(tables=[orders, a_table("public.orders_old", orders["destination"])])
    found = subject.wait_reason("DestinationInUse")
    assert f"public.orders_old onto {orders['destination']}" in found["message"]
    assert subject.conditions() == STALLED
    assert subject.commands() == []
    asked = [str(event["path"]) for event in world.sim.log(before) if event["kind"] == "request"]
    assert not [path for path in asked if "validate" in path]
    subject.wish(tables=[orders])
    subject.wait_ready()


def test_a_removal_waits_with_its_addition_when_it_frees_a_destination_that_still_holds_rows(world: World) -> None:
    orders, invoices = a_table("public.orders"), a_table("public.invoices")
    subject = world.settled([orders, invoices])
    subject.wish(tables=[invoices, a_table("public.orders_v2", orders["destination"])])
    found = subject.wait_reason("DestinationInUse")
    assert orders["destination"] in found["message"]
    assert set(subject.tables()) == {"public.orders", "public.invoices"}
    assert never_stopped(subject)


def test_the_mirror_never_stops_when_added_tables_do_not_exist_in_the_source(world: World) -> None:
    orders = a_table("public.orders")
    subject = world.settled([orders])
    world.sim.databases(sourceTables=["public.orders"])
    try:
        subject.wish(tables=[orders, *(a_table(f"public.missing_{number}") for number in range(7))])
        found = subject.wait_reason("PrecheckFailed")
    finally:
        world.sim.databases()
    named = [f"public.missing_{number}" for number in range(7) if f"public.missing_{number}" in found["message"]]
    assert len(named) == 5
    assert "2 more" in found["message"]
    assert subject.conditions() == STALLED
    assert never_stopped(subject)
    subject.wish(tables=[orders, a_table("public.invoices")])
    subject.wait_ready()
    assert set(subject.tables()) == {"public.orders", "public.invoices"}


def test_a_query_replication_mirror_is_refused_when_it_is_declared(world: World) -> None:
    subject = world.declare(world.live(kind="qrep"), {"state": "Paused"})
    found = subject.wait_reason("UnsupportedMirror")
    assert "CDC mirrors only" in found["message"]
    assert subject.conditions() == BROKEN
    assert subject.commands() == []
    assert subject.tag() == "released"


def test_a_mirror_in_a_final_state_is_named_so_when_nothing_can_be_done(world: World) -> None:
    orders = a_table("public.orders")
    spec = {"tables": [orders]}
    failed = world.declare(world.live([orders], state="FAILED"), spec)
    terminated = world.declare(world.live([orders], state="TERMINATED"), spec)
    completed = world.declare(world.live([orders], state="COMPLETED", kind="snapshot"), spec)
    completed.wait_reason("Completed")
    completed.wait_ready()
    completed.wish(tables=[orders, a_table("public.more")])
    assert "PeerDB ignores edits of a completed mirror" in completed.wait_reason("TableChangeRejected")["message"]
    terminated.wait_reason("MirrorTerminated")
    assert "has failed" in failed.wait_reason("MirrorFailed")["message"]
    assert failed.conditions() == terminated.conditions() == BROKEN
    assert [each.commands() for each in (failed, terminated, completed)] == [[], [], []]


LONG_AGO = "2024-01-01T00:00:00.000000Z"


def an_operation(subject: Subject, step: str) -> Object:
    """A journal entry that nobody ever made, for the mirror as it is."""
    shown = created_at(subject)
    return {"id": "forged", "step": step, "sentAt": LONG_AGO, "createdAt": shown, "from": "a", "to": "b"}


def created_at(subject: Subject) -> str:
    """PeerDB's createdAt of the mirror, as its status shows it."""
    body = f'{{"flowJobName":"{subject.peerdb}"}}'.encode()
    answer = call(subject.world.sim.gateway_url, "POST", "/v1/mirrors/status", body)
    return str(json.loads(answer.body)["createdAt"])


FORGERIES: dict[str, Any] = {
    "wiped": lambda _: None,
    "a drop in flight": lambda subject: {"operation": {**an_operation(subject, "Drop"), "accepted": True}},
    "a pause in flight": lambda subject: {"operation": an_operation(subject, "Pause")},
    "an edit in flight": lambda subject: {"operation": {**an_operation(subject, "Edit"), "accepted": True}},
    "a step that does not exist": lambda subject: {"operation": an_operation(subject, "Explode")},
    "another mirror's operation": lambda subject: {
        "operation": {**an_operation(subject, "Edit"), "createdAt": LONG_AGO}
    },
    "everything else": lambda _: {
        "observedGeneration": 12345,
        "mirrorName": "another",
        "state": "Dancing",
        "stateSince": LONG_AGO,
        "tables": {"desired": 9, "replicating": 9, "summary": "9/9"},
        "lastError": None,
        "conditions": [],
        "bounds": {"generation": 1, "settled": 1, "attempts": 99, "notBefore": "2099-01-01T00:00:00.000000Z"},
    },
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_the_status_is_true_again_and_nothing_unsafe_is_sent_when_somebody_edits_it(world: World, forgery: str) -> None:
    orders, invoices = a_table("public.orders"), a_table("public.invoices")
    subject = world.settled([orders, invoices])
    honest = subject.status()
    subject.patch({"status": FORGERIES[forgery](subject)}, "--subresource=status")
    eventually(lambda: telling(subject.status()) == telling(honest), "the status is what it was", subject)
    subject.wait_ready()
    assert set(subject.tables()) == {"public.orders", "public.invoices"}
    assert subject.state() == "RUNNING"
    assert never_stopped(subject)
    assert [each for each in subject.commands() if each.state != "RUNNING" or each.update] == []


def telling(status: Object) -> Object:
    """What matters of a status: no times, no counters."""
    conditions = [{key: each[key] for key in ("type", "status", "reason")} for each in status.get("conditions", [])]
    names = ("observedGeneration", "mirrorName", "state", "tables", "operation")
    return {"conditions": conditions, **{name: status.get(name) for name in names}}


def test_nothing_is_sent_and_all_recovers_when_peerdb_uses_a_word_that_nobody_knows(world: World, gate: Gate) -> None:
    subject = world.settled([a_table("public.orders")])

    def hibernate(passage: Passage) -> object:
        reply: Any = passage.reply
        if passage.path.endswith("mirrors/status") and reply.get("flowJobName") == subject.peerdb:
            reply["currentFlowState"] = "STATUS_HIBERNATING"
        for row in reply.get("mirrors", []) if passage.path.endswith("mirrors/list") else []:
            row["status"] = "STATUS_HIBERNATING" if row["name"] == subject.peerdb else row["status"]
        return reply

    gate.rewrites = hibernate
    try:
        found = subject.wait_reason("UnexpectedReply")
        assert "HIBERNATING" in found["message"]
        subject.wish(state="Paused")
        subject.wait_reason("UnexpectedReply")
        assert subject.conditions()["Ready"] == "Unknown"
        assert subject.commands() == []
    finally:
        gate.rewrites = None
    subject.wait_reason("Paused")
    assert subject.state() == "PAUSED"


def test_all_goes_on_when_peerdb_sends_fields_that_it_never_sent_before(world: World, gate: Gate) -> None:
    def embellish(value: object) -> object:
        if isinstance(value, dict):
            known = {key: each if key == "env" else embellish(each) for key, each in value.items()}
            return {**known, "brandNew": {"nested": [1, None]}}
        return [embellish(each) for each in value] if isinstance(value, list) else value

    orders = a_table("public.orders")
    gate.rewrites = lambda passage: embellish(passage.reply)
    try:
        subject = world.settled([orders])
        subject.wish(tables=[orders, a_table("public.invoices")])
        subject.wait_ready()
        assert set(subject.tables()) == {"public.orders", "public.invoices"}
    finally:
        gate.rewrites = None

"""Edits of tables and settings, by the spec and by a human hand in PeerDB."""

import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.world import Command, Object, Subject, World, a_table, base, eventually
from tests.e2e.writing import Writes
from tests.harness.peerdb.process import call

pytestmark = pytest.mark.e2e

ORDERS = a_table("public.orders")


@pytest.fixture(scope="module")
def world(make_world: MakeWorld) -> World:
    world = make_world("edits")
    world.start_operator()
    return world


def asked(subject: Subject, after: int = 0) -> list[str]:
    """The calls in short: what was asked, with ``+`` and ``-`` for tables."""
    return [short(each) for each in subject.commands(after)]


def short(command: Command) -> str:
    return " ".join([command.state, *(f"+{each}" for each in command.added), *(f"-{each}" for each in command.removed)])


def by_hand(subject: Subject, body: dict[str, object]) -> None:
    """Somebody else's ``state_change``."""
    text = str({"flowJobName": subject.peerdb, **body}).replace("'", '"')
    assert call(base(subject.world.sim), "POST", "/v1/mirrors/state_change", text.encode()).status == 200


def test_tables_come_and_go_in_one_stop_of_two_calls_and_a_write_a_step_when_the_list_changes(
    world: World,
) -> None:
    invoices = a_table("public.invoices")
    temporary = a_table("public.tmp")
    subject = world.settled([ORDERS, temporary])
    writes, before = Writes.of(subject), world.sim.last_event()
    subject.wish(tables=[ORDERS, invoices])
    subject.wait_ready()
    assert subject.tables() == {each["source"]: each["destination"] for each in (ORDERS, invoices)}
    assert asked(subject, before) == ["PAUSED", "RUNNING +public.invoices -public.tmp"]
    writes.assert_few("Pausing", "Editing", "Running")
    status = subject.status()
    assert status["tables"] == {
        "desired": 2,
        "replicating": 2,
        "adding": 0,
        "removing": 0,
        "summary": "2/2",
        "pending": [],
    }
    assert "operation" not in status


def test_an_edit_waits_and_is_applied_on_resume_when_the_mirror_is_paused(world: World) -> None:
    invoices = a_table("public.invoices")
    subject = world.settled([ORDERS], {"state": "Paused"})
    before = world.sim.last_event()
    subject.wish(tables=[ORDERS, invoices], batchSize=5000)
    subject.wait_ready()
    found = subject.condition()
    assert found["reason"] == "PausedWithPendingChanges"
    assert "public.invoices" in found["message"]
    assert subject.conditions() == {"Ready": "True", "Synced": "False"}
    assert subject.status()["tables"]["pending"] == ["public.invoices"]
    assert asked(subject, before) == []
    subject.wish(state="Running")
    subject.wait_reason("Running")
    assert asked(subject, before) == ["RUNNING +public.invoices"]
    assert (set(subject.tables()), subject.truth()["batchSize"]) == ({"public.orders", "public.invoices"}, 5000)


def test_settings_are_edited_without_touching_tables_when_only_they_change(world: World) -> None:
    subject = world.settled([ORDERS])
    before = world.sim.last_event()
    spec = {
        "batchSize": 777,
        "idleTimeoutSeconds": 33,
        "settings": {"PEERDB_NULLABLE": "true"},
        "snapshot": {"tablesInParallel": 2},
    }
    subject.wish(**spec)
    subject.wait_ready()
    row = subject.truth()
    assert (row["batchSize"], row["idleTimeoutSeconds"]) == (777, 33)
    assert row["settings"]["PEERDB_NULLABLE"] == "true"
    assert asked(subject, before) == ["PAUSED", "RUNNING"]


def test_every_table_is_replaced_in_two_stops_and_none_is_lost_when_the_whole_list_changes(world: World) -> None:
    invoices = a_table("public.invoices")
    subject = world.settled([ORDERS])
    before = world.sim.last_event()
    subject.wish(tables=[invoices])
    subject.wait_ready()
    assert set(subject.tables()) == {"public.invoices"}
    assert asked(subject, before) == ["PAUSED", "RUNNING +public.invoices", "PAUSED", "RUNNING -public.orders"]


def test_the_newest_list_wins_when_it_changes_while_an_edit_is_under_way(world: World) -> None:
    invoices = a_table("public.invoices")
    temporary = a_table("public.tmp")
    subject = world.settled([ORDERS])
    subject.wish(tables=[ORDERS, invoices])
    eventually(subject.commands, "the first call is sent")
    subject.wish(tables=[ORDERS, temporary])
    subject.wait_ready()
    assert set(subject.tables()) == {"public.orders", "public.tmp"}
    assert subject.state() == "RUNNING"


def test_the_mirror_ends_paused_and_edited_when_pause_and_edit_come_together_and_resume_follows(world: World) -> None:
    invoices = a_table("public.invoices")
    subject = world.settled([ORDERS])
    subject.wish(state="Paused", tables=[ORDERS, invoices])
    subject.wait_reason("PausedWithPendingChanges")
    assert asked(subject) == ["PAUSED"]
    subject.wish(state="Running")
    subject.wait_reason("Running")
    assert asked(subject) == ["PAUSED", "RUNNING +public.invoices"]
    subject.wish(state="Paused")
    subject.wait_reason("Paused")
    assert set(subject.tables()) == {"public.orders", "public.invoices"}


def test_the_mirror_runs_again_when_somebody_pauses_it_in_peerdb(world: World) -> None:
    subject = world.settled([ORDERS])
    before = world.sim.last_event()
    by_hand(subject, {"requestedFlowState": "STATUS_PAUSED"})
    eventually(lambda: "RUNNING" in subject.states(before), "the mirror runs again", subject)
    subject.wait_ready()
    assert asked(subject, before) == ["PAUSED", "RUNNING"]


def test_the_mirror_is_paused_again_when_somebody_resumes_it_in_peerdb(world: World) -> None:
    subject = world.settled([ORDERS], {"state": "Paused"})
    before = world.sim.last_event()
    by_hand(subject, {"requestedFlowState": "STATUS_RUNNING"})
    eventually(lambda: "PAUSED" in subject.states(before), "the mirror is paused again", subject)
    subject.wait_ready()
    assert asked(subject, before) == ["RUNNING", "PAUSED"]


def edit_by_hand(subject: Subject, *tables: Object) -> None:
    """Somebody has edited the tables in PeerDB; the mirror is the same one as before."""
    row = subject.truth()
    subject.world.sim.put_mirror(
        subject.peerdb, tables=list(tables), tags=row["tags"], createdAt=row["createdAt"], batchSize=row["batchSize"]
    )


def test_a_table_is_removed_again_when_somebody_adds_it_in_peerdb(world: World) -> None:
    subject = world.settled([ORDERS])
    before = world.sim.last_event()
    edit_by_hand(subject, ORDERS, a_table("public.tmp"))
    eventually(lambda: len(subject.commands(before)) == 2, "the edit by hand is corrected", subject)
    subject.wait_ready()
    assert asked(subject, before) == ["PAUSED", "RUNNING -public.tmp"]


def test_a_table_is_added_again_without_a_copy_when_somebody_removes_it_and_the_spec_skips_copies(world: World) -> None:
    invoices = a_table("public.invoices")
    subject = world.settled([ORDERS, invoices], {"snapshot": {"addedTables": "Skip"}})
    before = world.sim.last_event()
    edit_by_hand(subject, ORDERS)
    eventually(lambda: len(subject.commands(before)) == 2, "the edit by hand is corrected", subject)
    subject.wait_ready()
    assert asked(subject, before) == ["PAUSED", "RUNNING +public.invoices"]
    assert "SNAPSHOT" in subject.states(before)


def test_a_table_is_missed_aloud_when_somebody_removes_it_and_its_rows_are_still_there(world: World) -> None:
    invoices = a_table("public.invoices")
    subject = world.settled([ORDERS, invoices])
    edit_by_hand(subject, ORDERS)
    found = subject.wait_reason("DestinationInUse")
    assert invoices["destination"] in found["message"]
    assert subject.status()["tables"]["pending"] == ["public.invoices"]
    assert subject.conditions() == {"Ready": "False", "Synced": "False", "Stalled": "True"}
    assert subject.commands() == []


def test_a_mirror_is_managed_by_its_run_state_alone_when_it_lists_no_tables(world: World) -> None:
    invoices = a_table("public.invoices")
    peerdb = world.live([ORDERS, invoices])
    subject = world.declare(peerdb)
    subject.wait_ready()
    subject.wish(state="Paused")
    subject.wait_reason("Paused")
    subject.wish(state="Running")
    subject.wait_reason("Running")
    assert "tables" not in subject.status()
    assert set(subject.tables()) == {"public.orders", "public.invoices"}
    assert asked(subject) == ["PAUSED", "RUNNING"]

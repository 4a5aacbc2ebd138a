"""PeerDB away in all its ways, Kubernetes away, lost replies: said in words, nothing lost, recovered without help."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from peerdb_operator.api import constants
from tests.e2e.conftest import MakeWorld
from tests.e2e.world import World, a_table, eventually
from tests.harness.gate import Gate, Passage

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def made(make_world: MakeWorld) -> World:
    return make_world("outages")


@pytest.fixture(scope="module")
def gate(made: World) -> Iterator[Gate]:
    """The line between the operator and PeerDB."""
    with Gate(made.sim.gateway_url) as gate:
        yield gate


@pytest.fixture(scope="module")
def world(made: World, gate: Gate) -> World:
    made.start_operator(peerdb_url=gate.url, outage_unknown_seconds=2)
    return made


def is_command(passage: Passage) -> bool:
    return passage.path.endswith("mirrors/state_change")


class Trouble:
    """One way in which PeerDB cannot be asked, and how it ends."""

    def __init__(self, gate: Gate, kind: str) -> None:
        self._gate = gate
        self._kind = kind

    def begin(self) -> None:
        match self._kind:
            case "connection refused":
                self._gate.shut()
            case _:
                self._gate.rewrites = lambda _: b"moved to another place"

    def end(self) -> None:
        match self._kind:
            case "connection refused":
                self._gate.open()
            case _:
                self._gate.rewrites = None


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("connection refused", "PeerDBUnavailable"),
        ("text instead of JSON", "UnexpectedReply"),
    ],
)
def test_ready_stays_then_becomes_unknown_and_an_edit_is_not_lost_when_peerdb_is_away(
    world: World, gate: Gate, kind: str, reason: str
) -> None:
    orders = a_table("public.orders")
    subject = world.settled([orders])
    trouble = Trouble(gate, kind)
    trouble.begin()
    try:
        subject.wait_reason(reason, "Synced")
        assert subject.conditions() == {"Ready": "True", "Synced": "Unknown"}
        subject.wait_conditions(Ready="Unknown", Synced="Unknown")
        subject.wish(tables=[orders, a_table("public.invoices")])
        subject.wait_reason(reason, "Ready")
        assert subject.status()["observedGeneration"] == 1
    finally:
        trouble.end()
    subject.wait_ready()
    assert set(subject.tables()) == {"public.orders", "public.invoices"}
    assert [each.state for each in subject.commands()] == ["PAUSED", "RUNNING"]


def test_a_wish_waits_as_maintenance_and_is_granted_when_maintenance_ends(world: World) -> None:
    subject = world.settled([a_table("public.orders")])
    world.sim.knobs(maintenance=True)
    try:
        subject.wish(state="Paused")
        subject.wait_reason("Maintenance")
        assert subject.conditions()["Ready"] == "Unknown"
        assert subject.state() == "RUNNING"
    finally:
        world.sim.knobs(maintenance=False)
    subject.annotate(f"{constants.ANNOTATION_REQUESTED_AT}=now")
    subject.wait_reason("Paused")
    assert subject.state() == "PAUSED"


def test_a_mirror_is_not_taken_over_until_its_tables_are_shown_when_the_workers_are_down(world: World) -> None:
    orders = a_table("public.orders")
    peerdb = world.live([orders])
    world.sim.knobs(workers_down=True)
    try:
        subject = world.declare(peerdb, {"tables": [orders]})
        subject.wait_reason("ConfigUnreadable")
        assert subject.conditions() == {"Ready": "Unknown", "Synced": "Unknown"}
        assert subject.tag() == "released"
    finally:
        world.sim.knobs(workers_down=False)
    subject.wait_ready()


def test_an_edit_is_sent_once_when_its_reply_is_lost(world: World, gate: Gate) -> None:
    orders = a_table("public.orders")
    subject = world.settled([orders])
    stop = gate.stop_at(lambda call: is_command(call) and "flowConfigUpdate" in call.body, answered=True)
    subject.wish(tables=[orders, a_table("public.invoices")])
    assert stop.wait().status == 200
    stop.release()
    subject.wait_ready()
    assert set(subject.tables()) == {"public.orders", "public.invoices"}
    assert [each.added for each in subject.commands()] == [[], ["public.invoices"]]


def test_no_edit_is_sent_unrecorded_and_all_converges_when_kubernetes_is_away_in_the_middle(
    world: World, gate: Gate
) -> None:
    orders = a_table("public.orders")
    subject = world.settled([orders])
    stop = gate.stop_at(lambda call: is_command(call) and call.body["flowJobName"] == subject.peerdb, answered=True)
    subject.wish(tables=[orders, a_table("public.invoices")])
    stop.wait()
    world.cluster.stop_apiserver()
    try:
        stop.release()
        eventually(lambda: subject.world.sim.state(subject.peerdb) == "PAUSED", "the mirror is paused")
        looks = len(gate.passages)
        eventually(lambda: len(gate.passages) > looks + 10, "the operator goes on looking")
        assert [each.update for each in subject.commands()] == [None]
        assert world.operator.health("/healthz") == 200
    finally:
        world.cluster.start_apiserver()
    subject.wait_ready()
    assert [each.added for each in subject.commands() if each.update] == [["public.invoices"]]
    assert set(subject.tables()) == {"public.orders", "public.invoices"}


def test_an_outage_and_its_end_are_events_of_the_operators_pod_and_not_of_the_mirrors(make_world: MakeWorld) -> None:
    world = make_world("outage-events")
    with Gate(world.sim.gateway_url) as gate:
        world.start_operator(peerdb_url=gate.url, environ=world.pod)
        subjects = world.declare_all(5)
        before = [subject.events() for subject in subjects]
        gate.shut()
        for subject in subjects:
            subject.wait_reason("PeerDBUnavailable", "Synced")
        away = ("Warning", "PeerDBUnavailable")
        eventually(lambda: world.pod_events() == [away], "the outage is an Event of the pod")
        gate.open()
        for subject in subjects:
            subject.wait_reason("Running", "Synced")
        over = ("Normal", "Recovered")
        eventually(lambda: world.pod_events() == [away, over], "so is its end")
        assert [subject.events() for subject in subjects] == before


def test_a_hint_at_the_right_address_is_given_when_the_address_is_that_of_the_web_ui(make_world: MakeWorld) -> None:
    world = make_world("wrong-address")
    orders = a_table("public.orders")
    subject = world.declare(world.live([orders]), {"tables": [orders]})
    with world.start_operator(peerdb_url=world.sim.ui_url):
        found = subject.wait_reason("ConnectionMisconfigured")
        assert "PEERDB_URL must be the address under which /v1/... lives" in found["message"]
        assert subject.conditions() == {"Ready": "Unknown", "Synced": "Unknown", "Stalled": "True"}
    with world.start_operator():
        subject.wait_ready()


def test_all_is_refused_with_a_sentence_when_peerdb_is_too_old(make_world: MakeWorld) -> None:
    world = make_world("old-peerdb", knobs={"version": "v0.34.5"})
    subject = world.declare(world.live(), {"state": "Paused"})
    with world.start_operator():
        found = subject.wait_reason("UnsupportedPeerDB")
        assert "v0.34.5" in found["message"]
        assert "0.34.6" in found["message"]
        assert subject.conditions() == {"Ready": "False", "Synced": "Unknown", "Stalled": "True"}
        assert subject.commands() == []


def test_the_mirror_is_managed_once_the_password_file_is_right_when_it_was_wrong(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    world = make_world("password", password="right-9f3a")
    secret = tmp_path / "password"
    secret.write_text("wrong-9f3a\n")
    orders = a_table("public.orders")
    subject = world.declare(world.live([orders]), {"tables": [orders]})
    world.start_operator(peerdb_url=world.sim.ui_api_url, environ={"PEERDB_PASSWORD_FILE": str(secret)})
    found = subject.wait_reason("Unauthorized")
    assert "check PEERDB_PASSWORD or PEERDB_PASSWORD_FILE" in found["message"]
    assert subject.conditions() == {"Ready": "Unknown", "Synced": "Unknown", "Stalled": "True"}
    secret.write_text("right-9f3a\n")
    subject.wait_ready()
    subject.wish(state="Paused")
    subject.wait_reason("Paused")
    shown = [*world.operator.lines(), world.kubectl("get", "mirrors,events", "--output=yaml")]
    assert not [text for text in shown if "9f3a" in text]

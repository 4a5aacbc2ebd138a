"""Killing the operator in the middle of what it does, at a step that the test names: no test depends on luck.

The operator is held inside a call that it makes at that step (``tests/harness/gate.py``), then it gets SIGKILL, and the
call ends without an answer. Owns the steps and what PeerDB's own log says afterwards; the tests judge.
"""

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass

from tests.e2e.world import QUICK, Command, Object, Subject, World, a_table
from tests.harness.gate import Gate, Passage
from tests.harness.peerdb.process import call

KILL = 0.0
LONG_ENOUGH_TO_BE_SEEN = 3.0


@dataclass(frozen=True, slots=True)
class Moment:
    """A call in which the operator dies: before PeerDB sees it, or when PeerDB has answered but nobody has heard.

    ``phase`` is the simulator's knob for the state that the call has to meet: PeerDB takes its time in it.
    """

    is_it: Callable[[Passage], bool]
    answered: bool = True
    phase: str = ""


def asking(state: str) -> Callable[[Passage], bool]:
    """A ``state_change`` towards this state."""
    return lambda passage: (
        passage.path.endswith("mirrors/state_change") and passage.body["requestedFlowState"] == f"STATUS_{state}"
    )


def showing(state: str, table: str = "") -> Callable[[Passage], bool]:
    """A look at a mirror in this state that has this table."""
    return lambda passage: (
        passage.path.endswith("mirrors/status")
        and passage.reply.get("currentFlowState") == f"STATUS_{state}"
        and table in json.dumps(passage.reply)
    )


def writing_tags(passage: Passage) -> bool:
    """The owner tag on its way."""
    return passage.method == "POST" and "flows/tags" in passage.path


def is_gone(passage: Passage) -> bool:
    """A look at a mirror that PeerDB does not know."""
    return passage.path.endswith("mirrors/status") and passage.status == 404


def checking(passage: Passage) -> bool:
    """A precheck, which goes by a name of its own."""
    return "cdc/validate" in passage.path


@dataclass(frozen=True, slots=True)
class Plot:
    """Kills the operator of a world in the middle of what it does for one mirror, and starts the next."""

    world: World
    gate: Gate
    subject: Subject

    def prepare(self, moment: Moment) -> Callable[[], Passage]:
        """From now on the operator is held at this moment; returns what waits until it is, and kills it."""
        name = self.subject.peerdb

        def chooses(passage: Passage) -> bool:
            about_it = checking(passage) or passage.path.endswith(f"/{name}") or f"'{name}'" in str(passage.body)
            return about_it and moment.is_it(passage)

        stop = self.gate.stop_at(chooses, answered=moment.answered)
        usual = {moment.phase: QUICK[moment.phase]} if moment.phase else {}
        self.world.sim.knobs(**dict.fromkeys(usual, LONG_ENOUGH_TO_BE_SEEN))

        def kill() -> Passage:
            try:
                caught = stop.wait()
            finally:
                self.world.sim.knobs(**usual)
            self.world.operator.stop(KILL)
            stop.release()
            return caught

        return kill

    def die_at(self, moment: Moment, act: Callable[[], None]) -> Passage:
        """``act``, and the operator dies at this moment of what follows; returns the call that it died in."""
        kill = self.prepare(moment)
        act()
        return kill()

    def restart(self) -> None:
        """The next operator begins."""
        self.world.start_operator(peerdb_url=self.gate.url)

    def arrive(self, late: Passage) -> None:
        """A call that was under way when the operator died reaches PeerDB now."""
        answer = call(self.world.sim.gateway_url, late.method, late.path, json.dumps(late.body).encode())
        assert answer.status == 200


STEPS = {
    "before the check of the new table": Moment(checking, answered=False),
    "after the check of the new table": Moment(checking),
    "before the pause reaches PeerDB": Moment(asking("PAUSED"), answered=False),
    "after the pause reached PeerDB": Moment(asking("PAUSED")),
    "while PAUSING": Moment(showing("PAUSING"), phase="t_stop"),
    "when PAUSED": Moment(showing("PAUSED")),
    "after the edit reached PeerDB": Moment(asking("RUNNING")),
    "while SNAPSHOT": Moment(showing("SNAPSHOT"), phase="t_add"),
    "while MODIFYING": Moment(showing("MODIFYING"), phase="t_remove"),
    "when RUNNING": Moment(showing("RUNNING", "public.invoices")),
}

LASTING = ["after the pause reached PeerDB", "when PAUSED", "after the edit reached PeerDB", "when RUNNING"]
"""Steps that the next operator meets however long it takes to start."""


FAREWELLS = {
    "after the drop reached PeerDB": Moment(asking("TERMINATING")),
    "while TERMINATING": Moment(showing("TERMINATING"), phase="t_drop"),
    "when PeerDB no longer knows the mirror": Moment(is_gone),
}


def stay_away(subject: Subject, seconds: float) -> None:
    """As if no operator had run for so long: what is recorded as sent was sent that much earlier."""
    sent = dt.datetime.fromisoformat(subject.status()["operation"]["sentAt"])
    earlier = (sent - dt.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    subject.patch({"status": {"operation": {"sentAt": earlier}}}, "--subresource=status")


def updates(subject: Subject) -> list[Command]:
    """The edits that reached PeerDB."""
    return [each for each in subject.commands() if each.update is not None]


def drops(subject: Subject) -> list[Command]:
    """The drops that reached PeerDB."""
    return [each for each in subject.commands() if each.state == "TERMINATING"]


def state_at(subject: Subject, n: int) -> str | None:
    """What the mirror's row said when event ``n`` happened."""
    changes = [event for event in subject.world.sim.log() if event["kind"] == "state" and int(str(event["n"])) < n]
    return next((str(event["new"]) for event in reversed(changes) if event["mirror"] == subject.peerdb), None)


def waiting_in_peerdb(subject: Subject) -> list[object]:
    """Commands that PeerDB holds and that would act later."""
    found = subject.world.sim.get_mirror(subject.peerdb)
    assert found is not None
    workflow: Object = found["workflow"]  # type: ignore[assignment]  # the control API returns JSON
    held = [workflow["queuedUpdate"], workflow["applying"], *workflow["signals"], *workflow["unread"]]
    return [each for each in held if each is not None]


def assert_edited_once(subject: Subject, wish: list[Object]) -> None:
    """One update, sent while PAUSED, has brought the mirror to the wish; it runs, and nothing is left to come."""
    subject.wait_ready()
    sent = updates(subject)
    assert [(state_at(subject, each.n), each.added, each.removed) for each in sent] == [
        ("PAUSED", ["public.invoices"], ["public.tmp"])
    ], str(subject)
    assert subject.tables() == {each["source"]: each["destination"] for each in wish}
    assert subject.state() == "RUNNING"
    assert "operation" not in subject.status()
    assert waiting_in_peerdb(subject) == []


def a_mirror_to_edit(world: World) -> tuple[Subject, list[Object]]:
    """A settled mirror, and the next list for it: one table more, another one less."""
    orders = a_table("public.orders")
    return world.settled([orders, a_table("public.tmp")]), [orders, a_table("public.invoices")]


def assert_dropped(subject: Subject, times: int) -> None:
    """The mirror and its object are gone, by one request that was repeated word for word."""
    subject.wait_gone()
    assert subject.state() is None
    sent = drops(subject)
    assert [each.body for each in sent] == [sent[0].body] * times
    assert subject.commands(sent[0].n - 1) == sent

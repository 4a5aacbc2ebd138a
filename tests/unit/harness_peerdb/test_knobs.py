"""Knobs: each does what it says, and bad ones are refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tests.harness.peerdb.knobs import Knobs
from tests.harness.peerdb.process import ROOT
from tests.harness.peerdb.values import Deferred, Fault, Reply, Status
from tests.unit.harness_peerdb.building import (
    GONE,
    NAME,
    a_mirror,
    an_engine,
    change,
    changed,
    fates,
    paused,
    watch,
    wire,
)  # fmt: skip


@pytest.mark.parametrize("patch", [{"bogus": 1}, {"t_stop": -1}, {"t_stop": [3, 1]}, {"update_race": "win"},
                                   {"lose_next_signals": -1}])  # fmt: skip
def test_knob_is_refused_when_it_is_unknown_or_out_of_range(patch: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        an_engine().turn(**patch)


def test_signal_is_lost_after_a_200_when_the_knob_says_so() -> None:
    engine = an_engine(lose_next_signals=1)
    a_mirror(engine)

    assert changed(engine, "PAUSED").status == 200
    assert watch(engine) == []
    assert fates(engine, "lost") == ["STATUS_PAUSED"]
    changed(engine, "PAUSED")
    assert watch(engine) == ["PAUSING", "PAUSED"]


@pytest.mark.parametrize(
    ("knob", "update", "state"),
    [("stuck_addition", {"additionalTables": wire("c")}, "SNAPSHOT"), ("stuck_removal", {"removedTables": wire("a")},
                                                                        "MODIFYING")],
)  # fmt: skip
def test_table_change_hangs_until_the_knob_is_turned_back_when_it_is_stuck(
    knob: str, update: dict[str, object], state: str
) -> None:
    engine = an_engine()
    engine.turn(**{knob: [NAME]})
    paused(engine)

    changed(engine, "RUNNING", update)
    assert watch(engine, 3600) == [state]
    engine.turn(**{knob: False})

    assert watch(engine, 30) == ["RUNNING"]


def test_addition_ends_failed_when_the_knob_says_so() -> None:
    engine = an_engine(failing_addition=True)
    paused(engine)

    changed(engine, "RUNNING", {"additionalTables": wire("c")})

    assert watch(engine) == ["SNAPSHOT", "FAILED"]


def test_drop_hangs_with_error_lines_when_it_is_stuck() -> None:
    engine = an_engine(stuck_drop=True)
    a_mirror(engine)
    changed(engine, "TERMINATING")

    assert watch(engine, 600) == ["TERMINATING"]
    assert engine.world.journal.lines[-1].message.startswith("DropFlow Error: [DropFlowDestination]")
    engine.turn(stuck_drop=False)
    assert watch(engine, 10) == [GONE]


# -- faults on the line ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("knob", "paused_after"), [("reset_before", False), ("reset_after", True)])
def test_connection_breaks_before_or_after_the_effect_when_it_is_reset(knob: str, *, paused_after: bool) -> None:
    engine = an_engine()
    engine.turn(**{knob: 1})
    a_mirror(engine)

    reply = changed(engine, "PAUSED")
    engine.run_until(engine.now + 10)

    assert (reply.status, reply.fault) == (0, Fault.RESET)
    assert (engine.state(NAME) is Status.PAUSED) is paused_after
    assert changed(engine, "PAUSED").status == 200


def test_a_share_of_the_requests_is_refused_at_once_when_a_replica_is_broken() -> None:
    engine = an_engine(unavailable=0.5, latency=5.0)
    a_mirror(engine)

    answers = [change(engine, "PAUSED") for _ in range(100)]

    refused = [answer for answer in answers if isinstance(answer, Reply)]
    assert {answer.status for answer in refused} == {503}
    assert 30 <= len(refused) <= 70


def test_answer_is_late_and_the_effect_is_not_when_there_is_latency() -> None:
    engine = an_engine(latency=5.0)
    a_mirror(engine)
    start = engine.now

    answer = change(engine, "PAUSED")
    assert isinstance(answer, Deferred)
    assert answer.due == start + 5.0
    engine.run_until(start + 4.9)

    assert (answer.reply, engine.state(NAME)) == (None, Status.PAUSED)
    engine.run_until(start + 5.1)
    assert answer.reply is not None


def test_every_knob_is_described_when_users_read_the_page() -> None:
    page = (ROOT / "docs" / "simulator.md").read_text(encoding="utf-8")

    assert [name for name in Knobs.model_fields if f"`{name}`" not in page] == []

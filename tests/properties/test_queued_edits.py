"""Programs in which an edit waits in PeerDB's queue for the next pause, while the spec changes once more."""

import pytest

from tests.harness.peerdb.events import SignalNoted
from tests.properties.actions import Action, Annotate, Ask, Crash, Delete, Fault, Overtake, Wish, WishTables
from tests.properties.programs import Program
from tests.properties.stage import Start

Steps = tuple[tuple[float | str, Action], ...]
BOTH = (("a", "a"), ("b", "b"))
PAUSE, POKE = Ask(mirror=0, state="PAUSED"), Annotate(mirror=0, what="poke")
REMOVED = WishTables(mirror=0, tables=(("a", "a"),))
PUT_BACK, MORE = WishTables(mirror=0, tables=BOTH), Wish(mirror=0, spec=(("batchSize", 500),))
QUEUED: Steps = ((0.0, Fault("queue updates")), (10.0, Overtake(mirror=0)), (0.0, REMOVED))
"""Table b is to go; somebody resumes the mirror right before the edit, which then waits for the next pause."""


def plays(*steps: tuple[float | str, Action], policy: str = "Drop") -> list[str]:
    """Play a program; returns the updates with removals that PeerDB has queued and those that it has applied."""
    stage = Program(seed=0, starts=(Start(policy=policy),), steps=steps).play()
    signals = [one for one in stage.engine.log.events if isinstance(one, SignalNoted) and "-public." in one.signal]
    return [one.what for one in signals if one.what in {"queued", "applied"}]


@pytest.mark.parametrize("later", [0.0, 14.0])
def test_a_table_that_was_put_back_is_not_lost_by_the_pause_for_another_edit(later: float) -> None:
    assert plays(*QUEUED, ("PAUSED", POKE), ("RUNNING", PUT_BACK), (later, MORE), (60.0, PAUSE)) == ["queued"]


def test_a_table_that_was_put_back_is_not_lost_by_a_wished_pause() -> None:
    paused = Wish(mirror=0, spec=(("state", "Paused"),))
    assert plays(*QUEUED, ("PAUSED", POKE), ("RUNNING", PUT_BACK), (0.0, paused)) == ["queued"]


def test_a_table_that_was_put_back_is_not_lost_by_a_pause_that_is_repeated() -> None:
    lost = Fault("lose signal")
    steps = (*QUEUED, ("PAUSED", POKE), ("RUNNING", POKE), (3.0, lost), (4.0, PUT_BACK), (0.0, MORE), (60.0, PAUSE))
    assert plays(*steps) == ["queued"]


def test_a_table_that_was_put_back_is_not_lost_after_the_removal_was_given_up() -> None:
    first = ((0.0, Fault("lose updates")), (10.0, Overtake(mirror=0)), (0.0, REMOVED), ("PAUSED", POKE))
    second = (("RUNNING", Overtake(mirror=0)), (0.0, Fault("queue updates")), ("PAUSED", POKE), (30.0, PUT_BACK))
    assert plays(*first, *second, (0.0, MORE), (60.0, PAUSE)) == ["queued"]


@pytest.mark.parametrize("state", ["Running", "Paused"])
def test_a_table_that_was_put_back_is_not_lost_after_a_release(state: str) -> None:
    wished = Wish(mirror=0, spec=(("state", state),))
    steps = (*QUEUED, ("PAUSED", POKE), ("RUNNING", PUT_BACK), (0.0, wished), (0.0, Delete(mirror=0)), (60.0, PAUSE))
    assert plays(*steps, policy="Retain") == ["queued"]


def test_a_table_that_was_put_back_is_not_lost_after_a_restart() -> None:
    crash = Crash(down=2.0)
    steps = (*QUEUED, ("PAUSED", POKE), ("RUNNING", crash), (0.0, PUT_BACK), (1.0, MORE), (60.0, PAUSE))
    assert plays(*steps) == ["queued"]


def test_a_removal_that_is_still_wanted_goes_out_once() -> None:
    assert plays(*QUEUED, ("PAUSED", POKE), (60.0, PAUSE)) == ["queued", "applied"]

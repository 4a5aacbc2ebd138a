"""States, a closed set of PeerDB's words and OTHER; and what a command may rest on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from peerdb_operator.api.reasons import Reason
from peerdb_operator.mirror.rules.observation import NotFound, Owner, OwnerKind, State, Unknown, may_carry_command
from tests.unit.core.builders import a_look


@pytest.mark.parametrize("state", [state for state in State if state is not State.OTHER])
def test_a_known_word_is_its_state(state: State) -> None:
    assert a_look(str(state)).state is state


@pytest.mark.parametrize("word", ["UNKNOWN", "", "running", "DEFROSTING"])
def test_a_word_is_other_when_peerdb_never_used_it(word: str) -> None:
    assert a_look(word).state is State.OTHER


def test_tables_mean_what_they_say_only_at_rest() -> None:
    assert {state for state in State if state.comparable} == {State.RUNNING, State.PAUSED, State.COMPLETED}


@pytest.mark.parametrize(
    ("began", "heard", "holds"),
    [(100.0, 101.0, True), (100.0, 95.0, True), (100.0, 94.9, False), (99.9, 101.0, False), (90.0, 90.0, False)],
    ids=["fresh", "just", "too old", "before the reply", "both"],
)
def test_a_command_rests_on_what_was_asked_after_the_last_reply_and_heard_of_late(
    began: float, heard: float, *, holds: bool
) -> None:
    look = replace(a_look("PAUSED"), owner=Owner(OwnerKind.OURS), at=began, heard_at=heard)
    assert may_carry_command(look, replied_at=100.0, holds=5.0, now=100.0) is holds


def test_a_command_rests_on_nothing_that_does_not_show_the_owner() -> None:
    unasked = replace(a_look("PAUSED"), owner=Owner(OwnerKind.NOT_ASKED), at=100.0, heard_at=100.0)
    for look in (unasked, NotFound(100.0, 100.0), Unknown(Reason.PEERDB_UNAVAILABLE, "away", 100.0)):
        assert not may_carry_command(look, replied_at=0.0, holds=5.0, now=100.0)

"""States: PeerDB's words are a closed set to us, any other word is OTHER."""

from __future__ import annotations

import pytest

from peerdb_operator.core.observed import State
from tests.unit.core.builders import a_look


@pytest.mark.parametrize("state", [state for state in State if state is not State.OTHER])
def test_a_known_word_is_its_state(state: State) -> None:
    assert a_look(str(state)).state is state


@pytest.mark.parametrize("word", ["UNKNOWN", "", "running", "DEFROSTING"])
def test_a_word_is_other_when_peerdb_never_used_it(word: str) -> None:
    assert a_look(word).state is State.OTHER


def test_tables_mean_what_they_say_only_at_rest() -> None:
    assert {state for state in State if state.comparable} == {State.RUNNING, State.PAUSED, State.COMPLETED}

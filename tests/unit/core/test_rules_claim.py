"""Whose mirror it is: no word and no write before that is known, no take-over that takes anything away."""

from __future__ import annotations

import pytest

from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import Bounds
from peerdb_operator.mirror.rules.conditions import ConditionChange
from peerdb_operator.mirror.rules.decision import Adopt, Observe, Pause
from peerdb_operator.mirror.rules.observation import Found, Owner, State
from tests.unit.core.builders import (
    CREATED,
    GENERATION,
    NOBODYS,
    NOW,
    OTHERS,
    OURS,
    RECREATED,
    RELEASED,
    a_blind_look,
    a_case,
    a_config,
    a_light_look,
    a_look,
    a_mirror,
    a_wish,
    an_operation,
    decision_of,
    reason_of,
)

FRESH = Bounds(generation=GENERATION)
UNADOPTED = {"has_finalizer": False, "tables_accepted": False, "observed_generation": -1, "reason": ""}
LONG_UNOWNED = {"untagged": (CREATED, NOW - 60), "owner": (CREATED, NOBODYS)}


@pytest.mark.parametrize("owner", [RELEASED, NOBODYS, OTHERS])
def test_the_younger_of_two_mirrors_never_touches_what_the_older_claims(owner: Owner) -> None:
    decision = decision_of(a_case(a_mirror("public.new"), a_look(owner=owner), situation={"older_claim": "data/older"}))
    assert (reason_of(decision), decision.action, decision.requeue.after) == (Reason.NAME_CONFLICT, None, 60.0)
    assert decision.verdict is not None
    assert "data/older" in decision.verdict.message


def test_the_owner_tag_outranks_ages_because_clocks_of_api_servers_differ() -> None:
    claimed = {"older_claim": "data/older"}
    assert decision_of(a_case(look=a_look(), situation=claimed)) == decision_of(a_case(look=a_look()))
    settled = a_case(look=a_light_look(), history={"owner": (CREATED, OURS)}, situation=claimed)
    assert reason_of(decision_of(settled)) is not Reason.NAME_CONFLICT


def test_a_mirror_of_another_owner_is_never_touched() -> None:
    decision = decision_of(a_case(a_mirror("public.new"), a_look(owner=OTHERS), operation=an_operation()))
    assert (reason_of(decision), decision.action) == (Reason.MIRROR_NOT_OWNED, None)
    assert decision.journal.operation is None
    assert decision.verdict is not None
    assert OTHERS.value in decision.verdict.message


@pytest.mark.parametrize("state", [State.RUNNING, State.SNAPSHOT, State.FAILED])
def test_a_light_look_keeps_the_owner_that_was_read_last(state: State) -> None:
    case = a_case(look=a_light_look(state), history={"owner": (CREATED, OTHERS)}, bounds=FRESH)
    assert reason_of(decision_of(case)) is Reason.MIRROR_NOT_OWNED


@pytest.mark.parametrize("known", [None, (RECREATED, OURS)])
@pytest.mark.parametrize("state", [State.RUNNING, State.SNAPSHOT, State.FAILED, State.COMPLETED])
def test_the_owner_is_read_before_a_word_is_said_about_a_mirror_never_settled(
    state: State, known: tuple[str, Owner] | None
) -> None:
    decision = decision_of(a_case(look=a_light_look(state), history={"owner": known}, bounds=FRESH))
    assert (decision.action, decision.verdict) == (Observe(), None)


def test_a_query_replication_mirror_is_refused() -> None:
    decision = decision_of(a_case(look=a_look(supported=False)))
    assert (reason_of(decision), decision.action) == (Reason.UNSUPPORTED_MIRROR, None)


# First contact.


@pytest.mark.parametrize("state", [State.RUNNING, State.PAUSED, State.COMPLETED])
@pytest.mark.parametrize("owner", [NOBODYS, RELEASED])
def test_a_mirror_of_nobody_is_taken_over_when_that_takes_nothing_away(state: State, owner: Owner) -> None:
    look = a_look(state, a_config("public.a"), owner=owner)
    case = a_case(a_mirror("public.a", "public.b"), look, bounds=FRESH, history=LONG_UNOWNED, situation=UNADOPTED)
    decision = decision_of(case)
    assert (decision.action, decision.requeue.after) == (Adopt(), 0.0)
    assert decision.note.startswith('the PeerDB mirror "orders" is ours')


@pytest.mark.parametrize(
    "state",
    [State.SETUP, State.SNAPSHOT, State.PAUSING, State.MODIFYING, State.RESYNC, State.TERMINATING, State.FAILED],
)
def test_a_mirror_of_nobody_is_not_taken_over_on_the_way(state: State) -> None:
    look = a_look(state, owner=NOBODYS)
    decision = decision_of(a_case(look=look, bounds=FRESH, history=LONG_UNOWNED, situation=UNADOPTED))
    assert decision.action is None


@pytest.mark.parametrize(("since", "wait"), [(None, 5.0), ((CREATED, NOW), 5.0), ((CREATED, NOW - 3), 2.0)])
def test_a_missing_tag_is_believed_only_when_read_twice_some_seconds_apart(
    since: tuple[str, float] | None, wait: float
) -> None:
    decision = decision_of(a_case(look=a_look(owner=NOBODYS), history={"untagged": since}, situation=UNADOPTED))
    assert (decision.action, decision.verdict, decision.requeue.after) == (None, None, wait)


@pytest.mark.parametrize(
    ("wish", "words"),
    [("public.b", "remove public.a"), (a_wish("public.a", "elsewhere"), "change the mapping of public.a")],
)
def test_a_mirror_is_not_taken_over_when_that_would_take_a_table_away(wish: str, words: str) -> None:
    look = a_look(config=a_config("public.a"), owner=NOBODYS)
    decision = decision_of(a_case(a_mirror(wish), look, history=LONG_UNOWNED, situation=UNADOPTED))
    assert (reason_of(decision), decision.action) == (Reason.ADOPTION_CONFLICT, None)
    assert decision.verdict is not None
    assert words in decision.verdict.message


def test_a_mirror_is_not_taken_over_before_its_tables_can_be_compared() -> None:
    case = a_case(look=a_blind_look(owner=NOBODYS), bounds=FRESH, history=LONG_UNOWNED, situation=UNADOPTED)
    decision = decision_of(case)
    assert (reason_of(decision), decision.action) == (Reason.CONFIG_UNREADABLE, None)
    assert decision.verdict is not None
    assert "tables: PeerDB failed inside: no poller seen (are its workers up?); it is taken" in decision.verdict.message
    assert decision.verdict.ready is ConditionChange.UNKNOWN


def test_a_mirror_is_taken_over_blindly_when_only_its_run_state_is_managed() -> None:
    case = a_case(a_mirror(tables=None), a_blind_look(owner=NOBODYS), history=LONG_UNOWNED, situation=UNADOPTED)
    assert decision_of(case).action == Adopt()


@pytest.mark.parametrize("state", [State.RUNNING, State.SNAPSHOT])
def test_a_mirror_of_ours_gets_the_finalizer_back_that_somebody_removed(state: State) -> None:
    assert decision_of(a_case(look=a_look(state), situation={"has_finalizer": False})).action == Adopt()


# The first list of a Mirror that had none.


@pytest.mark.parametrize(
    ("look", "runs"), [(a_look(config=a_config("public.a")), True), (a_look(State.PAUSED, a_config("public.a")), False)]
)
def test_a_first_list_is_not_accepted_when_it_would_take_a_table_away(look: Found, *, runs: bool) -> None:
    decision = decision_of(a_case(a_mirror("public.b", runs=runs), look, situation={"tables_accepted": False}))
    assert (reason_of(decision), decision.action, decision.accept_tables) == (Reason.ADOPTION_CONFLICT, None, False)


def test_a_first_list_that_is_not_accepted_does_not_keep_the_state_from_being_obeyed() -> None:
    case = a_case(
        a_mirror("public.b", runs=False),
        a_look(config=a_config("public.a")),
        situation={"tables_accepted": False},
    )
    decision = decision_of(case)
    assert isinstance(decision.action, Pause)
    assert (reason_of(decision), decision.accept_tables) == (Reason.ADOPTION_CONFLICT, False)


def test_a_first_list_that_takes_nothing_away_is_accepted_even_if_its_additions_are_refused() -> None:
    mirror = a_mirror("public.orders", a_wish("public.b", "t"), a_wish("public.c", "t"))
    decision = decision_of(a_case(mirror, situation={"tables_accepted": False}))
    assert (reason_of(decision), decision.accept_tables) == (Reason.DESTINATION_IN_USE, True)

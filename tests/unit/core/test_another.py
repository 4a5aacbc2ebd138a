"""Another mirror under the name of the one that status speaks of: nothing said of the old one holds."""

from __future__ import annotations

import pytest

from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import Correction, Step
from peerdb_operator.mirror.rules.conditions import ConditionChange
from peerdb_operator.mirror.rules.decision import Observe, SendUpdate
from peerdb_operator.mirror.rules.history import History, record_reading
from peerdb_operator.mirror.rules.journal import Journal
from peerdb_operator.mirror.rules.observation import Found, Observation, Owner, Reading, State, Unknown
from tests.unit.core.builders import (
    CREATED,
    NOBODYS,
    NOW,
    OTHERS,
    OURS,
    RECREATED,
    a_blind_look,
    a_case,
    a_config,
    a_history,
    a_light_look,
    a_look,
    a_mirror,
    an_operation,
    an_outage,
    decision_of,
    reason_of,
    settled_bounds,
)

KNOWN = {"mirror_created_at": CREATED}


def remembered(history: History, look: Reading) -> History:
    return record_reading(history, look, wants_running=True, gap=5.0, now=NOW)[0]


@pytest.mark.parametrize(
    "look",
    [
        a_look(created_at=RECREATED, owner=NOBODYS),
        a_look(State.FAILED, created_at=RECREATED),
        a_look("SOMETHING", created_at=RECREATED),
        a_blind_look(created_at=RECREATED),
    ],
)
def test_ready_is_unknown_as_long_as_there_is_no_verdict_on_the_new_mirror(look: Found) -> None:
    decision = decision_of(a_case(look=look, history={"word_since": NOW}, situation=KNOWN))
    assert reason_of(decision) is Reason.SETTING_UP
    assert decision.verdict is not None
    assert decision.verdict.ready is ConditionChange.UNKNOWN
    assert decision.action is None


def test_the_verdict_on_the_new_mirror_is_told_when_there_is_one() -> None:
    decision = decision_of(a_case(look=a_look(created_at=RECREATED, owner=OTHERS), situation=KNOWN))
    assert reason_of(decision) is Reason.MIRROR_NOT_OWNED


def test_a_light_look_at_the_new_mirror_is_followed_by_a_full_one() -> None:
    case = a_case(look=a_light_look(created_at=RECREATED), situation=KNOWN)
    assert isinstance(decision_of(case).action, Observe)


def test_the_journal_of_the_old_mirror_is_closed_and_its_bounds_are_forgotten() -> None:
    bounds = settled_bounds(goal="hash", attempts=2, not_before=NOW + 600, corrections=(Correction("d", NOW - 1),))
    for state in (State.SNAPSHOT, State.PAUSED, State.RUNNING):
        case = a_case(
            a_mirror("public.orders", "public.new"),
            a_look(state, created_at=RECREATED),
            operation=an_operation(Step.EDIT),
            bounds=bounds,
            situation=KNOWN,
        )
        journal = decision_of(case).journal
        assert journal.operation is None
        assert (journal.bounds.attempts, journal.bounds.corrections, journal.bounds.settled) == (0, (), None)


def test_the_same_mirror_keeps_its_journal() -> None:
    bounds = settled_bounds(attempts=2, goal="hash", not_before=NOW + 600)
    decision = decision_of(a_case(bounds=bounds, situation=KNOWN))
    assert decision.journal == Journal(None, bounds)
    assert reason_of(decision) is Reason.RUNNING


@pytest.mark.parametrize("look", [an_outage(), an_outage(Reason.MAINTENANCE), a_look(created_at=RECREATED)])
def test_ready_is_unknown_when_the_list_has_shown_another_mirror_that_cannot_be_looked_at(look: Observation) -> None:
    since = {"unknown_since": NOW - 60} if isinstance(look, Unknown) else {}
    decision = decision_of(a_case(look=look, history={"replaced": True, **since}, situation=KNOWN))
    assert decision.verdict is not None
    assert (decision.verdict.ready is ConditionChange.UNKNOWN) is isinstance(look, Unknown)
    assert not isinstance(decision.action, SendUpdate)
    if isinstance(look, Unknown):
        assert decision.journal.bounds == settled_bounds(), "what the list shows moves no journal"


@pytest.mark.parametrize("owner", [NOBODYS, OTHERS])
def test_a_light_look_never_confirms_a_verdict_on_a_mirror_that_is_not_ours(owner: Owner) -> None:
    case = a_case(look=a_light_look(), history={"owner": (CREATED, owner)})
    assert reason_of(decision_of(case)) is not Reason.RUNNING


# -- what is remembered ----------------------------------------------------------------------------------------------


def test_everything_learned_of_the_old_mirror_is_forgotten_with_a_look_at_the_new_one() -> None:
    old = a_history(
        a_look(State.PAUSED),
        created_at=CREATED,
        orphaned=True,
        pausing_seen=True,
        paused_since=NOW - 100,
        blocked=(3, Reason.PRECHECK_FAILED, "x"),
        replaced=True,
        sent_at=NOW - 9,
    )
    new = remembered(old, a_light_look(created_at=RECREATED))
    assert (new.created_at, new.word, new.word_since) == (RECREATED, "RUNNING", NOW)
    assert (new.orphaned, new.pausing_seen, new.paused_since, new.blocked) == (False, False, None, None)
    assert (new.owner, new.replaced, new.changed_since_full) == (None, False, True)
    assert new.sent_at == NOW - 9, "when a command was sent does not depend on what became of the mirror"


@pytest.mark.parametrize(
    ("created", "kept"), [(CREATED, True), ("2100-01-01T00:00:00Z", False), ("no time at all", True)]
)
def test_an_error_older_than_the_mirror_is_not_its_own(created: str, *, kept: bool) -> None:
    old = a_history(a_look(), error=("broken", NOW))
    assert (remembered(old, a_look(config=a_config(), created_at=created)).error is not None) is kept


def test_a_command_that_went_to_the_new_mirror_stays_in_flight() -> None:
    running = a_look(created_at=RECREATED, owner=OURS)
    sent = an_operation(Step.PAUSE, created_at=RECREATED)
    kept = decision_of(a_case(look=running, operation=sent, situation=KNOWN))
    assert kept.journal.operation == sent
    old = decision_of(a_case(look=running, operation=an_operation(Step.PAUSE), situation=KNOWN))
    assert old.journal.operation is None

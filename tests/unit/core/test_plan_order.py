"""The order of the rules: the first that matches wins, and for each pair where both match a case says which."""

from __future__ import annotations

from dataclasses import replace

import pytest

from peerdb_operator.api.mirror import DeletionPolicy
from peerdb_operator.api.status import Bounds, Step
from peerdb_operator.mirror.rules import steps
from peerdb_operator.mirror.rules.change import precheck_key
from peerdb_operator.mirror.rules.decide import RULES, follow
from peerdb_operator.mirror.rules.decision import Decision
from peerdb_operator.mirror.rules.finalize import DELETION
from peerdb_operator.mirror.rules.observation import State
from peerdb_operator.mirror.rules.state import Case
from tests.unit.core.builders import (
    CREATED,
    GENERATION,
    NOBODYS,
    NOW,
    OTHERS,
    RELEASED,
    Deletion,
    a_blind_look,
    a_case,
    a_config,
    a_deletion,
    a_light_look,
    a_look,
    a_mirror,
    a_passed_precheck,
    an_absence,
    an_edit_of,
    an_operation,
    an_outage,
    an_owner_look,
    decision_of,
    deletion_of,
    edit_to,
)

NAMES = [rule.__name__ for rule in RULES]
DELETION_NAMES = [rule.__name__ for rule in DELETION]

FRESH = Bounds(GENERATION)
FROZEN = {"frozen": True}
CLAIMED = {"older_claim": "data/older"}
UNADOPTED = {"has_finalizer": False}
LIVE, MORE_LIVE = a_config("public.a"), a_config("public.a", "public.b")
AS_IT_IS, MORE = a_mirror("public.a"), a_mirror("public.a", "public.b")
MORE_PAUSED = a_mirror("public.a", "public.b", runs=False)
PASSED = a_passed_precheck(precheck_key(edit_to(MORE, LIVE), MORE))
RUNS, STANDS = a_look(config=LIVE), a_look(State.PAUSED, LIVE)
ORPHAN = {"orphaned": True, "sent_at": NOW - 30}
LONG_STOP = {"paused_since": NOW - 120}
JUST_RESUMED = {**LONG_STOP, "sent_at": NOW - 5}
GAVE_UP = {"paused_for": 120.0}
SHAKY = {"peerdb_reliable": False}
LONG_FAILED = {"broken_since": NOW - 60}
UNOWNED = {"untagged": (CREATED, NOW - 60)}
FAILED, COPYING = a_look(State.FAILED), a_look(State.SNAPSHOT)
ARMED = an_edit_of(LIVE, MORE_LIVE, age=60)
STUCK = an_operation(Step.RESUME, age=20)
SLOW_PAUSE = an_operation(Step.PAUSE, age=20)


def test_a_list_of_rules_that_does_not_end_with_one_for_every_case_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="every case"):
        follow((), a_case())


# In each case both rules have an answer, and not the same one.
PAIRS = [
    ("frozen", "unknown", a_case(look=an_outage(), situation=FROZEN, history={"unknown_since": NOW - 60})),
    ("frozen", "unknown_state", a_case(look=a_light_look("ODD"), situation=FROZEN)),
    ("frozen", "absent", a_case(look=an_absence(), situation=FROZEN)),
    ("frozen", "older_claim", a_case(look=a_look(owner=OTHERS), situation={**FROZEN, **CLAIMED})),
    ("frozen", "in_flight", a_case(AS_IT_IS, RUNS, operation=an_operation(), situation=FROZEN)),
    ("frozen", "pause_as_desired", a_case(MORE_PAUSED, RUNS, situation=FROZEN)),
    ("unknown_state", "older_claim", a_case(look=a_look("ODD", owner=OTHERS), situation=CLAIMED)),
    ("unknown_state", "unread_owner", a_case(look=a_light_look("ODD"), bounds=FRESH, history={"owner": None})),
    ("unknown_state", "other_owner", a_case(look=a_look("ODD", owner=OTHERS))),
    ("unknown_state", "observe_fully", a_case(look=a_light_look("ODD"))),
    (
        "older_claim",
        "unread_owner",
        a_case(look=a_light_look(), bounds=FRESH, history={"owner": None}, situation=CLAIMED),
    ),
    ("older_claim", "other_owner", a_case(look=a_look(owner=OTHERS), situation=CLAIMED)),
    ("older_claim", "first_contact", a_case(look=a_look(owner=RELEASED), situation={**CLAIMED, **UNADOPTED})),
    ("older_claim", "in_transition", a_case(look=a_look(State.SNAPSHOT, owner=RELEASED), situation=CLAIMED)),
    ("unread_owner", "unsupported", a_case(look=a_light_look(supported=False), bounds=FRESH, history={"owner": None})),
    ("unread_owner", "failed", a_case(look=a_light_look(State.FAILED), bounds=FRESH, history={"owner": None})),
    ("unread_owner", "in_transition", a_case(look=a_light_look(State.SNAPSHOT), bounds=FRESH, history={"owner": None})),
    ("other_owner", "unsupported", a_case(look=a_look(owner=OTHERS, supported=False))),
    ("other_owner", "failed", a_case(look=a_look(State.FAILED, owner=OTHERS), history=LONG_FAILED)),
    ("other_owner", "completed", a_case(look=a_look(State.COMPLETED, owner=OTHERS))),
    ("other_owner", "in_transition", a_case(look=a_look(State.SNAPSHOT, owner=OTHERS))),
    ("other_owner", "pause_as_desired", a_case(MORE_PAUSED, a_look(config=LIVE, owner=OTHERS))),
    ("unsupported", "first_contact", a_case(look=a_look(owner=RELEASED, supported=False))),
    ("unsupported", "in_transition", a_case(look=a_look(State.PAUSING, supported=False))),
    ("unsupported", "pause_as_desired", a_case(MORE_PAUSED, a_look(config=LIVE, supported=False))),
    ("first_contact", "completed", a_case(look=a_look(State.COMPLETED, owner=NOBODYS), history=UNOWNED)),
    ("first_contact", "in_transition", a_case(look=COPYING, situation=UNADOPTED)),
    ("first_contact", "pause_as_desired", a_case(MORE_PAUSED, a_look(config=LIVE, owner=NOBODYS), history=UNOWNED)),
    ("quiet", "completed", a_case(look=a_light_look(State.COMPLETED), situation={"reason": "Completed"})),
    ("quiet", "observe_fully", a_case(look=a_light_look())),
    ("failed", "observe_fully", a_case(look=a_light_look(State.FAILED), history=LONG_FAILED)),
    ("in_transition", "observe_fully", a_case(look=a_light_look(State.PAUSING))),
    ("in_transition", "in_flight", a_case(AS_IT_IS, COPYING, operation=ARMED)),
    ("orphaned", "observe_fully", a_case(look=a_light_look(), bounds=FRESH, history=ORPHAN)),
    (
        "orphaned",
        "in_flight",
        a_case(
            MORE_PAUSED, RUNS, operation=an_operation(Step.PAUSE, age=20.0), history={**ORPHAN, "sent_at": NOW - 10}
        ),
    ),
    ("orphaned", "pause_as_desired", a_case(MORE_PAUSED, RUNS, history=ORPHAN)),
    ("observe_fully", "in_flight", a_case(AS_IT_IS, a_light_look(), operation=an_operation(Step.PAUSE))),
    ("observe_fully", "pause_as_desired", a_case(MORE_PAUSED, a_light_look())),
    ("in_flight", "pause_as_desired", a_case(MORE_PAUSED, RUNS, operation=an_operation(Step.PAUSE))),
    (
        "in_flight",
        "edit",
        a_case(MORE, STANDS, operation=an_operation(), history={"precheck": PASSED, "confirmed": True}),
    ),
    ("wait_out", "paused_as_desired", a_case(MORE_PAUSED, STANDS, operation=STUCK)),
    ("wait_out", "wait_for_config", a_case(MORE_PAUSED, a_blind_look(State.PAUSED), operation=STUCK)),
    ("wait_out", "edit", a_case(MORE, STANDS, operation=STUCK, history={"precheck": PASSED, "confirmed": True})),
    ("wait_out", "settled", a_case(AS_IT_IS, RUNS, operation=SLOW_PAUSE)),
    ("paused_as_desired", "pause_as_desired", a_case(MORE_PAUSED, STANDS)),
    ("paused_as_desired", "edit", a_case(MORE_PAUSED, STANDS, history={"precheck": PASSED, "confirmed": True})),
    ("paused_as_desired", "wait_for_config", a_case(MORE_PAUSED, a_blind_look(State.PAUSED))),
    ("paused_as_desired", "resume", a_case(replace(AS_IT_IS, state=MORE_PAUSED.state), STANDS)),
    ("pause_as_desired", "pause_to_edit", a_case(MORE_PAUSED, RUNS, history={"precheck": PASSED})),
    ("pause_as_desired", "settled", a_case(replace(AS_IT_IS, state=MORE_PAUSED.state), RUNS)),
    ("wait_for_answers", "pause_to_edit", a_case(MORE, RUNS, history={"precheck": PASSED, **GAVE_UP}, situation=SHAKY)),
    ("pause_to_edit", "settled", a_case(MORE, RUNS, history={"precheck": PASSED})),
    ("orphaned", "resume_after_patience", a_case(MORE, STANDS, history={**ORPHAN, **LONG_STOP})),
    ("resume_after_patience", "observe_fully", a_case(MORE, an_owner_look(State.PAUSED), history=LONG_STOP)),
    ("resume_after_patience", "in_flight", a_case(MORE, STANDS, operation=ARMED, history=LONG_STOP)),
    (
        "resume_after_patience",
        "wait_for_config",
        a_case(MORE, a_blind_look(State.PAUSED), history={"unreadable_since": NOW, **JUST_RESUMED}),
    ),
    ("resume_after_patience", "resume", a_case(MORE, STANDS, history={"precheck": PASSED, **JUST_RESUMED})),
    ("wait_for_config", "resume", a_case(MORE, a_blind_look(State.PAUSED), history={"unreadable_since": NOW})),
    ("edit", "resume", a_case(MORE, STANDS, history={"precheck": PASSED, "confirmed": True})),
    ("resume", "settled", a_case(AS_IT_IS, STANDS)),
]


RETAIN = a_mirror(deletion_policy=DeletionPolicy.RETAIN)
DROPPED = an_operation(Step.DROP, age=90)
UNREAD = a_deletion(crd_terminating=None)
BRAKED = a_deletion(drop_wait=60.0)
GOING = a_deletion()
DELETION_PAIRS = [
    ("unfinished", "frozen", a_case(situation={**FROZEN, **UNADOPTED}), GOING),
    ("unfinished", "release", a_case(RETAIN, situation=UNADOPTED), GOING),
    ("unfinished", "drop", a_case(situation=UNADOPTED), GOING),
    ("frozen", "release", a_case(RETAIN, a_look(State.PAUSED), situation=FROZEN), GOING),
    ("frozen", "stay_when_blind", a_case(situation=FROZEN), UNREAD),
    ("frozen", "gone", a_case(look=an_absence(), situation=FROZEN), GOING),
    ("frozen", "repeat", a_case(operation=DROPPED, situation=FROZEN), GOING),
    ("frozen", "drop", a_case(situation=FROZEN), GOING),
    ("release", "stay_when_blind", a_case(RETAIN, an_outage()), GOING),
    ("release", "gone", a_case(RETAIN, an_absence(), operation=DROPPED), GOING),
    ("release", "observe_fully", a_case(RETAIN, a_light_look(), operation=DROPPED), GOING),
    ("release", "not_ours", a_case(RETAIN, a_look(owner=OTHERS), operation=DROPPED), GOING),
    ("release", "under_way", a_case(RETAIN, a_look(State.TERMINATING)), GOING),
    ("release", "repeat", a_case(RETAIN, operation=DROPPED), GOING),
    ("release", "drop", a_case(RETAIN), GOING),
    ("stay_when_blind", "gone", a_case(look=an_absence()), UNREAD),
    ("stay_when_blind", "observe_fully", a_case(look=a_light_look()), UNREAD),
    ("stay_when_blind", "not_ours", a_case(look=a_look(owner=OTHERS)), UNREAD),
    ("stay_when_blind", "repeat", a_case(operation=DROPPED), UNREAD),
    ("stay_when_blind", "drop", a_case(), UNREAD),
    ("observe_fully", "not_ours", a_case(look=a_light_look()), GOING),
    ("observe_fully", "under_way", a_case(look=a_light_look(State.TERMINATING)), GOING),
    ("observe_fully", "drop", a_case(look=a_light_look()), GOING),
    ("not_ours", "wait_for_flight", a_case(look=a_look(State.PAUSED, owner=OTHERS), operation=an_operation()), GOING),
    ("not_ours", "under_way", a_case(look=a_look(State.TERMINATING, owner=OTHERS)), GOING),
    ("not_ours", "repeat", a_case(look=a_look(owner=OTHERS), operation=DROPPED), GOING),
    ("not_ours", "drop_rate_limit", a_case(look=a_look(owner=OTHERS)), BRAKED),
    ("not_ours", "drop", a_case(look=a_look(owner=OTHERS)), GOING),
    ("wait_for_flight", "drop_rate_limit", a_case(look=a_look(State.PAUSED), operation=an_operation()), BRAKED),
    ("wait_for_flight", "drop", a_case(look=a_look(State.PAUSED), operation=an_operation()), GOING),
    ("under_way", "repeat", a_case(look=a_look(State.TERMINATING), operation=DROPPED), GOING),
    ("under_way", "drop_rate_limit", a_case(look=a_look(State.TERMINATING)), BRAKED),
    ("under_way", "drop", a_case(look=a_look(State.TERMINATING)), GOING),
    ("repeat", "drop_rate_limit", a_case(operation=DROPPED), BRAKED),
    ("repeat", "drop", a_case(operation=DROPPED), GOING),
    ("drop_rate_limit", "drop", a_case(), BRAKED),
]


def gist(decision: Decision) -> object:
    """What the world notices of a decision."""
    return decision.rule, decision.action, decision.verdict, decision.requeue


def answer_of(name: str, case: Case) -> Decision:
    """The plan of one rule alone; those below the comparison get the case as it leaves it."""
    position = NAMES.index(name)
    known = steps.compare(case) if position > NAMES.index("compare") else case
    answer = RULES[position](known)
    assert isinstance(answer, Decision), f"{name} has no answer"
    return answer


@pytest.mark.parametrize(("first", "second", "case"), PAIRS, ids=[f"{first}<{second}" for first, second, _ in PAIRS])
def test_one_rule_wins_over_the_other_when_both_match(first: str, second: str, case: Case) -> None:
    winner, loser = answer_of(first, case), answer_of(second, case)
    assert gist(winner) != gist(loser)
    assert gist(decision_of(case)) == gist(winner)


def parting_answer_of(name: str, case: Case, deletion: Deletion) -> Decision:
    """The plan of one rule of the deletion alone."""
    answer = DELETION[DELETION_NAMES.index(name)](deletion.of(case))
    assert isinstance(answer, Decision), f"{name} has no answer"
    return answer


@pytest.mark.parametrize(
    ("first", "second", "case", "deletion"),
    DELETION_PAIRS,
    ids=[f"{first}<{second}" for first, second, _, _ in DELETION_PAIRS],
)
def test_one_rule_of_a_deletion_wins_over_the_other_when_both_match(
    first: str, second: str, case: Case, deletion: Deletion
) -> None:
    winner, loser = parting_answer_of(first, case, deletion), parting_answer_of(second, case, deletion)
    assert gist(winner) != gist(loser)
    assert gist(deletion_of(case, deletion)) == gist(winner)

"""What becomes of a command in flight: the table of closing an operation, row by row."""

from __future__ import annotations

import pytest

from peerdb_operator.api.status import Operation, Step
from peerdb_operator.mirror.rules.journal import Finding, judge
from peerdb_operator.mirror.rules.observation import Found, State
from peerdb_operator.peerdb.models import MirrorConfig
from tests.unit.core.builders import (
    LIMITS,
    NOW,
    a_blind_look,
    a_config,
    a_history,
    a_look,
    a_streak,
    an_edit_of,
    an_operation,
)

BEFORE, AFTER, NEITHER = a_config("public.a"), a_config("public.a", "public.b"), a_config("public.z")


def judged(operation: Operation, look: Found, **history: object) -> Finding:
    return judge(operation, look, a_history(look, **history), LIMITS, NOW)


def judged_paused(
    config: MirrorConfig, *, age: float, lasts: float = 0.0, count: int = 2, accepted: bool = True
) -> Finding:
    look = a_look(State.PAUSED, config)
    operation = an_edit_of(BEFORE, AFTER, age=age, accepted=accepted)
    return judged(operation, look, streak=a_streak(State.PAUSED, config, lasts=lasts, count=count))


@pytest.mark.parametrize(("step", "state"), [(Step.PAUSE, State.PAUSED), (Step.RESUME, State.RUNNING)])
def test_a_pause_or_resume_is_effective_when_the_state_says_so(step: Step, state: State) -> None:
    assert judged(an_operation(step), a_look(state)) is Finding.EFFECTIVE


@pytest.mark.parametrize("step", [Step.PAUSE, Step.RESUME])
@pytest.mark.parametrize(
    ("age", "finding"),
    [(14.9, Finding.WAIT), (15.0, Finding.RESEND), (29.9, Finding.RESEND), (30.0, Finding.NOT_EFFECTIVE)],
)
def test_a_pause_or_resume_without_effect_is_sent_again_and_then_forgotten(
    step: Step, age: float, finding: Finding
) -> None:
    state = State.RUNNING if step is Step.PAUSE else State.PAUSED
    assert judged(an_operation(step, age=age), a_look(state)) is finding


def test_a_pause_sent_again_a_moment_ago_is_not_sent_again() -> None:
    assert judged(an_operation(Step.PAUSE, age=20), a_look(), sent_at=NOW - 5) is Finding.WAIT


def test_a_pause_was_eaten_when_pausing_was_seen_and_the_mirror_runs_again() -> None:
    assert judged(an_operation(Step.PAUSE), a_look(), pausing_seen=True) is Finding.NOT_EFFECTIVE


def test_a_pause_is_effective_when_pausing_was_seen_and_the_mirror_is_paused() -> None:
    assert judged(an_operation(Step.PAUSE), a_look(State.PAUSED), pausing_seen=True) is Finding.EFFECTIVE


def test_an_edit_is_proven_when_the_mirror_runs_with_its_goal() -> None:
    assert judged(an_edit_of(BEFORE, AFTER), a_look(config=AFTER)) is Finding.EFFECTIVE


@pytest.mark.parametrize("config", [BEFORE, NEITHER])
@pytest.mark.parametrize(
    ("accepted", "age", "finding"),
    [(True, 4.9, Finding.WAIT), (True, 5.0, Finding.ARMED), (False, 29.9, Finding.WAIT), (False, 30.0, Finding.ARMED)],
)
def test_an_edit_is_lost_or_armed_when_the_mirror_runs_without_its_goal(
    config: MirrorConfig, *, accepted: bool, age: float, finding: Finding
) -> None:
    assert judged(an_edit_of(BEFORE, AFTER, age=age, accepted=accepted), a_look(config=config)) is finding


@pytest.mark.parametrize("state", [State.RUNNING, State.PAUSED])
def test_an_edit_waits_when_the_config_cannot_be_read(state: State) -> None:
    assert judged(an_edit_of(BEFORE, AFTER, age=100), a_blind_look(state)) is Finding.WAIT


@pytest.mark.parametrize(
    ("age", "count", "finding"),
    [(4.9, 2, Finding.WAIT), (5.0, 1, Finding.WAIT), (5.0, 2, Finding.EFFECTIVE)],
)
def test_an_edit_is_proven_in_paused_by_two_looks_five_seconds_after_it(
    age: float, count: int, finding: Finding
) -> None:
    assert judged_paused(AFTER, age=age, count=count) is finding


@pytest.mark.parametrize(
    ("age", "lasts", "finding"),
    [(30.0, 4.9, Finding.WAIT), (29.9, 5.0, Finding.WAIT), (30.0, 5.0, Finding.NOT_EFFECTIVE)],
)
@pytest.mark.parametrize("accepted", [True, False])
def test_an_edit_was_not_delivered_when_paused_shows_the_old_config_for_long(
    age: float, lasts: float, finding: Finding, *, accepted: bool
) -> None:
    assert judged_paused(BEFORE, age=age, lasts=lasts, accepted=accepted) is finding


@pytest.mark.parametrize(
    ("age", "count", "finding"),
    [(4.9, 2, Finding.WAIT), (5.0, 1, Finding.WAIT), (5.0, 2, Finding.NOT_EFFECTIVE)],
)
def test_somebody_else_has_edited_when_paused_shows_a_third_config_twice(
    age: float, count: int, finding: Finding
) -> None:
    assert judged_paused(NEITHER, age=age, count=count) is finding


def test_an_edit_waits_in_paused_when_no_run_of_looks_is_remembered() -> None:
    assert judged(an_edit_of(BEFORE, AFTER, age=100), a_look(State.PAUSED, AFTER)) is Finding.WAIT


@pytest.mark.parametrize("state", [State.RUNNING, State.PAUSED])
def test_a_drop_waits_whatever_is_seen(state: State) -> None:
    assert judged(an_operation(Step.DROP, age=1000), a_look(state)) is Finding.WAIT

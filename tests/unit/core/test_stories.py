"""Whole courses of events: which commands they take, and how many writes to Kubernetes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from peerdb_operator.api.reasons import Reason
from peerdb_operator.mirror.rules.decision import SendUpdate
from peerdb_operator.mirror.rules.observation import State, Unreadable
from peerdb_operator.peerdb.models import ConfigUpdate, MirrorConfig
from tests.unit.core.builders import NO_WORKERS, a_config, a_light_look, a_mirror, a_wish, an_outage
from tests.unit.core.story import EventRecorder, a_fresh_story, a_settled_story

LIVE, MORE_LIVE = a_config("public.a"), a_config("public.a", "public.b")
AS_IT_IS, MORE = a_mirror("public.a"), a_mirror("public.a", "public.b")
PAUSED = a_mirror("public.a", runs=False)


def goes_through(
    story: EventRecorder, state: State, config: MirrorConfig | Unreadable, *, lasts: float, every: float = 0.5
) -> None:
    """Passes as often as they come, for so many seconds."""
    for _ in range(round(lasts / every)):
        story.sees(state, config, after=every)


def sent_edit(story: EventRecorder) -> ConfigUpdate:
    """The newest edit."""
    return next(command.edit for command in reversed(story.commands) if isinstance(command, SendUpdate))


# What it costs.


@pytest.mark.parametrize("pausing", [0.5, 6.0, 25.0])
def test_a_pause_takes_one_command_and_two_writes_however_long_it_takes(pausing: float) -> None:
    story = a_settled_story(AS_IT_IS, LIVE)
    story.wishes(PAUSED)
    story.sees(State.RUNNING, LIVE)
    goes_through(story, State.PAUSING, LIVE, lasts=pausing)
    story.sees(State.PAUSED, LIVE)
    assert (story.names, len(story.writes), story.reason) == (["Pause"], 2, "Paused")


def test_a_resume_takes_one_command_and_two_writes() -> None:
    story = a_settled_story(PAUSED, LIVE)
    story.wishes(AS_IT_IS)
    goes_through(story, State.PAUSED, LIVE, lasts=1)
    story.sees(State.RUNNING, LIVE)
    assert (story.names, len(story.writes), story.reason) == (["Resume"], 2, "Running")


@pytest.mark.parametrize(("copying", "writes"), [(1.5, 3), (6.0, 4)])
def test_a_table_edit_takes_two_commands_and_one_more_write_for_each_long_phase(copying: float, writes: int) -> None:
    story = a_settled_story(AS_IT_IS, LIVE)
    story.wishes(MORE)
    story.sees(State.RUNNING, LIVE)
    goes_through(story, State.PAUSING, LIVE, lasts=1.5)
    goes_through(story, State.PAUSED, LIVE, lasts=1.0)
    goes_through(story, State.SNAPSHOT, MORE_LIVE, lasts=copying)
    story.sees(State.RUNNING, MORE_LIVE)
    assert (story.names, story.reason) == (["Pause", "SendUpdate"], "Running")
    assert len(story.writes) == writes
    assert story.status.tables is not None
    assert story.status.tables.summary == "2/2"


def test_a_settled_mirror_costs_no_write() -> None:
    story = a_settled_story(AS_IT_IS, LIVE)
    for _ in range(120):
        story.meets(a_light_look(), after=5.0)
    story.sees(State.RUNNING, LIVE)
    assert (story.names, story.writes) == ([], [])


def test_a_restart_over_a_settled_mirror_costs_no_write() -> None:
    story = a_settled_story(AS_IT_IS, LIVE)
    story.restarts()
    story.sees(State.RUNNING, LIVE)
    story.meets(a_light_look(), after=5.0)
    assert (story.names, story.writes) == ([], [])


@pytest.mark.parametrize("edited", [True, False])
def test_an_outage_of_less_than_half_a_minute_costs_no_write(*, edited: bool) -> None:
    story = a_settled_story(AS_IT_IS, LIVE)
    if edited:
        story.wishes(MORE)
    for _ in range(5):
        story.meets(an_outage(), after=5.0)
    assert story.writes == []


def test_a_longer_outage_is_told_once_at_each_stage_and_heals_alone() -> None:
    story = a_settled_story(AS_IT_IS, LIVE)
    for _ in range(70):
        story.meets(an_outage(), after=5.0)
    assert [write.conditions[0].status.value for write in story.writes] == ["True", "Unknown"]
    story.sees(State.RUNNING, LIVE)
    assert (len(story.writes), story.reason) == (3, "Running")


def test_first_contact_costs_two_writes() -> None:
    story = a_fresh_story(AS_IT_IS)
    story.sees(State.RUNNING, LIVE)
    story.sees(State.RUNNING, LIVE, after=5.0)
    assert (story.metadata_writes, len(story.writes), story.reason) == (1, 1, "Running")
    assert story.names == []


# What bounds it.


def the_edit_is_lost(story: EventRecorder, config: MirrorConfig) -> None:
    """One cycle: paused, edited, and the mirror runs on as if nothing had been sent."""
    story.sees(State.RUNNING, config)
    story.sees(State.PAUSING, config)
    story.sees(State.PAUSED, config)
    story.sees(State.PAUSED, config, after=0.5)
    goes_through(story, State.RUNNING, config, lasts=8, every=1.0)


def test_a_mirror_is_paused_twice_at_most_for_an_edit_that_peerdb_does_not_apply() -> None:
    story = a_settled_story(AS_IT_IS, LIVE)
    story.wishes(a_mirror("public.a", batch_size=7))
    the_edit_is_lost(story, LIVE)
    the_edit_is_lost(story, LIVE)
    goes_through(story, State.RUNNING, LIVE, lasts=500, every=10.0)
    assert story.names == [*["Pause", "SendUpdate"] * 2, "Disarm"]
    assert story.reason == "EditNotApplied"
    story.sees(State.RUNNING, LIVE, after=200.0)
    assert story.names[-1] == "Pause", "tried again after ten minutes"


def test_a_withheld_edit_is_tried_at_once_with_a_new_generation() -> None:
    story = a_settled_story(AS_IT_IS, LIVE)
    story.wishes(a_mirror("public.a", batch_size=7))
    the_edit_is_lost(story, LIVE)
    the_edit_is_lost(story, LIVE)
    story.wishes(a_mirror("public.a", batch_size=8))
    story.sees(State.RUNNING, LIVE)
    assert story.names[-1] == "Pause"


def test_the_bounds_survive_a_restart() -> None:
    story = a_settled_story(AS_IT_IS, LIVE)
    story.wishes(a_mirror("public.a", batch_size=7))
    the_edit_is_lost(story, LIVE)
    story.restarts()
    the_edit_is_lost(story, LIVE)
    story.restarts()
    goes_through(story, State.RUNNING, LIVE, lasts=60, every=10.0)
    assert story.names == [*["Pause", "SendUpdate"] * 2, "Disarm"]


def test_a_hand_that_undoes_a_correction_again_and_again_is_given_up_after_three() -> None:
    story = a_settled_story(MORE, MORE_LIVE)
    for _ in range(5):
        story.sees(State.RUNNING, LIVE)
        if story.names[-1:] == ["Pause"]:
            story.sees(State.PAUSED, LIVE)
            story.sees(State.PAUSED, LIVE, after=0.5)
            story.sees(State.RUNNING, MORE_LIVE)
    assert story.names == ["Pause", "SendUpdate"] * 3
    assert story.reason == "DriftLoop"


def test_a_mirror_stands_two_minutes_at_most_for_an_edit_that_is_never_delivered() -> None:
    story = a_settled_story(AS_IT_IS, LIVE)
    story.accepts = False
    story.wishes(MORE)
    story.sees(State.RUNNING, LIVE)
    for _ in range(240):
        story.sees(State.PAUSED, LIVE, after=0.5)
    assert "Resume" in story.names
    story.sees(State.RUNNING, LIVE)
    assert story.status.bounds is not None
    assert story.status.bounds.attempts == 1
    assert story.names[-1] == "Pause", "and the edit is tried again"


def test_a_mirror_whose_config_cannot_be_read_is_resumed_after_a_quarter_of_a_minute() -> None:
    story = a_settled_story(AS_IT_IS, LIVE)
    story.wishes(MORE)
    story.sees(State.RUNNING, LIVE)
    goes_through(story, State.PAUSED, NO_WORKERS, lasts=15)
    assert story.names == ["Pause"]
    goes_through(story, State.PAUSED, NO_WORKERS, lasts=1)
    assert story.names == ["Pause", "Resume"]


def test_an_edit_in_flight_is_resumed_after_two_minutes_and_counts_once() -> None:
    story = a_settled_story(AS_IT_IS, LIVE)
    story.accepts = False
    story.wishes(MORE)
    story.sees(State.RUNNING, LIVE)
    story.sees(State.PAUSED, LIVE)
    assert story.names == ["Pause", "SendUpdate"]
    goes_through(story, State.PAUSED, NO_WORKERS, lasts=160, every=1.0)
    assert story.names.count("Resume") == 3, "after two minutes, and every 15 seconds from then on"
    goes_through(story, State.RUNNING, LIVE, lasts=3, every=1.0)
    assert story.status.bounds is not None
    assert story.status.bounds.attempts == 1


# What a change of mind and a foreign hand do.


def test_a_wish_to_pause_waits_for_the_edit_and_then_pauses() -> None:
    story = a_settled_story(AS_IT_IS, LIVE)
    story.wishes(MORE)
    story.sees(State.RUNNING, LIVE)
    story.sees(State.PAUSED, LIVE)
    story.wishes(a_mirror("public.a", "public.b", runs=False))
    story.sees(State.SNAPSHOT, MORE_LIVE)
    story.sees(State.RUNNING, MORE_LIVE)
    assert story.names == ["Pause", "SendUpdate", "Pause"]


def test_a_change_waits_while_paused_and_goes_out_with_the_resume() -> None:
    story = a_settled_story(PAUSED, LIVE)
    story.wishes(replace(MORE, state=PAUSED.state))
    story.sees(State.PAUSED, LIVE)
    assert (story.names, story.reason) == ([], "PausedWithPendingChanges")
    story.wishes(MORE)
    story.sees(State.PAUSED, LIVE)
    assert story.names == ["SendUpdate"]
    assert [wish.source for wish in sent_edit(story).additions] == ["public.b"]


def test_a_mirror_that_somebody_paused_is_resumed() -> None:
    story = a_settled_story(AS_IT_IS, LIVE)
    story.sees(State.PAUSED, LIVE)
    story.sees(State.RUNNING, LIVE)
    assert (story.names, story.reason) == (["Resume"], "Running")


def test_an_armed_update_that_eats_the_pause_is_answered_with_another_pause() -> None:
    story = a_settled_story(AS_IT_IS, LIVE)
    story.wishes(PAUSED)
    story.sees(State.RUNNING, LIVE)
    story.sees(State.PAUSING, LIVE)
    story.sees(State.RUNNING, LIVE)
    assert story.names == ["Pause", "Pause"]


def test_a_refusal_stays_told_while_the_wished_pause_goes_on() -> None:
    story = a_settled_story(AS_IT_IS, LIVE)
    story.wishes(a_mirror(a_wish("public.a", "elsewhere"), runs=False))
    reasons = []
    for state in (State.RUNNING, State.RUNNING, State.PAUSING, State.PAUSED):
        story.sees(state, LIVE)
        reasons.append(story.reason)
    assert (story.names, set(reasons)) == (["Pause"], {str(Reason.TABLE_CHANGE_REJECTED)})

"""What a process remembers: two looks for every doubt, and nothing that a failed look could have broken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from peerdb_operator.api.reasons import Reason
from peerdb_operator.mirror.rules.history import (
    History,
    Streak,
    record_reading,
    same_owner,
    same_paused_config,
    with_changes,
)
from peerdb_operator.mirror.rules.observation import Absent, Found, NotFound, Observation, Reading, State, Unknown
from peerdb_operator.peerdb.models import Progress
from tests.unit.core.builders import (
    CREATED,
    NOBODYS,
    NOW,
    OTHERS,
    OURS,
    RECREATED,
    RELEASED,
    a_blind_look,
    a_config,
    a_light_look,
    a_look,
    an_outage,
)

OTHER_CONFIG = a_config("public.other")


def seen_at(seconds: float, look: Reading, history: History, *, runs: bool = True) -> tuple[History, Observation]:
    """Remember a look that began, and ended, so many seconds after ``NOW``."""
    now = NOW + seconds
    return record_reading(history, replace(look, at=now), wants_running=runs, gap=5.0, now=now)


def after(*looks: Reading, every: float = 1.0, runs: bool = True, history: History | None = None) -> History:
    """The memory after these looks, ``every`` so many seconds."""
    known = History() if history is None else history
    for number, look in enumerate(looks):
        known, _ = seen_at(number * every, look, known, runs=runs)
    return known


# Absence.


@pytest.mark.parametrize(("seconds", "proves"), [(4.9, False), (5.0, True)])
def test_two_404s_prove_absence_when_they_are_far_enough_apart(seconds: float, *, proves: bool) -> None:
    history, _ = seen_at(0, NotFound(0), History())
    _, observation = seen_at(seconds, NotFound(0), history)
    assert isinstance(observation, Absent) is proves


def test_the_distance_of_two_404s_counts_from_the_first_answer_not_from_its_question() -> None:
    history, _ = record_reading(History(), NotFound(NOW, heard_at=NOW + 3), wants_running=True, gap=5.0, now=NOW + 3)
    _, early = seen_at(7, NotFound(0), history)
    _, late = seen_at(8, NotFound(0), history)
    assert isinstance(early, Unknown)
    assert isinstance(late, Absent)


@pytest.mark.parametrize("between", [a_light_look(), an_outage()])
def test_a_404_is_the_first_again_when_another_look_came_between(between: Reading) -> None:
    history = after(NotFound(0), between, every=3.0)
    _, observation = seen_at(6, NotFound(0), history)
    assert isinstance(observation, Unknown)


def test_a_404_forgets_the_mirror_but_not_what_was_sent_nor_the_deletion() -> None:
    rich = replace(
        after(a_look(State.PAUSED)),
        sent_at=NOW,
        release_since=NOW,
        error=("broken", NOW),
        blocked=(1, Reason.PAUSED, ""),
    )
    history, _ = seen_at(1, NotFound(0), rich)
    kept = History(
        not_found_since=NOW + 1, changed_since_full=True, sent_at=NOW, release_since=NOW, error=("broken", NOW)
    )
    assert history == replace(kept, created_at=CREATED, paused_since=NOW), "one 404 may be wrong, and the stop goes on"
    history, _ = seen_at(7, NotFound(7), history)
    assert history == kept


# Failed looks.


def test_an_outage_began_with_its_first_failed_look() -> None:
    history = after(an_outage(), an_outage(), every=10)
    assert history.unknown_since == NOW
    assert after(a_light_look(), history=history).unknown_since is None


def test_a_failed_look_breaks_every_run_that_a_conclusion_could_rest_on() -> None:
    history = after(a_look(State.FAILED, owner=NOBODYS), an_outage())
    assert (history.streak, history.broken_since, history.untagged, history.not_found_since) == (None, None, None, None)


def test_a_failed_look_does_not_restart_the_clock_of_a_stop() -> None:
    assert after(a_look(State.PAUSED), an_outage(), a_look(State.PAUSED)).paused_since == NOW


# States.


def test_a_state_began_with_the_first_look_that_showed_it() -> None:
    history = after(a_look(), a_look(State.PAUSING), a_look(State.PAUSING))
    assert (history.word, history.previous_word, history.word_since) == ("PAUSING", "RUNNING", NOW + 1)


@pytest.mark.parametrize("state", [State.FAILED, State.TERMINATED])
def test_a_doubtful_state_is_doubtful_since_its_first_look(state: State) -> None:
    history = after(a_light_look(), a_light_look(state), a_light_look(state))
    assert history.broken_since == NOW + 1
    assert after(a_light_look(), history=history).broken_since is None


def test_pausing_stays_seen_until_the_next_pause_of_ours() -> None:
    assert not after(a_look()).pausing_seen
    assert after(a_look(State.PAUSING), a_look()).pausing_seen


def test_an_orphan_is_one_until_its_state_moves() -> None:
    orphan = replace(after(a_look()), orphaned=True)
    assert after(a_look(), history=orphan).orphaned
    assert not after(a_look(State.TERMINATING), history=orphan).orphaned


def test_a_404_that_passes_does_not_bring_a_workflow_back() -> None:
    orphan = replace(after(a_look()), orphaned=True)
    assert after(NotFound(0), a_look(), history=orphan).orphaned
    assert not after(NotFound(0), a_look(State.PAUSED), history=orphan).orphaned


def test_a_new_process_knows_of_a_missing_workflow_for_the_state_in_which_it_was_found() -> None:
    orphan = History(created_at=CREATED, orphaned=True, orphaned_word="RUNNING")
    assert after(a_look(), history=orphan).orphaned
    assert after(a_look(), a_look(), history=orphan).orphaned
    assert not after(a_look(State.PAUSED), history=orphan).orphaned
    assert not after(a_look(created_at=RECREATED), history=orphan).orphaned


# Stops.


def test_a_stop_counts_from_the_first_look_at_paused() -> None:
    assert after(a_look(), a_look(State.PAUSED), a_look(State.PAUSED)).paused_since == NOW + 1


def test_a_stop_that_a_former_process_told_of_goes_on() -> None:
    reported = History(paused_since=NOW - 60)
    assert after(an_outage(), a_look(State.PAUSED), history=reported).paused_since == NOW - 60
    assert after(a_look(State.PAUSED), history=History(paused_since=NOW + 999)).paused_since == NOW
    assert after(a_look(), history=reported).paused_since is None


def test_a_wished_stop_is_none() -> None:
    assert after(a_look(State.PAUSED), runs=False).paused_since is None


def test_the_length_of_a_stop_is_known_when_it_ends() -> None:
    history = after(a_look(State.PAUSED), a_look(State.PAUSED), a_look(), a_look(), every=100.0)
    assert (history.paused_since, history.paused_for) == (None, 200.0)
    assert after(a_look(State.PAUSED), history=history).paused_for == 0.0


# Movement between full looks.


@pytest.mark.parametrize(
    ("looks", "changed_since_full"),
    [
        ([a_light_look()], False),
        ([a_look(), a_light_look()], False),
        ([a_look(), a_light_look(State.MODIFYING)], True),
        ([a_look(), a_light_look(State.MODIFYING), a_light_look()], True),
        ([a_look(), a_light_look(State.MODIFYING), a_look()], False),
        ([a_look(), a_light_look(created_at=RECREATED)], True),
        ([a_look(), NotFound(0), a_light_look()], True),
    ],
)
def test_a_change_of_state_is_remembered_until_a_full_look(looks: list[Reading], *, changed_since_full: bool) -> None:
    assert after(*looks).changed_since_full is changed_since_full


# Runs of equal looks.


def test_equal_looks_make_a_run() -> None:
    assert after(a_look(), a_look()).streak == Streak("RUNNING", a_config().fingerprint, NOW, NOW + 1, 2)


def test_a_light_look_neither_lengthens_nor_breaks_a_run_of_its_state() -> None:
    assert after(a_look(), a_light_look()).streak == after(a_look()).streak


@pytest.mark.parametrize("look", [a_light_look(State.PAUSED), a_blind_look()])
def test_a_run_ends_when_a_look_shows_another_state_or_cannot_read_the_config(look: Found) -> None:
    assert after(a_look(), look).streak is None


# Owners.


def test_a_missing_tag_counts_from_the_first_reading() -> None:
    history = after(a_look(owner=NOBODYS), a_light_look(), a_look(owner=NOBODYS))
    assert history.untagged == (CREATED, NOW)


@pytest.mark.parametrize("look", [a_look(owner=OURS), a_light_look(created_at=RECREATED)])
def test_a_missing_tag_is_forgotten_when_a_tag_is_read_or_the_mirror_is_another(look: Found) -> None:
    assert after(a_look(owner=NOBODYS), look).untagged is None


def test_the_last_owner_read_is_kept_by_light_looks() -> None:
    assert after(a_look(owner=OTHERS), a_light_look()).owner == (CREATED, OTHERS)


# Configs that cannot be read, copies that proceed.


def test_a_copy_proceeds_when_partitions_or_rows_do() -> None:
    start, more = Progress(1, 10), Progress(1, 20)
    looks = [a_look(State.SNAPSHOT, progress=progress) for progress in (start, start, more, more, None)]
    history = after(*looks)
    assert (history.progress, history.progress_at) == (more, NOW + 2)


# Two looks of one pass.


@pytest.mark.parametrize(
    ("before", "second", "confirmed"),
    [
        (a_look(State.PAUSED), a_look(State.PAUSED), True),
        (a_look(State.PAUSED), a_look(), False),
        (a_look(), a_look(State.PAUSED), False),
        (a_look(State.PAUSED), a_look(State.PAUSED, OTHER_CONFIG), False),
        (a_look(State.PAUSED), a_look(State.PAUSED, created_at=RECREATED), False),
        (a_look(State.PAUSED), a_blind_look(State.PAUSED), False),
        (a_blind_look(State.PAUSED), a_look(State.PAUSED), False),
        (a_look(State.PAUSED), a_look(State.PAUSED, owner=RELEASED), False),
        (a_look(State.PAUSED), an_outage(), False),
        (an_outage(), a_look(State.PAUSED), False),
    ],
)
def test_paused_is_confirmed_only_by_two_equal_looks(before: Reading, second: Reading, *, confirmed: bool) -> None:
    assert same_paused_config(before, second) is confirmed


@pytest.mark.parametrize(
    ("second", "same"),
    [
        (a_look(State.SNAPSHOT), True),
        (a_blind_look(State.RUNNING), True),
        (a_look(owner=OTHERS), False),
        (a_look(owner=RELEASED), False),
        (a_look(created_at=RECREATED), False),
        (an_outage(), False),
        (NotFound(NOW), False),
    ],
)
def test_a_mirror_has_the_same_owner_only_when_a_later_look_shows_the_same_one_under_the_same_tag(
    second: Reading, *, same: bool
) -> None:
    assert same_owner(a_look(), second) is same
    assert not same_owner(an_outage(), second)


def test_a_history_is_copied_only_when_something_changes() -> None:
    known = History(word="RUNNING", goal="g")
    assert with_changes(known, word="RUNNING", goal="g") is known
    assert with_changes(known, word="RUNNING", goal="h") == History(word="RUNNING", goal="h")

"""Whole days: which alert a reason leads to, and that an ordinary day calls nobody."""

from dataclasses import replace
from pathlib import Path

import pytest

from peerdb_operator.api.reasons import Reason
from tests.alerts.worlds import COARSE, MINUTE, Phase, a_day, a_day_to_the_end, run

NOT_READY = {"PeerDBMirrorNotReady": "warning"}
STANDS = {"PeerDBMirrorStalled": "critical"}
STALLED = {"PeerDBMirrorStalled": "warning"}
LOST = {"PeerDBMirrorNoProgress": "warning"}
HANGS = {"PeerDBMirrorNoProgress": "critical"}
DROP_HANGS = {"PeerDBMirrorDropBlocked": "warning"}
NOBODY: dict[str, str] = {}

CALLS: dict[Reason, dict[str, str]] = {
    # As wished. Errors in the log of a running mirror may be a pipe that is dead.
    Reason.RUNNING: NOBODY,
    Reason.RUNNING_WITH_ERRORS: LOST,
    Reason.PAUSED: NOBODY,
    Reason.PAUSED_WITH_PENDING_CHANGES: NOBODY,
    Reason.COMPLETED: NOBODY,
    # Asked for, and the mirror runs on. For one that stands see OF_A_STATE.
    Reason.PAUSING: LOST,
    Reason.EDITING: LOST,
    Reason.RESUMING: LOST,
    # PeerDB works on it: the operator's deadlines turn what takes too long into ProgressDeadlineExceeded.
    Reason.SETTING_UP: NOBODY,
    Reason.SNAPSHOTTING: NOBODY,
    Reason.ADDING_TABLES: NOBODY,
    Reason.REMOVING_TABLES: NOBODY,
    Reason.RESYNCING: NOBODY,
    Reason.TERMINATING: NOBODY,
    Reason.PROGRESS_DEADLINE_EXCEEDED: HANGS,
    # Deletion: the brake is no fault for some hours.
    Reason.DROPPING: DROP_HANGS,
    Reason.DROP_HELD: NOBODY,
    Reason.DROP_BLOCKED: DROP_HANGS,
    # Nothing is replicated.
    Reason.MIRROR_NOT_FOUND: STANDS,
    Reason.MIRROR_FAILED: STANDS,
    Reason.MIRROR_TERMINATED: STANDS,
    Reason.MIRROR_EMPTY: STANDS,
    Reason.MIRROR_ORPHANED: STANDS,
    # The mirror goes on without what the spec wishes.
    Reason.MIRROR_NOT_OWNED: STALLED,
    Reason.NAME_CONFLICT: STALLED,
    Reason.ADOPTION_CONFLICT: STALLED,
    Reason.INVALID_SPEC: STALLED,
    Reason.TABLE_CHANGE_REJECTED: STALLED,
    Reason.DESTINATION_IN_USE: STALLED,
    Reason.PRECHECK_FAILED: STALLED,
    Reason.EDIT_NOT_APPLIED: STALLED,
    Reason.DRIFT_LOOP: STALLED,
    Reason.EDIT_TOO_LARGE: STALLED,
    Reason.UNSUPPORTED_MIRROR: STALLED,
    Reason.UNSUPPORTED_PEERDB: STALLED,
    # PeerDB answers the list of mirrors, and about this one it does not.
    Reason.PEERDB_UNAVAILABLE: NOT_READY,
    Reason.MAINTENANCE: NOT_READY,
    Reason.UNAUTHORIZED: STALLED,
    Reason.CONNECTION_MISCONFIGURED: STALLED,
    Reason.PEERDB_ERROR: NOT_READY,
    Reason.UNEXPECTED_REPLY: NOT_READY,
    # So does every Mirror of this fleet of one.
    Reason.CONFIG_UNREADABLE: {"PeerDBWorkersDown": "critical"},
    # Frozen by somebody; a bug of ours.
    Reason.RECONCILE_DISABLED: NOBODY,
    Reason.INTERNAL_ERROR: NOT_READY,
}

OF_A_STATE: dict[tuple[Reason, str], dict[str, str]] = {
    # A command that PeerDB took and lost: the mirror should run and stands.
    (Reason.RESUMING, "Paused"): HANGS,
    (Reason.EDITING, "Paused"): HANGS,
    (Reason.PAUSING, "Paused"): HANGS,
    # PeerDB works on it, and the deadline of the operator counts.
    (Reason.PAUSING, "Pausing"): NOBODY,
    (Reason.REMOVING_TABLES, "Modifying"): NOBODY,
    (Reason.RESYNCING, "Resync"): NOBODY,
    # As wished.
    (Reason.PAUSED, "Paused"): NOBODY,
    (Reason.PAUSED_WITH_PENDING_CHANGES, "Paused"): NOBODY,
    (Reason.DROPPING, "Terminating"): DROP_HANGS,
}

LASTS = 125
"""Minutes after which every alert but that of the brake has fired, and some more."""

AT_REST = Phase(30, Reason.RUNNING)
AN_EDIT = [
    Phase(0.5, Reason.PAUSING, "Pausing", stopped=True),
    Phase(0.5, Reason.EDITING, "Paused", stopped=True),
    Phase(1, Reason.ADDING_TABLES, "Modifying"),
    Phase(2, Reason.ADDING_TABLES, "Snapshot"),
]
DAYS: dict[str, list[Phase]] = {
    "one edit": [AT_REST, *AN_EDIT, AT_REST],
    "an edit every five minutes": [*[*AN_EDIT, Phase(1, Reason.RUNNING)] * 10, AT_REST],
    "edits without a rest": [*AN_EDIT * 12, AT_REST],
    "a slow pause and an edit that only the two minutes end": [
        AT_REST,
        Phase(5, Reason.PAUSING, "Pausing", stopped=True),
        Phase(2, Reason.EDITING, "Paused", stopped=True),
        Phase(1, Reason.RESUMING, "Paused", stopped=True),
        AT_REST,
    ],
    "a refused spec, put right after a quarter of an hour minus the memory of the alert": [
        AT_REST,
        Phase(9, Reason.PRECHECK_FAILED),
        *AN_EDIT,
        AT_REST,
    ],
    "a roll-out of the operator in the middle of an edit": [
        AT_REST,
        *AN_EDIT[:2],
        Phase(2, Reason.EDITING, scraped=False),
        Phase(1, Reason.EDITING, "Paused", stopped=True),
        *AN_EDIT[2:],
        AT_REST,
    ],
    "a restart of PeerDB of nine minutes": [
        AT_REST,
        Phase(9, Reason.PEERDB_UNAVAILABLE, up=False),
        AT_REST,
    ],
    "errors in the log for half an hour": [AT_REST, Phase(45, Reason.RUNNING_WITH_ERRORS), AT_REST],
    "one error a week": [AT_REST, Phase(15, Reason.RUNNING_WITH_ERRORS), *[AT_REST] * 4],
    "a restart of PeerDB's workers": [AT_REST, Phase(9, Reason.CONFIG_UNREADABLE), AT_REST],
    "three roll-outs in a row": [
        AT_REST,
        *[Phase(2, Reason.RUNNING, scraped=False), Phase(10, Reason.RUNNING)] * 3,
        AT_REST,
    ],
}
LONG_DAYS: dict[str, list[Phase]] = {
    "a fleet that is deleted under the brake": [
        AT_REST,
        Phase(180, Reason.DROP_HELD),
        Phase(14, Reason.DROPPING, "Terminating"),
    ],
    "a brake of an hour now, and another one hours later": [
        Phase(60, Reason.DROP_HELD),
        Phase(5 * 60, Reason.RUNNING),
        Phase(20, Reason.DROP_HELD),
    ],
    "an added table that is copied for half a day": [
        Phase(12 * 60, Reason.ADDING_TABLES, "Snapshot"),
        AT_REST,
    ],
    "a first copy of a day": [
        Phase(8, Reason.SETTING_UP, "Setup"),
        Phase(24 * 60, Reason.SNAPSHOTTING, "Snapshot"),
        AT_REST,
    ],
    "a pause over night, with changes that wait": [
        Phase(60, Reason.PAUSED, "Paused"),
        Phase(12 * 60, Reason.PAUSED_WITH_PENDING_CHANGES, "Paused"),
        AT_REST,
    ],
}


def test_every_reason_that_lasts_calls_for_what_it_needs_and_for_nothing_else(promtool: Path, tmp_path: Path) -> None:
    assert CALLS.keys() == set(Reason)

    days = [
        a_day(reason.value, [Phase(5, Reason.RUNNING), Phase(LASTS, reason)], calls, step=COARSE)
        for reason, calls in CALLS.items()
    ]

    assert run(promtool, tmp_path, days, step=COARSE) == ""


def test_a_reason_calls_for_what_the_state_beside_it_needs(promtool: Path, tmp_path: Path) -> None:
    days = [
        a_day(f"{reason} {state}", [Phase(5, Reason.RUNNING), Phase(LASTS, reason, state)], calls, step=COARSE)
        for (reason, state), calls in OF_A_STATE.items()
    ]

    assert run(promtool, tmp_path, days, step=COARSE) == ""


def test_an_alert_that_fires_lasts_through_a_roll_out_of_the_operator(promtool: Path, tmp_path: Path) -> None:
    one_for_each_alert = {tuple(calls.items()): reason for reason, calls in CALLS.items() if calls}
    days = [
        a_day_to_the_end(
            reason.value, [Phase(LASTS, reason), Phase(4, reason, scraped=False), Phase(20, reason)], dict(calls), 24
        )
        for calls, reason in one_for_each_alert.items()
    ]

    assert run(promtool, tmp_path, days, step=MINUTE) == ""


def test_a_drop_that_the_brake_holds_for_ever_is_told_after_hours(promtool: Path, tmp_path: Path) -> None:
    days = [
        a_day("held for a night", [Phase(8 * 60, Reason.DROP_HELD)], DROP_HANGS, step=COARSE),
        a_day("held for less than six hours", [Phase(355, Reason.DROP_HELD), AT_REST], NOBODY, step=COARSE),
    ]

    assert run(promtool, tmp_path, days, step=COARSE) == ""


def test_errors_that_come_every_twenty_minutes_are_told(promtool: Path, tmp_path: Path) -> None:
    errors = [Phase(15, Reason.RUNNING_WITH_ERRORS), Phase(5, Reason.RUNNING)] * 6

    assert run(promtool, tmp_path, [a_day("now and then", errors, LOST)]) == ""


def test_an_operator_that_lives_for_five_minutes_in_ten_is_told(promtool: Path, tmp_path: Path) -> None:
    lives = [Phase(5, Reason.MIRROR_FAILED, "Failed"), Phase(5, Reason.MIRROR_FAILED, scraped=False)] * 8

    assert run(promtool, tmp_path, [a_day("now and then", lives, {"PeerDBOperatorDown": "critical"})]) == ""


@pytest.mark.parametrize("reason", [Reason.PEERDB_UNAVAILABLE, Reason.UNAUTHORIZED], ids=str)
def test_a_look_that_succeeds_or_fails_now_and_then_changes_nothing(
    promtool: Path, tmp_path: Path, reason: Reason
) -> None:
    mostly_up = [Phase(9.5, reason), Phase(0.5, reason, up=False)] * 6
    mostly_down = [Phase(9.5, reason, up=False), Phase(0.5, reason)] * 6
    days = [
        a_day("PeerDB answers", [AT_REST, *mostly_up], CALLS[reason]),
        a_day("PeerDB does not", [AT_REST, *mostly_down], {"PeerDBConnectionDown": "critical"}),
    ]

    assert run(promtool, tmp_path, days) == ""


def test_nobody_is_called_on_an_ordinary_day(promtool: Path, tmp_path: Path) -> None:
    days = [a_day(name, phases, NOBODY) for name, phases in DAYS.items()]

    assert run(promtool, tmp_path, days) == ""


def test_nobody_is_called_when_what_is_under_way_takes_hours(promtool: Path, tmp_path: Path) -> None:
    days = [a_day(name, phases, NOBODY, step=COARSE) for name, phases in LONG_DAYS.items()]

    assert run(promtool, tmp_path, days, step=COARSE) == ""


def test_an_outage_of_peerdb_is_told_once_and_not_by_every_mirror(promtool: Path, tmp_path: Path) -> None:
    down = {"PeerDBConnectionDown": "critical"}
    days = [
        a_day(reason.value, [AT_REST, Phase(120, reason, up=False), AT_REST], down)
        for reason in (Reason.PEERDB_UNAVAILABLE, Reason.UNAUTHORIZED, Reason.PEERDB_ERROR)
    ]

    assert run(promtool, tmp_path, days) == ""


def test_stops_that_have_ended_are_not_told_when_the_operator_goes_later(promtool: Path, tmp_path: Path) -> None:
    gone = Phase(60, Reason.RUNNING, scraped=False)
    day = a_day("dead at rest", [AT_REST, *AN_EDIT, AT_REST, gone], {"PeerDBOperatorDown": "critical"})

    assert run(promtool, tmp_path, [day]) == ""


@pytest.mark.parametrize("last", [AN_EDIT[0], AN_EDIT[1]], ids=lambda phase: phase.reason)
def test_a_mirror_is_not_forgotten_when_its_operator_dies_in_the_middle_of_an_edit(
    promtool: Path, tmp_path: Path, last: Phase
) -> None:
    calls = {"PeerDBMirrorLeftPausedByEdit": "critical", "PeerDBOperatorDown": "critical"}
    day = a_day("dead", [AT_REST, last, replace(last, minutes=60, scraped=False)], calls)

    assert run(promtool, tmp_path, [day]) == ""


def test_a_day_fails_when_an_alert_fires_that_was_not_expected(promtool: Path, tmp_path: Path) -> None:
    reported = run(promtool, tmp_path, [a_day("a failure", [Phase(60, Reason.MIRROR_FAILED)], NOBODY)])

    assert "a failure" in reported
    assert "PeerDBMirrorStalled" in reported

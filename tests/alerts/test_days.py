"""Whole days: which alert a reason leads to, and that an ordinary day calls nobody."""

from dataclasses import replace
from pathlib import Path

import pytest

from peerdb_operator.core.reasons import Reason
from tests.alerts.worlds import COARSE, MINUTE, Phase, a_day, run

NOT_READY = {"PeerDBMirrorNotReady": "warning"}
STANDS = {"PeerDBMirrorStalled": "critical"}
STALLED = {"PeerDBMirrorStalled": "warning"}
NOBODY: dict[str, str] = {}

CALLS: dict[Reason, dict[str, str]] = {
    # As wished. Errors in the log of a running mirror may be a pipe that is dead.
    Reason.RUNNING: NOBODY,
    Reason.RUNNING_WITH_ERRORS: {"PeerDBMirrorNoProgress": "warning"},
    Reason.PAUSED: NOBODY,
    Reason.PAUSED_WITH_PENDING_CHANGES: NOBODY,
    Reason.COMPLETED: NOBODY,
    # On the way: the operator's deadlines turn what takes too long into ProgressDeadlineExceeded.
    Reason.PAUSING: NOBODY,
    Reason.EDITING: NOBODY,
    Reason.RESUMING: NOBODY,
    Reason.SETTING_UP: NOBODY,
    Reason.SNAPSHOTTING: NOBODY,
    Reason.ADDING_TABLES: NOBODY,
    Reason.REMOVING_TABLES: NOBODY,
    Reason.RESYNCING: NOBODY,
    Reason.TERMINATING: NOBODY,
    Reason.PROGRESS_DEADLINE_EXCEEDED: {"PeerDBMirrorNoProgress": "critical"},
    # Deletion: the brake is no fault.
    Reason.DROPPING: NOBODY,
    Reason.DROP_HELD: NOBODY,
    Reason.DROP_BLOCKED: {"PeerDBMirrorDropBlocked": "warning"},
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
    Reason.CONFIG_UNREADABLE: NOT_READY,
    # Frozen by somebody; a bug of ours.
    Reason.RECONCILE_DISABLED: NOBODY,
    Reason.INTERNAL_ERROR: NOT_READY,
}

AT_REST = Phase(30, Reason.RUNNING)
AN_EDIT = [
    Phase(0.5, Reason.PAUSING, "Pausing", stopped=True),
    Phase(0.5, Reason.EDITING, "Paused", stopped=True),
    Phase(1, Reason.ADDING_TABLES, "Modifying"),
    Phase(2, Reason.ADDING_TABLES, "Snapshot"),
]
DAYS: dict[str, list[Phase]] = {
    "one edit": [AT_REST, *AN_EDIT, AT_REST],
    "an edit every five minutes": [*[*AN_EDIT, Phase(1, Reason.RUNNING)] * 24, AT_REST],
    "edits without a rest": [*AN_EDIT * 30, AT_REST],
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
    "a fleet that is deleted under the brake": [
        AT_REST,
        Phase(180, Reason.DROP_HELD),
        Phase(14, Reason.DROPPING, "Terminating"),
    ],
    "errors in the log for half an hour": [AT_REST, Phase(45, Reason.RUNNING_WITH_ERRORS), AT_REST],
}
LONG_DAYS: dict[str, list[Phase]] = {
    "an added table that is copied for a day": [
        Phase(24 * 60, Reason.ADDING_TABLES, "Snapshot"),
        AT_REST,
    ],
    "a first copy of three days": [
        Phase(8, Reason.SETTING_UP, "Setup"),
        Phase(3 * 24 * 60, Reason.SNAPSHOTTING, "Snapshot"),
        AT_REST,
    ],
    "a pause over the week-end, with changes that wait": [
        Phase(60, Reason.PAUSED, "Paused"),
        Phase(2 * 24 * 60, Reason.PAUSED_WITH_PENDING_CHANGES, "Paused"),
        AT_REST,
    ],
}


def test_every_reason_that_lasts_calls_for_what_it_needs_and_for_nothing_else(promtool: Path, tmp_path: Path) -> None:
    assert CALLS.keys() == set(Reason)

    days = [
        a_day(reason.value, [Phase(5, Reason.RUNNING), Phase(75, reason)], calls, step=MINUTE)
        for reason, calls in CALLS.items()
    ]

    assert run(promtool, tmp_path, days, step=MINUTE) == ""


def test_nobody_is_called_on_an_ordinary_day(promtool: Path, tmp_path: Path) -> None:
    days = [a_day(name, phases, NOBODY) for name, phases in DAYS.items()]

    assert run(promtool, tmp_path, days) == ""


def test_nobody_is_called_when_what_is_under_way_takes_days(promtool: Path, tmp_path: Path) -> None:
    days = [a_day(name, phases, NOBODY, step=COARSE) for name, phases in LONG_DAYS.items()]

    assert run(promtool, tmp_path, days, step=COARSE) == ""


def test_an_outage_of_peerdb_is_told_once_and_not_by_every_mirror(promtool: Path, tmp_path: Path) -> None:
    down = {"PeerDBConnectionDown": "critical"}
    days = [
        a_day(reason.value, [AT_REST, Phase(120, reason, up=False), AT_REST], down)
        for reason in (Reason.PEERDB_UNAVAILABLE, Reason.UNAUTHORIZED, Reason.PEERDB_ERROR)
    ]

    assert run(promtool, tmp_path, days) == ""


@pytest.mark.parametrize("last", [AN_EDIT[0], AN_EDIT[1]], ids=lambda phase: phase.reason)
def test_a_mirror_is_not_forgotten_when_its_operator_dies_in_the_middle_of_an_edit(
    promtool: Path, tmp_path: Path, last: Phase
) -> None:
    calls = {"PeerDBMirrorLeftPausedByEdit": "critical", "PeerDBOperatorDown": "critical"}
    day = a_day("dead", [AT_REST, last, replace(last, minutes=60, scraped=False)], calls)

    assert run(promtool, tmp_path, [day]) == ""


def test_a_day_fails_when_an_alert_fires_that_was_not_expected(promtool: Path, tmp_path: Path) -> None:
    told = run(promtool, tmp_path, [a_day("a failure", [Phase(60, Reason.MIRROR_FAILED)], NOBODY)])

    assert "a failure" in told
    assert "PeerDBMirrorStalled" in told

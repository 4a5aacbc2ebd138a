"""The table of verdicts: a row for every reason, each well formed, each as the documentation of conditions has it."""

from __future__ import annotations

import pytest

from peerdb_operator.api.reasons import Reason
from peerdb_operator.mirror.rules.conditions import (
    AWAY,
    ROWS,
    ConditionChange,
    Verdict,
    away,
    blocked,
    verdict,
)

T, F, U, K = ConditionChange.TRUE, ConditionChange.FALSE, ConditionChange.UNKNOWN, ConditionChange.KEEP
GROUPS: list[tuple[str, tuple[ConditionChange, ConditionChange, ConditionChange, ConditionChange], bool]] = [
    ("Running RunningWithErrors Paused Completed", (T, T, F, F), True),
    ("PausedWithPendingChanges", (T, F, F, F), True),
    (
        "Pausing Editing Resuming SettingUp Snapshotting AddingTables RemovingTables Resyncing Terminating",
        (U, F, T, F),
        False,
    ),
    ("Dropping DropHeld DropBlocked", (F, F, T, F), False),
    ("MirrorNotFound MirrorNotOwned NameConflict AdoptionConflict", (F, F, F, T), False),
    (
        (
            "InvalidSpec TableChangeRejected DestinationInUse PrecheckFailed "
            "EditNotApplied DriftLoop MirrorEmpty EditTooLarge"
        ),
        (F, F, F, T),
        False,
    ),
    ("MirrorFailed MirrorTerminated MirrorOrphaned UnsupportedMirror UnsupportedPeerDB", (F, U, F, T), False),
    ("ProgressDeadlineExceeded", (F, F, F, T), False),
    (
        "PeerDBUnavailable Maintenance Unauthorized ConnectionMisconfigured PeerDBError UnexpectedReply",
        (K, U, K, K),
        False,
    ),
    ("ConfigUnreadable", (K, U, F, F), False),
    ("ReconcileDisabled InternalError", (U, U, F, F), False),
]
TABLE = {Reason(word): (truths, settled) for words, truths, settled in GROUPS for word in words.split()}


def truths(reported: Verdict) -> tuple[ConditionChange, ConditionChange, ConditionChange, ConditionChange]:
    return reported.ready, reported.synced, reported.reconciling, reported.stalled


def test_every_reason_has_its_row() -> None:
    assert set(ROWS) == set(Reason) == set(TABLE)


@pytest.mark.parametrize("reason", list(Reason))
def test_a_reason_gives_the_conditions_of_its_row(reason: Reason) -> None:
    reported = verdict(reason, "why")
    assert (truths(reported), reported.settled) == TABLE[reason]
    assert (reported.reason, reported.message) == (reason, "why")


@pytest.mark.parametrize("reason", sorted(AWAY))
def test_ready_stays_as_it_was_when_peerdb_is_away_for_a_moment(reason: Reason) -> None:
    assert away(reason, "why", long=False) == verdict(reason, "why")


@pytest.mark.parametrize("reason", sorted(AWAY))
def test_ready_is_unknown_when_peerdb_is_away_for_long(reason: Reason) -> None:
    human = reason in {Reason.UNAUTHORIZED, Reason.CONNECTION_MISCONFIGURED}
    assert truths(away(reason, "why", long=True)) == (U, U, F, T if human else F)


@pytest.mark.parametrize("reason", list(Reason))
def test_a_withheld_difference_never_looks_settled_or_ready(reason: Reason) -> None:
    reported = blocked(reason, "why", pending=True)
    assert not reported.settled
    assert reported.ready in {F, U}

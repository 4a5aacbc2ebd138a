"""What a reason means for the conditions: one row for each member of the closed set.

Owns the table; ``status`` turns a verdict into conditions, the rules choose the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from peerdb_operator.core.reasons import Reason


class Truth(Enum):
    """A condition's status; KEEP leaves it as it was."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"
    KEEP = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the conditions are to say. ``settled``: this generation needs nothing more from us for now."""

    reason: Reason
    message: str
    ready: Truth
    synced: Truth
    reconciling: Truth = Truth.FALSE
    stalled: Truth = Truth.FALSE
    settled: bool = False

    def with_ready(self, ready: Truth) -> Verdict:
        """The same verdict with another Ready."""
        return replace(self, ready=ready)


@dataclass(frozen=True, slots=True)
class _Row:
    ready: Truth
    synced: Truth
    reconciling: Truth = Truth.FALSE
    stalled: Truth = Truth.FALSE
    settled: bool = False


_T, _F, _U, _K = Truth.TRUE, Truth.FALSE, Truth.UNKNOWN, Truth.KEEP
_AS_WISHED = _Row(_T, _T, settled=True)
_ON_THE_WAY = _Row(_U, _F, reconciling=_T)
_DROPPING = _Row(_F, _F, reconciling=_T)
_STALLED = _Row(_F, _F, stalled=_T)
_BROKEN = _Row(_F, _U, stalled=_T)
_AWAY = _Row(_K, _U, reconciling=_K, stalled=_K)
_BLIND = _Row(_U, _U)

ROWS: dict[Reason, _Row] = {
    Reason.RUNNING: _AS_WISHED,
    Reason.RUNNING_WITH_ERRORS: _AS_WISHED,
    Reason.PAUSED: _AS_WISHED,
    Reason.PAUSED_WITH_PENDING_CHANGES: _Row(_T, _F, settled=True),
    Reason.COMPLETED: _AS_WISHED,
    Reason.PAUSING: _ON_THE_WAY,
    Reason.EDITING: _ON_THE_WAY,
    Reason.RESUMING: _ON_THE_WAY,
    Reason.SETTING_UP: _ON_THE_WAY,
    Reason.SNAPSHOTTING: _ON_THE_WAY,
    Reason.ADDING_TABLES: _ON_THE_WAY,
    Reason.REMOVING_TABLES: _ON_THE_WAY,
    Reason.RESYNCING: _ON_THE_WAY,
    Reason.TERMINATING: _ON_THE_WAY,
    Reason.DROPPING: _DROPPING,
    Reason.DROP_HELD: _DROPPING,
    Reason.DROP_BLOCKED: _DROPPING,
    Reason.MIRROR_NOT_FOUND: _STALLED,
    Reason.MIRROR_NOT_OWNED: _STALLED,
    Reason.NAME_CONFLICT: _STALLED,
    Reason.ADOPTION_CONFLICT: _STALLED,
    Reason.INVALID_SPEC: _STALLED,
    Reason.TABLE_CHANGE_REJECTED: _STALLED,
    Reason.DESTINATION_IN_USE: _STALLED,
    Reason.PRECHECK_FAILED: _STALLED,
    Reason.EDIT_NOT_APPLIED: _STALLED,
    Reason.DRIFT_LOOP: _STALLED,
    Reason.MIRROR_EMPTY: _STALLED,
    Reason.EDIT_TOO_LARGE: _STALLED,
    Reason.MIRROR_FAILED: _BROKEN,
    Reason.MIRROR_TERMINATED: _BROKEN,
    Reason.MIRROR_ORPHANED: _BROKEN,
    Reason.UNSUPPORTED_MIRROR: _BROKEN,
    Reason.UNSUPPORTED_PEERDB: _BROKEN,
    Reason.PROGRESS_DEADLINE_EXCEEDED: _STALLED,
    Reason.PEERDB_UNAVAILABLE: _AWAY,
    Reason.MAINTENANCE: _AWAY,
    Reason.UNAUTHORIZED: _AWAY,
    Reason.CONNECTION_MISCONFIGURED: _AWAY,
    Reason.PEERDB_ERROR: _AWAY,
    Reason.UNEXPECTED_REPLY: _AWAY,
    Reason.CONFIG_UNREADABLE: _Row(_K, _U),
    Reason.RECONCILE_DISABLED: _BLIND,
    Reason.INTERNAL_ERROR: _BLIND,
}

NEEDS_A_HUMAN = frozenset({Reason.UNAUTHORIZED, Reason.CONNECTION_MISCONFIGURED})
AWAY = frozenset(reason for reason, row in ROWS.items() if row is _AWAY)
BROKEN = frozenset(reason for reason, row in ROWS.items() if row is _BROKEN)
SETTLED = frozenset(reason for reason, row in ROWS.items() if row.settled)
ON_THE_WAY = frozenset(reason for reason, row in ROWS.items() if row is _ON_THE_WAY)


def verdict(reason: Reason, message: str) -> Verdict:
    """The row of a reason, with its message."""
    row = ROWS[reason]
    return Verdict(reason, message, row.ready, row.synced, row.reconciling, row.stalled, row.settled)


def stalled(reason: Reason, message: str) -> Verdict:
    """The spec cannot be applied, whatever the reason's own row says."""
    return Verdict(reason, message, Truth.FALSE, Truth.FALSE, stalled=Truth.TRUE)


def withheld(reason: Reason, message: str, *, pending: bool) -> Verdict:
    """A difference cannot be sent: the spec's fault, or PeerDB's for want of an answer to the precheck.

    ``pending``: this generation has not been evaluated yet.
    """
    return away(reason, message, long=pending) if reason in AWAY else stalled(reason, message)


def away(reason: Reason, message: str, *, long: bool) -> Verdict:
    """PeerDB cannot be asked; ``long``: for minutes, or while a new generation waits."""
    if not long:
        return verdict(reason, message)
    stuck = Truth.TRUE if reason in NEEDS_A_HUMAN else Truth.FALSE
    return Verdict(reason, message, Truth.UNKNOWN, Truth.UNKNOWN, Truth.FALSE, stuck)

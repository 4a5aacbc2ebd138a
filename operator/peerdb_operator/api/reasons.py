"""The closed set of reasons that conditions carry."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why the conditions of a Mirror are what they are; the value is what users read."""

    # Settled as desired.
    RUNNING = "Running"
    RUNNING_WITH_ERRORS = "RunningWithErrors"
    PAUSED = "Paused"
    PAUSED_WITH_PENDING_CHANGES = "PausedWithPendingChanges"
    COMPLETED = "Completed"

    # On the way.
    PAUSING = "Pausing"
    EDITING = "Editing"
    RESUMING = "Resuming"
    SETTING_UP = "SettingUp"
    SNAPSHOTTING = "Snapshotting"
    ADDING_TABLES = "AddingTables"
    REMOVING_TABLES = "RemovingTables"
    RESYNCING = "Resyncing"
    TERMINATING = "Terminating"

    # Deletion.
    DROPPING = "Dropping"
    DROP_HELD = "DropHeld"
    DROP_BLOCKED = "DropBlocked"

    # There is no such mirror, or it is not ours.
    MIRROR_NOT_FOUND = "MirrorNotFound"
    MIRROR_NOT_OWNED = "MirrorNotOwned"
    NAME_CONFLICT = "NameConflict"
    ADOPTION_CONFLICT = "AdoptionConflict"

    # The spec cannot be applied.
    INVALID_SPEC = "InvalidSpec"
    TABLE_CHANGE_REJECTED = "TableChangeRejected"
    DESTINATION_IN_USE = "DestinationInUse"
    PRECHECK_FAILED = "PrecheckFailed"
    EDIT_NOT_APPLIED = "EditNotApplied"
    DRIFT_LOOP = "DriftLoop"
    MIRROR_EMPTY = "MirrorEmpty"
    EDIT_TOO_LARGE = "EditTooLarge"

    # The mirror is broken or unsupported.
    MIRROR_FAILED = "MirrorFailed"
    MIRROR_TERMINATED = "MirrorTerminated"
    MIRROR_ORPHANED = "MirrorOrphaned"
    UNSUPPORTED_MIRROR = "UnsupportedMirror"
    UNSUPPORTED_PEERDB = "UnsupportedPeerDB"

    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"

    # PeerDB cannot be asked.
    PEERDB_UNAVAILABLE = "PeerDBUnavailable"
    MAINTENANCE = "Maintenance"
    UNAUTHORIZED = "Unauthorized"
    CONNECTION_MISCONFIGURED = "ConnectionMisconfigured"
    PEERDB_ERROR = "PeerDBError"
    UNEXPECTED_REPLY = "UnexpectedReply"

    CONFIG_UNREADABLE = "ConfigUnreadable"
    RECONCILE_DISABLED = "ReconcileDisabled"
    INTERNAL_ERROR = "InternalError"


class WarningReason(StrEnum):
    """Why a part of an object has no effect: the reasons of Events about it."""

    UNKNOWN_ANNOTATION_VALUE = "UnknownAnnotationValue"
    UNKNOWN_SETTING = "UnknownSetting"


@dataclass(frozen=True, slots=True)
class SpecWarning:
    """A part of an object that has no effect."""

    reason: WarningReason
    message: str

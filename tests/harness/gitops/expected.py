"""What each tool should make of each state: the judgement that scripts and conditions are held to.

Owns the table below and nothing else; it is written by hand, from what users want to see, and not from the scripts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.harness.gitops.argolua import Health
from tests.harness.gitops.kstatus import Kstatus

NEWEST = "Waiting for the operator to observe the newest spec"
CONDITIONS = ("Ready", "Stalled", "Reconciling")


@dataclass(frozen=True, slots=True)
class Expected:
    """The verdicts on one state; ``reported`` is the condition whose message Argo CD shows, or the message itself."""

    health: str
    kstatus: Kstatus
    reported: str = "Ready"
    suspended: str = ""
    """Health in the variant that shows paused mirrors as Suspended, where it differs."""

    def shown(self, obj: Mapping[str, Any], *, suspended: bool = False) -> Health:
        """What Argo CD should show of the object."""
        status = (self.suspended if suspended else "") or self.health
        if self.reported not in CONDITIONS:
            return Health(status, self.reported)
        return Health(
            status, next(str(each["message"]) for each in obj["status"]["conditions"] if each["type"] == self.reported)
        )


_HEALTHY = Expected("Healthy", Kstatus.CURRENT)
_PAUSED = Expected("Healthy", Kstatus.CURRENT, suspended="Suspended")
_ON_ITS_WAY = Expected("Progressing", Kstatus.IN_PROGRESS, "Reconciling")
_UNSEEN = Expected("Progressing", Kstatus.IN_PROGRESS, NEWEST)
_UNKNOWN = Expected("Progressing", Kstatus.IN_PROGRESS)
_BROKEN = Expected("Degraded", Kstatus.FAILED, "Stalled")
_LEAVING = Expected("Progressing", Kstatus.TERMINATING)

EXPECTED: Mapping[str, Expected] = {
    "first_sight": _UNSEEN,
    "new_generation": _UNSEEN,
    "running": _HEALTHY,
    "running_with_errors": _HEALTHY,
    "completed": _HEALTHY,
    "peerdb_unavailable": _HEALTHY,
    "paused": _PAUSED,
    "paused_with_pending_changes": _PAUSED,
    "pausing_for_an_edit": _ON_ITS_WAY,
    "adding_tables": _ON_ITS_WAY,
    "snapshotting": _ON_ITS_WAY,
    "peerdb_unavailable_for_long": _UNKNOWN,
    "reconcile_disabled": _UNKNOWN,
    "unauthorized_with_a_new_generation": _UNKNOWN,
    "unauthorized": _BROKEN,
    "table_change_rejected": _BROKEN,
    "mirror_not_found": _BROKEN,
    "failed": _BROKEN,
    "dropping": _LEAVING,
    "drop_held": _LEAVING,
    "drop_blocked": _LEAVING,
}

"""What Flux and Helm 4 read from an object's status: kstatus, for objects that no special rule is about.

Owns the order of its questions, as in ``sigs.k8s.io/cli-utils/pkg/kstatus/status`` (``generic.go``, ``status.go``):
deletion, generation, then Reconciling or Stalled (whichever comes first in the list), then Ready, then *current*.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Kstatus(StrEnum):
    """The word that a tool waits for."""

    IN_PROGRESS = "InProgress"
    FAILED = "Failed"
    CURRENT = "Current"
    TERMINATING = "Terminating"


ABNORMAL = {"Reconciling": Kstatus.IN_PROGRESS, "Stalled": Kstatus.FAILED}


def kstatus(obj: Mapping[str, Any]) -> Kstatus:
    """The status of an object; total for whatever a Mirror may look like."""
    metadata, status = obj["metadata"], obj.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return Kstatus.TERMINATING
    generation, observed = metadata.get("generation"), status.get("observedGeneration")
    if generation is not None and observed is not None and generation != observed:
        return Kstatus.IN_PROGRESS
    conditions = status.get("conditions") or []
    for each in conditions:
        if each["status"] == "True" and each["type"] in ABNORMAL:
            return ABNORMAL[each["type"]]
    ready = next((each["status"] for each in conditions if each["type"] == "Ready"), "True")
    return Kstatus.CURRENT if ready == "True" else Kstatus.IN_PROGRESS

"""What a Mirror says without any effect: nothing fails by it, so users would not notice.

Owns the messages. Others decide when to report them (once for as long as the object says so).
"""

from __future__ import annotations

from collections.abc import Sequence

from peerdb_operator.api.constants import ANNOTATION_RECONCILE, RECONCILE_DISABLED
from peerdb_operator.api.reasons import SpecWarning, WarningReason
from peerdb_operator.mirror.rules.change import listed

LONGEST_VALUE = 80


def spec_warnings(annotation: str | None, unknown_settings: Sequence[str]) -> tuple[SpecWarning, ...]:
    """All that hold of one object; ``annotation``: a value of ``peerdb.io/reconcile`` that means nothing."""
    found = []
    if annotation is not None:
        shown = annotation if len(annotation) <= LONGEST_VALUE else f"{annotation[:LONGEST_VALUE]}…"
        found.append(
            SpecWarning(
                WarningReason.UNKNOWN_ANNOTATION_VALUE,
                f'the annotation {ANNOTATION_RECONCILE} is "{shown}", which changes nothing: this Mirror is worked on; '
                f'write "{RECONCILE_DISABLED}" to stop that, or remove it',
            )
        )
    if unknown_settings:
        found.append(
            SpecWarning(
                WarningReason.UNKNOWN_SETTING,
                f"spec.settings: PeerDB does not list {listed(list(unknown_settings))} among its settings; check the "
                "spelling: PeerDB keeps what it does not know, without any effect",
            )
        )
    return tuple(found)

"""Settings as the numbers that decisions use."""

from __future__ import annotations

from peerdb_operator.mirror.rules.limits import Limits
from peerdb_operator.settings import Settings


def limits_of(settings: Settings) -> Limits:
    """The limits of these settings; what has no setting keeps its default."""
    return Limits(
        tick=settings.tick_seconds,
        requeue_short=settings.pausing_look_seconds,
        requeue_first=settings.transition_look_seconds,
        sample=settings.config_sample_seconds,
        outage_quiet=settings.outage_quiet_seconds,
        outage_unknown=settings.outage_unknown_seconds,
        deadline_pausing=settings.deadline_pausing_seconds,
        deadline_setup=settings.deadline_setup_seconds,
        deadline_modifying=settings.deadline_modifying_seconds,
        deadline_terminating=settings.deadline_terminating_seconds,
        deadline_snapshot=settings.deadline_snapshot_seconds,
        brake_drops=settings.brake_drops,
        brake_window=settings.brake_seconds,
    )

"""The limits that decisions use, in seconds, counts and bytes: their names, meanings and defaults."""

from __future__ import annotations

from dataclasses import dataclass

MINUTE = 60.0
HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Every duration is in seconds."""

    tick: float = 10.0
    """Longest wait between two observations of a mirror in transition, and the fleet observer's period."""
    requeue_short: float = 0.5
    """Wait between observations while a mirror is PAUSING, or PAUSED by us."""
    requeue_first: float = 1.0
    """First wait between observations in any other transition."""
    sample: float = 5 * MINUTE
    """Period of the full observation of a settled mirror."""
    requeue_slow: float = MINUTE
    """Wait while nothing but a human can help."""
    absence_gap: float = 5.0
    """Two answers that a mirror does not exist, this far apart, make it absent."""
    dropped_gap: float = 2.0
    """The same after a drop of ours."""
    confirmation_gap: float = 5.0
    """FAILED, TERMINATED or a missing owner tag counts when seen twice this far apart."""
    confirm_gap: float = 0.5
    """Seconds between the two observations of PAUSED that an edit needs."""
    observation_max_age: float = 5.0
    """How long ago the answers of an observation may have arrived when a command is sent, or when it is confirmed."""
    unreadable_patience: float = 15.0
    """How long an unreadable config is waited for before a paused mirror is resumed without an edit."""
    paused_patience: float = 2 * MINUTE
    """How long a mirror that should run may stay PAUSED, whatever the reason."""
    edit_takes: float = 10.0
    """How much of that must be left when an edit is sent."""
    precheck_takes: float = 40.0
    """The same when additions are checked while the mirror is PAUSED."""
    resume_retry: float = 1.0
    """When a resume that failed is sent again."""
    reliable_calls: int = 20
    """Calls that PeerDB must have answered in a row before an edit is tried again."""
    release_patience: float = 2 * MINUTE
    """How long a release waits until a mirror that we stopped runs again."""
    resend: float = 15.0
    """When a pause or a resume without effect is sent again."""
    forget: float = 30.0
    """When a pause, a resume, or an edit without a recorded reply is given up."""
    proof_after: float = 5.0
    """When a recorded edit without effect may be judged."""
    drop_repeat: float = MINUTE
    """Period of the repeated drop request."""
    outage_quiet: float = 30.0
    """How long PeerDB may be away before the status says so."""
    outage_unknown: float = 5 * MINUTE
    """How long PeerDB may be away before Ready becomes Unknown."""
    batches_gap: float = MINUTE
    """Least time between two reads of a mirror's newest batches, which are read while an error of it is open."""
    precheck_fresh: float = MINUTE
    """How long a passed precheck holds before the stop it was made for."""
    deadline_pausing: float = 5 * MINUTE
    deadline_setup: float = 10 * MINUTE
    deadline_modifying: float = 10 * MINUTE
    deadline_terminating: float = 15 * MINUTE
    deadline_snapshot: float = 30 * MINUTE
    """Without change in completed partitions or rows; the others count from the change of state."""
    attempts: int = 2
    """Unproven edits towards one goal before the next try waits."""
    corrections: int = 3
    """Corrections of one difference within an hour before the next try waits."""
    retry_first: float = 10 * MINUTE
    retry_longest: float = 6 * HOUR
    edit_bytes: int = 512 * 1024
    """Largest update that is sent in one request."""
    brake_drops: int = 5
    """Mirrors that may be dropped at once."""
    brake_window: float = 10 * MINUTE
    """Time in which as many more may be dropped, evenly."""


def doubling(first: float, times: int, longest: float) -> float:
    """``first`` doubled ``times`` times, at most ``longest``; no overflow for any count."""
    return min(longest, first * 2.0 ** min(max(times, 0), 40))

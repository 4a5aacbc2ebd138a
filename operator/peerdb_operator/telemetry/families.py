"""The table of all metrics: name, type, labels and meaning; docs, alerts and dashboards use these names.

A name never changes its meaning. Labels have closed sets of values, but for those that name a Mirror; a table is never
a label, nor is text from PeerDB or a user.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

PREFIX = "peerdb_operator_"
CONTROLLER = "mirror"
CONDITIONS = ("Ready", "Synced", "Reconciling", "Stalled")
STATUSES = ("True", "False", "Unknown")

_SHORT = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_CALLS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 420.0)
"""PeerDB answers a drop after 400 s at most, and the reconcile that asks for it lasts as long."""
_STOPS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_EDITS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0)


class Kind(StrEnum):
    """How a metric counts."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """One metric; ``buckets`` are the upper bounds of a histogram."""

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    per_mirror: bool = False


_DECLARED: Final[list[Family]] = []


def _declare(family: Family) -> Family:
    _DECLARED.append(family)
    return family


def _counter(name: str, meaning: str, *labels: str) -> Family:
    return _declare(Family(PREFIX + name, Kind.COUNTER, meaning, labels))


def _gauge(name: str, meaning: str, *labels: str) -> Family:
    return _declare(Family(PREFIX + name, Kind.GAUGE, meaning, labels))


def _of_mirror(name: str, meaning: str, *labels: str) -> Family:
    return _declare(Family(PREFIX + name, Kind.GAUGE, meaning, ("namespace", "name", *labels), per_mirror=True))


def _histogram(name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Family:
    return _declare(Family(PREFIX + name, Kind.HISTOGRAM, meaning, labels, buckets))


BUILD_INFO = _gauge("build_info", "Always 1; the version of the operator and of its Python.", "version", "python")

RECONCILES = _counter(
    "reconcile_total",
    "Reconciles of a Mirror. success: it is as its spec says, or waits for a user; requeue: a step is under way; "
    "error: it is retried with growing delays. reason: that of Ready, empty if the reconcile reached no verdict.",
    "controller", "result", "reason",
)  # fmt: skip
RECONCILE_ERRORS = _counter("reconcile_errors_total", "Reconciles that ended in an error.", "controller", "class")
RECONCILE_SECONDS = _histogram("reconcile_duration_seconds", "Duration of a reconcile.", _CALLS, "controller")
RECONCILE_PANICS = _counter(
    "reconcile_panics_total", "Reconciles that ended in an error of the operator's own (InternalError).", "controller"
)

QUEUE_DEPTH = _gauge("workqueue_depth", "Mirrors whose reconcile is due and has not begun.", "name")
QUEUE_OLDEST = _gauge("workqueue_oldest_seconds", "How long the longest of them has waited.", "name")
QUEUE_WAIT = _histogram("workqueue_wait_seconds", "Time from when a reconcile is due to its beginning.", _SHORT, "name")
QUEUE_ACTIVE = _gauge("workqueue_active", "Reconciles that run at this moment, by pool.", "name", "lane")

PEERDB_REQUESTS = _counter(
    "peerdb_requests_total",
    "Requests to PeerDB. code: the HTTP status, or what went wrong on the way.",
    "operation", "code",
)  # fmt: skip
PEERDB_SECONDS = _histogram(
    "peerdb_request_duration_seconds", "Time until PeerDB's answer, or until there was no hope of one.", _CALLS,
    "operation",
)  # fmt: skip
PEERDB_UP = _gauge("peerdb_up", "Whether PeerDB answered the newest read of all mirrors; absent while none is due.")
PEERDB_SUCCESS = _gauge("peerdb_last_success_timestamp_seconds", "When PeerDB last answered a read of all mirrors.")

KUBE_WRITES = _counter(
    "kubernetes_writes_total",
    "Writes to the Kubernetes API. code: the HTTP status; unavailable for no answer or one of 429 and 5xx.",
    "kind", "code",
)  # fmt: skip
WATCH_EVENT = _gauge("watch_last_event_timestamp_seconds", "When the watch last delivered a change of a Mirror.")
ENTROPY_SUCCESS = _gauge(
    "anti_entropy_last_success_timestamp_seconds", "When all Mirrors were last compared with those in the API server."
)
ENTROPY_MISSED = _counter(
    "anti_entropy_missed_total", "Changes that the comparison found before the watch had delivered them."
)

EDIT_SECONDS = _histogram(
    "table_edit_duration_seconds",
    "Time from the decision to pause a mirror for an edit until all is as the spec says.",
    _EDITS,
)
PAUSED_SECONDS = _histogram(
    "mirror_paused_seconds", "Time for which a mirror that should run was stopped by the operator, by stop.", _STOPS
)

MIRRORS = _gauge("mirrors", "Mirrors by the state of the PeerDB mirror; Unseen before the first observation.", "state")
MIRRORS_CONDITION = _gauge(
    "mirrors_condition", "Mirrors by condition; an absent Reconciling or Stalled counts as False.", "type", "status"
)
DROPS_HELD = _gauge("drops_held", "Deleted Mirrors whose drop waits for the rate limit (DropHeld).")
DROPS_BLOCKED = _gauge("drops_blocked", "Deleted Mirrors whose drop waits for PeerDB or Kubernetes (DropBlocked).")

MIRROR_CONDITION = _of_mirror(
    "mirror_condition", "Always 1; the conditions of a Mirror, only the present status of each.", "type", "status"
)
MIRROR_INFO = _of_mirror(
    "mirror_info",
    "Always 1; name and state of the PeerDB mirror, and the reason of Ready.",
    "mirror",
    "state",
    "reason",
)
MIRROR_TABLES = _of_mirror("mirror_tables", "Tables in the spec, and those of them that are replicated.", "kind")
MIRROR_STOPPED = _of_mirror(
    "mirror_paused_by_operator_since_timestamp_seconds",
    "Since when the operator keeps the mirror stopped for an edit; absent otherwise.",
)
MIRROR_ERROR = _of_mirror(
    "mirror_last_error_timestamp_seconds", "Time of the newest error in PeerDB's log of the mirror; absent without one."
)

FAMILIES: Final = tuple(_DECLARED)
"""Every metric, in the order of its declaration."""

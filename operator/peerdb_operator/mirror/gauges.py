"""What a scrape sees of the Mirrors, read from what this process knows of them.

Owns the closed sets of states and reasons: a status that was edited by hand, or a state that is new in PeerDB, adds no
series. Leaves the series themselves to ``metrics``.
"""

from __future__ import annotations

from collections.abc import Iterable

from peerdb_operator.api.reasons import Reason
from peerdb_operator.mirror.rules.observation import State
from peerdb_operator.mirror.rules.state import MirrorObject
from peerdb_operator.mirror.store import MirrorStore
from peerdb_operator.telemetry.families import CONDITIONS
from peerdb_operator.telemetry.metrics import UNSEEN, MirrorSample
from peerdb_operator.telemetry.reconcile_metrics import ReconcileMetrics

OTHER = "Other"
NOTHING_TOLD = {"Ready": "Unknown", "Synced": "Unknown"}
STATES = frozenset({*(state.value.capitalize() for state in State if state is not State.OTHER), "Missing"})
REASONS = frozenset({*(reason.value for reason in Reason), ""})


def mirror_samples(store: MirrorStore, measured: ReconcileMetrics) -> Iterable[MirrorSample]:
    """One sample for each Mirror. Views never change, so the samples may be made later and in another thread."""
    taken = [(entry.view, measured.paused_since(entry.view.uid), entry.error) for entry in store]
    return (_sample(view, stopped, None if error is None else error[1]) for view, stopped, error in taken)


def _sample(view: MirrorObject, paused_since: float | None, error_at: float | None) -> MirrorSample:
    status, tables = view.status, view.status.tables
    reason = status.ready_reason
    return MirrorSample(
        namespace=view.namespace,
        name=view.name,
        mirror=view.mirror,
        state=_known(status.state, STATES) if status.state else UNSEEN,
        reason=_known(reason, REASONS),
        conditions={
            **NOTHING_TOLD,
            **{each.type: each.status.value for each in status.conditions if each.type in CONDITIONS},
        },
        tables=None if tables is None else (tables.desired, tables.replicating),
        paused_since=paused_since,
        last_error_at=error_at,
    )


def _known(name: str, known: frozenset[str]) -> str:
    return name if name in known else OTHER

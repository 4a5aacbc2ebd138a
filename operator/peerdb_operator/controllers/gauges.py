"""What a scrape sees of the Mirrors, read from what this process knows of them.

Owns the closed sets of states and reasons: a status that was edited by hand, or a word of PeerDB's that is new, adds no
series. Leaves the series themselves to ``metrics``.
"""

from __future__ import annotations

from collections.abc import Iterable

from peerdb_operator.controllers.entry import View
from peerdb_operator.controllers.registry import Registry
from peerdb_operator.controllers.report import ready_reason
from peerdb_operator.core.observed import State
from peerdb_operator.core.reasons import Reason
from peerdb_operator.metrics import UNSEEN, MirrorSample
from peerdb_operator.metrics.families import CONDITIONS

OTHER = "Other"
NOTHING_TOLD = {"Ready": "Unknown", "Synced": "Unknown"}
STATES = frozenset({*(state.value.capitalize() for state in State if state is not State.OTHER), "Missing"})
REASONS = frozenset({*(reason.value for reason in Reason), ""})


def mirror_samples(registry: Registry) -> Iterable[MirrorSample]:
    """One sample for each Mirror. Views never change, so the samples may be made later and in another thread."""
    taken = [(entry.view, entry.course.standing, entry.error) for entry in registry]
    return (_sample(view, stopped, None if error is None else error[1]) for view, stopped, error in taken)


def _sample(view: View, stopped_since: float | None, error_at: float | None) -> MirrorSample:
    status, tables = view.status, view.status.tables
    reason = ready_reason(status)
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
        stopped_since=stopped_since,
        last_error_at=error_at,
    )


def _known(word: str, words: frozenset[str]) -> str:
    return word if word in words else OTHER

"""What must hold of tables that an edit of ours may take away later: one that PeerDB has queued for the next pause.

Nobody sees the queue but the simulation: these are judged by its hidden truth.
"""

from peerdb_operator.api.constants import FINALIZER, OWNER_TAG
from peerdb_operator.api.times import parse_time
from tests.harness.fakecluster import Body, Change
from tests.properties.evidence import Command, Evidence, mirror_of, spec_of
from tests.properties.hands import Hands, is_frozen, is_invalid, is_ours, last_edit, lets_go, operation, proven_foreign
from tests.properties.invariants import broken
from tests.properties.invariants_rest import PATIENCE


def a_release_leaves_no_edit_behind(evidence: Evidence, change: Change, hands: Hands) -> None:
    """Who lets a mirror of ours go leaves no edit of ours in PeerDB's queue that takes a table of the spec away."""
    work = evidence.pass_of(change)
    if work is None or not lets_go(change, FINALIZER) or is_frozen(work.known) or is_invalid(work.known):
        return
    late = change.at - parse_time(work.known["metadata"]["deletionTimestamp"]) >= PATIENCE
    if late or hands.dropped(work, change.at) or proven_foreign(evidence, work):
        return
    if lost := taken_back(evidence, hands, work.who, work.known):
        broken("release", f"a mirror was let go while an edit that removes {sorted(lost)} waits for its next pause")


def a_pause_takes_no_table_away(evidence: Evidence, command: Command, hands: Hands) -> None:
    """No pause is sent while an edit of ours that takes a table of the spec away waits in PeerDB's queue for it."""
    work = command.work
    if command.wanted != "PAUSED" or work is None:
        return
    if lost := taken_back(evidence, hands, work.who, work.known):
        broken("table lost", f"PAUSED was sent while an edit that removes {sorted(lost)} waits for the next pause")


def no_queued_edit_takes_a_table_away(evidence: Evidence, hands: Hands) -> None:
    """In a world at rest nobody's pause takes a table of a spec away by an edit of ours."""
    for run in evidence.simulation.runs:
        for body in run.cluster.mirrors.values() if run.alive else ():
            frozen_or_going = is_frozen(body) or "deletionTimestamp" in body["metadata"]
            row = evidence.simulation.engine.world.row(mirror_of(body))
            ours = row is not None and is_ours(row.tags.get(OWNER_TAG), run.cluster, body)
            if ours and not frozen_or_going and (lost := taken_back(evidence, hands, run.name, body)):
                broken("table lost", f"at rest, an edit that removes {sorted(lost)} waits for the next pause")


def taken_back(evidence: Evidence, hands: Hands, who: str, body: Body) -> set[str]:
    """Sources that a spec has and that the newest edit of this operator, queued in PeerDB, removes.

    Empty when the operator cannot know: its journal was edited, PeerDB said that it took the edit back, or somebody
    else has sent an update since then. A process that took over knows what the status says.
    """
    name = mirror_of(body)
    mirror, edit = evidence.simulation.engine.mirror(name), last_edit(evidence, who, name)
    queued = None if mirror is None or mirror.workflow is None else mirror.workflow.pending
    if queued is None or edit is None or edit.work is None:
        return set()
    removed = {one["sourceTableIdentifier"] for one in (edit.update or {}).get("removedTables", ())}
    since = [one for one in evidence.asked if isinstance(one, Command) and one.mirror == name and one.at > edit.at]
    overwritten = any(one.update is not None and not one.refused for one in since)
    if overwritten or removed != {table.source for table in queued.removed}:
        return set()
    reported = edit.call.who == who or operation(body).get("step") == "Edit" or operation(body).get("to")
    if not reported or hands.touched_since(who, body, edit.at, "patch-status", "create", "remove"):
        return set()
    return removed & {one["source"] for one in spec_of(body).get("tables") or ()}

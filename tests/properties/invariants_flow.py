"""What must hold of errors in PeerDB's log: time and restarts end none, and few questions are asked."""

from peerdb_operator.api.times import parse_time
from tests.harness.fakecluster import Change
from tests.harness.peerdb.catalog import rfc3339
from tests.properties.evidence import BatchesRead, Evidence, condition, mirror_of
from tests.properties.hands import SLACK
from tests.properties.invariants import broken

A_MINUTE = 60.0
A_SECOND = 1.0


def running_needs_a_batch_after_the_newest_error(evidence: Evidence, change: Change) -> None:
    """Running is told anew, and is the verdict on the flow, only when a batch of this mirror ended a second or more
    after the error in status.
    """
    work, body = evidence.pass_of(change), change.after
    if work is None or body is None or change.verb != "patch-status":
        return
    status, world = body["status"], evidence.simulation.engine.world
    told = condition(body, "Ready").get("reason") == "Running" != condition(change.before, "Ready").get("reason")
    if not told and (status.get("flow") or {}).get("verdict") != "Running":
        return
    row, error = world.row(mirror_of(body)), status.get("lastError")
    if error is None or row is None or rfc3339(row.created_at) != status.get("createdAt"):
        return
    end = world.batches.newest_end(mirror_of(body))
    if end is None or end < parse_time(error["time"]) + A_SECOND:
        broken("flow", f"Running is told though no batch ended after the error of {error['time']}")


def batches_are_read_of_failing_mirrors_and_seldom(evidence: Evidence, read: BatchesRead) -> None:
    """Only of a mirror that the log has an error of, when PeerDB was seen to call it RUNNING, and at most once a minute
    for one Mirror of one process.
    """
    work = read.work
    if work is None:
        broken("flow", "batches were read outside of a pass")
    names = (read.mirror, f"clone_{read.mirror}_")
    lines = evidence.simulation.engine.world.journal.lines
    if not any(line.level == "error" and line.flow.startswith(names) for line in lines):
        broken("flow", f"the batches of {read.mirror} were read though its log has no error")
    looks = evidence.looks(work, read.mirror)
    if not looks or looks[-1].state != "RUNNING":
        broken("flow", f"the batches of {read.mirror} were read though it was not seen RUNNING")
    for earlier in evidence.before(read):
        same = isinstance(earlier, BatchesRead) and earlier.work is not None and earlier.work.uid == work.uid
        if same and read.call.began - earlier.call.began < A_MINUTE - SLACK:
            broken("flow", f"the batches of {read.mirror} were read twice within a minute")

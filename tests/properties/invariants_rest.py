"""What must hold of the end of things: a release, a drop, and a world at rest (I7)."""

from peerdb_operator.api.constants import FINALIZER
from peerdb_operator.api.times import parse_time
from tests.harness.fakecluster import Change
from tests.properties.evidence import Asked, Command, Evidence, TagWrite, condition, mirror_of, wants_running
from tests.properties.hands import (
    Hands,
    is_frozen,
    is_invalid,
    key_of,
    lets_go,
    operation,
    proven_foreign,
)
from tests.properties.invariants import broken

PATIENCE = 120.0
FIRST_TOKEN = 120.0
TIMED = {"EditNotApplied", "DriftLoop", "MirrorOrphaned", "MirrorTerminated"}


def a_release_leaves_nothing_stopped(evidence: Evidence, change: Change, hands: Hands) -> None:
    """Who lets a mirror of ours go that is to run does not leave it PAUSED or PAUSING within the first two minutes."""
    work = evidence.pass_of(change)
    if work is None or not lets_go(change, FINALIZER) or not wants_running(work.known) or is_frozen(work.known):
        return
    metadata = work.known["metadata"]
    looks = evidence.looks(work, mirror_of(work.known))
    if change.at - parse_time(metadata["deletionTimestamp"]) >= PATIENCE or hands.dropped(work, change.at):
        return
    if proven_foreign(evidence, work) or is_invalid(work.known):
        return
    if not looks or (looks[-1].state in {None, "PAUSED", "PAUSING"} and not looks[-1].gone):
        broken("release", f"a mirror was let go that was last seen {looks[-1].state if looks else 'never'}")


def drops_wait_after_a_start(evidence: Evidence, command: Command) -> None:
    """An operator that finds a deleted Mirror at its start whose drop nobody has recorded sends no drop for it before
    the rate limit, which starts empty, has its first token.
    """
    work, run = command.work, evidence.run(command.call.who)
    if work is None or run is None or command.wanted != "TERMINATING":
        return
    metadata = work.known["metadata"]
    waited = command.at - run.began
    if parse_time(metadata["deletionTimestamp"]) + 1.0 >= run.began or waited >= FIRST_TOKEN:
        return
    record = evidence.cluster_of(run.name).record
    others = [one.after for one in record if one.key == key_of(work.known) and one.who != run.name and one.after]
    if not any(operation(body).get("step") == "Drop" for body in others):
        broken("rate limit", f"a drop that was due at the start was sent {waited:.1f} s after it")


def i7_rest_is_silent(quiet: list[Asked | Change]) -> None:
    """A settled world gets no request that changes anything, and no write to Kubernetes. Time alone ends one thing:
    the wait between tries of what PeerDB does not follow.
    """
    timed: set[str] = set()
    for one in quiet:
        if not isinstance(one, Command | TagWrite | Change):
            continue
        if isinstance(one, Change):
            body, said = one.before or one.after, f"{one.verb} {one.patch}"
        else:
            body, said = one.work.known if one.work is not None else None, f"{one.path} {one.body}"
        if body is None:
            continue
        uid = body["metadata"]["uid"]
        if condition(body, "Ready").get("reason") in TIMED:
            timed.add(uid)
        if uid not in timed:
            broken("I7", f"{said} though everything was settled")

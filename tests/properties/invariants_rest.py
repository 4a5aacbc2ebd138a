"""What must hold of the end of things: a release, a drop, a world at rest, and a mirror that stands still (I7, I10)."""

from dataclasses import dataclass, field

from peerdb_operator.api.constants import FINALIZER, OWNER_TAG
from peerdb_operator.api.times import parse_time
from tests.harness.fakecluster import Body, Change, FakeCluster
from tests.harness.peerdb.mirror import Mirror, Phase
from tests.harness.peerdb.values import Status
from tests.properties.evidence import Asked, Command, Evidence, TagWrite, condition, mirror_of, wants_running
from tests.properties.hands import (
    Hands,
    is_frozen,
    is_invalid,
    is_ours,
    key_of,
    lets_go,
    operation,
    proven_foreign,
)
from tests.properties.invariants import broken

PATIENCE = 120.0
RESUME_BY = 200.0
FIRST_TOKEN = 120.0
TIMED = {"RunningWithErrors", "EditNotApplied", "DriftLoop", "MirrorOrphaned", "MirrorTerminated"}


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
    """A settled world gets no request that changes anything, and no write to Kubernetes. Time alone ends some things:
    the mark that errors leave on a running mirror, and the wait between tries of what PeerDB does not follow.
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


@dataclass
class I10:
    """No mirror that should run stays PAUSED for more than two minutes without a resume being sent.

    The clock of a mirror runs while it is PAUSED, ours and not frozen, a live operator knows the wish to run, nothing
    is dropped, and PeerDB and the API server answer. A command that asks for RUNNING sets it back.
    """

    evidence: Evidence
    hands: Hands
    since: dict[str, float] = field(default_factory=dict)

    def on_command(self, command: Command) -> None:
        """A resume was sent."""
        if command.wanted in {"RUNNING", "TERMINATING"}:
            self.since.pop(command.mirror, None)

    def check(self) -> None:
        """After every step."""
        simulation = self.evidence.simulation
        paused = {name for name, mirror in simulation.engine.world.mirrors.items() if _is_paused(mirror)}
        if not paused or self.hands.trouble():
            self.since.clear()
            return
        owed = {
            mirror_of(body)
            for cluster in simulation.clusters
            for body in cluster.mirrors.values()
            if mirror_of(body) in paused and self._owed(body, cluster)
        }
        self.since = {name: self.since.get(name, simulation.now) for name in owed}
        for name, since in self.since.items():
            if simulation.now - since > RESUME_BY:
                broken("I10", f"{name} has been PAUSED for {simulation.now - since:.0f} s and nobody resumes it")

    def _owed(self, body: Body, cluster: FakeCluster) -> bool:
        simulation, metadata = self.evidence.simulation, body["metadata"]
        row = simulation.engine.world.row(mirror_of(body))
        if row is None or not wants_running(body) or is_frozen(body):
            return False
        if "deletionTimestamp" in metadata or FINALIZER not in (metadata.get("finalizers") or ()):
            return False
        if not is_ours(row.tags.get(OWNER_TAG), cluster, body):
            return False
        return any(run.alive and run.known.get(metadata["uid"]) is body for run in simulation.runs)


def _is_paused(mirror: Mirror) -> bool:
    """Whether it stands PAUSED and could run: there is a workflow that takes signals."""
    alive = mirror.workflow is not None and mirror.workflow.phase not in {Phase.CLOSED, Phase.WEDGED}
    return mirror.row is not None and mirror.row.status is Status.PAUSED and alive

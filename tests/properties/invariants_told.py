"""What must hold of doubt, of what is told and let go, and of rest: invariants I6, I7, I8, I9 and I10.

Judged like the commands of ``invariants``: each function gets a request at the moment it reaches PeerDB, or a change at
the moment the API server has made it.
"""

from dataclasses import dataclass, field

from peerdb_operator.api.constants import FINALIZER, OWNER_TAG, RELEASED
from peerdb_operator.api.times import parse_time
from tests.harness.fakecluster import Body, Change, FakeCluster
from tests.harness.peerdb.mirror import Mirror
from tests.harness.peerdb.values import Status
from tests.harness.simulation import Pass
from tests.properties.evidence import (
    Asked,
    Command,
    Evidence,
    Look,
    TagRead,
    TagWrite,
    condition,
    mirror_of,
    spec_of,
    wants_running,
)
from tests.properties.hands import (
    ABSENCE_GAP,
    DROPPED_GAP,
    SLACK,
    Hands,
    is_frozen,
    is_invalid,
    is_ours,
    last_edit,
    lets_go,
    missing_twice,
    older_claim,
    operation,
    proven_foreign,
    proven_gone,
    proves,
)
from tests.properties.invariants import OVER, broken

PATIENCE = 120.0
RESUME_BY = 200.0
AT_REST = {"Running", "RunningWithErrors", "Paused", "PausedWithPendingChanges", "Completed"}
TIMED = {"RunningWithErrors", "EditNotApplied", "DriftLoop", "MirrorOrphaned", "MirrorTerminated"}


def i6_doubt_sends_nothing(evidence: Evidence, asked: Asked) -> None:
    """A look that failed, or that a 404 answered, is no ground for any command, nor for a tag."""
    work = asked.work
    if work is None or not isinstance(asked, Command | TagWrite):
        return
    if isinstance(asked, TagWrite) and asked.owner == RELEASED:
        return
    looks = evidence.looks(work, asked.mirror)
    if not looks or looks[-1].state is None:
        broken("I6", f"{asked.path} was sent though the newest look of the pass taught nothing")


def i6_adoption_needs_a_missing_tag(evidence: Evidence, write: TagWrite) -> None:
    """Our tag is written only over none (read twice, five seconds apart), over "released", or over our own. Other tags
    stay as they were read.
    """
    work = write.work
    if work is None:
        return
    reads = [one for one in evidence.by_pass[work.n] if isinstance(one, TagRead) and one.mirror == write.mirror]
    if not reads or not reads[-1].answered:
        broken("I6", "an owner tag was written without reading the tags in the same pass")
    read = reads[-1]
    if {**read.others, OWNER_TAG: write.owner} != {**write.others, OWNER_TAG: write.owner}:
        broken("I6", f"the tags {read.others} became {write.others}")
    if is_ours(read.owner, evidence.cluster_of(work.who), work.known):
        return
    if write.owner == RELEASED:
        broken("I6", f"a mirror owned by {read.owner} was handed over")
    if read.owner not in {None, "", RELEASED}:
        broken("I6", f"the owner tag of {read.owner} was overwritten")
    if read.owner != RELEASED and not missing_twice(evidence, read):
        broken("I6", "a missing owner tag was believed after one look")


def i6_release_needs_a_reason(evidence: Evidence, change: Change, hands: Hands) -> None:
    """Our finalizer goes only for what Kubernetes says (policy, heir, namespace, CRD), because the mirror is proven
    gone, or because it is proven not ours.
    """
    work = evidence.pass_of(change)
    if work is None or not lets_go(change, FINALIZER):
        return
    body = work.known
    if "deletionTimestamp" not in body["metadata"]:
        broken("I6", "the finalizer was removed from an object that is not being deleted")
    if spec_of(body).get("deletionPolicy", "Drop") == "Retain" or is_invalid(body):
        return
    if hands.heir(work) or hands.going(work):
        return
    if not proven_gone(evidence, work, _gap(work, change, hands)) and not proven_foreign(evidence, work):
        broken("I6", "a mirror was released that is neither gone nor somebody else's, and that nobody wished to keep")


def i6_missing_needs_two_answers(evidence: Evidence, change: Change, hands: Hands) -> None:
    """MirrorNotFound is told only after two answers that name the mirror."""
    work = evidence.pass_of(change)
    if work is None or change.verb != "patch-status" or change.after is None:
        return
    if condition(change.after, "Ready").get("reason") != "MirrorNotFound":
        return
    known = condition(change.before, "Ready").get("reason") == "MirrorNotFound"
    if not known and not proven_gone(evidence, work, _gap(work, change, hands)):
        broken("I6", "MirrorNotFound was told without proof")


def _gap(work: Pass, change: Change, hands: Hands) -> float:
    """How far apart two 404s have to be; who writes a drop into the status by hand is believed."""
    dropped = hands.dropped(work, change.at) or operation(work.known).get("step") == "Drop"
    return DROPPED_GAP if dropped else ABSENCE_GAP


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


def i8_accepted_edits_are_proven_or_counted(evidence: Evidence, change: Change, hands: Hands) -> None:
    """An edit leaves the status only when a look has shown what became of it; one that PeerDB took and that did not
    show is counted as an attempt.
    """
    work = evidence.pass_of(change)
    if work is None or change.after is None or change.verb != "patch-status":
        return
    before, after = operation(change.before), operation(change.after)
    if before.get("step") != "Edit" or before.get("id") == after.get("id"):
        return
    mirror = mirror_of(work.known)
    edit = last_edit(evidence, change.who, mirror)
    if edit is None or edit.refused or edit.at < parse_time(before["sentAt"]) - SLACK:
        return
    by_hand = hands.touched_since(change.who, work.known, edit.at, "patch", "patch-status", "create", "delete")
    if by_hand or hands.recreated(mirror, edit.at) or proven_foreign(evidence, work):
        return
    looks = [
        one
        for one in evidence.asked
        if isinstance(one, Look) and one.mirror == mirror and one.call.who == change.who and one.call.began >= edit.at
    ]
    if any(one.gone or proves(evidence, edit, one) or one.state in OVER for one in looks):
        return
    if not any(one.config is not None and one.state in {"RUNNING", "PAUSED"} for one in looks):
        if wants_running(work.known) and "deletionTimestamp" not in work.known["metadata"]:
            broken("I8", "an edit was forgotten that no look has judged")
        return
    bounds = (change.after.get("status") or {}).get("bounds") or {}
    if edit.answered and edit.call.who == change.who and not bounds.get("attempts"):
        broken("I8", "an accepted edit did not show and was not counted")


def i9_conditions_are_consistent(evidence: Evidence, change: Change) -> None:
    """Reconciling and Stalled are never true together, and a transition time moves only with its status."""
    if evidence.pass_of(change) is None or change.verb != "patch-status" or change.after is None:
        return
    kinds = [one["type"] for one in change.after["status"].get("conditions") or []]
    if all(condition(change.after, kind).get("status") == "True" for kind in ("Reconciling", "Stalled")):
        broken("I9", "Reconciling and Stalled at once")
    for kind in kinds:
        was, now = condition(change.before, kind), condition(change.after, kind)
        if was.get("status") == now["status"] and was.get("lastTransitionTime") != now["lastTransitionTime"]:
            broken("I9", f"lastTransitionTime of {kind} moved though its status did not")


def i9_ready_speaks_of_what_was_evaluated(evidence: Evidence, change: Change) -> None:
    """Ready=True is only told of a generation that the pass knew, on a look of that pass that shows the state; of a new
    generation only on a look that shows the config.
    """
    work = evidence.pass_of(change)
    if work is None or change.verb != "patch-status" or change.after is None:
        return
    generation = work.known["metadata"]["generation"]
    if change.after["status"].get("observedGeneration", -1) > generation and operation(change.before) == {}:
        claimed = (change.before or {}).get("status", {}).get("observedGeneration")
        if change.after["status"]["observedGeneration"] != claimed:
            broken("I9", "a generation was called observed that the pass did not know")
    ready, was = condition(change.after, "Ready"), condition(change.before, "Ready")
    if ready.get("status") != "True" or ready == was:
        return
    claims_more = ready.get("observedGeneration") != was.get("observedGeneration") or was.get("status") != "True"
    if claims_more and ready.get("observedGeneration") != generation:
        broken("I9", f"Ready=True of generation {ready.get('observedGeneration')} in a pass that did not evaluate it")
    _fits_the_look(evidence, work, ready, claims_more=claims_more)


def _fits_the_look(evidence: Evidence, work: Pass, ready: Body, *, claims_more: bool) -> None:
    looks = [one for one in evidence.looks(work, mirror_of(work.known)) if one.state is not None]
    words = {"Running": "RUNNING", "RunningWithErrors": "RUNNING", "Completed": "COMPLETED"}
    state = words.get(ready["reason"], "PAUSED")
    if ready["reason"] in AT_REST and (not looks or looks[-1].state != state):
        seen = looks[-1].state if looks else "nothing"
        broken("I9", f"Ready=True/{ready['reason']} was told after a look that showed {seen}")
    if claims_more and not any(one.config is not None for one in looks):
        broken("I9", "Ready=True was told of a new generation without a look at the config")


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
        if row is None or not wants_running(body) or is_frozen(body) or is_invalid(body):
            return False
        if "deletionTimestamp" in metadata or FINALIZER not in (metadata.get("finalizers") or ()):
            return False
        if older_claim(body, cluster) or not is_ours(row.tags.get(OWNER_TAG), cluster, body):
            return False
        return any(run.alive and run.known.get(metadata["uid"]) is body for run in simulation.runs)


def _is_paused(mirror: Mirror) -> bool:
    return mirror.row is not None and mirror.row.status is Status.PAUSED

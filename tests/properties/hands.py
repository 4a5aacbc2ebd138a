"""What people and failures did, and what of it an operator had been told: the other half of every judgement.

Owns questions about the world beside the operator: who claims a mirror, what was edited by hand, what is going away,
what is proven gone or foreign by the answers one process got. Holds no opinion.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.harness.fakecluster import Body, Change, FakeCluster
from tests.harness.peerdb.events import HandMoved
from tests.harness.simulation import HUMAN, Pass
from tests.properties.evidence import Asked, Command, Evidence, Reading, TagRead, mirror_of, spec_of

SLACK = 0.01
DOUBT_GAP = 5.0
ABSENCE_GAP = 5.0
DROPPED_GAP = 2.0


@dataclass
class Hands:
    """Answers about what was not the operator's doing. ``trouble`` says whether Kubernetes answers badly now."""

    evidence: Evidence
    trouble: Callable[[], bool] = lambda: False
    not_found_since: dict[str, float] = field(default_factory=dict)
    """Since when namespaces (cluster/namespace) are on their way out, with the CRD or without."""

    def recreated(self, mirror: str, since: float) -> bool:
        """Whether a hand put, removed or created this mirror after that time."""
        for event in reversed(self.evidence.simulation.engine.log.events):
            if event.at < since:
                return False
            if isinstance(event, HandMoved) and mirror in event.what:
                return True
        return False

    def changed_by_others(self, command: Command, since: float) -> bool:
        """Whether anybody but the sender changed the command's object after that time."""
        if command.work is None:
            return False
        record = self.evidence.cluster_of(command.call.who).record
        key = key_of(command.work.known)
        return any(one.key == key and one.at >= since and one.who != command.call.who for one in record)

    def touched_since(self, who: str, body: Body, since: float, *verbs: str) -> bool:
        """Whether somebody who is no operator changed an object of ``who``'s cluster after that time, in these ways."""
        for change in reversed(self.evidence.cluster_of(who).record):
            if change.at < since:
                return False
            if change.key == key_of(body) and change.verb in verbs and self.evidence.run(change.who) is None:
                return True
        return False

    def going(self, work: Pass) -> bool:
        """Whether namespace or CRD were going when this pass began."""
        cluster, namespace = self.evidence.cluster_of(work.who), work.known["metadata"]["namespace"]
        return self.not_found_since.get(f"{cluster.uid}/{namespace}", float("inf")) < work.began

    def successor(self, work: Pass) -> bool:
        """Whether another live object claims (or lately claimed) the same mirror."""
        uid, mirror = work.known["metadata"]["uid"], mirror_of(work.known)
        return any(
            mirror_of(other) == mirror
            for change in self.evidence.cluster_of(work.who).record
            for other in [change.after]
            if other is not None and other["metadata"]["uid"] != uid and "deletionTimestamp" not in other["metadata"]
        )

    def dropped(self, work: Pass, before: float) -> bool:
        """Whether the operator of this pass had asked PeerDB to drop the mirror for this object, without a refusal."""
        cluster, uid = self.evidence.cluster_of(work.who), work.known["metadata"]["uid"]
        return any(
            one.wanted == "TERMINATING" and one.work.known["metadata"]["uid"] == uid and not one.refused
            for one in self.evidence.asked
            if isinstance(one, Command) and one.work is not None and one.at < before
            if self.evidence.cluster_of(one.call.who) is cluster
        )


def older_claim(body: Body, cluster: FakeCluster) -> bool:
    """Whether an older live object claims the same mirror."""
    mine = _rank(body)
    return any(
        mirror_of(other) == mirror_of(body) and "deletionTimestamp" not in other["metadata"] and _rank(other) < mine
        for other in cluster.mirrors.values()
    )


def _rank(body: Body) -> tuple[str, str]:
    return (body["metadata"]["creationTimestamp"], body["metadata"]["uid"])


def is_invalid(body: Body) -> bool:
    """Whether the spec is none that can be read."""
    return bool(spec_of(body).get("tables", [1]) == [])


def is_frozen(body: Body) -> bool:
    return bool((body["metadata"].get("annotations") or {}).get("peerdb.io/reconcile") == "disabled")


def is_ours(owner: str | None, cluster: FakeCluster, body: Body) -> bool:
    """Whether an owner tag names this object's cluster, namespace and name."""
    metadata = body["metadata"]
    return bool(owner) and str(owner).startswith(f"{cluster.uid}/{metadata['namespace']}/{metadata['name']}/")


def is_gone(one: Asked) -> bool:
    """Whether this answer names the mirror as missing."""
    if isinstance(one, Reading):
        return one.gone
    return one.call.status == 404 and one.mirror in str(one.content.get("message"))


def proven_gone(evidence: Evidence, work: Pass, gap: float) -> bool:
    """Whether this process's newest answers, so many seconds apart, all say that there is no such mirror."""
    mirror = mirror_of(work.known)
    answers: list[Asked] = [
        one
        for one in evidence.asked
        if one.call.who == work.who and one.mirror == mirror and isinstance(one, Reading | TagRead) and one.call.ended
    ]
    gone: list[Asked] = []
    for one in reversed(answers):
        asked_again = bool(gone) and not one.answered and one.work is gone[-1].work
        if is_gone(one):
            gone.append(one)
        elif not asked_again:
            break
    return len(gone) > 1 and observed_at(evidence, gone[0]) - observed_at(evidence, gone[-1]) >= gap - SLACK


def proven_foreign(evidence: Evidence, work: Pass) -> bool:
    """Whether the tags that this pass read are not ours; missing ones only if an earlier reading agrees."""
    mirror = mirror_of(work.known)
    reads = [one for one in evidence.by_pass.get(work.n, ()) if isinstance(one, TagRead) and one.mirror == mirror]
    if not reads or not reads[-1].answered or is_ours(reads[-1].owner, evidence.cluster_of(work.who), work.known):
        return False
    return bool(reads[-1].owner) or missing_twice(evidence, reads[-1])


def missing_twice(evidence: Evidence, read: TagRead) -> bool:
    """Whether the same process had found no owner tag five seconds before, either."""
    earlier = [one for one in evidence.before(read) if isinstance(one, TagRead) and one.answered and not one.owner]
    now = observed_at(evidence, read)
    return any(now - observed_at(evidence, one) >= DOUBT_GAP - SLACK for one in earlier)


def observed_at(evidence: Evidence, one: Asked) -> float:
    """When the look began that a request belongs to: that of a tag begins with the question for the status."""
    if isinstance(one, Reading) or one.work is None:
        return one.call.began
    looks = [other for other in evidence.looks(one.work, one.mirror) if other.call.began <= one.call.began]
    return looks[-1].call.began if looks else one.call.began


def last_edit(evidence: Evidence, who: str, mirror: str, *, before: Command | None = None) -> Command | None:
    """The newest edit of a mirror by any life of this operator."""
    family = evidence.cluster_of(who)
    for one in reversed(evidence.asked):
        if one is before or one.mirror != mirror or not isinstance(one, Command) or not one.is_edit:
            continue
        if one.call.who != HUMAN and evidence.cluster_of(one.call.who) is family:
            return one
    return None


def proves(evidence: Evidence, edit: Command, look: Reading) -> bool:
    """Whether a look shows what the edit was to bring about."""
    if look.config is None or look.state not in {"RUNNING", "PAUSED"} or edit.work is None:
        return False
    based_on = evidence.looks(edit.work, edit.mirror)[-1].config
    return based_on is not None and look.config == based_on.after(edit.update or {})


def takes_away(body: Body, look: Reading) -> bool:
    """Whether an object's list of tables leaves out or remaps a live one."""
    wishes = spec_of(body).get("tables")
    if wishes is None:
        return False
    if look.config is None:
        return True
    wished = {one["source"]: one for one in wishes}
    return any(
        source not in wished
        or wished[source]["destination"] != mapping[0]
        or ("exclude" in wished[source] and frozenset(wished[source]["exclude"]) not in mapping)
        for source, mapping in look.config.tables.items()
    )


def key_of(body: Body) -> tuple[str, str]:
    return body["metadata"]["namespace"], body["metadata"]["name"]


def operation(body: Body | None) -> dict[str, Any]:
    """The operation in an object's status; empty if there is none."""
    found = ((body or {}).get("status") or {}).get("operation")
    return found if isinstance(found, dict) else {}


def lets_go(change: Change, finalizer: str) -> bool:
    """Whether this change takes a finalizer away."""
    held = change.before is not None and finalizer in (change.before["metadata"].get("finalizers") or ())
    return held and (change.after is None or finalizer not in (change.after["metadata"].get("finalizers") or ()))

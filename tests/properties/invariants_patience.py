"""No mirror that should run stays PAUSED (I10): after two minutes a resume is tried every second until one is taken.

The two minutes run from the first answer that showed a live process PAUSED, or from what the status told it when it
began. Neither failed reads nor failed commands excuse anybody: after the two minutes PeerDB is asked without a break,
and a resume follows each observation that one may rest on.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile

from peerdb_operator.api.constants import FINALIZER, OWNER_TAG
from peerdb_operator.api.times import parse_time
from tests.harness.fakecluster import Body, FakeCluster
from tests.harness.peerdb.mirror import Mirror, Phase
from tests.harness.peerdb.values import Status
from tests.harness.simulation import Run, Simulation
from tests.properties.evidence import Asked, Command, Evidence, Reading, TagRead, condition, mirror_of, wants_running
from tests.properties.hands import Hands, is_frozen, is_ours
from tests.properties.invariants import HOLDS, broken

PATIENCE = 120.0
AFTER_FAILURE, AFTER_SUCCESS = 1.0, 15.0
"""Seconds from the answer to a resume to the next one."""
TRY_WITHIN = 4.0
"""Seconds from an observation to the resume that rests on it, besides PeerDB's own latency."""
ASK_WITHIN = 2.5
"""Longest break between two passes."""
KUBERNETES_TAKES = 8.0
"""How much longer both may be while Kubernetes is slow, away or loses answers."""
BEGINS_WITHIN = 5.0
EVERY = 0.25
"""Seconds between two checks."""
MAINTENANCE_RETRY = 31.0
ON_THE_WAY = {"Pausing", "Editing", "Resuming", "AddingTables", "RemovingTables"}


@dataclass
class I10:
    """Holds it against every moment. ``since``: when a mirror began to be one that nobody may leave PAUSED."""

    evidence: Evidence
    hands: Hands
    since: dict[str, float] = field(default_factory=dict)
    excused_until: float = 0.0
    kubernetes_until: float = 0.0
    next_at: float = 0.0

    def check(self) -> None:
        simulation = self.evidence.simulation
        now = simulation.now
        self._note_troubles(simulation, now)
        paused = {name for name, mirror in simulation.engine.world.mirrors.items() if _is_paused(mirror)}
        owed = dict(self._owed(paused)) if paused else {}
        self.since = {name: self.since.get(name, now) for name in owed}
        if now < max(self.excused_until, self.next_at):
            return
        self.next_at = now + EVERY
        for name, (body, cluster) in owed.items():
            if now - self.since[name] > PATIENCE:
                self._judge(name, body, cluster)

    def _note_troubles(self, simulation: Simulation, now: float) -> None:
        trouble = self.hands.trouble()
        knobs = simulation.engine.knobs
        if knobs.maintenance or knobs.maintenance_run:
            self.excused_until = max(self.excused_until, now + MAINTENANCE_RETRY)
        if simulation.network.away:
            self.excused_until = max(self.excused_until, now + ASK_WITHIN)
        if trouble:
            self.kubernetes_until = now + KUBERNETES_TAKES

    def _owed(self, paused: set[str]) -> Iterator[tuple[str, tuple[Body, FakeCluster]]]:
        """The mirrors that should run, with the objects that say so."""
        for cluster in self.evidence.simulation.clusters:
            for body in cluster.mirrors.values():
                if mirror_of(body) in paused and self._should_run(body, cluster):
                    yield mirror_of(body), (body, cluster)

    def _should_run(self, body: Body, cluster: FakeCluster) -> bool:
        metadata = body["metadata"]
        row = self.evidence.simulation.engine.world.row(mirror_of(body))
        if row is None or not wants_running(body) or is_frozen(body):
            return False
        if "deletionTimestamp" in metadata or FINALIZER not in (metadata.get("finalizers") or ()):
            return False
        return is_ours(row.tags.get(OWNER_TAG), cluster, body)

    def _judge(self, name: str, body: Body, cluster: FakeCluster) -> None:
        now = self.evidence.simulation.now
        runs = [run for run in self.evidence.simulation.runs if run.cluster is cluster and _follows(run, body, now)]
        recent = takewhile(lambda one: one.at >= self.since[name] - HOLDS, reversed(self.evidence.asked))
        asked = [one for one in recent if one.mirror == name][::-1]
        seen = [start for run in runs if (start := self._seen_paused(run, asked, body, name)) is not None]
        if not seen or now - min(seen) <= PATIENCE:
            return
        commands = [one for one in asked if isinstance(one, Command) and self.evidence.run(one.call.who) is not None]
        due, reported = min(seen) + PATIENCE, 0.0
        if commands:
            reported = commands[-1].call.ended or now
            taken = commands[-1].answered
            due = max(due, reported + (AFTER_SUCCESS if taken else AFTER_FAILURE))
        slack = KUBERNETES_TAKES if now < self.kubernetes_until else 0.0
        latency = self.evidence.simulation.engine.knobs.latency
        chance = _chance([one for one in asked if one.at >= reported], body, cluster)
        if chance is not None and now - max(chance, due) > TRY_WITHIN + 2 * latency + slack:
            broken("I10", f"{name} has been PAUSED for {now - self.since[name]:.0f} s and nobody resumes it")
        idle = now - max(due, *(self._last_pass(run, body) for run in runs))
        if idle > ASK_WITHIN + slack:
            broken("I10", f"{name} has been PAUSED for {now - self.since[name]:.0f} s and nobody asks for it")

    def _seen_paused(self, run: Run, asked: list[Asked], body: Body, name: str) -> float | None:
        """Since when this process counts: its first answer that showed PAUSED, or what it read in the status."""
        looks = (
            one for one in asked if isinstance(one, Reading) and one.call.who == run.name and one.state == "PAUSED"
        )
        first = next((one.call.ended for one in looks if one.at >= self.since[name]), None)
        known = run.first.get(body["metadata"]["uid"]) or {}
        status = known.get("status") or {}
        current = status.get("observedGeneration") == known["metadata"]["generation"] if known else False
        on_the_way = condition(known, "Ready").get("reason") in ON_THE_WAY
        if first is None or status.get("state") != "Paused" or not (current or on_the_way):
            return first
        return min(first, max(self.since[name], parse_time(status["stateSince"]) + 1.0))

    def _last_pass(self, run: Run, body: Body) -> float:
        """When the newest pass of this process over this object ended; now while one is under way."""
        uid = body["metadata"]["uid"]
        if any(one.uid == uid for one in run.passes.values()):
            return self.evidence.simulation.now
        passes = self.evidence.simulation.passes
        return next((one.ended or 0.0 for one in reversed(passes) if one.who == run.name and one.uid == uid), run.began)


def _follows(run: Run, body: Body, now: float) -> bool:
    """Whether this process is well and knows what the object says now."""
    known = run.known.get(body["metadata"]["uid"])
    if not run.alive or known is None or run.process.stalled_until > now - BEGINS_WITHIN:
        return False
    if now - run.began < BEGINS_WITHIN:
        return False
    return bool(known["metadata"]["generation"] == body["metadata"]["generation"]) and not is_frozen(known)


def _chance(asked: list[Asked], body: Body, cluster: FakeCluster) -> float | None:
    """When one process first had an observation in hand, made of these requests, that a resume may rest on."""
    answered = [one for one in asked if one.answered and one.work is not None]
    looks = [one for one in answered if isinstance(one, Reading) and one.state == "PAUSED"]
    tags = [one for one in answered if isinstance(one, TagRead) and is_ours(one.owner, cluster, body)]
    ends = [(look.call.ended or 0.0, tag.call.ended or 0.0) for look in looks for tag in tags if look.work is tag.work]
    return min((max(pair) for pair in ends if abs(pair[0] - pair[1]) <= HOLDS), default=None)


def _is_paused(mirror: Mirror) -> bool:
    """Whether it stands PAUSED and could run: there is a workflow that takes signals."""
    if mirror.row is None or mirror.row.status is not Status.PAUSED:
        return False
    return mirror.workflow is not None and mirror.workflow.phase not in {Phase.CLOSED, Phase.WEDGED}

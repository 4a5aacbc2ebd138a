"""What must hold of a mirror that another one of the same name has replaced."""

from dataclasses import dataclass, field

from tests.harness.fakecluster import Body
from tests.harness.peerdb.catalog import rfc3339
from tests.properties.evidence import Evidence, condition, mirror_of
from tests.properties.hands import Hands, is_frozen
from tests.properties.invariants import broken

REPLACED_BY = 25.0


@dataclass
class Green:
    """Ready=True does not outlive the mirror that it was told of: another one of that name ends it within seconds.

    The clock of an object runs while PeerDB has another mirror than ``status.createdAt`` says, an operator that knows
    the object is alive and has no pass over it under way, and PeerDB and the API server answer.
    """

    evidence: Evidence
    hands: Hands
    since: dict[str, float] = field(default_factory=dict)

    def check(self) -> None:
        simulation = self.evidence.simulation
        if self.hands.trouble():
            self.since.clear()
            return
        stale = {
            body["metadata"]["uid"]
            for cluster in simulation.clusters
            for body in cluster.mirrors.values()
            if condition(body, "Ready").get("status") == "True" and self._is_replaced(body)
        }
        self.since = {uid: self.since.get(uid, simulation.now) for uid in stale}
        for uid, since in self.since.items():
            if simulation.now - since > REPLACED_BY:
                broken("Ready", f"{uid} is Ready for {simulation.now - since:.0f} s over a mirror that is gone")

    def _is_replaced(self, body: Body) -> bool:
        simulation, uid = self.evidence.simulation, body["metadata"]["uid"]
        row, created = simulation.engine.world.row(mirror_of(body)), body["status"].get("createdAt")
        if row is None or created is None or rfc3339(row.created_at) == created or is_frozen(body):
            return False
        return any(
            run.alive
            and run.process.stalled_until <= simulation.now
            and run.known.get(uid) is body
            and uid not in {work.uid for work in run.passes.values()}
            for run in simulation.runs
        )

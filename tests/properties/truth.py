"""Whether what a status says is so: every verdict that may stay, held against the simulated PeerDB itself.

Owns the meaning of each reason at rest. A Mirror without such a verdict has not come to rest.
"""

from collections.abc import Callable, Iterator
from typing import Any

from peerdb_operator.api.constants import OWNER_TAG
from peerdb_operator.api.times import parse_time
from tests.harness.fakecluster import Body, FakeCluster
from tests.harness.peerdb.config import NULL_ENGINE, Table
from tests.harness.peerdb.mirror import Mirror, Phase, Row
from tests.harness.peerdb.values import Status
from tests.harness.simulation import Simulation
from tests.properties.evidence import condition, mirror_of, spec_of, wants_running
from tests.properties.hands import is_frozen, is_ours, older_claim
from tests.properties.invariants_told import AT_REST

FIELDS = {"batchSize": "batch_size", "idleTimeoutSeconds": "idle_timeout"}
RESTING = {Phase.CDC, Phase.PAUSED, Phase.CLOSED, Phase.WEDGED}
SNAPSHOT = {
    "rowsPerPartition": "snapshotNumRowsPerPartition",
    "partitionsOverride": "snapshotNumPartitionsOverride",
    "maxParallelWorkers": "snapshotMaxParallelWorkers",
    "tablesInParallel": "snapshotNumTablesInParallel",
}


class Facts:
    """What is so about one Mirror and its PeerDB mirror."""

    def __init__(self, simulation: Simulation, cluster: FakeCluster, body: Body) -> None:
        self.body = body
        self.spec = spec_of(body)
        self.name = mirror_of(body)
        mirror = simulation.engine.mirror(self.name)
        self.row: Row | None = None if mirror is None else mirror.row
        self.live = None if mirror is None or mirror.workflow is None else mirror.workflow.live
        self.closed = mirror is None or mirror.workflow is None or mirror.workflow.closed
        self.wedged = mirror is not None and mirror.workflow is not None and mirror.workflow.phase is Phase.WEDGED
        self.status = None if self.row is None else self.row.status
        self.owner = None if self.row is None else self.row.tags.get(OWNER_TAG)
        self.ours = is_ours(self.owner, cluster, body)
        self.foreign = bool(self.owner) and not self.ours and self.owner != "released"
        self.filled = simulation.engine.world.databases.filled
        self.older = older_claim(body, cluster) and not self.ours
        world, names = simulation.engine.world, (self.name, f"clone_{self.name}_")
        born = max(self.row.created_at if self.row else 0.0, parse_time(body["metadata"]["creationTimestamp"]))
        end = world.batches.newest_end(self.name)
        errors = [
            line for line in world.journal.lines if line.level == "error" and (end is None or line.at > end - 3.0)
        ]
        self.is_failing = any(line.flow == self.name and line.at > max(born, end or 0.0) + 1.0 for line in errors)
        self.may_fail = any(line.flow.startswith(names) for line in errors)

    @property
    def wishes(self) -> dict[str, str] | None:
        """Source to destination as the spec has them."""
        tables = self.spec.get("tables")
        return None if tables is None else {one["source"]: one["destination"] for one in tables}

    @property
    def tables(self) -> dict[str, Table]:
        config = self.live or (self.row.config if self.row is not None else None)
        return {} if config is None else {table.source: table for table in config.tables}

    @property
    def added(self) -> set[str]:
        """Sources that the spec has and the mirror has not."""
        return set() if self.wishes is None else set(self.wishes) - set(self.tables)

    @property
    def removed(self) -> set[str]:
        """Sources that the mirror has and the spec has not."""
        return set() if self.wishes is None else set(self.tables) - set(self.wishes)

    @property
    def remapped(self) -> set[str]:
        return {one["source"] for one in self.spec.get("tables") or () if self._is_remapped(one)}

    def _is_remapped(self, wish: dict[str, Any]) -> bool:
        live = self.tables.get(wish["source"])
        if live is None:
            return False
        if wish["destination"] != live.destination:
            return True
        return "exclude" in wish and set(wish["exclude"]) != set(live.exclude)

    @property
    def settings_differ(self) -> bool:
        """Whether a setting of the spec is live with another value."""
        config = self.live
        if config is None:
            return False
        pairs = [(self.spec.get(name), getattr(config, field)) for name, field in FIELDS.items()]
        snapshot = self.spec.get("snapshot") or {}
        pairs += [(snapshot.get(name), config.snapshot[field]) for name, field in SNAPSHOT.items()]
        pairs += [(value, config.env.get(name)) for name, value in (self.spec.get("settings") or {}).items()]
        return any(wished is not None and wished != live for wished, live in pairs)

    @property
    def differs(self) -> bool:
        """Whether the spec wants anything else than what is live."""
        return bool(self.added or self.removed or self.remapped) or self.settings_differ


def is_under_way(mirror: Mirror) -> bool:
    """Whether PeerDB is about to change this mirror, whatever its row says."""
    workflow = mirror.workflow
    return workflow is not None and (bool(workflow.inbox) or workflow.phase not in RESTING)


def _counts_are_right(facts: Facts, reported: Body) -> bool:
    wished = len(facts.wishes or {})
    there = wished - len(facts.added)
    beyond = f" +{len(facts.removed)}" if facts.removed else ""
    return (reported.get("summary"), reported.get("adding"), reported.get("removing")) == (
        f"{there}/{wished}{beyond}", len(facts.added), len(facts.removed)
    )  # fmt: skip


def _replaces_all(facts: Facts) -> bool:
    return bool(facts.added) and bool(facts.removed) and not set(facts.tables) - facts.removed


def _in_use(facts: Facts) -> bool:
    wishes = facts.wishes or {}
    wanted = [wishes[source] for source in facts.added]
    held = {table.destination for table in facts.tables.values() if table.engine != NULL_ENGINE}
    filled = set() if (facts.spec.get("snapshot") or {}).get("addedTables") == "Skip" else set(facts.filled)
    return bool(set(wanted) & (held | filled)) or len(set(wanted)) < len(wanted)


ConditionChange = Callable[[Facts], bool]

TRUTHS: dict[str, ConditionChange] = {
    "Running": lambda facts: (
        facts.status is Status.RUNNING and not facts.differs and wants_running(facts.body) and not facts.is_failing
    ),
    "RunningWithErrors": lambda facts: (
        facts.status is Status.RUNNING and not facts.differs and wants_running(facts.body) and facts.may_fail
    ),
    "Paused": lambda facts: facts.status is Status.PAUSED and not facts.differs and not wants_running(facts.body),
    "PausedWithPendingChanges": lambda facts: (
        facts.status is Status.PAUSED and facts.differs and not wants_running(facts.body)
    ),
    "Completed": lambda facts: facts.status is Status.COMPLETED and not facts.differs,
    "MirrorNotFound": lambda facts: facts.row is None,
    "MirrorNotOwned": lambda facts: facts.foreign,
    "NameConflict": lambda facts: facts.older,
    "AdoptionConflict": lambda facts: bool(facts.removed or facts.remapped) and not facts.foreign,
    "InvalidSpec": lambda facts: facts.wishes == {},
    "TableChangeRejected": lambda facts: bool(
        facts.remapped or (facts.status is Status.COMPLETED and facts.differs) or _replaces_all(facts)
    ),
    "DestinationInUse": _in_use,
    "PrecheckFailed": lambda _: False,  # at the end nothing is in the way of an addition but rows in its destination
    "EditNotApplied": lambda facts: facts.differs,
    "DriftLoop": lambda facts: facts.differs,
    "MirrorEmpty": lambda facts: not facts.tables and bool(facts.added),
    "EditTooLarge": lambda facts: facts.differs,
    "MirrorFailed": lambda facts: facts.status is Status.FAILED,
    "MirrorTerminated": lambda facts: facts.status is Status.TERMINATED,
    "MirrorOrphaned": lambda facts: facts.closed,
    "UnsupportedMirror": lambda facts: facts.row is not None and not facts.row.is_cdc,
    "UnsupportedPeerDB": lambda _: False,
    "ReconcileDisabled": lambda facts: (
        (facts.body["metadata"].get("annotations") or {}).get("peerdb.io/reconcile") == "disabled"
    ),
    "ConfigUnreadable": lambda facts: facts.closed or facts.wedged,
}

MAY_BE_OPEN = {
    "AdoptionConflict", "NameConflict", "MirrorTerminated", "MirrorOrphaned", "ReconcileDisabled",
}  # fmt: skip
NEVER_OURS = {
    "AdoptionConflict", "NameConflict", "MirrorNotOwned", "InvalidSpec", "ReconcileDisabled", "MirrorFailed",
    "MirrorTerminated", "UnsupportedMirror",
}  # fmt: skip
NO_CONFLICT = {"NameConflict", "ReconcileDisabled", "InvalidSpec", "MirrorNotFound"}
UNASKED = {"ReconcileDisabled", "InvalidSpec"}
UNDER_WAY = {Status.SETUP, Status.SNAPSHOT, Status.MODIFYING, Status.RESYNC, Status.TERMINATING, Status.PAUSING}


STAYS_STOPPED = {"MirrorOrphaned", "ReconcileDisabled", "MirrorNotOwned", "NameConflict", "AdoptionConflict"}
SHAPES = {
    **dict.fromkeys(("Running", "RunningWithErrors", "Paused", "Completed"), ("True", "True", "", "")),
    "PausedWithPendingChanges": ("True", "False", "", ""),
    "ReconcileDisabled": ("Unknown", "Unknown", "", ""),
    **dict.fromkeys(
        ("MirrorFailed", "MirrorTerminated", "MirrorOrphaned", "UnsupportedMirror"), ("False", "Unknown", "", "True")
    ),
}
STALLED = ("False", "False", "", "True")
"""Ready, Synced, Reconciling and Stalled of each reason; every other one that may stay is stalled."""


def untrue(simulation: Simulation, cluster: FakeCluster, body: Body) -> str | None:
    """Why this Mirror has not come to rest in truth, or None when it has."""
    facts, reason = Facts(simulation, cluster, body), condition(body, "Ready").get("reason", "")
    if reason == "ProgressDeadlineExceeded":
        return None if facts.closed or facts.wedged or facts.status in UNDER_WAY else "it is not under way any more"
    if reason not in TRUTHS:
        return f"Ready has the reason {reason or 'none'}"
    return next((why for so, why in (*_about_status(facts, reason), *_about_peerdb(facts, reason)) if so), None)


def _about_status(facts: Facts, reason: str) -> Iterator[tuple[bool, str]]:
    body, status = facts.body, facts.body["status"]
    shape = tuple(condition(body, kind).get("status", "") for kind in ("Ready", "Synced", "Reconciling", "Stalled"))
    generation, speaks_of = body["metadata"]["generation"], condition(body, "Ready").get("observedGeneration")
    yield is_frozen(body) and reason != "ReconcileDisabled", f"it is frozen, but says {reason}"
    yield (
        shape != SHAPES.get(reason, STALLED) and reason != "ConfigUnreadable",
        f"conditions under {reason} are {shape}",
    )
    yield (
        bool(status.get("operation")) and reason not in MAY_BE_OPEN,
        f"an operation is open: {status.get('operation')}",
    )
    settled = ((status.get("bounds") or {}).get("settled")) == generation
    yield reason in AT_REST and not settled, f"it is at rest without a word of that in the journal: {status}"
    yield speaks_of != generation, f"Ready speaks of generation {speaks_of}, not {generation}"


def _about_peerdb(facts: Facts, reason: str) -> Iterator[tuple[bool, str]]:
    status, word = facts.body["status"], "Missing" if facts.status is None else facts.status.name.capitalize()
    foreign = facts.row is not None and not facts.ours and reason not in NEVER_OURS
    conflict = facts.older and reason not in NO_CONFLICT and "deletionTimestamp" not in facts.body["metadata"]
    yield conflict, f"{reason} is told although an older Mirror claims this mirror"
    yield foreign, f"{reason} is told of a mirror owned by {facts.owner or 'nobody'}"
    yield not TRUTHS[reason](facts), f"{reason} is not true: PeerDB has it {word} with {sorted(facts.tables)}"
    yield reason not in UNASKED and status.get("state") != word, f"state is {status.get('state')}, PeerDB has it {word}"
    counted = facts.wishes is None or _counts_are_right(facts, status.get("tables") or {})
    yield reason in AT_REST and not counted, f"status.tables says {status.get('tables')}, not {sorted(facts.tables)}"
    stopped = wants_running(facts.body) and facts.status is Status.PAUSED
    yield stopped and reason not in STAYS_STOPPED, f"it was left PAUSED under {reason}"

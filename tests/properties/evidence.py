"""What the logs of the simulator and of the cluster say, as records that invariants can be judged by.

Owns reading: which request was a look, a command, a tag; which process and pass sent it; which change of an object it
goes with. Everything rests on the simulator's log, the cluster's record and who knew what; nothing on the operator's
own bookkeeping. Bodies are parsed when somebody asks.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from peerdb_operator.api.constants import OWNER_TAG
from tests.harness.fakecluster import Body, Change, FakeCluster
from tests.harness.peerdb.events import ReplySent, RequestSeen
from tests.harness.peerdb.values import Reply
from tests.harness.simtransport import Call
from tests.harness.simulation import Pass, Run, Simulation

SNAPSHOT_KEYS = (
    "snapshotNumRowsPerPartition",
    "snapshotNumPartitionsOverride",
    "snapshotMaxParallelWorkers",
    "snapshotNumTablesInParallel",
)
MAPPING_KEYS = ("destinationTableIdentifier", "partitionKey", "shardingKey", "policyName", "partitionByExpr")


@dataclass(frozen=True)
class Config:
    """The editable part of a mirror: mappings by source, and the settings."""

    tables: dict[str, tuple[object, ...]]
    settings: dict[str, object]

    def after(self, update: dict[str, Any]) -> "Config":
        """What this config is to be once PeerDB has applied an update."""
        gone = {one["sourceTableIdentifier"] for one in update.get("removedTables", ())}
        tables = {source: mapping for source, mapping in self.tables.items() if source not in gone}
        tables |= {one["sourceTableIdentifier"]: mapping_of(one) for one in update.get("additionalTables", ())}
        settings = dict(self.settings)
        names = {"batchSize": "maxBatchSize", "idleTimeout": "idleTimeoutSeconds"}
        names |= {name: name for name in SNAPSHOT_KEYS}
        settings |= {names[name]: value for name, value in update.items() if name in names and value}
        settings |= {f"env.{name}": value for name, value in update.get("updatedEnv", {}).items()}
        return Config(tables, settings)


def mapping_of(raw: dict[str, Any]) -> tuple[object, ...]:
    engine = raw.get("engine") or "CH_ENGINE_REPLACING_MERGE_TREE"
    columns = tuple(sorted(json.dumps(column, sort_keys=True) for column in raw.get("columns", ())))
    return (*(raw.get(name, "") for name in MAPPING_KEYS), frozenset(raw.get("exclude", ())), engine, columns)


def config_of(raw: dict[str, Any]) -> Config:
    settings = {name: int(raw.get(name, 0)) for name in ("maxBatchSize", "idleTimeoutSeconds", *SNAPSHOT_KEYS)}
    env = {f"env.{name}": value for name, value in raw.get("env", {}).items()}
    tables = {one["sourceTableIdentifier"]: mapping_of(one) for one in raw["tableMappings"]}
    return Config(tables, {**settings, **env})


@dataclass
class Asked:
    """One request of somebody, with its answer once there is one."""

    call: Call
    at: float
    path: str
    mirror: str
    body: dict[str, Any]
    reply: Reply | None = None

    @property
    def work(self) -> Pass | None:
        return self.call.work if isinstance(self.call.work, Pass) else None

    @property
    def answered(self) -> bool:
        return self.call.status == 200

    @property
    def lost(self) -> bool:
        """Whether the sender got no answer at all, or one that PeerDB did not give."""
        return self.call.status == 0 or (self.call.status or 0) >= 500

    @cached_property
    def content(self) -> dict[str, Any]:
        """The answer's body; empty where there is none that can be read."""
        try:
            found = json.loads(self.reply.body) if self.reply is not None else {}
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


class Reading(Asked):
    """A question for a mirror's status."""

    @property
    def gone(self) -> bool:
        """Whether PeerDB said that it does not know this mirror."""
        if self.reply is None or self.call.status not in {404, 500}:
            return False
        said = self.content
        if said.get("code") == 2:
            return f"flow job {self.mirror}:" in str(said.get("message"))
        return said.get("code") == 5 and f"flow {self.mirror} not found" in str(said.get("message"))

    @property
    def state(self) -> str | None:
        """PeerDB's word, if the sender has seen one."""
        return str(self.content.get("currentFlowState", "")).removeprefix("STATUS_") if self.answered else None

    @property
    def created_at(self) -> object:
        return self.content.get("createdAt")

    @cached_property
    def config(self) -> Config | None:
        """The live config, if it was asked for and came."""
        if not self.answered or not self.body.get("includeFlowInfo"):
            return None
        raw = (self.content.get("cdcStatus") or {}).get("config")
        return None if raw is None else config_of(raw)


class Command(Asked):
    """A ``state_change``."""

    @property
    def wanted(self) -> str:
        return str(self.body.get("requestedFlowState", "")).removeprefix("STATUS_")

    @property
    def update(self) -> dict[str, Any] | None:
        """The update it carries, which may be empty."""
        found = self.body.get("flowConfigUpdate")
        return None if found is None else dict(found.get("cdcFlowConfigUpdate") or {})

    @property
    def is_edit(self) -> bool:
        return bool(self.update)

    @property
    def refused(self) -> bool:
        """Whether PeerDB surely did nothing with it."""
        status, code = self.call.status, self.content.get("code")
        if status in {404, 429, 400, 501, 503}:
            return True
        return status == 500 and code == 13 and "Blob data size" in str(self.content.get("message"))

    @property
    def unreceived(self) -> bool:
        """Whether PeerDB said that the mirror has no workflow any more which could have taken it."""
        return self.call.status == 500 and "already completed" in str(self.content.get("message"))


class TagRead(Asked):
    """A question for a mirror's tags."""

    @property
    def owner(self) -> str | None:
        """The owner tag; None where there is none, or no answer."""
        return owner_in(self.content if self.answered else {})

    @property
    def others(self) -> dict[str, str]:
        return others_in(self.content)


class TagWrite(Asked):
    """A change of a mirror's tags."""

    @property
    def owner(self) -> str | None:
        return owner_in(self.body)

    @property
    def others(self) -> dict[str, str]:
        return others_in(self.body)


class Check(Asked):
    """A validation."""


class BatchesRead(Asked):
    """A question for a mirror's batches."""


@dataclass
class Evidence:
    """All records, oldest first. ``reported`` are called with each new one: a request on arrival, a change at once."""

    simulation: Simulation
    asked: list[Asked] = field(default_factory=list)
    by_pass: dict[int, list[Asked]] = field(default_factory=dict)
    changes: dict[int, list[Change]] = field(default_factory=dict)
    reported: list[Callable[[Asked | Change], None]] = field(default_factory=list)
    _by_number: dict[int, Asked] = field(default_factory=dict)
    _seen_events: int = 0
    _seen_changes: dict[str, int] = field(default_factory=dict)
    _runs: dict[str, Run] = field(default_factory=dict)

    def catch_up(self) -> None:
        log = self.simulation.engine.log
        while self._seen_events < log.last:
            event = log.events[self._seen_events]
            self._seen_events += 1
            if isinstance(event, RequestSeen):
                self._take_request(event)
            elif isinstance(event, ReplySent) and event.request in self._by_number:
                self._by_number.pop(event.request).reply = event.reply
        for cluster in self.simulation.clusters:
            seen, record = self._seen_changes.get(cluster.uid, 0), cluster.record
            if seen < len(record):
                self._seen_changes[cluster.uid] = len(record)
                for change in record[seen:]:
                    self._take_change(change)

    def _take_request(self, event: RequestSeen) -> None:
        call = self.simulation.network.calls.get(event.n)
        kind = _KINDS.get(event.path) or (TagRead if event.path.startswith("/v1/flows/tags/") else None)
        if call is None or kind is None:
            return
        body = json.loads(event.body) if event.body else {}
        named = body.get("flowJobName") or body.get("flowName") or event.path.rpartition("/")[2]
        one = kind(call, event.at, event.path, named, body)
        self.asked.append(one)
        self._by_number[event.n] = one
        if one.work is not None:
            self.by_pass.setdefault(one.work.n, []).append(one)
        for tell in self.reported:
            tell(one)

    def _take_change(self, change: Change) -> None:
        work = self.pass_of(change)
        if work is not None:
            self.changes.setdefault(work.n, []).append(change)
        for tell in self.reported:
            tell(change)

    # -- questions -------------------------------------------------------------------------------------------------

    def pass_of(self, change: Change) -> Pass | None:
        """The pass that made a change: the one under way in that process over that object."""
        run = self.run(change.who)
        body = change.after or change.before
        if run is None or body is None:
            return None
        uid = body["metadata"]["uid"]
        return next((one for one in run.passes.values() if one.uid == uid), None)

    def run(self, who: str) -> Run | None:
        """The life of an operator with this name."""
        if who not in self._runs:
            self._runs |= {run.name: run for run in self.simulation.runs}
        return self._runs.get(who)

    def cluster_of(self, who: str) -> FakeCluster:
        """The cluster that this operator works for."""
        run = self.run(who)
        return self.simulation.cluster if run is None else run.cluster

    def looks(self, work: Pass, mirror: str) -> list[Reading]:
        """The looks of a pass at a mirror, finished ones only."""
        return [
            one
            for one in self.by_pass.get(work.n, ())
            if isinstance(one, Reading) and one.mirror == mirror and one.call.ended is not None
        ]

    def before(self, one: Asked) -> list[Asked]:
        """What the same process asked about the same mirror before, oldest first."""
        who, mirror = one.call.who, one.mirror
        return [other for other in self.asked if other.call.who == who and other.mirror == mirror and other is not one]


_KINDS: dict[str, type[Asked]] = {
    "/v1/mirrors/status": Reading,
    "/v1/mirrors/state_change": Command,
    "/v1/flows/tags": TagWrite,
    "/v1/mirrors/cdc/validate": Check,
    "/v1/mirrors/cdc/batches": BatchesRead,
}


def owner_in(body: dict[str, Any]) -> str | None:
    """The owner tag in a list of tags."""
    return next((str(tag["value"]) for tag in body.get("tags") or () if tag["key"] == OWNER_TAG), None)


def others_in(body: dict[str, Any]) -> dict[str, str]:
    """The other tags in a list of tags."""
    return {tag["key"]: tag["value"] for tag in body.get("tags") or () if tag["key"] != OWNER_TAG}


def spec_of(body: Body) -> Body:
    found = body.get("spec")
    return found if isinstance(found, dict) else {}


def wants_running(body: Body) -> bool:
    """Whether an object's spec wishes the mirror to run."""
    return bool(spec_of(body).get("state", "Running") == "Running")


def mirror_of(body: Body) -> str:
    """PeerDB's name of the mirror that an object is about."""
    return str(spec_of(body).get("mirrorName") or body["metadata"]["name"].replace("-", "_").replace(".", "_"))


def condition(body: Body | None, kind: str) -> Body:
    """One condition of an object; empty if it has none."""
    for one in ((body or {}).get("status") or {}).get("conditions") or ():
        if isinstance(one, dict) and one.get("type") == kind:
            return one
    return {}

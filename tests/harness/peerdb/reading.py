"""``mirrors/status`` and ``mirrors/list``.

Without info only the catalog is read, so it works with workers down and workflows gone. With info, batch, idle and
mappings come from the live workflow, the rest of ``config`` from the catalog copy (PeerDB v0.37
flow/cmd/mirror_status.go MirrorStatus, cdcFlowStatus).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from tests.harness.peerdb.catalog import Clone, rfc3339
from tests.harness.peerdb.config import compact
from tests.harness.peerdb.mirror import Mirror, Phase, Row
from tests.harness.peerdb.values import Answer, Deferred, Reply, error
from tests.harness.peerdb.world import World

QUERY_PATIENCE = 10.0
MESSAGE_LIMIT = 4 * 1024 * 1024
NO_WORKER = (
    ("query timed out before a worker could process it", 10.0),
    ("no poller seen for task queue recently, worker may be down", 9.0),
    ("context deadline exceeded", 10.0),
)

Message = Mapping[str, object]


class Reader:
    """The handlers that only look."""

    def __init__(self, world: World, not_found: Callable[[str], Reply]) -> None:
        self.world = world
        self.not_found = not_found

    def status(self, message: Message) -> Answer:
        """Answer one ``mirrors/status``."""
        name = str(message.get("flowJobName", ""))
        mirror = self.world.mirrors.get(name)
        row = None if mirror is None else mirror.row
        if mirror is None or row is None:
            return self.not_found(name)
        if not message.get("includeFlowInfo"):
            return Reply(200, f"{{{self._head(row)},{self._tail(row)}}}".encode())
        if not row.is_cdc:
            part = f'"qrepStatus":{{"config":{{"flowJobName":{compact(name)}}},"partitions":[]}}'
            return Reply(200, f"{{{self._head(row)},{part},{self._tail(row)}}}".encode())
        trouble = self._unanswered(mirror)
        return self._info(mirror, row, message) if trouble is None else trouble

    def _head(self, row: Row) -> str:
        return f'"flowJobName":{compact(row.name)}'

    def _tail(self, row: Row) -> str:
        return f'"currentFlowState":"{row.status.wire}","createdAt":"{rfc3339(row.created_at)}"'

    # -- info ----------------------------------------------------------------------------------------------------

    def _unanswered(self, mirror: Mirror) -> Answer | None:
        knobs, workflow = self.world.knobs, mirror.workflow
        head = (
            f"unable to obtain CDC information for mirror {mirror.name}: failed to get state in workflow with ID "
            f"{mirror.name}-peerflow: "
        )
        if knobs.temporal_down:
            return self._later(QUERY_PATIENCE, error(13, head + "context deadline exceeded"))
        if knobs.workers_down:
            text, seconds = self.world.rng.choice(NO_WORKER)
            return self._later(seconds, error(13, head + text))
        if workflow is None or workflow.history_expired:
            return error(13, f"{head}workflow not found for ID: {mirror.name}-peerflow")
        if workflow.phase is Phase.WEDGED:
            return error(13, head + "Unable to query workflow due to Workflow Task in failed state.")
        return None

    def _later(self, seconds: float, reply: Reply) -> Deferred:
        deferred = Deferred(due=self.world.now + seconds)
        self.world.after(seconds, partial(deferred.resolve, reply), work=False)
        return deferred

    def _info(self, mirror: Mirror, row: Row, message: Message) -> Reply:
        workflow, config = mirror.workflow, row.config
        live = config
        if workflow is not None and workflow.phase is not Phase.DROPPING and not row.drop_from_closed:
            live = workflow.live
        parts = [
            f'"config":{config.json(row.name, live.tables, live.batch_size, live.idle_timeout)}',
            f'"snapshotStatus":{"null" if message.get("excludeSnapshotStatus") else self._clones(row.name)}',
            '"cdcBatches":[]',
            f'"sourceType":"{row.source_type}","destinationType":"{row.destination_type}","rowsSynced":"0"',
        ]
        body = f'{{{self._head(row)},"cdcStatus":{{{",".join(parts)}}},{self._tail(row)}}}'.encode()
        if len(body) > MESSAGE_LIMIT:
            return too_large(len(body))
        return Reply(200, body)

    def _clones(self, name: str) -> str:
        return compact({"clones": [self._clone(name, clone) for clone in self.world.stats.of(name)]})

    def _clone(self, name: str, clone: Clone) -> Mapping[str, object]:
        done = clone.done(self.world.now)
        return {
            "tableName": clone.table.destination,
            "startTime": rfc3339(clone.start),
            "numPartitionsCompleted": int(done * clone.partitions),
            "numPartitionsTotal": clone.partitions,
            "numRowsSynced": str(int(done * clone.rows)),
            "avgTimePerPartitionMs": "40" if done else "0",
            "flowJobName": clone.name(name),
            "sourceTable": clone.table.source,
            "fetchCompleted": done >= 1.0,
            "consolidateCompleted": done >= 1.0,
            "mirrorName": name,
        }

    # -- list ----------------------------------------------------------------------------------------------------

    def list(self, _message: Message) -> Reply:
        """Answer one ``mirrors/list``."""
        return Reply(200, f'{{"mirrors":[{",".join(_listed(row) for row in self.world.rows())}]}}'.encode())


def _listed(row: Row) -> str:
    return compact(
        {
            "id": str(row.id),
            "workflowId": f"{row.name}-peerflow",
            "name": row.name,
            "sourceName": row.config.source_name,
            "sourceType": row.source_type,
            "destinationName": row.config.destination_name,
            "destinationType": row.destination_type,
            "createdAt": int(row.created_at * 1000),
            "isCdc": row.is_cdc,
            "status": row.status.wire,
        }
    )


def too_large(size: int) -> Reply:
    """429: a gRPC message over its limit, in either direction. It is no rate limit."""
    return error(8, f"grpc: received message larger than max ({size} vs. {MESSAGE_LIMIT})")

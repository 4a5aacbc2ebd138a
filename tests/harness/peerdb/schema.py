"""The messages that PeerDB's gateway reads (PeerDB v0.37 protos/route.proto, protos/flow.proto).

Owns field names in both casings and kinds; ``protojson`` decodes with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from tests.harness.peerdb.config import ENGINES, SYSTEMS
from tests.harness.peerdb.values import STATUS_BY_WIRE

Scalar = Literal["string", "bool", "int32", "uint32", "int64", "uint64"]
Kind = Scalar | Literal["enum", "message", "map"]


@dataclass(frozen=True, slots=True)
class Field:
    """One field: ``json`` is its lowerCamelCase name, ``text`` the proto one."""

    json: str
    kind: Kind
    message: Message | None = None
    enum: Mapping[str, int] = field(default_factory=dict)
    repeated: bool = False
    oneof: str | None = None

    @property
    def text(self) -> str:
        """The snake_case name, accepted as well."""
        return "".join(f"_{char.lower()}" if char.isupper() else char for char in self.json)


class Message:
    """A message type: its fields under both names."""

    def __init__(self, *fields: Field) -> None:
        self.fields: dict[str, Field] = {}
        for one in fields:
            self.fields[one.json] = one
            self.fields[one.text] = one


def _string(*names: str) -> tuple[Field, ...]:
    return tuple(Field(name, "string") for name in names)


def _bool(*names: str) -> tuple[Field, ...]:
    return tuple(Field(name, "bool") for name in names)


def _number(kind: Scalar, *names: str) -> tuple[Field, ...]:
    return tuple(Field(name, kind) for name in names)


COLUMN: Final = Message(
    *_string("sourceName", "destinationName", "destinationType"),
    *_number("int32", "ordering", "partitioning"),
    *_bool("nullableEnabled"),
)
TABLE: Final = Message(
    *_string("sourceTableIdentifier", "destinationTableIdentifier", "partitionKey", "shardingKey", "policyName"),
    *_string("partitionByExpr"),
    Field("exclude", "string", repeated=True),
    Field("columns", "message", COLUMN, repeated=True),
    Field("engine", "enum", enum=ENGINES),
)
SNAPSHOT_NUMBERS: Final = _number(
    "uint32", "snapshotNumRowsPerPartition", "snapshotNumPartitionsOverride", "snapshotMaxParallelWorkers",
    "snapshotNumTablesInParallel",
)  # fmt: skip
CDC_UPDATE: Final = Message(
    *_number("uint32", "batchSize"),
    *_number("uint64", "idleTimeout"),
    *_number("int32", "numberOfSyncs"),
    Field("additionalTables", "message", TABLE, repeated=True),
    Field("removedTables", "message", TABLE, repeated=True),
    Field("updatedEnv", "map"),
    *SNAPSHOT_NUMBERS,
    *_bool("skipInitialSnapshotForTableAdditions"),
)
UPDATE: Final = Message(
    Field("cdcFlowConfigUpdate", "message", CDC_UPDATE, oneof="peerdb_flow.FlowConfigUpdate.update"),
    Field("qrepFlowConfigUpdate", "message", Message(), oneof="peerdb_flow.FlowConfigUpdate.update"),
)
STATE_CHANGE: Final = Message(
    *_string("flowJobName"),
    Field("requestedFlowState", "enum", enum=STATUS_BY_WIRE),
    Field("flowConfigUpdate", "message", UPDATE),
    *_bool("dropMirrorStats", "skipDestinationDrop"),
)
MIRROR_STATUS: Final = Message(
    *_string("flowJobName"),
    *_bool("includeFlowInfo", "excludeBatches", "excludeSnapshotStatus"),
)
LOGS: Final = Message(
    *_string("flowJobName", "level"),
    *_number("int32", "page", "numPerPage", "beforeId", "afterId"),
)
BATCHES: Final = Message(
    *_string("flowJobName"),
    *_number("uint32", "limit"),
    *_bool("ascending"),
    *_number("int32", "beforeId", "afterId"),
)
TAG: Final = Message(*_string("key", "value"))
SET_TAGS: Final = Message(*_string("flowName"), Field("tags", "message", TAG, repeated=True))
SETTING: Final = Message(*_string("name", "value"))
CONFIG: Final = Message(
    *_string("flowJobName", "sourceName", "destinationName", "cdcStagingPath", "publicationName"),
    *_string("replicationSlotName", "snapshotStagingPath", "softDeleteColName", "syncedAtColName", "script"),
    Field("tableMappings", "message", TABLE, repeated=True),
    *_number("uint32", "maxBatchSize", "version"),
    *_number("uint64", "idleTimeoutSeconds"),
    *SNAPSHOT_NUMBERS,
    *_bool("doInitialSnapshot", "resync", "initialSnapshotOnly", "skipValidation"),
    Field("system", "enum", enum=SYSTEMS),
    Field("env", "map"),
    Field("flags", "string", repeated=True),
)
CREATE: Final = Message(Field("connectionConfigs", "message", CONFIG), *_bool("attachToExisting"))
NOTHING: Final = Message()

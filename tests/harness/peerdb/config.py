"""What a mirror is configured to be: table mappings and the connection config, and how PeerDB writes them.

Field names and order of the JSON follow PeerDB v0.37 protos/flow.proto TableMapping and FlowConnectionConfigs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, cast

ENGINES: Final[Mapping[str, int]] = {
    "CH_ENGINE_REPLACING_MERGE_TREE": 0,
    "CH_ENGINE_MERGE_TREE": 1,
    "CH_ENGINE_NULL": 2,
    "CH_ENGINE_REPLICATED_REPLACING_MERGE_TREE": 3,
    "CH_ENGINE_REPLICATED_MERGE_TREE": 4,
    "CH_ENGINE_COALESCING_MERGE_TREE": 5,
}
ENGINE_NAMES: Final[Mapping[int, str]] = {number: name for name, number in ENGINES.items()}
NULL_ENGINE: Final = 2

SYSTEMS: Final[Mapping[str, int]] = {"Q": 0, "PG": 1}

SNAPSHOT_FIELDS: Final = (
    "snapshotNumRowsPerPartition",
    "snapshotNumPartitionsOverride",
    "snapshotMaxParallelWorkers",
    "snapshotNumTablesInParallel",
)

ALLOW_NON_EMPTY: Final = "PEERDB_CLICKHOUSE_INITIAL_LOAD_ALLOW_NON_EMPTY_TABLES"
RESYNC_SUFFIX: Final = "_resync"


def compact(value: object) -> str:
    """JSON without blanks."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Table:
    """One table mapping. ``source`` is its identity; ``json`` is how PeerDB writes it."""

    source: str
    destination: str = ""
    partition_key: str = ""
    exclude: tuple[str, ...] = ()
    columns: tuple[tuple[tuple[str, object], ...], ...] = ()
    engine: int = 0
    sharding_key: str = ""
    policy_name: str = ""
    partition_by_expr: str = ""
    json: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        text = compact(self.as_dict())
        object.__setattr__(self, "json", text)

    def as_dict(self) -> dict[str, object]:
        """The mapping with every field, as an answer shows it."""
        return {
            "sourceTableIdentifier": self.source,
            "destinationTableIdentifier": self.destination,
            "partitionKey": self.partition_key,
            "exclude": list(self.exclude),
            "columns": [dict(column) for column in self.columns],
            "engine": ENGINE_NAMES.get(self.engine, self.engine),
            "shardingKey": self.sharding_key,
            "policyName": self.policy_name,
            "partitionByExpr": self.partition_by_expr,
        }

    def renamed(self, destination: str) -> Table:
        """The same mapping onto another destination."""
        return replace(self, destination=destination)


COLUMN_ZEROS: Final[Mapping[str, object]] = {
    "sourceName": "",
    "destinationName": "",
    "destinationType": "",
    "ordering": 0,
    "partitioning": 0,
    "nullableEnabled": False,
}


def table_from(raw: Mapping[str, object]) -> Table:
    """A mapping from its decoded message (camelCase names, unset fields absent, ``engine`` a number)."""
    columns = cast("Sequence[Mapping[str, object]]", raw.get("columns", ()))
    return Table(
        source=str(raw.get("sourceTableIdentifier", "")),
        destination=str(raw.get("destinationTableIdentifier", "")),
        partition_key=str(raw.get("partitionKey", "")),
        exclude=tuple(cast("Sequence[str]", raw.get("exclude", ()))),
        columns=tuple(tuple((key, column.get(key, zero)) for key, zero in COLUMN_ZEROS.items()) for column in columns),
        engine=cast("int", raw.get("engine", 0)),
        sharding_key=str(raw.get("shardingKey", "")),
        policy_name=str(raw.get("policyName", "")),
        partition_by_expr=str(raw.get("partitionByExpr", "")),
    )


def tables_from(raw: object) -> tuple[Table, ...]:
    """A list of mappings from a decoded message; absent is empty."""
    return tuple(table_from(item) for item in cast("Sequence[Mapping[str, object]]", raw or ()))


@dataclass(slots=True)
class Config:
    """A mirror's configuration; the zero of every field is PeerDB's."""

    tables: tuple[Table, ...] = ()
    batch_size: int = 0
    idle_timeout: int = 0
    snapshot: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SNAPSHOT_FIELDS, 0))
    env: dict[str, str] = field(default_factory=dict)
    source_name: str = "src"
    destination_name: str = "dst"
    publication: str = ""
    slot: str = ""
    do_initial_snapshot: bool = True
    initial_snapshot_only: bool = False
    resync: bool = False
    soft_delete: str = "_PEERDB_IS_DELETED"
    synced_at: str = "_PEERDB_SYNCED_AT"
    script: str = ""
    system: str = "Q"
    snapshot_staging: str = ""
    cdc_staging: str = ""

    def copy(self) -> Config:
        """A copy whose maps are its own."""
        return replace(self, snapshot=dict(self.snapshot), env=dict(self.env))

    def json(self, name: str, tables: Sequence[Table], batch_size: int, idle_timeout: int) -> str:
        """``config`` of a status answer: mappings, batch and idle from the caller, the rest from here."""
        head = compact({"flowJobName": name})[:-1]
        mappings = ",".join(table.json for table in tables)
        tail = compact(
            {
                "maxBatchSize": batch_size,
                "idleTimeoutSeconds": str(idle_timeout),
                "cdcStagingPath": self.cdc_staging,
                "publicationName": self.publication,
                "replicationSlotName": self.slot,
                "doInitialSnapshot": self.do_initial_snapshot,
                "snapshotNumRowsPerPartition": self.snapshot["snapshotNumRowsPerPartition"],
                "snapshotNumPartitionsOverride": self.snapshot["snapshotNumPartitionsOverride"],
                "snapshotStagingPath": self.snapshot_staging,
                "snapshotMaxParallelWorkers": self.snapshot["snapshotMaxParallelWorkers"],
                "snapshotNumTablesInParallel": self.snapshot["snapshotNumTablesInParallel"],
                "resync": self.resync,
                "initialSnapshotOnly": self.initial_snapshot_only,
                "softDeleteColName": self.soft_delete,
                "syncedAtColName": self.synced_at,
                "script": self.script,
                "system": self.system,
                "sourceName": self.source_name,
                "destinationName": self.destination_name,
                "env": self.env,
                "version": 7,
                "flags": [],
            }
        )
        return f'{head},"tableMappings":[{mappings}],{tail[1:]}'


PINNED_ENV: Final[Mapping[str, str]] = {
    "PEERDB_CDC_STORE_ENABLED": "",
    "PEERDB_FORCE_INTERNAL_VERSION": "0",
    "PEERDB_NULLABLE": "false",
    "PEERDB_POSTGRES_WAL_SENDER_TIMEOUT": "120s",
}
"""Settings that PeerDB pins into ``env`` of a mirror that was created with any."""


def config_from(raw: Mapping[str, object]) -> Config:
    """The config of a create or validate request from its decoded message."""
    system = cast("int", raw.get("system", 0))
    return Config(
        tables=tables_from(raw.get("tableMappings")),
        batch_size=cast("int", raw.get("maxBatchSize", 0)),
        idle_timeout=cast("int", raw.get("idleTimeoutSeconds", 0)),
        snapshot={name: cast("int", raw.get(name, 0)) for name in SNAPSHOT_FIELDS},
        env=dict(cast("Mapping[str, str]", raw.get("env", {}))),
        source_name=str(raw.get("sourceName", "")),
        destination_name=str(raw.get("destinationName", "")),
        publication=str(raw.get("publicationName", "")),
        slot=str(raw.get("replicationSlotName", "")),
        do_initial_snapshot=bool(raw.get("doInitialSnapshot", False)),
        initial_snapshot_only=bool(raw.get("initialSnapshotOnly", False)),
        resync=bool(raw.get("resync", False)),
        soft_delete=str(raw.get("softDeleteColName", "")),
        synced_at=str(raw.get("syncedAtColName", "")),
        script=str(raw.get("script", "")),
        system={0: "Q", 1: "PG"}.get(system, str(system)),
        snapshot_staging=str(raw.get("snapshotStagingPath", "")),
        cdc_staging=str(raw.get("cdcStagingPath", "")),
    )

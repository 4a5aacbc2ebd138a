"""The bodies of the control API ``/_sim`` and how they become simulator values; ``docs/simulator.md`` explains them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt
from pydantic.alias_generators import to_camel

from tests.harness.peerdb.config import ENGINES, SNAPSHOT_FIELDS, Config, Table, table_from
from tests.harness.peerdb.mirror import Mirror, Phase, Workflow
from tests.harness.peerdb.values import parse_status

PhaseWord = Literal["initial", "addition", "resync", "drop", "swap"]

PHASE_WORDS: Mapping[str, Phase] = {
    "initial": Phase.SNAPSHOT,
    "addition": Phase.ADDING,
    "resync": Phase.SNAPSHOT,
    "drop": Phase.RESYNC_DROP,
    "swap": Phase.SWAPPING,
}


class Body(BaseModel):
    """camelCase, unknown names refused."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


class TableIn(Body):
    """A table mapping as users write it."""

    source: str
    destination: str = ""
    exclude: list[str] = []
    partition_key: str = ""
    engine: str = "CH_ENGINE_REPLACING_MERGE_TREE"
    sharding_key: str = ""
    policy_name: str = ""
    partition_by_expr: str = ""
    columns: list[dict[str, object]] = []

    def table(self) -> Table:
        """The simulator's value; raises ValueError for an unknown engine."""
        if self.engine not in ENGINES:
            msg = f"unknown engine {self.engine!r}; one of {', '.join(ENGINES)}"
            raise ValueError(msg)
        return table_from(
            {
                "sourceTableIdentifier": self.source,
                "destinationTableIdentifier": self.destination,
                "exclude": self.exclude,
                "partitionKey": self.partition_key,
                "engine": ENGINES[self.engine],
                "shardingKey": self.sharding_key,
                "policyName": self.policy_name,
                "partitionByExpr": self.partition_by_expr,
                "columns": self.columns,
            }
        )


class MirrorIn(Body):
    """``PUT /_sim/mirrors/{name}``."""

    state: str = "RUNNING"
    tables: list[TableIn] = []
    batch_size: NonNegativeInt = 0
    idle_timeout_seconds: NonNegativeInt = 0
    kind: Literal["cdc", "snapshot", "qrep"] = "cdc"
    tags: dict[str, str] = {}
    created_at: AwareDatetime | NonNegativeFloat | None = None
    phase: PhaseWord | None = None
    settings: dict[str, str] = {}
    snapshot: dict[str, NonNegativeInt] = {}
    publication: str = ""
    slot: str = ""
    source_name: str = "src"
    destination_name: str = "dst"
    source_type: str | None = None
    destination_type: str | None = None
    orphan: bool = False
    history_expired: bool = False
    timers: bool = True

    def config(self) -> Config:
        """The configuration part; raises ValueError naming an unknown snapshot field."""
        unknown = set(self.snapshot) - set(SNAPSHOT_FIELDS)
        if unknown:
            msg = f"unknown snapshot field {sorted(unknown)}; known: {', '.join(SNAPSHOT_FIELDS)}"
            raise ValueError(msg)
        config = Config(
            tables=tuple(table.table() for table in self.tables),
            batch_size=self.batch_size,
            idle_timeout=self.idle_timeout_seconds,
            env=dict(self.settings),
            source_name=self.source_name,
            destination_name=self.destination_name,
            publication=self.publication,
            slot=self.slot,
            initial_snapshot_only=self.kind == "snapshot",
            resync=self.phase in {"resync", "swap"},
        )
        config.snapshot.update(self.snapshot)
        return config

    def arguments(self) -> dict[str, object]:
        """The keyword arguments of ``Hands.put_mirror``; raises ValueError for a word it does not know."""
        created = self.created_at
        return {
            "state": parse_status(self.state),
            "config": self.config(),
            "phase": None if self.phase is None else PHASE_WORDS[self.phase],
            "is_cdc": self.kind != "qrep",
            "tags": self.tags,
            "created_at": created.timestamp() if isinstance(created, dt.datetime) else created,
            "source_type": self.source_type,
            "destination_type": self.destination_type,
            "orphan": self.orphan,
            "history_expired": self.history_expired,
            "timers": self.timers,
        }


class AdvanceIn(Body):
    """``POST /_sim/clock/advance``."""

    seconds: NonNegativeFloat


class DatabasesIn(Body):
    """``PUT /_sim/databases``; ``publication`` lists the tables of any custom publication, or of each by name."""

    source_tables: list[str] | None = None
    publication: list[str] | dict[str, list[str]] | None = None
    filled_destinations: list[str] | None = None
    missing_columns: dict[str, str] | None = None
    peers: dict[str, str] = {}


class LogIn(Body):
    """``POST /_sim/logs``: a line as PeerDB would have written it."""

    flow_name: str
    error_message: str
    error_type: Literal["info", "warn", "error"] = "error"


def truth(mirror: Mirror) -> dict[str, object]:
    """All that is known about a mirror, the hidden part included."""
    row, workflow = mirror.row, mirror.workflow
    return {
        "name": mirror.name,
        "row": None
        if row is None
        else {
            "id": row.id,
            "state": row.status.name,
            "createdAt": row.created_at,
            "tags": row.tags,
            "kind": "cdc" if row.is_cdc else "qrep",
            **_config(row.config),
        },
        "workflow": None if workflow is None else _workflow(workflow),
    }


def _workflow(workflow: Workflow) -> dict[str, object]:
    return {
        "phase": workflow.phase.name,
        "goal": workflow.goal.value,
        "queuedUpdate": None if workflow.pending is None else str(workflow.pending),
        "applying": None if workflow.applying is None else str(workflow.applying),
        "signals": [str(signal) for signal in workflow.inbox],
        "unread": [str(signal) for signal in workflow.unread],
        "emptied": workflow.emptied,
        **_config(workflow.live),
    }


def _config(config: Config) -> dict[str, object]:
    return {
        "tables": [
            {"source": table.source, "destination": table.destination, "exclude": list(table.exclude)}
            for table in config.tables
        ],
        "batchSize": config.batch_size,
        "idleTimeoutSeconds": config.idle_timeout,
        "settings": config.env,
        "snapshot": config.snapshot,
    }

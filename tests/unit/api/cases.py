"""What a case is that the run-time models and the real API server have to agree on, and the specs that must pass."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class BadSpec:
    """One spec that breaks one rule."""

    name: str
    spec: Mapping[str, Any]
    field: str
    server: str
    operator: str


@dataclass(frozen=True, slots=True)
class GoodSpec:
    """One spec that must be accepted."""

    name: str
    spec: Mapping[str, Any]


def a_table(**changes: object) -> dict[str, Any]:
    """A table that breaks no rule."""
    return {"source": "public.orders", "destination": "orders", **changes}


def tables(count: int) -> list[dict[str, Any]]:
    """So many different tables."""
    return [{"source": f"public.t{number}", "destination": f"t{number}"} for number in range(count)]


GOOD_SPECS: list[GoodSpec] = [
    GoodSpec("nothing but the run state", {}),
    GoodSpec("tables that share a destination", {"tables": [a_table(), a_table(source="public.old_orders")]}),
    GoodSpec("one table name in two schemas", {"tables": [a_table(), a_table(source="sales.orders")]}),
    GoodSpec("a destination with a schema", {"tables": [a_table(destination="dwh.orders")]}),
    GoodSpec(
        "names that are not plain words", {"tables": [a_table(source="my schema.Bestellungen ä", destination="x-y")]}
    ),
    GoodSpec("the longest mirror name", {"mirrorName": "m" * 255}),
    GoodSpec("a mirror name as mirrors from MySQL and Mongo have them", {"mirrorName": "Orders-CDC.v2"}),
    GoodSpec(
        "values with blanks within, and none",
        {"settings": {"PEERDB_WAL_HEARTBEAT_QUERY": "SELECT pg_logical_emit_message(true, 'x', '')", "A": ""}},
    ),
    GoodSpec("columns with blanks within", {"tables": [a_table(exclude=["card number"], partitionKey="the id")]}),
    GoodSpec("nothing excluded", {"tables": [a_table(exclude=[])]}),
    GoodSpec(
        "largest counts",
        {"batchSize": 4294967295, "idleTimeoutSeconds": 86400, "snapshot": {"rowsPerPartition": 4294967295}},
    ),
    GoodSpec(
        "everything",
        {
            "mirrorName": "_orders",
            "state": "Paused",
            "tables": [
                a_table(
                    exclude=["card_number"],
                    partitionKey="id",
                    engine="NullEngine",
                    shardingKey="rand()",
                    policyName="cold",
                    partitionByExpr="toYYYYMM(created_at)",
                    columns=[
                        {
                            "sourceName": "amount",
                            "destinationName": "total",
                            "destinationType": "Decimal(38,9)",
                            "ordering": 1,
                            "partitioning": 2,
                            "nullableEnabled": False,
                        }
                    ],
                )
            ],
            "batchSize": 1,
            "idleTimeoutSeconds": 1,
            "snapshot": {
                "rowsPerPartition": 1,
                "partitionsOverride": 1,
                "maxParallelWorkers": 1,
                "tablesInParallel": 1,
                "addedTables": "Skip",
            },
            "settings": {"PEERDB_CLICKHOUSE_MAX_INSERT_THREADS": "4", "A": ""},
            "deletionPolicy": "Retain",
            "drop": {"statistics": "Delete", "destinationMetadata": "Keep"},
        },
    ),
]

BAD_NAMES: list[str] = ["1st-copy", "0", "m" * 50, "a-" + "b" * 48]
GOOD_NAMES: dict[str, str] = {"orders-cdc": "orders_cdc", "a.b-c": "a_b_c", "m" * 49: "m" * 49, "x1": "x1"}

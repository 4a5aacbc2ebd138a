"""The wish of a spec: what is not set stays None and is never compared."""

from __future__ import annotations

from typing import Any

import pytest

from peerdb_operator.api.mirror import (
    AddedTables,
    ColumnSpec,
    DeletionPolicy,
    DestinationMetadata,
    DropSpec,
    Engine,
    RunState,
    SnapshotSpec,
    Statistics,
    TableSpec,
    parse_spec,
)
from peerdb_operator.mirror.rules.desired import (
    Desired,
    desired_from,
    differences,
    mapping_of,
)
from peerdb_operator.peerdb.models import Column, TableMapping
from tests.unit.core.builders import a_mapping, a_wish

FULL_SPEC: dict[str, Any] = {
    "state": "Paused",
    "tables": [
        {
            "source": "public.orders",
            "destination": "orders",
            "exclude": ["card"],
            "partitionKey": "id",
            "engine": "MergeTree",
            "shardingKey": "region",
            "policyName": "hot",
            "partitionByExpr": "toYYYYMM(at)",
            "columns": [
                {"sourceName": "id", "destinationName": "key", "destinationType": "UInt64", "ordering": 1},
                {"sourceName": "at", "partitioning": 2, "nullableEnabled": True},
            ],
        }
    ],
    "batchSize": 7,
    "idleTimeoutSeconds": 8,
    "snapshot": {
        "rowsPerPartition": 1,
        "partitionsOverride": 2,
        "maxParallelWorkers": 3,
        "tablesInParallel": 4,
        "addedTables": "Skip",
    },
    "settings": {"B": "2", "A": "1"},
    "deletionPolicy": "Retain",
    "drop": {"statistics": "Delete", "destinationMetadata": "Keep"},
}


def test_a_wish_has_every_field_when_the_spec_sets_every_field() -> None:
    table = TableSpec(
        source="public.orders",
        destination="orders",
        exclude=("card",),
        partition_key="id",
        engine=Engine.MERGE_TREE,
        sharding_key="region",
        policy_name="hot",
        partition_by_expr="toYYYYMM(at)",
        columns=(
            ColumnSpec("id", destination_name="key", destination_type="UInt64", ordering=1),
            ColumnSpec("at", partitioning=2, nullable_enabled=True),
        ),
    )
    assert desired_from(parse_spec(FULL_SPEC), "orders", 5) == Desired(
        mirror="orders",
        generation=5,
        state=RunState.PAUSED,
        tables=(table,),
        batch_size=7,
        idle_timeout=8,
        snapshot=SnapshotSpec(
            rows_per_partition=1,
            partitions_override=2,
            max_parallel_workers=3,
            tables_in_parallel=4,
            added_tables=AddedTables.SKIP,
        ),
        settings=(("A", "1"), ("B", "2")),
        deletion_policy=DeletionPolicy.RETAIN,
        drop=DropSpec(statistics=Statistics.DELETE, destination_metadata=DestinationMetadata.KEEP),
    )


def test_a_wish_leaves_everything_to_peerdb_when_the_spec_is_empty() -> None:
    wish = desired_from(parse_spec({}), "orders", 1)
    assert wish == Desired(mirror="orders", generation=1)
    assert wish.wants_running


def test_an_added_table_shows_what_the_spec_sets() -> None:
    fields: dict[str, object] = {
        "exclude": ("x",),
        "partition_key": "id",
        "sharding_key": "s",
        "policy_name": "p",
        "partition_by_expr": "e",
    }
    columns = (
        ColumnSpec("id"),
        ColumnSpec("at", "at", "Date", ordering=1, partitioning=2, nullable_enabled=False),
    )
    shown = (Column("at", "at", "Date", 1, 2), Column("id"))
    added = mapping_of(a_wish("public.orders", "t", engine=Engine.NULL, columns=columns, **fields))
    assert added == a_mapping("public.orders", "t", engine="CH_ENGINE_NULL", columns=shown, **fields)


def test_a_table_is_added_with_what_the_spec_sets_and_nothing_else() -> None:
    spec = FULL_SPEC["tables"][0]
    names = {"source": "sourceTableIdentifier", "destination": "destinationTableIdentifier"}
    sent = {names.get(name, name): value for name, value in spec.items()}
    at, key = spec["columns"][1], spec["columns"][0]
    [table] = desired_from(parse_spec(FULL_SPEC), "orders", 1).tables or ()
    assert mapping_of(table).to_json() == {**sent, "engine": "CH_ENGINE_MERGE_TREE", "columns": [at, key]}
    assert mapping_of(a_wish("public.a")).to_json() == {names["source"]: "public.a", names["destination"]: "a"}


def test_fields_that_the_spec_leaves_out_never_differ() -> None:
    live = a_mapping(
        "public.orders",
        exclude=("x",),
        partition_key="id",
        engine="CH_ENGINE_NULL",
        sharding_key="s",
        policy_name="p",
        partition_by_expr="e",
        columns=(Column("id"),),
    )
    assert differences(a_wish("public.orders"), live) == ()


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("exclude", "exclude", ("x",)),
        ("partitionKey", "partition_key", "id"),
        ("engine", "engine", Engine.NULL),
        ("shardingKey", "sharding_key", "s"),
        ("policyName", "policy_name", "p"),
        ("partitionByExpr", "partition_by_expr", "e"),
    ],
)
def test_a_set_field_differs_under_the_name_that_users_write(name: str, field: str, value: object) -> None:
    assert differences(a_wish("public.orders", "orders", **{field: value}), a_mapping("public.orders")) == (name,)


DESCRIBED = {
    "destinationName": "key",
    "destinationType": "UInt64",
    "ordering": 1,
    "partitioning": 2,
    "nullableEnabled": True,
}


def a_table_with(*columns: dict[str, object]) -> TableSpec:
    """A table of a spec that lists these columns."""
    spec = parse_spec({"tables": [{"source": "public.orders", "destination": "orders", "columns": list(columns)}]})
    [table] = desired_from(spec, "orders", 1).tables or ()
    return table


def live_with(*columns: Column) -> TableMapping:
    """The same table as PeerDB shows it."""
    return a_mapping("public.orders", columns=columns)


@pytest.mark.parametrize("field", DESCRIBED)
def test_a_set_field_of_a_column_differs_under_the_name_that_users_write(field: str) -> None:
    table = a_table_with({"sourceName": "id", field: DESCRIBED[field]})
    assert differences(table, live_with(Column("id"))) == (f"columns[id].{field}",)
    assert differences(table, live_with(Column("id", "key", "UInt64", 1, 2, nullable=True))) == ()


def test_a_column_that_keeps_its_name_equals_one_that_is_named_like_its_source() -> None:
    same = a_table_with({"sourceName": "id", "destinationName": "id"})
    assert differences(same, live_with(Column("id"))) == ()
    assert differences(same, live_with(Column("id", "id"))) == ()


def test_columns_are_matched_by_source_name_whatever_their_order() -> None:
    table = a_table_with({"sourceName": "id", "ordering": 1}, {"sourceName": "at", "ordering": 2})
    assert differences(table, live_with(Column("at", ordering=2), Column("id", ordering=1))) == ()
    assert differences(table, live_with(Column("at", ordering=1), Column("id", ordering=2))) == (
        "columns[id].ordering",
        "columns[at].ordering",
    )


def test_a_column_that_peerdb_does_not_list_has_what_peerdb_chooses_by_itself() -> None:
    plain = a_table_with({"sourceName": "id", "destinationName": "id", "nullableEnabled": False})
    assert differences(plain, live_with()) == ()
    assert differences(a_table_with({"sourceName": "id", "ordering": 1}), live_with()) == ("columns[id].ordering",)


def test_a_live_column_that_the_list_of_the_spec_lacks_differs_if_peerdb_treats_it_specially() -> None:
    listed = a_table_with({"sourceName": "id", "ordering": 1})
    live = live_with(Column("id", ordering=1), Column("at", destination_type="Date"), Column("x"), Column("y", "y"))
    assert differences(listed, live) == ("columns[at]",)
    assert differences(a_table_with(), live_with(Column("at", nullable=True))) == ("columns[at]",)


def test_a_column_that_peerdb_lists_twice_equals_only_if_both_entries_do() -> None:
    table = a_table_with({"sourceName": "id", "ordering": 1})
    assert differences(table, live_with(Column("id", ordering=1), Column("id", ordering=1, nullable=True))) == ()
    assert differences(table, live_with(Column("id", ordering=1), Column("id", ordering=2))) == (
        "columns[id].ordering",
    )


@pytest.mark.parametrize("statistics", Statistics)
@pytest.mark.parametrize("metadata", DestinationMetadata)
def test_what_a_drop_removes_comes_back_from_the_journal(statistics: Statistics, metadata: DestinationMetadata) -> None:
    drop = DropSpec(statistics=statistics, destination_metadata=metadata)
    assert DropSpec.decode(drop.encode()) == drop


def test_what_a_drop_removes_keeps_its_word_so_that_one_in_flight_survives_an_upgrade() -> None:
    assert DropSpec().encode() == "statistics=Keep,destinationMetadata=Delete"


def test_a_drop_removes_what_it_does_by_default_when_a_hand_has_broken_the_journal() -> None:
    assert DropSpec.decode("nonsense") == DropSpec()

"""One update: what the config is afterwards, what identifies it, how it is told."""

from __future__ import annotations

import json
from dataclasses import replace

from peerdb_operator.api.mirror import AddedTables, SnapshotSpec
from peerdb_operator.mirror.rules.change import identity, in_words, listed, precheck_key, settings_edit, wire_size
from peerdb_operator.peerdb.models import Column, ConfigUpdate
from tests.unit.core.builders import a_config, a_mapping, a_mirror

LIVE = a_config(
    "public.a", "public.b", batch_size=10, idle_timeout=20, rows_per_partition=1, partitions_override=2,
    max_parallel_workers=3, tables_in_parallel=4,
)  # fmt: skip


def test_an_edit_changes_only_the_settings_it_carries() -> None:
    edit = ConfigUpdate(batch_size=11, max_parallel_workers=9, env={"A": "1"})
    expected = replace(LIVE, batch_size=11, max_parallel_workers=9, env={"A": "1"})
    assert edit.applied_to(LIVE) == expected


def test_identity_is_the_difference_itself_whatever_else_the_config_holds() -> None:
    one = ConfigUpdate(additions=(a_mapping("public.a"), a_mapping("public.b")), removals=(a_mapping("public.c"),))
    turned = ConfigUpdate(additions=one.additions[::-1], removals=one.removals)
    assert identity(turned) == identity(one)
    assert identity(ConfigUpdate(additions=one.additions)) != identity(one)
    assert identity(ConfigUpdate(batch_size=1)) != identity(ConfigUpdate(idle_timeout=1))


def test_identity_keeps_its_bytes_so_that_corrections_are_counted_over_an_upgrade() -> None:
    columns = (Column("id", "key", ordering=1),)
    added = a_mapping("public.b", "b", exclude=("y", "x"), engine="CH_ENGINE_NULL", columns=columns)
    edit = ConfigUpdate(
        (added, a_mapping("public.a")), (a_mapping("public.c"),), batch_size=7, rows_per_partition=5,
        env={"B": "2", "A": "1"},
    )  # fmt: skip
    assert identity(edit) == "292c5ebeaca5f4ae6d771b74693c6dfe"
    assert identity(ConfigUpdate(removals=(a_mapping("public.c"),))) == "42a92317ef9ee55b0516f3e03ca61375"


def test_an_edit_is_told_in_words() -> None:
    many = tuple(a_mapping(f"public.t{number}") for number in range(7))
    edit = ConfigUpdate(many, (a_mapping("public.old"),), batch_size=1)
    assert in_words(edit) == (
        "add public.t0, public.t1, public.t2, public.t3, public.t4 and 2 more, remove public.old, change settings"
    )
    assert in_words(ConfigUpdate()) == "nothing"
    assert listed(list("abcde")) == "a, b, c, d, e"


def test_only_settings_that_the_spec_sets_and_the_mirror_lacks_are_edited() -> None:
    mirror = a_mirror(
        batch_size=10,
        idle_timeout=99,
        snapshot=SnapshotSpec(rows_per_partition=1, tables_in_parallel=9),
        settings=(("A", "1"), ("B", "2")),
    )
    live = replace(LIVE, env={"A": "1", "B": "old", "PINNED": "x"})
    expected = ConfigUpdate(idle_timeout=99, tables_in_parallel=9, env={"B": "2"})
    assert settings_edit(mirror, live) == expected


def test_a_precheck_answers_for_one_generation_its_additions_and_whether_they_are_copied() -> None:
    mirror, edit = a_mirror(), ConfigUpdate(additions=(a_mapping("public.a"), a_mapping("public.b")))
    key = precheck_key(edit, mirror)
    assert precheck_key(replace(edit, additions=edit.additions[::-1]), mirror) == key
    assert precheck_key(replace(edit, removals=(a_mapping(),)), mirror) == key
    others = [
        precheck_key(replace(edit, additions=edit.additions[:1]), mirror),
        precheck_key(edit, replace(mirror, generation=99)),
        precheck_key(edit, replace(mirror, snapshot=SnapshotSpec(added_tables=AddedTables.SKIP))),
    ]
    assert key not in others


def test_the_size_of_a_mapping_is_never_estimated_too_small() -> None:
    table = a_mapping(
        "public." + "t" * 50,
        "ö" * 50,
        exclude=tuple(f"column{number}" for number in range(100)),
        columns=tuple(Column(f"column{number}", f"to{number}", "UInt64", 1, 1, nullable=True) for number in range(50)),
    )
    wire = {
        "sourceTableIdentifier": table.source,
        "destinationTableIdentifier": table.destination,
        "partitionKey": "",
        "exclude": sorted(table.exclude),
        "columns": [
            {
                "sourceName": column.source,
                "destinationName": column.destination,
                "destinationType": column.destination_type,
                "ordering": column.ordering,
                "partitioning": column.partitioning,
                "nullableEnabled": column.nullable,
            }
            for column in table.columns
        ],
        "engine": "CH_ENGINE_REPLACING_MERGE_TREE",
        "shardingKey": "",
        "policyName": "",
        "partitionByExpr": "",
    }
    assert wire_size(table) >= len(json.dumps(wire).encode())
    assert wire_size(a_mapping()) < 600

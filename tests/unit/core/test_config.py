"""Fingerprints: equal for equal configs, whatever the order; different for every editable field."""

from __future__ import annotations

from dataclasses import replace

import pytest

from peerdb_operator.peerdb.models import Column, MirrorConfig
from tests.unit.core.builders import a_config, a_mapping

ID = Column("id", ordering=1)
NAME = Column("name", nullable=True)
FULL = MirrorConfig(
    tables=(a_mapping("public.a", exclude=("x", "y"), columns=(ID, NAME)), a_mapping("public.b")),
    batch_size=10,
    idle_timeout=20,
    rows_per_partition=1,
    partitions_override=2,
    max_parallel_workers=3,
    tables_in_parallel=4,
    env={"A": "1", "B": "2"},
)


def test_fingerprint_stays_when_only_the_order_differs() -> None:
    first = replace(FULL.tables[0], exclude=("y", "x", "y"), columns=(NAME, ID, NAME))
    turned = replace(FULL, tables=(FULL.tables[1], first), env={"B": "2", "A": "1"})
    assert turned.fingerprint == FULL.fingerprint


def test_fingerprint_takes_an_engine_that_is_not_given_for_peerdbs_default() -> None:
    given = a_config(a_mapping("public.a", engine="CH_ENGINE_REPLACING_MERGE_TREE"))
    assert given.fingerprint == a_config("public.a").fingerprint


@pytest.mark.parametrize(
    "other",
    [
        replace(FULL, tables=FULL.tables[:1]),
        replace(FULL, tables=(FULL.tables[0], a_mapping("public.b", "elsewhere"))),
        replace(FULL, tables=(replace(FULL.tables[0], exclude=("x",)), FULL.tables[1])),
        replace(FULL, tables=(replace(FULL.tables[0], columns=(ID,)), FULL.tables[1])),
        replace(FULL, tables=(replace(FULL.tables[0], partition_key="id"), FULL.tables[1])),
        replace(FULL, tables=(replace(FULL.tables[0], engine="CH_ENGINE_NULL"), FULL.tables[1])),
        replace(FULL, tables=(replace(FULL.tables[0], sharding_key="id"), FULL.tables[1])),
        replace(FULL, tables=(replace(FULL.tables[0], policy_name="p"), FULL.tables[1])),
        replace(FULL, tables=(replace(FULL.tables[0], partition_by_expr="id % 2"), FULL.tables[1])),
        replace(FULL, batch_size=11),
        replace(FULL, idle_timeout=21),
        replace(FULL, rows_per_partition=9),
        replace(FULL, partitions_override=9),
        replace(FULL, max_parallel_workers=9),
        replace(FULL, tables_in_parallel=9),
        replace(FULL, env={"A": "1"}),
    ],
)
def test_fingerprint_differs_when_any_editable_field_does(other: MirrorConfig) -> None:
    assert other.fingerprint != FULL.fingerprint


def test_fingerprint_keeps_its_bytes_so_that_an_edit_in_flight_survives_an_upgrade() -> None:
    """``status.operation`` of a former release holds such a hash: computed otherwise, its edit is judged unproven."""
    every_field = a_mapping(
        "public.a",
        exclude=("x", "y"),
        engine="CH_ENGINE_NULL",
        partition_key="id",
        sharding_key="s",
        policy_name="p",
        partition_by_expr="e",
        columns=(Column("id", ordering=1), Column("name", "n", "String", 0, 2, nullable=True)),
    )
    assert replace(FULL, tables=(every_field, a_mapping("public.b"))).fingerprint == "55f50fb44fbc539b3f0c95fa714db697"

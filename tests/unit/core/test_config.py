"""Fingerprints: equal for equal configs, whatever the order; different for every editable field."""

from __future__ import annotations

from dataclasses import replace

import pytest

from peerdb_operator.mirror.rules.config import Column, LiveConfig, SnapshotValues
from tests.unit.core.builders import a_config, a_mapping

ID = Column("id", ordering=1)
NAME = Column("name", nullable=True)
FULL = LiveConfig(
    tables=(a_mapping("public.a", exclude=frozenset({"x", "y"}), columns=frozenset({ID, NAME})), a_mapping("public.b")),
    batch_size=10,
    idle_timeout=20,
    snapshot=SnapshotValues(1, 2, 3, 4),
    env=(("A", "1"), ("B", "2")),
)


def test_fingerprint_stays_when_only_the_order_differs() -> None:
    turned = replace(FULL, tables=FULL.tables[::-1], env=FULL.env[::-1])
    assert turned.fingerprint == FULL.fingerprint


@pytest.mark.parametrize(
    "other",
    [
        replace(FULL, tables=FULL.tables[:1]),
        replace(FULL, tables=(FULL.tables[0], a_mapping("public.b", "elsewhere"))),
        replace(FULL, tables=(replace(FULL.tables[0], exclude=frozenset({"x"})), FULL.tables[1])),
        replace(FULL, tables=(replace(FULL.tables[0], columns=frozenset({ID})), FULL.tables[1])),
        replace(FULL, tables=(replace(FULL.tables[0], partition_key="id"), FULL.tables[1])),
        replace(FULL, tables=(replace(FULL.tables[0], engine="CH_ENGINE_NULL"), FULL.tables[1])),
        replace(FULL, tables=(replace(FULL.tables[0], sharding_key="id"), FULL.tables[1])),
        replace(FULL, tables=(replace(FULL.tables[0], policy_name="p"), FULL.tables[1])),
        replace(FULL, tables=(replace(FULL.tables[0], partition_by_expr="id % 2"), FULL.tables[1])),
        replace(FULL, batch_size=11),
        replace(FULL, idle_timeout=21),
        replace(FULL, snapshot=SnapshotValues(9, 2, 3, 4)),
        replace(FULL, snapshot=SnapshotValues(1, 9, 3, 4)),
        replace(FULL, snapshot=SnapshotValues(1, 2, 9, 4)),
        replace(FULL, snapshot=SnapshotValues(1, 2, 3, 9)),
        replace(FULL, env=(("A", "1"),)),
    ],
)
def test_fingerprint_differs_when_any_editable_field_does(other: LiveConfig) -> None:
    assert other.fingerprint != FULL.fingerprint


def test_fingerprint_keeps_its_bytes_so_that_an_edit_in_flight_survives_an_upgrade() -> None:
    """``status.operation`` of a former release holds such a hash: computed otherwise, its edit is judged unproven."""
    every_field = a_mapping(
        "public.a",
        exclude=frozenset({"x", "y"}),
        engine="CH_ENGINE_NULL",
        partition_key="id",
        sharding_key="s",
        policy_name="p",
        partition_by_expr="e",
        columns=frozenset({Column("id", ordering=1), Column("name", "n", "String", 0, 2, nullable=True)}),
    )
    assert replace(FULL, tables=(every_field, a_mapping("public.b"))).fingerprint == "55f50fb44fbc539b3f0c95fa714db697"


def test_fingerprint_tells_source_and_destination_apart() -> None:
    assert a_config(a_mapping("a.b", "c.d")).fingerprint != a_config(a_mapping("c.d", "a.b")).fingerprint


def test_tables_are_found_by_source() -> None:
    assert FULL.by_source["public.b"].destination == "b"

"""``mirrors/cdc/validate`` and the pre-check of a resync."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.harness.peerdb.config import ALLOW_NON_EMPTY, Config
from tests.harness.peerdb.engine import Engine
from tests.harness.peerdb.values import Reply
from tests.unit.harness_peerdb.building import (
    a_mirror,
    an_engine,
    changed,
    post,
    refusal,
    tables,
    watch,
    wire,
)  # fmt: skip


def validate(engine: Engine, **more: object) -> Reply:
    """Validate a mirror ``v`` of one table, with changes."""
    config = {"flowJobName": "v", "sourceName": "src", "destinationName": "pg", "tableMappings": wire("a"),
              "doInitialSnapshot": True, **more}  # fmt: skip
    engine.world.peers.setdefault("pg", "POSTGRES")
    return post(engine, "mirrors/cdc/validate", {"connectionConfigs": config})


FILLED_PG = "failed to validate destination connector pg: destination table public.d_a already has existing rows"
FILLED_CH = "failed to validate destination connector dst: table public.d_a exists and is not empty"


@pytest.mark.parametrize(("peer", "text"), [("pg", FILLED_PG), ("dst", FILLED_CH)])
def test_filled_destination_is_refused_when_it_would_be_copied_into(peer: str, text: str) -> None:
    engine = an_engine()
    engine.put_databases(filled=["public.d_a"])

    assert refusal(validate(engine, destinationName=peer)) == (400, 9, text)
    assert validate(engine, destinationName=peer, doInitialSnapshot=False).status == 200
    assert validate(engine, destinationName=peer, resync=True).status == 200
    allowed = validate(engine, destinationName=peer, env={ALLOW_NON_EMPTY: "true"})
    assert allowed.status == (200 if peer == "dst" else 400)


@pytest.mark.parametrize("side", ["source", "destination"])
def test_peer_is_named_when_it_cannot_be_reached(side: str) -> None:
    engine = an_engine(peers_unreachable=side)

    assert refusal(validate(engine))[2].startswith(f"failed to create {side} connector: ")


BREAKERS: dict[str, Callable[[Engine], None]] = {
    "table": lambda engine: engine.put_databases(source_tables=[]),
    "source": lambda engine: engine.turn(peers_unreachable="source"),
    "publication": lambda engine: engine.put_databases(publications={}),
}


@pytest.mark.parametrize("what", BREAKERS)
def test_resync_is_refused_and_the_mirror_untouched_when_the_check_fails(what: str) -> None:
    engine = an_engine()
    a_mirror(engine, config=Config(tables=tuple(tables("a")), publication="p"))
    BREAKERS[what](engine)

    assert refusal(changed(engine, "RESYNC"))[:2] == (400, 9)
    assert watch(engine) == []

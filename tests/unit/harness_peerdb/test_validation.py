"""``mirrors/cdc/validate`` and the pre-check of a resync."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.harness.peerdb.config import ALLOW_NON_EMPTY, Config
from tests.harness.peerdb.engine import Engine
from tests.harness.peerdb.values import Reply
from tests.unit.harness_peerdb.building import (
    NAME,
    a_mirror,
    an_engine,
    changed,
    post,
    refusal,
    states,
    tables,
    watch,
    wire,
)  # fmt: skip

SOURCE = "failed to validate source connector src"
BAD_NAME = f"{SOURCE}: invalid source table identifier: invalid table name"
EMPTY_LIST = 'ERROR: syntax error at or near "WITH" (SQLSTATE 42601)'
INFO = "type.googleapis.com/google.rpc.ErrorInfo"
PRECONDITION = "type.googleapis.com/google.rpc.PreconditionFailure"


def validate(engine: Engine, **more: object) -> Reply:
    """Validate a mirror ``v`` of one table, with changes."""
    config = {"flowJobName": "v", "sourceName": "src", "destinationName": "pg", "tableMappings": wire("a"),
              "doInitialSnapshot": True, **more}  # fmt: skip
    engine.world.peers.setdefault("pg", "POSTGRES")
    return post(engine, "mirrors/cdc/validate", {"connectionConfigs": config})


def a_table(**more: object) -> list[dict[str, object]]:
    """One mapping with changes."""
    return [{**wire("a")[0], **more}]


def test_answer_is_empty_when_nothing_is_wrong() -> None:
    engine = an_engine()

    assert (validate(engine).status, validate(engine).json()) == (200, {})
    engine.turn(reply_shape="ok")
    assert validate(engine).json() == {"ok": True}
    assert states(engine) == []


@pytest.mark.parametrize(
    "more",
    [{"flowJobName": "Not-A-Name"}, {"replicationSlotName": "missing"}, {"tableMappings": [*wire("a"), *wire("a")]}],
    ids=["name", "slot", "doubled table"],
)
def test_some_things_are_not_looked_at_when_a_mirror_is_validated(more: dict[str, object]) -> None:
    assert validate(an_engine(), **more).status == 200


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"initialSnapshotOnly": True, "doInitialSnapshot": False},
         (400, 3, "invalid config: initial_snapshot_only is true but do_initial_snapshot is false")),
        ({"tableMappings": a_table(columns=[{"sourceName": "c", "destinationType": "x;y"}])},
         (400, 3, "invalid custom column type x;y")),
        ({"sourceName": "x"}, (500, 13, "failed to load source peer x: NotFoundError: peers not found: [x]")),
        ({"destinationName": "x"},
         (400, 9, "failed to create destination connector: NotFoundError: peers not found: [x]")),
        ({"tableMappings": a_table(sourceTableIdentifier="t1")},
         (400, 9, f"{BAD_NAME}: t1")),
        ({"tableMappings": a_table(sourceTableIdentifier="a.b.c")},
         (400, 9, f"{BAD_NAME}: a.b.c")),
        ({"tableMappings": []},
         (400, 9, f"{SOURCE}: error creating publication: {EMPTY_LIST}")),
        ({"tableMappings": a_table(destinationTableIdentifier="")},
         (400, 9, "failed to validate destination connector pg: destination table identifier is empty")),
        ({"tableMappings": a_table(destinationTableIdentifier="bare")},
         (400, 9, "failed to validate destination connector pg: invalid table identifier: bare")),
    ],
)  # fmt: skip
def test_configuration_is_refused_when_it_cannot_work(more: dict[str, object], expected: tuple[int, int, str]) -> None:
    assert refusal(validate(an_engine(), **more)) == expected


def test_missing_configuration_is_an_internal_error_when_the_check_comes_too_late() -> None:
    assert refusal(post(an_engine(), "mirrors/cdc/validate", {})) == (500, 13, "internal server error")


def test_maintenance_is_answered_when_it_is_on() -> None:
    assert refusal(validate(an_engine(maintenance=True)))[:2] == (503, 14)


def test_existing_name_is_a_conflict_unless_it_is_a_resync() -> None:
    engine = an_engine()
    a_mirror(engine, "b")

    reply = validate(engine, flowJobName=NAME)

    assert refusal(reply) == (409, 6, f"mirror with name {NAME} already exists")
    assert json.loads(reply.body)["details"] == [
        {"@type": INFO, "reason": "MIRROR", "domain": "peerdb.io", "metadata": {"offendingField": "flow_job_name"}}
    ]
    assert validate(engine, flowJobName=NAME, resync=True).status == 200


def test_missing_tables_are_named_one_by_one_when_the_source_lacks_them() -> None:
    engine = an_engine()
    engine.put_databases(source_tables=["public.a"])

    reply = validate(engine, tableMappings=wire("a", "nope", "nada"))

    assert refusal(reply) == (400, 9, "source tables do not exist: public.nope, public.nada")
    info, failure = json.loads(reply.body)["details"]
    assert info == {"@type": INFO, "reason": "SOURCE_TABLE_MISSING", "domain": "peerdb.io", "metadata": {}}
    assert failure["@type"] == PRECONDITION
    assert [(one["type"], one["subject"]) for one in failure["violations"]] == [
        ("SOURCE_TABLE_MISSING", "public.nope"), ("SOURCE_TABLE_MISSING", "public.nada"),
    ]  # fmt: skip


def test_custom_publication_is_looked_into_when_it_is_named() -> None:
    engine = an_engine()
    engine.put_databases(publications={"p": ["public.a"]})

    assert validate(engine, publicationName="p").status == 200
    outside = validate(engine, publicationName="p", tableMappings=wire("a", "b"))
    assert refusal(outside) == (400, 9, 'tables not in publication "p": public.b')
    assert json.loads(outside.body)["details"][0]["metadata"] == {"publication": "p"}
    missing = validate(engine, publicationName="q")
    text = "failed to validate source connector src: publication does not exist: q"
    assert refusal(missing) == (400, 9, text)


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


def test_column_is_named_when_the_destination_lacks_it() -> None:
    engine = an_engine()
    engine.put_databases(missing_columns={"public.d_a": "v"})

    text = (
        "failed to validate destination connector pg: source column v (as v) not found in destination table public.d_a"
    )
    assert refusal(validate(engine)) == (400, 9, text)


@pytest.mark.parametrize("side", ["source", "destination"])
def test_peer_is_named_when_it_cannot_be_reached(side: str) -> None:
    engine = an_engine(peers_unreachable=side)

    assert refusal(validate(engine))[2].startswith(f"failed to create {side} connector: ")


def test_removed_table_leaves_its_rows_when_it_is_validated_again() -> None:
    engine = an_engine()
    a_mirror(engine, "a", "b")

    changed(engine, "PAUSED", {"removedTables": wire("a")})
    engine.run_until(engine.now + 10)

    assert refusal(validate(engine)) == (400, 9, FILLED_PG)


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

"""Each call sends what PeerDB's API wants and reads what it says."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from peerdb_operator.errors import PeerDBError, PeerDBNotFound, UnexpectedReply
from peerdb_operator.peerdb.client import (
    ConfigUpdate,
    ListedMirror,
    LogLevel,
    LogRow,
    Patience,
    PeerDBClient,
    Progress,
    Reply,
    Request,
    RequestedState,
)
from peerdb_operator.peerdb.models import Column, MirrorConfig, TableMapping, validation_request
from tests.unit.clients.peerdb_fakes import FakeTransport, a_client, a_refusal, a_reply, run

CREATED = "2026-08-21T10:00:00.123456Z"


def a_mapping(source: str = "public.orders", destination: str = "orders", **more: object) -> dict[str, Any]:
    return {
        "sourceTableIdentifier": source,
        "destinationTableIdentifier": destination,
        "partitionKey": "",
        "exclude": [],
        "columns": [],
        "engine": "CH_ENGINE_REPLACING_MERGE_TREE",
        "shardingKey": "",
        "policyName": "",
        "partitionByExpr": "",
        **more,
    }


def a_config(**more: object) -> dict[str, Any]:
    return {
        "flowJobName": "orders_cdc",
        "tableMappings": [a_mapping()],
        "maxBatchSize": 250000,
        "idleTimeoutSeconds": "60",
        "cdcStagingPath": "",
        "publicationName": "",
        "replicationSlotName": "",
        "doInitialSnapshot": True,
        "snapshotNumRowsPerPartition": 250000,
        "snapshotNumPartitionsOverride": 0,
        "snapshotStagingPath": "",
        "snapshotMaxParallelWorkers": 4,
        "snapshotNumTablesInParallel": 1,
        "resync": False,
        "initialSnapshotOnly": False,
        "softDeleteColName": "_PEERDB_IS_DELETED",
        "syncedAtColName": "_PEERDB_SYNCED_AT",
        "script": "",
        "system": "Q",
        "sourceName": "pg_src",
        "destinationName": "ch_dst",
        "env": {"PEERDB_NULLABLE": "true"},
        "version": 7,
        "flags": ["clickhouse_time64_enabled"],
        **more,
    }


def a_status(config: dict[str, Any] | None = None, state: object = "STATUS_RUNNING", **more: object) -> dict[str, Any]:
    body: dict[str, Any] = {"flowJobName": "orders_cdc", "currentFlowState": state, "createdAt": CREATED}
    if config is not None:
        body["cdcStatus"] = {
            "config": config,
            "snapshotStatus": None,
            "cdcBatches": [],
            "sourceType": "POSTGRES",
            "destinationType": "CLICKHOUSE",
            "rowsSynced": "12345",
        }
        body["cdcStatus"].update(more)
    return body


def test_a_plain_status_reads_the_catalog_only() -> None:
    client, transport = a_client(a_status())

    reply = run(client.status("orders_cdc"))

    assert transport.only == Request("POST", "mirrors/status", {"flowJobName": "orders_cdc"}, Patience.PLAIN)
    assert (reply.name, reply.state, reply.created_at) == ("orders_cdc", "RUNNING", CREATED)
    assert (reply.is_cdc, reply.config, reply.snapshot) == (None, None, None)


@pytest.mark.parametrize(
    ("sent", "read"),
    [("STATUS_MODIFYING", "MODIFYING"), (12, "12"), ("SOMETHING_NEW", "SOMETHING_NEW"), ("STATUS_UNKNOWN", "UNKNOWN")],
)
def test_a_state_of_the_future_is_read_as_a_word(sent: object, read: str) -> None:
    client, _ = a_client({**a_status(state=sent), "newField": 1})

    assert run(client.status("orders_cdc")).state == read


def test_a_status_with_config_reads_every_field() -> None:
    mapping = a_mapping(
        exclude=["a", "b"],
        engine=7,
        partitionKey="id",
        shardingKey="s",
        policyName="p",
        partitionByExpr="toYYYYMM(at)",
        columns=[{"sourceName": "v", "destinationName": "w", "destinationType": "Int8", "ordering": 1}],
        newField={"x": 1},
    )
    config = a_config(tableMappings=[mapping], newField=[1])
    client, transport = a_client(a_status(config))

    reply = run(client.status_with_config("orders_cdc"))

    assert transport.only == Request(
        "POST",
        "mirrors/status",
        {"flowJobName": "orders_cdc", "includeFlowInfo": True, "excludeBatches": True, "excludeSnapshotStatus": True},
        Patience.PLAIN,
    )
    assert reply.snapshot is None
    read = reply.config
    assert read is not None
    assert (read.batch_size, read.idle_timeout, read.env) == (250000, 60, {"PEERDB_NULLABLE": "true"})
    assert (read.rows_per_partition, read.partitions_override) == (250000, 0)
    assert (read.max_parallel_workers, read.tables_in_parallel) == (4, 1)
    assert read.raw == config
    (table,) = read.tables
    assert (table.source, table.destination, table.exclude) == ("public.orders", "orders", ("a", "b"))
    assert (table.engine, table.partition_key, table.sharding_key) == ("7", "id", "s")
    assert (table.policy_name, table.partition_by_expr) == ("p", "toYYYYMM(at)")
    assert table.columns == (Column("v", "w", "Int8", ordering=1),)
    assert table.raw == mapping


def test_snapshot_progress_is_summed_over_all_copies_when_asked_for() -> None:
    clones = [
        {"tableName": "a", "numPartitionsCompleted": 4, "numPartitionsTotal": 4, "numRowsSynced": "1000000"},
        {"tableName": "b", "numPartitionsCompleted": 1, "numPartitionsTotal": 9, "numRowsSynced": "7", "endTime": None},
    ]
    client, transport = a_client(a_status(a_config(), "STATUS_SNAPSHOT", snapshotStatus={"clones": clones}))

    reply = run(client.status_with_config("orders_cdc", snapshot=True))

    assert transport.only.body is not None
    assert transport.only.body["excludeSnapshotStatus"] is False
    assert reply.snapshot == Progress(partitions=5, rows=1000007, partitions_total=13)


def test_a_query_replication_mirror_is_told_apart() -> None:
    client, _ = a_client({**a_status(), "qrepStatus": {"partitions": []}})

    reply = run(client.status_with_config("orders_cdc"))

    assert (reply.is_cdc, reply.config) == (False, None)


def read_config(config: dict[str, Any]) -> MirrorConfig:
    read = run(a_client(a_status(config))[0].status_with_config("orders_cdc")).config
    assert read is not None
    return read


def test_null_is_read_as_absent_at_every_level() -> None:
    mapping = {**a_mapping(), "exclude": None, "partitionKey": None, "columns": None, "engine": None}
    other = a_mapping("public.b", columns=[{"sourceName": "v", "destinationType": None, "ordering": None}])
    client, _ = a_client(a_status(a_config(tableMappings=[mapping, other], env=None), sourceType=None))

    config = run(client.status_with_config("orders_cdc")).config

    assert config is not None
    assert config.env == {}
    assert (config.tables[0].exclude, config.tables[0].engine) == ((), "")
    assert config.tables[1].columns == (Column("v"),)
    assert [table.raw for table in config.tables] == [mapping, other]


def a_large_config(**more: object) -> dict[str, Any]:
    return a_config(tableMappings=[a_mapping(f"public.t{i}", f"t{i}") for i in range(600)], **more)


def test_a_large_status_is_read_once_while_peerdb_answers_the_same_bytes() -> None:
    client, transport = a_client(a_status(a_large_config()))
    first = run(client.status_with_config("orders_cdc"))
    transport.reply = a_reply(a_status(a_large_config()))

    assert run(client.status_with_config("orders_cdc")) is first
    assert len(transport.asked) == 2
    assert client.answered_in_a_row == 2


def test_a_large_config_is_read_once_while_it_stays_the_same_whatever_the_state() -> None:
    client, transport = a_client(a_status(a_large_config()))
    first = run(client.status_with_config("orders_cdc"))
    transport.reply = a_reply(a_status(a_large_config(), "STATUS_PAUSED"))
    second = run(client.status_with_config("orders_cdc"))
    transport.reply = a_reply(a_status(a_large_config(version=8), "STATUS_PAUSED"))
    third = run(client.status_with_config("orders_cdc"))

    assert (first.state, second.state) == ("RUNNING", "PAUSED")
    assert second.config is first.config
    assert third.config is not first.config
    assert third.config is not None
    assert third.config.raw["version"] == 8


def test_a_refusal_is_none_the_less_one_for_having_the_bytes_of_the_status_before() -> None:
    client, transport = a_client(a_status(a_large_config()))
    run(client.status_with_config("orders_cdc"))
    transport.reply = Reply(503, "application/json", transport.reply.body)

    with pytest.raises(PeerDBError):
        run(client.status_with_config("orders_cdc"))


def test_a_mirror_never_gets_the_config_of_another() -> None:
    client, _ = a_client(a_status(a_large_config()))
    run(client.status_with_config("orders_cdc"))

    with pytest.raises(UnexpectedReply, match="another one"):
        run(client.status_with_config("other"))


def test_what_is_kept_of_statuses_is_bounded_and_the_one_asked_for_longest_ago_goes_first() -> None:
    client, transport = a_client()
    size = len(a_reply(a_status(a_large_config(script="x" * 1024 * 1024))).body)
    fits = 8 * 1024 * 1024 // size

    def config_of(name: str) -> MirrorConfig | None:
        status = {**a_status(a_large_config(script="x" * 1024 * 1024)), "flowJobName": name}
        transport.reply = a_reply(status)
        return run(client.status_with_config(name)).config

    first = [config_of(f"m{i}") for i in range(fits)]
    assert config_of("m0") is first[0]
    config_of("new")
    assert config_of("m0") is first[0]
    assert config_of("m2") is first[2]
    assert config_of("m1") is not first[1]


def test_a_small_status_is_not_kept() -> None:
    client, _ = a_client(a_status(a_config()))

    assert run(client.status_with_config("orders_cdc")) is not run(client.status_with_config("orders_cdc"))


UNREADABLE: list[tuple[dict[str, Any], str]] = [
    ({"currentFlowState": "STATUS_RUNNING", "createdAt": CREATED}, "flowJobName"),
    ({"flowJobName": "orders_cdc", "createdAt": CREATED}, "currentFlowState"),
    ({"flowJobName": "orders_cdc", "currentFlowState": "STATUS_RUNNING"}, "createdAt"),
    (a_status(state=True), "currentFlowState"),
    (a_status(state=["x"]), "currentFlowState"),
    (a_status(), "cdcStatus"),
    ({**a_status(), "cdcStatus": None}, "cdcStatus"),
    ({**a_status(), "cdcStatus": "x"}, "cdcStatus"),
    ({**a_status(), "cdcStatus": {"config": None}}, "cdcStatus.config"),
    (a_status(a_config(tableMappings=None)), "cdcStatus.config.tableMappings"),
    (a_status(a_config(tableMappings={"a": 1})), "cdcStatus.config.tableMappings"),
    (a_status(a_config(tableMappings=["t"])), "cdcStatus.config.tableMappings.0"),
    (a_status(a_config(tableMappings=[{"destinationTableIdentifier": "d"}])), "tableMappings.0.sourceTableIdentifier"),
    (a_status(a_config(maxBatchSize=None)), "cdcStatus.config.maxBatchSize"),
    (a_status(a_config(idleTimeoutSeconds="soon")), "cdcStatus.config.idleTimeoutSeconds"),
    (a_status(a_config(env={"K": 1})), "cdcStatus.config.env.K"),
]


@pytest.mark.parametrize(("body", "place"), UNREADABLE)
def test_a_gap_that_could_pass_for_a_fact_is_an_unexpected_reply(body: dict[str, Any], place: str) -> None:
    client, _ = a_client(body)

    with pytest.raises(UnexpectedReply) as caught:
        run(client.status_with_config("orders_cdc"))

    assert place in str(caught.value)


def test_an_unexpected_reply_names_places_but_never_values() -> None:
    client, _ = a_client(a_status(a_config(env={f"K{i}": {"value": "hunter2"} for i in range(9)})))

    with pytest.raises(UnexpectedReply) as caught:
        run(client.status_with_config("orders_cdc"))

    assert str(caught.value).count("cdcStatus.config.env") == 3
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("call", ["status", "status_with_config"])
def test_a_status_of_another_mirror_is_an_unexpected_reply(call: str) -> None:
    client, _ = a_client(a_status(a_config()))

    with pytest.raises(UnexpectedReply):
        run(getattr(client, call)("billing_cdc"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.status("m_x"), "flow m_x not found"),
        (lambda c: c.status_with_config("m_x"), "flow m_x not found"),
        (lambda c: c.tags("m_x"), "flow m_x does not exist"),
        (lambda c: c.set_tags("m_x", {"a": "b"}), "flow m_x does not exist"),
        (lambda c: c.change_state("m_x", RequestedState.PAUSED), "flow m_x not found"),
    ],
)
def test_a_missing_mirror_is_not_found_whatever_was_asked_of_it(
    call: Callable[[PeerDBClient], Coroutine[Any, Any, object]], message: str
) -> None:
    client = PeerDBClient(FakeTransport(a_refusal(404, 5, message)))

    with pytest.raises(PeerDBNotFound):
        run(call(client))


def test_the_list_holds_every_mirror() -> None:
    row = {
        "id": "7",
        "workflowId": "orders_cdc-peerflow",
        "name": "orders_cdc",
        "sourceName": "pg_src",
        "sourceType": "POSTGRES",
        "destinationName": "ch_dst",
        "destinationType": "CLICKHOUSE",
        "createdAt": 1755770400123,
        "isCdc": True,
        "status": "STATUS_RUNNING",
    }
    client, transport = a_client(
        {"mirrors": [row, {**row, "name": "q", "isCdc": False, "status": 44, "createdAt": 1.5}]}
    )

    mirrors = run(client.list_mirrors())

    assert transport.only == Request("GET", "mirrors/list")
    assert mirrors == [
        ListedMirror(
            name="orders_cdc",
            state="RUNNING",
            created_at_ms=1755770400123,
            is_cdc=True,
        ),
        ListedMirror(name="q", state="44", created_at_ms=1, is_cdc=False),
    ]


def test_an_empty_list_is_a_fact_and_a_missing_one_is_not() -> None:
    assert run(a_client({"mirrors": []})[0].list_mirrors()) == []
    with pytest.raises(UnexpectedReply):
        run(a_client({})[0].list_mirrors())


def test_logs_come_in_peerdbs_order_on_one_line_each() -> None:
    rows = [
        {
            "flowName": "m",
            "errorMessage": "a\nb password=hunter2",
            "errorType": "error",
            "errorTimestamp": 1755770400123,
            "id": 42,
        },
        {"flowName": "clone_m_public_t_1", "errorMessage": "x" * 5000, "errorTimestamp": 1.5e12, "id": 41},
    ]
    client, transport = a_client({"errors": rows, "total": 2, "page": 1})

    read = run(client.logs(level=LogLevel.ERROR, after_id=40, before_id=-1, num_per_page=100))

    assert transport.only == Request(
        "POST",
        "mirrors/logs",
        {"flowJobName": "", "level": "error", "numPerPage": 100, "afterId": 40, "beforeId": -1},
    )
    assert read[0] == LogRow(42, "m", "a b password=***", 1755770400.123)
    assert (read[1].id, len(read[1].message), read[1].time) == (41, 1000, 1.5e9)


def test_logs_of_one_mirror_are_asked_for_by_name() -> None:
    client, transport = a_client({"errors": []})

    assert run(client.logs(level=LogLevel.ERROR, num_per_page=5, name="m")) == []
    assert transport.only.body == {"flowJobName": "m", "level": "error", "numPerPage": 5, "afterId": 0, "beforeId": 0}


def test_a_batch_that_is_under_way_or_waits_for_the_destination_has_no_end() -> None:
    under_way = {"startLsn": "0", "endLsn": "0", "numRows": "0", "startTime": CREATED, "endTime": None, "batchId": "3"}
    waiting = {**under_way, "endLsn": "14294664", "numRows": "5", "batchId": "2"}
    ended = {**waiting, "endTime": "2026-08-21T10:00:00.5Z", "batchId": "1"}
    client, transport = a_client({"cdcBatches": [under_way, waiting, ended], "total": 3, "page": 1})

    assert run(client.batch_ends("m_x", limit=30)) == [1787306400.5]
    assert transport.only == Request("POST", "mirrors/cdc/batches", {"flowJobName": "m_x", "limit": 30})


@pytest.mark.parametrize("body", [{}, {"cdcBatches": [{"endTime": "soon"}]}, {"cdcBatches": [{"endTime": {}}]}])
def test_batches_of_an_unknown_shape_are_not_read(body: dict[str, Any]) -> None:
    with pytest.raises(UnexpectedReply):
        run(a_client(body)[0].batch_ends("m_x", limit=30))


def test_tags_are_read_as_a_mapping_whatever_their_order() -> None:
    client, transport = a_client({"flowName": "m_x", "tags": [{"key": "b", "value": ""}, {"key": "a", "value": "1"}]})

    assert run(client.tags("m_x")) == {"a": "1", "b": ""}
    assert transport.only == Request("GET", "flows/tags/m_x")


def test_no_tags_is_a_fact_and_a_missing_list_is_not() -> None:
    assert run(a_client({"flowName": "m_x", "tags": []})[0].tags("m_x")) == {}
    with pytest.raises(UnexpectedReply):
        run(a_client({"flowName": "m_x", "tags": None})[0].tags("m_x"))
    with pytest.raises(UnexpectedReply):
        run(a_client({"flowName": "m_y", "tags": []})[0].tags("m_x"))


def test_tags_are_replaced_as_a_whole() -> None:
    client, transport = a_client({"flowName": "m_x"})

    run(client.set_tags("m_x", {"a": "1", "b": ""}))

    tags = [{"key": "a", "value": "1"}, {"key": "b", "value": ""}]
    assert transport.only == Request("POST", "flows/tags", {"flowName": "m_x", "tags": tags}, Patience.PLAIN)


@pytest.mark.parametrize(("short", "patience"), [(False, Patience.CHECK), (True, Patience.CHECK_SHORT)])
def test_validation_sends_the_whole_config(short: bool, patience: Patience) -> None:
    client, transport = a_client()

    run(client.validate(a_config(), short=short))

    assert transport.only == Request("POST", "mirrors/cdc/validate", {"connectionConfigs": a_config()}, patience)


def state_changes() -> list[tuple[Any, dict[str, Any], Patience]]:
    running, paused, gone = RequestedState.RUNNING, RequestedState.PAUSED, RequestedState.TERMINATING
    edit = ConfigUpdate(batch_size=5)
    return [
        (lambda c: c.change_state("m", paused), {"requestedFlowState": "STATUS_PAUSED"}, Patience.PLAIN),
        (lambda c: c.change_state("m", running), {"requestedFlowState": "STATUS_RUNNING"}, Patience.PLAIN),
        (
            lambda c: c.change_state("m", running, update=edit),
            {
                "requestedFlowState": "STATUS_RUNNING",
                "flowConfigUpdate": {"cdcFlowConfigUpdate": {"batchSize": 5}},
            },
            Patience.PLAIN,
        ),
        (
            lambda c: c.change_state("m", running, update=ConfigUpdate()),
            {"requestedFlowState": "STATUS_RUNNING", "flowConfigUpdate": {"cdcFlowConfigUpdate": {}}},
            Patience.PLAIN,
        ),
        (
            lambda c: c.change_state("m", gone, drop_mirror_stats=True, skip_destination_drop=True, closed=True),
            {"requestedFlowState": "STATUS_TERMINATING", "dropMirrorStats": True, "skipDestinationDrop": True},
            Patience.DROP_CLOSED,
        ),
    ]


@pytest.mark.parametrize(("call", "body", "patience"), state_changes())
def test_a_state_change_says_no_more_than_it_means(
    call: Callable[[PeerDBClient], Coroutine[Any, Any, object]], body: dict[str, Any], patience: Patience
) -> None:
    client, transport = a_client()

    run(call(client))

    assert transport.only == Request("POST", "mirrors/state_change", {"flowJobName": "m", **body}, patience)


def test_version_and_instance_are_read() -> None:
    version, asked = a_client({"version": "stable-v0.37.0", "deploymentVersion": "x"})
    instance, asked_too = a_client({"status": "INSTANCE_STATUS_MAINTENANCE"})

    assert run(version.version()) == "stable-v0.37.0"
    assert run(instance.instance_status()) == "MAINTENANCE"
    assert asked.only == Request("GET", "version")
    assert asked_too.only == Request("GET", "instance/info")


def test_the_settings_that_peerdb_knows_are_read_by_name_set_or_not() -> None:
    listed = [{"name": "PEERDB_A", "value": "1", "defaultValue": ""}, {"name": "PEERDB_B", "defaultValue": "2"}]
    client, transport = a_client({"settings": listed})

    assert run(client.dynamic_settings()) == {"PEERDB_A", "PEERDB_B"}
    assert transport.only == Request("GET", "dynamic_settings")
    with pytest.raises(UnexpectedReply):
        run(a_client({})[0].dynamic_settings())


def test_a_check_speaks_of_the_additions_alone_with_the_mirrors_peers_publication_and_env() -> None:
    live = read_config(a_config(publicationName="pub", env={"A": "1", "B": "2"}, resync=True))
    update = ConfigUpdate(additions=(TableMapping("public.b", "b"),), removals=live.tables, env={"A": "9"})
    kept = {
        key: value
        for key, value in live.raw.items()
        if key.endswith(("Name", "Path", "script", "system")) and key != "flowJobName"
    }
    assert validation_request(update, live, "precheck_1", copy=True) == {
        **kept,
        "flowJobName": "precheck_1",
        "tableMappings": [{"sourceTableIdentifier": "public.b", "destinationTableIdentifier": "b"}],
        "env": {"A": "9", "B": "2"},
        "doInitialSnapshot": True,
        "initialSnapshotOnly": False,
        "resync": False,
    }
    assert kept["publicationName"] == "pub"


def test_an_update_uses_peerdbs_names_and_leaves_out_what_it_does_not_change() -> None:
    [removed] = read_config(a_config(tableMappings=[a_mapping(engine=9)])).tables
    columns = (Column("v", nullable=True),)
    added = TableMapping("public.new", "new", exclude=("secret",), engine="CH_ENGINE_NULL", columns=columns)
    update = ConfigUpdate(
        batch_size=1,
        idle_timeout=2,
        additions=(added,),
        removals=(removed,),
        env={"K": "v"},
        rows_per_partition=3,
        partitions_override=4,
        max_parallel_workers=5,
        tables_in_parallel=6,
        skip_snapshot=True,
    )

    assert update.to_json() == {
        "batchSize": 1,
        "idleTimeout": 2,
        "additionalTables": [
            {
                "sourceTableIdentifier": "public.new",
                "destinationTableIdentifier": "new",
                "exclude": ["secret"],
                "engine": "CH_ENGINE_NULL",
                "columns": [{"sourceName": "v", "nullableEnabled": True}],
            }
        ],
        "removedTables": [a_mapping(engine=9)],
        "updatedEnv": {"K": "v"},
        "snapshotNumRowsPerPartition": 3,
        "snapshotNumPartitionsOverride": 4,
        "snapshotMaxParallelWorkers": 5,
        "snapshotNumTablesInParallel": 6,
        "skipInitialSnapshotForTableAdditions": True,
    }
    assert ConfigUpdate().to_json() == {}


# -- how reliably it answers -----------------------------------------------------------------------------------------


def test_calls_that_peerdb_answers_are_counted_until_one_is_not() -> None:
    client, transport = a_client({"version": "v0.37.4"})
    for _ in range(3):
        run(client.version())
    assert client.answered_in_a_row == 3
    transport.reply = Reply(503, "text/html", b"<html></html>")
    with pytest.raises(PeerDBError):
        run(client.version())
    assert client.answered_in_a_row == 0


@pytest.mark.parametrize(
    ("reply", "counts"),
    [
        (a_refusal(404, 5, "flow orders_cdc not found"), True),
        (a_refusal(400, 9, "not ready"), True),
        (a_refusal(500, 13, "failed"), True),
        (a_refusal(503, 14, "PeerDB is under maintenance"), True),
        (a_refusal(503, 14, "away"), False),
        (Reply(502, "text/html", b"<html></html>"), False),
        (Reply(403, None, b""), False),
        (Reply(404, "text/html", b"<html></html>"), False),
        (Reply(200, "application/json", b"[]"), False),
    ],
)
def test_a_refusal_of_peerdbs_own_is_an_answer(reply: Reply, *, counts: bool) -> None:
    client, transport = a_client()
    transport.reply = reply
    with pytest.raises(PeerDBError):
        run(client.status("orders_cdc"))
    assert client.answered_in_a_row == int(counts)

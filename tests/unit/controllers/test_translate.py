"""Between PeerDB's wire values and ours, both ways."""

from peerdb_operator.mirror.rules.change import ConfigUpdate, SettingsEdit
from peerdb_operator.mirror.rules.config import Column, SnapshotValues
from peerdb_operator.mirror.rules.desired import DesiredColumn, DesiredSnapshot, DesiredTable
from peerdb_operator.mirror.rules.limits import Limits
from peerdb_operator.mirror.rules.observation import Progress
from peerdb_operator.mirror.translate import cdc_flow_config_update, live_config, progress, validation_request
from peerdb_operator.mirror.tuning import limits_of
from peerdb_operator.peerdb.models import MirrorConfig, SnapshotProgress
from tests.harness.simulation import some_settings

COLUMN = {"sourceName": "id", "destinationName": "key", "destinationType": "String", "ordering": 1, "partitioning": 2,
          "nullableEnabled": True, "somethingNew": 7}  # fmt: skip
TABLE = {
    "sourceTableIdentifier": "public.a", "destinationTableIdentifier": "a", "partitionKey": "p", "exclude": ["y", "x"],
    "columns": [COLUMN], "engine": "CH_ENGINE_MERGE_TREE", "shardingKey": "s", "policyName": "n",
    "partitionByExpr": "e", "somethingNew": {"b": 1},
}  # fmt: skip
CONFIG = {
    "tableMappings": [TABLE], "maxBatchSize": 10, "idleTimeoutSeconds": "60", "flowJobName": "orders",
    "sourceName": "src", "destinationName": "dst", "publicationName": "pub", "snapshotNumRowsPerPartition": 1,
    "snapshotNumPartitionsOverride": 2, "snapshotMaxParallelWorkers": 3, "snapshotNumTablesInParallel": 4,
    "env": {"B": "2", "A": "1"}, "version": 3,
}  # fmt: skip
WISH = DesiredTable(
    "public.b", "b", exclude=frozenset({"z", "y"}), partition_key="p", engine="CH_ENGINE_NULL", sharding_key="s",
    policy_name="n", partition_by_expr="e", columns=(DesiredColumn("id", "key", "String", 1, 2, nullable=True),),
)  # fmt: skip


def a_config() -> MirrorConfig:
    return MirrorConfig.model_validate({**CONFIG, "tableMappings": [TABLE], "raw": CONFIG})


def test_a_live_config_is_read_whole() -> None:
    live = live_config(a_config())
    (table,) = live.tables
    assert (live.batch_size, live.idle_timeout, live.env) == (10, 60, (("A", "1"), ("B", "2")))
    assert live.snapshot == SnapshotValues(1, 2, 3, 4)
    assert (table.source, table.destination, table.exclude) == ("public.a", "a", frozenset({"x", "y"}))
    assert (table.partition_key, table.engine, table.sharding_key) == ("p", "CH_ENGINE_MERGE_TREE", "s")
    assert (table.policy_name, table.partition_by_expr) == ("n", "e")
    assert table.columns == frozenset({Column("id", "key", "String", 1, 2, nullable=True)})


def test_a_removal_goes_back_to_the_letter_as_peerdb_reported_it() -> None:
    live = live_config(a_config())
    update = cdc_flow_config_update(ConfigUpdate(removals=live.tables), a_config(), skip_snapshot=True)
    assert update.to_json() == {"removedTables": [TABLE]}


def test_an_addition_says_what_the_spec_says() -> None:
    update = cdc_flow_config_update(ConfigUpdate(additions=(WISH,)), a_config(), skip_snapshot=True)
    column = {key: value for key, value in COLUMN.items() if key != "somethingNew"}
    assert update.to_json() == {
        "additionalTables": [
            {
                "sourceTableIdentifier": "public.b",
                "destinationTableIdentifier": "b",
                "partitionKey": "p",
                "exclude": ["y", "z"],
                "columns": [column],
                "engine": "CH_ENGINE_NULL",
                "shardingKey": "s",
                "policyName": "n",
                "partitionByExpr": "e",
            }
        ],
        "skipInitialSnapshotForTableAdditions": True,
    }


def test_an_added_column_says_only_what_the_spec_sets() -> None:
    columns = (DesiredColumn("id", ordering=1), DesiredColumn("at", destination="at"))
    update = cdc_flow_config_update(
        ConfigUpdate(additions=(DesiredTable("public.b", "b", columns=columns),)), a_config(), skip_snapshot=False
    )
    [added] = update.to_json()["additionalTables"]
    assert added["columns"] == [{"sourceName": "at", "destinationName": "at"}, {"sourceName": "id", "ordering": 1}]


def test_settings_travel_as_the_fields_that_change() -> None:
    settings = SettingsEdit(
        batch_size=5, idle_timeout=6, snapshot=DesiredSnapshot(1, 2, 3, 4), env=(("PEERDB_A", "x"), ("PEERDB_B", "y"))
    )
    update = cdc_flow_config_update(ConfigUpdate(settings=settings), a_config(), skip_snapshot=False)
    assert update.to_json() == {
        "batchSize": 5,
        "idleTimeout": 6,
        "updatedEnv": {"PEERDB_A": "x", "PEERDB_B": "y"},
        "snapshotNumRowsPerPartition": 1,
        "snapshotNumPartitionsOverride": 2,
        "snapshotMaxParallelWorkers": 3,
        "snapshotNumTablesInParallel": 4,
    }


def test_a_check_speaks_of_the_additions_alone_with_the_mirrors_peers_publication_and_env() -> None:
    edit = ConfigUpdate(additions=(DesiredTable("public.b", "b"),), settings=SettingsEdit(env=(("A", "9"),)))
    assert validation_request(edit, a_config(), "precheck_1", copy=True) == {
        "sourceName": "src",
        "destinationName": "dst",
        "publicationName": "pub",
        "flowJobName": "precheck_1",
        "tableMappings": [{"sourceTableIdentifier": "public.b", "destinationTableIdentifier": "b"}],
        "env": {"A": "9", "B": "2"},
        "doInitialSnapshot": True,
        "initialSnapshotOnly": False,
        "resync": False,
    }


def test_progress_is_what_peerdb_told() -> None:
    assert progress(None) is None
    assert progress(SnapshotProgress(2, 3, 4, 500)) == Progress(3, 500, 4)


def test_the_default_settings_are_the_default_limits() -> None:
    assert limits_of(some_settings()) == Limits()

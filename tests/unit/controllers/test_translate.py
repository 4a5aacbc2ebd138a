"""Between PeerDB's wire values and ours, both ways."""

from peerdb_operator.mirror.rules.change import ConfigUpdate, SettingsEdit
from peerdb_operator.mirror.rules.desired import DesiredColumn, DesiredSnapshot, DesiredTable
from peerdb_operator.mirror.rules.limits import Limits
from peerdb_operator.mirror.rules.observation import Progress
from peerdb_operator.mirror.translate import cdc_flow_config_update, progress, validation_request
from peerdb_operator.mirror.tuning import limits_of
from peerdb_operator.peerdb.models import MirrorConfig
from peerdb_operator.peerdb.replies import SnapshotProgress, StatusBody
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
    status = {"flowJobName": "orders", "currentFlowState": "STATUS_PAUSED", "createdAt": "now"}
    config = StatusBody.model_validate({**status, "cdcStatus": {"config": CONFIG}}).to_reply().config
    assert config is not None
    return config


def test_a_removal_goes_back_to_the_letter_as_peerdb_reported_it() -> None:
    update = cdc_flow_config_update(ConfigUpdate(removals=a_config().tables), skip_snapshot=True)
    assert update.to_json() == {"removedTables": [TABLE]}


def test_an_addition_says_what_the_spec_says() -> None:
    update = cdc_flow_config_update(ConfigUpdate(additions=(WISH,)), skip_snapshot=True)
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
        ConfigUpdate(additions=(DesiredTable("public.b", "b", columns=columns),)), skip_snapshot=False
    )
    [added] = update.to_json()["additionalTables"]
    assert added["columns"] == [{"sourceName": "at", "destinationName": "at"}, {"sourceName": "id", "ordering": 1}]


def test_settings_travel_as_the_fields_that_change() -> None:
    settings = SettingsEdit(
        batch_size=5, idle_timeout=6, snapshot=DesiredSnapshot(1, 2, 3, 4), env=(("PEERDB_A", "x"), ("PEERDB_B", "y"))
    )
    update = cdc_flow_config_update(ConfigUpdate(settings=settings), skip_snapshot=False)
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

"""Between PeerDB's wire values and the values of decisions, both ways.

Owns the mapping of fields, nothing else: what is asked is the client's, what it means is decided in ``rules``.
"""

from __future__ import annotations

from typing import Any

from peerdb_operator.mirror.rules.change import ConfigUpdate
from peerdb_operator.mirror.rules.config import Column, LiveConfig, SnapshotValues, TableMapping
from peerdb_operator.mirror.rules.desired import DesiredTable
from peerdb_operator.mirror.rules.observation import Progress
from peerdb_operator.peerdb.client import (
    CdcFlowConfigUpdate,
    MirrorConfig,
    SnapshotProgress,
    WireColumn,
    WireTableMapping,
)

DEFAULT_ENGINE = TableMapping("", "").engine
VALIDATED_KEYS = (
    "sourceName",
    "destinationName",
    "publicationName",
    "replicationSlotName",
    "cdcStagingPath",
    "snapshotStagingPath",
    "softDeleteColName",
    "syncedAtColName",
    "script",
    "system",
)


def live_config(config: MirrorConfig) -> LiveConfig:
    """The editable part of a mirror's config."""
    return LiveConfig(
        tables=tuple(_mapping(mapping) for mapping in config.table_mappings),
        batch_size=config.max_batch_size,
        idle_timeout=config.idle_timeout_seconds,
        snapshot=SnapshotValues(
            config.snapshot_num_rows_per_partition,
            config.snapshot_num_partitions_override,
            config.snapshot_max_parallel_workers,
            config.snapshot_num_tables_in_parallel,
        ),
        env=tuple(sorted(config.env.items())),
    )


def progress(snapshot: SnapshotProgress | None) -> Progress | None:
    """How far a copy has come, if PeerDB said so."""
    return (
        None if snapshot is None else Progress(snapshot.partitions_completed, snapshot.rows, snapshot.partitions_total)
    )


def cdc_flow_config_update(edit: ConfigUpdate, live: MirrorConfig, *, skip_snapshot: bool) -> CdcFlowConfigUpdate:
    """The update that carries ``edit``; removals go back as PeerDB reported them (it cleans up by what it is sent)."""
    reported = {mapping.source: mapping for mapping in live.table_mappings}
    settings, snapshot = edit.settings, edit.settings.snapshot
    return CdcFlowConfigUpdate(
        batch_size=settings.batch_size or 0,
        idle_timeout=settings.idle_timeout or 0,
        additional_tables=tuple(_addition(table) for table in edit.additions),
        removed_tables=tuple(reported[table.source] for table in edit.removals),
        updated_env=dict(settings.env),
        snapshot_num_rows_per_partition=snapshot.rows_per_partition or 0,
        snapshot_num_partitions_override=snapshot.partitions_override or 0,
        snapshot_max_parallel_workers=snapshot.max_parallel_workers or 0,
        snapshot_num_tables_in_parallel=snapshot.tables_in_parallel or 0,
        skip_initial_snapshot_for_table_additions=skip_snapshot and bool(edit.additions),
    )


def validation_request(edit: ConfigUpdate, live: MirrorConfig, name: str, *, copy: bool) -> dict[str, Any]:
    """``connectionConfigs`` that ask PeerDB about the additions alone, under a name that no mirror has."""
    return {
        **{key: live.raw[key] for key in VALIDATED_KEYS if key in live.raw},
        "flowJobName": name,
        "tableMappings": [dict(_addition(table).to_json()) for table in edit.additions],
        "env": {**live.env, **dict(edit.settings.env)},
        "doInitialSnapshot": copy,
        "initialSnapshotOnly": False,
        "resync": False,
    }


def _mapping(mapping: WireTableMapping) -> TableMapping:
    return TableMapping(
        source=mapping.source,
        destination=mapping.destination,
        exclude=frozenset(mapping.exclude),
        partition_key=mapping.partition_key,
        engine=mapping.engine or DEFAULT_ENGINE,
        sharding_key=mapping.sharding_key,
        policy_name=mapping.policy_name,
        partition_by_expr=mapping.partition_by_expr,
        columns=frozenset(_column(column) for column in mapping.columns),
    )


def _column(column: WireColumn) -> Column:
    return Column(
        column.source_name,
        column.destination_name,
        column.destination_type,
        column.ordering,
        column.partitioning,
        column.nullable_enabled,
    )


def _addition(table: DesiredTable) -> WireTableMapping:
    return WireTableMapping(
        source=table.source,
        destination=table.destination,
        exclude=tuple(sorted(table.exclude or ())),
        partition_key=table.partition_key or "",
        engine=table.engine or "",
        sharding_key=table.sharding_key or "",
        policy_name=table.policy_name or "",
        partition_by_expr=table.partition_by_expr or "",
        columns=tuple(
            WireColumn(
                source_name=column.source,
                destination_name=column.destination,
                destination_type=column.destination_type,
                ordering=column.ordering,
                partitioning=column.partitioning,
                nullable_enabled=column.nullable,
            )
            for column in sorted(table.as_mapping().columns, key=Column.key)
        ),
    )

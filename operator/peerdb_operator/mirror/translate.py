"""Between PeerDB's wire values and the values of decisions, both ways.

Owns the mapping of fields, nothing else: what is asked is the client's, what it means is decided in ``rules``.
"""

from __future__ import annotations

from typing import Any

from peerdb_operator.mirror.rules.change import ConfigUpdate
from peerdb_operator.mirror.rules.observation import Progress
from peerdb_operator.peerdb.client import (
    CdcFlowConfigUpdate,
    MirrorConfig,
    SnapshotProgress,
)

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


def progress(snapshot: SnapshotProgress | None) -> Progress | None:
    """How far a copy has come, if PeerDB said so."""
    return (
        None if snapshot is None else Progress(snapshot.partitions_completed, snapshot.rows, snapshot.partitions_total)
    )


def cdc_flow_config_update(edit: ConfigUpdate, *, skip_snapshot: bool) -> CdcFlowConfigUpdate:
    """The update that carries ``edit``; removals go back as PeerDB reported them (it cleans up by what it is sent)."""
    settings, snapshot = edit.settings, edit.settings.snapshot
    return CdcFlowConfigUpdate(
        batch_size=settings.batch_size or 0,
        idle_timeout=settings.idle_timeout or 0,
        additional_tables=tuple(table.as_mapping() for table in edit.additions),
        removed_tables=edit.removals,
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
        "tableMappings": [dict(table.as_mapping().to_json()) for table in edit.additions],
        "env": {**live.env, **dict(edit.settings.env)},
        "doInitialSnapshot": copy,
        "initialSnapshotOnly": False,
        "resync": False,
    }

"""Notes of a recording: a look at a mirror's state, mappings, settings and newest log lines, compared with the truth.

What a note says about databases (slots, publications, row counts) is not the simulator's affair.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.harness.peerdb.config import PINNED_ENV, SNAPSHOT_FIELDS
from tests.harness.peerdb.values import Reply, Request
from tests.harness.replay.stage import Stage
from tests.harness.replay.wording import lines_difference

Json = Mapping[str, Any]


def note_difference(stage: Stage, mirror: str, data: Json) -> str | None:
    """Where a note and the simulator disagree, or None."""
    if "logs" in data:
        lines = stage.world.journal.lines
        ours = [line.message for line in reversed(lines) if mirror in line.flow]
        return lines_difference([str(line[1]) for line in data["logs"]], ours)
    if "maps" not in data or data["maps"] is None:
        return None
    trouble = _settings_difference(stage, mirror, data)
    while trouble is not None and stage.fire_unseen(mirror):
        trouble = _settings_difference(stage, mirror, data)
    return trouble


def _settings_difference(stage: Stage, mirror: str, data: Json) -> str | None:
    body = json.dumps({"flowJobName": mirror, "includeFlowInfo": True, "excludeBatches": True}).encode()
    answer = stage.engine.handle(Request("POST", "/v1/mirrors/status", body))
    if not isinstance(answer, Reply) or answer.status != 200:
        return f"{data.get('state')} recorded, no info simulated"
    config = json.loads(answer.body)["cdcStatus"]["config"]
    ours = {
        "maps": [_mapping(table) for table in config["tableMappings"]],
        "batch": config["maxBatchSize"],
        "idle": config["idleTimeoutSeconds"],
        "resync": config["resync"],
        "dis": config["doInitialSnapshot"],
        "snap": [config[name] for name in SNAPSHOT_FIELDS],
        "env": {key: value for key, value in config["env"].items() if key not in PINNED_ENV},
    }
    for name, value in ours.items():
        if name not in data:
            continue
        told = data[name]
        if name == "env":
            told = {key: one for key, one in (told or {}).items() if key not in PINNED_ENV}
        if told != value:
            return f"{name} is {told} recorded, {value} simulated"
    return None


def _mapping(table: Json) -> str:
    source = str(table["sourceTableIdentifier"]).removeprefix("public.")
    return f"{source}>{table['destinationTableIdentifier']}"

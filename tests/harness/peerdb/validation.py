"""``POST mirrors/cdc/validate`` and the pre-check of a resync.

Order and texts follow PeerDB v0.37 flow/cmd/validate_mirror.go and flow/connectors/postgres/validate.go. What it does
not look at (the mirror's name, a custom slot, doubled tables) it does not look at here either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

from tests.harness.peerdb.catalog import well_formed
from tests.harness.peerdb.config import ALLOW_NON_EMPTY, Config, config_from
from tests.harness.peerdb.mirror import Row
from tests.harness.peerdb.spans import Span
from tests.harness.peerdb.values import EMPTY, UNDER_MAINTENANCE, Answer, Deferred, Reply, Status, error, json_reply
from tests.harness.peerdb.world import World

COLUMN_TYPE = re.compile(r"[a-zA-Z0-9(),\s_]*")
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
PRECONDITION = "type.googleapis.com/google.rpc.PreconditionFailure"
UNREACHABLE = "failed to connect: dial error: connect: connection refused"


class Validator:
    """Judges a mirror's configuration against the simulated databases."""

    def __init__(self, world: World) -> None:
        self.world = world

    def handle(self, message: Mapping[str, object]) -> Answer:
        """Answer one ``mirrors/cdc/validate``."""
        raw = message.get("connectionConfigs")
        if raw is None:
            return error(13, "internal server error")
        if self.world.under_maintenance:
            return error(14, UNDER_MAINTENANCE)
        name = str(cast("Mapping[str, object]", raw).get("flowJobName", ""))
        config = config_from(cast("Mapping[str, object]", raw))
        deferred = Deferred()

        def finish() -> None:
            deferred.resolve(self._refusal(name, config) or self._success())

        deferred.due = self.world.after(Span.VALIDATE, finish, work=False).due
        return deferred

    def _success(self) -> Reply:
        return EMPTY if self.world.knobs.reply_shape == "empty" else json_reply({"ok": True})

    def _refusal(self, name: str, config: Config) -> Reply | None:
        if not config.resync and self.world.row(name) is not None:
            info = error_info("MIRROR", {"offendingField": "flow_job_name"})
            return error(6, f"mirror with name {name} already exists", (info,))
        return self._shape(config) or self._source(config) or self._destination(config)

    def refusal_of_resync(self, row: Row) -> Reply | None:
        """Why a resync of this mirror is refused, or None. Destination contents are not looked at."""
        if row.status is Status.UNKNOWN and not row.config.tables:
            return None
        config = row.config.copy()
        config.resync = True
        return self._source(config) or self._destination(config)

    def _shape(self, config: Config) -> Reply | None:
        if config.initial_snapshot_only and not config.do_initial_snapshot:
            return error(3, "invalid config: initial_snapshot_only is true but do_initial_snapshot is false")
        for table in config.tables:
            for column in table.columns:
                kind = str(dict(column)["destinationType"])
                if COLUMN_TYPE.fullmatch(kind) is None:
                    return error(3, f"invalid custom column type {kind}")
        return None

    # -- source --------------------------------------------------------------------------------------------------

    def _source(self, config: Config) -> Reply | None:
        peer, world = config.source_name, self.world
        if peer not in world.peers:
            text = f"NotFoundError: peers not found: [{peer}]"
            return error(13, f"failed to load source peer {peer}: {text}")
        if world.knobs.peers_unreachable == "source":
            return error(9, f"failed to create source connector: {UNREACHABLE}")
        prefix = f"failed to validate source connector {peer}"
        bad = next((table.source for table in config.tables if not well_formed(table.source)), None)
        if bad is not None:
            return error(9, f"{prefix}: invalid source table identifier: invalid table name: {bad}")
        missing = [table.source for table in config.tables if not world.databases.has_source(table.source)]
        if missing:
            return missing_tables("SOURCE_TABLE_MISSING", "source tables do not exist", missing, {})
        return self._publication(config, prefix)

    def _publication(self, config: Config, prefix: str) -> Reply | None:
        publication, databases = config.publication, self.world.databases
        if publication:
            if not databases.has_publication(publication):
                return error(9, f"{prefix}: publication does not exist: {publication}")
            outside = [table.source for table in config.tables if not databases.published(publication, table.source)]
            if outside:
                head = f'tables not in publication "{publication}"'
                return missing_tables("TABLES_NOT_IN_PUBLICATION", head, outside, {"publication": publication})
        elif not config.tables and self.world.peers[config.source_name] == "POSTGRES":
            text = 'error creating publication: ERROR: syntax error at or near "WITH" (SQLSTATE 42601)'
            return error(9, f"{prefix}: {text}")
        return None

    # -- destination ---------------------------------------------------------------------------------------------

    def _destination(self, config: Config) -> Reply | None:
        peer, world = config.destination_name, self.world
        if peer not in world.peers:
            text = f"NotFoundError: peers not found: [{peer}]"
            return error(9, f"failed to create destination connector: {text}")
        if world.knobs.peers_unreachable == "destination":
            return error(9, f"failed to create destination connector: {UNREACHABLE}")
        prefix = f"failed to validate destination connector {peer}"
        trouble = self._destination_trouble(config, world.peers[peer])
        return None if trouble is None else error(9, f"{prefix}: {trouble}")

    def _destination_trouble(self, config: Config, kind: str) -> str | None:
        for table in config.tables:
            if not table.destination:
                return "destination table identifier is empty"
            if kind == "POSTGRES" and not well_formed(table.destination):
                return f"invalid table identifier: {table.destination}"
            column = self.world.databases.missing_columns.get(table.destination)
            if column is not None:
                return f"source column {column} (as {column}) not found in destination table {table.destination}"
        allowed = config.env.get(ALLOW_NON_EMPTY, self.world.settings.get(ALLOW_NON_EMPTY, "")) == "true"
        if config.resync or not config.do_initial_snapshot or (kind == "CLICKHOUSE" and allowed):
            return None
        filled = self.world.databases.filled
        full = next((table.destination for table in config.tables if table.destination in filled), None)
        if full is None:
            return None
        if kind == "POSTGRES":
            return f"destination table {full} already has existing rows"
        return f"table {full} exists and is not empty"


def error_info(reason: str, metadata: Mapping[str, str]) -> Mapping[str, object]:
    """A google.rpc.ErrorInfo in PeerDB's domain."""
    return {"@type": ERROR_INFO, "reason": reason, "domain": "peerdb.io", "metadata": dict(metadata)}


def missing_tables(reason: str, head: str, tables: list[str], metadata: Mapping[str, str]) -> Reply:
    """400/9 that names every table, with one violation each."""
    violations = [{"type": reason, "subject": table, "description": f"{head}: {table}"} for table in tables]
    details = (error_info(reason, metadata), {"@type": PRECONDITION, "violations": violations})
    return error(9, f"{head}: {', '.join(tables)}", details)

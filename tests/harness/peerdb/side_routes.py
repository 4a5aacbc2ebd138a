"""The small endpoints: tags, logs, version, instance info, dynamic settings.

PeerDB v0.37 flow/cmd/tags_handler.go, flow/cmd/mirror_status.go ListMirrorLogs, flow/cmd/settings.go,
flow/cmd/instance_info_handler.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from tests.harness.peerdb.catalog import Line
from tests.harness.peerdb.dynamic_settings import DEFAULTS
from tests.harness.peerdb.values import EMPTY, Reply, error, json_reply
from tests.harness.peerdb.world import World

MAINTENANCE_SETTING = "PEERDB_MAINTENANCE_MODE_ENABLED"

Message = Mapping[str, object]


class SideRoutes:
    """Handlers that touch no workflow."""

    def __init__(self, world: World) -> None:
        self.world = world

    def version(self, _message: Message) -> Reply:
        """``GET version``: no database is asked."""
        return json_reply({"version": self.world.knobs.version})

    def instance_info(self, _message: Message) -> Reply:
        """``GET instance/info``."""
        word = "MAINTENANCE" if self.world.under_maintenance else "READY"
        return json_reply({"status": f"INSTANCE_STATUS_{word}"})

    # -- tags ----------------------------------------------------------------------------------------------------

    def get_tags(self, message: Message) -> Reply:
        """``GET flows/tags/{flow_name}``; the order is random."""
        name = str(message.get("flowName", ""))
        row = self.world.row(name)
        if row is None:
            return error(5, f"flow {name} does not exist")
        pairs = [{"key": key, "value": value} for key, value in row.tags.items()]
        self.world.rng.shuffle(pairs)
        return json_reply({"flowName": name, "tags": pairs})

    def set_tags(self, message: Message) -> Reply:
        """``POST flows/tags``: replaces all tags; an empty list changes nothing."""
        name = str(message.get("flowName", ""))
        row = self.world.row(name)
        if row is None:
            return error(5, f"flow {name} does not exist")
        pairs = cast("Sequence[Mapping[str, str]]", message.get("tags", ()))
        if pairs:
            row.tags = {pair.get("key", ""): pair.get("value", "") for pair in pairs}
            self.world.touch(row)
        return json_reply({"flowName": name})

    # -- logs ----------------------------------------------------------------------------------------------------

    def logs(self, message: Message) -> Reply:
        """``POST mirrors/logs``: substring of the name, newest first; a page size of 0 returns nothing."""
        size = cast("int", message.get("numPerPage", 0))
        if size < 0:
            text = "ERROR: LIMIT must not be negative (SQLSTATE 2201W)"
            return error(13, f"failed to collect mirror logs: {text}")
        matching = self._matching(str(message.get("flowJobName", "")), str(message.get("level", "")))
        page = cast("int", message.get("page", 0))
        shown = _page(matching, size, page, cast("int", message.get("beforeId", 0)),
                      cast("int", message.get("afterId", 0)))  # fmt: skip
        return json_reply(
            {
                "errors": [_line(line) for line in shown],
                "total": len(matching),
                "page": 1 if size else 0,
            }
        )

    def _matching(self, name: str, level: str) -> list[Line]:
        lines = self.world.journal.lines
        if name:
            lines = [line for line in lines if name in line.flow]
        if level not in {"", "all"}:
            lines = [line for line in lines if line.level == level]
        return lines

    # -- settings ------------------------------------------------------------------------------------------------

    def get_settings(self, _message: Message) -> Reply:
        """``GET dynamic_settings``: all that there are, with a value where one was set; descriptions are left out."""
        return json_reply({"settings": [self._setting(name, default) for name, default in DEFAULTS.items()]})

    def _setting(self, name: str, default: str) -> Mapping[str, object]:
        value = self.world.settings.get(name)
        return {"name": name, **({} if value is None else {"value": value}), "defaultValue": default}

    def set_setting(self, message: Message) -> Reply:
        """``POST dynamic_settings``; the maintenance flag takes effect at once."""
        name, value = str(message.get("name", "")), message.get("value")
        if value is None:
            self.world.settings.pop(name, None)
        else:
            self.world.settings[name] = str(value)
        if name == MAINTENANCE_SETTING:
            self.world.set_knobs(self.world.knobs.patched({"maintenance": value == "true"}))
        return EMPTY


def _page(lines: list[Line], size: int, page: int, before: int, after: int) -> list[Line]:
    if before == -1 and after not in {0, -1}:
        newer = [line for line in lines if line.id > after][:size]
        return newer[::-1]
    if before not in {0, -1}:
        lines = [line for line in lines if line.id < before]
    newest = lines[::-1]
    skip = (page - 1) * size if page > 1 else 0
    return newest[skip : skip + size]


def _line(line: Line) -> Mapping[str, object]:
    return {
        "flowName": line.flow,
        "errorMessage": line.message,
        "errorType": line.level,
        "errorTimestamp": int(line.at * 1000),
        "id": line.id,
    }

"""Mirrors that a recording takes for granted, and the effects of calls to endpoints that the simulator does not have.

A create seeds the mirror, a cancelled table addition leaves it RUNNING with the tables that it names, peers come and
go, PeerDB's own maintenance begins and ends. Such calls are never compared; the player counts and names them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from tests.harness.peerdb import schema
from tests.harness.peerdb.config import PINNED_ENV, Config, Table, compact, config_from, tables_from
from tests.harness.peerdb.protojson import decode
from tests.harness.peerdb.values import parse_status
from tests.harness.replay.recording import ABSENT, DELETED, Call, Note, Scenario, Step, Watch
from tests.harness.replay.stage import Stage

MAINTENANCE_WORDS: Mapping[object, bool] = {"MAINTENANCE_STATUS_START": True, "MAINTENANCE_STATUS_END": False,
                                            1: True, 2: False}  # fmt: skip

Json = Mapping[str, Any]


def known_before(scenario: Scenario) -> Iterator[tuple[str, str, Config, Mapping[str, Any]]]:
    """Mirrors that were there before the recording began: name, state, configuration, list entry if there is one."""
    made: set[str] = set()
    for index, call in enumerate(scenario.calls()):
        if call.path == "flows/cdc/create":
            made.add(_config_of(call).get("flowJobName", ""))
        for name, state, entry in _mentions(call):
            if name in made:
                continue
            made.add(name)
            if state != ABSENT:
                yield name, state, _first_config(scenario, name, index), entry


def _mentions(call: Call) -> Iterator[tuple[str, str, Json]]:
    recorded = call.response.get("json")
    for name, state in call.before.items():
        yield name, ABSENT if state == "HTTP404" else state, {}
    if not isinstance(recorded, dict) or not call.ok:
        return
    if call.path == "mirrors/list":
        for entry in recorded.get("mirrors", []):
            yield entry["name"], entry["status"], entry
    elif call.path == "mirrors/status" and "currentFlowState" in recorded:
        yield recorded["flowJobName"], recorded["currentFlowState"], {}


def touched(scenario: Scenario) -> set[str]:
    """The mirrors that a recording does more with than list them."""
    names: set[str] = set()
    for step in scenario.steps:
        if isinstance(step, Watch):
            names.add(step.mirror)
        elif isinstance(step, Call):
            names.update(step.before)
            config = _config_of(step)
            names.update({str(step.body.get("flowJobName", "")), str(step.body.get("flowName", ""))})
            if step.path == "flows/cdc/create":
                names.add(str(config.get("flowJobName", "")))
            if step.path.startswith("flows/tags/"):
                names.add(step.path.removeprefix("flows/tags/"))
    return names


def _first_config(scenario: Scenario, name: str, since: int) -> Config:
    """The first configuration that an answer shows for a mirror, unless an update came in between."""
    for call in scenario.calls()[since:]:
        if call.body.get("flowJobName") != name:
            continue
        recorded = call.response.get("json")
        if isinstance(recorded, dict) and "cdcStatus" in recorded:
            return _decoded(recorded["cdcStatus"]["config"])
        if "flowConfigUpdate" in call.body:
            break
    return Config()


def _first_batch(scenario: Scenario, name: str, since: int) -> int | None:
    """The batch size that is seen first after a step."""
    for step in scenario.steps[since:]:
        if isinstance(step, Note) and step.mirror == name and "batch" in step.data:
            return cast("int", step.data["batch"])
        if isinstance(step, Call) and step.body.get("flowJobName") == name:
            recorded = step.response.get("json")
            if isinstance(recorded, dict) and "cdcStatus" in recorded:
                return cast("int", recorded["cdcStatus"]["config"]["maxBatchSize"])
            if "flowConfigUpdate" in step.body:
                return None
    return None


def _config_of(call: Call) -> Json:
    found = call.body.get("connectionConfigs")
    return found if isinstance(found, dict) else {}


def _decoded(raw: Json) -> Config:
    message = decode(compact(raw).encode(), schema.CONFIG)
    return config_from(message)


class Seeder:
    """Gives calls to endpoints that the simulator lacks the effect that they had."""

    def __init__(self, stage: Stage, scenario: Scenario) -> None:
        self.stage = stage
        self.scenario = scenario

    def before_the_first_call(self, own: set[str]) -> None:
        """Put the mirrors there that nobody creates."""
        for name, state, config, entry in known_before(self.scenario):
            if name not in own:
                continue
            if entry:
                config.source_name, config.destination_name = entry["sourceName"], entry["destinationName"]
                self.stage.world.peers[entry["sourceName"]] = entry["sourceType"]
                self.stage.world.peers[entry["destinationName"]] = entry["destinationType"]
            self.stage.engine.put_mirror(name, state=parse_status(state), config=config)
            self.stage.settle()

    def apply(self, call: Call, index: int) -> None:
        """The effect of one call, if it had any."""
        if call.path == "flows/cdc/create":
            if call.ok or (call.gave_up and self._appears(call, index)):
                self._create(call, index)
        elif not call.ok:
            return
        elif call.path == "flows/cdc/cancel_table_addition":
            self._cancel_addition(call)
        elif call.path == "peers/create":
            peer = cast("Json", call.body.get("peer") or {})
            if cast("Json", call.response.get("json") or {}).get("status") != "FAILED":
                self.stage.world.peers.setdefault(str(peer.get("name")), str(peer.get("type", "POSTGRES")))
        elif call.path == "peers/drop":
            self.stage.world.peers.pop(str(call.body.get("peerName")), None)
        elif call.path == "instance/maintenance":
            on = MAINTENANCE_WORDS.get(call.body.get("status"))
            if on is not None:
                self.stage.maintain(on=on)

    def _create(self, call: Call, index: int) -> None:
        raw = _config_of(call)
        name = str(raw.get("flowJobName", ""))
        mirror = self.stage.engine.mirror(name)
        workflow = None if mirror is None else mirror.workflow
        if workflow is not None and not workflow.closed and (mirror is None or mirror.row is not None):
            return
        if workflow is not None and not workflow.closed and not self._appears(call, index):
            return
        config = _decoded(self._winner(raw, call, index))
        if config.env:
            config.env = {**PINNED_ENV, **config.env}
        self.stage.create(name, config)

    def _winner(self, raw: Json, call: Call, index: int) -> Json:
        """Of creates that race for one name all get 200 and one configuration wins: the one that is seen later."""
        name = raw.get("flowJobName")
        rivals = [
            _config_of(other)
            for other in self.scenario.steps[index:]
            if isinstance(other, Call) and other.path == call.path and other.ok and other.at <= call.end
            and _config_of(other).get("flowJobName") == name
        ]  # fmt: skip
        seen = _first_batch(self.scenario, str(name), index)
        return next((rival for rival in rivals if rival.get("maxBatchSize", 0) == seen), raw)

    def _appears(self, call: Call, index: int) -> bool:
        """Whether the mirror is seen at all before anybody creates it again."""
        name = _config_of(call).get("flowJobName", "")
        for step in self.scenario.steps[index + 1 :]:
            if (
                isinstance(step, Call)
                and step.path == "flows/cdc/create"
                and _config_of(step).get("flowJobName") == name
            ):
                return step.before.get(name, ABSENT) != ABSENT or step.response.get("status") == 409
            state = _state_in(step, str(name))
            if state is not None:
                return state not in {ABSENT, DELETED}
        return False

    def _cancel_addition(self, call: Call) -> None:
        name = str(call.body.get("flowJobName", ""))
        mirror = self.stage.engine.mirror(name)
        recorded = call.response.get("json")
        if mirror is None or mirror.row is None or not isinstance(recorded, dict):
            return
        tables = _tables(recorded.get("tablesAfterCancellation", []))
        config = mirror.row.config.copy()
        config.tables = tables
        self.stage.engine.replace_workflow(name, config)


def _tables(raw: Sequence[Json]) -> tuple[Table, ...]:
    message = decode(compact({"additionalTables": raw}).encode(), schema.CDC_UPDATE)
    return tables_from(message.get("additionalTables"))


def _state_in(step: Step, name: str) -> str | None:
    match step:
        case Call(before=before) if name in before:
            return ABSENT if before[name] == "HTTP404" else before[name]
        case Watch(mirror=mirror, rows=rows) if mirror == name and rows:
            return rows[0].state
        case Note(mirror=mirror, data=data) if mirror == name and "state" in data:
            return str(data["state"]).removeprefix("STATUS_")
        case _:
            return None

"""Whether an answer of the simulator is the one that was recorded.

Status, gRPC code and message count exactly; times, ids and versions are masked, and so are the values that the
simulator does not model (row counts, batches). Free text of databases is compared by its stem.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.harness.peerdb.config import PINNED_ENV
from tests.harness.peerdb.values import Reply
from tests.harness.replay.wording import lines_difference, text

Json = Mapping[str, Any]

UNSTABLE_CONFIG = frozenset({"version", "flags"})


@dataclass(slots=True)
class Identity:
    """Ids and creation times differ from run to run; that two are the same one must not."""

    pairs: dict[str, dict[str, str]] = field(default_factory=dict)

    def same(self, kind: str, recorded: object, simulated: object) -> bool:
        """Whether these two were always each other's counterpart."""
        forth = self.pairs.setdefault(kind, {})
        back = self.pairs.setdefault(f"{kind} back", {})
        left, right = str(recorded), str(simulated)
        return forth.setdefault(left, right) == right and back.setdefault(right, left) == left


class Comparer:
    """Compares answers; remembers identities over a scenario."""

    def __init__(self, own: Callable[[str], bool]) -> None:
        self.own = own
        self.identity = Identity()
        self.by_cursor = False
        """Whether the request under comparison pages by log ids, which mean other lines here than there."""

    def difference(self, path: str, recorded: Json, reply: Reply, *, cut_list: bool = False) -> str | None:
        """What differs, in words, or None."""
        if int(recorded["status"]) != reply.status:
            return f"status {recorded['status']} recorded, {reply.status} simulated ({_short(reply)})"
        trouble = self._headers(recorded, reply)
        if trouble is not None:
            return trouble
        if "json" not in recorded:
            return _text_difference(str(recorded.get("text", "")), reply)
        try:
            simulated = json.loads(reply.body)
        except ValueError:
            return f"JSON recorded, {reply.body[:80]!r} simulated"
        try:
            return self._json(path, recorded["json"], simulated, cut_list=cut_list)
        except (KeyError, TypeError, AttributeError) as odd:
            return f"{_brief(recorded['json'])} recorded, which is no such answer ({odd!r})"

    def _headers(self, recorded: Json, reply: Reply) -> str | None:
        headers = dict(reply.headers)
        if "content_type" in recorded and recorded["content_type"] != reply.content_type:
            return f"content type {recorded['content_type']!r} recorded, {reply.content_type!r} simulated"
        for name in ("location", "allow"):
            if name in recorded and recorded[name] != headers.get(name):
                return f"{name} {recorded[name]!r} recorded, {headers.get(name)!r} simulated"
        return None

    def _json(self, path: str, recorded: Any, simulated: Any, *, cut_list: bool) -> str | None:  # noqa: ANN401  # JSON
        if isinstance(recorded, dict) and "code" in recorded:
            return _error_difference(recorded, simulated)
        if path == "mirrors/list":
            return self._list(recorded, simulated, cut_list=cut_list)
        if path == "mirrors/status":
            return self._status(recorded, simulated)
        if path == "mirrors/logs":
            return self._logs(recorded, simulated)
        if path.startswith("flows/tags") and "tags" in recorded:
            sort = {"flowName": recorded["flowName"], "tags": _sorted(recorded["tags"])}
            return _equal(sort, {**simulated, "tags": _sorted(simulated.get("tags", []))}, "tags")
        if path.startswith("mirrors/cdc/batches") and recorded.get("cdcBatches"):
            return shape_difference({**recorded, "cdcBatches": []}, {**simulated, "cdcBatches": []}, "batches")
        if path == "version":
            return shape_difference(recorded, simulated, "version")
        if path == "dynamic_settings" and "settings" in recorded:
            return None
        return _equal(recorded, simulated, "answer")

    # -- list ----------------------------------------------------------------------------------------------------

    def _list(self, recorded: Json, simulated: Json, *, cut_list: bool) -> str | None:
        theirs = {row["name"]: row for row in recorded["mirrors"]}
        ours = {row["name"]: row for row in simulated["mirrors"]}
        for name, row in theirs.items():
            if not self.own(name):
                continue
            if name not in ours:
                return f"list: {name} recorded, not simulated"
            masked = {"id": "", "createdAt": 0}
            trouble = _equal({**row, **masked}, {**ours[name], **masked}, f"list entry of {name}")
            if trouble is not None:
                return trouble
            if shape_difference(row, ours[name], "") or not self.identity.same("id", row["id"], ours[name]["id"]):
                return f"list: id of {name} is {row['id']} recorded, {ours[name]['id']} simulated"
        surplus = {name for name in ours if self.own(name)} - set(theirs)
        return f"list: {', '.join(sorted(surplus))} simulated, not recorded" if surplus and not cut_list else None

    # -- logs ----------------------------------------------------------------------------------------------------

    def _logs(self, recorded: Json, simulated: Json) -> str | None:
        trouble = shape_difference({**recorded, "errors": []}, {**simulated, "errors": []}, "logs")
        if trouble is not None:
            return trouble
        if recorded["page"] != simulated["page"]:
            return f"logs: page {recorded['page']} recorded, {simulated['page']} simulated"
        if self.by_cursor:
            return None
        theirs = [line["errorMessage"] for line in recorded["errors"] if self.own(line["flowName"])]
        return lines_difference(theirs, [line["errorMessage"] for line in simulated["errors"]])

    # -- status --------------------------------------------------------------------------------------------------

    def _status(self, recorded: Json, simulated: Json) -> str | None:
        if set(recorded) != set(simulated):
            return f"status: fields {sorted(recorded)} recorded, {sorted(simulated)} simulated"
        for name in ("flowJobName", "currentFlowState"):
            if recorded[name] != simulated[name]:
                return f"status: {name} {recorded[name]} recorded, {simulated[name]} simulated"
        if not self.identity.same("createdAt", recorded["createdAt"], simulated["createdAt"]):
            return "status: createdAt changed on one side only"
        if "cdcStatus" in recorded:
            return self._info(recorded["cdcStatus"], simulated["cdcStatus"], recorded["currentFlowState"])
        return None

    def _info(self, recorded: Json, simulated: Json, state: str) -> str | None:
        trouble = shape_difference(
            {key: value for key, value in recorded.items() if key not in {"config", "cdcBatches", "snapshotStatus"}},
            {key: value for key, value in simulated.items() if key not in {"config", "cdcBatches", "snapshotStatus"}},
            "cdcStatus",
        )
        trouble = trouble or config_difference(recorded["config"], simulated["config"])
        for name in ("sourceType", "destinationType"):
            trouble = trouble or _equal(recorded[name], simulated[name], name)
        return trouble or _clones_difference(recorded["snapshotStatus"], simulated["snapshotStatus"], state)


def config_difference(recorded: Json, simulated: Json) -> str | None:
    """Where two configs differ; the values of settings that PeerDB pins by itself are masked."""
    if set(recorded) != set(simulated):
        return f"config: fields {sorted(set(recorded) ^ set(simulated))} on one side only"
    for name, value in recorded.items():
        other = simulated[name]
        if name == "env":
            value, other = ({k: v for k, v in env.items() if k not in PINNED_ENV} for env in (value, other))  # noqa: PLW2901  # masked
            if set(recorded[name]) != set(simulated[name]):
                return f"config: env keys {sorted(recorded[name])} recorded, {sorted(simulated[name])} simulated"
        if name not in UNSTABLE_CONFIG and value != other:
            return f"config: {name} is {_brief(value)} recorded, {_brief(other)} simulated"
    return None


def _clones_difference(recorded: Json | None, simulated: Json | None, state: str) -> str | None:
    if recorded is None or simulated is None:
        return None if recorded is simulated else "snapshotStatus is null on one side only"
    ours = simulated["clones"]
    for clone in recorded["clones"]:
        trouble = shape_difference(clone, ours[0], "clone") if ours else "no copies simulated"
        if trouble is not None:
            return trouble
    if state not in {"STATUS_RUNNING", "STATUS_PAUSED", "STATUS_COMPLETED"}:
        return None
    names = [{(one["tableName"], one["sourceTable"], one["mirrorName"]) for one in side}
             for side in (recorded["clones"], ours)]  # fmt: skip
    return None if names[0] == names[1] else f"copies of {sorted(names[0])} recorded, {sorted(names[1])} simulated"


def _error_difference(recorded: Json, simulated: Json) -> str | None:
    if not isinstance(simulated, dict) or recorded["code"] != simulated.get("code"):
        return f"code {recorded['code']} recorded, {simulated} simulated"
    if text(recorded["message"]) != text(simulated["message"]):
        return f"message {recorded['message']!r} recorded, {simulated['message']!r} simulated"
    if simulated["details"] or not recorded["details"]:
        return _equal(_details(recorded["details"]), _details(simulated["details"]), "details")
    return None


def _details(details: Sequence[Json]) -> list[Json]:
    """Error details with the wording of violations taken out."""
    bare = []
    for detail in details:
        violations = [{**one, "description": ""} for one in detail.get("violations", [])]
        bare.append({**detail, "violations": violations} if violations else detail)
    return bare


def _text_difference(recorded: str, reply: Reply) -> str | None:
    simulated = reply.body.decode("utf-8", "replace")
    if recorded.startswith(("<!DOCTYPE html", "<html")):
        return None if simulated.startswith(recorded[:9]) else f"HTML recorded, {simulated[:80]!r} simulated"
    return None if recorded == simulated else f"text {recorded[:80]!r} recorded, {simulated[:80]!r} simulated"


def shape_difference(recorded: Any, simulated: Any, where: str) -> str | None:  # noqa: ANN401  # any JSON
    """Where two JSON values differ in fields or types."""
    if type(recorded) is not type(simulated):
        return f"{where}: {_brief(recorded)} recorded, {_brief(simulated)} simulated"
    if isinstance(recorded, dict):
        if set(recorded) != set(simulated):
            return f"{where}: fields {sorted(set(recorded) ^ set(simulated))} on one side only"
        found = (shape_difference(value, simulated[name], f"{where}.{name}") for name, value in recorded.items())
        return next((trouble for trouble in found if trouble), None)
    return None


def _equal(recorded: object, simulated: object, where: str) -> str | None:
    return None if recorded == simulated else f"{where}: {_brief(recorded)} recorded, {_brief(simulated)} simulated"


def _sorted(tags: Sequence[Json]) -> list[tuple[str, str]]:
    return sorted(Counter((tag["key"], tag["value"]) for tag in tags).elements())


def _brief(value: object) -> str:
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) < 300 else f"{shown[:300]}..."


def _short(reply: Reply) -> str:
    return reply.body[:200].decode("utf-8", "replace")

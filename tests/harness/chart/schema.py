"""``values.schema.json``: its shape is written by hand, its descriptions, ``settings`` and alerts are filled in here.

So each sentence about a value stands in one place, the comment in ``values.yaml``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tests.harness.chart.operator_settings import properties
from tests.harness.chart.values import Path, Value, dotted

OF_A_PARENT: Final[Mapping[str, Mapping[str, str]]] = {
    "global": {"description": "What a parent chart tells all its parts; nothing here reads it.", "type": "object"},
    "enabled": {"description": "By which a parent chart leaves this one out.", "type": "boolean"},
}
"""What Helm hands to a chart that is part of another one. No values of ours: they have no default."""


class UnknownValue(Exception):  # noqa: N818 - it reads as a statement about the value it names
    """``values.yaml`` and ``values.schema.json`` do not know the same values."""


def with_descriptions(schema: str, values: Sequence[Value], alerts: Iterable[str]) -> str:
    """The schema with every description, every setting and every alert's name renewed. Raises UnknownValue."""
    content: dict[str, Any] = json.loads(schema)
    content["properties"] = {key: node for key, node in content["properties"].items() if key not in OF_A_PARENT}
    content["properties"]["settings"]["properties"] = properties()
    if "prometheusRule" in content["properties"]:
        names = node_at(content, ("prometheusRule", "disabledAlerts"))
        names["items"] = {"type": "string", "enum": sorted(set(alerts))}
    for value in values:
        node = node_at(content, value.path)
        node.pop("description", None)
        rest = dict(node)
        node.clear()
        node.update({"description": value.text}, **rest)
    _require_no_more(content, {value.path for value in values})
    content["properties"] |= OF_A_PARENT
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def node_at(schema: dict[str, Any], path: Path) -> dict[str, Any]:
    """The part of the schema for one value. Raises UnknownValue."""
    node = schema
    for key in path:
        if key not in node.get("properties", {}):
            raise UnknownValue(f"{dotted(path)} is in values.yaml and not in values.schema.json")
        node = node["properties"][key]
    return node


def _require_no_more(node: dict[str, Any], known: set[Path], path: Path = ()) -> None:
    for key, inner in node.get("properties", {}).items():
        if (*path, key) not in known:
            raise UnknownValue(f"{dotted((*path, key))} is in values.schema.json and not in values.yaml")
        _require_no_more(inner, known, (*path, key))

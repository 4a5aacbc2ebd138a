"""Writes the JSON Schema for editors: ``python -m tests.harness.docs.schema > docs/schema/mirror_v1alpha1.json``.

Owns what an editor needs beyond the CRD's schema: fields that do not exist are refused, ``apiVersion`` and ``kind`` are
fixed. What only an API server understands is left out: rules in CEL, how lists are merged, defaults it fills in.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from peerdb_operator.api.constants import API_VERSION, KIND
from peerdb_operator.api.kinds import Mirror
from peerdb_operator.api.schema import NULLABLE
from tests.harness.crdgen import root_schema

Schema = dict[str, Any]

DIALECT = "http://json-schema.org/draft-07/schema#"
"""The newest one that all editors' YAML servers know."""
NAMES = {"name": {"type": "string"}, "namespace": {"type": "string"}}


def editors_schema() -> Schema:
    """The schema of a Mirror in a file."""
    schema = _closed(root_schema(Mirror))
    properties = {
        **schema["properties"],
        "apiVersion": {**schema["properties"]["apiVersion"], "const": API_VERSION},
        "kind": {**schema["properties"]["kind"], "const": KIND},
        "metadata": {"type": "object", "required": ["name"], "properties": NAMES},
    }
    required = ["apiVersion", "kind", "metadata", "spec"]
    return {"$schema": DIALECT, "title": KIND, **schema, "properties": properties, "required": required}


def render() -> str:
    """The whole file."""
    return json.dumps(editors_schema(), indent=1, ensure_ascii=False) + "\n"


def _closed(schema: Mapping[str, Any]) -> Schema:
    """The schema without what Kubernetes adds, every object with properties closed."""
    kept = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes-") and key != NULLABLE}
    for key in ("items", "additionalProperties"):
        if isinstance(kept.get(key), Mapping):
            kept[key] = _closed(kept[key])
    if "properties" in kept:
        kept["properties"] = {name: _closed(inner) for name, inner in kept["properties"].items()}
        kept.setdefault("additionalProperties", False)
    return kept


if __name__ == "__main__":
    sys.stdout.write(render())

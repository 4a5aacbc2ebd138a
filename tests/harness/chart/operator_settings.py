"""The operator's settings as values of the chart: the section ``settings``, and its part of the schema.

Owns which setting has a place of its own in the chart, and how the others are told there: by their names in camelCase,
``null`` until somebody wants another value than the operator's default. So a default that changes with a release
reaches everybody who has not chosen.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

from peerdb_operator.settings import Settings

ELSEWHERE: Final[Mapping[str, str]] = {
    "peerdb_url": "peerdb.url",
    "peerdb_password": "",  # as a file only
    "peerdb_password_file": "peerdb.passwordSecretRef",
    "peerdb_ca_file": "peerdb.caSecretRef",
    "peerdb_proxy": "peerdb.proxy",
    "kubeconfig": "",  # the pod has its account
    "pod_name": "",  # the pod's own
    "pod_namespace": "",
    "pod_uid": "",
    "namespaces": "watchNamespaces",
    "cluster_id": "clusterId",
    "health_host": "",  # the probes ask the pod's own address
    "health_port": "",  # the same in every pod
    "metrics_host": "",
    "metrics_port": "metrics.port",
    "tracing": "tracing.enabled",
}
"""Settings that are not values under ``settings``: the value that decides each, or nothing where there is no choice."""

BEGIN: Final = "  # generated: begin\n"
END: Final = "  # generated: end\n"
_WIDTH: Final = 118
_KEPT: Final = ("type", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "pattern")


def names() -> Iterator[str]:
    """Names of the settings that are values under ``settings``, as the operator has them."""
    return (name for name in Settings.model_fields if name not in ELSEWHERE)


def camel(name: str) -> str:
    """``tick_seconds`` -> ``tickSeconds``."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def with_settings(values: str) -> str:
    """``values.yaml`` with its generated lines renewed."""
    before, rest = values.split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + "".join(_lines()) + "\n" + END + after


def properties() -> dict[str, Any]:
    """JSON schema of each value under ``settings``, without its description."""
    whole = Settings.model_json_schema(by_alias=False)
    return {camel(name): _nullable(whole["properties"][name], whole.get("$defs", {})) for name in names()}


def _nullable(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        schema = next(each for each in schema["anyOf"] if each.get("type") != "null")
    kept = {key: schema[key] for key in _KEPT if key in schema}
    kept["type"] = [kept["type"], "null"]
    if "enum" in kept:
        kept["enum"] = [*kept["enum"], None]
    return kept


def _lines() -> Iterator[str]:
    for name in names():
        field = Settings.model_fields[name]
        text = f"{field.description} Default: {_shown(field.default)}."
        yield "\n" + "".join(f"  # {line}\n" for line in textwrap.wrap(text, _WIDTH - len("  # ")))
        yield f"  {camel(name)}: null\n"


def _shown(default: object) -> str:
    if isinstance(default, StrEnum):
        return default.value
    return "none" if default is None else f"{default:g}" if isinstance(default, float) else str(default)

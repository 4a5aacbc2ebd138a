"""The Prometheus operator's kinds as far as the chart uses them, closed: a field that is not theirs is refused.

Written by hand after its API reference, because the whole definitions are larger than this project's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
TEXTS: Final[Schema] = {"type": "object", "additionalProperties": TEXT}
DURATION: Final[Schema] = {
    "type": "string",
    "pattern": r"^(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?$",
}


def _object(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


_RELABELINGS: Final = _list(
    _object(targetLabel=TEXT, replacement=TEXT, action=TEXT, regex=TEXT, sourceLabels=_list(TEXT))
)
_ENDPOINTS: Final = _list(
    _object(
        port=TEXT,
        path=TEXT,
        interval=DURATION,
        scrapeTimeout=DURATION,
        honorLabels={"type": "boolean"},
        relabelings=_RELABELINGS,
        metricRelabelings=_RELABELINGS,
    )
)
_SELECTOR: Final = _object(matchLabels=TEXTS)
_RULE: Final = _object(
    ("expr",),
    alert=TEXT,
    record=TEXT,
    expr={"x-kubernetes-int-or-string": True},
    **{"for": DURATION, "keep_firing_for": DURATION},
    labels=TEXTS,
    annotations=TEXTS,
)
_GROUP: Final = _object(("name",), name=TEXT, interval=DURATION, labels=TEXTS, rules=_list(_RULE))

_SPECS: Final[Mapping[str, Schema]] = {
    "ServiceMonitor": _object(("endpoints", "selector"), selector=_SELECTOR, endpoints=_ENDPOINTS),
    "PodMonitor": _object(("podMetricsEndpoints", "selector"), selector=_SELECTOR, podMetricsEndpoints=_ENDPOINTS),
    "PrometheusRule": _object(groups=_list(_GROUP)),
}
GROUP: Final = "monitoring.coreos.com"


def definitions() -> list[Schema]:
    """A CustomResourceDefinition for each kind."""
    return [_definition(kind, spec) for kind, spec in _SPECS.items()]


def _definition(kind: str, spec: Schema) -> Schema:
    plural = f"{kind.lower()}s"
    schema = _object(("spec",), apiVersion=TEXT, kind=TEXT, metadata={"type": "object"}, spec=spec)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }

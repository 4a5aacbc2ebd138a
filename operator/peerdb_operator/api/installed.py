"""Whether the CRD that a cluster has can hold what this operator writes.

An API server drops a status field that its CRD does not know, without an error, and refuses a status that breaks its
CRD's bounds. Both happen when the operator is upgraded and the CRD is not. A newer CRD holds what an older one does.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from peerdb_operator.api.status import MirrorStatus

Schema = Mapping[str, Any]

_AT_MOST: Final = ("maxLength", "maxItems", "maximum")
_AT_LEAST: Final = ("minLength", "minItems", "minimum")


def unable_to_hold(schema: Schema) -> tuple[str, ...]:
    """The paths of status fields that a CRD's ``openAPIV3Schema`` does not know or limits more than this operator."""
    ours = MirrorStatus.model_json_schema(by_alias=True)
    served = schema.get("properties", {}).get("status", {})
    return tuple(_narrower(ours, served, "status", ours.get("$defs", {})))


def _narrower(ours: Schema, served: Schema, path: str, definitions: Mapping[str, Schema]) -> Iterator[str]:
    ours = _resolved(ours, definitions)
    if _limits_more(ours, served):
        yield path
    known = served.get("properties", {})
    for name, field in ours.get("properties", {}).items():
        if name in known:
            yield from _narrower(field, known[name], f"{path}.{name}", definitions)
        elif not served.get("x-kubernetes-preserve-unknown-fields"):
            yield f"{path}.{name}"
    for name in served.get("required", ()):
        field = ours.get("properties", {}).get(name)
        if field is None or (name not in ours.get("required", ()) and field.get("default") is None):
            yield f"{path}.{name}"
    if "items" in ours and "items" in served:
        yield from _narrower(ours["items"], served["items"], f"{path}[]", definitions)


def _resolved(field: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """A field with what it refers to, without the null that means unset."""
    while "anyOf" in field or "$ref" in field:
        if "anyOf" in field:
            field = next(choice for choice in field["anyOf"] if choice != {"type": "null"})
        else:
            field = definitions[field["$ref"].removeprefix("#/$defs/")]
    return field


def _limits_more(ours: Schema, served: Schema) -> bool:
    return (
        any(key in served and served[key] < ours.get(key, float("inf")) for key in _AT_MOST)
        or any(key in served and served[key] > ours.get(key, float("-inf")) for key in _AT_LEAST)
        or ("enum" in served and not ("enum" in ours and set(ours["enum"]) <= set(served["enum"])))
        or ("pattern" in served and served["pattern"] != ours.get("pattern"))
    )

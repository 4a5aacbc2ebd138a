"""The CRDs, generated from the models in ``api``: ``python -m tests.harness.crdgen > crds/mirrors.peerdb.io.yaml``.

Turns a pydantic model into what an API server accepts as a structural schema: references inlined, optional fields as
plain ones, numbers with a format, no floats, nothing kept that the schema does not name. It is deterministic, and it is
strict: an unknown construct, anything without bounds and a property without a description raise ``UnsupportedModel``.

What a CRD contains beyond JSON schema (CEL rules, list types, defaults that the server fills in, printer columns)
stands beside the fields, see ``api.schema``.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any, Final

import yaml
from pydantic import BaseModel

from peerdb_operator.api.kinds import Mirror
from peerdb_operator.api.schema import (
    LIST_MAP_KEYS,
    LIST_TYPE,
    NULLABLE,
    SERVER_DEFAULT,
    VALIDATIONS,
    PrinterColumn,
    Resource,
    Rule,
)

Schema = dict[str, Any]

_HEADER: Final = """\
# Generated from operator/peerdb_operator/api; do not edit.
# Renew with: make generate
"""

_OBJECT_META: Final[Mapping[str, Schema]] = {
    "apiVersion": {"type": "string", "description": "Version of the API that this object is written in."},
    "kind": {"type": "string", "description": "The kind of this object."},
    "metadata": {"type": "object"},
}

_INT32: Final = (-(2**31), 2**31 - 1)
_ANNOTATIONS: Final = frozenset({"title", "description", "default", SERVER_DEFAULT, VALIDATIONS, NULLABLE, "type"})
_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "object": frozenset({"properties", "required"}),
    "map": frozenset({"patternProperties", "additionalProperties", "minProperties", "maxProperties"}),
    "array": frozenset({"items", "minItems", "maxItems", LIST_TYPE, LIST_MAP_KEYS}),
    "string": frozenset({"const", "enum", "pattern", "minLength", "maxLength", "format"}),
    "integer": frozenset({"minimum", "maximum"}),
    "boolean": frozenset(),
}


class UnsupportedModel(Exception):  # noqa: N818 - it reads as a statement about the model it names
    """A model says something that a CRD of ours cannot say, or leaves out something that it must."""

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}")


def crd_of(model: type[BaseModel]) -> Schema:
    """The CustomResourceDefinition of a root model with a ``RESOURCE``; raises ``UnsupportedModel``."""
    resource = getattr(model, "RESOURCE", None)
    if not isinstance(resource, Resource):
        raise UnsupportedModel(model.__name__, "a kind needs a RESOURCE that says how it is served")
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{resource.group}"},
        "spec": {
            "group": resource.group,
            "names": {
                "categories": list(resource.categories),
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "shortNames": list(resource.short_names),
                "singular": resource.singular,
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": resource.version,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(column) for column in resource.columns],
                    "schema": {"openAPIV3Schema": root_schema(model)},
                }
            ],
        },
    }


def root_schema(model: type[BaseModel]) -> Schema:
    """The structural schema of a whole object."""
    schema = structural_schema(model)
    schema["properties"] = {**_OBJECT_META, **schema["properties"]}
    return schema


def structural_schema(model: type[BaseModel]) -> Schema:
    """The structural schema of one model; raises ``UnsupportedModel``."""
    raw = model.model_json_schema(by_alias=True, mode="validation")
    return _Converter(raw.pop("$defs", {})).convert(raw, model.__name__)


def render(model: type[BaseModel]) -> str:
    """The CRD as YAML, with a header that says where it comes from."""
    crd = crd_of(model)
    body: str = yaml.safe_dump(crd, sort_keys=False, width=110, allow_unicode=True)
    return _HEADER + body


def _column(column: PrinterColumn) -> Schema:
    shown: Schema = {"name": column.name, "type": column.type, "jsonPath": column.json_path}
    return {**shown, "description": column.description, **({"priority": 1} if column.wide else {})}


class _Converter:
    """Walks one JSON schema of pydantic's; ``path`` names the place in every complaint."""

    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self._definitions = definitions
        self._open: list[str] = []

    def convert(self, raw: Schema, path: str) -> Schema:
        """One node and everything below it."""
        if "$ref" in raw:
            return self._inlined(raw, path)
        if "anyOf" in raw:
            return self.convert(_without_null(raw, path), path)
        kind = _kind(raw, path)
        unknown = raw.keys() - _ANNOTATIONS - _KEYS[kind]
        if unknown:
            raise UnsupportedModel(path, f"a {kind} with {', '.join(sorted(unknown))} is not supported")
        common: Schema = {key: raw[key] for key in ("description", NULLABLE) if key in raw}
        schema: Schema = {"type": "object" if kind == "map" else kind, **common}
        if SERVER_DEFAULT in raw:
            schema["default"] = _set_only(raw["default"])
        match kind:
            case "object":
                schema |= self._object(raw, path)
            case "map":
                schema |= self._map(raw, path)
            case "array":
                schema |= self._array(raw, path)
            case "string":
                schema |= _string(raw, path)
            case "integer":
                schema |= _integer(raw, path)
        rules = [*schema.pop(VALIDATIONS, []), *raw.get(VALIDATIONS, [])]
        return {**schema, VALIDATIONS: rules} if rules else schema

    def _inlined(self, raw: Schema, path: str) -> Schema:
        name = raw["$ref"].removeprefix("#/$defs/")
        if name in self._open:
            raise UnsupportedModel(path, f"{name} contains itself; a CRD has no references")
        self._open.append(name)
        try:
            beside = {key: value for key, value in raw.items() if key != "$ref"}
            return self.convert({**self._definitions[name], **beside}, path)
        finally:
            self._open.pop()

    def _object(self, raw: Schema, path: str) -> Schema:
        properties = {}
        for name, property_ in raw["properties"].items():
            converted = self.convert(property_, f"{path}.{name}")
            if not converted.get("description"):
                raise UnsupportedModel(f"{path}.{name}", "a property needs a description")
            properties[name] = converted
        required = {"required": raw["required"]} if raw.get("required") else {}
        return {**required, "properties": properties}

    def _map(self, raw: Schema, path: str) -> Schema:
        bounds = _bounds(raw, path, ("minProperties", "maxProperties"), needs="maxProperties")
        patterns: Schema = raw.get("patternProperties", {})
        if len(patterns) != 1:
            raise UnsupportedModel(path, "a map needs one pattern for its keys")
        [(pattern, value)] = patterns.items()
        return {**bounds, "additionalProperties": self.convert(value, f"{path}.*"), VALIDATIONS: [_key_rule(pattern)]}

    def _array(self, raw: Schema, path: str) -> Schema:
        bounds = _bounds(raw, path, ("minItems", "maxItems", LIST_TYPE, LIST_MAP_KEYS), needs="maxItems")
        if LIST_TYPE not in raw:
            raise UnsupportedModel(path, f"a list needs {LIST_TYPE}")
        return {**bounds, "items": self.convert(raw["items"], f"{path}[]")}


def _kind(raw: Schema, path: str) -> str:
    kind = raw.get("type")
    if kind == "object" and "properties" not in raw:
        kind = "map"
    if kind not in _KEYS:
        raise UnsupportedModel(path, f"type {kind} is not supported")
    return str(kind)


def _without_null(raw: Schema, path: str) -> Schema:
    """An optional field is a plain one: in Kubernetes, unset means absent, and null is not a value."""
    choices = [choice for choice in raw["anyOf"] if choice != {"type": "null"}]
    if len(choices) != 1 or len(raw["anyOf"]) != len(choices) + 1:
        raise UnsupportedModel(path, "a union of types is not structural")
    return {**choices[0], **{key: value for key, value in raw.items() if key != "anyOf"}}


def _string(raw: Schema, path: str) -> Schema:
    if "enum" in raw or "const" in raw:
        return {"enum": raw["enum"] if "enum" in raw else [raw["const"]]}
    if "format" in raw:
        if raw["format"] != "date-time":
            raise UnsupportedModel(path, f"format {raw['format']} is not supported")
        return {"format": "date-time"}
    return _bounds(raw, path, ("minLength", "maxLength", "pattern"), needs="maxLength")


def _integer(raw: Schema, path: str) -> Schema:
    bounds = _bounds(raw, path, ("minimum",), needs="minimum") | _bounds(raw, path, ("maximum",), needs="maximum")
    fits = _INT32[0] <= bounds["minimum"] and bounds["maximum"] <= _INT32[1]
    return {"format": "int32" if fits else "int64", **bounds}


def _bounds(raw: Schema, path: str, keys: tuple[str, ...], *, needs: str) -> Schema:
    if needs not in raw:
        raise UnsupportedModel(path, f"needs {needs}; nothing in the API is unbounded")
    return {key: raw[key] for key in keys if key in raw}


def _key_rule(pattern: str) -> Schema:
    """Structural schemas cannot constrain the keys of a map; CEL can."""
    wrong = f"!key.matches({json.dumps(pattern)})"
    ending = json.dumps(f'" must match {pattern}')
    return Rule(
        rule=f"!self.exists(key, {wrong})",
        message=f"every key must match {pattern}",
        message_expression=f"'key \"' + self.filter(key, {wrong})[0] + {ending}",
    ).as_schema()


def _set_only(default: object) -> object:
    """A default as it is written: unset fields of it stay unset."""
    if isinstance(default, dict):
        return {key: _set_only(value) for key, value in default.items() if value is not None and value != []}
    return default


if __name__ == "__main__":
    sys.stdout.write(render(Mirror))

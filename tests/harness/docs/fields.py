"""The fields of a CRD as tables, one for each object in it.

Owns the reading of the schema: the help texts follow one form (``api.schema``: what it means, then unit, default and
mutability), which is taken apart here; bounds and CEL rules become words. Leaves the CRD to ``crdgen``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from peerdb_operator.api.text import PLAIN, PLAIN_PATTERN
from tests.harness.docs.table import code, plain, table

Schema = Mapping[str, Any]

_HELP = re.compile(
    r"(?P<text>.*?)"
    r"(?: Unit: (?P<unit>.*?)\.)?"
    r"(?: (?P<required>Required)\.| Default: (?P<default>.*?)\.)?"
    r"(?: Changes: (?P<changes>.*?)\.)?"
    r"(?: Set by the operator\.)?",
    re.DOTALL,
)
_SPEC = ("field", "type", "unit", "default", "may change", "validation", "meaning")
_STATUS = ("field", "type", "unit", "meaning")


@dataclass(frozen=True, slots=True)
class Help:
    """A help text, taken apart; what it does not say is empty."""

    text: str
    unit: str = ""
    default: str = ""
    changes: str = ""


def read_help(description: str) -> Help:
    """Take one help text apart."""
    found = _HELP.fullmatch(description)
    assert found is not None  # the first group takes whatever the others do not
    default = "required" if found["required"] else found["default"] or ""
    return Help(found["text"], found["unit"] or "", default, found["changes"] or "")


def spec_sections(spec: Schema) -> Iterator[str]:
    """Headings and tables of everything a user writes."""
    yield from _sections("spec", spec, _spec_table)


def status_sections(status: Schema) -> Iterator[str]:
    """Headings and tables of everything the operator writes."""
    yield from _sections("status", status, _status_table)


def objects(path: str, schema: Schema) -> Iterator[tuple[str, Schema]]:
    """The objects in a schema by path, a list's items as ``path[]``, outermost first."""
    yield path, schema
    for name, below in schema["properties"].items():
        inner = f"{path}.{name}"
        if below["type"] == "array":
            inner, below = f"{inner}[]", below["items"]  # noqa: PLW2901 - the item stands for its list from here on
        if "properties" in below:
            yield from objects(inner, below)


def _sections(path: str, schema: Schema, make_table: Callable[[Schema], str]) -> Iterator[str]:
    for place, found in objects(path, schema):
        yield f"### `{place}`"
        yield plain(read_help(found["description"]).text)
        yield make_table(found)
        yield from (f"Rule: {plain(rule['message'])}." for rule in found.get("x-kubernetes-validations", []))


def _spec_table(schema: Schema) -> str:
    return table(_SPEC, (_spec_row(name, schema, below) for name, below in schema["properties"].items()))


def _spec_row(name: str, parent: Schema, schema: Schema) -> tuple[str, ...]:
    reported = read_help(schema["description"])
    if (reported.default == "required") != (name in parent.get("required", [])):
        raise ValueError(f"{name}: the help text and the schema differ about whether it is required")
    default = code(str(schema["default"])) if "default" in schema else plain(reported.default)
    return (
        code(name),
        type_of(schema),
        reported.unit,
        default,
        plain(reported.changes),
        "; ".join(validation(schema)),
        plain(reported.text),
    )


def _status_table(schema: Schema) -> str:
    rows = ((name, below, read_help(below["description"])) for name, below in schema["properties"].items())
    return table(
        _STATUS, ((code(name), type_of(below), reported.unit, plain(reported.text)) for name, below, reported in rows)
    )


def type_of(schema: Schema) -> str:
    """The type in a word or two."""
    match schema:
        case {"type": "array", "items": items}:
            return f"list of {type_of(items)}s"
        case {"type": "object", "additionalProperties": value}:
            return f"map of {type_of(value)}s"
        case {"enum": _}:
            return "word"
        case {"format": "date-time"}:
            return "time"
        case _:
            return str(schema["type"])


def validation(schema: Schema) -> Iterator[str]:
    """What the API server checks of one field, in words."""
    if "enum" in schema:
        yield "one of " + ", ".join(code(word) for word in schema["enum"])
    yield from _range(schema, "minimum", "maximum", "")
    yield from _range(schema, "minLength", "maxLength", " characters")
    yield from _range(schema, "minItems", "maxItems", " items")
    yield from _range(schema, "minProperties", "maxProperties", " keys")
    if "pattern" in schema:
        yield PLAIN if schema["pattern"] == PLAIN_PATTERN else f"matches {code(schema['pattern'])}"
    if schema["type"] == "array":
        yield from (f"each: {words}" for words in validation(schema["items"]))
        yield _list_type(schema)
    if isinstance(schema.get("additionalProperties"), Mapping):
        yield from (f"each value: {words}" for words in validation(schema["additionalProperties"]))
    yield from (plain(rule["message"]) for rule in schema.get("x-kubernetes-validations", []))


def _range(schema: Schema, least: str, most: str, unit: str) -> Iterator[str]:
    low, high = schema.get(least), schema.get(most)
    if low is not None and high is not None:
        yield f"{low:,} to {high:,}{unit}"
    elif high is not None:
        yield f"at most {high:,}{unit}"


def _list_type(schema: Schema) -> str:
    match schema["x-kubernetes-list-type"]:
        case "map":
            return f"merged by {code(', '.join(schema['x-kubernetes-list-map-keys']))}"
        case "set":
            return "no item twice"
        case _:
            return "applied as a whole"

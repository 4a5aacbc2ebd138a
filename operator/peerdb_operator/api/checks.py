"""Parses a raw value into a model, and reports its first problem as a sentence that begins with the field's path.

The sentence quotes names, numbers and words, but never the value of a setting: it may be a secret.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from peerdb_operator.api.naming import MIRROR_NAME_PATTERN
from peerdb_operator.api.table import COLUMN_TYPE_PATTERN, DESTINATION_PATTERN, SOURCE_PATTERN
from peerdb_operator.api.text import NOT_PLAIN, PLAIN, PLAIN_PATTERN, on_one_line
from peerdb_operator.errors import InvalidSpec

_PATTERNS: Final[Mapping[str, str]] = {
    SOURCE_PATTERN: "must be schema.table with exactly one dot, got {got}; write the schema too, and nothing before it",
    DESTINATION_PATTERN: "must be a table name, or names joined by single dots, got {got}",
    COLUMN_TYPE_PATTERN: "must be a type name like Decimal(38,9), without blanks or quotes, got {got}",
    PLAIN_PATTERN: f"{PLAIN}, got {{got}}",
    MIRROR_NAME_PATTERN: "must begin with a letter or _ and go on with letters, digits, _, - and ., got {got}",
}

_SENTENCES: Final[Mapping[str, str]] = {
    NOT_PLAIN: f"{PLAIN}, got {{got}}",
    "missing": "must be given",
    "enum": "must be {expected}, got {got}",
    "greater_than_equal": "must be at least {ge}, got {got}",
    "less_than_equal": "must be at most {le}, got {got}",
    "int_type": "must be a whole number, got {got}",
    "int_from_float": "must be a whole number, got {got}",
    "bool_type": "must be true or false, got {got}",
    "string_type": "must be a string, got {got}",
    "string_too_short": "must be at least {min_length} long, got {got}",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} entry; leave the field out if there is nothing to list",
    "too_long": "must have at most {max_length} entries, got {actual_length}",
    "list_type": "must be a list, got {got}",
    "tuple_type": "must be a list, got {got}",
    "dict_type": "must be a map, got {got}",
    "model_type": "must be an object, got {got}",
    "dataclass_type": "must be an object, got {got}",
}

_JSON_KINDS: Final = ((bool, "true or false"), (int | float, "a number"), (str, "a string"), (list, "a list"),
                     (Mapping, "an object"))  # fmt: skip
_LONGEST_QUOTE: Final = 80

_Model = TypeVar("_Model", bound=BaseModel)


def parse(model: type[_Model], raw: object, root: str) -> _Model:
    """Read ``raw`` as ``model``; raises ``InvalidSpec`` with the first wrong field below ``root`` and how many more."""
    try:
        return model.model_validate(dict(raw) if isinstance(raw, Mapping) else raw, by_alias=True, by_name=False)
    except ValidationError as error:
        details = error.errors(include_url=False)
        first = details[0]
        raise InvalidSpec(_path(root, first["loc"]), _problem(first), more=len(details) - 1) from None


def _path(root: str, location: tuple[int | str, ...]) -> str:
    path = root
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step != "[key]":
            path += f".{_cut(on_one_line(step))}"
    return path


def _problem(error: ErrorDetails) -> str:
    context: dict[str, Any] = error.get("ctx", {})
    if error["loc"] and error["loc"][-1] == "[key]":
        return "is no setting's name; it must be upper-case letters, digits and _, beginning with a letter"
    if error["type"] == "string_pattern_mismatch":
        sentence = _PATTERNS.get(context["pattern"], "must match {pattern}, got {got}")
    else:
        sentence = _SENTENCES.get(error["type"], "")
    if not sentence:
        return error["msg"]
    quote = _kind_of if error["loc"][:1] == ("settings",) else _quoted
    return sentence.format(**_readable(context), got=quote(error["input"]))


def _readable(context: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value.replace("'", "") if key == "expected" else value for key, value in context.items()}


def _quoted(value: object) -> str:
    if not isinstance(value, str | int | float):
        return _kind_of(value)
    return _cut(on_one_line(json.dumps(value, ensure_ascii=False)))


def _cut(shown: str) -> str:
    return shown if len(shown) <= _LONGEST_QUOTE else f"{shown[:_LONGEST_QUOTE]}…"


def _kind_of(value: object) -> str:
    """What kind of JSON value this is, without the value."""
    for kinds, name in _JSON_KINDS:
        if isinstance(value, kinds):
            return name
    return "nothing" if value is None else f"a {type(value).__name__}"

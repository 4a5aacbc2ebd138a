"""What a model's CRD contains beyond what pydantic can express: help texts, list types, CEL rules, columns.

These only attach keys to the JSON schema of a model; ``tests.harness.crdgen`` refuses any key it does not know.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

VALIDATIONS: Final = "x-kubernetes-validations"
LIST_TYPE: Final = "x-kubernetes-list-type"
LIST_MAP_KEYS: Final = "x-kubernetes-list-map-keys"
NULLABLE: Final = "nullable"
SERVER_DEFAULT: Final = "x-server-default"
"""Our own key, never part of a CRD: the API server fills the field in with the model's default."""

ListType = Literal["atomic", "set", "map"]

MODEL_CONFIG: Final = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)
"""Common to all models of the API: values; snake_case in Python, camelCase outside; foreign fields are ignored."""

VALUE_CONFIG: Final = ConfigDict(extra="ignore", alias_generator=to_camel, populate_by_name=True)
"""The same for models that are frozen dataclasses."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One CEL rule; ``message_expression`` may build a better message than the fixed one, its fallback."""

    rule: str
    message: str
    message_expression: str | None = None

    def as_schema(self) -> dict[str, str]:
        """The item of ``x-kubernetes-validations``."""
        schema = {"rule": self.rule, "message": self.message}
        return schema if self.message_expression is None else {**schema, "messageExpression": self.message_expression}


@dataclass(frozen=True, slots=True)
class PrinterColumn:
    """One column of ``kubectl get``; a ``wide`` one is shown with ``-o wide`` only."""

    name: str
    json_path: str
    description: str
    type: Literal["string", "integer", "date"] = "string"
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Resource:
    """The names under which the API server serves a kind, and what ``kubectl get`` shows of it."""

    group: str
    version: str
    kind: str
    plural: str
    singular: str
    short_names: tuple[str, ...]
    categories: tuple[str, ...]
    columns: tuple[PrinterColumn, ...]


def described(
    text: str,
    *,
    changes: str,
    unset: str | None = None,
    unit: str | None = None,
    list_type: ListType | None = None,
    keys: Sequence[str] = (),
    rules: Sequence[Rule] = (),
    server_default: bool = False,
    refuses_null: bool = False,
) -> FieldInfo:
    """Field of a spec: what it means, its unit, what holds when it is not set (None: required), when it may change.

    ``server_default`` lets the API server write the model's default into the object; without it an unset field stays
    unset. ``refuses_null`` keeps the API server from dropping a null unseen; of an enum it then refuses it. To be used
    inside ``Annotated``.
    """
    default = "Required." if unset is None else f"Default: {unset}."
    parts = [text, f"Unit: {unit}." if unit else "", default, f"Changes: {changes}."]
    extra: dict[str, Any] = {**_list_keys(list_type, keys), **rules_schema(*rules)}
    if server_default:
        extra[SERVER_DEFAULT] = True
    if refuses_null:
        extra[NULLABLE] = True
    field: FieldInfo = Field(description=" ".join(filter(None, parts)), json_schema_extra=extra or None)
    return field


def observed(
    text: str, *, unit: str | None = None, list_type: ListType | None = None, keys: Sequence[str] = ()
) -> FieldInfo:
    """Field of a status: what it means and its unit. Only the operator writes it."""
    parts = [text, f"Unit: {unit}." if unit else "", "Set by the operator."]
    field: FieldInfo = Field(
        description=" ".join(filter(None, parts)), json_schema_extra=_list_keys(list_type, keys) or None
    )
    return field


def rules_schema(*rules: Rule) -> dict[str, Any]:
    """``json_schema_extra`` for rules: of a field, or of a whole model in its ``ConfigDict``."""
    return {VALIDATIONS: [rule.as_schema() for rule in rules]} if rules else {}


def _list_keys(list_type: ListType | None, keys: Sequence[str]) -> dict[str, Any]:
    extra: dict[str, Any] = {} if list_type is None else {LIST_TYPE: list_type}
    if keys:
        extra[LIST_MAP_KEYS] = list(keys)
    return extra

"""The closed sets of the operator as tables: reasons with the conditions they bring, settings, names, columns.

Everything is read from the code that acts on it, so a page that is fresh is true.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from peerdb_operator.api import constants
from peerdb_operator.api.kinds import Mirror
from peerdb_operator.api.reasons import Reason
from peerdb_operator.mirror.rules.conditions import NEEDS_A_HUMAN, ROWS, ConditionChange, verdict
from peerdb_operator.mirror.status import report_of
from peerdb_operator.settings import Settings, flag_of, is_secret, variable_of
from peerdb_operator.telemetry.events import kind_of
from tests.harness.docs.table import code, plain, table

AS_IT_WAS = "as it was"
ABSENT = "absent"
UNSET = "not set"


def names_table() -> str:
    """The names under which the operator is known to Kubernetes and PeerDB."""
    annotation = f"{constants.ANNOTATION_RECONCILE}: {constants.RECONCILE_DISABLED}"
    rows = (
        ("API", code(constants.API_VERSION), f"kind `{constants.KIND}`, namespaced"),
        (
            "kubectl",
            f"`{constants.PLURAL}`, `{constants.SINGULAR}`, `{constants.SHORT}`",
            f"`kubectl get {constants.CATEGORY}` lists every kind of this operator",
        ),
        (
            "annotation",
            code(annotation),
            "hands off this object: nothing is asked of PeerDB and nothing is sent. Any other value changes nothing",
        ),
        ("annotation", code(constants.ANNOTATION_REQUESTED_AT), "any new value asks for a reconcile now"),
        ("finalizer", code(constants.FINALIZER), "holds a deleted Mirror until its PeerDB mirror is dropped or let go"),
        (
            "PeerDB tag",
            code(constants.OWNER_TAG),
            f"on the PeerDB mirror: `<cluster>/<namespace>/<name>/<uid>` of its owner, or `{constants.RELEASED}`",
        ),
    )
    return table(("what", "name", "meaning"), rows)


def columns_table() -> str:
    """What ``kubectl get mirrors`` shows."""
    rows = ((code(one.name), "`-o wide`" if one.wide else "", one.description) for one in Mirror.RESOURCE.columns)
    return table(("column", "only with", "meaning"), rows)


def reasons_table() -> str:
    """One row for each reason: the conditions that it brings, and the kind of its Event."""
    header = ("reason", "Ready", "Synced", "Reconciling", "Stalled", "Event")
    return table(header, (_reason_row(reason) for reason in Reason))


def _reason_row(reason: Reason) -> tuple[str, ...]:
    row = ROWS[reason]
    always = [truth.value or AS_IT_WAS for truth in (row.ready, row.synced)]
    passing = [_passing(truth) for truth in (row.reconciling, row.stalled)]
    event = kind_of(report_of(verdict(reason, "")))
    return (f"[`{reason}`](troubleshooting.md#{reason.lower()})", *always, *passing, event)


def _passing(truth: ConditionChange) -> str:
    match truth:
        case ConditionChange.TRUE:
            return "True"
        case ConditionChange.KEEP:
            return AS_IT_WAS
        case _:
            return ABSENT


def humans() -> str:
    """The reasons of an outage that time alone does not end."""
    return " and ".join(code(reason) for reason in Reason if reason in NEEDS_A_HUMAN)


def settings_table() -> str:
    """One row for each setting."""
    properties = Settings.model_json_schema()["properties"]
    definitions = Settings.model_json_schema().get("$defs", {})
    header = ("variable", "flag", "value", "default", "meaning")
    rows = (
        _setting_row(name, field, _resolved(_property(properties, name, field), definitions))
        for name, field in Settings.model_fields.items()
    )
    return table(header, rows)


def _property(properties: dict[str, Any], name: str, field: FieldInfo) -> dict[str, Any]:
    alias = field.validation_alias
    found: dict[str, Any] = properties[alias if isinstance(alias, str) else name]
    return found


def _resolved(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Without references and without the ``null`` that stands for "not set"."""
    for choice in schema.get("anyOf", []):
        if choice.get("type") != "null":
            return _resolved(choice, definitions)
    if "$ref" in schema:
        found: dict[str, Any] = definitions[schema["$ref"].rpartition("/")[2]]
        return found
    return schema


def _setting_row(name: str, field: FieldInfo, schema: dict[str, Any]) -> tuple[str, ...]:
    flag = "none: everybody on a machine can read a command line" if is_secret(field) else code(flag_of(name))
    return (code(variable_of(name)), flag, "; ".join(_value(schema)), _default(field), plain(field.description or ""))


def _value(schema: dict[str, Any]) -> Iterator[str]:
    if "enum" in schema:
        yield "one of " + ", ".join(code(str(word)) for word in schema["enum"])
        return
    yield {"array": "list", "number": "number", "integer": "whole number", "boolean": "true or false"}.get(
        schema["type"], "text"
    )
    low, high = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum")
    if low is not None:
        least = f"{low:,}" if "minimum" in schema else f"more than {low:,}"
        yield f"{least} to {high:,}" if high is not None else f"at least {least}"


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if field.default in (None, ()):
        return UNSET
    shown = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
    return code(json.dumps(shown)[1:-1])

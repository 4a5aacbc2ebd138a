"""An installed CRD that cannot hold what the operator writes is found, and by which fields."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from peerdb_operator.api.installed import unable_to_hold

CRD = Path(__file__).parents[3] / "crds" / "mirrors.peerdb.io.yaml"
Change = Callable[[dict[str, Any]], object]


def schema(change: Change = lambda _: None) -> dict[str, Any]:
    """The schema of our own CRD after ``change`` to its status."""
    (version,) = yaml.safe_load(CRD.read_text())["spec"]["versions"]
    ours: dict[str, Any] = copy.deepcopy(version["schema"]["openAPIV3Schema"])
    change(ours["properties"]["status"])
    return ours


def at(status: dict[str, Any], *path: str) -> dict[str, Any]:
    for step in path:
        status = status["items"] if step == "[]" else status["properties"][step]
    return status


def test_our_own_crd_holds_everything() -> None:
    assert unable_to_hold(schema()) == ()


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda status: status["properties"].pop("bounds"), "status.bounds"),
        (lambda status: at(status, "bounds")["properties"].pop("settled"), "status.bounds.settled"),
        (lambda status: at(status, "conditions", "[]")["properties"].pop("reason"), "status.conditions[].reason"),
        (lambda status: at(status, "operation", "step").update(maxLength=8), "status.operation.step"),
        (lambda status: at(status, "operation", "step").update(enum=["Pause"]), "status.operation.step"),
        (lambda status: at(status, "tables", "pending").update(maxItems=5), "status.tables.pending"),
        (lambda status: at(status, "tables", "pending", "[]").update(maxLength=9), "status.tables.pending[]"),
        (lambda status: at(status, "observedGeneration").update(minimum=0), "status.observedGeneration"),
        (lambda status: at(status, "observedGeneration").update(maximum=9), "status.observedGeneration"),
        (lambda status: at(status, "conditions", "[]", "status").update(enum=["True"]), "status.conditions[].status"),
        (lambda status: at(status, "mirrorName").update(pattern="^[a-z]+$"), "status.mirrorName"),
        (lambda status: status.update(required=["retired"]), "status.retired"),
        (lambda status: status.update(required=["lastError"]), "status.lastError"),
    ],
)
def test_a_field_that_an_older_crd_cannot_hold_is_named(change: Change, path: str) -> None:
    assert unable_to_hold(schema(change)) == (path,)


@pytest.mark.parametrize(
    "change",
    [
        lambda status: status["properties"].update(later={"type": "string"}),
        lambda status: at(status, "operation", "step").update(maxLength=10_000),
        lambda status: at(status, "operation", "step").pop("maxLength"),
        lambda status: at(status, "conditions", "[]", "status")["enum"].append("Maybe"),
        lambda status: status.update({"properties": {}, "x-kubernetes-preserve-unknown-fields": True}),
        lambda status: status.update(required=["observedGeneration"]),
    ],
)
def test_a_newer_crd_holds_everything(change: Change) -> None:
    assert unable_to_hold(schema(change)) == ()


def test_a_crd_without_our_version_holds_nothing() -> None:
    assert "status.operation" in unable_to_hold({})

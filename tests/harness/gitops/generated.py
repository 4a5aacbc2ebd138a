"""The files under ``docs/gitops`` that follow from others: tests in Argo CD's format, and the form for ``argocd-cm``.

Owns what is derived and how it is laid out. The scripts, the samples and ``action_test.yaml`` are written by hand, the
objects in ``testdata`` are dumped; ``python -m tests.harness.gitops`` writes the rest.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.harness.gitops import fixtures
from tests.harness.gitops.expected import EXPECTED
from tests.harness.gitops.paths import ACTION_TESTDATA, ACTIONS, ARGOCD, MIRROR, SUSPENDED, TESTDATA

KEY = "peerdb.io_Mirror"
REQUESTED_AT = "peerdb.io/reconcile-requested-at"
PRESSED = "0001-01-01T00:00:00Z"
"""Stands for the time at which an action was asked for, as in Argo CD's own tests."""
ACTION_NAMES = ("pause", "resume", "reconcile")
FAST = (
    "/status/bounds",
    "/status/lastError",
    "/status/operation",
    "/status/stateSince",
    "/status/tables",
    "/metadata/annotations/peerdb.io~1reconcile-requested-at",
)
"""Fields whose change alone needs no new look at an Application; health is compared besides."""

_HEADER = "# Generated from {source}; do not edit.\n# Renew with: make generate\n"


_NOT_APPLIED = "# For kubectl patch --type merge --patch-file; kubectl apply would take the other keys away.\n"


class _Dumper(yaml.SafeDumper):
    """Scripts as blocks that people can read."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def _dump(value: Mapping[str, Any]) -> str:
    return yaml.dump(dict(value), Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def _pause(obj: fixtures.Object) -> None:
    obj["spec"]["state"] = "Paused"


def _resume(obj: fixtures.Object) -> None:
    obj["spec"]["state"] = "Running"


def _reconcile(obj: fixtures.Object) -> None:
    obj["metadata"].setdefault("annotations", {})[REQUESTED_AT] = PRESSED


PRESSES: Mapping[str, tuple[str, Callable[[fixtures.Object], None]]] = {
    "running_then_pause": ("running", _pause),
    "paused_then_resume": ("paused", _resume),
    "mirror_not_found_then_reconcile": ("mirror_not_found", _reconcile),
    "reconcile_disabled_then_reconcile": ("reconcile_disabled", _reconcile),
}
"""What an action should make of an object, by the name of the file."""


def health_test(*, suspended: bool) -> str:
    """``health_test.yaml`` of one of the two variants."""
    prefix = "../../../resource_customizations/peerdb.io/Mirror/" if suspended else ""
    tests = []
    for state, expected in EXPECTED.items():
        shown = expected.shown(fixtures.read(TESTDATA / f"{state}.yaml"), suspended=suspended)
        reported = {"status": shown.status, "message": shown.message}
        tests.append({"healthStatus": reported, "inputPath": f"{prefix}testdata/{state}.yaml"})
    return _HEADER.format(source="testdata and tests/harness/gitops/expected.py") + _dump({"tests": tests})


def action_outputs() -> dict[str, str]:
    """What belongs into ``actions/testdata``, by file name."""
    found = {}
    for name, (state, press) in PRESSES.items():
        obj = copy.deepcopy(fixtures.read(TESTDATA / f"{state}.yaml"))
        press(obj)
        found[f"{name}.yaml"] = _HEADER.format(source=f"testdata/{state}.yaml") + _dump(obj)
    return found


def config_map(*, suspended: bool) -> str:
    """The same scripts for people who configure Argo CD by ``argocd-cm``."""
    health = (SUSPENDED if suspended else MIRROR) / "health.lua"
    actions = {
        "discovery.lua": _script(ACTIONS / "discovery.lua"),
        "definitions": [{"name": name, "action.lua": _script(ACTIONS / name / "action.lua")} for name in ACTION_NAMES],
    }
    whole = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "argocd-cm",
            "namespace": "argocd",
            "labels": {"app.kubernetes.io/name": "argocd-cm", "app.kubernetes.io/part-of": "argocd"},
        },
        "data": {
            f"resource.customizations.health.{KEY}": _script(health),
            f"resource.customizations.actions.{KEY}": _dump(actions),
            f"resource.customizations.ignoreResourceUpdates.{KEY}": _dump({"jsonPointers": list(FAST)}),
        },
    }
    return _HEADER.format(source=str(health.parents[2].relative_to(ARGOCD))) + _NOT_APPLIED + _dump(whole)


def _script(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def all_files() -> dict[Path, str]:
    """Every derived file and what it should hold."""
    return {
        MIRROR / "health_test.yaml": health_test(suspended=False),
        SUSPENDED / "health_test.yaml": health_test(suspended=True),
        ARGOCD / "argocd-cm.yaml": config_map(suspended=False),
        ARGOCD / "argocd-cm-suspended.yaml": config_map(suspended=True),
        **{ACTION_TESTDATA / name: text for name, text in action_outputs().items()},
    }

"""The real Helm, with a home of its own: what it renders, what it refuses, what it does in a cluster."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.harness.chart.__main__ import CHART

Object = dict[str, Any]
Values = Mapping[str, object]

RELEASE = "rel"
NAMESPACE = "peerdb-system"
NEEDED: Values = {"peerdb": {"url": "http://flow-api:8113"}}
MONITORING = "--api-versions=monitoring.coreos.com/v1"
HELM_SECONDS = 300.0


class HelmError(RuntimeError):
    """Helm refused; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Helm:
    """One Helm and the folder that is its home."""

    program: Path
    home: Path

    def run(self, *arguments: str, stdin: str = "") -> str:
        """What Helm prints; raises HelmError with its words."""
        environ = {"HOME": str(self.home), "PATH": os.environ["PATH"], "TMPDIR": str(self.home)}
        done = subprocess.run(
            [self.program, *arguments],
            input=stdin,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=HELM_SECONDS,
        )
        if done.returncode != 0:
            raise HelmError(done.stderr)
        return done.stdout

    def lint(self, values: Values, chart: Path = CHART) -> str:
        """``helm lint --strict``."""
        return self.run("lint", "--strict", str(chart), "--values=-", stdin=json.dumps(values))

    def template(self, values: Values = NEEDED, *flags: str, chart: Path = CHART) -> list[Object]:
        """Every object that ``helm template`` makes of these values."""
        arguments = ("template", RELEASE, str(chart), f"--namespace={NAMESPACE}", "--values=-", *flags)
        printed = self.run(*arguments, stdin=json.dumps(values))
        return [each for each in yaml.safe_load_all(printed) if each]


def one(objects: list[Object], kind: str, name: str = "") -> Object:
    """The only object of a kind, or the one whose name ends so."""
    found = [each for each in objects if each["kind"] == kind and each["metadata"]["name"].endswith(name)]
    assert len(found) == 1, f"{len(found)} of {kind} {name}"
    return found[0]


def pod(objects: list[Object]) -> Object:
    """The spec of the operator's pod."""
    spec: Object = one(objects, "Deployment")["spec"]["template"]["spec"]
    return spec


def container(objects: list[Object]) -> Object:
    """The operator's container, the only one."""
    [found] = pod(objects)["containers"]
    return dict(found)


def environ(objects: list[Object]) -> dict[str, str | None]:
    """The variables of the container; None for one that comes from elsewhere."""
    return {each["name"]: each.get("value") for each in container(objects)["env"]}


def with_value(path: str, value: object, base: Values = NEEDED) -> Object:
    """``base`` with one more value at a dotted path."""
    whole: Object = json.loads(json.dumps(base))
    *above, last = path.split(".")
    node = whole
    for key in above:
        node = node.setdefault(key, {})
    node[last] = value
    return whole

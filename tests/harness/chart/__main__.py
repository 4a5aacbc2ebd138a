"""Writes what is generated in the chart: ``python -m tests.harness.chart``, or ``--check`` to name what is stale.

Owns which file is made of what: the CRD is a copy of the one in ``crds/``, which the chart reads as a file and not as a
template, so that no brace in a description can mean anything; ``values.yaml`` gets its section of settings;
``values.schema.json`` and ``README.md`` get their texts from the comments of ``values.yaml``; the schema also has the
names of the alerts in ``files/alerts.yaml``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from tests.harness.chart.operator_settings import with_settings
from tests.harness.chart.readme import readme
from tests.harness.chart.schema import with_descriptions
from tests.harness.chart.values import read_values

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts" / "peerdb-operator"
CRD = ROOT / "crds" / "mirrors.peerdb.io.yaml"


def generated(chart: Path, crd: Path) -> dict[Path, str]:
    """Every generated file of ``chart`` with what should be in it."""
    values = with_settings((chart / "values.yaml").read_text())
    read = read_values(values)
    return {
        chart / "values.yaml": values,
        chart / "values.schema.json": with_descriptions(
            (chart / "values.schema.json").read_text(), read, alerts(chart)
        ),
        chart / "README.md": readme(yaml.safe_load((chart / "Chart.yaml").read_text()), read),
        chart / "files" / "crds" / crd.name: crd.read_text(),
    }


def alerts(chart: Path) -> list[str]:
    """The names of the alerts of ``chart``."""
    groups = yaml.safe_load((chart / "files" / "alerts.yaml").read_text())["groups"]
    return [rule["alert"] for group in groups for rule in group["rules"]]


def stale(chart: Path, crd: Path) -> list[Path]:
    """Generated files that are missing or differ."""
    wanted = generated(chart, crd)
    return [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]


def main(arguments: list[str]) -> int:
    """Write, or with ``--check`` compare; returns the exit code."""
    if arguments == ["--check"]:
        found = stale(CHART, CRD)
        for path in found:
            sys.stderr.write(f"{path.relative_to(ROOT)} is stale: run make generate\n")
        return 1 if found else 0
    for path, text in generated(CHART, CRD).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Helm and promtool as tests get them: they work, and are of the release their modules ask for or a newer one."""

import json
import subprocess
from pathlib import Path

from tests.harness.gotools.programs import HELM, PROMTOOL, is_enough, parsed, read_recipe, release_of

RULES = {"groups": [{"name": "g", "rules": [{"alert": "A", "expr": "up == 0", "for": "1m"}]}]}
CHART = {"apiVersion": "v2", "name": "probe", "version": "0.1.0"}


def run(program: Path, *arguments: object, folder: Path) -> str:
    """Output of a program that knows no home but `folder`."""
    environ = {"HOME": str(folder), "PATH": "/nowhere"}
    done = subprocess.run(
        [program, *map(str, arguments)],
        env=environ,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return done.stdout


def test_helm_tells_the_release_of_its_module_and_renders_a_chart(helm: Path, tmp_path: Path) -> None:
    (tmp_path / "chart" / "templates").mkdir(parents=True)
    (tmp_path / "chart" / "Chart.yaml").write_text(json.dumps(CHART), encoding="utf-8")
    (tmp_path / "chart" / "templates" / "x.yaml").write_text("name: {{ .Release.Name }}\n", encoding="utf-8")

    reported = run(helm, "version", "--template={{.Version}}", folder=tmp_path)
    rendered = run(helm, "template", "mine", tmp_path / "chart", folder=tmp_path)

    assert is_enough(parsed(reported), parsed(release_of(read_recipe(HELM).required)))
    assert rendered.endswith("name: mine\n")


def test_promtool_tells_the_release_of_its_module_and_checks_rules(promtool: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(json.dumps(RULES), encoding="utf-8")

    reported = run(promtool, "--version", folder=tmp_path)
    checked = run(promtool, "check", "rules", tmp_path / "rules.yaml", folder=tmp_path)

    assert is_enough(parsed(reported), parsed(release_of(read_recipe(PROMTOOL).required)))
    assert "1 rules found" in checked

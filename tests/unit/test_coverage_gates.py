"""The coverage gates, on a product of a few lines: what passes, what fails, and who has the last word."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("COV", "PYTEST")
WHOLE = "def decide(asked):\n    return asked\n"
HALF = "def decide(asked):\n    if asked:\n        return 1\n    return 2\n"
LONG = WHOLE + "\n\ndef never(asked):\n" + "    asked += 1\n" * 8
CALLS = "from peerdb_operator import rest\nfrom peerdb_operator.mirror.rules import rule\n\n\ndef test_it():\n"
CONFIG = "[tool.coverage.run]\nbranch = true\nparallel = true\nsource_pkgs = ['peerdb_operator']\n"


def a_run(
    folder: Path, *asked: str, core: str = WHOLE, rest: str = WHOLE, test: str = "assert rule.decide(rest.decide(1))"
) -> subprocess.CompletedProcess[str]:
    """A run of pytest with the gates, over a package that has our package's name and nothing else of it."""
    files = {
        "rest.py": rest,
        "mirror/rules/rule.py": core,
        "mirror/__init__.py": "",
        "mirror/rules/__init__.py": "",
        "__init__.py": "",
    }
    (folder / "peerdb_operator" / "mirror" / "rules").mkdir(parents=True)
    for name, text in files.items():
        (folder / "peerdb_operator" / name).write_text(text, encoding="utf-8")
    (folder / "test_it.py").write_text(f"{CALLS}    {test}\n", encoding="utf-8")
    (folder / "pyproject.toml").write_text(CONFIG, encoding="utf-8")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    plugins = [part for name in ("pytest_cov", "xdist", "tests.harness.coverage_gates") for part in ("-p", name)]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, "--cov", "--cov-report=", *asked],
        cwd=folder,
        env={**environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["alone", "with a worker"])
def test_the_run_ends_with_pytests_own_summary_when_the_gates_are_met(tmp_path: Path, workers: tuple[str, ...]) -> None:
    done = a_run(tmp_path, *workers)

    assert done.returncode == pytest.ExitCode.OK, done.stdout
    *_, first, second, last = done.stdout.splitlines()
    assert first == "coverage of the rules: 100.00 %, at least 100 % is wanted"
    assert second == "coverage of the rest: 100.00 %, at least 90 % is wanted"
    assert last.startswith("1 passed in ")


@pytest.mark.parametrize(
    ("core", "rest", "named"),
    [(HALF, WHOLE, "mirror/rules/rule.py"), (WHOLE, LONG, "peerdb_operator/rest.py")],
    ids=["a branch of the core", "half of the rest"],
)
def test_the_run_fails_and_names_the_file_when_a_gate_is_missed(
    tmp_path: Path, core: str, rest: str, named: str
) -> None:
    done = a_run(tmp_path, core=core, rest=rest)

    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert named in done.stdout
    assert done.stdout.splitlines()[-1].startswith("1 passed in ")

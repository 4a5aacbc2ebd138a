"""The gate of least privilege, on runs of one small test: what passes, what fails, and when it judges what."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.harness.identity_gate import LOGS, Finding
from tests.harness.identity_rights import Right
from tests.unit.harness_identity.test_strangers import a_line

ROOT = Path(__file__).parents[3]
OURS = ("COV", "PYTEST")
GET = Right("", "peerdb.io", "mirrors", "get")
UPDATE = Right("<watched>", "peerdb.io", "mirrors", "update")
FAULT = "list pods (any) in the whole cluster: 403"
SUPERFLUOUS = "the chart lets the operator update mirrors.peerdb.io in namespace <watched>, which no test needed"


def test_the_gate_complains_when_the_whole_suite_ran_and_no_operator_was_the_chart_s() -> None:
    (word,) = Finding(frozenset(), frozenset(), ()).words(whole=True)
    assert "no operator worked as the chart's ServiceAccount" in word
    assert Finding(frozenset(), frozenset(), ()).words(whole=False) == []


SUITE = """
import json
from dataclasses import asdict
from pathlib import Path

import pytest

import tests.harness.identity_gate as gate
from tests.harness.identity_rights import Right

gate.SUITE = Path(__file__).parent / "suite"
"""
FILING = """
import os
from pathlib import Path


def test_it(request, tmp_path_factory):
    from tests.harness.identity_gate import shared_folder

    folder = shared_folder(request.config, tmp_path_factory)
    folder.mkdir(exist_ok=True)
    (folder / "own.json").write_text({filed!r})
    audited = Path(os.environ["CONTROL_PLANE_AUDIT_FOLDER"]) / "control-plane"
    audited.mkdir(parents=True)
    (audited / "audit.log").write_text({log!r})
    assert {passes}
"""


def a_run(
    folder: Path,
    *asked: str,
    used: tuple[Right, ...] = (GET, UPDATE),
    refused: str = "",
    log: str = "",
    passes: bool = True,
) -> subprocess.CompletedProcess[str]:
    """A run of pytest with the gate over a suite of two tests, one of which files these findings."""
    (folder / "suite").mkdir()
    (folder / "conftest.py").write_text(SUITE, encoding="utf-8")
    filed = {
        "granted": [asdict(GET), asdict(UPDATE)],
        "used": [asdict(each) for each in used],
        "refused": [refused] if refused else [],
    }
    text = FILING.format(filed=json.dumps(filed), log=log, passes=passes)
    (folder / "suite" / "test_one.py").write_text(text, encoding="utf-8")
    (folder / "suite" / "test_two.py").write_text("def test_other():\n    pass\n", encoding="utf-8")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    workers = ("-p", "xdist") if "-n2" in asked else ()
    gate = (*workers, "-p", "tests.harness.identity_gate", f"--basetemp={folder / 'base'}")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *gate, *asked],
        cwd=folder,
        env={**environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


WORKERS = pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "with workers"])


@WORKERS
def test_the_run_fails_and_names_the_right_when_the_whole_suite_did_not_use_it(
    tmp_path: Path, workers: tuple[str, ...]
) -> None:
    done = a_run(tmp_path, "suite", *workers, used=(GET,))
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert f"least privilege: {SUPERFLUOUS}" in done.stdout


@pytest.mark.parametrize(
    "part",
    [
        ("suite/test_one.py",),
        ("suite", "-k", "test_it"),
        ("suite", "-k", "test_it", "-n2"),
        ("suite/test_one.py::test_it", "suite/test_two.py"),
    ],
    ids=" ".join,
)
def test_an_unused_right_is_no_fault_when_a_part_of_the_suite_was_left_out(
    tmp_path: Path, part: tuple[str, ...]
) -> None:
    done = a_run(tmp_path, *part, used=(GET,))
    assert done.returncode == pytest.ExitCode.OK, done.stdout


def test_an_unused_right_is_no_fault_of_its_own_when_a_test_failed(tmp_path: Path) -> None:
    done = a_run(tmp_path, "suite", used=(GET,), passes=False)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "least privilege" not in done.stdout


def test_the_run_fails_and_names_the_request_when_one_was_refused_in_any_part(tmp_path: Path) -> None:
    done = a_run(tmp_path, "suite/test_one.py", refused=FAULT)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert f"least privilege: the chart does not let the operator {FAULT}" in done.stdout


@WORKERS
def test_the_run_fails_and_names_user_and_namespace_when_an_operator_worked_as_the_admin_in_any_part(
    tmp_path: Path, workers: tuple[str, ...]
) -> None:
    done = a_run(tmp_path, "suite/test_one.py", *workers, log=a_line("admin", namespace="data"))
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert "least privilege: an operator worked as admin in namespace data, not as a Serv" in done.stdout
    assert not (tmp_path / "base" / LOGS).exists()


def test_the_run_passes_when_every_operator_was_the_chart_s(tmp_path: Path) -> None:
    done = a_run(tmp_path, "suite", log=a_line("system:serviceaccount:peerdb-system:release-1-peerdb-operator"))
    assert done.returncode == pytest.ExitCode.OK, done.stdout
    assert "least privilege" not in done.stdout

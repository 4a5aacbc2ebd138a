"""Every line of shell in the README is run: here, or by the test that is named here."""

import ast
import dataclasses
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.docs.pages import README, ROOT, SHELL, Page, commands_of
from tests.docs.stage import NAMESPACE, Stage, a_status, put_mirror
from tests.harness.controlplane.launch import ControlPlane
from tests.harness.identity_on_file import account_kubeconfig
from tests.harness.operator_process import Launch, RunningOperator
from tests.harness.peerdb.process import SimulatorProcess
from tests.image.playing import HIDDEN

pytestmark = pytest.mark.e2e

BLOCKS = [block for block in Page(README).blocks if block.language in SHELL]
LINES = [line for block in BLOCKS for line in commands_of(block)]
ELSEWHERE = {
    "make demo": ("tests/e2e/test_demo.py", "COMMAND"),
    "make test": ("tests/unit/test_repository.py", "test_ci_runs_the_command_of_the_readme"),
}
"""What takes minutes: the test (or what it starts) that does the same."""
PASTED = {"kubectl apply --server-side -f crds/"}
INSTALLED = (
    "python3 -m venv /tmp/peerdb-operator",
    "/tmp/peerdb-operator/bin/pip install --require-hashes -r requirements.lock",
    "/tmp/peerdb-operator/bin/pip install --no-deps .",
)
SHOWN = "kubectl get mirrors"
INSTALL_SECONDS = 300
RUN = re.compile(r"PEERDB_URL=\S+ KUBECONFIG=\S+ /tmp/peerdb-operator/bin/peerdb-operator run")


def how(line: str) -> str:
    """By what a line is proven; raises LookupError for one that nothing proves."""
    if line in ELSEWHERE:
        return "elsewhere"
    if line in PASTED or line.startswith("helm "):
        return "pasted"
    if line == SHOWN:
        return "shown"
    if line in INSTALLED or RUN.fullmatch(line):
        return "run"
    raise LookupError(f"no test runs this line of the README: {line}")


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_the_readme_is_proven_by_a_test(line: str) -> None:
    assert how(line)


def test_a_line_is_not_proven_when_no_test_knows_it() -> None:
    with pytest.raises(LookupError, match="kubectl get pods"):
        how("kubectl get pods")


@pytest.mark.parametrize(("path", "name"), sorted(set(ELSEWHERE.values())))
def test_what_proves_a_line_exists(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assigned = [target for node in ast.walk(tree) if isinstance(node, ast.Assign) for target in node.targets]

    assert name in defined | {target.id for target in assigned if isinstance(target, ast.Name)}


def test_make_demo_starts_what_the_tests_of_the_demo_start() -> None:
    assert "-m tests.harness.demo" in what_make_does("demo")


def test_make_test_runs_the_checks_and_all_tests() -> None:
    does = what_make_does("test")

    assert "-m pytest tests -n" in does
    assert "mypy" in does


def what_make_does(target: str) -> str:
    """The commands of a target, not run."""
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return done.stdout


@pytest.mark.parametrize("line", [line for line in LINES if how(line) == "pasted"])
def test_a_line_works_when_it_is_pasted(stage: Stage, line: str) -> None:
    done = stage.run(line)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_list_of_mirrors_looks_as_shown(stage: Stage, our_control_plane: ControlPlane) -> None:
    [block] = [block for block in BLOCKS if SHOWN in commands_of(block)]
    header, *rows = [re.split(r"  +", line.strip()) for line in block.text.splitlines() if not line.startswith("$")]
    for row in rows:
        name, desired, state, ready, reason, *rest = row
        tables = rest[0] if len(rest) > 1 else None
        wish = {"state": desired} | ({} if tables is None else {"tables": [{"source": "a.b", "destination": "b"}]})
        put_mirror(our_control_plane, name, wish, a_status(state, reason, ready, tables))

    shown = stage.run(f"{SHOWN} {' '.join(row[0] for row in rows)}").stdout.splitlines()

    assert re.split(r"  +", shown[0].strip()) == header
    assert [re.split(r"  +", line.strip())[:-1] for line in shown[1:]] == [row[:-1] for row in rows]


@dataclasses.dataclass(frozen=True, slots=True)
class AsShown(Launch):
    """The line of the README, in a home that has a kubeconfig where the line looks for it: no admin's, the chart's."""

    line: str = dataclasses.field(kw_only=True)
    home: Path = dataclasses.field(kw_only=True)

    def argv(self, health_port: int) -> list[str]:
        """The address and the folder of the installation are others than in the line, nothing else."""
        line = changed_since_full(self.line.replace("http://localhost:8113", self.peerdb_url), self.home)
        variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "PEERDB_OPERATOR_NAMESPACES": NAMESPACE,
            "PEERDB_OPERATOR_HEALTH_PORT": str(health_port),
            "PEERDB_OPERATOR_METRICS_PORT": "0",
        }
        return ["env", "-i", *(f"{name}={value}" for name, value in variables.items()), "bash", "-c", line]


def changed_since_full(line: str, home: Path) -> str:
    """The line with the installation in another folder than that of a user."""
    return line.replace("/tmp/peerdb-operator", str(home / "peerdb-operator"))


def install(home: Path, lines: Sequence[str]) -> None:
    """Run lines of the README in a copy of what a checkout has of the package."""
    checkout = home / "checkout"
    checkout.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "requirements.lock"):
        shutil.copy(ROOT / name, checkout)
    shutil.copytree(ROOT / "operator", checkout / "operator", ignore=shutil.ignore_patterns("__pycache__"))
    environ = {name: value for name, value in os.environ.items() if not name.startswith(HIDDEN)}
    environ |= {"PATH": os.pathsep.join([str(Path(sys.executable).parent), environ["PATH"]])}
    script = "\n".join(changed_since_full(line, home) for line in lines)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=checkout,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(INSTALL_SECONDS + 120)
def test_the_operator_works_when_it_is_installed_and_run_as_shown(
    stage: Stage, sim: SimulatorProcess, tmp_path: Path
) -> None:
    *installing, line = [line for line in LINES if how(line) == "run"]
    assert installing == list(INSTALLED)
    install(tmp_path, installing)
    kubeconfig = account_kubeconfig(stage.cluster, NAMESPACE)
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_bytes(kubeconfig.read_bytes())

    with RunningOperator.start(AsShown(Path("-"), sim.gateway_url, line=line, home=tmp_path)) as operator:
        reported = stage.run(
            "kubectl wait --for jsonpath='{.status.mirrorName}'=orders_cdc --timeout 60s mirror/orders-cdc"
        )

        assert reported.returncode == 0, reported.stderr
        assert operator.stop() == 0

"""The shape of the repository that tools and people rely on."""

import ast
import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from tests.harness.locks import PIN, pins

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "operator" / "peerdb_operator"
MODULES = sorted(PACKAGE.rglob("*.py"))
ROOT_NAMES = {
    "Makefile",
    "README.md",
    "CHANGELOG.md",
    "Dockerfile",
    "LICENSE",
    "pyproject.toml",
    "operator",
    "crds",
    "charts",
    "tests",
    "docs",
}
BUILT = [*MODULES, *sorted((ROOT / "tests" / "harness").rglob("*.py"))]
LOCKS = {
    "requirements.lock": (),
    "requirements-dev.lock": ("dev",),
    "requirements-go.lock": ("go",),
    "requirements-build.lock": ("build",),
}
FOREIGN = r"(index-url|registry) *[=:] *[\"']?https?:|(^|[^A-Za-z0-9._-])/(root|home|work|Users)/[A-Za-z.]"


def test_the_operator_folder_is_no_package_because_it_would_shadow_the_standard_library() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_nothing_but_the_known_names_lies_at_the_root() -> None:
    strangers = {
        path.name
        for path in ROOT.iterdir()
        if not path.name.startswith(".") and not path.match("requirements*.lock") and path.name not in ROOT_NAMES
    }

    assert strangers == set()


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_says_what_it_owns_and_stays_short(module: Path) -> None:
    text = module.read_text()

    assert text.lstrip().startswith('"""')
    assert text.count("\n") <= 400


def test_no_file_names_a_registry_or_a_folder_of_one_machine() -> None:
    found = subprocess.run(
        ["git", "grep", "--line-number", "-I", "--extended-regexp", FOREIGN, "--", ".", ":!*.sum"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (found.returncode, found.stdout) == (1, "")


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pinned_package_has_its_hashes_and_nothing_says_where_it_comes_from(lock: str) -> None:
    lines = [line for line in (ROOT / lock).read_text().splitlines() if not line.lstrip().startswith("#")]
    tops = [number for number, line in enumerate(lines) if not line.startswith(" ")]

    assert tops
    assert [lines[number] for number in tops if PIN.match(lines[number]) is None] == []
    assert all(lines[number + 1].startswith("    --hash=sha256:") for number in tops)
    assert "://" not in "".join(lines)


@pytest.mark.parametrize(("lock", "groups"), LOCKS.items())
def test_what_the_project_asks_for_is_pinned(lock: str, groups: tuple[str, ...]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [] if groups in {("go",), ("build",)} else project["project"]["dependencies"]
    wanted = wanted + [each for group in groups for each in project["dependency-groups"][group]]
    pinned = {pin.name for pin in pins(ROOT / lock)}

    assert {re.split(r"[\[<>=~!]", each)[0] for each in wanted} <= pinned


def test_what_is_asked_for_with_an_extra_is_pinned_with_it_or_a_newer_release_breaks_the_set_up() -> None:
    pinned = {f"{pin.name}[{extra}]" for pin in pins(ROOT / "requirements-dev.lock") for extra in pin.extras}
    installed = [each for pin in pins(ROOT / "requirements-dev.lock") for each in metadata.distributions(name=pin.name)]
    asked = {
        found[0]
        for each in installed
        for line in each.requires or ()
        if (found := re.match(r"[\w.-]+\[\S+?\]", line)) and "extra ==" not in line
    }

    assert "coverage[toml]" in asked
    assert pinned == asked


@pytest.mark.parametrize("module", BUILT, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_functions_keep_to_their_sizes(module: Path) -> None:
    text = module.read_text()
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]

    assert len(text.splitlines()) <= 400
    assert [each.name for each in functions if (each.end_lineno or 0) - each.lineno >= 60] == []


def test_every_target_of_the_makefile_says_what_it_does() -> None:
    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert [line.split()[0] for line in told.splitlines()] == targets


def test_ci_runs_the_command_of_the_readme() -> None:
    script = ROOT / ".ci" / "run"
    lines = script.read_text().splitlines()

    assert script.stat().st_mode & 0o111 == 0o111
    assert lines[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in lines
    assert lines[-1] == "make test"
    assert "\nmake test " in (ROOT / "README.md").read_text()

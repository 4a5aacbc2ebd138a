"""The shape of the repository that tools and people rely on."""

from pathlib import Path

import pytest

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
    assert text.count("\n") <= 250

"""The page on architecture names what exists, and every package; sizes and journeys keep their bounds."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.journeys import Journey, deletion, edit, spec_change
from tests.harness.sizes import by_file, by_package

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "operator" / "peerdb_operator"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FILES = sorted(set(re.findall(r"`((?:[\w]+/)*[\w]+\.py)(?::\w+)?`", PAGE)))
STEPS = sorted(set(re.findall(r"`((?:[\w]+/)*[\w]+\.py):(\w+)`", PAGE)))
NET_LINES = 9_500


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_the_page_names_exists(name: str) -> None:
    assert (PACKAGE / name).is_file() or (ROOT / name).is_file()


@pytest.mark.parametrize(("name", "function"), STEPS)
def test_a_function_that_the_page_names_is_in_its_file(name: str, function: str) -> None:
    tree = ast.parse((PACKAGE / name).read_text(encoding="utf-8"))
    assert function in {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_the_page_names_every_package() -> None:
    packages = {str(path.parent.relative_to(PACKAGE)) for path in PACKAGE.rglob("__init__.py")} - {"."}
    assert {package for package in packages if f"{Path(package).name}/" not in PAGE} == set()


@pytest.mark.parametrize(
    ("play", "hops", "functions", "files"),
    [(spec_change, 16, 290, 47), (edit, 14, 350, 48), (deletion, 17, 310, 47)],
    ids=["spec change", "edit", "deletion"],
)
def test_a_journey_does_not_grow(play: Callable[[], Journey], hops: int, functions: int, files: int) -> None:
    journey = play()
    assert journey.hops <= hops
    assert journey.functions <= functions
    assert len(journey.files) <= files


def test_the_product_does_not_grow_unnoticed() -> None:
    files = by_file()
    assert sum(files.values()) <= NET_LINES, by_package(files)

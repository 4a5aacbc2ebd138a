"""The JSON Schema for editors is fresh, takes every Mirror of the documentation, and refuses a misspelt field."""

import json
import re
from copy import deepcopy
from typing import Any

import jsonschema
import pytest
import yaml

from tests.docs.pages import DOCS, README, ROOT, Page
from tests.harness.docs.schema import render

FILE = DOCS / "schema" / "mirror_v1alpha1.json"
SHOWN = {
    f"{page.name}:{block.line}": block.text
    for page in [Page(README), *map(Page, sorted(DOCS.rglob("*.md")))]
    for block in page.blocks
    if block.language == "yaml"
}
FILED = {str(path.relative_to(DOCS)): path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.yaml"))}
MIRRORS = {
    name: wish
    for name, text in (SHOWN | FILED).items()
    for wish in yaml.safe_load_all(text)
    if isinstance(wish, dict) and wish.get("kind") == "Mirror"
}


def complaints(wish: object) -> list[str]:
    """What an editor underlines."""
    schema = json.loads(FILE.read_text(encoding="utf-8"))
    jsonschema.Draft7Validator.check_schema(schema)
    return [f"{each.json_path}: {each.message}" for each in jsonschema.Draft7Validator(schema).iter_errors(wish)]


def test_the_schema_is_fresh() -> None:
    assert FILE.read_text(encoding="utf-8") == render()


@pytest.mark.parametrize("wish", MIRRORS.values(), ids=MIRRORS)
def test_a_mirror_is_taken_when_the_documentation_shows_it(wish: object) -> None:
    assert complaints(wish) == []


def test_mirrors_of_pages_samples_and_runs_are_among_them() -> None:
    assert {"samples/orders.yaml", "gitops/flux/mirror.yaml"} <= set(MIRRORS)
    assert [name for name in MIRRORS if "testdata/running" in name]
    assert [name for name in MIRRORS if name.startswith("README.md")]


@pytest.mark.parametrize(
    ("place", "key", "value"),
    [
        ((), "spek", {}),
        ((), "kind", "Miror"),
        (("metadata",), "name", 1),
        (("spec",), "batchsize", 1000),
        (("spec",), "state", "Stopped"),
        (("spec", "tables", 0), "destinaton", "orders"),
        (("spec", "tables", 0, "columns", 0), "type", "text"),
    ],
)
def test_a_mirror_is_refused_when_a_field_or_a_value_does_not_exist(
    place: tuple[str | int, ...], key: str, value: object
) -> None:
    wish: Any = deepcopy(MIRRORS["samples/retain.yaml"])
    node = wish
    for step in place:
        node = node[step]
    node[key] = value

    assert len(complaints(wish)) == 1


def test_the_page_names_the_schema_where_the_repository_has_it() -> None:
    [address] = re.findall(r"yaml-language-server: \$schema=(\S+)`", (DOCS / "install.md").read_text(encoding="utf-8"))

    assert address.endswith(f"/main/{FILE.relative_to(ROOT)}")


def test_nothing_is_left_in_it_that_only_an_api_server_understands() -> None:
    assert "x-kubernetes" not in FILE.read_text(encoding="utf-8")

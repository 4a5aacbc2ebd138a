"""What the CRD of a Mirror promises, read from the committed file."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
CRD_FILE = ROOT / "crds" / "mirrors.peerdb.io.yaml"
Schema = dict[str, Any]


def test_the_committed_file_is_what_the_command_prints_when_it_runs_with_any_hash_seed() -> None:
    for seed in ("1", "2"):
        printed = subprocess.run(
            [sys.executable, "-m", "tests.harness.crdgen"],
            env={"PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}", "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert printed == CRD_FILE.read_text(encoding="utf-8")


def nodes(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Every schema inside a schema, with its path."""
    yield path, schema
    for name, below in schema.get("properties", {}).items():
        yield from nodes(below, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from nodes(schema["additionalProperties"], f"{path}.*")


@pytest.fixture(scope="module")
def mirror_crd() -> Schema:
    """The CRD as it is committed."""
    found: Schema = yaml.safe_load(CRD_FILE.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def mirror_schema(mirror_crd: Schema) -> dict[str, Schema]:
    """Every node of it by path."""
    return dict(nodes(mirror_crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]))


def test_the_server_fills_in_these_defaults_and_no_other_when_a_mirror_is_created(
    mirror_schema: dict[str, Schema],
) -> None:
    assert {path: node["default"] for path, node in mirror_schema.items() if "default" in node} == {
        ".spec.state": "Running",
        ".spec.deletionPolicy": "Drop",
        ".spec.drop.statistics": "Keep",
        ".spec.drop.destinationMetadata": "Delete",
        ".status": {"observedGeneration": -1},
    }


def test_the_fields_are_the_supported_ones_when_the_crd_is_read(mirror_schema: dict[str, Schema]) -> None:
    assert list(mirror_schema[".spec"]["properties"]) == [
        "mirrorName", "state", "tables", "batchSize", "idleTimeoutSeconds", "snapshot", "settings", "deletionPolicy",
        "drop",
    ]  # fmt: skip
    assert mirror_schema[""]["required"] == ["spec"]
    assert "required" not in mirror_schema[".spec"]
    assert mirror_schema[".spec.tables[]"]["required"] == ["source", "destination"]


def test_lists_have_their_types_when_the_crd_is_read(mirror_schema: dict[str, Schema]) -> None:
    assert {
        path: node["x-kubernetes-list-type"] for path, node in mirror_schema.items() if node["type"] == "array"
    } == {
        ".spec.tables": "atomic",
        ".spec.tables[].exclude": "set",
        ".spec.tables[].columns": "map",
        ".status.tables.pending": "atomic",
        ".status.bounds.corrections": "atomic",
        ".status.conditions": "map",
    }
    assert mirror_schema[".status.conditions"]["x-kubernetes-list-map-keys"] == ["type"]


def test_rules_stand_where_they_belong_when_the_crd_is_read(mirror_schema: dict[str, Schema]) -> None:
    ruled = {path for path, node in mirror_schema.items() if "x-kubernetes-validations" in node}
    tables = {f".spec.tables[].{name}" for name in ("source", "destination", "partitionKey", "policyName")}
    assert ruled == {"", ".spec", ".spec.tables", ".spec.settings", *tables}


def test_everything_is_bounded_and_nothing_is_kept_unseen_when_the_crd_is_read(
    mirror_schema: dict[str, Schema],
) -> None:
    for path, node in mirror_schema.items():
        assert not node.keys() & {"$ref", "anyOf", "oneOf", "allOf", "x-kubernetes-preserve-unknown-fields"}
        if path.startswith((".spec", ".status")) and node["type"] == "string":
            assert node.keys() & {"enum", "maxLength", "format"}, path
        if node["type"] == "array":
            assert "maxItems" in node, path


def test_null_is_dropped_unseen_everywhere_but_where_a_word_of_its_own_reads_so(
    mirror_schema: dict[str, Schema],
) -> None:
    """What may be null is not dropped; and as no engine is called null, the API server then refuses it."""
    assert [path for path, node in mirror_schema.items() if "nullable" in node] == [".spec.tables[].engine"]
    assert None not in mirror_schema[".spec.tables[].engine"]["enum"]


def test_unit_default_and_mutability_are_told_when_a_field_of_the_spec_is_explained(
    mirror_schema: dict[str, Schema],
) -> None:
    for path, node in mirror_schema.items():
        if not path.startswith(".spec.") or path.endswith(("[]", "*")):
            continue
        text = node["description"]
        assert "Changes: " in text, path
        assert "Default: " in text or "Required." in text, path
        assert node["type"] != "integer" or "Unit: " in text, path
        assert "default" not in node or f"Default: {node['default']}." in text, path


def test_columns_and_names_are_the_documented_ones_when_the_crd_is_read(mirror_crd: Schema) -> None:
    version = mirror_crd["spec"]["versions"][0]
    columns = version["additionalPrinterColumns"]
    assert [column["name"] for column in columns if "priority" not in column] == [
        "Desired", "State", "Ready", "Reason", "Tables", "Age",
    ]  # fmt: skip
    assert [column["name"] for column in columns if column.get("priority") == 1] == ["Mirror", "Deletion", "Message"]
    assert version["subresources"] == {"status": {}}
    assert mirror_crd["spec"]["names"] == {
        "categories": ["peerdb"],
        "kind": "Mirror",
        "listKind": "MirrorList",
        "plural": "mirrors",
        "shortNames": ["mir"],
        "singular": "mirror",
    }

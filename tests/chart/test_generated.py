"""What the chart repeats of the project: it cannot differ, and what is stale is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pytest
import yaml

from peerdb_operator import __version__
from peerdb_operator.api.kinds import Mirror
from tests.chart.helm_cli import Helm, Object, one
from tests.harness.chart.__main__ import CHART, CRD, ROOT, generated, stale
from tests.harness.chart.schema import UnknownValue, with_descriptions
from tests.harness.chart.values import UndocumentedValue, Value, read_values
from tests.harness.crdgen import root_schema

META: Object = yaml.safe_load((CHART / "Chart.yaml").read_text())


def annotation(name: str) -> list[Object]:
    """An annotation for Artifact Hub, which is YAML in a string."""
    listed: list[Object] = yaml.safe_load(META["annotations"][f"artifacthub.io/{name}"])
    return listed


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the chart, to be spoilt."""
    return Path(shutil.copytree(CHART, tmp_path / "chart"))


def test_everything_that_is_generated_is_as_it_would_be_generated_now() -> None:
    assert stale(CHART, CRD) == []


@pytest.mark.parametrize(
    "name", ["values.yaml", "values.schema.json", "README.md", "files/crds/mirrors.peerdb.io.yaml"]
)
def test_a_generated_file_is_stale_when_it_differs(copied: Path, name: str) -> None:
    path = copied / name
    path.write_text(
        path.read_text().replace("Time between two observations", "Time between observations").replace("batch", "bunch")
    )
    assert path in stale(copied, CRD)


def test_the_schema_is_stale_when_an_alert_has_another_name(copied: Path) -> None:
    alerts = copied / "files" / "alerts.yaml"
    alerts.write_text(alerts.read_text().replace("alert: PeerDBOperatorDeaf", "alert: PeerDBOperatorMute"))

    assert stale(copied, CRD) == [copied / "values.schema.json"]
    assert '"PeerDBOperatorMute"' in generated(copied, CRD)[copied / "values.schema.json"]


def test_the_helm_that_is_asked_for_knows_a_kubernetes_that_the_chart_takes() -> None:
    # Each Helm without a cluster takes the Kubernetes of its own libraries: 3.17 has 1.32, 3.18 has 1.33.
    oldest = META["kubeVersion"].removeprefix(">=1.").partition(".")[0]

    assert oldest == "33"
    assert "| Helm | 3.18 or newer, 4 |" in (CHART / "README.md").read_text()


def test_a_copy_of_the_crd_that_is_gone_is_stale(copied: Path) -> None:
    (copied / "files" / "crds" / CRD.name).unlink()

    assert stale(copied, CRD) == [copied / "files" / "crds" / CRD.name]


def test_generating_mends_what_is_stale(copied: Path) -> None:
    values = copied / "values.yaml"
    values.write_text(values.read_text().replace("Name of the Secret. Empty: no password.", "Another text."))
    assert stale(copied, CRD) == [copied / "values.schema.json", copied / "README.md"]

    for path, text in generated(copied, CRD).items():
        path.write_text(text)

    assert stale(copied, CRD) == []
    assert "Another text." in (copied / "README.md").read_text()


def test_the_crd_of_the_chart_is_the_crd_of_the_project(chart_helm: Helm) -> None:
    rendered = one(chart_helm.template(), "CustomResourceDefinition")
    added = {rendered["metadata"].pop("labels")["app.kubernetes.io/name"], *rendered["metadata"].pop("annotations")}

    assert added == {"peerdb-operator", "helm.sh/resource-policy"}
    assert rendered == yaml.safe_load(CRD.read_text())


def test_the_version_of_the_chart_is_that_of_the_package() -> None:
    assert (META["version"], META["appVersion"]) == (__version__, __version__)
    assert isinstance(META["appVersion"], str)


def test_the_images_that_are_announced_are_those_that_run(chart_helm: Helm) -> None:
    containers = one(chart_helm.template(), "Deployment")["spec"]["template"]["spec"]["containers"]

    assert annotation("images") == [{"name": each["name"], "image": each["image"]} for each in containers]


def test_the_kinds_that_are_announced_are_those_that_are_installed() -> None:
    definition = yaml.safe_load(CRD.read_text())
    [announced] = annotation("crds")

    assert announced["name"] == definition["metadata"]["name"]
    assert announced["kind"] == definition["spec"]["names"]["kind"]
    assert announced["version"] == definition["spec"]["versions"][0]["name"]
    assert {"displayName", "description"} <= set(announced)


def test_every_example_that_is_announced_is_a_legal_mirror() -> None:
    examples = annotation("crdsExamples")
    schema = root_schema(Mirror)

    assert {each["kind"] for each in examples} == {each["kind"] for each in annotation("crds")}
    for example in examples:
        jsonschema.Draft202012Validator(schema).validate(example)
        assert set(example["spec"]) <= set(schema["properties"]["spec"]["properties"])


def test_what_is_announced_is_what_artifact_hub_can_read() -> None:
    annotations = META["annotations"]
    license_file = (ROOT / "LICENSE").read_text()

    assert {type(value) for value in annotations.values()} == {str}
    assert annotations["artifacthub.io/license"] == "Apache-2.0"
    assert "Apache License" in license_file
    assert annotations["artifacthub.io/operator"] == "true"
    assert {each["kind"] for each in annotation("changes")} <= {
        "added",
        "changed",
        "deprecated",
        "removed",
        "fixed",
        "security",
    }
    assert all(each["name"] and each["url"].startswith("https://") for each in annotation("links"))


def test_the_readme_has_a_row_for_every_value_and_every_right() -> None:
    page = (CHART / "README.md").read_text()

    assert [value.path for value in values() if f"`{'.'.join(value.path)}`" not in page and len(value.path) > 1] == []
    assert [value.path for value in values() if value.text.replace("|", r"\|") not in page] == []
    assert f"| version | {__version__} |" in page


def values() -> list[Value]:
    """All values of the chart."""
    return read_values((CHART / "values.yaml").read_text())


def test_a_value_without_a_comment_is_named() -> None:
    with pytest.raises(UndocumentedValue, match=r"metrics\.port has no comment"):
        read_values("# Metrics.\nmetrics:\n  # Whether.\n  enabled: true\n  port: 1\n")


def test_a_comment_belongs_to_the_key_right_below_it_alone() -> None:
    read = read_values("# A page's\n# head.\n\n# Of\n# one.\none: {}\n# Of two.\ntwo:\n  three: 3\n")

    assert [(value.path, value.text, value.default, value.is_section) for value in read] == [
        (("one",), "Of one.", {}, False),
        (("two",), "Of two.", {"three": 3}, False),
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("# T.\nsettings: {}\n# T.\nextra: 1\n", "extra is in values.yaml and not in values.schema.json"),
        ("# T.\nsettings: {}\n", r"settings\.concurrency is in values.schema.json and not in values.yaml"),
    ],
)
def test_a_value_that_only_one_of_the_two_files_knows_is_named(text: str, sentence: str) -> None:
    schema = json.dumps({"properties": {"settings": {"properties": {}}}})
    read = read_values(text)

    with pytest.raises(UnknownValue, match=sentence):
        with_descriptions(schema, read, [])

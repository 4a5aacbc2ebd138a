"""What the documentation shows as YAML is taken by the real API server, or by the chart's schema."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
import pytest
import yaml

from tests.docs.pages import DOCS, README, ROOT, Block, Page
from tests.docs.stage import NAMESPACE
from tests.harness.controlplane.launch import ControlPlane

pytestmark = pytest.mark.e2e

CHART = ROOT / "charts" / "peerdb-operator"
PAGES = [Page(path) for path in [README, *sorted(DOCS.rglob("*.md"))]]
BLOCKS = [(page, block) for page in PAGES for block in page.blocks if block.language in {"yaml", "yml"}]
OBJECTS = {
    f"{page.name}:{block.line}:{number}": wish
    for page, block in BLOCKS
    for number, wish in enumerate(yaml.safe_load_all(block.text))
    if "kind" in wish
}
FILES = [path for path in sorted(DOCS.rglob("*.yaml")) if "testdata" not in path.parts]
IN_FILES = {
    f"{path.relative_to(ROOT)}:{number}": wish
    for path in FILES
    for number, wish in enumerate(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    if "kind" in wish
}
PARSED_ONLY = {
    "argoproj.io": {"Application", "AppProject"},
    "source.toolkit.fluxcd.io": {"GitRepository", "HelmRepository", "OCIRepository"},
    "helm.toolkit.fluxcd.io": {"HelmRelease"},
    "kustomize.toolkit.fluxcd.io": {"Kustomization"},
    "monitoring.coreos.com": {"ServiceMonitor", "PodMonitor", "PrometheusRule"},
}
"""Kinds that this API server does not serve: they are only read. Argo CD's definition comes with all its source."""

Wish = Mapping[str, Any]


def is_parsed_only(wish: Wish) -> bool:
    """Whether an object is of a kind that other projects define."""
    return wish["kind"] in PARSED_ONLY.get(str(wish["apiVersion"]).partition("/")[0], ())


def dry_run(cluster: ControlPlane, wish: Wish) -> tuple[int, str]:
    """What the API server says of an object; its namespace is made first, unless the object names none."""
    namespace = wish["metadata"].get("namespace")
    if namespace is not None:
        place = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        cluster.kubectl("apply", "--server-side", "--filename", "-", input=json.dumps(place))
    place_of = () if namespace is not None else (f"--namespace={NAMESPACE}",)
    strict = ("apply", "--server-side", "--dry-run=server", "--validate=strict", *place_of, "--filename", "-")
    done = cluster.kubectl(*strict, input=json.dumps(wish), check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("wish", (OBJECTS | IN_FILES).values(), ids=OBJECTS | IN_FILES)
def test_an_object_is_taken_as_it_stands_when_it_is_applied(cluster: ControlPlane, wish: Wish) -> None:
    if is_parsed_only(wish):
        assert wish["metadata"]["name"]
        return

    code, said = dry_run(cluster, wish)

    assert code == 0, said
    assert "Warning" not in said


def test_every_file_holds_objects_but_for_those_that_argo_cd_tests_itself_with() -> None:
    applied = {name.rpartition(":")[0] for name in IN_FILES}
    others = {path.name for path in FILES if str(path.relative_to(ROOT)) not in applied}

    assert others == {"health_test.yaml", "action_test.yaml"}
    assert {"Mirror", "ConfigMap", "Namespace", "Application", "HelmRelease"} <= {
        wish["kind"] for wish in IN_FILES.values()
    }


def test_an_object_is_refused_when_a_field_of_it_is_misspelt(cluster: ControlPlane) -> None:
    sample = yaml.safe_load((DOCS / "samples" / "orders.yaml").read_text(encoding="utf-8"))
    sample["spec"]["batchsize"] = sample["spec"].pop("batchSize")

    code, said = dry_run(cluster, sample)

    assert code != 0
    assert "batchsize" in said


def fragments() -> Iterator[tuple[Page, Block, Wish]]:
    """Blocks that are no objects."""
    for page, block in BLOCKS:
        for content in yaml.safe_load_all(block.text):
            if "kind" not in content:
                yield page, block, content


def test_what_is_no_object_is_a_file_of_values_that_the_chart_takes() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    ours = [(block, content) for page, block, content in fragments() if "gitops" not in page.name]

    assert [block.line for block, _ in ours if not block.text.startswith("# values.yaml\n")] == []
    for _, content in ours:
        jsonschema.validate(content, schema)


def test_the_documentation_shows_objects_of_ours_and_of_kubernetes() -> None:
    assert {"Mirror", "NetworkPolicy", "ValidatingAdmissionPolicy"} <= {wish["kind"] for wish in OBJECTS.values()}

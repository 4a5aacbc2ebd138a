"""The page on compatibility names the releases that the tests run against, and those that the code refuses."""

import re
import tomllib

import yaml

from peerdb_operator.api.constants import API_VERSION
from peerdb_operator.peerdb.client import OLDEST_SUPPORTED, VERSION_PERIOD
from tests.docs.pages import DOCS, README, ROOT, Page
from tests.harness.controlplane.recipe import MODULE_DIRECTORY
from tests.harness.gotools.programs import HELM
from tests.harness.gotools.recipe import read_requirement

PAGE = Page(DOCS / "compatibility.md").text
INSTALL = Page(DOCS / "install.md").text
OLDEST = ".".join(str(part) for part in OLDEST_SUPPORTED)


def test_the_oldest_peerdb_is_the_one_that_the_operator_takes() -> None:
    for text in (PAGE, INSTALL, Page(README).text):
        assert f"{OLDEST} and newer" in text or f"{OLDEST} or newer" in text
    before = ".".join(str(part) for part in (*OLDEST_SUPPORTED[:-1], OLDEST_SUPPORTED[-1] - 1))
    assert f"| {before} and older | refused" in PAGE
    assert f"every {VERSION_PERIOD / 60:.0f} minutes" in PAGE


def test_the_tested_kubernetes_is_the_one_that_the_tests_run() -> None:
    module = (MODULE_DIRECTORY / "go.mod").read_text(encoding="utf-8")
    tested = re.search(r"k8s\.io/kubernetes v(\S+)", module)

    assert tested is not None
    assert f"| {tested[1]} | every test runs against" in PAGE


def test_the_tested_helm_is_the_one_that_the_tests_run() -> None:
    tested = read_requirement(HELM.module, HELM.source).version.removeprefix("v")

    assert f"| Helm | {tested} | tested" in PAGE


def test_flux_is_named_by_the_versions_of_its_kinds_that_the_samples_use() -> None:
    samples = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "gitops" / "flux").rglob("*.yaml"))
    used = set(re.findall(r"^apiVersion: (\S+\.fluxcd\.io/\S+)$", samples, re.MULTILINE))

    assert used
    assert [version for version in used if f"`{version}`" not in PAGE] == []


def test_the_oldest_kubernetes_is_the_one_that_the_chart_takes() -> None:
    chart = yaml.safe_load((ROOT / "charts" / "peerdb-operator" / "Chart.yaml").read_text(encoding="utf-8"))
    oldest = re.search(r"\d+\.\d+", chart["kubeVersion"])

    assert oldest is not None
    assert f"| {oldest[0]} and newer | supported |" in PAGE
    assert f"Kubernetes {oldest[0]} or newer" in INSTALL
    assert f"Kubernetes {oldest[0]} or newer" in Page(README).text


def test_the_oldest_python_is_the_one_that_the_package_takes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert f"{project['requires-python'].removeprefix('>=')} or newer, for running it" in PAGE


def test_the_version_of_the_api_is_the_one_that_is_served() -> None:
    assert f"`{API_VERSION}`" in PAGE

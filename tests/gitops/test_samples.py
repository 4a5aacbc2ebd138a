"""The samples say what the page about them promises."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.harness.gitops.paths import ARGOCD, FLUX, GITOPS, ROOT

SAMPLES = sorted([*(ARGOCD / "samples").glob("*.yaml"), *FLUX.rglob("*.yaml")])
CRD = yaml.safe_load((ROOT / "crds" / "mirrors.peerdb.io.yaml").read_text())
OPTIONS = "argocd.argoproj.io/sync-options"

Object = dict[str, Any]


def objects(path: Path) -> list[Object]:
    return list(yaml.safe_load_all(path.read_text()))


def of_kind(kind: str) -> dict[str, Object]:
    return {
        f"{path.parent.name}/{each['metadata']['name']}": each
        for path in SAMPLES
        for each in objects(path)
        if each["kind"] == kind
    }


def options(application: Object) -> set[str]:
    return set(application["spec"]["syncPolicy"]["syncOptions"])


def test_every_application_is_applied_and_compared_by_the_server_and_tried_again() -> None:
    applications = of_kind("Application")
    assert set(applications) == {"samples/peerdb-operator", "samples/mirrors"}
    for each in applications.values():
        assert "ServerSideApply=true" in options(each)
        assert each["metadata"]["annotations"]["argocd.argoproj.io/compare-options"] == "ServerSideDiff=true"
        assert each["spec"]["syncPolicy"]["retry"]["backoff"]
        assert "ignoreDifferences" not in each["spec"]


def test_mirrors_come_after_the_operator_in_an_application_of_their_own_and_go_only_when_confirmed() -> None:
    applications = of_kind("Application")
    operator, mirrors = applications["samples/peerdb-operator"], applications["samples/mirrors"]
    waves = [int(each["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"]) for each in (operator, mirrors)]
    assert waves == [-2, 0]
    assert operator["spec"]["source"]["path"] != mirrors["spec"]["source"]["path"]
    assert {"Prune=confirm", "Delete=confirm", "SkipDryRunOnMissingResource=true"} <= options(mirrors)
    assert operator["spec"]["syncPolicy"]["automated"]["prune"] is False


def test_nothing_is_ever_replaced_or_forced() -> None:
    named = [path for path in SAMPLES if re.search(r"(Replace|Force)=true", path.read_text())]
    assert named == []


def test_a_mirror_in_git_names_its_state_and_is_guarded_against_pruning() -> None:
    mirrors = of_kind("Mirror")
    assert set(mirrors) == {"samples/orders-cdc", "flux/orders-cdc"}
    argo, flux = mirrors["samples/orders-cdc"], mirrors["flux/orders-cdc"]
    assert {"Prune=confirm", "Delete=confirm"} <= set(argo["metadata"]["annotations"][OPTIONS].split(","))
    assert flux["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/prune"] == "disabled"
    assert [each["spec"]["state"] for each in mirrors.values()] == ["Running", "Running"]


@pytest.mark.parametrize("mirror", of_kind("Mirror").values(), ids=of_kind("Mirror"))
def test_a_mirror_in_git_is_one_that_the_crd_describes(mirror: Object) -> None:
    spec = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    jsonschema.validate(mirror["spec"], spec)
    assert set(mirror["spec"]) <= set(spec["properties"])


def test_the_chart_that_is_installed_is_the_one_of_this_repository_with_values_that_it_takes() -> None:
    release = of_kind("HelmRelease")["operator/peerdb-operator"]["spec"]
    application = of_kind("Application")["samples/peerdb-operator"]["spec"]["source"]
    assert release["chart"]["spec"]["chart"] == application["path"] == "charts/peerdb-operator"
    chart = ROOT / application["path"]
    schema = json.loads((chart / "values.schema.json").read_text())
    for values in (release["values"], application["helm"]["valuesObject"]):
        jsonschema.validate(values, schema)
    version = yaml.safe_load((chart / "Chart.yaml").read_text())["version"]
    sources = of_kind("GitRepository")
    assert application["targetRevision"] == sources["flux/peerdb-operator"]["spec"]["ref"]["tag"] == f"v{version}"


def test_flux_waits_for_the_operator_and_for_the_mirrors() -> None:
    steps = of_kind("Kustomization")
    operator, mirrors = steps["flux/peerdb-operator"]["spec"], steps["flux/mirrors"]["spec"]
    assert (operator["wait"], mirrors["wait"]) == (True, True)
    assert mirrors["dependsOn"] == [{"name": "peerdb-operator"}]
    assert operator["prune"] is False
    named = {each["metadata"]["name"] for each in of_kind("GitRepository").values()}
    assert {each["spec"]["sourceRef"]["name"] for each in steps.values()} <= named


def test_flux_finds_the_namespace_of_the_mirrors_beside_them_and_never_prunes_it() -> None:
    wanted = of_kind("Kustomization")["flux/mirrors"]["spec"]["targetNamespace"]
    namespace = of_kind("Namespace")[f"flux/{wanted}"]
    assert namespace["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/prune"] == "disabled"
    assert of_kind("Mirror")["flux/orders-cdc"]["metadata"]["namespace"] == wanted


def test_the_page_leads_to_every_file_that_it_speaks_of() -> None:
    page = (GITOPS / "README.md").read_text()
    linked = set(re.findall(r"\]\(([^)#]+)\)", page))
    assert {str(path.relative_to(GITOPS)) for path in SAMPLES} <= linked
    assert [link for link in linked if not (GITOPS / link).exists()] == []

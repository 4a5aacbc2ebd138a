"""The files that follow from others are fresh, and the form for ``argocd-cm`` says what the scripts say."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.harness.gitops.generated import ACTION_NAMES, all_files
from tests.harness.gitops.paths import ACTION_TESTDATA, ACTIONS, ARGOCD, MIRROR, ROOT, SUSPENDED

KEYS = {
    "resource.customizations.health.peerdb.io_Mirror",
    "resource.customizations.actions.peerdb.io_Mirror",
    "resource.customizations.ignoreResourceUpdates.peerdb.io_Mirror",
}
FORMS = [("argocd-cm.yaml", MIRROR), ("argocd-cm-suspended.yaml", SUSPENDED)]


@pytest.mark.parametrize("path", all_files(), ids=lambda path: str(path.relative_to(ARGOCD)))
def test_a_generated_file_is_fresh(path: Path) -> None:
    assert path.read_text() == all_files()[path]


def test_nothing_lies_beside_the_generated_objects() -> None:
    assert {path for path in all_files() if path.parent == ACTION_TESTDATA} == set(ACTION_TESTDATA.iterdir())


def data_of(name: str) -> dict[str, str]:
    found: dict[str, str] = yaml.safe_load((ARGOCD / name).read_text())["data"]
    return found


@pytest.mark.parametrize(("name", "variant"), FORMS)
def test_the_config_map_holds_the_scripts_word_for_word(name: str, variant: Path) -> None:
    data = data_of(name)
    assert set(data) == KEYS
    assert data["resource.customizations.health.peerdb.io_Mirror"] == (variant / "health.lua").read_text()
    actions = yaml.safe_load(data["resource.customizations.actions.peerdb.io_Mirror"])
    assert actions == {
        "discovery.lua": (ACTIONS / "discovery.lua").read_text(),
        "definitions": [
            {"name": each, "action.lua": (ACTIONS / each / "action.lua").read_text()} for each in ACTION_NAMES
        ],
    }


def status_schema() -> dict[str, Any]:
    crd = yaml.safe_load((ROOT / "crds" / "mirrors.peerdb.io.yaml").read_text())
    found: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    return found


@pytest.mark.parametrize("name", [name for name, _ in FORMS])
def test_updates_are_ignored_for_fields_that_exist_and_never_for_conditions(name: str) -> None:
    rules = yaml.safe_load(data_of(name)["resource.customizations.ignoreResourceUpdates.peerdb.io_Mirror"])
    pointers = [pointer.split("/")[1:] for pointer in rules["jsonPointers"]]
    fields = {pointer[1] for pointer in pointers if pointer[0] == "status"}
    assert fields <= set(status_schema()["properties"])
    assert fields.isdisjoint({"conditions", "observedGeneration", "state"})
    others = [pointer for pointer in pointers if pointer[0] != "status"]
    assert others == [["metadata", "annotations", "peerdb.io~1reconcile-requested-at"]]

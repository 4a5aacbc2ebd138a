"""The actions in Argo CD's UI: its own tests over dumped objects."""

from typing import Any

import pytest
import yaml

from peerdb_operator.mirror.status import merge_patch
from tests.harness.gitops import fixtures
from tests.harness.gitops.argolua import Object, acted, discovered
from tests.harness.gitops.generated import ACTION_NAMES, PRESSED, REQUESTED_AT
from tests.harness.gitops.paths import ACTIONS, TESTDATA

TESTS: dict[str, list[Any]] = yaml.safe_load((ACTIONS / "action_test.yaml").read_text())


def script(action: str) -> str:
    return (ACTIONS / action / "action.lua").read_text()


def without_the_hour(obj: Object) -> Object:
    """What Argo CD's own test does to times that an action writes (its ``testNormalizer``)."""
    annotations = obj["metadata"].get("annotations", {})
    if REQUESTED_AT in annotations:
        annotations[REQUESTED_AT] = PRESSED
    return obj


@pytest.mark.parametrize("libraries", [False, True], ids=["libraries off", "libraries on"])
@pytest.mark.parametrize("test", TESTS["discoveryTests"], ids=lambda test: str(test["inputPath"]))
def test_the_ui_offers_what_makes_sense_for_the_object(test: Object, libraries: bool) -> None:
    obj = fixtures.read(ACTIONS / test["inputPath"])
    found = discovered((ACTIONS / "discovery.lua").read_text(), obj, libraries=libraries)
    assert sorted(found, key=lambda each: str(each["name"])) == sorted(
        test["result"], key=lambda each: str(each["name"])
    )


@pytest.mark.parametrize("libraries", [False, True], ids=["libraries off", "libraries on"])
@pytest.mark.parametrize("test", TESTS["actionTests"], ids=lambda test: str(test["expectedOutputPath"]))
def test_an_action_makes_of_the_object_what_the_test_file_says(test: Object, libraries: bool) -> None:
    obj = fixtures.read(ACTIONS / test["inputPath"])
    found = acted(script(test["action"]), obj, libraries=libraries)
    assert without_the_hour(found) == fixtures.read(ACTIONS / test["expectedOutputPath"])


def test_every_action_is_discovered_and_tested() -> None:
    folders = {path.parent.name for path in ACTIONS.glob("*/action.lua")}
    offered = {each["name"] for test in TESTS["discoveryTests"] for each in test["result"]}
    assert folders == offered == {test["action"] for test in TESTS["actionTests"]} == set(ACTION_NAMES)


@pytest.mark.parametrize("state", sorted(path.stem for path in TESTDATA.glob("*.yaml")))
@pytest.mark.parametrize(("action", "wish"), [("pause", "Paused"), ("resume", "Running")])
def test_an_action_sends_the_run_state_and_nothing_else(state: str, action: str, wish: str) -> None:
    obj = fixtures.read(TESTDATA / f"{state}.yaml")
    patch = {} if obj["spec"]["state"] == wish else {"spec": {"state": wish}}
    assert merge_patch(obj, acted(script(action), obj)) == patch


@pytest.mark.parametrize("state", sorted(path.stem for path in TESTDATA.glob("*.yaml")))
def test_asking_for_a_look_sends_one_annotation_with_the_time_and_nothing_else(state: str) -> None:
    obj = fixtures.read(TESTDATA / f"{state}.yaml")
    patch = merge_patch(obj, acted(script("reconcile"), obj))
    asked = patch["metadata"]["annotations"].pop(REQUESTED_AT)
    assert patch == {"metadata": {"annotations": {}}}
    assert fixtures.is_time(asked)

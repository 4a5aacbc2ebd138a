"""What Argo CD shows of Mirrors: its own tests over dumped objects, and objects that no run has made."""

import copy
import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.harness.gitops import fixtures
from tests.harness.gitops.argolua import Health, Object, health
from tests.harness.gitops.kstatus import Kstatus, kstatus
from tests.harness.gitops.paths import MIRROR, SUSPENDED, TESTDATA

STATES = sorted(path.stem for path in TESTDATA.glob("*.yaml"))
MEANINGS = {
    "Healthy": {Kstatus.CURRENT},
    "Suspended": {Kstatus.CURRENT},
    "Degraded": {Kstatus.FAILED},
    "Progressing": {Kstatus.IN_PROGRESS, Kstatus.TERMINATING},
}


def upstream_tests(variant: Path) -> list[Object]:
    tests: list[Object] = yaml.safe_load((variant / "health_test.yaml").read_text())["tests"]
    return tests


CASES = [
    pytest.param(variant, test, id=f"{variant.parents[1].name}-{Path(test['inputPath']).stem}")
    for variant in (MIRROR, SUSPENDED)
    for test in upstream_tests(variant)
]


def judge(obj: Object, variant: Path = MIRROR, *, libraries: bool = False) -> Health:
    return health((variant / "health.lua").read_text(), obj, libraries=libraries)


@pytest.mark.parametrize("libraries", [False, True], ids=["libraries off", "libraries on"])
@pytest.mark.parametrize(("variant", "test"), CASES)
def test_health_is_what_the_test_file_says_when_the_object_is_one_that_was_dumped(
    variant: Path, test: Object, libraries: bool
) -> None:
    obj = fixtures.read(variant / test["inputPath"])
    assert judge(obj, variant, libraries=libraries) == Health(**test["healthStatus"])


@pytest.mark.parametrize("variant", [MIRROR, SUSPENDED], ids=lambda path: str(path.parents[1].name))
def test_every_dumped_object_is_tested(variant: Path) -> None:
    tested = [(variant / test["inputPath"]).resolve() for test in upstream_tests(variant)]
    assert sorted(tested) == sorted(TESTDATA.glob("*.yaml"))


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("variant", [MIRROR, SUSPENDED], ids=lambda path: str(path.parents[1].name))
def test_argo_cd_and_flux_mean_the_same_when_they_look_at_the_same_object(variant: Path, state: str) -> None:
    obj = fixtures.read(TESTDATA / f"{state}.yaml")
    assert kstatus(obj) in MEANINGS[judge(obj, variant).status]


def test_the_suspended_variant_adds_one_question_and_changes_nothing_else() -> None:
    ours, theirs = ((variant / "health.lua").read_text().splitlines()[3:] for variant in (MIRROR, SUSPENDED))
    changes = [line for line in difflib.ndiff(ours, theirs) if not line.startswith("  ")]
    assert changes == [
        '+ if obj.spec.state == "Paused" then',
        '+   health.status = "Suspended"',
        '+   health.message = message_of(ready, "The mirror is paused as wished")',
        "+   return health",
        "+ end",
        "+ ",
    ]


def test_the_script_says_first_that_the_kind_is_kstatus_compatible() -> None:
    assert "kstatus" in (MIRROR / "health.lua").read_text().splitlines()[0]


def mutilated(value: object) -> Iterator[Any]:
    """The value with one of its inner keys or items missing, each in turn."""
    if not isinstance(value, (dict, list)):
        return
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        less = copy.copy(value)
        del less[key]
        yield less
        for inner in mutilated(value[key]):
            changed = copy.copy(value)
            changed[key] = inner
            yield changed


@pytest.mark.parametrize("state", STATES)
def test_health_is_never_green_by_accident_when_a_part_of_the_status_is_missing(state: str) -> None:
    whole = fixtures.read(TESTDATA / f"{state}.yaml")
    for status in (*mutilated(whole["status"]), {}, None):
        obj = {**whole, "status": status}
        found = judge(obj).status
        assert found in MEANINGS
        if found == "Healthy":
            ready = [each for each in obj["status"]["conditions"] if each.get("type") == "Ready"]
            assert [each["status"] for each in ready] == ["True"], obj
            assert obj["status"]["observedGeneration"] == obj["metadata"]["generation"]


def a_mirror(*conditions: Object, **spec: object) -> Object:
    """An object that has been looked at and tells these conditions."""
    return {
        "metadata": {"generation": 3},
        "spec": {"state": "Running", **spec},
        "status": {"observedGeneration": 3, "conditions": list(conditions)},
    }


def a_condition(kind: str, status: str, **more: object) -> Object:
    return {"type": kind, "status": status, **more}


READY = a_condition("Ready", "True")


@pytest.mark.parametrize(
    ("obj", "shown"),
    [
        (a_mirror(), Health("Progressing", "Waiting for the condition Ready")),
        (a_mirror(READY), Health("Healthy", "The mirror is as wished")),
        (a_mirror({**READY, "message": ""}), Health("Healthy", "The mirror is as wished")),
        (a_mirror(a_condition("Ready", "False")), Health("Degraded", "The mirror is not as wished")),
        (a_mirror(READY, a_condition("Stalled", "True")), Health("Degraded", "The operator cannot go on by itself")),
        (a_mirror(READY, a_condition("Reconciling", "True")), Health("Progressing", "The mirror is on its way")),
        (a_mirror(READY, a_condition("Stalled", "False")), Health("Healthy", "The mirror is as wished")),
        (a_mirror(READY, a_condition("Reconciling", "False")), Health("Healthy", "The mirror is as wished")),
        (
            {**a_mirror(READY), "metadata": {"generation": 3, "deletionTimestamp": "2026-01-01T00:00:00Z"}},
            Health("Progressing", "The Mirror is being deleted"),
        ),
    ],
)
def test_health_has_words_of_its_own_when_a_condition_has_no_message(obj: Object, shown: Health) -> None:
    assert judge(obj) == shown


@pytest.mark.parametrize("worse", ["Stalled", "Reconciling"])
def test_a_mirror_is_not_suspended_when_it_is_to_be_paused_and_is_not_yet(worse: str) -> None:
    obj = a_mirror(a_condition("Ready", "True"), a_condition(worse, "True"), state="Paused")
    assert judge(obj, SUSPENDED).status in {"Degraded", "Progressing"}
    assert judge(a_mirror(READY, state="Paused"), SUSPENDED) == Health("Suspended", "The mirror is paused as wished")

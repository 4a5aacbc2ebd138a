"""What Flux and Helm 4 wait for: the status that kstatus computes from dumped objects."""

from typing import Any

import pytest

from tests.harness.gitops import fixtures
from tests.harness.gitops.expected import EXPECTED
from tests.harness.gitops.kstatus import Kstatus, kstatus
from tests.harness.gitops.paths import TESTDATA


@pytest.mark.parametrize("state", EXPECTED)
def test_kstatus_is_as_users_want_to_see_the_state(state: str) -> None:
    assert kstatus(fixtures.read(TESTDATA / f"{state}.yaml")) is EXPECTED[state].kstatus


def a_mirror(*conditions: tuple[str, str], **status: object) -> dict[str, Any]:
    reported = [{"type": kind, "status": value} for kind, value in conditions]
    return {"metadata": {"generation": 2}, "status": {"observedGeneration": 2, "conditions": reported, **status}}


@pytest.mark.parametrize(
    ("obj", "found"),
    [
        (a_mirror(("Ready", "True")), Kstatus.CURRENT),
        (a_mirror(("Ready", "False")), Kstatus.IN_PROGRESS),
        (a_mirror(("Ready", "Unknown")), Kstatus.IN_PROGRESS),
        (a_mirror(("Ready", "True"), ("Stalled", "True")), Kstatus.FAILED),
        (a_mirror(("Ready", "True"), ("Stalled", "False")), Kstatus.CURRENT),
        (a_mirror(("Ready", "True"), ("Reconciling", "True")), Kstatus.IN_PROGRESS),
        (a_mirror(("Reconciling", "True"), ("Stalled", "True")), Kstatus.IN_PROGRESS),
        (a_mirror(("Stalled", "True"), ("Reconciling", "True")), Kstatus.FAILED),
        (a_mirror(("Ready", "True"), ("Stalled", "True"), observedGeneration=1), Kstatus.IN_PROGRESS),
        (a_mirror(), Kstatus.CURRENT),
        ({"metadata": {"generation": 1}}, Kstatus.CURRENT),
        ({**a_mirror(("Stalled", "True")), "metadata": {"deletionTimestamp": fixtures.TIME}}, Kstatus.TERMINATING),
    ],
)
def test_the_questions_are_asked_in_the_order_of_kstatus(obj: dict[str, Any], found: Kstatus) -> None:
    assert kstatus(obj) is found


@pytest.mark.parametrize("state", EXPECTED)
def test_the_conditions_are_clean_when_kstatus_reads_them(state: str) -> None:
    obj = fixtures.read(TESTDATA / f"{state}.yaml")
    conditions = {each["type"]: each["status"] for each in obj["status"].get("conditions", [])}
    abnormal = {kind: status for kind, status in conditions.items() if kind in ("Reconciling", "Stalled")}
    assert list(abnormal.values()) in ([], ["True"])
    assert set(conditions) <= {"Ready", "Synced", "Reconciling", "Stalled"}


def test_an_object_that_nobody_has_looked_at_is_not_current_because_of_the_default_of_its_status() -> None:
    obj = fixtures.read(TESTDATA / "first_sight.yaml")
    assert obj["status"] == {"observedGeneration": -1}
    assert kstatus(obj) is Kstatus.IN_PROGRESS

"""The objects that the tests of GitOps tools judge are what the operator writes today."""

import os
from collections.abc import Mapping

import pytest

from tests.e2e.conftest import MakeWorld
from tests.e2e.gitops_states import PASSWORD, States
from tests.harness.gitops import fixtures
from tests.harness.gitops.paths import TESTDATA

pytestmark = pytest.mark.e2e

NAMESPACE = "gitops-states"
RENEW = "PEERDB_RENEW_FIXTURES"


@pytest.fixture(scope="module")
def dumped(make_world: MakeWorld, tmp_path_factory: pytest.TempPathFactory) -> dict[str, fixtures.Object]:
    wrong = tmp_path_factory.mktemp("secret") / "password"
    wrong.write_text("wrong\n")
    world = make_world(NAMESPACE, password=PASSWORD)
    taken = States(world).take_all(wrong)
    found = {state: fixtures.normalised(obj, NAMESPACE) for state, obj in taken.items()}
    if os.environ.get(RENEW):
        renew(found)
    return found


def renew(found: Mapping[str, fixtures.Object]) -> None:
    """Write them all, and remove what is no longer made."""
    for path in TESTDATA.glob("*.yaml"):
        path.unlink()
    for state, obj in found.items():
        fixtures.write(TESTDATA / f"{state}.yaml", obj)


def test_the_states_on_file_are_the_ones_that_can_be_reached(dumped: dict[str, fixtures.Object]) -> None:
    assert {path.stem for path in TESTDATA.iterdir()} == set(dumped)


def test_every_object_on_file_looks_like_the_one_that_the_operator_writes_today(
    dumped: dict[str, fixtures.Object],
) -> None:
    on_file = {state: fixtures.shape(fixtures.read(TESTDATA / f"{state}.yaml")) for state in dumped}
    assert on_file == {state: fixtures.shape(obj) for state, obj in dumped.items()}

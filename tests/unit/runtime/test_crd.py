"""The readiness that an older CRD takes away, and gives back when it is brought up to date."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from peerdb_operator.errors import KubeError, KubeForbidden, KubeUnavailable
from peerdb_operator.runtime.crd import InstalledCrd
from tests.harness.fakeloop import run_fake
from tests.unit.api.test_installed import schema


class FakeSource:
    def __init__(self) -> None:
        self.answer: Mapping[str, Any] | Exception = schema()
        self.asked = 0

    async def served_schema(self) -> Mapping[str, Any]:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def is_older(self) -> None:
        self.answer = schema(lambda status: status["properties"].pop("bounds"))


def test_an_older_crd_is_a_problem_until_it_is_brought_up_to_date(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        source = FakeSource()
        crd = InstalledCrd(source)
        assert crd.problem() is None
        source.is_older()
        for _ in range(3):
            await crd.compare()
            problem = crd.problem()
            assert problem is not None
            assert "the installed CRD is older than this operator: apply crds/mirrors.peerdb.io.yaml" in problem
            assert "status.bounds" in problem
        source.answer = schema()
        with caplog.at_level("INFO"):
            await crd.compare()
        assert crd.problem() is None

    run_fake(main())
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]


def test_only_some_of_many_fields_are_named() -> None:
    async def main() -> None:
        source = FakeSource()
        source.answer = {}
        crd = InstalledCrd(source)
        await crd.compare()
        assert re.search(r"cannot hold (status\.\w+, ){4}status\.\w+ and [1-9]\d* more$", str(crd.problem()))

    run_fake(main())


@pytest.mark.parametrize("error", [KubeForbidden("no"), KubeUnavailable("away"), KubeError("odd")])
def test_a_crd_that_cannot_be_read_changes_nothing(error: Exception) -> None:
    async def main() -> None:
        source = FakeSource()
        crd = InstalledCrd(source)
        for older in (False, True):
            if older:
                source.is_older()
                await crd.compare()
            source.answer = error
            await crd.compare()
            assert (crd.problem() is not None) is older

    run_fake(main())

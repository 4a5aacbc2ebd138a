"""The account that the demo and the bench give their operators is the chart's: the file cannot drift from it."""

from pathlib import Path

import pytest

from tests.harness.identity import render
from tests.harness.identity_on_file import FILE, account_manifests, content, essence
from tests.harness.identity_rights import rights_in


def test_the_account_on_file_is_the_one_that_the_chart_renders_today(helm: Path) -> None:
    assert FILE.read_text(encoding="utf-8") == content(helm), "the file is stale: run make fixtures"


@pytest.mark.parametrize(("cluster_id", "value"), [(True, "blue"), (False, "")])
@pytest.mark.parametrize(("release", "namespace"), [("demo", "default"), ("burst", "burst")])
def test_names_are_where_the_chart_puts_them_when_the_account_is_read_for_a_namespace(
    helm: Path, release: str, namespace: str, *, cluster_id: bool, value: str
) -> None:
    wanted = essence(render(helm, release, [namespace], value), release)
    assert account_manifests(release, namespace, cluster_id=cluster_id) == wanted


def test_nothing_of_it_is_for_people(helm: Path) -> None:
    manifests = account_manifests("demo", "data", cluster_id=False)
    assert {right.verb for each in manifests for right in rights_in(each, "")} == {
        *("get", "list", "watch", "patch", "create")
    }
    whole = render(helm, "demo", ["data"])
    left_out = {each["metadata"]["name"] for each in whole} - {each["metadata"]["name"] for each in manifests}
    assert {name.rpartition("-")[2] for name in left_out} == {"view", "edit", "admin"}

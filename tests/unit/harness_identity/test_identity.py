"""Rendering who the operator is: what is kept of the chart, and what is said when there is nothing to keep."""

import json
from pathlib import Path

import pytest

from tests.harness.identity import ChartError, account_of, render

ACCOUNT = {"kind": "ServiceAccount", "metadata": {"name": "operator"}}


def a_helm(folder: Path, prints: str = "", *, fails: bool = False) -> Path:
    """A program that keeps what it is asked and answers this."""
    program = folder / "helm"
    said = f"cat > '{folder}/values'\necho \"$@\" > '{folder}/asked'\ncat <<'END'\n{prints}\nEND\n"
    program.write_text(f"#!/bin/sh\n{said}" + ("echo 'Error: no such value' >&2\nexit 1\n" if fails else ""))
    program.chmod(0o755)
    return program


def test_only_what_says_who_may_do_what_is_kept_of_the_chart(tmp_path: Path) -> None:
    manifests = [ACCOUNT, {"kind": "Deployment"}, None, {"kind": "ClusterRole"}]
    helm = a_helm(tmp_path, "\n---\n".join(json.dumps(each) for each in manifests))
    assert render(helm, "mine", ["data"], "east") == [ACCOUNT, {"kind": "ClusterRole"}]
    values = json.loads((tmp_path / "values").read_text())
    assert (values["watchNamespaces"], values["clusterId"]) == (["data"], "east")
    asked = (tmp_path / "asked").read_text().split()
    assert asked[:2] == ["template", "mine"]
    assert "--namespace=peerdb-system" in asked


def test_helm_s_words_are_told_when_the_chart_cannot_be_rendered(tmp_path: Path) -> None:
    with pytest.raises(ChartError, match="cannot be rendered: Error: no such value"):
        render(a_helm(tmp_path, fails=True), "mine")


@pytest.mark.parametrize("manifests", [[], [ACCOUNT, ACCOUNT], [{"kind": "Role"}]])
def test_a_release_without_one_account_is_refused(manifests: list[dict[str, object]]) -> None:
    with pytest.raises(ChartError, match=r"The release mine has .* ServiceAccounts instead of one"):
        account_of(manifests, "mine")


def test_the_account_s_name_is_the_chart_s() -> None:
    assert account_of([{"kind": "Role"}, ACCOUNT], "mine") == "operator"

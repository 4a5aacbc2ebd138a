"""The page on security tells what the chart really gives, what the client really calls, and which ports are open."""

import re
from pathlib import Path

import pytest
import yaml

from peerdb_operator.settings import Settings
from tests.docs.pages import DOCS, ROOT, Page
from tests.harness.identity import RELEASE_NAMESPACE, account_of, render
from tests.harness.identity_rights import Right, rights_in, roles_of

PAGE = Page(DOCS / "security.md")
RELEASE = "peerdb-operator"
PACKAGE = ROOT / "operator" / "peerdb_operator"
CLIENT = PACKAGE / "peerdb" / "client.py"
TRACED = {
    "k8s.namespace.name": "namespace",
    "k8s.mirror.name": "name",
    "k8s.mirror.uid": "uid",
    "k8s.mirror.generation": "generation of the Mirror",
    "peerdb_operator.mirror": "name of its PeerDB mirror",
    "peerdb_operator.rule": "names of rules",
    "peerdb_operator.action": "actions",
    "peerdb_operator.operation": "operations",
    "peerdb_operator.operation_id": "ids of commands",
    "http.request.method": "operations",
    "http.response.status_code": "statuses of PeerDB's replies",
    "error.type": "classes of errors",
}
"""The attributes of spans, and what the page calls each."""


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    lines = [line for line in PAGE.section(heading).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines[1:]]


def told_rights() -> set[Right]:
    """The first table as rights in the whole cluster."""
    reported = set()
    for resource, verbs, *_ in rows("What it may do in Kubernetes"):
        found = [name.strip("`") for name in re.findall(r"`[^`]+`", resource)]
        path, name = found[0], found[1] if len(found) > 1 else ""
        kind, slash, sub = path.partition("/")
        plural, _, group = kind.partition(".")
        reported |= {Right("", group, plural + slash + sub, verb, name) for verb in verbs.split(", ")}
    return reported


@pytest.mark.e2e
def test_the_rights_are_those_that_the_chart_gives(helm: Path) -> None:
    manifests = render(helm, RELEASE)
    roles = roles_of(manifests, RELEASE_NAMESPACE, account_of(manifests, RELEASE))

    assert {right for where, role in roles for right in rights_in(role, where)} == told_rights()


def test_the_calls_are_those_that_the_client_makes() -> None:
    source = CLIENT.read_text(encoding="utf-8")
    pairs = re.findall(r'Request\(\s*"(GET|POST)",\s*f?"([^"]+)"', source)
    made = {f"{method} {re.sub(r'/{.*', '', path)}" for method, path in pairs}
    reported = {
        call for cells in rows("What it may do in PeerDB") for call in re.findall(r"`([A-Z]+ [^`]+)`", cells[0])
    }

    assert reported == made


def test_the_ports_are_those_that_the_operator_and_the_chart_open() -> None:
    reported = {cells[1].partition(":")[0]: cells[2] for cells in rows("The network")}
    fields = Settings.model_fields
    values = yaml.safe_load((ROOT / "charts" / "peerdb-operator" / "values.yaml").read_text(encoding="utf-8"))

    assert reported["kubelet"] == str(fields["health_port"].default)
    assert reported["Prometheus"] == str(fields["metrics_port"].default) == str(values["metrics"]["port"])
    assert reported["API server"] == " or ".join(map(str, values["networkPolicy"]["apiServerPorts"]))


def test_what_goes_to_a_trace_collector_is_told() -> None:
    [reported] = [cells[0] for cells in rows("What it stores, and where") if cells[1].startswith("traces")]
    source = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    sent = set(re.findall(r'"((?:k8s|peerdb_operator|http|error)\.[a-z_.]+)"', source))

    assert sent == set(TRACED)
    assert [words for words in TRACED.values() if words not in reported] == []


def test_the_user_is_the_one_of_the_chart() -> None:
    values = yaml.safe_load((ROOT / "charts" / "peerdb-operator" / "values.yaml").read_text(encoding="utf-8"))

    assert f"runs as user {values['podSecurityContext']['runAsUser']}" in PAGE.section("The container")

"""The chart among others: part of another chart, beside a second release, under names that look like something else."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.chart.helm_cli import MONITORING, NEEDED, Helm, HelmError, Object, one
from tests.harness.chart.__main__ import CHART

OUTSIDE = {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
LONGEST = 63
TEXTS = {"name", "namespace", "secretName", "key", "serviceAccountName", "priorityClassName"}
MAPS = {"labels", "annotations", "matchLabels", "selector"}
NUMBER, WORD, FLOAT = "123", "yes", "1e3"


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """A chart that has ours inside, behind a condition, and a value for all its parts."""
    folder = tmp_path / "parent"
    shutil.copytree(CHART, folder / "charts" / "peerdb-operator")
    dependency = {"name": "peerdb-operator", "version": "*", "condition": "peerdb-operator.enabled"}
    meta = {"apiVersion": "v2", "name": "parent", "version": "1.0.0", "dependencies": [dependency]}
    (folder / "Chart.yaml").write_text(yaml.safe_dump(meta))
    (folder / "values.yaml").write_text(yaml.safe_dump({"global": {"imageRegistry": "registry.example.com"}}))
    return folder


@pytest.mark.parametrize("enabled", [True, False])
def test_the_chart_is_a_part_of_another_one_that_may_leave_it_out(
    chart_helm: Helm, parent: Path, *, enabled: bool
) -> None:
    objects = chart_helm.template({"peerdb-operator": {**NEEDED, "enabled": enabled}}, chart=parent)

    assert [each["kind"] for each in objects].count("Deployment") == enabled


def test_a_value_that_does_not_exist_is_refused_in_a_part_too(chart_helm: Helm, parent: Path) -> None:
    with pytest.raises(HelmError, match="additional properties 'misspelt' not allowed"):
        chart_helm.template({"peerdb-operator": {**NEEDED, "misspelt": 1}}, chart=parent)


@pytest.mark.parametrize(("key", "value"), [("global", []), ("enabled", "yes")])
def test_what_a_parent_gives_has_its_type(chart_helm: Helm, key: str, value: object) -> None:
    with pytest.raises(HelmError, match=f"at '/{key}'"):
        chart_helm.template({**NEEDED, key: value})


def rendered(helm: Helm, release: str, namespace: str, values: Object, *flags: str) -> str:
    """The text that Helm makes for one release."""
    arguments = ("template", release, str(CHART), f"--namespace={namespace}", "--values=-", *flags)
    return helm.run(*arguments, stdin=json.dumps({**NEEDED, **values}))


def outside(text: str) -> list[str]:
    """Kind and name of what several releases may write into one place."""
    objects = [each for each in yaml.safe_load_all(text) if each]
    return [f"{each['kind']}/{each['metadata']['name']}" for each in objects if each["kind"] in OUTSIDE]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("eu-peerdb-operator", "peerdb"), ("peerdb-operator", "peerdb-eu")),
        (("peerdb-operator-" + "a" * 37, "b" * 63), ("peerdb-operator-" + "a" * 36 + "c", "b" * 63)),
    ],
)
def test_two_releases_never_share_a_name_outside_their_namespaces(
    chart_helm: Helm, first: tuple[str, str], second: tuple[str, str]
) -> None:
    values: Object = {"watchNamespaces": ["data"]}
    names = [outside(rendered(chart_helm, *release, values)) for release in (first, second)]

    assert [len(each) for each in names] == [9, 9]
    assert set(names[0]) & set(names[1]) == set()
    assert max(len(each.partition("/")[2]) for each in names[0] + names[1]) <= LONGEST


def texts(node: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Everything in an object that has to be text."""
    if isinstance(node, dict):
        for key, inner in node.items():
            if key in TEXTS and not isinstance(inner, dict | list):
                yield f"{path}.{key}", inner
            elif key in MAPS and isinstance(inner, dict):
                flat = {name: value for name, value in inner.items() if not isinstance(value, dict)}
                yield from ((f"{path}.{key}.{name}", value) for name, value in flat.items())
            yield from texts(inner, f"{path}.{key}")
    elif isinstance(node, list):
        for number, inner in enumerate(node):
            yield from texts(inner, f"{path}[{number}]")
            if path.endswith("resourceNames"):
                yield f"{path}[{number}]", inner


def strange_values(word: str) -> Object:
    """Names that are legal and look like a number, a truth or a null."""
    return {
        "nameOverride": word,
        "fullnameOverride": word,
        "watchNamespaces": [word],
        "priorityClassName": word,
        "serviceAccount": {"name": word},
        "imagePullSecrets": [{"name": word}],
        "podLabels": {"more": word},
        "peerdb": {
            "url": "",
            "urlSecretRef": {"name": word, "key": word},
            "passwordSecretRef": {"name": word, "key": word},
            "caConfigMapRef": {"name": word, "key": word},
        },
        "networkPolicy": {"enabled": True, "peerdbPorts": [1]},
        "metrics": {"serviceMonitor": {"enabled": True}},
        "prometheusRule": {"enabled": True},
        "dashboard": {"enabled": True},
    }


@pytest.mark.parametrize("word", [NUMBER, WORD, FLOAT, "null", "2026-01-31"])
def test_a_name_stays_text_whatever_it_looks_like(chart_helm: Helm, word: str) -> None:
    printed = rendered(chart_helm, word, word, strange_values(word), MONITORING)
    objects = [each for each in yaml.safe_load_all(printed) if each]
    found = [(f"{each['kind']}{path}", value) for each in objects for path, value in texts(each)]

    assert len(found) > 100
    assert [path for path, value in found if not isinstance(value, str)] == []
    # Kubernetes reads more words as numbers than the reader above does. The dashboard is text as a whole.
    manifests = "".join(part for part in printed.split("\n---\n") if "kind: ConfigMap" not in part)
    assert re.findall(rf"^.*(?:: |- ){word}$", manifests, re.MULTILINE) == []


def test_a_secret_of_authorities_stays_text_too(chart_helm: Helm) -> None:
    values: Object = {"peerdb": {**NEEDED["peerdb"], "caSecretRef": {"name": FLOAT, "key": FLOAT}}}  # type: ignore[dict-item]

    assert re.findall(rf"^.*(?:: |- ){FLOAT}$", rendered(chart_helm, "rel", "data", values), re.MULTILINE) == []


def test_an_operator_of_the_same_name_elsewhere_does_not_hide_one_that_is_gone(
    chart_helm: Helm, promtool: Path, tmp_path: Path
) -> None:
    values: Object = {"metrics": {"serviceMonitor": {"enabled": True}}, "prometheusRule": {"enabled": True}}
    printed = rendered(chart_helm, "peerdb-operator", "one", values, MONITORING)
    rule = one([each for each in yaml.safe_load_all(printed) if each], "PrometheusRule")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": rule["spec"]["groups"]}))
    lives = 'peerdb_operator_build_info{job="peerdb-operator",instance="b",namespace="two"}'
    fired = 'count by (namespace) (ALERTS{alertname="PeerDBOperatorDown",alertstate="firing"})'
    expected = [{"labels": '{namespace="one"}', "value": 1}]
    test = {
        "interval": "1m",
        "input_series": [{"series": lives, "values": "1x30"}],
        "promql_expr_test": [{"expr": fired, "eval_time": "20m", "exp_samples": expected}],
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [test]}))

    told = subprocess.run(
        [promtool, "test", "rules", tmp_path / "test.yaml"], capture_output=True, text=True, check=False, timeout=300
    )

    assert told.returncode == 0, told.stdout + told.stderr

"""The values of the chart: each one does what it says, a wrong one is refused by name, and the operator takes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from peerdb_operator.settings import Settings, load_settings
from tests.chart.helm_cli import MONITORING, NEEDED, Helm, HelmError, Object, container, environ, with_value
from tests.chart.samples import SAMPLES, Sample, sheet_values
from tests.harness.chart.__main__ import CHART
from tests.harness.chart.operator_settings import ELSEWHERE, camel, names, properties
from tests.harness.chart.schema import node_at
from tests.harness.chart.values import dotted, read_values

VALUES = read_values((CHART / "values.yaml").read_text())
SCHEMA: Object = json.loads((CHART / "values.schema.json").read_text())
LEAVES = [value for value in VALUES if not value.is_section]
SHEETS = sorted({sample.sheet for sample in SAMPLES})


def a_wish(schema: Object) -> object:
    """A setting that is no default: the other word, or a number within the bounds."""
    if "enum" in schema:
        return [each for each in schema["enum"] if each is not None][-1]
    if "string" in schema["type"]:
        return "other"
    if "boolean" in schema["type"]:
        return True
    return schema.get("minimum", 1) + 17


@pytest.fixture(scope="module")
def sheets(chart_helm: Helm) -> dict[str, list[Object]]:
    """What Helm makes of each sheet of samples."""
    return {sheet: chart_helm.template(sheet_values(sheet), MONITORING) for sheet in SHEETS}


def test_helm_finds_nothing_to_complain_about(chart_helm: Helm) -> None:
    assert "0 chart(s) failed" in chart_helm.lint(NEEDED)
    assert "0 chart(s) failed" in chart_helm.lint({})


def test_every_value_has_a_sample() -> None:
    sampled = {sample.path for sample in SAMPLES}
    walked = {dotted(value.path) for value in LEAVES if value.path[0] != "settings"}

    assert sampled == walked


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.path)
def test_a_value_shows_where_it_should(sample: Sample, sheets: dict[str, list[Object]]) -> None:
    assert sample.look(sheets[sample.sheet]) == sample.found


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.path)
def test_a_sample_is_not_what_stands_there_anyway(sample: Sample) -> None:
    value = next(value for value in LEAVES if dotted(value.path) == sample.path)

    assert sample.value != value.default


def test_every_setting_becomes_its_variable_and_the_operator_takes_it(
    chart_helm: Helm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wishes = {name: a_wish(schema) for name, schema in properties().items()}
    values = {**sheet_values("main"), "settings": wishes, "terminationGracePeriodSeconds": 90}

    told = environ(chart_helm.template(values, MONITORING))
    settings = loaded(told, monkeypatch, tmp_path)

    assert {camel(name): getattr(settings, name) for name in names()} == wishes
    assert settings.peerdb_url == "https://peerdb.example.com/api"
    assert settings.namespaces == ("a", "b")
    assert settings.cluster_id == "blue"
    assert settings.metrics_port == 9191


def loaded(told: dict[str, str | None], monkeypatch: pytest.MonkeyPatch, files: Path) -> Settings:
    """What the operator reads out of a container's variables, with files that are there."""
    for name, value in told.items():
        if name.endswith("_FILE"):
            (files / name).write_text("x")
        monkeypatch.setenv(name, str(files / name) if name.endswith("_FILE") else value or "")
    return load_settings({})


def test_the_operator_starts_with_its_own_defaults_when_nothing_is_chosen(
    chart_helm: Helm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = loaded(environ(chart_helm.template()), monkeypatch, tmp_path)

    chosen = {name for name, field in Settings.model_fields.items() if getattr(settings, name) != field.default}
    assert chosen == {"peerdb_url"}


def test_every_setting_of_the_operator_has_a_place_in_the_chart() -> None:
    paths = {dotted(value.path) for value in VALUES}

    assert {f"settings.{camel(name)}" for name in names()} == {path for path in paths if path.startswith("settings.")}
    assert {path for path in ELSEWHERE.values() if path} <= paths
    assert set(ELSEWHERE) <= set(Settings.model_fields)


def wrong(schema: Object) -> object:
    """Something of another type than a value has."""
    types = schema["type"]
    return 12 if types == "string" else "text" if isinstance(types, str) else ["list"]


def test_a_value_of_another_type_is_refused_by_its_name(chart_helm: Helm) -> None:
    values: Object = {}
    for value in LEAVES:
        values = with_value(dotted(value.path), wrong(node_at(SCHEMA, value.path)), values)

    with pytest.raises(HelmError) as refusal:
        chart_helm.template(values)

    assert [dotted(value.path) for value in LEAVES if f"at '/{'/'.join(value.path)}'" not in str(refusal.value)] == []


def test_a_value_that_does_not_exist_is_refused_by_its_name_in_every_section(chart_helm: Helm) -> None:
    sections = ["", *(dotted(value.path) for value in VALUES if value.is_section)]
    paths = [f"{section}.mis{number}spelt".lstrip(".") for number, section in enumerate(sections)]
    values: Object = {}
    for path in paths:
        values = with_value(path, 1, values)

    with pytest.raises(HelmError) as refusal:
        chart_helm.template(values)

    told = str(refusal.value)
    assert [
        path for path in paths if f"additional properties '{path.rpartition('.')[2]}' not allowed" not in told
    ] == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("image.pullPolicy", "Sometimes"),
        ("image.digest", "sha256:12"),
        ("imagePullSecrets", [{"nme": "pull"}]),
        ("fullnameOverride", "Upper"),
        ("peerdb.url", "flow-api:8113"),
        ("peerdb.url", "http://user:secret@flow-api:8113"),
        ("peerdb.url", "http://flow-api:8113?x=1"),
        ("peerdb.passwordSecretRef.key", "a/b"),
        ("watchNamespaces", ["a", "a"]),
        ("watchNamespaces", ["a,b"]),
        ("clusterId", "with space"),
        ("terminationGracePeriodSeconds", 29),
        ("metrics.port", 80),
        ("metrics.service.port", 0),
        ("metrics.serviceMonitor.interval", "often"),
        ("networkPolicy.apiServerPorts", []),
        ("prometheusRule.disabledAlerts", ["PeerDBMirorStalled"]),
        ("tracing.endpoint", "otel:4317"),
        ("settings.brakeDrops", -1),
        ("settings.tickSeconds", 0),
        ("settings.logLevel", "loud"),
        ("settings.namespaceDeletion", "Maybe"),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_its_name(chart_helm: Helm, path: str, value: object) -> None:
    with pytest.raises(HelmError, match=f"at '/{path.replace('.', '/')}"):
        chart_helm.template(with_value(path, value))


@pytest.mark.parametrize("name", ["PEERDB_PASSWORD", "PEERDB_OPERATOR_TICK_SECONDS", "KUBECONFIG"])
def test_a_variable_that_belongs_to_the_chart_is_refused_among_further_ones(chart_helm: Helm, name: str) -> None:
    with pytest.raises(HelmError, match="at '/extraEnv/0/name'"):
        chart_helm.template({**NEEDED, "extraEnv": [{"name": name, "value": "x"}]})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "peerdb.url is not set"),
        ({"peerdb": {"url": "http://a", "urlSecretRef": {"name": "b"}}}, "peerdb.url and peerdb.urlSecretRef exclude"),
        (
            {"peerdb": {"url": "http://a", "caSecretRef": {"name": "b"}, "caConfigMapRef": {"name": "c"}}},
            "peerdb.caSecretRef and peerdb.caConfigMapRef exclude",
        ),
        ({**NEEDED, "serviceAccount": {"create": False}}, "serviceAccount.name is needed"),
        (
            {**NEEDED, "metrics": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}},
            "metrics.serviceMonitor and metrics.podMonitor exclude",
        ),
        ({**NEEDED, "metrics": {"enabled": False, "podMonitor": {"enabled": True}}}, "metrics.enabled is false"),
        ({**NEEDED, "metrics": {"enabled": False}, "prometheusRule": {"enabled": True}}, "metrics.enabled is false"),
        ({**NEEDED, "metrics": {"port": 8080}}, "metrics.port is 8080"),
        ({**NEEDED, "metrics": {"serviceMonitor": {"enabled": True}}}, "metrics.serviceMonitor.enabled needs"),
        ({**NEEDED, "metrics": {"podMonitor": {"enabled": True}}}, "metrics.podMonitor.enabled needs"),
        ({**NEEDED, "prometheusRule": {"enabled": True}}, "prometheusRule.enabled needs"),
        ({**NEEDED, "tracing": {"enabled": True}}, "tracing.endpoint is not set"),
        ({**NEEDED, "settings": {"drainSeconds": 25}}, "terminationGracePeriodSeconds must exceed"),
        (
            {"peerdb": {"urlSecretRef": {"name": "b"}}, "networkPolicy": {"enabled": True}},
            "networkPolicy.peerdbPorts is not set",
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused_with_a_way_out(
    chart_helm: Helm, values: Object, sentence: str
) -> None:
    with pytest.raises(HelmError, match=sentence):
        chart_helm.template(values)


def test_a_cluster_that_is_too_old_is_refused(chart_helm: Helm) -> None:
    with pytest.raises(HelmError, match=r"kubeVersion: >=1\.33\.0-0"):
        chart_helm.template(NEEDED, "--kube-version=1.32.9")

    assert chart_helm.template(NEEDED, "--kube-version=1.33.0")


def test_every_value_says_what_it_is_in_the_schema_and_every_section_is_closed() -> None:
    nodes = [node_at(SCHEMA, value.path) for value in VALUES]

    assert [dotted(value.path) for value, node in zip(VALUES, nodes, strict=True) if node["description"] == ""] == []
    assert {node["additionalProperties"] for node in every_closed(SCHEMA)} == {False}


def test_every_alert_may_be_left_out_and_nothing_else(chart_helm: Helm) -> None:
    groups = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())["groups"]
    alerts = sorted({rule["alert"] for group in groups for rule in group["rules"]})
    ruled = with_value("prometheusRule", {"enabled": True, "disabledAlerts": alerts})

    assert node_at(SCHEMA, ("prometheusRule", "disabledAlerts"))["items"] == {"type": "string", "enum": alerts}
    rules = next(each for each in chart_helm.template(ruled, MONITORING) if each["kind"] == "PrometheusRule")
    assert not rules["spec"]["groups"]


def every_closed(node: Object) -> Iterator[Object]:
    """Every part of a schema that lists properties of ours."""
    if "properties" in node:
        yield node
    inner: list[Object] = [*node.get("properties", {}).values(), *([node["items"]] if "items" in node else [])]
    for each in inner:
        yield from every_closed(each)


def test_a_null_takes_a_default_away(chart_helm: Helm) -> None:
    chosen_by_platform = {"runAsUser": None, "runAsGroup": None, "fsGroup": None}
    objects = chart_helm.template({**NEEDED, "podSecurityContext": chosen_by_platform, "resources": {"limits": None}})

    spec = objects[[each["kind"] for each in objects].index("Deployment")]["spec"]["template"]["spec"]
    assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert set(container(objects)["resources"]) == {"requests"}

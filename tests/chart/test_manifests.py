"""What Helm makes of the chart: how the operator runs, how it is scraped, who may reach it, what people are told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from peerdb_operator import __version__
from tests.chart.helm_cli import (
    MONITORING,
    NAMESPACE,
    NEEDED,
    RELEASE,
    Helm,
    Object,
    container,
    environ,
    one,
    pod,
    with_value,
)
from tests.chart.samples import sheet_values
from tests.harness.chart.__main__ import CHART

SELECTOR = {"app.kubernetes.io/name": "peerdb-operator", "app.kubernetes.io/instance": RELEASE}
LABELS = {
    **SELECTOR,
    "app.kubernetes.io/version": __version__,
    "app.kubernetes.io/component": "operator",
    "app.kubernetes.io/part-of": "peerdb-operator",
    "app.kubernetes.io/managed-by": "Helm",
    "helm.sh/chart": f"peerdb-operator-{__version__}",
}
PASSWORD = {"peerdb": {"url": "http://peerdb-ui:3000/api", "passwordSecretRef": {"name": "login"}}}
RULED: Object = {**NEEDED, "prometheusRule": {"enabled": True}}


@pytest.fixture(scope="module")
def plain(chart_helm: Helm) -> list[Object]:
    """The chart with nothing but PeerDB's address."""
    return chart_helm.template()


@pytest.fixture(scope="module")
def full(chart_helm: Helm) -> list[Object]:
    """The chart with nearly everything wished for."""
    return chart_helm.template(sheet_values("main"), MONITORING)


def test_every_object_carries_the_common_labels(plain: list[Object], full: list[Object]) -> None:
    lacking = [
        (each["kind"], each["metadata"]["name"])
        for each in [*plain, *full]
        if not LABELS.items() <= each["metadata"]["labels"].items()
    ]

    assert lacking == []


def test_every_object_is_in_the_namespace_of_the_release_or_in_none(plain: list[Object]) -> None:
    outside = {"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"}

    assert {each["kind"] for each in plain if "namespace" not in each["metadata"]} == outside
    assert {each["metadata"].get("namespace", NAMESPACE) for each in plain} == {NAMESPACE}


def test_whatever_selects_pods_does_so_by_two_labels_that_no_value_of_a_release_changes(
    chart_helm: Helm, full: list[Object]
) -> None:
    hostile = {**NEEDED, "podLabels": {**dict.fromkeys(SELECTOR, "x"), "more": "y"}, "image": {"tag": "v9"}}
    for objects in (full, chart_helm.template(hostile)):
        deployment = one(objects, "Deployment")["spec"]

        assert deployment["selector"] == {"matchLabels": SELECTOR}
        assert SELECTOR.items() <= deployment["template"]["metadata"]["labels"].items()
        assert one(objects, "Service")["spec"]["selector"] == SELECTOR
    assert one(full, "NetworkPolicy")["spec"]["podSelector"] == {"matchLabels": SELECTOR}
    assert one(full, "ServiceMonitor")["spec"]["selector"] == {"matchLabels": SELECTOR}


def test_a_new_chart_alone_does_not_restart_the_operator(plain: list[Object]) -> None:
    labels = one(plain, "Deployment")["spec"]["template"]["metadata"]["labels"]

    assert labels == {
        key: LABELS[key] for key in LABELS if key not in {"helm.sh/chart", "app.kubernetes.io/managed-by"}
    }


def test_there_is_never_more_than_one_operator(full: list[Object]) -> None:
    spec = one(full, "Deployment")["spec"]

    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_the_operator_runs_without_privileges_and_writes_nowhere_but_in_tmp(plain: list[Object]) -> None:
    spec, operator = pod(plain), container(plain)

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert operator["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [mount for mount in operator["volumeMounts"] if not mount.get("readOnly")] == [
        {"name": "tmp", "mountPath": "/tmp"}
    ]
    assert [set(volume) - {"name"} for volume in spec["volumes"]] == [{"emptyDir"}]


def test_the_account_is_mounted_where_it_is_asked_for_and_nowhere_else(plain: list[Object]) -> None:
    assert one(plain, "ServiceAccount")["automountServiceAccountToken"] is False
    assert pod(plain)["automountServiceAccountToken"] is True
    assert pod(plain)["serviceAccountName"] == one(plain, "ServiceAccount")["metadata"]["name"]


@pytest.mark.parametrize(("probe", "path"), [("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")])
def test_a_probe_asks_the_health_port_and_is_patient(plain: list[Object], probe: str, path: str) -> None:
    found = container(plain)[probe]
    ports = {each["name"]: each["containerPort"] for each in container(plain)["ports"]}

    assert found["httpGet"] == {"path": path, "port": "health"}
    assert found["timeoutSeconds"] >= 5
    assert ports["health"] == int(environ(plain)["PEERDB_OPERATOR_HEALTH_PORT"] or 0)


def test_the_operator_has_resources_and_time_to_end(plain: list[Object]) -> None:
    resources = container(plain)["resources"]

    assert set(resources["requests"]) == {"cpu", "memory"}
    assert set(resources["limits"]) == {"memory"}
    assert pod(plain)["terminationGracePeriodSeconds"] >= 30


def test_the_operator_knows_its_own_pod(plain: list[Object]) -> None:
    fields = {each["name"]: each.get("valueFrom") for each in container(plain)["env"]}

    assert {name: fields[name]["fieldRef"]["fieldPath"] for name in ("POD_NAME", "POD_NAMESPACE", "POD_UID")} == {
        "POD_NAME": "metadata.name",
        "POD_NAMESPACE": "metadata.namespace",
        "POD_UID": "metadata.uid",
    }


@pytest.mark.parametrize("watched", [[], ["data"], ["data", NAMESPACE]])
def test_events_of_its_pod_need_one_right_and_no_second_one(chart_helm: Helm, watched: list[str]) -> None:
    objects = chart_helm.template({**NEEDED, "watchNamespaces": watched})
    at_home = [one for one in objects if one["kind"] == "Role" and one["metadata"]["namespace"] == NAMESPACE]
    everywhere = [
        rule
        for each in objects
        if each["kind"] == "ClusterRole"
        for rule in each.get("rules") or []
        if "events" in rule["resources"]
    ]
    rules = [rule for role in at_home for rule in role["rules"] if "events" in rule["resources"]] + everywhere

    assert rules == [{"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]}]
    assert len(at_home) == (0 if not watched else 1)
    assert len([each for each in objects if each["kind"] == "RoleBinding"]) == len(
        {*watched, NAMESPACE} if watched else ()
    )


def test_no_variable_of_a_service_is_taken_for_a_setting(plain: list[Object]) -> None:
    assert pod(plain)["enableServiceLinks"] is False


def test_the_password_is_a_file_and_never_a_variable(chart_helm: Helm) -> None:
    objects = chart_helm.template(PASSWORD)
    [mount] = [each for each in container(objects)["volumeMounts"] if each["name"] == "peerdb-password"]
    [volume] = [each for each in pod(objects)["volumes"] if each["name"] == "peerdb-password"]

    assert environ(objects)["PEERDB_PASSWORD_FILE"] == f"{mount['mountPath']}/{volume['secret']['items'][0]['path']}"
    assert mount["readOnly"] is True
    assert "subPath" not in mount  # such a file would never change
    assert volume["secret"]["defaultMode"] == 0o440
    assert "PEERDB_PASSWORD" not in environ(objects)


@pytest.mark.parametrize(("ref", "kind"), [("caSecretRef", "secret"), ("caConfigMapRef", "configMap")])
def test_authorities_are_a_file(chart_helm: Helm, ref: str, kind: str) -> None:
    objects = chart_helm.template(with_value(f"peerdb.{ref}.name", "authorities"))
    [mount] = [each for each in container(objects)["volumeMounts"] if each["name"] == "peerdb-ca"]
    [volume] = [each for each in pod(objects)["volumes"] if each["name"] == "peerdb-ca"]

    assert environ(objects)["PEERDB_CA_FILE"] == f"{mount['mountPath']}/{volume[kind]['items'][0]['path']}"
    assert volume[kind]["items"][0]["key"] == "ca.crt"


def test_nothing_optional_is_there_unless_wished_for(plain: list[Object]) -> None:
    assert sorted(each["kind"] for each in plain) == [
        "ClusterRole",
        "ClusterRole",
        "ClusterRole",
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "Deployment",
        "Service",
        "ServiceAccount",
    ]


@pytest.mark.parametrize(
    ("release", "values", "name"),
    [
        ("rel", {}, "rel-peerdb-operator"),
        ("peerdb-operator", {}, "peerdb-operator"),
        ("my-peerdb-operator-2", {}, "my-peerdb-operator-2"),
        ("rel", {"nameOverride": "op"}, "rel-op"),
        ("rel", {"fullnameOverride": "mine"}, "mine"),
        ("r" * 53, {}, f"{'r' * 53}-peerdb-op"),
    ],
)
def test_the_release_names_what_it_installs(chart_helm: Helm, release: str, values: Object, name: str) -> None:
    arguments = ("template", release, str(CHART), f"--namespace={NAMESPACE}", "--values=-")
    printed = chart_helm.run(*arguments, stdin=json.dumps({**NEEDED, **values}))
    objects = [each for each in yaml.safe_load_all(printed) if each]

    assert {each["metadata"]["name"] for each in objects if "namespace" in each["metadata"]} == {name}
    assert one(objects, "ClusterRoleBinding")["metadata"]["name"].startswith(f"{NAMESPACE}:{name}"[:48])


def test_a_mirror_keeps_its_labels_when_it_is_scraped(chart_helm: Helm, full: list[Object]) -> None:
    pods = chart_helm.template(sheet_values("pods"), MONITORING)
    for endpoint in (
        one(full, "ServiceMonitor")["spec"]["endpoints"][0],
        one(pods, "PodMonitor")["spec"]["podMetricsEndpoints"][0],
    ):
        assert endpoint["honorLabels"] is True
        assert (endpoint["port"], endpoint["path"]) == ("metrics", "/metrics")
    assert one(full, "Service")["spec"]["ports"][0]["name"] == "metrics"
    assert "metrics" in {each["name"] for each in container(full)["ports"]}


def test_the_package_makes_what_the_folder_makes(chart_helm: Helm, plain: list[Object], tmp_path: Path) -> None:
    chart_helm.run("package", str(CHART), f"--destination={tmp_path}")
    package = tmp_path / f"peerdb-operator-{__version__}.tgz"

    assert chart_helm.template(chart=package) == plain
    assert yaml.safe_load(chart_helm.run("show", "chart", str(package)))["kubeVersion"] == ">=1.33.0-0"
    assert chart_helm.run("show", "readme", str(package)).strip() == (CHART / "README.md").read_text().strip()


def rules_of(groups: list[Object]) -> list[Object]:
    """The rules of all groups, in order."""
    return [rule for group in groups for rule in group["rules"]]


def written() -> list[Object]:
    """The groups of the file of alerts."""
    groups: list[Object] = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())["groups"]
    return groups


def test_the_rules_are_those_of_the_file_but_for_what_values_say(chart_helm: Helm) -> None:
    rendered = one(chart_helm.template(RULED, MONITORING), "PrometheusRule")["spec"]["groups"]

    def bare(groups: list[Object]) -> list[Object]:
        for rule in rules_of(groups):
            rule["annotations"].pop("runbook_url")
        return groups

    assert bare(rendered) == bare(written())
    assert len(rules_of(rendered)) >= 8


def test_every_alert_links_to_its_section_of_the_runbooks(chart_helm: Helm) -> None:
    rendered = one(chart_helm.template(RULED, MONITORING), "PrometheusRule")["spec"]["groups"]
    page: str = yaml.safe_load((CHART / "values.yaml").read_text())["prometheusRule"]["runbookBaseURL"]

    for rule in rules_of(rendered):
        assert rule["annotations"]["runbook_url"] == f"{page}#{rule['alert'].lower()}"


@pytest.mark.parametrize(
    ("metrics", "job"),
    [
        ({}, 'job=~".+"'),
        ({"serviceMonitor": {"enabled": True}}, 'job="rel-peerdb-operator",namespace="peerdb-system"'),
        ({"podMonitor": {"enabled": True}}, 'job="peerdb-system/rel-peerdb-operator",namespace="peerdb-system"'),
    ],
)
def test_the_alert_for_a_missing_operator_looks_for_this_release(
    chart_helm: Helm, metrics: Mapping[str, Any], job: str
) -> None:
    rendered = one(chart_helm.template({**RULED, "metrics": metrics}, MONITORING), "PrometheusRule")["spec"]["groups"]
    [down] = [rule for rule in rules_of(rendered) if rule["alert"] == "PeerDBOperatorDown"]
    [as_written] = [rule for rule in rules_of(written()) if rule["alert"] == "PeerDBOperatorDown"]

    assert down["expr"] == as_written["expr"].replace('job=~".+"', job)
    assert job in down["expr"]


def test_an_annotation_of_the_pod_is_written_once_when_the_chart_has_it_too(chart_helm: Helm) -> None:
    key = "kubectl.kubernetes.io/default-container"
    values = {**NEEDED, "podAnnotations": {key: "sidecar", "more": "y"}}
    arguments = ("template", RELEASE, str(CHART), f"--namespace={NAMESPACE}", "--values=-")
    printed = chart_helm.run(*arguments, stdin=json.dumps(values))

    assert printed.count(key) == 1
    assert annotations_of_pod(chart_helm.template(values)) == {key: "sidecar", "more": "y"}
    assert annotations_of_pod(chart_helm.template()) == {key: container(chart_helm.template())["name"]}


def annotations_of_pod(objects: list[Object]) -> Object:
    """The annotations of the pods that the Deployment makes."""
    return dict(one(objects, "Deployment")["spec"]["template"]["metadata"]["annotations"])


def test_a_label_for_all_alerts_wins_over_the_one_of_the_file(chart_helm: Helm) -> None:
    values = with_value("prometheusRule.alertLabels", {"severity": "page"}, RULED)
    rendered = one(chart_helm.template(values, MONITORING), "PrometheusRule")["spec"]["groups"]

    assert {rule["labels"]["severity"] for rule in rules_of(rendered)} == {"page"}


def test_a_group_without_alerts_is_left_out(chart_helm: Helm) -> None:
    first, *others = written()
    disabled = sorted({rule["alert"] for rule in first["rules"]})
    values = with_value("prometheusRule.disabledAlerts", disabled, RULED)
    rendered = one(chart_helm.template(values, MONITORING), "PrometheusRule")["spec"]["groups"]

    assert [group["name"] for group in rendered] == [group["name"] for group in others]


def test_the_dashboard_is_found_by_the_sidecar_and_is_the_file(chart_helm: Helm) -> None:
    board = one(chart_helm.template({**NEEDED, "dashboard": {"enabled": True}}), "ConfigMap")

    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(board["data"]["peerdb-operator.json"]) == json.loads(
        (CHART / "files" / "dashboard.json").read_text()
    )


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("http://flow-api:8113", 8113),
        ("http://peerdb.example.com/api", 80),
        ("https://peerdb.example.com/api", 443),
        ("https://[::1]:8443/api", 8443),
    ],
)
def test_a_network_policy_lets_out_to_the_port_of_peerdb(chart_helm: Helm, url: str, port: int) -> None:
    objects = chart_helm.template({"peerdb": {"url": url}, "networkPolicy": {"enabled": True}})

    assert one(objects, "NetworkPolicy")["spec"]["egress"][2] == {"ports": [{"port": port}]}


def test_a_network_policy_covers_every_port_of_the_pod_and_both_directions(chart_helm: Helm) -> None:
    objects = chart_helm.template({**NEEDED, "networkPolicy": {"enabled": True}})
    policy = one(objects, "NetworkPolicy")["spec"]
    let_in = {port["port"] for rule in policy["ingress"] for port in rule["ports"]}

    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert let_in == {each["containerPort"] for each in container(objects)["ports"]}
    assert policy["egress"][0]["ports"] == [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]


def test_without_metrics_nothing_listens_for_scrapes(chart_helm: Helm) -> None:
    objects = chart_helm.template({**NEEDED, "metrics": {"enabled": False}, "networkPolicy": {"enabled": True}})

    assert environ(objects)["PEERDB_OPERATOR_METRICS_PORT"] == "0"
    assert [each["name"] for each in container(objects)["ports"]] == ["health"]
    assert len(one(objects, "NetworkPolicy")["spec"]["ingress"]) == 1


def notes(helm: Helm, values: Object) -> str:
    """What people read after an installation."""
    arguments = ("install", RELEASE, str(CHART), f"--namespace={NAMESPACE}", "--dry-run=client", "--values=-")
    return helm.run(*arguments, stdin=json.dumps(values)).partition("NOTES:\n")[2]


def test_the_notes_say_what_runs_and_what_to_do_next(chart_helm: Helm) -> None:
    told = notes(chart_helm, dict(NEEDED))

    assert f"PeerDB operator {__version__} works on http://flow-api:8113" in told
    assert "kubectl --namespace peerdb-system rollout status deployment/rel-peerdb-operator" in told
    assert "for Mirrors in all namespaces" in told
    assert "WARNING" not in told


def test_the_notes_name_a_mirror_that_the_operator_may_see(chart_helm: Helm) -> None:
    told = notes(chart_helm, {**NEEDED, "watchNamespaces": ["data", "more"]})
    manifest = yaml.safe_load(told.partition("<<'END'\n")[2].partition("  END\n")[0])

    assert "for Mirrors in data, more" in told
    assert (manifest["kind"], manifest["metadata"]["namespace"]) == ("Mirror", "data")


@pytest.mark.parametrize(
    ("values", "warning"),
    [
        ({**NEEDED, "crds": {"enabled": False}}, "crds.enabled is false"),
        ({**NEEDED, "crds": {"keep": False}}, "see them gone before you uninstall"),
        ({**NEEDED, "rbac": {"create": False}}, "rbac.create is false"),
        (PASSWORD, "the password travels in the clear"),
    ],
)
def test_the_notes_warn_of_what_may_hurt(chart_helm: Helm, values: Object, warning: str) -> None:
    told = notes(chart_helm, values)

    assert warning in told.partition("WARNING: ")[2]


def test_the_address_in_a_secret_is_not_told_in_the_notes(chart_helm: Helm) -> None:
    told = notes(chart_helm, {"peerdb": {"urlSecretRef": {"name": "where"}}})

    assert "works on the PeerDB named in the Secret where" in told

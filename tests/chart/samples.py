"""One wish for every value of the chart, and where in the rendered objects it has to show.

Owns the list alone; ``test_values`` walks ``values.yaml`` and fails for a value that is not here. The wishes of one
sheet go together in one rendering: a value that excludes another stands on another sheet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.chart.helm_cli import NEEDED, Object, container, environ, one, pod, with_value

Look = Callable[[list[Object]], object]


@dataclass(frozen=True, slots=True)
class Sample:
    """A value at a dotted path, and what a look at the rendered objects has to find."""

    path: str
    value: object
    look: Look
    found: object
    sheet: str = "main"


def at(kind: str, *path: str | int, name: str = "") -> Look:
    """A look at one field of one object."""

    def look(objects: list[Object]) -> object:
        node: Any = one(objects, kind, name)
        for key in path:
            node = node[key]
        return node

    return look


def of_pod(*path: str | int) -> Look:
    """A look at one field of the pod."""
    return at("Deployment", "spec", "template", "spec", *path)


def of_container(*path: str | int) -> Look:
    """A look at one field of the container."""
    return of_pod("containers", 0, *path)


def variable(name: str) -> Look:
    """A look at one variable."""
    return lambda objects: environ(objects).get(name)


def has(kind: str, name: str = "") -> Look:
    """Whether there is such an object."""
    return lambda objects: any(each["kind"] == kind and each["metadata"]["name"].endswith(name) for each in objects)


def _volume(name: str, *path: str | int) -> Look:
    def look(objects: list[Object]) -> object:
        node: Any = next(each for each in pod(objects)["volumes"] if each["name"] == name)
        for key in path:
            node = node[key]
        return node

    return look


def _port(objects: list[Object]) -> object:
    return {each["name"]: each["containerPort"] for each in container(objects)["ports"]}["metrics"]


def _egress(number: int) -> Look:
    return lambda objects: [each["port"] for each in one(objects, "NetworkPolicy")["spec"]["egress"][number]["ports"]]


def _alerts(objects: list[Object]) -> list[Object]:
    groups = one(objects, "PrometheusRule")["spec"]["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def _says_stalled(objects: list[Object]) -> bool:
    return any(each["alert"] == "PeerDBMirrorStalled" for each in _alerts(objects))


def _monitor(kind: str, block: str, endpoints: str, sheet: str) -> list[Sample]:
    endpoint = ("spec", endpoints, 0)
    relabel = [{"targetLabel": "cluster", "replacement": "one"}]
    path = f"metrics.{block}"
    return [
        Sample(f"{path}.enabled", True, has(kind), True, sheet),
        Sample(f"{path}.labels", {"release": "p"}, at(kind, "metadata", "labels", "release"), "p", sheet),
        Sample(f"{path}.annotations", {"a": "b"}, at(kind, "metadata", "annotations"), {"a": "b"}, sheet),
        Sample(f"{path}.interval", "15s", at(kind, *endpoint, "interval"), "15s", sheet),
        Sample(f"{path}.scrapeTimeout", "9s", at(kind, *endpoint, "scrapeTimeout"), "9s", sheet),
        Sample(f"{path}.relabelings", relabel, at(kind, *endpoint, "relabelings"), relabel, sheet),
        Sample(f"{path}.metricRelabelings", relabel, at(kind, *endpoint, "metricRelabelings"), relabel, sheet),
    ]


_RULE = ("PrometheusRule", "metadata")
_BOARD = ("ConfigMap", "metadata")
_TOLERATION = {"key": "cdc", "operator": "Exists"}
_SPREAD = {
    "maxSkew": 1,
    "topologyKey": "zone",
    "whenUnsatisfiable": "DoNotSchedule",
    "labelSelector": {"matchLabels": {"app": "x"}},
}
_APART = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "x"}}}
_AFFINITY = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [_APART]}}
_PEER = {"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}
_RULE_OF_EGRESS = {"ports": [{"port": 3128}]}
_DIGEST = "sha256:" + "0a" * 32

SAMPLES: Final[list[Sample]] = [
    Sample("image.repository", "registry.example.com/op", of_container("image"), "registry.example.com/op:v9"),
    Sample("image.tag", "v9", of_container("image"), "registry.example.com/op:v9"),
    Sample("image.digest", _DIGEST, lambda o: str(container(o)["image"]).endswith(f"@{_DIGEST}"), True, "other"),
    Sample("image.pullPolicy", "Always", of_container("imagePullPolicy"), "Always"),
    Sample("imagePullSecrets", [{"name": "pull"}], of_pod("imagePullSecrets"), [{"name": "pull"}]),
    Sample("nameOverride", "short", at("Deployment", "metadata", "labels", "app.kubernetes.io/name"), "short", "other"),
    Sample("fullnameOverride", "custom", at("Deployment", "metadata", "name"), "custom"),
    Sample("crds.enabled", False, has("CustomResourceDefinition"), False, "other"),
    Sample("crds.keep", False, lambda o: one(o, "CustomResourceDefinition")["metadata"].get("annotations"), None),
    Sample("peerdb.url", "https://peerdb.example.com/api", variable("PEERDB_URL"), "https://peerdb.example.com/api"),
    Sample(
        "peerdb.urlSecretRef.name",
        "where",
        of_container("env", 0, "valueFrom", "secretKeyRef", "name"),
        "where",
        "other",
    ),
    Sample(
        "peerdb.urlSecretRef.key", "base", of_container("env", 0, "valueFrom", "secretKeyRef", "key"), "base", "other"
    ),
    Sample("peerdb.proxy", "http://p:3128", variable("PEERDB_PROXY"), "http://p:3128"),
    Sample("peerdb.passwordSecretRef.name", "login", _volume("peerdb-password", "secret", "secretName"), "login"),
    Sample("peerdb.passwordSecretRef.key", "pw", _volume("peerdb-password", "secret", "items", 0, "key"), "pw"),
    Sample("peerdb.caSecretRef.name", "ca", _volume("peerdb-ca", "secret", "secretName"), "ca"),
    Sample("peerdb.caSecretRef.key", "tls.crt", _volume("peerdb-ca", "secret", "items", 0, "key"), "tls.crt"),
    Sample("peerdb.caConfigMapRef.name", "ca", _volume("peerdb-ca", "configMap", "name"), "ca", "other"),
    Sample(
        "peerdb.caConfigMapRef.key", "x.crt", _volume("peerdb-ca", "configMap", "items", 0, "key"), "x.crt", "other"
    ),
    Sample("watchNamespaces", ["a", "b"], variable("PEERDB_OPERATOR_NAMESPACES"), "a,b"),
    Sample("clusterId", "blue", variable("PEERDB_OPERATOR_CLUSTER_ID"), "blue"),
    Sample("serviceAccount.create", False, has("ServiceAccount"), False, "other"),
    Sample("serviceAccount.name", "given", of_pod("serviceAccountName"), "given", "other"),
    Sample("serviceAccount.annotations", {"a": "b"}, at("ServiceAccount", "metadata", "annotations"), {"a": "b"}),
    Sample("rbac.create", False, has("ClusterRoleBinding"), False, "other"),
    Sample("rbac.aggregate", False, has("ClusterRole", "-edit"), False, "other"),
    Sample(
        "resources",
        {"limits": {"memory": "1Gi"}},
        of_container("resources", "limits", "memory"),
        "1Gi",
    ),
    Sample("nodeSelector", {"disk": "ssd"}, of_pod("nodeSelector"), {"disk": "ssd"}),
    Sample("tolerations", [_TOLERATION], of_pod("tolerations"), [_TOLERATION]),
    Sample("affinity", _AFFINITY, of_pod("affinity"), _AFFINITY),
    Sample("topologySpreadConstraints", [_SPREAD], of_pod("topologySpreadConstraints"), [_SPREAD]),
    Sample("priorityClassName", "high", of_pod("priorityClassName"), "high"),
    Sample("podAnnotations", {"a": "b"}, at("Deployment", "spec", "template", "metadata", "annotations", "a"), "b"),
    Sample("podLabels", {"team": "cdc"}, at("Deployment", "spec", "template", "metadata", "labels", "team"), "cdc"),
    Sample("podSecurityContext", {"runAsUser": 1234}, of_pod("securityContext", "runAsUser"), 1234),
    Sample("securityContext", {"runAsUser": 1234}, of_container("securityContext", "runAsUser"), 1234),
    Sample("extraEnv", [{"name": "HTTPS_PROXY", "value": "http://p:3128"}], variable("HTTPS_PROXY"), "http://p:3128"),
    Sample("terminationGracePeriodSeconds", 90, of_pod("terminationGracePeriodSeconds"), 90),
    Sample("metrics.enabled", False, has("Service"), False, "other"),
    Sample("metrics.port", 9191, _port, 9191),
    Sample("metrics.service.port", 80, at("Service", "spec", "ports", 0, "port"), 80),
    Sample("metrics.service.labels", {"a": "b"}, at("Service", "metadata", "labels", "a"), "b"),
    Sample("metrics.service.annotations", {"a": "b"}, at("Service", "metadata", "annotations"), {"a": "b"}),
    *_monitor("ServiceMonitor", "serviceMonitor", "endpoints", "main"),
    *_monitor("PodMonitor", "podMonitor", "podMetricsEndpoints", "pods"),
    Sample("prometheusRule.enabled", True, has("PrometheusRule"), True),
    Sample("prometheusRule.labels", {"release": "p"}, at(*_RULE, "labels", "release"), "p"),
    Sample("prometheusRule.annotations", {"a": "b"}, at(*_RULE, "annotations"), {"a": "b"}),
    Sample("prometheusRule.alertLabels", {"t": "x"}, lambda o: {each["labels"].get("t") for each in _alerts(o)}, {"x"}),
    Sample("prometheusRule.disabledAlerts", ["PeerDBMirrorStalled"], _says_stalled, False),
    Sample("prometheusRule.job", "mine", lambda o: 'job="mine"' in str(_alerts(o)), True),
    Sample(
        "prometheusRule.runbookBaseURL",
        "https://wiki.example.com/peerdb",
        lambda o: _alerts(o)[0]["annotations"]["runbook_url"],
        "https://wiki.example.com/peerdb#peerdbmirrornotready",
    ),
    Sample("dashboard.enabled", True, has("ConfigMap", "-dashboard"), True),
    Sample("dashboard.labels", {"board": "yes"}, at(*_BOARD, "labels", "board"), "yes"),
    Sample("dashboard.annotations", {"grafana_folder": "F"}, at(*_BOARD, "annotations"), {"grafana_folder": "F"}),
    Sample("networkPolicy.enabled", True, has("NetworkPolicy"), True),
    Sample("networkPolicy.metricsFrom", [_PEER], at("NetworkPolicy", "spec", "ingress", 1, "from"), [_PEER]),
    Sample("networkPolicy.apiServerPorts", [16443], _egress(1), [16443]),
    Sample("networkPolicy.peerdbPorts", [8113, 3000], _egress(2), [8113, 3000]),
    Sample("networkPolicy.extraIngress", [_RULE_OF_EGRESS], at("NetworkPolicy", "spec", "ingress", 2), _RULE_OF_EGRESS),
    Sample("networkPolicy.extraEgress", [_RULE_OF_EGRESS], at("NetworkPolicy", "spec", "egress", 4), _RULE_OF_EGRESS),
    Sample("tracing.enabled", True, _egress(3), [4318]),
    Sample("tracing.enabled", True, variable("PEERDB_OPERATOR_TRACING"), "true"),
    Sample("tracing.endpoint", "http://otel:4318", variable("OTEL_EXPORTER_OTLP_ENDPOINT"), "http://otel:4318"),
]


def sheet_values(sheet: str) -> Object:
    """All values of a sheet in one tree; a sheet without PeerDB's address gets the usual one."""
    given = [sample for sample in SAMPLES if sample.sheet == sheet]
    whole: Object = {} if any(sample.path.startswith("peerdb.url") for sample in given) else dict(NEEDED)
    for sample in given:
        whole = with_value(sample.path, sample.value, whole)
    return whole

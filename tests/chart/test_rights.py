"""Who may do what once the chart is installed: the API server is asked about every verb, granted or not."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping

import pytest

from tests.chart.helm_cli import Helm, Object, one
from tests.chart.release import Release, remove_definition
from tests.harness.controlplane.launch import ControlPlane
from tests.harness.identity import make_namespace

pytestmark = pytest.mark.e2e

HOME, WATCHED, OTHER = "rights-home", "rights-watched", "rights-other"
URL: Object = {"peerdb": {"url": "http://flow-api:8113"}}
VERBS = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]
IN_NAMESPACES = [
    "mirrors.peerdb.io",
    "mirrors.peerdb.io/status",
    "mirrors.peerdb.io/finalizers",
    "events.events.k8s.io",
    "events",
    "secrets",
    "configmaps",
    "pods",
    "pods/exec",
    "serviceaccounts",
    "serviceaccounts/token",
    "deployments.apps",
    "leases.coordination.k8s.io",
    "roles.rbac.authorization.k8s.io",
]
IN_THE_CLUSTER = [
    "namespaces",
    "nodes",
    "customresourcedefinitions.apiextensions.k8s.io",
    "clusterroles.rbac.authorization.k8s.io",
    "clusterrolebindings.rbac.authorization.k8s.io",
]
CRD = "customresourcedefinitions.apiextensions.k8s.io"

Question = tuple[str, str, str, str]
"""Verb, resource, namespace, name; the last two may be empty."""

ON_MIRRORS = {
    *((verb, "mirrors.peerdb.io") for verb in ("get", "list", "watch", "patch")),
    ("patch", "mirrors.peerdb.io/status"),
    ("create", "events.events.k8s.io"),
}
ON_ITS_POD = ("create", "events.events.k8s.io")
"""What it may do where it lives: an outage of PeerDB is an Event of its pod."""
READ = {("get", "mirrors.peerdb.io"), ("list", "mirrors.peerdb.io"), ("watch", "mirrors.peerdb.io")}
READ_STATUS = ("get", "mirrors.peerdb.io/status")
WRITE = {(verb, "mirrors.peerdb.io") for verb in ("create", "update", "patch", "delete")}
BY_ROLE = {
    "view": {*READ, READ_STATUS},
    "edit": {*READ, READ_STATUS, *WRITE},
    "admin": {*READ, READ_STATUS, *WRITE, ("deletecollection", "mirrors.peerdb.io")},
}


def every_question() -> list[Question]:
    """All verbs on everything, where the operator is at home, where it works and where it does not.

    No right in a namespace is for one name alone.
    """
    here = itertools.product(VERBS, IN_NAMESPACES, (HOME, WATCHED, OTHER), ("one",))
    above = itertools.product(VERBS, IN_THE_CLUSTER, ("",), ("", WATCHED, OTHER, "kube-system", "mirrors.peerdb.io"))
    return [*here, *above]


def review(question: Question, user: str) -> Object:
    """What ``kubectl auth can-i`` asks the API server, as an object."""
    verb, resource, namespace, name = question
    whole, _, subresource = resource.partition("/")
    plural, _, group = whole.partition(".")
    asked = {"verb": verb, "group": group, "resource": plural, "subresource": subresource}
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": {**asked, "namespace": namespace, "name": name}},
    }


def allowed(cluster: ControlPlane, user: str, questions: list[Question]) -> set[Question]:
    """Those of the questions that the API server answers with yes."""
    listed = {"apiVersion": "v1", "kind": "List", "items": [review(question, user) for question in questions]}
    printed = cluster.kubectl(
        "create", '--output=jsonpath={.status.allowed}{"\\n"}', "-f", "-", input=json.dumps(listed)
    )
    answers = printed.stdout.split()
    return {question for question, answer in zip(questions, answers, strict=True) if answer == "true"}


def granted(namespaces: tuple[str, ...], named: Mapping[str, tuple[str, ...]]) -> set[Question]:
    """What the operator should be allowed: on Mirrors in these namespaces, at home, to ``get`` these names above."""
    mine = {(*right, where, "one") for right in ON_MIRRORS for where in namespaces} | {(*ON_ITS_POD, HOME, "one")}
    return mine | {("get", resource, "", name) for resource, names in named.items() for name in names}


@pytest.fixture(scope="module")
def cluster(our_control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """The API server with the namespaces of this file."""
    remove_definition(our_control_plane)
    for name in (HOME, WATCHED, OTHER):
        make_namespace(our_control_plane, name)
    yield our_control_plane
    remove_definition(our_control_plane)


@pytest.fixture
def release(chart_helm: Helm, cluster: ControlPlane) -> Iterator[Release]:
    """A release that is not installed yet."""
    made = Release(chart_helm, cluster, "rights", HOME)
    yield made
    made.uninstall()


def account(release: Release) -> str:
    """The user that the operator is."""
    return f"system:serviceaccount:{HOME}:{one(release.manifest(), 'ServiceAccount')['metadata']['name']}"


def test_the_operator_may_do_in_all_namespaces_what_it_does_and_nothing_else(release: Release) -> None:
    release.install(URL)
    everywhere = ("", WATCHED, OTHER, "kube-system", "mirrors.peerdb.io")

    found = allowed(release.cluster, account(release), every_question())

    assert found == granted((HOME, WATCHED, OTHER), {"namespaces": everywhere, CRD: ("mirrors.peerdb.io",)})


def test_with_watched_namespaces_the_operator_may_do_it_in_these_alone(release: Release) -> None:
    release.install({**URL, "watchNamespaces": [WATCHED]})

    found = allowed(release.cluster, account(release), every_question())

    assert found == granted((WATCHED,), {"namespaces": (WATCHED, "kube-system"), CRD: ("mirrors.peerdb.io",)})


def test_with_an_identity_given_the_operator_may_not_read_kube_system(release: Release) -> None:
    release.install({**URL, "watchNamespaces": [WATCHED], "clusterId": "blue"})

    found = allowed(release.cluster, account(release), every_question())

    assert found == granted((WATCHED,), {"namespaces": (WATCHED,), CRD: ("mirrors.peerdb.io",)})


def test_without_roles_the_operator_may_do_nothing(release: Release) -> None:
    release.install({**URL, "rbac": {"create": False}})

    assert allowed(release.cluster, account(release), every_question()) == set()


@pytest.mark.parametrize(
    ("verb", "what", "answer"),
    [
        ("patch", ("mirrors.peerdb.io", "--subresource=status"), "yes"),
        ("get", (f"{CRD}/mirrors.peerdb.io",), "yes"),
        ("delete", ("mirrors.peerdb.io",), "no"),
        ("*", ("*",), "no"),
    ],
)
def test_kubectl_says_the_same(installed: Release, verb: str, what: tuple[str, ...], answer: str) -> None:
    asked = ("auth", "can-i", verb, *what, f"--as={account(installed)}", f"--namespace={WATCHED}")

    assert installed.cluster.kubectl(*asked, check=False).stdout.strip() == answer


@pytest.fixture(scope="module")
def installed(chart_helm: Helm, cluster: ControlPlane) -> Iterator[Release]:
    """A release that watches one namespace."""
    made = Release(chart_helm, cluster, "asked", HOME)
    made.install({**URL, "crds": {"enabled": False}, "watchNamespaces": [WATCHED]})
    yield made
    made.uninstall()


@pytest.mark.parametrize("role", BY_ROLE)
def test_people_get_rights_on_mirrors_by_the_built_in_roles(installed: Release, role: str) -> None:
    ours = one(installed.manifest(), "ClusterRole", f"-{role}")
    built_in = json.loads(installed.kubectl("get", "clusterrole", role, "--output=json"))
    chosen = [each["matchLabels"] for each in built_in["aggregationRule"]["clusterRoleSelectors"]]
    bind = ("create", "rolebinding", f"a-{role}", f"--clusterrole={ours['metadata']['name']}", f"--user=a-{role}")
    installed.cluster.kubectl(*bind, f"--namespace={OTHER}")

    assert any(labels.items() <= ours["metadata"]["labels"].items() for labels in chosen)
    found = allowed(installed.cluster, f"a-{role}", every_question())
    assert found == {(*right, OTHER, "one") for right in BY_ROLE[role]}


def test_a_built_in_role_does_not_see_more_than_its_own(installed: Release) -> None:
    labels = [each["metadata"]["labels"] for each in installed.manifest() if each["kind"] == "ClusterRole"]
    words = [sorted(key.rpartition("-to-")[2] for key in each if "aggregate-to" in key) for each in labels]

    assert sorted(words) == [[], ["admin"], ["edit"], ["view"]]

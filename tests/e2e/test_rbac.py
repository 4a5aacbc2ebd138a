"""Least privilege: the operator uses what the chart grants and nothing else, and says what it lacks."""

import http
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from peerdb_operator.api import constants
from tests.e2e.conftest import MakeWorld
from tests.e2e.killing import asking
from tests.e2e.world import Subject, World, a_table, eventually
from tests.harness.controlplane.audit import AuditEvent
from tests.harness.gate import Gate, Passage
from tests.harness.identity import RELEASE_NAMESPACE, Identity, make_namespace
from tests.harness.identity_rights import ANY, Right, rights_in
from tests.harness.operator_process import RunningOperator

pytestmark = pytest.mark.e2e

ORDERS = a_table("public.orders")
NAMESPACE, OTHER, DOOMED = "rbac", "rbac-other", "rbac-doomed"
INSTALLED = {"all namespaces": (), "one namespace": (NAMESPACE,), "two namespaces": (NAMESPACE, OTHER)}
RESCUE = "peerdb-rescue"


@pytest.fixture(scope="module")
def world(make_world: MakeWorld) -> World:
    world = make_world(NAMESPACE)
    make_namespace(world.cluster, OTHER)
    return world


@pytest.fixture(scope="module")
def other(world: World) -> Iterator[World]:
    """Another namespace of the same operator."""
    other = World(world.cluster, world.sim, OTHER, world.identities)
    yield other
    other.close()


@pytest.fixture
def doomed(world: World) -> Iterator[World]:
    """A third one, which goes."""
    make_namespace(world.cluster, DOOMED)
    doomed = World(world.cluster, world.sim, DOOMED, world.identities)
    yield doomed
    doomed.close()
    world.cluster.kubectl("delete", "clusterrolebinding,clusterrole", RESCUE, check=False)


@pytest.fixture
def gate(world: World) -> Iterator[Gate]:
    """What the operator takes for PeerDB."""
    with Gate(world.sim.gateway_url) as gate:
        yield gate


def meddle_once(gate: Gate, subjects: list[Subject]) -> None:
    """Somebody else writes an object while its mirror is being paused: the operator's next write of it is stale."""
    untouched = {subject.peerdb: subject for subject in subjects}

    def rewrite(passage: Passage) -> object:
        subject = untouched.pop(passage.body["flowJobName"], None) if asking("PAUSED")(passage) else None
        if subject is not None:
            subject.annotate(f"{constants.ANNOTATION_REQUESTED_AT}=now")
        return passage.reply

    gate.rewrites = rewrite


@pytest.mark.parametrize("installed", ["all namespaces", "two namespaces"])
def test_every_right_of_the_chart_is_used_and_no_other_is_asked_for_when_mirrors_live_a_whole_life(
    world: World, other: World, gate: Gate, installed: str
) -> None:
    namespaces = INSTALLED[installed]
    mark = world.cluster.audit_mark()
    watched = ",".join(namespaces) or None
    with world.start_operator(namespaces=watched, peerdb_url=gate.url, environ=world.pod):
        subjects = [each.settled([ORDERS]) for each in (world, other)]
        meddle_once(gate, subjects)
        for subject in subjects:
            subject.wish(tables=[ORDERS, a_table("public.invoices")])
        for subject in subjects:
            subject.wait_reason("Running")
        told = len(world.pod_events())
        gate.shut()
        eventually(lambda: len(world.pod_events()) > told, "the outage is told of")
        gate.open()
        for subject in subjects:
            subject.wait_reason("Running", "Synced")
    with world.start_operator(namespaces=watched, peerdb_url=gate.url):
        for subject in subjects:
            subject.delete(wait=False)
        for subject in subjects:
            subject.wait_gone()
            assert subject.state() is None
    account = world.identities.account(world.identities.identity(namespaces), mark)
    assert account.refused == []
    assert account.unused == []
    assert account.idle_pairs == []


def listed_rights(world: World, identity: Identity, namespace: str) -> set[Right]:
    """What the API server says the account may do there, less what it lets every account do."""
    nobody = world.cluster.kubeconfig_of_service_account(RELEASE_NAMESPACE, "nobody")
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    create = ("create", "-f", "-", "--validate=false", "--output=json")  # to validate, kubectl would read much more
    own, everyones = (
        json.loads(world.cluster.kubectl(*create, input=json.dumps(review), as_kubeconfig=who).stdout)["status"]
        for who in (identity.kubeconfig, nobody)
    )
    assert not own["incomplete"]
    return set(rights_in({"rules": own["resourceRules"]}, "")) - set(
        rights_in({"rules": everyones["resourceRules"]}, "")
    )


@pytest.mark.parametrize("installed", INSTALLED)
def test_the_account_has_exactly_the_chart_s_rights_when_the_api_server_is_asked(world: World, installed: str) -> None:
    namespaces = INSTALLED[installed]
    identity = world.identities.identity(namespaces)
    world.cluster.kubectl("create", "serviceaccount", "nobody", f"--namespace={RELEASE_NAMESPACE}", check=False)
    assert identity.granted
    for namespace in (NAMESPACE, OTHER):
        expected = {replace(each, namespace="") for each in identity.granted if each.namespace in ("", namespace)}
        assert listed_rights(world, identity, namespace) == expected
    assert [each for each in identity.granted if ANY in (*each.what, each.name)] == []


def let_go(subject: Subject) -> None:
    """End a Mirror that its operator could not let go of."""
    subject.patch({"metadata": {"finalizers": None}})
    subject.wait_gone()


def told(operator: RunningOperator, right: Right) -> int:
    """How often its log says, in the words of the API server, that this right is missing."""
    what = f'cannot {right.verb} resource \\"{right.resource}\\" in API group \\"{right.group}\\"'
    return sum(what in line for line in operator.lines())


def refused_writes(subject: Subject) -> list[AuditEvent]:
    """What the operator may not write of one Mirror."""
    return [event for event in subject.world.writes(0, subject.name) if event.code == http.HTTPStatus.FORBIDDEN]


MIRRORS = Right(NAMESPACE, constants.GROUP, "mirrors", "get")
CRD = Right("", "apiextensions.k8s.io", "customresourcedefinitions", "get", "mirrors.peerdb.io")
AT_THE_START = {
    "the list of Mirrors": replace(MIRRORS, verb="list"),
    "the cluster's uid": Right("", "", "namespaces", "get", "kube-system"),
}


def without_right(world: World, lost: Right) -> RunningOperator:
    """An operator that lacks it, and may not be able to start."""
    return world.start_operator(identity=world.identities.lacking(lost, (NAMESPACE,)), wait=False)


@pytest.mark.parametrize("question", AT_THE_START)
def test_the_operator_waits_unready_and_says_which_right_it_lacks_when_it_cannot_start_without(
    world: World, question: str
) -> None:
    with without_right(world, AT_THE_START[question]) as operator:
        eventually(lambda: told(operator, AT_THE_START[question]), "it is told", operator.lines)
        assert f"Waiting for {question}" in operator.last_words()
        assert operator.health("/readyz") == 503
        assert operator.health("/healthz") == 200
        assert operator.running()


def test_no_mirror_is_taken_over_and_the_log_says_why_when_the_operator_may_not_write_finalizers(world: World) -> None:
    lost = replace(MIRRORS, verb="patch")
    with without_right(world, lost) as operator:
        subject = world.declare(world.live([ORDERS]), {"tables": [ORDERS], "state": "Paused"})
        eventually(lambda: len(refused_writes(subject)) > 2, "it is tried again", subject)
        assert told(operator, lost) == 1
        assert operator.running()
    assert subject.tag() == constants.RELEASED
    assert subject.commands() == []
    subject.delete()


def test_nothing_is_dropped_and_the_log_says_why_when_the_operator_may_not_write_status(world: World) -> None:
    lost = replace(MIRRORS, resource="mirrors/status", verb="patch")
    with without_right(world, lost) as operator:
        subject = world.declare(world.live([ORDERS]), {"tables": [ORDERS]})
        eventually(lambda: told(operator, lost), "it is told", subject)
        before = len(refused_writes(subject))
        subject.delete(wait=False)
        eventually(lambda: len(refused_writes(subject)) > before + 1, "it is tried again", subject)
        assert told(operator, lost) == 1
        assert operator.running()
        assert subject.find() is not None
        assert subject.commands() == []
    let_go(subject)


def test_the_mirror_stays_and_its_condition_says_why_when_the_operator_may_not_read_what_a_drop_rests_on(
    world: World,
) -> None:
    with without_right(world, CRD) as operator:
        subject = world.settled([ORDERS])
        subject.delete(wait=False)
        found = subject.wait_reason("DropBlocked")
        assert "cannot read from Kubernetes whether the namespace or the CRD is being deleted" in found["message"]
        assert told(operator, CRD)
        assert subject.commands() == []
    let_go(subject)


def test_the_log_says_which_right_is_missing_when_the_operator_may_not_watch(world: World) -> None:
    lost = replace(MIRRORS, verb="watch")
    with without_right(world, lost) as operator:
        eventually(lambda: any("cannot watch resource" in line for line in operator.lines()), "it is told")
        assert operator.running()


def test_a_mirror_is_driven_all_the_same_when_the_operator_may_not_create_events(world: World) -> None:
    lost = Right(NAMESPACE, "events.k8s.io", "events", "create")
    with without_right(world, lost) as operator:
        subject = world.settled([ORDERS])
        subject.wish(state="Paused")
        subject.wait_reason("Paused")
        eventually(lambda: told(operator, lost), "it is told", subject)
        assert subject.events() == []
    subject.delete(wait=False)
    let_go(subject)


def rescue(world: World, user: str) -> None:
    """What the documentation tells an admin to do: roles in a namespace that goes are gone and cannot be made again."""
    resources = f"mirrors.{constants.GROUP},mirrors.{constants.GROUP}/status"
    world.cluster.kubectl("create", "clusterrole", RESCUE, "--verb=get,list,watch,patch", f"--resource={resources}")
    account = ":".join(user.split(":")[-2:])
    world.cluster.kubectl(
        "create", "clusterrolebinding", RESCUE, f"--clusterrole={RESCUE}", f"--serviceaccount={account}"
    )


def take_the_role_along(world: World, subject: Subject) -> None:
    """What the deletion of a namespace does, in the order that hurts: roles first, then what has finalizers."""
    bindings = world.kubectl("get", "rolebindings", "--output=name").split()
    assert len(bindings) == 1
    world.kubectl("delete", *bindings)
    world.cluster.kubectl("delete", "namespace", world.namespace, "--wait=false")
    subject.delete(wait=False)


def test_the_other_namespaces_are_served_and_an_admin_can_help_when_one_goes_and_takes_the_role_along(
    doomed: World, other: World
) -> None:
    watched = f"{DOOMED},{OTHER}"
    with doomed.start_operator(namespaces=watched) as operator:
        going = doomed.settled([ORDERS])
        take_the_role_along(doomed, going)
        eventually(lambda: told(operator, replace(MIRRORS, verb="patch")), "it is told", going)
    with doomed.start_operator(namespaces=watched) as operator:
        assert f"Going on without the namespace {DOOMED}, which is being deleted" in operator.last_words()
        staying = other.settled([ORDERS])
        assert going.find() is not None
        rescue(doomed, doomed.identities.identity((DOOMED, OTHER)).user)
        going.wait_gone()
        assert going.state() == "RUNNING"
    staying.delete(wait=False)
    let_go(staying)

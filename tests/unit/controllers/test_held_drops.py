"""Held drops whose namespace or CRD begins to go: who is woken, and what is read for it."""

from __future__ import annotations

import pytest

from peerdb_operator.api.constants import OWNER_TAG
from peerdb_operator.errors import KubeUnavailable
from peerdb_operator.settings import NamespaceDeletion
from tests.harness.peerdb.values import Status
from tests.unit.controllers.stage import Stage, Tap, a_settled_stage, a_spec, forget, tables


def a_stage_with_a_held_drop(namespace_deletion: NamespaceDeletion = NamespaceDeletion.RELEASE) -> Stage:
    stage = a_settled_stage("a", brake_drops=0, namespace_deletion=namespace_deletion)
    stage.cluster.delete("orders")
    stage.follow(10.0)
    assert stage.condition() == ("False", "DropHeld")
    forget(stage)
    return stage


def to_release(stage: Stage) -> list[str]:
    stage.deliver()
    return stage.do(stage.controller._held_drops.to_release())


def test_held_drops_stay_held_when_the_operator_drops_with_the_namespace() -> None:
    stage = a_stage_with_a_held_drop(namespace_deletion=NamespaceDeletion.DROP)
    stage.cluster.delete_namespace()
    assert to_release(stage) == []


def test_only_the_mirrors_of_the_namespace_that_goes_are_woken() -> None:
    stage = a_stage_with_a_held_drop()
    stage.cluster.namespaces["other"] = False
    stage.engine.put_mirror("others", state=Status.RUNNING, tables=tables("a"), tags={OWNER_TAG: "released"})
    stage.cluster.create("others", a_spec("a"), namespace="other")
    stage.deliver()
    uid = stage.uid("others", "other")
    for _ in range(3):
        stage.do(stage.controller.reconcile(uid))
    stage.cluster.delete("others", namespace="other")
    for _ in range(3):
        stage.deliver()
        stage.do(stage.controller.reconcile(uid))
        stage.wait(2.0)
    stage.cluster.delete_namespace("other")
    assert to_release(stage) == [uid]


def test_the_crd_and_each_namespace_are_read_once_for_all_that_wait_and_not_at_all_while_nobody_does() -> None:
    stage = a_settled_stage("a")
    stage.kube.taps.put("get-crd", Tap(instead=KubeUnavailable("not to be asked")))
    assert to_release(stage) == []
    stage.kube.taps.clear()
    names = ("orders", "second", "third")
    stage.restart(brake_drops=0)
    for name in names[1:]:
        stage.engine.put_mirror(name, state=Status.RUNNING, tables=tables("a"), tags={OWNER_TAG: "released"})
        stage.cluster.create(name, a_spec("a"))
        stage.follow(10.0, name)
    for name in names:
        stage.cluster.delete(name)
        stage.follow(10.0, name)
        assert stage.condition(name=name) == ("False", "DropHeld")
    reads: list[str] = []
    for kind in ("get-crd", "get-namespace") * 2:
        stage.kube.taps.put(kind, Tap(before=lambda kind=kind: reads.append(kind)))  # type: ignore[misc]  # bound now
    to_release(stage)
    assert reads == ["get-crd", "get-namespace"]


@pytest.mark.parametrize("kind", ["get-crd", "get-namespace"])
def test_nobody_is_woken_when_kubernetes_does_not_say(kind: str) -> None:
    stage = a_stage_with_a_held_drop()
    stage.cluster.namespaces["data"] = True
    stage.kube.taps.put(kind, Tap(instead=KubeUnavailable("down")))
    assert to_release(stage) == []
    assert to_release(stage) == [stage.uid()]

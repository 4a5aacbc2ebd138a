"""The cluster in memory follows the API server's rules."""

import pytest

from peerdb_operator.errors import KubeConflict, KubeError, KubeForbidden
from tests.harness.fakecluster import FakeCluster, WatchEvent

KEY = ("data", "orders")


class FakeTime:
    def __init__(self) -> None:
        self.seconds = 1_700_000_000.0

    def now(self) -> float:
        return self.seconds


def a_cluster() -> FakeCluster:
    return FakeCluster(FakeTime().now)


def a_cluster_with_a_mirror(*finalizers: str) -> FakeCluster:
    cluster = a_cluster()
    cluster.create("orders", {"state": "Running"})
    if finalizers:
        cluster.patch(KEY, {"metadata": {"finalizers": list(finalizers)}}, "operator")
    return cluster


def watched(cluster: FakeCluster) -> list[WatchEvent]:
    events: list[WatchEvent] = []
    cluster.watchers.append(events.append)
    return events


def test_a_new_object_has_uid_generation_version_and_the_default_status_when_created() -> None:
    body = a_cluster().create("orders", {"state": "Running"})
    metadata = body["metadata"]
    assert (metadata["uid"], metadata["generation"], metadata["creationTimestamp"]) == (
        "cluster-1", 1, "2023-11-14T22:13:20Z",
    )  # fmt: skip
    assert int(metadata["resourceVersion"]) > 0
    assert body["status"] == {"observedGeneration": -1}


def test_the_generation_moves_with_the_spec_alone_when_an_object_is_patched() -> None:
    cluster = a_cluster_with_a_mirror()
    assert cluster.edit("orders", {"metadata": {"annotations": {"x": "y"}}})["metadata"]["generation"] == 1
    assert cluster.edit_status("orders", {"state": "Running"})["metadata"]["generation"] == 1
    assert cluster.edit("orders", {"spec": {"state": "Paused"}})["metadata"]["generation"] == 2


def test_nothing_happens_when_a_patch_changes_nothing() -> None:
    cluster = a_cluster_with_a_mirror()
    events, before = watched(cluster), cluster.get(KEY)
    assert cluster.edit("orders", {"spec": {"state": "Running"}}) is before
    assert events == []
    assert cluster.record[-1].before is cluster.record[-1].after


def test_status_is_out_of_reach_when_the_main_resource_is_patched() -> None:
    cluster = a_cluster_with_a_mirror()
    cluster.patch(KEY, {"status": {"state": "Running"}}, "operator")
    assert cluster.get(KEY)["status"] == {"observedGeneration": -1}


def test_spec_and_metadata_are_out_of_reach_when_the_status_is_patched() -> None:
    cluster = a_cluster_with_a_mirror()
    cluster.patch_status(KEY, {"spec": {"state": "Paused"}, "metadata": {"labels": {"a": "b"}}, "status": {}}, "x")
    assert cluster.get(KEY)["spec"] == {"state": "Running"}
    assert "labels" not in cluster.get(KEY)["metadata"]


def test_a_conflict_is_raised_when_the_version_is_stale() -> None:
    cluster = a_cluster_with_a_mirror()
    stale = cluster.get(KEY)["metadata"]["resourceVersion"]
    cluster.edit("orders", {"spec": {"state": "Paused"}})
    for patch in (cluster.patch, cluster.patch_status):
        with pytest.raises(KubeConflict):
            patch(KEY, {"metadata": {"resourceVersion": stale}, "status": {"state": "x"}}, "operator")
    fresh = cluster.get(KEY)["metadata"]["resourceVersion"]
    cluster.patch_status(KEY, {"metadata": {"resourceVersion": fresh}, "status": {"state": "x"}}, "operator")
    assert cluster.get(KEY)["status"]["state"] == "x"


def test_an_object_waits_for_its_finalizers_when_it_is_deleted() -> None:
    cluster = a_cluster_with_a_mirror("one", "two")
    events = watched(cluster)
    cluster.delete("orders")
    cluster.delete("orders")
    metadata = cluster.get(KEY)["metadata"]
    assert (metadata["deletionTimestamp"], metadata["generation"]) == ("2023-11-14T22:13:20Z", 2)
    cluster.patch(KEY, {"metadata": {"finalizers": ["two"]}}, "operator")
    cluster.patch(KEY, {"metadata": {"finalizers": []}}, "operator")
    assert [event.type for event in events] == ["MODIFIED", "MODIFIED", "DELETED"]
    assert KEY not in cluster.mirrors


def test_a_finalizer_is_refused_when_the_object_is_being_deleted() -> None:
    cluster = a_cluster_with_a_mirror("one")
    cluster.delete("orders")
    with pytest.raises(KubeError, match="no new finalizers"):
        cluster.patch(KEY, {"metadata": {"finalizers": ["one", "two"]}}, "operator")


def test_a_namespace_takes_nothing_new_and_no_events_when_it_terminates() -> None:
    cluster = a_cluster_with_a_mirror("one")
    cluster.delete_namespace()
    assert "deletionTimestamp" in cluster.get(KEY)["metadata"]
    with pytest.raises(KubeForbidden):
        cluster.create("other", {})
    with pytest.raises(KubeForbidden):
        cluster.note_event(KEY, "Normal", "Dropping", "", "operator")
    cluster.patch(KEY, {"metadata": {"finalizers": []}}, "operator")
    assert "data" not in cluster.namespaces

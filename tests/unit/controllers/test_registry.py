"""What the process knows of Mirrors: newest versions, claims, journals that somebody else writes, wishes."""

from typing import Any

import pytest

from peerdb_operator.api.constants import FINALIZER
from peerdb_operator.api.mirror import DeletionPolicy, RunState
from peerdb_operator.api.times import format_seconds
from peerdb_operator.errors import KubeConflict
from peerdb_operator.mirror.rules.desired import Desired
from peerdb_operator.mirror.rules.journal import Journal
from peerdb_operator.mirror.store import CachedMirror, MirrorStore

CONDITION = {
    "type": "Ready",
    "status": "True",
    "reason": "Running",
    "message": "",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}
OPERATION = {
    "id": "pause-1-1",
    "step": "Pause",
    "sentAt": "2026-01-01T00:00:00.000000Z",
    "accepted": False,
    "createdAt": "2026-01-01T00:00:00Z",
}


def a_body(
    name: str = "orders",
    *,
    uid: str = "u1",
    version: int = 10,
    generation: int = 1,
    created: str = "2026-01-01T00:00:00Z",
    namespace: str = "data",
    spec: object = None,
    status: dict[str, Any] | None = None,
    **metadata: object,
) -> dict[str, Any]:
    fixed = {
        "name": name,
        "namespace": namespace,
        "uid": uid,
        "resourceVersion": str(version),
        "generation": generation,
        "creationTimestamp": created,
    }
    return {"metadata": {**fixed, **metadata}, "spec": {} if spec is None else spec, "status": status or {}}


def a_registry(*bodies: dict[str, Any]) -> MirrorStore:
    registry = MirrorStore()
    for body in bodies:
        registry.update_from_watch(body)
    return registry


def entry_of(registry: MirrorStore, uid: str = "u1") -> CachedMirror:
    found = registry.get(uid)
    assert found is not None
    return found


# -- versions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [9, 10])
def test_a_version_that_is_not_newer_changes_nothing(version: int) -> None:
    registry = a_registry(a_body(version=10, generation=2))
    assert not registry.update_from_watch(a_body(version=version, generation=1, spec={"state": "Paused"}))
    assert entry_of(registry).view.generation == 2
    assert entry_of(registry).wish() == Desired("orders", 2)


@pytest.mark.parametrize(
    "news",
    [
        {"generation": 2},
        {"deletionTimestamp": "2026-01-02T00:00:00Z"},
        {"finalizers": [FINALIZER]},
        {"annotations": {"peerdb.io/reconcile": "disabled"}},
        {"annotations": {"peerdb.io/reconcile-requested-at": "now"}},
        {"status": {"state": "Running"}},
    ],
)
def test_a_newer_version_asks_for_a_pass_when_it_says_something_new(news: dict[str, Any]) -> None:
    registry = a_registry(a_body(version=10))
    assert registry.update_from_watch(a_body(version=11, **news))


def test_a_newer_version_asks_for_nothing_when_only_labels_differ() -> None:
    registry = a_registry(a_body(version=10))
    assert not registry.update_from_watch(a_body(version=11, labels={"a": "b"}))
    assert entry_of(registry).view.version == 11


def test_our_own_write_asks_for_nothing_when_the_watch_delivers_it_before_its_answer() -> None:
    registry = a_registry(a_body(version=10))
    entry = entry_of(registry)
    entry.journal = Journal()
    written = a_body(version=11, status={"state": "Running", "conditions": [CONDITION], "operation": OPERATION})
    entry.writing = a_registry(written).claimants("orders")[0].view.status
    assert not registry.update_from_watch(written)
    assert entry.journal is not None
    registry.update_from_write(entry, written)
    assert (entry.view.version, entry.base.version) == (11, 11)


class _CountedBody(dict[str, Any]):
    """An object that counts how often its status is read."""

    reads = 0

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401 - as dict has it
        self.reads += key == "status"
        return super().get(key, default)


def test_the_watch_event_of_a_version_that_an_answer_has_told_is_not_read_again() -> None:
    registry = a_registry(a_body(version=10))
    answer = _CountedBody(a_body(version=11, status={"state": "Running"}))
    registry.update_from_write(entry_of(registry), answer)
    event = _CountedBody(answer)

    assert not registry.update_from_watch(event)

    assert (answer.reads, event.reads) == (1, 0)
    assert registry.update_from_watch(event | {"metadata": event["metadata"] | {"resourceVersion": "12"}}) is False
    assert entry_of(registry).view.version == 12


def test_an_answer_that_is_older_than_the_watch_leaves_the_newer_version() -> None:
    registry = a_registry(a_body(version=10))
    entry = entry_of(registry)
    registry.update_from_watch(a_body(version=12, generation=2))
    registry.update_from_write(entry, a_body(version=11))
    assert (entry.view.version, entry.base.version) == (12, 11)
    with pytest.raises(KubeConflict):
        entry.require_base()
    with pytest.raises(KubeConflict):
        entry.require_intent()


# -- journals --------------------------------------------------------------------------------------------------------


def test_a_journal_written_by_somebody_else_replaces_ours() -> None:
    registry = a_registry(a_body(version=10, status={"conditions": [CONDITION]}))
    entry = entry_of(registry)
    assert entry.current_journal().operation is None
    assert registry.update_from_watch(a_body(version=11, status={"conditions": [CONDITION], "operation": OPERATION}))
    operation = entry.current_journal().operation
    assert operation is not None
    assert operation.id == "pause-1-1"


def test_our_journal_stays_when_the_status_is_wiped() -> None:
    registry = a_registry(a_body(version=10, status={"conditions": [CONDITION], "operation": OPERATION}))
    entry = entry_of(registry)
    ours = entry.current_journal()
    assert registry.update_from_watch(a_body(version=11, status={"observedGeneration": -1}))
    assert entry.current_journal() is ours


# -- a restored API server ------------------------------------------------------------------------------------------


def test_an_older_version_takes_the_place_of_the_known_one_when_the_api_server_was_restored() -> None:
    registry = a_registry(a_body(version=1_000_000, generation=3))
    entry = entry_of(registry)
    entry.wish()
    assert registry.restore(a_body(version=400_000, generation=3, spec={"state": "Paused"}), 1_000_000)
    assert entry.view.version == 400_000
    assert entry.wish() == Desired("orders", 3, RunState.PAUSED)
    assert registry.update_from_watch(a_body(version=400_001, generation=4))


def test_a_command_of_the_running_pass_is_refused_when_the_api_server_was_restored_meanwhile() -> None:
    registry = a_registry(a_body(version=1_000_000, generation=3))
    registry.restore(a_body(version=400_000, generation=2), 1_000_000)
    with pytest.raises(KubeConflict):
        entry_of(registry).require_intent()


def test_a_version_read_before_another_one_came_restores_nothing() -> None:
    registry = a_registry(a_body(version=1_000_000))
    registry.update_from_watch(a_body(version=1_000_001))
    assert not registry.restore(a_body(version=400_000), 1_000_000)
    assert entry_of(registry).view.version == 1_000_001


# -- identity and claims ---------------------------------------------------------------------------------------------


def test_an_object_created_anew_under_the_same_name_takes_the_place_of_the_old_one() -> None:
    registry = a_registry(a_body(uid="old", version=10))
    old = entry_of(registry, "old")
    assert registry.update_from_watch(a_body(uid="new", version=20))
    assert registry.get("old") is None
    assert [each.view.uid for each in registry.claimants("orders")] == ["new"]
    with pytest.raises(KubeConflict):
        old.require_intent()
    assert registry.remove("old") is None
    assert len(registry) == 1


def test_everybody_who_keeps_something_of_a_predecessor_forgets_it() -> None:
    forgotten: list[str] = []
    registry = MirrorStore(forgotten.append)
    registry.update_from_watch(a_body(uid="old", version=10))
    registry.update_from_watch(a_body(uid="new", version=20))
    assert forgotten == ["old"]


def test_an_old_read_of_a_predecessor_changes_nothing() -> None:
    registry = a_registry(a_body(uid="new", version=20))
    assert not registry.update_from_watch(a_body(uid="old", version=10))
    assert [each.view.uid for each in registry] == ["new"]


def test_the_older_of_two_mirrors_in_two_namespaces_has_the_claim() -> None:
    spec = {"mirrorName": "orders"}
    older = a_body("a", uid="u2", namespace="one", created="2026-01-01T00:00:00Z", spec=spec)
    younger = a_body("a", uid="u1", namespace="two", created="2026-01-01T00:00:01Z", spec=spec)
    registry = a_registry(younger, older)
    assert registry.older_claim(entry_of(registry, "u1")) == "one/a"
    assert registry.older_claim(entry_of(registry, "u2")) is None
    assert registry.successor(entry_of(registry, "u2")) == "two/a"


def test_a_mirror_that_is_being_deleted_neither_claims_nor_inherits() -> None:
    going = a_body("a", uid="u1", spec={"mirrorName": "m"}, deletionTimestamp="2026-01-02T00:00:00Z")
    registry = a_registry(going, a_body("b", uid="u2", spec={"mirrorName": "m"}))
    assert registry.older_claim(entry_of(registry, "u2")) is None
    assert registry.successor(entry_of(registry, "u2")) is None
    assert registry.successor(entry_of(registry, "u1")) == "data/b"


def test_claims_follow_when_an_object_is_removed_and_comes_back_or_bears_another_mirror_name() -> None:
    registry = a_registry(a_body(version=10))
    registry.remove("u1")
    assert registry.claimants("orders") == []
    registry.update_from_watch(a_body(version=11))
    assert len(registry.claimants("orders")) == 1
    registry.update_from_watch(a_body(version=12, generation=2, spec={"mirrorName": "other"}))
    assert registry.claimants("orders") == []
    assert len(registry.claimants("other")) == 1
    registry.remove("u1")
    assert registry.claimants("other") == []


# -- wishes ----------------------------------------------------------------------------------------------------------


def test_a_deletion_leaves_the_mirror_alone_when_no_spec_was_ever_readable() -> None:
    entry = entry_of(a_registry(a_body(spec={"state": "Sideways"}, deletionTimestamp="2026-01-02T00:00:00Z")))
    wish = entry.desired_for_deletion()
    assert (wish.deletion_policy, wish.state) == (DeletionPolicy.RETAIN, RunState.PAUSED)
    assert entry.is_looked_at


@pytest.mark.parametrize(("policy", "kept"), [(None, DeletionPolicy.DROP), ("Retain", DeletionPolicy.RETAIN)])
def test_a_deletion_follows_the_last_readable_spec_unless_the_new_one_says_retain(
    policy: str | None, kept: DeletionPolicy
) -> None:
    registry = a_registry(a_body(version=10, spec={"state": "Paused"}))
    entry = entry_of(registry)
    entry.wish()
    spec = {"state": "Sideways", **({} if policy is None else {"deletionPolicy": policy})}
    registry.update_from_watch(a_body(version=11, generation=2, spec=spec))
    wish = entry.desired_for_deletion()
    assert (wish.state, wish.deletion_policy) == (RunState.PAUSED, kept)


@pytest.mark.parametrize(("second", "message"), [(1, "newer"), (0, "known"), (-1, "known")])
def test_a_newer_error_that_another_process_has_written_to_status_is_remembered(second: int, message: str) -> None:
    def version(number: int, message: str, at: float) -> dict[str, Any]:
        error = {"message": message, "time": format_seconds(at)}
        return a_body(version=number, status={"lastError": error})

    registry = a_registry(version(10, "known", 1767225600.0), version(11, "newer", 1767225600.0 + second))
    entry = entry_of(registry)
    assert entry.error is not None
    assert entry.error[0] == message
    registry.update_from_watch(a_body(version=12))
    assert entry.error[0] == message


@pytest.mark.parametrize(
    ("verdict", "end"), [("Running", 1767225602.0), ("RunningWithErrors", None), ("MirrorOrphaned", None), (None, None)]
)
def test_an_error_in_status_is_open_unless_status_says_that_a_batch_answered_it(
    verdict: str | None, end: float | None
) -> None:
    time = "2026-01-01T00:00:00Z"
    flow = {} if verdict is None else {"flow": {"verdict": verdict, "since": time}}
    entry = entry_of(a_registry(a_body(status={"lastError": {"message": "broken", "time": time}, **flow})))
    assert entry.history.batch_end == end
    assert entry_of(a_registry(a_body(status=flow))).history.batch_end is None

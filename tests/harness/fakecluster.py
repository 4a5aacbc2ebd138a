"""Mirrors, namespaces and a CRD in memory, with the API server's rules that a controller can meet.

Owns uids, the one resourceVersion, generations, the split of ``/status``, its default, merge patches, conflicts,
finalizers and deletion, terminating namespaces and CRD, and the record of every change. Does no I/O and takes no time:
``fakekube`` of a simulation puts latency and faults in front (see ``fakeport``). Bodies are never changed in place, so
that a reader may keep what it was given; readers must not change them either.

Not modelled: schema and CEL (the real API server judges those), server-side apply, other kinds.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from peerdb_operator.api.constants import GROUP, KIND, VERSION
from peerdb_operator.api.times import format_seconds
from peerdb_operator.errors import KubeConflict, KubeError, KubeForbidden, KubeNotFound

Body = dict[str, Any]
Key = tuple[str, str]

DEFAULT_STATUS: Mapping[str, Any] = {"observedGeneration": -1}


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the record. ``verb``: create, patch, patch-status, delete, remove or event; ``who`` did it.

    ``before`` and ``after`` are whole objects (None: there was, or is, none). A write that changed nothing has
    ``before is after``. ``patch`` is the body as sent; for an event its type, reason and message.
    """

    n: int
    at: float
    who: str
    verb: str
    key: Key
    before: Body | None
    after: Body | None
    patch: Body


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """ADDED, MODIFIED or DELETED, as a watch delivers it."""

    type: str
    body: Body


@dataclass(slots=True)
class FakeCluster:
    """The state of one cluster. ``now`` is its clock."""

    now: Callable[[], float]
    uid: str = "cluster"
    mirrors: dict[Key, Body] = field(default_factory=dict)
    namespaces: dict[str, bool] = field(default_factory=lambda: {"data": False})
    crd: bool | None = False
    """Whether the CRD is terminating; None when it is gone. ``namespaces`` maps each name to the same."""
    record: list[Change] = field(default_factory=list)
    watchers: list[Callable[[WatchEvent], None]] = field(default_factory=list)
    version: int = 100
    _uids: int = 0

    # -- what users do -------------------------------------------------------------------------------------------

    def create(
        self, name: str, spec: Body, *, namespace: str = "data", annotations: Body | None = None, who: str = "user"
    ) -> Body:
        """A new Mirror; refused where one exists, in a terminating namespace and under a terminating CRD."""
        if (namespace, name) in self.mirrors:
            raise KubeConflict(f"{namespace}/{name} exists")
        if self.namespaces.get(namespace, True) or self.crd is not False:
            raise KubeForbidden(f"{namespace} or the CRD is being deleted")
        self._uids += 1
        metadata = {
            "name": name,
            "namespace": namespace,
            "uid": f"{self.uid}-{self._uids}",
            "generation": 1,
            "creationTimestamp": format_seconds(self.now()),
        }
        if annotations:
            metadata["annotations"] = annotations
        body = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "metadata": metadata,
            "spec": spec,
            "status": dict(DEFAULT_STATUS),
        }
        return self._store((namespace, name), None, body, who, "create", body)

    def edit(self, name: str, patch: Body, *, namespace: str = "data", who: str = "user") -> Body:
        """A merge patch on the main resource."""
        return self.patch((namespace, name), patch, who)

    def replace_spec(self, name: str, spec: Body, *, namespace: str = "data", who: str = "user") -> Body:
        """Put another spec in the place of the old one."""
        before = self.get((namespace, name))
        return self._change((namespace, name), before, {**before, "spec": spec}, who, "patch", {"spec": spec})

    def edit_status(self, name: str, status: object, *, namespace: str = "data", who: str = "user") -> Body:
        """A merge patch on ``/status`` by hand; None wipes it."""
        return self.patch_status((namespace, name), {"status": status}, who)

    def delete(self, name: str, *, namespace: str = "data", who: str = "user") -> None:
        """Ask for deletion: at once without finalizers, else when the last one goes."""
        key = (namespace, name)
        before = self.get(key)
        metadata = before["metadata"]
        if "deletionTimestamp" in metadata:
            return
        if not metadata.get("finalizers"):
            self._remove(key, before, who)
            return
        stamp = {"deletionTimestamp": format_seconds(self.now()), "deletionGracePeriodSeconds": 0}
        doomed = {**metadata, **stamp, "generation": metadata["generation"] + 1}
        self._store(key, before, {**before, "metadata": doomed}, who, "delete", {})

    def delete_namespace(self, namespace: str = "data") -> None:
        """The namespace terminates: it takes nothing new, and everything in it is deleted."""
        self.namespaces[namespace] = True
        for held, name in sorted(self.mirrors):
            if held == namespace:
                self.delete(name, namespace=namespace, who="namespace")
        self._finish_namespaces()

    def delete_crd(self) -> None:
        """The CRD terminates: all Mirrors are deleted."""
        self.crd = True
        for namespace, name in sorted(self.mirrors):
            self.delete(name, namespace=namespace, who="crd")
        self._finish_namespaces()

    def restore(self, mirrors: Mapping[Key, Body], version: int) -> None:
        """Put a backup of etcd back: objects and the resourceVersion as they were; no watch hears of it."""
        self.mirrors, self.version = dict(mirrors), version

    # -- what the API server does ----------------------------------------------------------------------------------

    def get(self, key: Key) -> Body:
        """The object; raises KubeNotFound."""
        if self.crd is None or key not in self.mirrors:
            raise KubeNotFound(f"{key[0]}/{key[1]} not found")
        return self.mirrors[key]

    def all(self) -> list[Body]:
        """Every object in order; raises KubeNotFound when the kind is not served."""
        if self.crd is None:
            raise KubeNotFound("the kind is not served")
        return [self.mirrors[key] for key in sorted(self.mirrors)]

    def patch(self, key: Key, patch: Body, who: str) -> Body:
        """A merge patch on the main resource: everything but status; raises KubeError."""
        before = self.get(key)
        wanted = merged(
            before, {name: value for name, value in self._checked(before, patch).items() if name != "status"}
        )
        metadata = wanted["metadata"]
        if "deletionTimestamp" in metadata:
            fresh = set(metadata.get("finalizers") or ()) - set(before["metadata"].get("finalizers") or ())
            if fresh:
                raise KubeError("no new finalizers can be added if the object is being deleted")
        return self._change(key, before, wanted, who, "patch", patch)

    def patch_status(self, key: Key, patch: Body, who: str) -> Body:
        """A merge patch on ``/status``: status alone; raises KubeError."""
        before = self.get(key)
        change = {"status": self._checked(before, patch).get("status", {})}
        wanted = merged(before, change)
        if not isinstance(wanted.get("status"), dict):
            wanted = {**wanted, "status": dict(DEFAULT_STATUS)}
        return self._change(key, before, wanted, who, "patch-status", patch)

    def note_event(self, key: Key, kind: str, reason: str, message: str, who: str) -> None:
        """Create an Event; a terminating namespace takes none."""
        if self.namespaces.get(key[0], True):
            raise KubeForbidden(f"the namespace {key[0]} is being terminated")
        about = self.mirrors.get(key)
        self._note(who, "event", key, about, about, {"type": kind, "reason": reason, "message": message})

    def events(self) -> Iterable[Change]:
        """The Events so far."""
        return (change for change in self.record if change.verb == "event")

    # -- inside ----------------------------------------------------------------------------------------------------

    def _checked(self, before: Body, patch: Body) -> Body:
        """The patch without its precondition."""
        metadata = patch.get("metadata")
        if not isinstance(metadata, dict) or "resourceVersion" not in metadata:
            return patch
        if metadata["resourceVersion"] != before["metadata"]["resourceVersion"]:
            raise KubeConflict("the object has been modified; apply your changes to the latest version")
        return {**patch, "metadata": {name: value for name, value in metadata.items() if name != "resourceVersion"}}

    def _change(self, key: Key, before: Body, wanted: Body, who: str, verb: str, patch: Body) -> Body:
        if wanted == before:
            self._note(who, verb, key, before, before, patch)
            return before
        if wanted["spec"] != before["spec"]:
            metadata = wanted["metadata"]
            wanted = {**wanted, "metadata": {**metadata, "generation": metadata["generation"] + 1}}
        if "deletionTimestamp" in wanted["metadata"] and not wanted["metadata"].get("finalizers"):
            return self._remove(key, before, who, wanted, patch)
        return self._store(key, before, wanted, who, verb, patch)

    def _store(self, key: Key, before: Body | None, wanted: Body, who: str, verb: str, patch: Body) -> Body:
        body = self._stamped(wanted)
        self.mirrors[key] = body
        self._note(who, verb, key, before, body, patch)
        self._tell(WatchEvent("ADDED" if before is None else "MODIFIED", body))
        return body

    def _remove(self, key: Key, before: Body, who: str, wanted: Body | None = None, patch: Body | None = None) -> Body:
        body = self._stamped(wanted or before)
        del self.mirrors[key]
        self._note(who, "remove", key, before, None, patch or {})
        self._tell(WatchEvent("DELETED", body))
        self._finish_namespaces()
        return body

    def _finish_namespaces(self) -> None:
        held = {namespace for namespace, _ in self.mirrors}
        for name in [name for name, terminating in self.namespaces.items() if terminating and name not in held]:
            del self.namespaces[name]
        if self.crd and not self.mirrors:
            self.crd = None

    def _stamped(self, body: Body) -> Body:
        self.version += 1
        return {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}}

    def _note(self, who: str, verb: str, key: Key, before: Body | None, after: Body | None, patch: Body) -> None:
        self.record.append(Change(len(self.record) + 1, self.now(), who, verb, key, before, after, patch))

    def _tell(self, event: WatchEvent) -> None:
        for watcher in self.watchers:
            watcher(event)


def merged(target: Any, patch: Any) -> Any:  # noqa: ANN401 - JSON values, as RFC 7386 has them
    """RFC 7386: ``target`` with ``patch`` applied; neither is changed."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result

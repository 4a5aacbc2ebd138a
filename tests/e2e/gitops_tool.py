"""A GitOps tool as the API server sees it: server-side apply by a manager of its own, prune, and what came of it.

Owns the requests and the reading of histories. The manager's name, the forced conflicts and the annotations are those
of Argo CD (``ServerSideApply=true``) and of Flux. Nothing here judges.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlencode, urlsplit

from peerdb_operator.api import constants
from tests.e2e.seeing import PATIENCE, Object, eventually
from tests.e2e.world import Subject, World

OPERATOR = "peerdb-operator"

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Brand:
    """How one tool marks what it applies."""

    manager: str
    annotations: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


ARGO_CD = Brand("argocd-controller", annotations={"argocd.argoproj.io/tracking-id": "mirrors:peerdb.io/Mirror:data/x"})
FLUX = Brand("kustomize-controller", labels={"kustomize.toolkit.fluxcd.io/name": "mirrors"})


class Tool:
    """Makes one Mirror what Git says, again and again."""

    def __init__(self, world: World, subject: Subject, brand: Brand = ARGO_CD) -> None:
        self.world = world
        self.subject = subject
        self.brand = brand
        self.applied = 0
        self._tls = ssl.create_default_context(cafile=world.cluster.ca_file)

    def manifest(self, spec: Mapping[str, Any], **annotations: str) -> Object:
        """What the tool makes of a file in Git."""
        found = self.subject.manifest(spec)
        found["metadata"]["namespace"] = self.world.namespace
        marks = {"annotations": {**self.brand.annotations, **annotations}, "labels": dict(self.brand.labels)}
        found["metadata"] |= {kind: values for kind, values in marks.items() if values}
        return found

    def apply(self, wish: Object) -> Object:
        """``kubectl apply --server-side --force-conflicts``; returns the object."""
        query = urlencode({"fieldManager": self.brand.manager, "force": "true"})
        self.applied += 1
        return self._ask("PATCH", query, wish, "application/apply-patch+yaml")

    def prune(self) -> None:
        """Delete the object the way Argo CD prunes by default: in the foreground; what is gone is pruned.

        Where a garbage collector runs nothing holds the object once the operator has let it go.
        """
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Foreground"}
        self._ask("DELETE", "", options, absent_is_fine=True)

    def apply_until_ready(self, wish: Object) -> None:
        """Apply, let the operator ask PeerDB something, and so on, until the present generation is Ready."""

        def ready() -> bool:
            found = self.between_looks(self.apply, wish)
            told = self.subject.condition()
            return (told.get("status"), told.get("observedGeneration")) == ("True", found["metadata"]["generation"])

        eventually(ready, "the Mirror is Ready while the tool applies it", self.subject)

    def between_looks(self, act: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Do something, and wait until the operator has asked PeerDB something after it."""
        seen = self.world.sim.last_event()
        done = act(*arguments, **named)
        eventually(lambda: self.world.sim.last_event() > seen, "the operator asks PeerDB something", self.subject)
        return done

    def diff(self, wish: Object) -> str:
        """``kubectl diff`` as this tool; empty when applying would change nothing."""
        arguments = ("diff", "--server-side", "--force-conflicts", f"--field-manager={self.brand.manager}", "-f", "-")
        done = self.world.cluster.kubectl(*arguments, check=False, input=json.dumps(wish))
        assert done.returncode in (0, 1), done.stderr
        return done.stdout

    def _ask(
        self, method: str, query: str, body: Object, kind: str = "application/json", *, absent_is_fine: bool = False
    ) -> Object:
        address = urlsplit(self.world.cluster.url).netloc
        connection = http.client.HTTPSConnection(address, timeout=PATIENCE, context=self._tls)
        headers = {
            "Authorization": f"Bearer {self.world.cluster.admin_token}",
            "User-Agent": self.brand.manager,
            "Content-Type": kind,
        }
        try:
            connection.request(method, f"{path_of(self.subject)}?{query}", json.dumps(body), headers)
            answer = connection.getresponse()
            found: Object = json.loads(answer.read())
        finally:
            connection.close()
        absent = absent_is_fine and answer.status == http.client.NOT_FOUND
        assert absent or answer.status < http.client.BAD_REQUEST, found
        return found


def path_of(subject: Subject) -> str:
    """Where the API server has it."""
    return f"/apis/{constants.API_VERSION}/namespaces/{subject.world.namespace}/{constants.PLURAL}/{subject.name}"


def history(subject: Subject, since: str) -> list[Object]:
    """Every version of the object after the resourceVersion ``since``, in order, as a watch tells them.

    It ends with the version of this moment, or with the removal where a garbage collector was sooner.
    """
    world = subject.world
    present = subject.find()
    query = {"watch": "true", "resourceVersion": since, "fieldSelector": f"metadata.name={subject.name}"}
    path = f"{path_of(subject).rpartition('/')[0]}?{urlencode(query)}"
    context = ssl.create_default_context(cafile=world.cluster.ca_file)
    connection = http.client.HTTPSConnection(urlsplit(world.cluster.url).netloc, timeout=PATIENCE, context=context)
    found: list[Object] = []
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {world.cluster.admin_token}"})
        answer = connection.getresponse()
        told: Object = {}
        while told.get("type") != "DELETED" and not (found and is_version(found[-1], present)):
            told = json.loads(answer.readline())
            found.append(told["object"])
    finally:
        connection.close()
    return found


def is_version(found: Object, other: Object | None) -> bool:
    """Whether both are the same version of one object."""
    return other is not None and found["metadata"]["resourceVersion"] == other["metadata"]["resourceVersion"]


def owned(obj: Object, manager: str) -> set[str]:
    """What a manager owns of an object, each field as a path like ``f:metadata.f:finalizers``."""
    return {
        path
        for entry in obj["metadata"].get("managedFields", [])
        if entry["manager"].startswith(manager)
        for path in _leaves(entry["fieldsV1"])
    }


def _leaves(fields: Object, prefix: str = "") -> list[str]:
    found = []
    for name, inner in fields.items():
        path = f"{prefix}.{name}" if prefix else name
        found += _leaves(inner, path) if inner else [path]
    return found

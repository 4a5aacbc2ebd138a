"""What a ServiceAccount may do, what it asked for, and whether the two are the same.

Owns the reading of role manifests and of the API server's audit log, and the comparison. A right is one verb on one
resource; a role with several of each is taken apart. Nothing here talks to a cluster; who the operator is there is in
``identity``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ANY = "*"
REFUSED = "forbid"
WATCHED = "<watched>"
"""Stands for a namespace that the operator was told to watch, whatever its name."""

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One verb on one resource. ``namespace`` is empty in the whole cluster, ``name`` is empty for every object.

    ``resource`` names a subresource as roles do: ``mirrors/status``.
    """

    namespace: str
    group: str
    resource: str
    verb: str
    name: str = ""

    def covers(self, asked: Asked) -> bool:
        """Whether this right allows the request."""
        wanted = (asked.group, asked.resource, asked.verb)
        same = all(mine in (ANY, theirs) for mine, theirs in zip(self.what, wanted, strict=True))
        return same and self.namespace in ("", asked.namespace) and self.name in ("", asked.name)

    def includes(self, other: Right) -> bool:
        """Whether the other right adds nothing to this one."""
        same = all(mine in (ANY, theirs) for mine, theirs in zip(self.what, other.what, strict=True))
        return same and self.namespace in ("", other.namespace) and self.name in ("", other.name)

    @property
    def what(self) -> tuple[str, str, str]:
        """Group, resource and verb."""
        return self.group, self.resource, self.verb

    def in_general(self, watched: Iterable[str]) -> Right:
        """The same with the names of watched namespaces left open, so that runs with different ones can be added up."""
        known = set(watched)
        name = WATCHED if self.resource == "namespaces" and self.name in known else self.name
        return replace(self, namespace=WATCHED if self.namespace in known else self.namespace, name=name)

    def __str__(self) -> str:
        what = f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''}"
        where = f" in namespace {self.namespace}" if self.namespace else " in the whole cluster"
        return f"{what}{f' named {self.name}' if self.name else ''}{where}"


@dataclass(frozen=True, slots=True, order=True)
class Asked:
    """One request as the audit log has it; ``refused`` by the authorizer, not by admission or by the object's state."""

    user: str
    namespace: str
    group: str
    resource: str
    verb: str
    name: str
    refused: bool
    code: int

    def __str__(self) -> str:
        what = f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''}"
        return f"{what} {self.name or '(any)'} in {self.namespace or 'the whole cluster'}: {self.code}"


@dataclass(frozen=True, slots=True)
class Account:
    """Rights and requests of one ServiceAccount, held against each other."""

    granted: frozenset[Right]
    asked: frozenset[Asked]

    @property
    def used(self) -> frozenset[Right]:
        """Rights that allowed at least one request."""
        allowed = [each for each in self.asked if not each.refused]
        return frozenset(right for right in self.granted if any(right.covers(each) for each in allowed))

    @property
    def unused(self) -> list[Right]:
        """Rights that nobody needed."""
        return sorted(self.granted - self.used)

    @property
    def refused(self) -> list[Asked]:
        """Requests that were refused because no role allows them.

        One that a role does allow is refused only while the API server does not know that role: for a moment after its
        own start, or when the role went with its namespace.
        """
        refused = [each for each in self.asked if each.refused]
        return sorted(each for each in refused if not any(right.covers(each) for right in self.granted))

    @property
    def idle_pairs(self) -> list[tuple[Right, Right]]:
        """Rights that another right makes superfluous, with that one."""
        return [(one, other) for one in self.granted for other in self.granted if one != other and other.includes(one)]


def roles_of(manifests: Iterable[Manifest], namespace: str, account: str) -> list[tuple[str, Manifest]]:
    """Each role that is bound to the ServiceAccount, with the namespace it holds in (empty: the whole cluster)."""
    known = list(manifests)
    roles = {(each["kind"], _namespace(each), each["metadata"]["name"]): each for each in known}
    found = []
    for binding in known:
        if binding["kind"] not in {"RoleBinding", "ClusterRoleBinding"} or not _names(binding, namespace, account):
            continue
        kind, where = binding["roleRef"]["kind"], _namespace(binding)
        found.append((where, roles[kind, where if kind == "Role" else "", binding["roleRef"]["name"]]))
    return found


def rights_in(role: Manifest, namespace: str) -> Iterator[Right]:
    """A role taken apart."""
    for rule in role.get("rules") or []:
        for group in rule.get("apiGroups") or []:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    for name in rule.get("resourceNames") or [""]:
                        yield Right(namespace, group, resource, verb, name)


def without(manifest: Manifest, lost: Right) -> Manifest:
    """The manifest with one right taken out of its rules, in whatever namespace; other kinds stay as they are."""
    if manifest["kind"] not in {"Role", "ClusterRole"}:
        return manifest
    left = [right for right in rights_in(manifest, "") if replace(right, namespace=lost.namespace) != lost]
    rules = [
        {"apiGroups": [each.group], "resources": [each.resource], "verbs": [each.verb]}
        | ({"resourceNames": [each.name]} if each.name else {})
        for each in left
    ]
    return {**manifest, "rules": rules}


def asked_in(folder: Path, users: Iterable[str], since: int = 0) -> Iterator[Asked]:
    """What the users asked the API server whose audit log is in ``folder``; ``since`` is an ``audit_mark``.

    The log of a long run is big: only lines that name a user are parsed. Requests without a resource (discovery,
    health) are left out, for they need no role of the operator's. When the log grows too big the API server goes on in
    a new file and adds the time to the name of the old one.
    """
    names = {user: f'"username":"{user}"'.encode() for user in users}
    old = sorted(folder.glob("audit-2*.log")) if since == 0 else []
    for log in [*old, folder / "audit.log"]:
        with log.open("rb") as lines:
            lines.seek(since)
            for line in lines:
                if line.endswith(b"\n") and any(name in line for name in names.values()):
                    asked = _asked(json.loads(line))
                    if asked.user in names and asked.resource:
                        yield asked


def _asked(raw: dict[str, Any]) -> Asked:
    target = raw.get("objectRef") or {}
    resource, subresource = target.get("resource", ""), target.get("subresource", "")
    return Asked(
        user=raw["user"]["username"],
        namespace=target.get("namespace", ""),
        group=target.get("apiGroup", ""),
        resource=f"{resource}/{subresource}" if subresource else resource,
        verb=raw["verb"],
        name=target.get("name", ""),
        refused=(raw.get("annotations") or {}).get("authorization.k8s.io/decision") == REFUSED,
        code=(raw.get("responseStatus") or {}).get("code", 0),
    )


def _namespace(manifest: Manifest) -> str:
    return str(manifest["metadata"].get("namespace", ""))


def _names(binding: Manifest, namespace: str, account: str) -> bool:
    wanted = ("ServiceAccount", namespace, account)
    return any((each["kind"], each.get("namespace"), each["name"]) == wanted for each in binding.get("subjects") or [])

"""Rights and requests: what covers what, what is unused, what the audit log says."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.harness.identity_rights import Account, Asked, Right, asked_in, roles_of

USER = "system:serviceaccount:peerdb-system:operator"
GET = Right("", "peerdb.io", "mirrors", "get")
ASKED = Asked(USER, "data", "peerdb.io", "mirrors", "get", "orders", refused=False, code=200)


@pytest.mark.parametrize(
    "right",
    [
        GET,
        replace(GET, namespace="data"),
        replace(GET, name="orders"),
        replace(GET, verb="*"),
        replace(GET, resource="*", group="*"),
    ],
    ids=str,
)
def test_a_right_covers_a_request_when_it_is_no_narrower(right: Right) -> None:
    assert right.covers(ASKED)
    assert Account(frozenset({right}), frozenset({ASKED})).unused == []


@pytest.mark.parametrize(
    "right",
    [
        replace(GET, namespace="other"),
        replace(GET, name="invoices"),
        replace(GET, verb="list"),
        replace(GET, resource="mirrors/status"),
        replace(GET, group="apps"),
    ],
    ids=str,
)
def test_a_right_is_unused_when_the_request_is_about_something_else(right: Right) -> None:
    assert not right.covers(ASKED)
    assert Account(frozenset({right}), frozenset({ASKED})).unused == [right]


def test_a_request_without_a_name_needs_a_right_without_a_name() -> None:
    listing = replace(ASKED, verb="list", name="")
    assert replace(GET, verb="list").covers(listing)
    assert not replace(GET, verb="list", name="orders").covers(listing)


def a_role(kind: str, name: str, namespace: str = "", **rule: list[str]) -> dict[str, Any]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"kind": kind, "metadata": metadata, "rules": [rule] if rule else []}


def a_binding(kind: str, role_kind: str, role: str, namespace: str = "", account: str = "operator") -> dict[str, Any]:
    metadata = {"name": role} | ({"namespace": namespace} if namespace else {})
    subjects = [{"kind": "ServiceAccount", "namespace": "peerdb-system", "name": account}]
    return {"kind": kind, "metadata": metadata, "roleRef": {"kind": role_kind, "name": role}, "subjects": subjects}


def test_roles_are_found_where_they_hold_when_they_are_bound_to_the_account() -> None:
    cluster, local, users = a_role("ClusterRole", "a"), a_role("Role", "b", "data"), a_role("ClusterRole", "view")
    manifests = [
        *(cluster, local, users),
        a_binding("ClusterRoleBinding", "ClusterRole", "a"),
        a_binding("RoleBinding", "Role", "b", "data"),
        a_binding("RoleBinding", "ClusterRole", "a", "other"),
        a_binding("ClusterRoleBinding", "ClusterRole", "view", account="somebody"),
    ]
    found = roles_of(manifests, "peerdb-system", "operator")
    assert found == [("", cluster), ("data", local), ("other", cluster)]


def a_line(*, user: str = USER, decision: str = "allow", code: int = 200, **target: str) -> str:
    return json.dumps(
        {
            "user": {"username": user},
            "verb": "get",
            "objectRef": target,
            "responseStatus": {"code": code},
            "annotations": {"authorization.k8s.io/decision": decision},
        },
        separators=(",", ":"),
    )


def test_requests_of_the_user_are_read_and_no_others_when_the_log_has_been_continued(tmp_path: Path) -> None:
    (tmp_path / "audit-2026-11-24T00-00-00.000.log").write_text(a_line(resource="events") + "\n")
    lines = [
        a_line(apiGroup="peerdb.io", resource="mirrors", subresource="status", namespace="data", name="o"),
        a_line(user="admin", resource="secrets"),
        a_line(),
        a_line(decision="forbid", code=403, resource="pods"),
        a_line(resource="events", code=403),
        a_line(resource="half")[:-1],
    ]
    log = tmp_path / "audit.log"
    log.write_text("\n".join(lines))
    status = replace(ASKED, resource="mirrors/status", name="o")
    pods = Asked(USER, "", "", "pods", "get", "", refused=True, code=403)
    dying = Asked(USER, "", "", "events", "get", "", refused=False, code=403)
    old = replace(dying, code=200)
    assert list(asked_in(tmp_path, [USER])) == [old, status, pods, dying]
    assert list(asked_in(tmp_path, [USER], since=len(lines[0]) + 1)) == [pods, dying]

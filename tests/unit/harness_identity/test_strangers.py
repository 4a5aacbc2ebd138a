"""Who operators worked as: what the judge of the audit logs says, and of whom it says nothing."""

import json
from pathlib import Path

import pytest

from tests.harness.identity_strangers import EXCEPTIONS, strangers_in

THE_CHARTS = "system:serviceaccount:peerdb-system:data-peerdb-operator"
AGENT = "peerdb-operator/0.1.0"


def a_line(user: str, *, agent: str = AGENT, code: int = 200, **target: str) -> str:
    """A line of an audit log, as the API server writes it."""
    raw = {
        "requestURI": "/apis/peerdb.io/v1alpha1/mirrors",
        "verb": "list",
        "user": {"username": user, "uid": "1"} if user else {},
        "userAgent": agent,
        "responseStatus": {"code": code},
    }
    return json.dumps(raw | ({"objectRef": target} if target else {}), separators=(",", ":")) + "\n"


def logs(folder: Path, *lines: str, cluster: str = "one", name: str = "audit.log") -> Path:
    (folder / cluster).mkdir(exist_ok=True)
    (folder / cluster / name).write_text("".join(lines), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "line",
    [
        a_line(THE_CHARTS, namespace="data"),
        a_line("system:serviceaccount:blue:peerdb-operator"),
        a_line("admin", agent="kubectl/v1.34.0"),
        a_line("", code=401),
        a_line("admin").rstrip("\n"),
        *(a_line(user) for user in EXCEPTIONS),
    ],
    ids=["the chart's", "the chart's by its own name", "no operator", "not let in", "half a line", *EXCEPTIONS],
)
def test_nothing_is_said_of_a_request_that_was_made_as_it_should_be(tmp_path: Path, line: str) -> None:
    assert strangers_in(logs(tmp_path, line)) == []


@pytest.mark.parametrize(
    "user",
    [
        "admin",
        "system:anonymous",
        "system:serviceaccount:default:default",
        "system:serviceaccount:default:not-peerdb-operators",
        "people:peerdb-operator",
    ],
)
def test_a_sentence_names_user_and_namespace_when_an_operator_is_not_the_chart_s(tmp_path: Path, user: str) -> None:
    lines = [a_line(THE_CHARTS, namespace="data"), *[a_line(user, namespace="data")] * 2]
    (word,) = strangers_in(logs(tmp_path, *lines))
    assert word == (
        f"an operator worked as {user} in namespace data, not as a ServiceAccount of the chart: "
        "2 requests, the first is list /apis/peerdb.io/v1alpha1/mirrors"
    )


def test_the_logs_of_all_control_planes_are_read_when_one_has_been_continued(tmp_path: Path) -> None:
    logs(tmp_path, a_line("admin", namespace="a"), name="audit-2026-11-24T00-00-00.000.log")
    logs(tmp_path, a_line("admin", namespace="b"))
    logs(tmp_path, a_line("admin", namespace="c"), cluster="two")
    told = strangers_in(tmp_path)
    assert [word.partition(",")[0].rpartition(" ")[2] for word in told] == ["a", "b", "c"]

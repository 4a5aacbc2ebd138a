"""The alert rules: they load, they say what people need, and their own unit tests hold."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.alerts.promql import metrics_of, outermost_groupings, strangers
from tests.alerts.worlds import RULES

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))
GROUPS: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"]
ALERTS: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]
NAMES = {
    "PeerDBMirrorNotReady",
    "PeerDBMirrorStalled",
    "PeerDBMirrorLeftPausedByEdit",
    "PeerDBMirrorNoProgress",
    "PeerDBMirrorDropBlocked",
    "PeerDBConnectionDown",
    "PeerDBWorkersDown",
    "PeerDBOperatorDown",
    "PeerDBOperatorDeaf",
    "PeerDBOperatorFailing",
}


def promtool_says(promtool: Path, *arguments: str | Path) -> tuple[int, str]:
    """Exit code and output of one call."""
    reported = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)
    return reported.returncode, reported.stdout + reported.stderr


def of(rule: dict[str, Any]) -> str:
    """How a rule is told apart in the names of tests."""
    return f"{rule['alert']}-{rule['labels']['severity']}"


def test_the_file_loads_as_it_stands_without_a_remark_of_the_linter(promtool: Path) -> None:
    code, reported = promtool_says(promtool, "check", "rules", "--lint=all", "--lint-fatal", RULES)

    assert code == 0, reported
    assert f"SUCCESS: {len(ALERTS)} rules found" in reported


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_alerts_fire_when_they_should_and_only_then(promtool: Path, case: Path) -> None:
    code, reported = promtool_says(promtool, "test", "rules", case)

    assert code == 0, reported


def test_there_are_these_alerts_and_each_has_cases_of_firing_and_of_silence() -> None:
    texts = [case.read_text() for case in CASES]

    assert {rule["alert"] for rule in ALERTS} == NAMES
    for name in NAMES:
        tested = [text for text in texts if f"alertname: {name}\n" in text]
        assert len(tested) == 1, name
        assert re.search(r"- name: (is silent|leaves|ends)", tested[0]), name


@pytest.mark.parametrize("rule", ALERTS, ids=of)
def test_every_alert_tells_how_bad_it_is_what_happened_and_where_help_is(rule: dict[str, Any]) -> None:
    assert rule["labels"].keys() == {"severity"}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert len(rule["annotations"]["summary"]) < len(rule["annotations"]["description"])
    assert rule["annotations"]["summary"].endswith(".")
    assert rule["annotations"]["description"].endswith(".")
    assert "for" in rule


@pytest.mark.parametrize("rule", ALERTS, ids=of)
def test_every_rule_asks_for_what_the_operator_serves(rule: dict[str, Any]) -> None:
    quoted = " ".join(re.findall(r"peerdb_operator_\w+", " ".join(rule["annotations"].values())))

    assert metrics_of(rule["expr"])
    assert strangers(rule["expr"]) == []
    assert strangers(" + ".join(quoted.split())) == []


@pytest.mark.parametrize("rule", ALERTS, ids=of)
def test_no_alert_begins_anew_when_the_operator_restarts(rule: dict[str, Any]) -> None:
    # What an alert is told apart by; of a pod it is another one after a restart.
    kept = outermost_groupings(rule["expr"])

    assert kept
    assert not {"instance", "pod", "version", "state", "reason"} & kept


def test_a_label_counts_only_when_it_is_not_summed_away_further_out() -> None:
    inner = "max by (job) (count by (job, instance) (up)) and on (job) sum by (pod) (up)"

    assert outermost_groupings(inner) == {"job", "pod"}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("peerdb_operator_mirrors", []),
        ("rate(peerdb_operator_reconcile_total[5m])", []),
        ("histogram_quantile(0.9, sum by (le) (rate(peerdb_operator_reconcile_duration_seconds_bucket[5m])))", []),
        ("peerdb_operator_mirorrs > 0", ["peerdb_operator_mirorrs"]),
        ("rate(peerdb_operator_reconcile[5m])", ["peerdb_operator_reconcile"]),
        ('peerdb_operator_mirrors{phase="x, y"}', ["peerdb_operator_mirrors{phase}"]),
        ("sum by (stat) (peerdb_operator_mirrors)", ["by stat"]),
        ("sum(foo) / on (job) group_left (version) peerdb_operator_build_info", ["foo"]),
    ],
)
def test_what_is_not_served_is_found_when_an_expression_asks_for_it(expression: str, expected: list[str]) -> None:
    assert strangers(expression) == expected

"""Every alert has its section in the runbooks, and its link leads there."""

import re
from typing import Any

import pytest

from tests.alerts.test_rules import ALERTS, NAMES, of
from tests.docs.pages import DOCS, Page

RUNBOOKS = Page(DOCS / "runbooks.md")


@pytest.mark.parametrize("rule", ALERTS, ids=of)
def test_the_link_of_an_alert_leads_to_its_section(rule: dict[str, Any]) -> None:
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")

    assert page.startswith("https://")
    assert page.endswith(f"/docs/{RUNBOOKS.path.name}")
    assert anchor == rule["alert"].lower()
    assert anchor in RUNBOOKS.anchors


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_section_says_what_it_means_what_it_does_how_to_look_and_what_to_do(name: str) -> None:
    section = RUNBOOKS.section(name)
    places = [section.find(f"**{word}**") for word in ("Meaning", "Impact", "Diagnosis", "Mitigation")]

    assert -1 not in places
    assert places == sorted(places)
    diagnosis = section[places[2] : places[3]]
    assert re.search(r"^kubectl ", diagnosis, re.MULTILINE)


def test_no_section_speaks_of_an_alert_that_does_not_exist() -> None:
    assert {heading for heading in RUNBOOKS.headings if heading.startswith("PeerDB")} == NAMES


@pytest.mark.parametrize("rule", ALERTS, ids=of)
def test_the_table_has_each_alert_with_its_severity(rule: dict[str, Any]) -> None:
    assert f"| [{rule['alert']}](#{rule['alert'].lower()}) | {rule['labels']['severity']} |" in RUNBOOKS.text


@pytest.mark.parametrize("rule", ALERTS, ids=of)
def test_a_reason_of_a_rule_is_told_in_the_section_of_its_alert(rule: dict[str, Any]) -> None:
    selected = re.findall(r"reason=~?\s*\"([^\"]+)\"", rule["expr"])
    reasons = {reason for each in selected for reason in each.split("|")} - {"ReconcileDisabled"}
    elsewhere = {"ProgressDeadlineExceeded"} if rule["alert"] == "PeerDBMirrorStalled" else set()

    section = RUNBOOKS.section(rule["alert"])

    assert [reason for reason in reasons - elsewhere if f"#{reason.lower()}" not in section] == []

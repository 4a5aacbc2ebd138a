"""The documentation speaks of everything that users meet, and of nothing that does not exist."""

import re

import pytest
import yaml

from peerdb_operator.api.reasons import Reason
from peerdb_operator.mirror.rules.limits import Limits
from peerdb_operator.settings import Settings, variable_of
from peerdb_operator.telemetry.families import FAMILIES, Family
from tests.docs.pages import DOCS, README, ROOT, Page, all_pages

TROUBLESHOOTING = Page(DOCS / "troubleshooting.md")
REFERENCE = Page(DOCS / "reference.md")
VARIABLES = {variable_of(name) for name in Settings.model_fields}
PAGES = all_pages()
FOREIGN_VARIABLES = {"PEERDB_CLICKHOUSE_ENABLE_PRIMARY_UPDATE", "PEERDB_TRANSCRIPTS", "PEERDB_PROGRAMS"}
"""A setting inside PeerDB, and variables of the Makefile."""
LIMITS = Limits()
VALUE = re.compile(r"[a-z][A-Za-z]*(\.[a-zA-Z]+)+")


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_has_a_section_that_says_what_it_means_and_what_to_do(reason: Reason) -> None:
    section = TROUBLESHOOTING.section(reason)

    for word in ("**Means**: ", "**Meanwhile**: ", "**Do**: "):
        assert section.count(word) == 1
    assert f"troubleshooting.md#{reason.lower()}" in REFERENCE.links


def test_no_section_explains_a_reason_that_does_not_exist() -> None:
    explained = [part.partition("\n")[0] for part in TROUBLESHOOTING.text.split("\n### ")[1:] if "**Means**" in part]

    assert sorted(explained) == sorted(Reason)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_setting_is_in_the_reference(name: str) -> None:
    assert f"| `{variable_of(name)}` |" in REFERENCE.text


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_metric_is_in_the_page_on_metrics(family: Family) -> None:
    assert f"`{family.name}`" in Page(DOCS / "metrics.md").text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_metric_exists_when_a_page_names_it(page: Page) -> None:
    named = set(re.findall(r"\bpeerdb_operator_[a-z_]+[a-z]\b(?![.*/])", page.text))
    known = {family.name + ending for family in FAMILIES for ending in ("", "_bucket", "_sum", "_count")}

    assert named - known == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_variable_exists_when_a_page_names_it(page: Page) -> None:
    named = set(re.findall(r"\bPEERDB_[A-Z_]+[A-Z]\b", page.text))

    assert named - VARIABLES - FOREIGN_VARIABLES == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_value_of_the_chart_exists_when_a_page_names_it(page: Page) -> None:
    values = yaml.safe_load((ROOT / "charts" / "peerdb-operator" / "values.yaml").read_text(encoding="utf-8"))
    named = [
        code for code in page.code if VALUE.fullmatch(code) and code.partition(".")[0] in set(values) - {"settings"}
    ]

    assert [code for code in named if not is_value(values, code)] == []


def is_value(values: object, path: str) -> bool:
    """Whether a path leads somewhere in the chart's values."""
    for step in path.split("."):
        if not isinstance(values, dict) or step not in values:
            return False
        values = values[step]
    return True


def test_a_path_counts_as_a_value_only_when_it_is_one() -> None:
    assert is_value({"crds": {"keep": True}}, "crds.keep")
    assert not is_value({"crds": {"keep": True}}, "crds.kept")
    assert not is_value({"crds": {"keep": True}}, "crds.keep.more")


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("5 at once, and one more every 2 minutes", LIMITS.brake_window / LIMITS.brake_drops),
        ("mirrors every 10 s and observes", LIMITS.tick),
        ("this one fully every 5 minutes", LIMITS.sample),
        ("at most every minute whether a batch has ended", LIMITS.batches_gap),
        ("observes every 0.5 s", LIMITS.requeue_short),
        ("sent again after 15 s", LIMITS.resend),
        ("stays paused for 2 minutes", LIMITS.paused_patience),
        ("every minute until PeerDB shows", LIMITS.drop_repeat),
        ("said twice, 5 s apart", LIMITS.absence_gap),
        ("FAILED twice, 5 s apart", LIMITS.confirmation_gap),
        ("after 10 minutes, then after twice as long", LIMITS.retry_first),
        ("most 6 hours", LIMITS.retry_longest),
        ("PAUSING for 5 minutes", LIMITS.deadline_pausing),
        ("SETUP or MODIFYING for 10", LIMITS.deadline_setup),
        ("RESYNC or TERMINATING for 15", LIMITS.deadline_terminating),
        ("partition or row for 30", LIMITS.deadline_snapshot),
        ("In the first 30 s nothing", LIMITS.outage_quiet),
        ("After 5 minutes, and at once", LIMITS.outage_unknown),
        ("without it after 15 s", LIMITS.unreadable_patience),
    ],
)
def test_a_number_is_the_one_that_holds_when_the_page_on_trouble_names_it(words: str, seconds: float) -> None:
    units = {"hours": 3600.0, "minutes": 60.0, "minute": 60.0, "s": 1.0}
    [*_, number] = re.findall(r"(?<![\w.])(\d+(?:\.\d+)?)(?= (?:hours|minutes|s)\b|$)", words) or ["1"]
    unit = next((factor for unit, factor in units.items() if re.search(rf"\b{unit}\b", words)), 60.0)
    assert seconds == float(number) * unit
    assert words in " ".join(TROUBLESHOOTING.text.split())


def test_the_readme_points_to_every_page_that_a_user_needs() -> None:
    assert {"docs/README.md", "docs/install.md", "docs/reference.md", "docs/troubleshooting.md"} <= set(
        Page(README).links
    )

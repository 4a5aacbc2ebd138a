"""The table of the page is what scripts and kstatus make of Mirrors: dumped ones, and verdicts nobody has dumped."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import MirrorStatus
from peerdb_operator.mirror.rules.conditions import AWAY, ConditionChange, Verdict, away, conditions, verdict
from tests.docs.pages import DOCS, Page
from tests.harness.gitops import fixtures
from tests.harness.gitops.argolua import health
from tests.harness.gitops.kstatus import kstatus
from tests.harness.gitops.paths import GITOPS, MIRROR, TESTDATA

PAGE = Page(GITOPS / "README.md")
UNSEEN = "nobody has looked"
NOW = 1_767_225_600.0


@dataclass(frozen=True, slots=True)
class Shown:
    """Why a Mirror is as it is, and what each tool shows of it."""

    reason: str
    argo_cd: str
    flux: str


def shown(obj: dict[str, Any]) -> Shown:
    """What the tools make of an object; what it says of an older generation is no reason for the new one."""
    reported = {each["type"]: each["reason"] for each in obj["status"].get("conditions", [])}
    seen = obj["status"].get("observedGeneration") == obj["metadata"]["generation"]
    reason = reported.get("Ready", UNSEEN)
    script = (MIRROR / "health.lua").read_text(encoding="utf-8")
    return Shown(reason if seen or reason in AWAY else UNSEEN, health(script, obj).status, str(kstatus(obj).value))


def reported(said: Verdict, *, waits: bool = False) -> dict[str, Any]:
    """A running Mirror of which this is said; ``waits``: while a change waits that nobody could judge."""
    obj = fixtures.read(TESTDATA / "running.yaml")
    obj["metadata"]["generation"] += waits
    before = MirrorStatus.model_validate(obj["status"]).conditions
    after = conditions(before, said, obj["metadata"]["generation"], NOW)
    obj["status"]["conditions"] = MirrorStatus(conditions=after).as_wire()["conditions"]
    return obj


def made() -> Iterator[dict[str, Any]]:
    """Verdicts that no dumped object has."""
    unreadable = verdict(Reason.CONFIG_UNREADABLE, "unreadable")
    yield reported(unreadable.with_ready(ConditionChange.TRUE))
    yield reported(unreadable.with_ready(ConditionChange.UNKNOWN))
    yield reported(verdict(Reason.INTERNAL_ERROR, "a bug"))
    yield reported(verdict(Reason.PROGRESS_DEADLINE_EXCEEDED, "no progress"))
    wrong = away(Reason.CONNECTION_MISCONFIGURED, "wrong", long=True)
    yield reported(wrong)
    yield reported(wrong, waits=True)


FOUND = {
    **{path.stem: shown(fixtures.read(path)) for path in sorted(TESTDATA.glob("*.yaml"))},
    **{f"made {number}": shown(obj) for number, obj in enumerate(made())},
}


def rows() -> Iterator[Shown]:
    """One for each reason that a line of the table names, and one for a line without any."""
    for line in PAGE.text.splitlines():
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        if len(cells) == 3 and cells[1].split()[0] in {"Healthy", "Progressing", "Degraded"}:
            named = [word for word in re.findall(r"`(\w+)`", cells[0]) if word in set(Reason)]
            for reason in named or [UNSEEN]:
                yield Shown(reason, cells[1].split()[0], cells[2])


TABLE = list(rows())


@pytest.mark.parametrize("name", FOUND)
def test_the_table_says_what_the_tools_show(name: str) -> None:
    assert FOUND[name] in TABLE


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_the_table_says_nothing_that_no_object_shows(row: Shown) -> None:
    assert row in FOUND.values()


@pytest.mark.parametrize(
    ("heading", "in_order"),
    [
        (
            "Under Argo CD",
            (
                "Retain",
                "--sync-policy none",
                "delete mirrors",
                "confirm-deletion mirrors",
                "delete peerdb-op",
                "delete crd",
            ),
        ),
        (
            "Under Flux",
            ("Retain", "suspend kustomization mirrors", "delete mirrors", "delete helmrelease", "delete crd"),
        ),
    ],
)
def test_a_tool_is_stopped_before_the_mirrors_go_and_the_operator_goes_after_them(
    heading: str, in_order: tuple[str, ...]
) -> None:
    section = Page(DOCS / "upgrade.md").section(heading)
    places = [section.index(words) for words in in_order]

    assert sorted(places) == places

"""The gate of least privilege as a pytest plugin: ``-p tests.harness.identity_gate``.

Owns the verdict over a whole run: every operator worked as a ServiceAccount of the chart, no request of one was
refused, and each right that the chart gives was used. Each test process files what it has seen, each control plane
leaves its audit log, also one that a test's own process starts; where all of them have come together the run is judged
once. Whether a right is superfluous can be said only of a run with all end-to-end tests.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import pytest

from tests.harness.controlplane.audit import KEPT_VARIABLE
from tests.harness.identity import Identities
from tests.harness.identity_rights import Right
from tests.harness.identity_strangers import strangers_in

SUITE = Path(__file__).parents[1] / "e2e"
FOLDER = "rights"
LOGS = "audit"
WHOLE = "end_to_end_whole"
WORDS = pytest.StashKey[list[str]]()
LEFT_OUT = pytest.StashKey[bool]()
WHOLE_RUNS = pytest.StashKey[list[bool]]()


class Node(Protocol):
    """A worker as xdist's controller sees it, the part that is used here: xdist has no types."""

    config: pytest.Config


@dataclass(frozen=True, slots=True)
class Finding:
    """What one or more test processes have seen; rights are those ``in_general``."""

    granted: frozenset[Right]
    used: frozenset[Right]
    refused: tuple[str, ...]

    def words(self, *, whole: bool) -> list[str]:
        """A sentence for each fault; empty when there is none."""
        unused = sorted(self.granted - self.used) if whole else []
        if whole and not self.granted:
            return ["no operator worked as the chart's ServiceAccount, so nothing is known of what it needs"]
        return [
            *(f"the chart does not let the operator {each}" for each in self.refused),
            *(f"the chart lets the operator {each}, which no test needed: take it out" for each in unused),
        ]


def file_findings(identities: Identities, folder: Path, name: str) -> None:
    """Keep what the operators of this test process were given and asked for, for the end of the run."""
    granted: set[Right] = set()
    used: set[Right] = set()
    refused: set[str] = set()
    for identity in identities.whole.values():
        account = identities.account(identity)
        granted |= {right.in_general(identity.namespaces) for right in account.granted}
        used |= {right.in_general(identity.namespaces) for right in account.used}
        refused |= {str(each) for each in account.refused}
    folder.mkdir(exist_ok=True)
    content = {
        "granted": [asdict(each) for each in granted],
        "used": [asdict(each) for each in used],
        "refused": sorted(refused),
    }
    (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def read_findings(folder: Path) -> Finding:
    """What all test processes have filed, added up."""
    filed = [json.loads(each.read_text(encoding="utf-8")) for each in sorted(folder.glob("*.json"))]

    def all_rights(kind: str) -> frozenset[Right]:
        return frozenset(Right(**each) for one in filed for each in one[kind])

    refused = sorted({each for one in filed for each in one["refused"]})
    return Finding(all_rights("granted"), all_rights("used"), tuple(refused))


def shared_folder(config: pytest.Config, factory: pytest.TempPathFactory) -> Path:
    """Where the test processes of a run file what they have seen."""
    base = factory.getbasetemp()
    return (base.parent if hasattr(config, "workerinput") else base) / FOLDER


def is_whole(session: pytest.Session) -> bool:
    """Whether this process was to run every end-to-end test, or with workers: its part of every one."""
    collected = {item.path for item in session.items}
    named = any("::" in argument for argument in session.config.args)
    return set(SUITE.rglob("test_*.py")) <= collected and not named and LEFT_OUT not in session.config.stash


def pytest_sessionstart(session: pytest.Session) -> None:
    """Have the control planes of all test processes leave their audit logs in one folder."""
    if not hasattr(session.config, "workerinput"):
        os.environ[KEPT_VARIABLE] = str(_folders(session.config)[1])


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Remember that a test of the suite is left out."""
    for item in items:
        if item.path.is_relative_to(SUITE):
            item.config.stash[LEFT_OUT] = True


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Node) -> None:
    """Take in what a worker says of its part."""
    node.config.stash.setdefault(WHOLE_RUNS, []).append(bool(getattr(node, "workeroutput", {}).get(WHOLE)))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Judge once, where the findings of all workers have come together."""
    config = session.config
    if hasattr(config, "workerinput"):
        config.workeroutput[WHOLE] = is_whole(session)  # type: ignore[attr-defined]  # xdist adds the attribute
        return
    findings, logs = _folders(config)
    strangers = strangers_in(logs)
    shutil.rmtree(logs, ignore_errors=True)  # pytest keeps the folders of three runs
    os.environ.pop(KEPT_VARIABLE, None)
    if exitstatus not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        return
    ran = config.stash.get(WHOLE_RUNS, []) or [is_whole(session)]
    # After a failure a right may be unused because the test that needs it did not come that far.
    words = strangers + read_findings(findings).words(whole=all(ran) and exitstatus == pytest.ExitCode.OK)
    if words:
        config.stash[WORDS] = words
        session.exitstatus = exitstatus or pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say it before pytest's last line."""
    for line in config.stash.get(WORDS, []):
        terminalreporter.write_line(f"least privilege: {line}", red=True)


def _folders(config: pytest.Config) -> tuple[Path, Path]:
    """Where findings are filed and audit logs left, as seen by the process that judges."""
    findings = shared_folder(config, config._tmp_path_factory)  # type: ignore[attr-defined]  # set by tmpdir
    return findings, findings.with_name(LOGS)

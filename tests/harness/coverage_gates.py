"""Coverage gates as a pytest plugin: ``-p tests.harness.coverage_gates`` beside ``--cov``.

Owns how much of the product the tests have to run: every branch of the rules, nine tenths of the rest. pytest-cov
measures and combines; it knows one gate for everything. The gates are part of the run, so that pytest's own summary is
the last thing it says, and a gate that is missed fails it.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import coverage
import pytest

RULES = "*/peerdb_operator/*/rules/*"
WORDS = pytest.StashKey[list[str]]()


@dataclass(frozen=True, slots=True)
class Gate:
    """What is measured, and the least percentage of lines and branches that the tests run."""

    name: str
    least: float
    include: str | None = None
    omit: str | None = None

    def report(self, measured: coverage.Coverage) -> tuple[float, str]:
        """The percentage, and the lines that name what was missed; raises ``coverage.exceptions.NoDataError``."""
        told = io.StringIO()
        reached = measured.report(include=self.include, omit=self.omit, skip_covered=True, file=told)
        return reached, told.getvalue()


GATES = (Gate("the rules", 100.0, include=RULES), Gate("the rest", 90.0, omit=RULES))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Judge what was measured, once, where the workers' measurements have come together."""
    if hasattr(session.config, "workerinput") or exitstatus not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        return
    measured = coverage.Coverage()
    measured.load()
    words: list[str] = []
    for gate in GATES:
        try:
            reached, told = gate.report(measured)
        except coverage.exceptions.NoDataError:
            reached, told = 0.0, "nothing was measured\n"
        words.append(f"coverage of {gate.name}: {reached:.2f} %, at least {gate.least:g} % is wanted")
        if reached < gate.least:
            words += told.rstrip("\n").split("\n")
            session.exitstatus = exitstatus or pytest.ExitCode.TESTS_FAILED
    session.config.stash[WORDS] = words


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say it before pytest's last line."""
    for line in config.stash.get(WORDS, []):
        terminalreporter.write_line(line)

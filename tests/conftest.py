"""What every folder of tests shares: one control plane per test process, and a line about what was left out."""

from pathlib import Path

import pytest

from tests.component.replay.folder import HERE, summary
from tests.harness.controlplane.fixtures import control_plane, controllers, our_control_plane

__all__ = ["control_plane", "controllers", "our_control_plane", "pytest_terminal_summary"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say whether recordings were played, in a run that was asked for them.

    Here and not beside those tests: a run with workers reads only the files of their folder in the workers, which print
    nothing.
    """
    asked = [Path(config.invocation_params.dir, argument.partition("::")[0]).resolve() for argument in config.args]
    if any(HERE.is_relative_to(path) or path.is_relative_to(HERE) for path in asked):
        terminalreporter.write_line(summary())

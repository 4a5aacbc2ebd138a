"""What all folders of tests share: a control plane per test process, Helm, promtool; a line about what was left out."""

import signal
from pathlib import Path

import pytest
import yaml

from tests.component.replay.folder import HERE, summary
from tests.harness.controlplane.fixtures import control_plane, controllers, our_control_plane
from tests.harness.gotools.fixtures import helm, promtool
from tests.harness.sharing import pytest_xdist_make_scheduler

# A run in the background starts with SIGINT ignored, and so would every process it starts: Ctrl-C could not be tested.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# `yaml.safe_load` reads with libyaml's parser where there is one: it takes a tenth of the time.
yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # type: ignore[misc]  # the same class to its users

__all__ = [
    "control_plane",
    "controllers",
    "helm",
    "our_control_plane",
    "promtool",
    "pytest_terminal_summary",
    "pytest_xdist_make_scheduler",
]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say whether recordings were played, in a run that was asked for them.

    Here and not beside those tests: a run with workers reads only the files of their folder in the workers, which print
    nothing.
    """
    asked = [Path(config.invocation_params.dir, argument.partition("::")[0]).resolve() for argument in config.args]
    if any(HERE.is_relative_to(path) or path.is_relative_to(HERE) for path in asked):
        terminalreporter.write_line(summary())

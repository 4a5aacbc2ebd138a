"""Pytest fixtures that share one control plane per test process (with xdist: one per worker).

Import them into a conftest. What they start ends with the process, whatever happens to it. Tests that destroy things
ask for `our_control_plane`, which refuses a cluster that this run did not start.
"""

import os
from collections.abc import Iterator

import pytest

from tests.harness.controlplane.launch import ControlPlane, require_ours


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A ready API: one of our own with an audit log, or the user's cluster when KUBECONFIG is set."""
    with ControlPlane.start(audit_log=not os.environ.get("KUBECONFIG")) as started:
        yield started


@pytest.fixture(scope="session")
def our_control_plane(control_plane: ControlPlane) -> ControlPlane:
    """The same, for tests that destroy things: refuses a cluster that this run did not start."""
    require_ours(control_plane)
    return control_plane


@pytest.fixture(scope="session")
def controllers(our_control_plane: ControlPlane) -> ControlPlane:
    """The same with the controller manager beside it, built first if it is not cached."""
    our_control_plane.start_controller_manager()
    return our_control_plane


__all__ = ["control_plane", "controllers", "our_control_plane"]

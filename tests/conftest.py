"""Fixtures that every folder of tests shares: one control plane per test process."""

from tests.harness.controlplane.fixtures import control_plane, controllers, our_control_plane

__all__ = ["control_plane", "controllers", "our_control_plane"]

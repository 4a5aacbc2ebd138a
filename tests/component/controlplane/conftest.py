"""The control plane shared by these tests."""

from tests.harness.controlplane.fixtures import control_plane, controllers, our_control_plane

__all__ = ["control_plane", "controllers", "our_control_plane"]

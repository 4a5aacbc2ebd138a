"""The errors of the control plane: a sentence that says what is wrong and what to do next.

Owned here so that every module of the control plane can raise them without importing another.
"""

from tests.harness.gotools.errors import ToolError


class ControlPlaneError(ToolError):
    """The control plane cannot be had; the message is written for the person at the terminal."""


class NotOurClusterError(ControlPlaneError):
    """A destructive step was asked of a cluster that this harness did not start."""

"""Pytest fixtures that give tests Helm and promtool, built first if they are not cached.

Import them into a conftest. With xdist several workers ask at once: one builds, the others wait at the cache's lock.
"""

import os
from pathlib import Path

import pytest

from tests.harness.gotools import programs


@pytest.fixture(scope="session")
def helm() -> Path:
    """Absolute path of a Helm; $HELM names another than the built one."""
    return programs.helm(os.environ)


@pytest.fixture(scope="session")
def promtool() -> Path:
    """Absolute path of a promtool; $PROMTOOL names another than the built one."""
    return programs.promtool(os.environ)


__all__ = ["helm", "promtool"]

"""What the tests of the chart share: Helm with a home of its own."""

from pathlib import Path

import pytest

from tests.chart.helm_cli import Helm


@pytest.fixture(scope="session")
def chart_helm(helm: Path, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """The pinned Helm, which keeps its files in a folder of this run."""
    return Helm(helm, tmp_path_factory.mktemp("helm"))

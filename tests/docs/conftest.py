"""What the files of this folder share: a stage on which commands of the documentation are run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.stage import Stage, clear, prepare_cluster, set_up
from tests.harness.controlplane.launch import ControlPlane
from tests.harness.peerdb.process import SimulatorProcess


@pytest.fixture(scope="module")
def cluster(our_control_plane: ControlPlane) -> ControlPlane:
    """The real API server, which knows the kind and the namespaces that the documentation speaks of."""
    prepare_cluster(our_control_plane)
    return our_control_plane


@pytest.fixture(scope="module")
def sim() -> Iterator[SimulatorProcess]:
    """A simulated PeerDB."""
    with SimulatorProcess.start() as started:
        yield started


@pytest.fixture(scope="module")
def stage(
    tmp_path_factory: pytest.TempPathFactory, our_control_plane: ControlPlane, sim: SimulatorProcess, helm: Path
) -> Iterator[Stage]:
    """A checkout, a cluster and a PeerDB."""
    yield set_up(tmp_path_factory.mktemp("stage"), our_control_plane, sim, helm)
    clear(our_control_plane)

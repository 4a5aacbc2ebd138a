"""What the files of this folder share: the CRD, a simulated PeerDB and a namespace for each file."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.world import QUICK, World
from tests.harness.controlplane.launch import ControlPlane
from tests.harness.identity import Identities, make_namespace
from tests.harness.identity_gate import file_findings, shared_folder
from tests.harness.peerdb.process import SimulatorProcess

CRD_FILE = Path(__file__).parents[2] / "crds" / "mirrors.peerdb.io.yaml"

MakeWorld = Callable[..., World]


def install_crd(cluster: ControlPlane) -> None:
    """Make the API server serve the kind."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRD_FILE))
    cluster.wait_established("mirrors.peerdb.io")


@pytest.fixture(scope="session")
def identities(
    our_control_plane: ControlPlane,
    helm: Path,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Identities]:
    """Who operators are in this cluster: what the chart makes of them. What they asked for is filed at the end."""
    made = Identities(our_control_plane, helm)
    yield made
    folder = shared_folder(request.config, tmp_path_factory)
    file_findings(made, folder, tmp_path_factory.getbasetemp().name)


@pytest.fixture(scope="module")
def make_world(our_control_plane: ControlPlane, identities: Identities) -> Iterator[MakeWorld]:
    """Makes worlds, each with a PeerDB and a namespace of its own, and ends them; no operator runs in them yet."""
    install_crd(our_control_plane)
    made: list[World] = []

    def make(namespace: str, *, knobs: dict[str, object] | None = None, password: str | None = None) -> World:
        make_namespace(our_control_plane, namespace)
        sim = SimulatorProcess.start(knobs={**QUICK, **(knobs or {})}, password=password)
        made.append(World(our_control_plane, sim, namespace, identities))
        return made[-1]

    yield make
    for world in made:
        world.close()
        world.sim.stop()

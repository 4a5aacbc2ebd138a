"""The operator as a container runs it: installed by the Dockerfile, unprivileged, nothing writable, as in a pod."""

import dataclasses
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.harness.controlplane.launch import ControlPlane
from tests.harness.identity import make_namespace
from tests.harness.identity_on_file import account_kubeconfig
from tests.harness.operator_process import Launch, RunningOperator
from tests.harness.peerdb.process import SimulatorProcess
from tests.image.installed import Image
from tests.image.instructions import ROOT

CRD = ROOT / "crds" / "mirrors.peerdb.io.yaml"
NAMESPACE = "image"
PASSWORD = "correct-horse"
SERVICE_ACCOUNT = "secrets/kubernetes.io/serviceaccount"

pytestmark = pytest.mark.e2e


@dataclasses.dataclass(frozen=True, slots=True)
class Contained(Launch):
    """The image's own command line and environment; ``run`` is what lies at ``/run``."""

    image: Image = dataclasses.field(kw_only=True)
    run: Path = dataclasses.field(kw_only=True)

    def argv(self, health_port: int) -> list[str]:
        """Variables as a pod has them, the arguments of the image."""
        variables = {"PEERDB_URL": self.peerdb_url, "PEERDB_OPERATOR_HEALTH_PORT": str(health_port), **self.environ}
        return self.image.command([*self.image.entrypoint, *self.image.arguments], variables, self.run)


@pytest.fixture(scope="module")
def cluster(our_control_plane: ControlPlane) -> ControlPlane:
    our_control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
    our_control_plane.wait_established("mirrors.peerdb.io")
    make_namespace(our_control_plane, NAMESPACE)
    return our_control_plane


@pytest.fixture(scope="module")
def peerdb() -> Iterator[SimulatorProcess]:
    with SimulatorProcess.start(password=PASSWORD, knobs={"t_stop": 0.2, "t_drop": 0.2}) as started:
        yield started


@pytest.fixture
def mounts() -> Iterator[Path]:
    """What the kubelet would mount; outside the folders of pytest, which are closed to other users."""
    folder = Path(tempfile.mkdtemp(prefix="peerdb-operator-run-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def contained(image: Image, cluster: ControlPlane, peerdb: SimulatorProcess, mounts: Path) -> Contained:
    token = json.loads(account_kubeconfig(cluster, NAMESPACE).read_text())["users"][0]["user"]["token"]
    assert cluster.ca_file is not None
    pod = {"token": token, "ca.crt": cluster.ca_file.read_text(), "namespace": NAMESPACE}
    (mounts / SERVICE_ACCOUNT).mkdir(parents=True)
    for name, content in pod.items():
        (mounts / SERVICE_ACCOUNT / name).write_text(content)
    (mounts / "password").write_text(PASSWORD)
    api = urlsplit(cluster.url)
    variables = {
        "PEERDB_PASSWORD_FILE": str(mounts / "password"),
        "PEERDB_OPERATOR_NAMESPACES": NAMESPACE,
        "KUBERNETES_SERVICE_HOST": str(api.hostname),
        "KUBERNETES_SERVICE_PORT": str(api.port),
        "PEERDB_OPERATOR_METRICS_PORT": "0",
    }
    if image.plain:
        variables["KUBECONFIG"] = str(_for_everybody(cluster, token, mounts))
    return Contained(Path("-"), peerdb.ui_api_url, environ=variables, image=image, run=mounts)


def _for_everybody(cluster: ControlPlane, token: str, folder: Path) -> Path:
    """Without a mount namespace there is no place for a service account: a kubeconfig that any user may read."""
    text = cluster.kubeconfig_for_token("image", token).read_text()
    readable = folder / "kubeconfig"
    readable.write_text(text.replace(str(cluster.ca_file), str(folder / SERVICE_ACCOUNT / "ca.crt")))
    return readable


def test_the_operator_converges_a_mirror_and_ends_with_0_when_it_is_unprivileged_and_nothing_is_writable(
    contained: Contained, cluster: ControlPlane, peerdb: SimulatorProcess
) -> None:
    before = contained.image.state()
    peerdb.put_mirror("orders", tags={"peerdb.io/owner": "released"})
    with RunningOperator.start(contained) as operator:
        wish = {"apiVersion": "peerdb.io/v1alpha1", "kind": "Mirror", "spec": {"state": "Paused"}}
        wish["metadata"] = {"name": "orders", "namespace": NAMESPACE}
        cluster.kubectl("apply", "-f", "-", input=json.dumps(wish))
        cluster.kubectl("wait", "--for=condition=Ready", "mirror/orders", f"--namespace={NAMESPACE}", "--timeout=150s")
        cluster.kubectl("delete", "mirror", "orders", f"--namespace={NAMESPACE}", "--timeout=150s")
        facts = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{operator.pid}/status").read_text().splitlines()
            if ":\t" in line
        )

        assert facts["Uid"].split()[0] != "0"
        assert facts["CapEff"].strip("0") == ""
        assert facts["NoNewPrivs"] == "1"
        assert operator.stop() == 0
        assert [line for line in operator.records() if line.get("level") in {"error", "critical"}] == []
    assert contained.image.state() == before


def test_the_version_is_told_when_nothing_is_writable(image: Image) -> None:
    told = image.call([*image.entrypoint, "--version"])

    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout == f"peerdb-operator {image.dockerfile.final.merged('ARG')['VERSION']}\n"


def test_a_wrong_setting_is_a_sentence_and_exit_code_2_when_the_container_starts(image: Image) -> None:
    told = image.call([*image.entrypoint, *image.arguments], {"PEERDB_URL": "flow-api:8113"})

    assert told.returncode == 2
    assert "PEERDB_URL" in told.stderr
    assert "Traceback" not in told.stderr


PROBE = """
import os, sys
refused = 0
for folder in sys.argv[1:]:
    try:
        open(os.path.join(folder, "written"), "w")
    except OSError as error:
        refused += 1
print(refused, os.getuid())
"""


def test_the_sandbox_lets_nothing_be_written_when_a_program_tries(image: Image, tmp_path: Path) -> None:
    tree = [str(image.folder), str(image.python.parent), "/", "/etc"]
    folders = tree if image.plain else [*tree, "/tmp", "/run", "/dev/shm", str(tmp_path)]

    told = image.call([str(image.python), "-c", PROBE, *folders])

    assert told.stderr == ""
    refused, user = told.stdout.split()
    assert refused == str(len(folders))
    assert user != "0"
    assert image.plain is False or sys.platform != "linux" or user == "65532"

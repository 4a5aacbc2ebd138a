"""``make demo``, run as its users run it: without a terminal, on one, on a cluster of theirs, on a PeerDB of theirs."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from tests.harness.controlplane.launch import ControlPlane
from tests.harness.demo.peerdb import BILLING, ORDERS, furnish
from tests.harness.identity import Identities
from tests.harness.operator_process import Launch, RunningOperator
from tests.harness.peerdb.process import SimulatorProcess

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
PATIENCE = 300.0
QUICK = {"t_stop": 0.3, "t_add": 1.2, "t_drop": 0.2}
STEPS = (
    "Apply", "Pause", "Resume", "Add and remove", "Edit while paused", "A human hand", "Another hand", "Delete", "Yours"
)  # fmt: skip
GENTLE = {
    "GET /v1/version",
    "GET /v1/mirrors/list",
    "POST /v1/mirrors/status",
    "POST /v1/mirrors/logs",
    "POST /v1/mirrors/state_change",
    f"GET /v1/flows/tags/{ORDERS}",
    "POST /v1/flows/tags",
}
ON_A_TERMINAL = "import fcntl,os,sys,termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
"""Makes the terminal that is its standard input the one whose Ctrl-C reaches it, and becomes another program."""
SOMEBODY = "somebody"
"""A person, as far as an API server knows people that has no others than ServiceAccounts and its admin."""

COMMAND = [sys.executable, "-m", "tests.harness.demo"]


def surroundings(**more: str) -> dict[str, str]:
    """What a user's shell would hand to the demo."""
    ours = ("PEERDB_", "KUBECONFIG", "YES", "MIRROR", "NO_COLOR", "FORCE_COLOR")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "PYTHONPATH": os.pathsep.join(["operator", "."]), **more}


class Demo:
    """A running demo without a terminal: what it has said, and its end."""

    def __init__(self, *arguments: str, **environ: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=ROOT,
            env=surroundings(**environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        self.said = ""
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    def _read(self, stream: TextIO) -> None:
        for line in stream:
            self.said += line

    def ends(self) -> int:
        """Wait for the end; returns the exit code."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def says(self, pattern: str) -> str:
        """Wait until it has said this; returns the first group, if there is one, or the whole match."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = re.search(pattern, self.said)
            if found:
                return found[found.re.groups]
            assert self.process.poll() is None, self.said
            time.sleep(0.05)
        raise AssertionError(f"never said {pattern!r}: {self.said}")

    def close(self) -> None:
        """End it whatever it does."""
        if self.process.poll() is None:
            self.process.terminate()
        self.ends()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def demos() -> Iterator[list[Demo]]:
    running: list[Demo] = []
    yield running
    for demo in running:
        demo.close()


@pytest.fixture
def peerdb() -> Iterator[SimulatorProcess]:
    """Stands for somebody's real PeerDB."""
    with SimulatorProcess.start(knobs=QUICK) as simulator:
        furnish(simulator)
        yield simulator


def a_demo(demos: list[Demo], *arguments: str, **environ: str) -> Demo:
    demos.append(Demo(*arguments, **environ))
    return demos[-1]


def a_gentle_demo(demos: list[Demo], peerdb: SimulatorProcess, *arguments: str, **environ: str) -> Demo:
    return a_demo(demos, "--peerdb-url", peerdb.gateway_url, "--mirror", ORDERS, *arguments, **environ)


def nobody_answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except OSError as error:
        return "refused" in str(error)
    return False


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def requests(peerdb: SimulatorProcess) -> set[str]:
    return {f"{one['method']} {one['path']}" for one in peerdb.log() if one["kind"] == "request"}


def commands(peerdb: SimulatorProcess) -> list[dict[str, str]]:
    """The bodies of all state_change calls."""
    asked = [one for one in peerdb.log() if one["kind"] == "request" and str(one["path"]).endswith("/state_change")]
    return [json.loads(str(one["body"])) for one in asked]


def seen(peerdb: SimulatorProcess, state: str) -> bool:
    return any(one["kind"] == "state" and one["new"] == state for one in peerdb.log())


def wait_until_seen(peerdb: SimulatorProcess, state: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not seen(peerdb, state):
        assert time.monotonic() < deadline, f"never {state}"
        time.sleep(0.05)


def assert_left_as_found(peerdb: SimulatorProcess) -> None:
    """RUNNING, tag released, no table touched, nothing but reads, pauses and resumes of this one mirror."""
    truth = peerdb.get_mirror(ORDERS)
    assert truth is not None
    row = truth["row"]
    assert isinstance(row, dict)
    assert row["state"] == "RUNNING"
    assert row["tags"] == {"peerdb.io/owner": "released"}
    assert [table["source"] for table in row["tables"]] == ["public.orders"]
    assert requests(peerdb) <= GENTLE
    assert {frozenset(body) for body in commands(peerdb)} == {frozenset({"flowJobName", "requestedFlowState"})}
    assert {body["flowJobName"] for body in commands(peerdb)} == {ORDERS}
    assert {body["requestedFlowState"] for body in commands(peerdb)} == {"STATUS_PAUSED", "STATUS_RUNNING"}


# -- the simulated PeerDB ----------------------------------------------------------------------------------------------


def test_the_demo_ends_with_1_and_says_what_it_expected_when_a_step_never_converges(demos: list[Demo]) -> None:
    demo = a_demo(demos, "--knobs", json.dumps({**QUICK, "stuck_addition": True}), "--step-seconds", "9")
    assert demo.ends() == 1
    report = demo.said[demo.said.index("✗ ") :]
    expected = "all three run as wished, orders-cdc with both tables"
    assert re.match(rf"✗ Not converged\. expected: {expected}; after \d+ s: orders-cdc: ", report), report
    assert "Conditions of orders-cdc (generation 1, PeerDB says Snapshot)" in report or "says Paused" in report
    assert "Ready=Unknown" in report
    assert '"action": "SendUpdate"' in report
    assert "Traceback" not in demo.said


def test_the_demo_walks_to_its_end_and_stays_up_until_ctrl_c_when_it_runs_on_a_terminal() -> None:
    terminal, its_end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", ON_A_TERMINAL, *COMMAND, "--knobs", json.dumps(QUICK)],
        cwd=ROOT,
        env=surroundings(TERM="xterm", COLUMNS="100"),
        stdin=its_end,
        stdout=its_end,
        stderr=its_end,
        start_new_session=True,
    )
    os.close(its_end)
    said = read_terminal(terminal, until="Whatever changes shows here.")
    operator = int(found(r"operator +pid (\d+)", said))
    kubeconfig, kubectl = found(r"KUBECONFIG=(\S+)", said), found(r"(?:alias kubectl=(\S+))|$", said) or "kubectl"
    patch = ["patch", "mirror", "web-events", "--type=merge", "-p", '{"spec":{"state":"Paused"}}']
    subprocess.run([kubectl, f"--kubeconfig={kubeconfig}", *patch], check=True, capture_output=True, timeout=PATIENCE)
    said += read_terminal(terminal, until="paused as wished")
    os.write(terminal, b"\x03")
    said += read_terminal(terminal, until=None)
    os.close(terminal)
    assert process.wait(PATIENCE) == 0
    assert "\x1b[32m" in said
    assert "/_sim/knobs" in said
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", said)
    titles = re.findall(r"^\d+\. (.*)$", plain, re.MULTILINE)
    assert [title.startswith(step) for title, step in zip(titles, STEPS, strict=True)] == [True] * len(STEPS)
    assert "PausedWithPendin" in plain
    assert "Every step converged" in plain
    assert nobody_answers(f"{found(r'simulator +(http[^ ]+)', plain)}/v1/version")
    assert nobody_answers(f"{found(r'API server +(https[^ ]+)', plain).strip()}/readyz")
    assert not runs(operator)
    assert not Path(kubeconfig).exists()


def read_terminal(terminal: int, *, until: str | None) -> str:
    """What comes until these words, or until the end."""
    said, deadline = "", time.monotonic() + PATIENCE
    while until is None or until not in said:
        assert time.monotonic() < deadline, said
        if not select.select([terminal], [], [], 1.0)[0]:
            continue
        try:
            got = os.read(terminal, 65536)
        except OSError:  # how Linux says that the other side has closed
            got = b""
        if not got:
            assert until is None, said
            return said
        said += got.decode("utf-8", "replace")
    return said


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match is not None, text
    return match[1] or ""


# -- somebody's PeerDB -------------------------------------------------------------------------------------------------


def test_nothing_is_touched_when_nobody_can_agree(demos: list[Demo], peerdb: SimulatorProcess) -> None:
    demo = a_gentle_demo(demos, peerdb)
    assert demo.ends() == 2
    assert f"pauses the mirror {ORDERS} of the PeerDB at {peerdb.gateway_url}" in " ".join(demo.said.split())
    assert "run it again with YES=1" in demo.said
    assert commands(peerdb) == []
    assert "POST /v1/flows/tags" not in requests(peerdb)


@pytest.mark.parametrize(
    ("mirror", "field", "value", "sentence"),
    [
        (ORDERS, "state", "PAUSED", "orders_cdc is PAUSED"),
        (ORDERS, "tags", {"peerdb.io/owner": "other/data/orders/1"}, "orders_cdc belongs to another operator"),
        (ORDERS, "kind", "qrep", "replicates queries"),
        ("nosuch", "state", "RUNNING", "nosuch"),
        ("1st-mirror", "state", "RUNNING", "MIRROR=1st-mirror"),
    ],
)
def test_a_mirror_is_refused_with_a_sentence_when_the_demo_would_harm_it(
    demos: list[Demo], peerdb: SimulatorProcess, mirror: str, field: str, value: object, sentence: str
) -> None:
    peerdb.put_mirror(ORDERS, **{"tables": [{"source": "public.orders", "destination": "orders"}], field: value})
    demo = a_demo(demos, "--peerdb-url", peerdb.gateway_url, "--mirror", mirror, "--yes")
    assert demo.ends() == 2
    assert sentence in demo.said.splitlines()[-1]
    assert commands(peerdb) == []
    assert "Traceback" not in demo.said


def test_the_demo_asks_for_both_when_only_the_address_of_a_real_peerdb_is_given(demos: list[Demo]) -> None:
    demo = a_demo(demos, "--peerdb-url", "http://127.0.0.1:9")
    assert demo.ends() == 2
    assert "MIRROR" in demo.said


def test_a_real_mirror_runs_again_and_everything_ends_when_the_demo_is_told_to_stop_while_it_is_paused(
    demos: list[Demo], peerdb: SimulatorProcess
) -> None:
    peerdb.knobs(t_stop=2.0)
    demo = a_gentle_demo(demos, peerdb, "--yes")
    operator = int(demo.says(r"operator: pid (\d+)"))
    wait_until_seen(peerdb, "PAUSING")
    demo.process.terminate()
    assert demo.ends() == 130, demo.said
    assert "Traceback" not in demo.said
    assert not runs(operator)
    assert seen(peerdb, "PAUSED")
    assert_left_as_found(peerdb)


# -- somebody's cluster ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """Stands for a cluster that somebody brought."""
    environ = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
    with ControlPlane.start(environ=environ) as started:
        yield started


def brought(cluster: ControlPlane) -> dict[str, str]:
    """The variables of a user with a cluster, in which they may do everything."""
    cluster.kubectl("create", "serviceaccount", SOMEBODY, check=False)
    role = ("--clusterrole=cluster-admin", f"--serviceaccount=default:{SOMEBODY}")
    cluster.kubectl("create", "clusterrolebinding", SOMEBODY, *role, check=False)
    path = os.pathsep.join([str(cluster.kubectl_program.parent), os.environ["PATH"]])
    return {"KUBECONFIG": str(cluster.kubeconfig_of_service_account("default", SOMEBODY)), "PATH": path}


def test_a_real_mirror_and_a_cluster_are_left_as_they_were_when_their_owner_agreed(
    demos: list[Demo], peerdb: SimulatorProcess, cluster: ControlPlane
) -> None:
    before = namespaces(cluster)
    demo = a_gentle_demo(demos, peerdb, YES="1", **brought(cluster))
    assert demo.ends() == 0, demo.said
    assert "Every step converged" in demo.said
    assert "\x1b" not in demo.said
    assert [body["requestedFlowState"] for body in commands(peerdb)] == ["STATUS_PAUSED", "STATUS_RUNNING"]
    assert f"works in the cluster {cluster.url}" in " ".join(demo.said.split())
    assert_left_as_found(peerdb)
    assert namespaces(cluster) == before
    assert cluster.kubectl("get", "crds", "--output=name").stdout == ""


def test_a_real_mirror_runs_again_when_the_operator_dies_while_it_is_paused(
    demos: list[Demo], peerdb: SimulatorProcess, cluster: ControlPlane
) -> None:
    demo = a_gentle_demo(demos, peerdb, "--yes", **brought(cluster))
    operator = int(demo.says(r"operator: pid (\d+)"))
    wait_until_seen(peerdb, "PAUSING")
    os.kill(operator, signal.SIGKILL)
    assert demo.ends() == 1, demo.said
    assert "the operator has ended" in demo.said
    assert seen(peerdb, "PAUSED")
    assert_left_as_found(peerdb)


def test_nothing_is_written_to_a_cluster_when_nobody_can_agree(demos: list[Demo], cluster: ControlPlane) -> None:
    before = namespaces(cluster)
    demo = a_demo(demos, **brought(cluster))
    assert demo.ends() == 2
    assert "run it again with YES=1" in demo.said
    assert namespaces(cluster) == before
    assert cluster.kubectl("get", "crds", "--output=name").stdout == ""


def test_a_cluster_with_an_operator_in_it_is_refused_and_keeps_what_it_has(
    demos: list[Demo], peerdb: SimulatorProcess, cluster: ControlPlane, helm: Path
) -> None:
    stranger = Identities(cluster, helm).identity()
    cluster.kubectl("apply", "-f", "crds/")
    cluster.wait_established("mirrors.peerdb.io")
    try:
        with RunningOperator.start(Launch(stranger.kubeconfig, peerdb.gateway_url)):
            cluster.kubectl("apply", "-f", "docs/samples/retain.yaml")
            demo = a_demo(demos, "--yes", **brought(cluster))
            assert demo.ends() == 2, demo.said
            assert "An operator works in this cluster already" in demo.said
            assert cluster.kubectl("get", "mirrors", "-A", "--output=name").stdout.split() == [
                "mirror.peerdb.io/billing"
            ]
            assert peerdb.state(BILLING) == "RUNNING"
    finally:
        cluster.kubectl(
            "patch", "mirror", "billing", "--type=merge", '-p={"metadata":{"finalizers":null}}', check=False
        )
        cluster.kubectl("delete", "crd", "mirrors.peerdb.io")


def namespaces(cluster: ControlPlane) -> list[str]:
    """Those that are not being deleted: nothing empties them here."""
    items = json.loads(cluster.kubectl("get", "namespaces", "--output=json").stdout)["items"]
    return [item["metadata"]["name"] for item in items if item["status"]["phase"] == "Active"]

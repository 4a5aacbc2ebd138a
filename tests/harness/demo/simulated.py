"""The demo on the simulated PeerDB: everything started, the walk walked, everything ended.

Owns the order of starts and ends, and what is left standing for the person at the terminal.
"""

import contextlib
import shutil
import time
from collections.abc import Mapping

from tests.harness.demo.cluster import Ask, Cluster, open_cluster
from tests.harness.demo.ending import Ending
from tests.harness.demo.peerdb import KNOBS, furnish, put_orders
from tests.harness.demo.screen import Screen
from tests.harness.demo.waiting import Watcher
from tests.harness.demo.walk import Walk
from tests.harness.operator_process import Launch, RunningOperator
from tests.harness.peerdb.process import SimulatorProcess

TICK_SECONDS = 1
LOOK_SECONDS = 1.0


def show(screen: Screen, ask: Ask, *, seconds: float, knobs: Mapping[str, object], stay: bool) -> None:
    """Run the demo; ``seconds`` per step. Raises NotConvergedError, RefusedError, ControlPlaneError, OperatorError."""
    with Ending(screen) as undo:
        cluster = open_cluster(screen, ask, undo)
        with screen.waiting("Starting the PeerDB simulator and the operator"):
            simulator = undo.enter_context(SimulatorProcess.start(knobs={**KNOBS, **knobs}))
            furnish(simulator)
            operator = undo.enter_context(start_operator(cluster, simulator.gateway_url, tick_seconds=TICK_SECONDS))
        if not cluster.control_plane.started_by_us:
            undo.callback(cluster.delete_mirrors)
        _introduce(screen, cluster, simulator, operator)
        watcher = Watcher(cluster, operator, screen, seconds)
        Walk(watcher, simulator, screen).run()
        screen.say("")
        screen.good(f"Every step converged; {screen.elapsed():.0f} s in all.")
        if stay:
            put_orders(simulator)
            _invite(screen, cluster, simulator, operator)
            _stay(watcher)


def start_operator(cluster: Cluster, peerdb_url: str, *, inherit: bool = False, **flags: object) -> RunningOperator:
    """An operator of this demo's own, for its namespace alone; ready when it returns."""
    fixed = {"namespaces": cluster.namespace, "cluster_id": "demo"}
    return RunningOperator.start(Launch(cluster.operator_kubeconfig, peerdb_url, {**fixed, **flags}, inherit=inherit))


def _introduce(screen: Screen, cluster: Cluster, simulator: SimulatorProcess, operator: RunningOperator) -> None:
    screen.say(
        f"Kubernetes API server  {cluster.control_plane.url}\n"
        f"PeerDB simulator       {simulator.gateway_url} (pid {simulator.process.pid}; pauses and copies in 1 to 3 s)\n"
        f"operator               pid {operator.pid}, watches namespace {cluster.namespace}"
    )


def _invite(screen: Screen, cluster: Cluster, simulator: SimulatorProcess, operator: RunningOperator) -> None:
    namespace = "" if cluster.namespace == "default" else f" -n {cluster.namespace}"
    lacking = shutil.which("kubectl") is None
    alias = f"alias kubectl={cluster.control_plane.kubectl_program}\n" if lacking else ""
    screen.say(
        "\nAll of it runs on until Ctrl-C. In PeerDB orders_cdc is back with its first table, billing_prod_v2 and\n"
        "web_events still run. To try in another terminal, in this folder:\n\n"
        f"export KUBECONFIG={cluster.control_plane.kubeconfig}\n{alias}"
        f"kubectl get mirrors{namespace} -o wide --watch\n"
        f"kubectl apply{namespace} -f docs/samples/orders.yaml\n"
        f"""kubectl patch{namespace} mirror web-events --type=merge -p '{{"spec":{{"state":"Paused"}}}}'\n"""
        f"kubectl describe{namespace} mirror web-events\n"
        f"tail -f {operator.log_file}\n"
        f"curl -s {simulator.gateway_url}/_sim/mirrors     # the hidden truth of PeerDB\n"
        f"""curl -s -X PATCH {simulator.gateway_url}/_sim/knobs -d '{{"maintenance": true}}'   # false ends it\n\n"""
        "Every knob and hand: docs/simulator.md"
    )


def _stay(watcher: Watcher) -> None:
    watcher.step("Yours", "Whatever changes shows here.")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            watcher.poll()
            time.sleep(LOOK_SECONDS)

"""The demo on a real PeerDB, gently: one mirror is read, paused and resumed, and left as it was found.

Owns what has to hold before anything is touched, the question, the steps, and that the mirror runs again whatever
happens. No tables are in the spec and deletionPolicy is Retain: the operator has nothing to edit and nothing to drop.
"""

import json
import secrets

from peerdb_operator.api.constants import API_VERSION, KIND, OWNER_TAG, RELEASED
from peerdb_operator.api.mirror import mirror_name_of, parse_spec
from peerdb_operator.errors import InvalidSpec, PeerDBError
from tests.harness.demo.cluster import Ask, Cluster, open_cluster
from tests.harness.demo.ending import Ending
from tests.harness.demo.realpeerdb import Found, RealPeerDB
from tests.harness.demo.screen import RefusedError, Screen
from tests.harness.demo.simulated import start_operator
from tests.harness.demo.waiting import NotConvergedError, Watcher
from tests.harness.operator_process import RunningOperator

NAME = "demo"


def show(screen: Screen, ask: Ask, url: str, mirror: str, *, seconds: float) -> None:
    """Run the demo. Raises NotConvergedError, RefusedError, ControlPlaneError, OperatorError."""
    peerdb, signature = RealPeerDB(url, _legal(mirror)), f"demo-{secrets.token_hex(4)}"
    with screen.waiting("Reading the mirror"):
        found = _look(peerdb)
    counted = f"{found.tables} table{'' if found.tables == 1 else 's'}"
    screen.say(f"PeerDB {found.version} at {peerdb.url}: the mirror {mirror} is {found.state}, {counted}.")
    _require_harmless(mirror, found)
    screen.say("Should the demo be killed outright, this makes the mirror run again:")
    screen.command(_by_hand(peerdb))
    ask(_question(peerdb))
    with Ending(screen) as undo:
        cluster = open_cluster(screen, ask, undo)
        back = _GivesBack(peerdb, signature, screen, seconds)
        undo.callback(back.close)
        with screen.waiting("Starting the operator"):
            operator = undo.enter_context(start_operator(cluster, peerdb.url, inherit=True, cluster_id=signature))
        undo.callback(_let_go, cluster, operator)
        screen.say(
            f"operator: pid {operator.pid}, watches namespace {cluster.namespace} of {cluster.control_plane.url}"
        )
        _walk(Watcher(cluster, operator, screen, seconds), screen, peerdb)
        back.resumed = True
        screen.say("")
        screen.good(f"Every step converged; {screen.elapsed():.0f} s in all. {mirror} runs as before.")


class _GivesBack:
    """Makes the mirror run again, after the operator has ended; ``resumed`` when the steps have done so already."""

    def __init__(self, peerdb: RealPeerDB, signature: str, screen: Screen, seconds: float) -> None:
        self.resumed = False
        self._peerdb = peerdb
        self._signature = signature
        self._screen = screen
        self._seconds = seconds

    def close(self) -> None:
        """Give it back; raises NotConvergedError with what to do by hand when that fails."""
        peerdb = self._peerdb
        if not self.resumed and not peerdb.run_again(self._seconds):
            raise NotConvergedError(
                f"The mirror {peerdb.mirror} was not seen RUNNING again within {self._seconds:.0f} s. Resume it in "
                f"PeerDB's UI, or: {_by_hand(peerdb)}"
            )
        try:
            peerdb.release(self._signature)
        except PeerDBError as error:
            self._screen.say(f"The tag {OWNER_TAG} of {peerdb.mirror} could not be released: {error.message}")
        if not self.resumed:
            self._screen.good(f"{peerdb.mirror} is RUNNING, as it was found.")


def _walk(watcher: Watcher, screen: Screen, peerdb: RealPeerDB) -> None:
    cluster, mirror = watcher.cluster, peerdb.mirror
    watcher.step("Take the mirror over", "Without spec.tables the operator manages the run state alone.")
    cluster.kubectl("apply", "--filename=-", input=json.dumps(_object(mirror)))
    watcher.until("it runs as wished", watcher.shows(NAME, "Running"))
    watcher.step("Pause", "PeerDB answers at once and pauses later: Ready is Unknown until the pause is seen.")
    _set_state(cluster, screen, "Paused")
    watcher.until("it is paused", watcher.shows(NAME, "Paused"))
    watcher.step("Resume", "The same way back.")
    _set_state(cluster, screen, "Running")
    watcher.until("it runs", watcher.shows(NAME, "Running"))
    watcher.step("Delete the Mirror", "deletionPolicy is Retain: the mirror stays in PeerDB, running.")
    screen.command(f"kubectl delete mirror {NAME}")
    cluster.kubectl("delete", "mirror", NAME, "--wait=false")
    watcher.until(f"the object is gone, {mirror} runs", watcher.gone(NAME), lambda: _runs(peerdb))


def _object(mirror: str) -> dict[str, object]:
    spec = {"mirrorName": mirror, "state": "Running", "deletionPolicy": "Retain"}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": NAME}, "spec": spec}


def _set_state(cluster: Cluster, screen: Screen, state: str) -> None:
    patch = json.dumps({"spec": {"state": state}}, separators=(",", ":"))
    screen.command(f"kubectl patch mirror {NAME} --type=merge -p '{patch}'")
    cluster.kubectl("patch", "mirror", NAME, "--type=merge", "-p", patch)


def _runs(peerdb: RealPeerDB) -> str | None:
    try:
        state = peerdb.state()
    except PeerDBError as error:
        return error.message
    return None if state == "RUNNING" else f"in PeerDB {peerdb.mirror} is {state}"


def _let_go(cluster: Cluster, operator: RunningOperator) -> None:
    """While the operator still works: it resumes what it paused before it lets an object go."""
    if not operator.running():
        return
    wish = json.dumps({"spec": {"state": "Running"}})
    cluster.kubectl("patch", "mirror", NAME, "--type=merge", f"--patch={wish}", check=False)
    cluster.delete_mirrors()


def _legal(mirror: str) -> str:
    try:
        return mirror_name_of(NAME, parse_spec({"mirrorName": mirror}))
    except InvalidSpec as error:
        raise RefusedError(f"MIRROR={mirror}: {error.message}") from error


def _look(peerdb: RealPeerDB) -> Found:
    try:
        return peerdb.look()
    except PeerDBError as error:
        raise RefusedError(f"{peerdb.url}: {error.message}") from error


def _require_harmless(mirror: str, found: Found) -> None:
    if found.tables is None:
        raise RefusedError(f"{mirror} replicates queries, not changes: choose a CDC mirror.")
    if found.state != "RUNNING":
        raise RefusedError(f"{mirror} is {found.state}: the demo pauses and resumes a RUNNING mirror and starts none.")
    owner = found.tags.get(OWNER_TAG, RELEASED)
    if owner != RELEASED:
        raise RefusedError(f"{mirror} belongs to another operator ({OWNER_TAG} = {owner}): choose another mirror.")


def _question(peerdb: RealPeerDB) -> str:
    return (
        f"The demo pauses the mirror {peerdb.mirror} of the PeerDB at {peerdb.url} and resumes it: in between nothing "
        "is replicated. It reads, pauses and resumes; tables, settings and data stay as they are. While it works the "
        f'mirror carries the tag {OWNER_TAG}, which stays behind with the value "{RELEASED}" (PeerDB cannot remove '
        "a last tag). However the demo ends, it makes the mirror run again."
    )


def _by_hand(peerdb: RealPeerDB) -> str:
    body = json.dumps({"flowJobName": peerdb.mirror, "requestedFlowState": "STATUS_RUNNING"})
    return f"""curl -X POST {peerdb.url}/v1/mirrors/state_change -d '{body}'"""

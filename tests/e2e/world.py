"""A small world for one file of tests: the real API server, a simulated PeerDB, the real operator between them.

Users act through kubectl; what a test waits for is read straight from the API server and from PeerDB, because starting
kubectl costs more than asking. Nothing here judges: it creates, edits, waits with a limit, and shows what happened.
"""

from __future__ import annotations

import itertools
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from peerdb_operator.api import constants
from tests.harness.controlplane.audit import AuditEvent
from tests.harness.controlplane.launch import ControlPlane
from tests.harness.operator_process import Launch, RunningOperator
from tests.harness.peerdb.process import SimulatorProcess

PATIENCE = 60.0
POLL = 0.05
USER_AGENT = "peerdb-operator/"
QUICK = {"t_stop": 0.2, "t_add": 0.3, "t_add_without_copy": 0.2, "t_remove": 0.2, "t_drop": 0.2, "t_validate": 0.05}
"""Knobs of a PeerDB that is quick in all things."""
BRISK: Mapping[str, object] = {
    "tick_seconds": 0.5,
    "pausing_look_seconds": 0.2,
    "transition_look_seconds": 0.2,
    "config_sample_seconds": 2,
    "outage_quiet_seconds": 1,
    "outage_unknown_seconds": 4,
}
"""Flags of an operator that looks often, so that tests need not wait."""

Object = dict[str, Any]
T = TypeVar("T")
_NUMBERS = itertools.count(1)


def a_table(source: str, destination: str | None = None, **more: object) -> Object:
    """A table of a spec; by default its destination is one that no other table has ever filled."""
    return {"source": source, "destination": destination or f"{source.partition('.')[2]}_{next(_NUMBERS)}", **more}


def eventually(look: Callable[[], T | None], what: str, about: object = "", *, within: float = PATIENCE) -> T:
    """The first truthy answer of ``look``; raises AssertionError with ``what`` and ``about`` as it is then."""
    deadline = time.monotonic() + within
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {what}\n{about}")
        time.sleep(POLL)


@dataclass(frozen=True, slots=True)
class Command:
    """One ``state_change`` as PeerDB got it, and the HTTP status it answered (0: none yet)."""

    n: int
    state: str
    update: Object | None
    body: Object
    status: int

    @property
    def added(self) -> list[str]:
        """Sources that it adds."""
        return [table["sourceTableIdentifier"] for table in (self.update or {}).get("additionalTables", [])]

    @property
    def removed(self) -> list[str]:
        """Sources that it removes."""
        return [table["sourceTableIdentifier"] for table in (self.update or {}).get("removedTables", [])]


class Kube:
    """Reads of the API server without kubectl."""

    def __init__(self, cluster: ControlPlane) -> None:
        self._cluster = cluster
        self._tls = ssl.create_default_context(cafile=cluster.ca_file)

    def get(self, path: str) -> Object | None:
        """The object at ``path``, or None for a 404."""
        headers = {"Authorization": f"Bearer {self._cluster.admin_token}", "User-Agent": "e2e"}
        request = urllib.request.Request(self._cluster.url + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE, context=self._tls) as reply:
                found: Object = json.load(reply)
                return found
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404:
                    return None
                raise


@dataclass(slots=True)
class World:
    """One namespace, one PeerDB, and the operators that were started in it."""

    cluster: ControlPlane
    sim: SimulatorProcess
    namespace: str
    kube: Kube = field(init=False)
    operators: list[RunningOperator] = field(default_factory=list)
    flags: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.kube = Kube(self.cluster)

    @property
    def operator(self) -> RunningOperator:
        """The newest operator."""
        return self.operators[-1]

    def start_operator(
        self, *, peerdb_url: str = "", environ: Mapping[str, str] | None = None, wait: bool = True, **flags: object
    ) -> RunningOperator:
        """Start one that watches this namespace alone; ``flags`` go on top of ``BRISK`` and of ``self.flags``."""
        chosen = {"namespaces": self.namespace, **BRISK, **self.flags, **flags}
        launch = Launch(
            kubeconfig=self.cluster.kubeconfig,
            peerdb_url=peerdb_url or base(self.sim),
            flags={name: value for name, value in chosen.items() if value is not None},
            environ=environ or {},
        )
        self.operators.append(RunningOperator.start(launch) if wait else RunningOperator(launch))
        return self.operator

    def kubectl(self, *arguments: str, check: bool = True, stdin: str | None = None) -> str:
        """What kubectl prints in this namespace."""
        return self.cluster.kubectl(f"--namespace={self.namespace}", *arguments, check=check, input=stdin).stdout

    def live(self, tables: Iterable[Object] = (), *, name: str = "", **more: object) -> str:
        """A mirror that exists in PeerDB, by default one that its owner has released; returns its PeerDB name."""
        chosen = name or f"m{next(_NUMBERS)}"
        tags = {constants.OWNER_TAG: constants.RELEASED}
        self.sim.put_mirror(chosen, **{"tags": tags, "tables": list(tables), **more})
        return chosen

    def declare(self, peerdb: str, spec: Mapping[str, Any] | None = None, *, name: str = "") -> Subject:
        """``kubectl apply`` of a Mirror for a PeerDB mirror; its own name is the same with ``-`` unless given."""
        subject = Subject(self, name or peerdb.replace("_", "-"), peerdb)
        own = {} if subject.name.replace("-", "_") == peerdb else {"mirrorName": peerdb}
        subject.apply({**own, **(spec or {})})
        return subject

    def declare_all(self, count: int) -> list[Subject]:
        """So many mirrors without a list of tables, declared by one ``kubectl apply`` and Ready."""
        names = [self.live([a_table("public.orders")]) for _ in range(count)]
        subjects = [Subject(self, name, name) for name in names]
        wishes = {"apiVersion": "v1", "kind": "List", "items": [subject.manifest({}) for subject in subjects]}
        self.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(wishes))
        everything = [f"{constants.PLURAL}/{subject.name}" for subject in subjects]
        self.kubectl("wait", "--for=condition=Ready", *everything, f"--timeout={PATIENCE:g}s")
        return subjects

    def settled(self, tables: Iterable[Object], spec: Mapping[str, Any] | None = None, *, name: str = "") -> Subject:
        """A mirror with these tables that is declared so and Ready."""
        listed = list(tables)
        subject = self.declare(self.live(listed, name=name), {"tables": listed, **(spec or {})})
        subject.wait_ready()
        return subject

    def writes(self, since: int, name: str = "") -> list[AuditEvent]:
        """What operators wrote to Kubernetes since an ``audit_mark``, Events left out; of one Mirror if named."""
        return [
            event
            for event in self.cluster.audit_events(since)
            if event.is_write and event.user_agent.startswith(USER_AGENT) and event.resource != "events"
            if name in ("", event.name) and event.namespace == self.namespace
        ]

    def close(self) -> None:
        """End the operators and let go of what they held."""
        for operator in self.operators:
            operator.close()
        self.kubectl("delete", constants.PLURAL, "--all", "--wait=false", check=False)
        left = self.kubectl("get", constants.PLURAL, "--output=name", check=False).split()
        if left:
            self.kubectl("patch", *left, "--type=merge", '--patch={"metadata":{"finalizers":null}}', check=False)


@dataclass(frozen=True, slots=True)
class Subject:
    """One Mirror and the PeerDB mirror that it stands for."""

    world: World
    name: str
    peerdb: str

    def manifest(self, spec: Mapping[str, Any]) -> Object:
        """The object as a user writes it."""
        return {
            "apiVersion": constants.API_VERSION,
            "kind": constants.KIND,
            "metadata": {"name": self.name},
            "spec": spec,
        }

    # -- what a user does ----------------------------------------------------------------------------------------

    def apply(self, spec: Mapping[str, Any], *more: str) -> None:
        """``kubectl apply --server-side``."""
        self.world.kubectl("apply", "--server-side", *more, "-f", "-", stdin=json.dumps(self.manifest(spec)))

    def wish(self, **spec: object) -> None:
        """``kubectl patch`` of these fields of spec."""
        self.patch({"spec": spec})

    def patch(self, change: object, *more: str) -> None:
        """``kubectl patch`` of the object, or of its status with ``--subresource=status``."""
        self.world.kubectl("patch", constants.PLURAL, self.name, "--type=merge", f"--patch={json.dumps(change)}", *more)

    def annotate(self, *annotations: str) -> None:
        """``kubectl annotate``: ``key=value`` sets, ``key-`` removes."""
        self.world.kubectl("annotate", "--overwrite", constants.PLURAL, self.name, *annotations)

    def delete(self, *, wait: bool = True) -> None:
        """``kubectl delete``, which waits until the object is gone."""
        self.world.kubectl(
            "delete", constants.PLURAL, self.name, f"--wait={str(wait).lower()}", f"--timeout={PATIENCE:g}s"
        )

    def wait_ready(self) -> None:
        """``kubectl wait --for=condition=Ready``."""
        arguments = ("wait", "--for=condition=Ready", f"{constants.PLURAL}/{self.name}", f"--timeout={PATIENCE:g}s")
        done = self.world.cluster.kubectl(f"--namespace={self.world.namespace}", *arguments, check=False)
        assert done.returncode == 0, f"{done.stderr}{self}"

    # -- what Kubernetes says ------------------------------------------------------------------------------------

    def find(self) -> Object | None:
        """The object, or None when there is none."""
        path = f"/apis/{constants.API_VERSION}/namespaces/{self.world.namespace}/{constants.PLURAL}/{self.name}"
        return self.world.kube.get(path)

    def read(self) -> Object:
        """The object, which has to exist."""
        found = self.find()
        assert found is not None, f"there is no Mirror {self.name}"
        return found

    def status(self) -> Object:
        """Its status."""
        found: Object = self.read()["status"]
        return found

    def conditions(self) -> dict[str, str]:
        """The status of each condition by type."""
        return {each["type"]: each["status"] for each in self.status().get("conditions", [])}

    def condition(self, kind: str = "Ready") -> Object:
        """One condition; empty when it is absent."""
        found: list[Object] = [each for each in self.status().get("conditions", []) if each["type"] == kind]
        return found[0] if found else {}

    def wait_reason(self, reason: str, kind: str = "Ready") -> Object:
        """The condition as soon as it carries this reason for the present generation."""

        def look() -> Object | None:
            found = self.condition(kind)
            fresh = found.get("observedGeneration") == self.read()["metadata"]["generation"]
            return found if fresh and found["reason"] == reason else None

        return eventually(look, f"{kind} has the reason {reason}", self)

    def wait_conditions(self, **wanted: str) -> None:
        """Until there are these conditions and no others."""
        eventually(lambda: self.conditions() == wanted, f"the conditions are {wanted}", self)

    def wait_gone(self) -> None:
        """Until the object no longer exists."""
        eventually(lambda: self.find() is None, f"the Mirror {self.name} is gone", self)

    def events(self) -> list[tuple[str, str]]:
        """Type and reason of its Events, oldest first."""
        listed = self.world.kube.get(f"/apis/events.k8s.io/v1/namespaces/{self.world.namespace}/events") or {}
        mine = [each for each in listed["items"] if each["regarding"].get("name") == self.name]
        return [(each["type"], each["reason"]) for each in sorted(mine, key=lambda each: str(each["eventTime"]))]

    def wait_event(self, kind: str, reason: str) -> None:
        """Until there is such an Event: it follows the status that it is about."""
        eventually(lambda: (kind, reason) in self.events(), f"there is an Event {reason}", self)

    # -- what PeerDB says ----------------------------------------------------------------------------------------

    def state(self) -> str | None:
        """What the mirror's row says, or None without a row."""
        return self.world.sim.state(self.peerdb)

    def wait_state(self, state: str | None) -> None:
        """Until PeerDB has it so."""
        eventually(lambda: (self.state() == state) or None, f"{self.peerdb} is {state}", self)

    def truth(self) -> Object:
        """The mirror's row in PeerDB."""
        found = self.world.sim.get_mirror(self.peerdb)
        assert found is not None
        row: Object = found["row"]  # type: ignore[assignment]  # the control API returns JSON
        return row

    def tables(self) -> dict[str, str]:
        """Source to destination of the live tables."""
        return {table["source"]: table["destination"] for table in self.truth()["tables"]}

    def tag(self) -> str | None:
        """The owner tag."""
        tags: dict[str, str] = self.truth()["tags"]
        return tags.get(constants.OWNER_TAG)

    def commands(self, after: int = 0) -> list[Command]:
        """The ``state_change`` calls for this mirror, in order."""
        return commands(self.world.sim, self.peerdb, after)

    def states(self, after: int = 0) -> list[str | None]:
        """The states that its row went through."""
        events = self.world.sim.log(after)
        return [
            None if event["new"] is None else str(event["new"])
            for event in events
            if event["kind"] == "state" and event["mirror"] == self.peerdb
        ]

    def __str__(self) -> str:
        found = self.find()
        shown = "no object" if found is None else json.dumps({"status": found.get("status"), "spec": found["spec"]})
        asked = "\n".join(f"  {each.n} {each.state} {each.update or ''} -> {each.status}" for each in self.commands())
        log = [line for line in self.world.operator.lines() if self.name in line][-15:] if self.world.operators else []
        return "\n".join([shown[:4000], f"PeerDB: {self.state()}; asked:", asked, "log:", *log])


def commands(sim: SimulatorProcess, mirror: str, after: int = 0) -> list[Command]:
    """The ``state_change`` calls for a mirror that PeerDB has got, in order."""
    return all_commands(sim, after).get(mirror, [])


def all_commands(sim: SimulatorProcess, after: int = 0) -> dict[str, list[Command]]:
    """The same for every mirror that has got any."""
    events = sim.log(after)
    replies = {event["request"]: event["status"] for event in events if event["kind"] == "reply"}
    found: dict[str, list[Command]] = {}
    for event in events:
        if event["kind"] != "request" or not str(event["path"]).endswith("mirrors/state_change"):
            continue
        body: Object = json.loads(str(event["body"]))
        update = (body.get("flowConfigUpdate") or {}).get("cdcFlowConfigUpdate")
        state = str(body["requestedFlowState"]).removeprefix("STATUS_")
        number = int(str(event["n"]))
        command = Command(number, state, update, body, int(str(replies.get(event["n"], 0))))
        found.setdefault(body["flowJobName"], []).append(command)
    return found


def base(sim: SimulatorProcess) -> str:
    """The simulator as PEERDB_URL."""
    return sim.gateway_url

"""A small world for one file of tests: the real API server, a simulated PeerDB, the real operator between them.

Owns what lives in a namespace: mirrors, Mirrors, operators. One Mirror is in ``subject``, how tests see in ``seeing``.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from peerdb_operator.api import constants
from tests.e2e.seeing import PATIENCE, Command, Kube, Object, all_commands, eventually
from tests.e2e.subject import Subject
from tests.harness.controlplane.audit import AuditEvent
from tests.harness.controlplane.launch import ControlPlane
from tests.harness.identity import RELEASE_NAMESPACE, Identities, Identity
from tests.harness.operator_process import Launch, RunningOperator
from tests.harness.peerdb.process import SimulatorProcess

__all__ = ["QUICK", "Command", "Object", "Subject", "World", "a_table", "all_commands", "base", "eventually"]

USER_AGENT = "peerdb-operator/"
QUICK: Mapping[str, float] = {
    "t_stop": 0.2,
    "t_add": 0.3,
    "t_add_without_copy": 0.2,
    "t_remove": 0.2,
    "t_drop": 0.2,
    "t_validate": 0.05,
}
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

_NUMBERS = itertools.count(1)


def a_table(source: str, destination: str | None = None, **more: object) -> Object:
    """A table of a spec; by default its destination is one that no other table has ever filled."""
    return {"source": source, "destination": destination or f"{source.partition('.')[2]}_{next(_NUMBERS)}", **more}


@dataclass(slots=True)
class World:
    """One namespace, one PeerDB, and the operators that were started in it."""

    cluster: ControlPlane
    sim: SimulatorProcess
    namespace: str
    identities: Identities
    kube: Kube = field(init=False)
    operators: list[RunningOperator] = field(default_factory=list)
    flags: dict[str, object] = field(default_factory=dict)
    births: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.kube = Kube(self.cluster)

    @property
    def operator(self) -> RunningOperator:
        """The newest operator."""
        return self.operators[-1]

    def start_operator(
        self,
        *,
        peerdb_url: str = "",
        environ: Mapping[str, str] | None = None,
        wait: bool = True,
        identity: Identity | None = None,
        **flags: object,
    ) -> RunningOperator:
        """Start one that watches this namespace alone; ``flags`` go on top of ``BRISK`` and of ``self.flags``.

        It works as the chart's ServiceAccount for these settings, unless ``identity`` is another. A flag that
        is None is not given: ``namespaces=None`` watches all.
        """
        chosen = {"namespaces": self.namespace, **BRISK, **self.flags, **flags}
        who = identity or self.identities.identity(
            [each for each in str(chosen["namespaces"] or "").split(",") if each], str(chosen.get("cluster_id") or "")
        )
        launch = Launch(
            kubeconfig=who.kubeconfig,
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
        self.births.setdefault(chosen, self.sim.last_event())
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

    @property
    def pod(self) -> dict[str, str]:
        """The variables by which the chart tells an operator of this world which pod it is in."""
        return {
            "POD_NAME": f"operator-of-{self.namespace}",
            "POD_NAMESPACE": RELEASE_NAMESPACE,
            "POD_UID": f"uid-of-{self.namespace}",
        }

    def pod_events(self) -> list[tuple[str, str]]:
        """Type and reason of the Events about that pod, oldest first."""
        listed = self.kube.get(f"/apis/events.k8s.io/v1/namespaces/{RELEASE_NAMESPACE}/events") or {}
        mine = [each for each in listed["items"] if each["regarding"].get("uid") == self.pod["POD_UID"]]
        return [(each["type"], each["reason"]) for each in sorted(mine, key=lambda each: str(each["eventTime"]))]

    def close(self) -> None:
        """End the operators and let go of what they held."""
        self.kube.close()
        for operator in self.operators:
            operator.close()
        self.kubectl("delete", constants.PLURAL, "--all", "--wait=false", check=False)
        left = self.kubectl("get", constants.PLURAL, "--output=name", check=False).split()
        if left:
            self.kubectl("patch", *left, "--type=merge", '--patch={"metadata":{"finalizers":null}}', check=False)


def base(sim: SimulatorProcess) -> str:
    """The simulator as PEERDB_URL."""
    return sim.gateway_url

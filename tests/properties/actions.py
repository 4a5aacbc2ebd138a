"""Everything that can happen to the world in one moment, as values: users, people at PeerDB, failures, operators.

Owns what each of them does to a ``Stage``. Each is harmless where it does not apply, so that any sequence is a program.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from peerdb_operator.api.constants import ANNOTATION_RECONCILE, ANNOTATION_REQUESTED_AT, OWNER_TAG
from peerdb_operator.peerdb import transport as wire
from tests.harness.fakecluster import Body
from tests.harness.peerdb.values import Status
from tests.properties.stage import MIRRORS, OBJECTS, Stage, Tables, mappings

STOPS_WITHIN = 30.0
OURS = "alpha/data/orders/uid"
"""The owner tag of the first Mirror, as a mirror bears it that is restored from a backup."""


class Action(Protocol):
    """Something that happens."""

    def apply(self, stage: Stage) -> None: ...


# -- users of Kubernetes -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wish:
    """Change fields of a spec; None takes a field away."""

    mirror: int
    spec: tuple[tuple[str, object], ...]

    def apply(self, stage: Stage) -> None:
        if stage.exists(self.mirror):
            stage.cluster.edit(OBJECTS[self.mirror], {"spec": dict(self.spec)})


@dataclass(frozen=True)
class WishTables:
    """Replace the list of tables; None takes it away."""

    mirror: int
    tables: Tables | None
    exclude: str | None = None

    def apply(self, stage: Stage) -> None:
        if not stage.exists(self.mirror):
            return
        listed = None if self.tables is None else mappings(self.tables)
        for one in listed or ():
            if self.exclude is not None and one["source"] == f"public.{self.exclude}":
                one["exclude"] = ["secret"]
        stage.cluster.edit(OBJECTS[self.mirror], {"spec": {"tables": listed}})


@dataclass(frozen=True)
class Annotate:
    """Freeze, thaw, or ask for a look."""

    mirror: int
    what: str

    def apply(self, stage: Stage) -> None:
        values: dict[str, Body] = {
            "freeze": {ANNOTATION_RECONCILE: "disabled"},
            "thaw": {ANNOTATION_RECONCILE: None},
            "poke": {ANNOTATION_REQUESTED_AT: str(stage.simulation.now)},
        }
        if stage.exists(self.mirror):
            stage.cluster.edit(OBJECTS[self.mirror], {"metadata": {"annotations": values[self.what]}})


@dataclass(frozen=True)
class Delete:
    """Delete a Mirror."""

    mirror: int

    def apply(self, stage: Stage) -> None:
        if stage.exists(self.mirror):
            stage.cluster.delete(OBJECTS[self.mirror])


@dataclass(frozen=True)
class Create:
    """Create a Mirror."""

    mirror: int
    tables: Tables

    def apply(self, stage: Stage) -> None:
        stage.create(self.mirror, self.tables)


@dataclass(frozen=True)
class DeleteAround:
    """Delete the namespace or the CRD."""

    what: str

    def apply(self, stage: Stage) -> None:
        cluster, now = stage.cluster, stage.simulation.now
        stage.judge.hands.not_found_since.setdefault(f"{cluster.uid}/data", now)
        if self.what == "namespace" and "data" in cluster.namespaces:
            cluster.delete_namespace()
        elif self.what == "crd" and cluster.crd is False:
            cluster.delete_crd()


@dataclass(frozen=True)
class TouchStatus:
    """Somebody edits the status by hand."""

    mirror: int
    how: str

    def apply(self, stage: Stage) -> None:
        if not stage.exists(self.mirror):
            return
        ready = {"type": "Ready", "status": "True", "reason": "Running", "message": "by hand", "observedGeneration": 1}
        ready["lastTransitionTime"] = "2023-01-01T00:00:00Z"
        patches: dict[str, Any] = {
            "wipe": None,
            "no operation": {"operation": None},
            "no bounds": {"bounds": None},
            "no tables": {"tables": None},
            "odd operation": {
                "operation": {"id": "x", "step": "Dance", "sentAt": "2023-01-01T00:00:00Z", "createdAt": "never"}
            },
            "drop operation": {
                "operation": {"id": "x", "step": "Drop", "sentAt": "2023-01-01T00:00:00Z", "createdAt": "never"}
            },
            "ready": {"conditions": [ready], "observedGeneration": 99},
        }
        stage.cluster.edit_status(OBJECTS[self.mirror], patches[self.how])


# -- people at PeerDB --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ask:
    """Somebody asks PeerDB for a state: RUNNING, PAUSED, TERMINATING, RESYNC."""

    mirror: int
    state: str

    def apply(self, stage: Stage) -> None:
        body = {"flowJobName": MIRRORS[self.mirror], "requestedFlowState": f"STATUS_{self.state}"}
        stage.ask("mirrors/state_change", body)


@dataclass(frozen=True)
class Overtake:
    """Somebody resumes a mirror right before the next edit of an operator reaches it."""

    mirror: int

    def apply(self, stage: Stage) -> None:

        def overtake(request: wire.Request) -> bool:
            body = request.body or {}
            mine = request.path == "mirrors/state_change" and body.get("flowJobName") == MIRRORS[self.mirror]
            edits = mine and bool((body.get("flowConfigUpdate") or {}).get("cdcFlowConfigUpdate"))
            if edits:
                Ask(self.mirror, "RUNNING").apply(stage)
            return edits

        stage.simulation.network.overtaking.append(overtake)


@dataclass(frozen=True)
class AskEdit:
    """Somebody edits a mirror in PeerDB; on a RUNNING one the update waits unseen. ``remove`` names destinations."""

    mirror: int
    add: Tables = ()
    remove: str = ""
    batch: int = 0

    def apply(self, stage: Stage) -> None:
        """Send it with RUNNING, as PeerDB's own page does."""
        named = stage.engine.mirror(MIRRORS[self.mirror])
        live = () if named is None or named.workflow is None else named.workflow.live.tables
        gone = [json_of(table.as_dict()) for table in live if self.remove in {table.destination, "everything"}]
        added = [
            {"sourceTableIdentifier": f"public.{source}", "destinationTableIdentifier": destination}
            for source, destination in self.add
        ]
        update = {"additionalTables": added, "removedTables": gone, "batchSize": self.batch}
        body = {
            "flowJobName": MIRRORS[self.mirror],
            "requestedFlowState": "STATUS_RUNNING",
            "flowConfigUpdate": {"cdcFlowConfigUpdate": update},
        }
        stage.ask("mirrors/state_change", body)


@dataclass(frozen=True)
class Tag:
    """Somebody changes the owner tag: "" removes it."""

    mirror: int
    value: str

    def apply(self, stage: Stage) -> None:
        row = stage.engine.world.row(MIRRORS[self.mirror])
        if row is None:
            return
        row.tags.pop(OWNER_TAG, None)
        if self.value:
            row.tags[OWNER_TAG] = self.value
        stage.engine.log.hand_moved(stage.simulation.now, f"tag of {row.name}")


@dataclass(frozen=True)
class Recreate:
    """A mirror vanishes from PeerDB and, with ``tables``, comes back as another one."""

    mirror: int
    tables: Tables | None

    def apply(self, stage: Stage) -> None:
        stage.engine.remove_mirror(MIRRORS[self.mirror])
        if self.tables is not None:
            stage.create_mirror(self.mirror, self.tables)


@dataclass(frozen=True)
class Found:
    """Somebody creates a mirror where there is none."""

    mirror: int
    tables: Tables

    def apply(self, stage: Stage) -> None:
        stage.create_mirror(self.mirror, self.tables)


@dataclass(frozen=True)
class Orphan:
    """A mirror's workflow is terminated in Temporal."""

    mirror: int

    def apply(self, stage: Stage) -> None:
        stage.engine.orphan(MIRRORS[self.mirror])


@dataclass(frozen=True)
class EditMeanwhile:
    """A list of tables while prechecks, or writes to Kubernetes, are slow, and what somebody does a while later.

    What the operator saw of the mirror before is not true any more.
    """

    mirror: int
    tables: Tables
    slow: str
    after: float
    then: Action

    def apply(self, stage: Stage) -> None:
        """Wish for the tables, and let time pass until it happens."""
        FAULTS[self.slow](stage)
        WishTables(self.mirror, self.tables).apply(stage)
        stage.simulation.run(self.after)
        self.then.apply(stage)
        stage.simulation.run(1.0)
        HEALS[self.slow](stage)


@dataclass(frozen=True)
class WhileStopped:
    """A list of tables, and what breaks when the mirror is PAUSED for them; with ``restart`` the operator dies then."""

    mirror: int
    tables: Tables
    fault: str
    seconds: float
    restart: bool = False

    def apply(self, stage: Stage) -> None:
        """Wish for the tables, and let time pass until all is over."""
        simulation, name = stage.simulation, MIRRORS[self.mirror]
        WishTables(self.mirror, self.tables).apply(stage)
        simulation.run_while(lambda: stage.engine.state(name) is not Status.PAUSED, STOPS_WITHIN, step=0.05)
        Fault(self.fault, self.seconds).apply(stage)
        simulation.run(self.seconds / 3)
        if self.restart:
            Crash().apply(stage)
        simulation.run(self.seconds * 2 / 3)


# -- failures ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """Something breaks; with ``seconds`` it heals by itself, else at the end of the program."""

    what: str
    seconds: float = 0.0

    def apply(self, stage: Stage) -> None:
        FAULTS[self.what](stage)
        if self.seconds:
            stage.simulation.loop.call_later(self.seconds, HEALS[self.what], stage)


@dataclass(frozen=True)
class Fails:
    """PeerDB logs an error of a mirror."""

    mirror: int

    def apply(self, stage: Stage) -> None:
        stage.engine.world.say(MIRRORS[self.mirror], "failed to push records: no space left", "error")


@dataclass(frozen=True)
class OddWord:
    """PeerDB shows a mirror at rest in a state that no operator knows."""

    mirror: int
    seconds: float

    def apply(self, stage: Stage) -> None:
        """Show it, and the state from before after a while."""
        name, mirror = MIRRORS[self.mirror], stage.engine.mirror(MIRRORS[self.mirror])
        if mirror is None or mirror.row is None or mirror.row.status not in {Status.RUNNING, Status.PAUSED}:
            return
        stage.odd[name] = mirror.row.status
        stage.engine.world.set_status(mirror, Status.UNKNOWN)
        stage.simulation.loop.call_later(self.seconds, stage.say_plainly, name, stage.odd[name])


@dataclass(frozen=True)
class Filled:
    """Rows lie in a destination table; a source table is missing."""

    destinations: tuple[str, ...]
    missing: tuple[str, ...] = ()

    def apply(self, stage: Stage) -> None:
        databases = stage.engine.world.databases
        databases.filled |= set(self.destinations)
        databases.no_sources = {f"public.{name}" for name in self.missing}


def _knob(**knobs: object) -> Any:  # noqa: ANN401 - a callable on a stage; its result does not matter
    return lambda stage: stage.engine.turn(**knobs)


def _away(stage: Stage, *, away: bool) -> None:
    stage.simulation.network.away = away


def _kube(stage: Stage, **faults: Any) -> None:  # noqa: ANN401 - fields of several types
    for name, value in faults.items():
        setattr(stage.operator.kube, name, value)


def _gap(stage: Stage, *, begins: bool) -> None:
    run = stage.operator.run
    if run is not None and run.watch is not None:
        if begins:
            run.watch.lose()
        else:
            run.watch.reconnect()


FAULTS: dict[str, Any] = {
    "away": lambda stage: _away(stage, away=True),
    "bad gateway": _knob(bad_gateway=True),
    "reset before": _knob(reset_before=1, fault_path="mirrors/state_change"),
    "reset after": _knob(reset_after=1, fault_path="mirrors/state_change"),
    "reset any": _knob(reset_after=2, fault_path=""),
    "maintenance": _knob(maintenance=True),
    "lose signal": _knob(lose_next_signals=1),
    "lose signals": _knob(lose_next_signals=3),
    "workers": _knob(workers_down=True),
    "temporal": _knob(temporal_down=True),
    "queue updates": _knob(update_race="queue"),
    "lose updates": _knob(update_race="lose"),
    "normalise": _knob(normalise={"batchSize": 777}),
    "stuck addition": _knob(stuck_addition=True),
    "traffic": _knob(traffic=True),
    "failing normalize": _knob(traffic=True, failing_normalize=True),
    "failing addition": _knob(failing_addition=True),
    "stuck removal": _knob(stuck_removal=True),
    "stuck drop": _knob(stuck_drop=True),
    "peers": _knob(peers_unreachable="source"),
    "oversize": _knob(oversize=2, fault_path="mirrors/state_change"),
    "slow checks": _knob(t_validate=60.0),
    "slow": _knob(latency=2.0),
    "very slow": _knob(latency=12.0),
    "some refused": _knob(unavailable=0.3),
    "half refused": _knob(unavailable=0.5),
    "most refused": _knob(unavailable=0.7),
    "kube away": lambda stage: _kube(stage, away=True),
    "kube loses": lambda stage: _kube(stage, lose_replies=1),
    "kube slow": lambda stage: _kube(stage, latency=(0.2, 1.5)),
    "kube very slow": lambda stage: _kube(stage, latency=(4.0, 9.0)),
    "watch late": lambda stage: _kube(stage, watch_latency=(1.0, 8.0)),
    "watch gap": lambda stage: _gap(stage, begins=True),
    "no events": lambda stage: _kube(stage, refuse_events=True),
}

HEALS: dict[str, Any] = {
    "away": lambda stage: _away(stage, away=False),
    "bad gateway": _knob(bad_gateway=False),
    "maintenance": _knob(maintenance=False),
    "workers": _knob(workers_down=False),
    "failing normalize": _knob(failing_normalize=False),
    "temporal": _knob(temporal_down=False),
    "normalise": _knob(normalise={}),
    "stuck addition": _knob(stuck_addition=False),
    "failing addition": _knob(failing_addition=False),
    "stuck removal": _knob(stuck_removal=False),
    "stuck drop": _knob(stuck_drop=False),
    "peers": _knob(peers_unreachable="none"),
    "slow checks": _knob(t_validate=None),
    "slow": _knob(latency=0.0),
    "very slow": _knob(latency=0.0),
    "some refused": _knob(unavailable=0.0),
    "half refused": _knob(unavailable=0.0),
    "most refused": _knob(unavailable=0.0),
    "kube away": lambda stage: _kube(stage, away=False),
    "kube slow": lambda stage: _kube(stage, latency=(0.001, 0.008)),
    "kube very slow": lambda stage: _kube(stage, latency=(0.001, 0.008)),
    "watch late": lambda stage: _kube(stage, watch_latency=(0.001, 0.02)),
    "watch gap": lambda stage: _gap(stage, begins=False),
    "no events": lambda stage: _kube(stage, refuse_events=False),
}


# -- operators ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Crash:
    """The operator dies (now, or after so many of its steps) and is started again; its memory is lost."""

    steps: int = 0
    down: float = 2.0

    def apply(self, stage: Stage) -> None:
        run = stage.operator.run
        if run is None or not run.alive:
            return
        if self.steps:
            run.process.kill_after(self.steps)
        else:
            stage.operator.kill()
            stage.start_later(self.down)


@dataclass(frozen=True)
class Overlap:
    """A second process of the same operator starts while the old one goes on, stalled for a while or not."""

    stalled: float = 0.0

    def apply(self, stage: Stage) -> None:
        """Start it; the old one ends with the program or with the next overlap."""
        for former in stage.old:
            former.process.kill()
        stage.old.clear()
        run = stage.operator.run
        if run is not None and run.alive:
            run.process.stall(stage.simulation.now + self.stalled)
            stage.old.append(run)
        stage.operator.start()


@dataclass(frozen=True)
class Stall:
    """The operator's machine is suspended for a while."""

    seconds: float

    def apply(self, stage: Stage) -> None:
        if stage.operator.run is not None:
            stage.operator.run.process.stall(stage.simulation.now + self.seconds)


@dataclass(frozen=True)
class Rival:
    """An operator of another cluster has a Mirror for the same PeerDB mirror."""

    mirror: int
    tables: Tables

    def apply(self, stage: Stage) -> None:
        """Start it if it does not run yet."""
        if stage.rival is None:
            beta = stage.simulation.another_cluster()
            stage.rival = stage.simulation.operator(cluster=beta, name="rival")
        stage.create(self.mirror, self.tables, cluster=stage.rival.cluster)


def json_of(raw: dict[str, object]) -> dict[str, object]:
    """A mapping as a request carries it."""
    return {name: value for name, value in raw.items() if value}

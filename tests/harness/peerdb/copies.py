"""The first copy of a mirror and the copies of a resync: SETUP, SNAPSHOT, and the swap at the end.

Follows PeerDB v0.37 flow/workflows/cdc_flow.go startSetupAndSnapshot and flow/workflows/snapshot_flow.go.
"""

from __future__ import annotations

import uuid

from tests.harness.peerdb.catalog import well_formed
from tests.harness.peerdb.config import NULL_ENGINE, RESYNC_SUFFIX, Config, Table
from tests.harness.peerdb.mirror import Mirror, Phase, Workflow
from tests.harness.peerdb.spans import Span
from tests.harness.peerdb.values import Status
from tests.harness.peerdb.workflow import Machine


class Copies:
    """Takes a workflow from SETUP to RUNNING, COMPLETED or FAILED."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.world = machine.world

    def start(self, mirror: Mirror, workflow: Workflow) -> None:
        """Enter SETUP."""
        workflow.phase = Phase.SETUP
        self.world.set_status(mirror, Status.SETUP)
        if len({table.source for table in workflow.live.tables}) == len(workflow.live.tables):
            self.machine.then(mirror, workflow, Span.SETUP, self.snapshot)

    def snapshot(self, mirror: Mirror, workflow: Workflow) -> None:
        """Enter SNAPSHOT; it is shown even where nothing is copied."""
        workflow.phase = Phase.SNAPSHOT
        self.world.set_status(mirror, Status.SNAPSHOT)
        self.machine.then(mirror, workflow, Span.SNAPSHOT, self._copied)
        if workflow.live.do_initial_snapshot and workflow.timer is not None:
            self.record(mirror, workflow.live.tables, end=workflow.timer.due)

    def record(self, mirror: Mirror, tables: tuple[Table, ...], *, end: float | None) -> str:
        """Start the copy statistics of these tables; returns the run's id."""
        world = self.world
        run = str(uuid.UUID(int=world.rng.getrandbits(128))).replace("-", "_")
        knobs = world.knobs
        world.stats.copying(
            mirror.name, tables, start=world.now, end=end, run=run, partitions=knobs.partitions, rows=knobs.rows,
        )  # fmt: skip
        return run

    def fill(self, tables: tuple[Table, ...]) -> None:
        """The destinations hold rows from now on."""
        self.world.databases.filled.update(table.destination for table in tables)

    def _copied(self, mirror: Mirror, workflow: Workflow) -> None:
        world, row = self.world, mirror.row
        self.fill(workflow.live.tables)
        for clone in world.stats.of(mirror.name):
            if clone.table in workflow.live.tables:
                message = f"replicated {clone.partitions} partitions to destination for table {clone.table.destination}"
                world.say(clone.name(mirror.name), message)
        slot_in_the_way = workflow.resyncing and bool(workflow.live.slot)
        fails = slot_in_the_way if workflow.doomed is None else workflow.doomed
        if fails:
            world.say(mirror.name, "slot error (type: irrecoverable_existing_slot): slot already exists", "error")
            self.fail(mirror, workflow)
        elif workflow.resyncing:
            workflow.phase = Phase.SWAPPING
            world.set_status(mirror, Status.RESYNC)
            workflow.live.tables = original_names(workflow.live.tables)
            self.machine.then(mirror, workflow, Span.SWAP, self.finished)
        elif row is not None:
            self.finished(mirror, workflow)

    def fail(self, mirror: Mirror, workflow: Workflow) -> None:
        """The workflow closes with an error: FAILED for good."""
        self.machine.boundary(mirror, workflow)
        workflow.phase = Phase.CLOSED
        self.world.set_status(mirror, Status.FAILED)

    def finished(self, mirror: Mirror, workflow: Workflow) -> None:
        """The copy is complete: RUNNING, or COMPLETED for a mirror that only copies."""
        row = mirror.row
        if row is None:
            return
        workflow.resyncing = False
        self.fill(workflow.live.tables)
        row.config = workflow.live.copy()
        if workflow.live.initial_snapshot_only:
            self.machine.boundary(mirror, workflow)
            workflow.phase = Phase.CLOSED
            self.world.set_status(mirror, Status.COMPLETED)
        else:
            self.machine.run(mirror, workflow)


def resync_names(config: Config, destination_type: str) -> tuple[Table, ...]:
    """The mappings while a resync copies: every destination suffixed, ClickHouse tables of engine Null not."""
    return tuple(
        table
        if table.engine == NULL_ENGINE and destination_type == "CLICKHOUSE"
        else table.renamed(table.destination + RESYNC_SUFFIX)
        for table in original_names(config.tables)
    )


def original_names(tables: tuple[Table, ...]) -> tuple[Table, ...]:
    """The mappings without a resync's suffix."""
    return tuple(
        table.renamed(table.destination.removesuffix(RESYNC_SUFFIX))
        if table.destination.endswith(RESYNC_SUFFIX)
        else table
        for table in tables
    )


def malformed(tables: tuple[Table, ...]) -> str | None:
    """The first source identifier that is not ``schema.table``, or None."""
    return next((table.source for table in tables if not well_formed(table.source)), None)

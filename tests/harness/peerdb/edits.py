"""Applying a config update to a paused mirror, in PeerDB's order.

Settings first, then additions (SNAPSHOT), then removals (MODIFYING), then the catalog copy, and RUNNING always, also
after a list that was skipped. Follows PeerDB v0.37 flow/workflows/cdc_flow.go processCDCFlowConfigUpdate,
processTableAdditions, processTableRemovals.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from tests.harness.peerdb.config import ALLOW_NON_EMPTY, Table
from tests.harness.peerdb.copies import Copies, malformed
from tests.harness.peerdb.mirror import Mirror, Phase, Update, Workflow
from tests.harness.peerdb.obstacles import addition_obstacle
from tests.harness.peerdb.spans import Span
from tests.harness.peerdb.values import Status
from tests.harness.peerdb.workflow import Machine


class Edits:
    """Takes a workflow from PAUSED through an update back to RUNNING."""

    def __init__(self, machine: Machine, copies: Copies) -> None:
        self.machine = machine
        self.copies = copies
        self.world = machine.world

    def begin(self, mirror: Mirror, workflow: Workflow, update: Update) -> None:
        """The workflow has read the update while paused: settings are live at once."""
        world = self.world
        world.signal(mirror.name, "applied", update)
        live = workflow.live
        live.batch_size = update.batch_size or live.batch_size
        live.idle_timeout = update.idle_timeout or live.idle_timeout
        live.env.update(update.env)
        live.snapshot.update(update.snapshot)
        if self._overlaps(live.tables, update, live.env):
            world.signal(mirror.name, "skipped", replace(update, removed=()))
            update = replace(update, added=())
        update = replace(update, added=tuple(self._normalised(table) for table in update.added))
        self._normalise_settings(workflow)
        workflow.applying = update
        if update.added or update.removed:
            workflow.phase = Phase.PREPARING
            self.machine.then(mirror, workflow, Span.PREPARE, self._change_tables)
        else:
            workflow.phase = Phase.RESUMING
            self.machine.then(mirror, workflow, Span.RESUME, self._write)

    def _overlaps(self, live: tuple[Table, ...], update: Update, env: dict[str, str]) -> bool:
        allowed = env.get(ALLOW_NON_EMPTY, self.world.settings.get(ALLOW_NON_EMPTY, "")) == "true"
        sources = {table.source for table in live}
        destinations = set() if allowed else {table.destination for table in live}
        return any(table.source in sources or table.destination in destinations for table in update.added)

    def _normalised(self, table: Table) -> Table:
        fields = {
            "destinationTableIdentifier": "destination", "partitionKey": "partition_key", "exclude": "exclude",
            "engine": "engine", "shardingKey": "sharding_key", "policyName": "policy_name",
            "partitionByExpr": "partition_by_expr",
        }  # fmt: skip
        for name, value in self.world.knobs.normalise.items():
            if name in fields:
                fixed = tuple(cast("list[str]", value)) if name == "exclude" else value
                table = replace(table, **{fields[name]: fixed})  # type: ignore[arg-type]  # the knob's value is the test's affair
        return table

    def _normalise_settings(self, workflow: Workflow) -> None:
        for name, value in self.world.knobs.normalise.items():
            if name == "batchSize":
                workflow.live.batch_size = cast("int", value)
            elif name == "idleTimeout":
                workflow.live.idle_timeout = cast("int", value)
            elif name in workflow.live.snapshot:
                workflow.live.snapshot[name] = cast("int", value)
            elif name.startswith("env.") and name[4:] in workflow.live.env:
                workflow.live.env[name[4:]] = str(value)

    # -- tables --------------------------------------------------------------------------------------------------

    def go_on(self, mirror: Mirror, workflow: Workflow) -> None:
        """Take up a table change that somebody put there half done."""
        if workflow.phase is Phase.ADDING:
            workflow.copying = _applying(workflow).added
            self._try_adding(mirror, workflow)
        else:
            self._try_removing(mirror, workflow)

    def _change_tables(self, mirror: Mirror, workflow: Workflow) -> None:
        update = _applying(workflow)
        if update.added:
            workflow.live.tables += update.added
            self.machine.then(mirror, workflow, Span.REACT, self._add)
        else:
            self._shrink(workflow, update)
            self.machine.then(mirror, workflow, Span.REACT, self._remove)

    def _shrink(self, workflow: Workflow, update: Update) -> None:
        gone = {table.source for table in update.removed}
        workflow.live.tables = tuple(table for table in workflow.live.tables if table.source not in gone)

    def _add(self, mirror: Mirror, workflow: Workflow) -> None:
        update = _applying(workflow)
        workflow.phase = Phase.ADDING
        workflow.copying = update.added
        self.world.set_status(mirror, Status.SNAPSHOT)
        if workflow.leave is not None:
            self.machine.flash(mirror, workflow, workflow.leave)
        else:
            self._try_adding(mirror, workflow)

    def _try_adding(self, mirror: Mirror, workflow: Workflow) -> None:
        world, update = self.world, _applying(workflow)
        trouble = addition_obstacle(world, mirror, workflow, update)
        if trouble is not None:
            world.say(trouble.flow, trouble.message, "error")
            self.machine.then(mirror, workflow, Span.RETRY, self._try_adding)
            return
        world.say(mirror.name, f"ensured {len(update.added)} tables exist in publication")
        span = Span.ADD_WITHOUT_COPY if update.skip_copy else Span.ADD
        self.machine.then(mirror, workflow, span, self._added)
        if not update.skip_copy and workflow.timer is not None:
            self.copies.record(mirror, update.added, end=workflow.timer.due)

    def _added(self, mirror: Mirror, workflow: Workflow) -> None:
        world, update = self.world, _applying(workflow)
        self.copies.fill(update.added)
        if workflow.emptied:
            workflow.phase = Phase.WEDGED
            return
        told_to = world.scoped(world.knobs.failing_addition, mirror.name)
        fails = told_to if workflow.doomed is None else workflow.doomed
        if fails:
            world.say(mirror.name, "failed to add tables to the mirror: snapshot workflow failed", "error")
            self.copies.fail(mirror, workflow)
            return
        world.say(mirror.name, "All destination tables have been setup")
        if update.removed:
            self._shrink(workflow, update)
            self._remove(mirror, workflow)
        else:
            self._write(mirror, workflow)

    def _remove(self, mirror: Mirror, workflow: Workflow) -> None:
        workflow.phase = Phase.REMOVING
        self.world.set_status(mirror, Status.MODIFYING)
        if workflow.leave is not None:
            self.machine.flash(mirror, workflow, workflow.leave)
        else:
            self._try_removing(mirror, workflow)

    def _try_removing(self, mirror: Mirror, workflow: Workflow) -> None:
        world, update = self.world, _applying(workflow)
        bad = malformed(update.removed)
        if bad is not None or world.scoped(world.knobs.stuck_removal, mirror.name):
            world.say(mirror.name, f"invalid table name: {bad}" if bad else "failed to alter publication", "error")
            self.machine.then(mirror, workflow, Span.RETRY, self._try_removing)
            return
        self.machine.then(mirror, workflow, Span.REMOVE, self._removed)

    def _removed(self, mirror: Mirror, workflow: Workflow) -> None:
        self.world.say(mirror.name, f"removed {len(_applying(workflow).removed)} tables from publication")
        workflow.emptied = not workflow.live.tables
        self._write(mirror, workflow)

    def _write(self, mirror: Mirror, workflow: Workflow) -> None:
        """The catalog copy is written; RUNNING follows."""
        workflow.phase = Phase.RESUMING
        workflow.applying = None
        workflow.copying = ()
        if mirror.row is not None:
            mirror.row.config = workflow.live.copy()
        self.machine.then(mirror, workflow, Span.WRITE, self.machine.run)


def _applying(workflow: Workflow) -> Update:
    if workflow.applying is None:
        msg = "a table change is under way without an update"
        raise AssertionError(msg)
    return workflow.applying

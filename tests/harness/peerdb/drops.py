"""Drops and resyncs: asynchronous on a live mirror, inside the request on one that is FAILED or COMPLETED.

Follows PeerDB v0.37 flow/workflows/drop_flow.go and flow/cmd/handler.go shutdownFlow. The row goes last; the workflow
closes a moment after it. Destination tables and the mirror's logs always stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.harness.peerdb.config import Config
from tests.harness.peerdb.copies import Copies, original_names, resync_names
from tests.harness.peerdb.mirror import Goal, Mirror, Phase, StateSignal, Workflow
from tests.harness.peerdb.spans import Span
from tests.harness.peerdb.values import Deferred, Reply, Status, error
from tests.harness.peerdb.workflow import Machine

FAILED_PATH_LIMIT = 360.0
"""Seconds after which the server gives up waiting for the drop of a FAILED mirror; the drop goes on."""


class Drops:
    """What a workflow does after it accepted TERMINATING or RESYNC."""

    def __init__(self, machine: Machine, copies: Copies) -> None:
        self.machine = machine
        self.copies = copies
        self.world = machine.world

    def enter_leave(self, mirror: Mirror, workflow: Workflow, signal: StateSignal) -> None:
        """The sync has stopped (or nothing had to stop): the drop begins and the row shows it."""
        self.machine.boundary(mirror, workflow)
        if workflow.pending is not None:
            self.world.signal(mirror.name, "discarded", workflow.pending)
            workflow.pending = None
        workflow.applying = None
        self.world.signal(mirror.name, "applied", signal)
        if signal.requested == Status.TERMINATING:
            workflow.phase = Phase.DROPPING
            self.world.set_status(mirror, Status.TERMINATING)
            self.machine.then(mirror, workflow, Span.DROP, self._try_remove)
            return
        live, row = workflow.live, mirror.row
        live.tables = original_names(live.tables)
        live.snapshot.update(signal.overrides)
        if row is not None:
            row.config = live.copy()
        workflow.phase = Phase.RESYNC_DROP
        self.world.set_status(mirror, Status.RESYNC)
        self.machine.then(mirror, workflow, Span.RESYNC_DROP, self._dropped_for_resync)

    def _try_remove(self, mirror: Mirror, workflow: Workflow) -> None:
        if self._stuck(mirror):
            self.machine.then(mirror, workflow, Span.RETRY, self._try_remove)
            return
        leave = workflow.leave
        self.clean_up(mirror, keep_destination=leave is not None and leave.skip_destination)
        self.remove(mirror, drop_stats=leave is not None and leave.drop_stats)
        self.machine.then(mirror, workflow, Span.CLOSE, self._close)

    def _stuck(self, mirror: Mirror) -> bool:
        if not self.world.scoped(self.world.knobs.stuck_drop, mirror.name):
            return False
        message = "DropFlow Error: [DropFlowDestination] failed to get destination connector: connection refused"
        self.world.say(mirror.name, message, "error")
        return True

    def clean_up(self, mirror: Mirror, *, keep_destination: bool) -> None:
        """The lines that a clean-up of both peers leaves in the log."""
        if not keep_destination:
            text = "Cleaned up destination peer replication objects. Any metadata storage has been dropped."
            self.world.say(mirror.name, text)
        self.world.say(mirror.name, "Cleaned up source peer replication objects.")

    def remove(self, mirror: Mirror, *, drop_stats: bool) -> None:
        """Delete the row, and the statistics first if that was asked for."""
        if drop_stats:
            self.world.stats.clones.pop(mirror.name, None)
            self.world.batches.forget(mirror.name)
        self.world.delete_row(mirror)

    def _close(self, mirror: Mirror, workflow: Workflow) -> None:
        workflow.phase = Phase.CLOSED
        if mirror.workflow is workflow:
            self.world.forget(mirror)

    def _dropped_for_resync(self, mirror: Mirror, workflow: Workflow) -> None:
        if workflow.leave is not None and workflow.leave.requested == Status.TERMINATING:
            # The statistics are past deleting here: the drop phase of a resync has no such step.
            workflow.leave = StateSignal(Status.TERMINATING)
            self._try_remove(mirror, workflow)
            return
        workflow.leave = None
        self.begin_resync(mirror, workflow)

    def begin_resync(self, mirror: Mirror, workflow: Workflow) -> None:
        """Copy everything again into suffixed tables."""
        row = mirror.row
        if row is None:
            return
        for config in (workflow.live, row.config):
            config.resync = config.do_initial_snapshot = True
        workflow.goal = Goal.NONE
        workflow.resyncing = True
        workflow.live.tables = resync_names(workflow.live, row.destination_type)
        self.copies.start(mirror, workflow)


@dataclass(slots=True, eq=False)
class SyncDrop:
    """A drop of a FAILED or COMPLETED mirror inside the request; with ``config`` also its re-creation.

    An abort cuts it between its halves: the drop goes on, the mirror is not made again, its tags stay away.
    """

    drops: Drops
    mirror: Mirror
    deferred: Deferred
    signal: StateSignal
    success: Callable[[], Reply]
    recreate: bool
    _from_failed: bool = False
    _tags: dict[str, str] = field(default_factory=dict)

    def begin(self) -> None:
        """TERMINATING at once; what is left of a workflow is cancelled."""
        row, workflow = self.mirror.row, self.mirror.workflow
        if row is None:
            self.deferred.resolve(error(5, f"flow {self.mirror.name} not found"))
            return
        self._from_failed = row.status is Status.FAILED
        self._tags = dict(row.tags)
        row.drop_from_closed = True
        world = self.drops.world
        if workflow is not None:
            world.cancel(workflow.timer)
            workflow.phase = Phase.CLOSED
        world.set_status(self.mirror, Status.TERMINATING)
        world.after(Span.SYNC_DROP, self._dropped, mirror=self.mirror.name)
        if self._from_failed:
            world.after(FAILED_PATH_LIMIT, self._limit, mirror=self.mirror.name, work=False)

    def _limit(self) -> None:
        if self.deferred.reply is not None or self.mirror.row is None:
            return
        self.recreate = False
        if self.drops.world.choose(self.mirror.name, "sync limit", ("error", "ok")) == "ok":
            self.deferred.resolve(self.success())
        else:
            self.deferred.resolve(
                error(13, "DropFlow workflow did not execute successfully: context deadline exceeded")
            )

    def _dropped(self) -> None:
        world, drops, row = self.drops.world, self.drops, self.mirror.row
        if row is None:
            return
        if world.scoped(world.knobs.stuck_drop, self.mirror.name):
            world.after(Span.RETRY, self._dropped, mirror=self.mirror.name)
            return
        if self._from_failed:
            drops.clean_up(self.mirror, keep_destination=self.signal.skip_destination)
        config = row.config
        drops.remove(self.mirror, drop_stats=self.signal.drop_stats)
        world.forget(self.mirror)
        if not self.recreate:
            self.deferred.resolve(self.success())
        else:
            world.after(Span.RECREATE, lambda: self._insert(row.source_type, row.destination_type, config),
                        mirror=self.mirror.name, work=False)  # fmt: skip

    def _insert(self, source_type: str, destination_type: str, config: Config) -> None:
        world, name = self.drops.world, self.mirror.name
        if self.deferred.aborted:
            return
        if world.row(name) is not None:
            self.deferred.resolve(error(6, f"flow already exists: {name}"))
            return
        config.tables = original_names(config.tables)
        config.snapshot.update(self.signal.overrides)
        workflow = Workflow(config.copy(), Phase.SETUP)
        mirror = world.insert_row(name, Status.SETUP, config, workflow)
        if mirror.row is not None:
            mirror.row.source_type, mirror.row.destination_type = source_type, destination_type
        self.drops.begin_resync(mirror, workflow)
        world.after(Span.RETAG, lambda: self._retag(mirror), mirror=name, work=False)

    def _retag(self, mirror: Mirror) -> None:
        if self.deferred.aborted:
            return
        if mirror.row is not None:
            mirror.row.tags = dict(self._tags)
        self.deferred.resolve(self.success())

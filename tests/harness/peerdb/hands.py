"""What people do to the simulated PeerDB from outside: put mirrors there, take them away, turn knobs, fill databases.

The in-process side of ``/_sim``. Every change is noted in the log as a hand, so that a test never mistakes it for
PeerDB's own doing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tests.harness.peerdb.catalog import Databases
from tests.harness.peerdb.config import Config, Table
from tests.harness.peerdb.copies import Copies, resync_names
from tests.harness.peerdb.events import EventLog
from tests.harness.peerdb.knobs import Knobs
from tests.harness.peerdb.maintenance import MaintenanceRun
from tests.harness.peerdb.mirror import Goal, Mirror, Phase, StateSignal, Update, Workflow
from tests.harness.peerdb.spans import Span
from tests.harness.peerdb.values import Status
from tests.harness.peerdb.workflow import Machine
from tests.harness.peerdb.world import World

PHASES: Mapping[Status, Phase] = {
    Status.UNKNOWN: Phase.CDC,
    Status.RUNNING: Phase.CDC,
    Status.PAUSED: Phase.PAUSED,
    Status.PAUSING: Phase.STOPPING,
    Status.SETUP: Phase.SETUP,
    Status.SNAPSHOT: Phase.SNAPSHOT,
    Status.MODIFYING: Phase.REMOVING,
    Status.TERMINATING: Phase.DROPPING,
    Status.RESYNC: Phase.RESYNC_DROP,
    Status.TERMINATED: Phase.CLOSED,
    Status.COMPLETED: Phase.CLOSED,
    Status.FAILED: Phase.CLOSED,
}


class Hands:
    """The outside view of a world: reads and changes that no API of PeerDB offers."""

    def __init__(self, world: World, machine: Machine, copies: Copies) -> None:
        self.world = world
        self.machine = machine
        self.copies = copies
        self.maintenance = MaintenanceRun(machine)

    @property
    def log(self) -> EventLog:
        """Everything that happened, in order."""
        return self.world.log

    @property
    def knobs(self) -> Knobs:
        """The knobs as they stand."""
        return self.world.knobs

    def turn(self, **patch: object) -> None:
        """Turn knobs; raises pydantic.ValidationError for an unknown name or a bad value."""
        was = self.knobs
        self.world.set_knobs(was.patched(patch))
        if self.knobs.maintenance_run and not was.maintenance_run:
            self.maintenance.begin()
        elif was.maintenance_run and not self.knobs.maintenance_run:
            self.maintenance.end()
        self.log.hand_moved(self.world.now, f"knobs {patch}")
        self.poke()

    def mirror(self, name: str) -> Mirror | None:
        """The hidden truth about a mirror, or None."""
        return self.world.mirrors.get(name)

    def state(self, name: str) -> Status | None:
        """The state that the row of a mirror shows, or None without a row."""
        row = self.world.row(name)
        return None if row is None else row.status

    def put_databases(
        self, *, source_tables: Iterable[str] | None = None,
        publications: Mapping[str, Iterable[str]] | None = None, filled: Iterable[str] | None = None,
        missing_columns: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Replace what the databases hold; None leaves ``filled`` as it is and the other two unrestricted."""
        known = self.world.databases
        self.world.databases = Databases(
            source_tables=None if source_tables is None else set(source_tables),
            publications=None if publications is None else {name: set(held) for name, held in publications.items()},
            filled=known.filled if filled is None else set(filled),
            missing_columns=known.missing_columns if missing_columns is None else dict(missing_columns),
        )
        self.log.hand_moved(self.world.now, "databases")

    def put_mirror(
        self, name: str, *, state: Status = Status.RUNNING, tables: Sequence[Table] = (), config: Config | None = None,
        phase: Phase | None = None, is_cdc: bool = True, tags: Mapping[str, str] | None = None,
        created_at: float | None = None, source_type: str | None = None, destination_type: str | None = None,
        orphan: bool = False, history_expired: bool = False, update: Update | None = None, timers: bool = True,
    ) -> Mirror:  # fmt: skip
        """Create or replace a mirror in any state.

        ``phase`` picks what the workflow does where a state has several (SNAPSHOT: ``Phase.SNAPSHOT`` or
        ``Phase.ADDING``; RESYNC: ``RESYNC_DROP`` or ``SWAPPING``). ``update`` is the change under way in ADDING and
        REMOVING. Without ``timers`` a transient state lasts until a signal moves it.
        """
        config = (config or Config()).copy()
        if tables:
            config.tables = tuple(tables)
        self.remove_mirror(name)
        world = self.world
        kinds = (
            source_type or world.peers.get(config.source_name, "POSTGRES"),
            destination_type or world.peers.get(config.destination_name, "CLICKHOUSE"),
        )
        world.peers[config.source_name], world.peers[config.destination_name] = kinds
        workflow = Workflow(config.copy(), phase or PHASES[state], emptied=not config.tables)
        mirror = world.insert_row(name, state, config, workflow)
        if mirror.row is not None:
            mirror.row.is_cdc = is_cdc
            mirror.row.tags = dict(tags or {})
            mirror.row.created_at = world.now if created_at is None else created_at
            mirror.row.source_type, mirror.row.destination_type = kinds
        workflow.history_expired = history_expired
        self._half_done(mirror, workflow, update)
        if orphan or world.scoped(self.knobs.orphan, name):
            workflow.phase = Phase.CLOSED
        elif timers:
            self._set_going(mirror, workflow)
        self.log.hand_moved(world.now, f"put mirror {name} in {state.name}")
        self.poke()
        return mirror

    def _half_done(self, mirror: Mirror, workflow: Workflow, update: Update | None) -> None:
        """The table change that an ADDING or REMOVING mirror is in the middle of: the last table, if none is given."""
        row, tables = mirror.row, workflow.live.tables
        if workflow.phase is Phase.ADDING:
            workflow.applying = update or Update(added=tables[-1:])
            tables = tuple(table for table in tables if table not in workflow.applying.added)
            if row is not None:
                row.config.tables = tables
        elif workflow.phase is Phase.REMOVING:
            workflow.applying = update or Update(removed=(Table("public.gone", "gone"),))
        self.copies.fill(tables)
        if workflow.live.do_initial_snapshot and workflow.phase not in {Phase.SETUP, Phase.SNAPSHOT}:
            self.copies.record(mirror, tables, end=self.world.now)

    def _set_going(self, mirror: Mirror, workflow: Workflow) -> None:
        then, machine = self.machine.then, self.machine
        match workflow.phase:
            case Phase.STOPPING:
                workflow.goal = Goal.PAUSE
                then(mirror, workflow, Span.STOP, machine.stopped)
            case Phase.SETUP:
                self.copies.start(mirror, workflow)
            case Phase.SNAPSHOT:
                if workflow.live.resync and mirror.row is not None:
                    workflow.resyncing = True
                    workflow.live.tables = resync_names(workflow.live, mirror.row.destination_type)
                self.copies.snapshot(mirror, workflow)
            case Phase.ADDING | Phase.REMOVING:
                machine.continue_update(mirror, workflow)
            case Phase.DROPPING | Phase.RESYNC_DROP:
                wanted = Status.TERMINATING if workflow.phase is Phase.DROPPING else Status.RESYNC
                workflow.leave = StateSignal(wanted)
                machine.enter_leave(mirror, workflow, workflow.leave)
            case Phase.SWAPPING:
                workflow.resyncing = True
                then(mirror, workflow, Span.SWAP, self.copies.finished)
            case _:
                pass

    def create_mirror(self, name: str, config: Config, *, source_type: str, destination_type: str) -> Mirror:
        """A new mirror as ``flows/cdc/create`` makes it: SETUP, SNAPSHOT, RUNNING (or COMPLETED).

        An existing row (FAILED, COMPLETED, an orphan) is started anew with this configuration.
        """
        workflow = Workflow(config.copy(), Phase.SETUP, emptied=not config.tables)
        mirror = self.world.mirrors.get(name)
        if mirror is None or mirror.row is None:
            mirror = self.world.insert_row(name, Status.SETUP, config, workflow)
        mirror.workflow = workflow
        if mirror.row is not None:
            mirror.row.source_type, mirror.row.destination_type = source_type, destination_type
        self.log.hand_moved(self.world.now, f"created mirror {name}")
        self.copies.start(mirror, workflow)
        return mirror

    def replace_workflow(self, name: str, config: Config) -> None:
        """A fresh workflow that starts in RUNNING with this configuration; what the old one was doing is over."""
        mirror = self.world.mirrors.get(name)
        if mirror is None or mirror.row is None:
            return
        if mirror.workflow is not None:
            self.world.cancel(mirror.workflow.timer)
            mirror.workflow.phase = Phase.CLOSED
        mirror.workflow = Workflow(config.copy(), Phase.CDC)
        mirror.row.config = config
        self.world.set_status(mirror, Status.RUNNING)
        self.log.hand_moved(self.world.now, f"replaced the workflow of {name}")

    def orphan(self, name: str) -> None:
        """The workflow of a mirror is cancelled or terminated in Temporal; the row stays as it is."""
        mirror = self.world.mirrors.get(name)
        if mirror is not None and mirror.workflow is not None:
            self.world.batches.catch_up(name)
            self.world.cancel(mirror.workflow.timer)
            mirror.workflow.phase = Phase.CLOSED
            self.log.hand_moved(self.world.now, f"orphaned {name}")

    def remove_mirror(self, name: str) -> bool:
        """Make a mirror vanish with its workflow; statistics and logs stay. False when there was none."""
        self.world.batches.catch_up(name)
        mirror = self.world.mirrors.pop(name, None)
        if mirror is None:
            return False
        if mirror.workflow is not None:
            self.world.cancel(mirror.workflow.timer)
            mirror.workflow.phase = Phase.CLOSED
        self.world.delete_row(mirror)
        self.log.hand_moved(self.world.now, f"removed mirror {name}")
        return True

    def poke(self) -> None:
        """Bring mirrors in line with the scoped knobs: orphans lose their workflow, wedged ones panic."""
        world, knobs = self.world, self.knobs
        for mirror in world.mirrors.values():
            workflow = mirror.workflow
            if workflow is None or workflow.closed:
                continue
            if world.scoped(knobs.orphan, mirror.name):
                self.orphan(mirror.name)
            elif world.scoped(knobs.wedged, mirror.name) and workflow.phase is not Phase.WEDGED:
                world.cancel(workflow.timer)
                workflow.phase = Phase.WEDGED

    def repair(self, name: str) -> None:
        """A hand in the databases: whatever keeps this mirror's copy from finishing is gone from now on."""
        mirror = self.world.mirrors.get(name)
        if mirror is None or mirror.workflow is None or mirror.workflow.applying is None:
            return
        databases = self.world.databases
        for table in mirror.workflow.applying.added:
            databases.no_sources.discard(table.source)
            databases.not_published.discard((mirror.workflow.live.publication, table.source))
            if databases.source_tables is not None:
                databases.source_tables.add(table.source)
            if databases.publications is not None:
                databases.publications.setdefault(mirror.workflow.live.publication, set()).add(table.source)
            databases.filled.discard(table.destination)
        self.log.hand_moved(self.world.now, f"repaired what kept {name}")

"""One mirror inside PeerDB: its catalog row, its workflow, and the signals between the two.

The row is what the API reads and decides with; the workflow is what acts. They disagree for a while after every
signal, and for good on an orphan. Owns the shapes only; ``workflow`` owns the behaviour.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from tests.harness.peerdb.config import SNAPSHOT_FIELDS, Config, Table, compact, tables_from
from tests.harness.peerdb.values import Status, status_word


class Phase(enum.Enum):
    """What a workflow is doing; it decides which signals are read and which wait unread."""

    SETUP = "setting up"
    SNAPSHOT = "first copy"
    CDC = "replicating"
    STOPPING = "stopping the sync"
    PAUSED = "paused"
    RESUMING = "resuming"
    PREPARING = "starting on table changes"
    ADDING = "adding tables"
    REMOVING = "removing tables"
    LEAVING = "accepted a drop or resync"
    FLASH = "failed for a moment"
    DROPPING = "dropping"
    RESYNC_DROP = "dropping for a resync"
    SWAPPING = "swapping resynced tables"
    WEDGED = "panics on every replay"
    CLOSED = "closed"


class Goal(enum.Enum):
    """What a workflow that replicates (or stops) was told to do next."""

    NONE = "none"
    PAUSE = "pause"
    TERMINATE = "terminate"
    RESYNC = "resync"


@dataclass(frozen=True, slots=True)
class Update:
    """A config update as the workflow gets it (``cdcFlowConfigUpdate``); zero and empty mean unchanged."""

    batch_size: int = 0
    idle_timeout: int = 0
    added: tuple[Table, ...] = ()
    removed: tuple[Table, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    snapshot: Mapping[str, int] = field(default_factory=dict)
    skip_copy: bool = False

    def __str__(self) -> str:
        parts = [f"batchSize={self.batch_size}"] if self.batch_size else []
        parts += [f"idleTimeout={self.idle_timeout}"] if self.idle_timeout else []
        parts += [f"+{table.source}" for table in self.added[:20]]
        parts += [f"-{table.source}" for table in self.removed[:20]]
        parts += [f"env {key}={value}" for key, value in self.env.items()]
        parts += [f"{key}={value}" for key, value in self.snapshot.items()]
        return f"update({', '.join(parts)})"


def update_from(raw: Mapping[str, object]) -> Update:
    """An update from its decoded message."""
    numbers = {name: cast("int", raw[name]) for name in SNAPSHOT_FIELDS if raw.get(name)}
    return Update(
        batch_size=cast("int", raw.get("batchSize", 0)),
        idle_timeout=cast("int", raw.get("idleTimeout", 0)),
        added=tables_from(raw.get("additionalTables")),
        removed=tables_from(raw.get("removedTables")),
        env=cast("Mapping[str, str]", raw.get("updatedEnv", {})),
        snapshot=numbers,
        skip_copy=bool(raw.get("skipInitialSnapshotForTableAdditions", False)),
    )


@dataclass(frozen=True, slots=True)
class StateSignal:
    """A requested state as the workflow gets it, with the flags of a drop and the overrides of a resync."""

    requested: int
    drop_stats: bool = False
    skip_destination: bool = False
    overrides: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        flags = [name for name, on in (("stats", self.drop_stats), ("keepDestination", self.skip_destination)) if on]
        return f"{status_word(self.requested)}{'(' + ','.join(flags) + ')' if flags else ''}"


Signal = Update | StateSignal


@dataclass(slots=True, eq=False)
class Timer:
    """Something that will happen. ``work`` timers stand still while no worker (or no Temporal) runs them."""

    due: float
    seq: int
    action: object
    span: str
    mirror: str
    work: bool
    cancelled: bool = False

    def __lt__(self, other: Timer) -> bool:
        return (self.due, self.seq) < (other.due, other.seq)


@dataclass(slots=True, eq=False)
class Workflow:
    """The running (or closed) workflow of a mirror. ``live`` is its own view of the configuration.

    ``doomed`` says how the copy under way ends: FAILED, not FAILED, or (None) as the simulation has it.
    """

    live: Config
    phase: Phase
    inbox: deque[Signal] = field(default_factory=deque)
    unread: list[Signal] = field(default_factory=list)
    carried: list[Signal] = field(default_factory=list)
    not_before: float = 0.0
    pending: Update | None = None
    applying: Update | None = None
    goal: Goal = Goal.NONE
    leave: StateSignal | None = None
    timer: Timer | None = None
    copying: tuple[Table, ...] = ()
    resyncing: bool = False
    emptied: bool = False
    doomed: bool | None = None
    history_expired: bool = False

    @property
    def closed(self) -> bool:
        """Whether signals to it fail (Temporal: workflow execution already completed)."""
        return self.phase is Phase.CLOSED


@dataclass(slots=True, eq=False)
class Row:
    """The mirror's row in the catalog: all that the plain API reads."""

    id: int
    name: str
    created_at: float
    status: Status
    config: Config
    tags: dict[str, str] = field(default_factory=dict)
    is_cdc: bool = True
    source_type: str = "POSTGRES"
    destination_type: str = "POSTGRES"
    drop_from_closed: bool = False
    seq: int = 0


@dataclass(slots=True, eq=False)
class Mirror:
    """A name with a row, a workflow, or both; forgotten when both are gone."""

    name: str
    row: Row | None
    workflow: Workflow | None


def payload_size(update: Mapping[str, object]) -> int:
    """Bytes of an update as a Temporal payload: protojson of what is set, a blank after each comma."""
    text = compact(update)
    return len(text.encode()) + text.count(",")

"""The closed set of actions, and the decision that asks for at most one of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from peerdb_operator.api.mirror import DropSpec
from peerdb_operator.api.status import Operation
from peerdb_operator.mirror.rules.change import Blocked
from peerdb_operator.mirror.rules.conditions import Verdict
from peerdb_operator.mirror.rules.journal import Journal
from peerdb_operator.peerdb.models import ConfigUpdate
from peerdb_operator.ports import Requeue


@dataclass(frozen=True, slots=True)
class Observe:
    """Read status with config and the owner tag, then decide again in the same reconcile.

    ``batches``: read instead when the mirror's newest batches ended.
    """

    batches: bool = False


@dataclass(frozen=True, slots=True)
class Confirm:
    """Wait ``after`` seconds, read status with config once more, then decide again in the same reconcile."""

    after: float


@dataclass(frozen=True, slots=True)
class Precheck:
    """Ask PeerDB whether the additions of ``edit`` would work, remember the answer, decide again in the same reconcile.

    ``copy``: whether the rows that exist are to be copied; ``short``: the mirror is paused meanwhile.
    """

    edit: ConfigUpdate
    key: str
    copy: bool
    short: bool


@dataclass(frozen=True, slots=True)
class Adopt:
    """Add our finalizer, then write our owner tag."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Send PAUSED. ``operation`` is recorded after a reply that does not deny it; None repeats a recorded one."""

    operation: Operation | None


@dataclass(frozen=True, slots=True)
class Resume:
    """Send RUNNING without an update; ``operation`` as for Pause.

    While it fails it is sent again each second on the same observation, as long as that holds.
    """

    operation: Operation | None


@dataclass(frozen=True, slots=True)
class SendUpdate:
    """Record ``operation``, then send ``edit`` with requested state RUNNING."""

    edit: ConfigUpdate
    operation: Operation


@dataclass(frozen=True, slots=True)
class Disarm:
    """Send an empty update with requested state RUNNING: it overwrites one that waits unseen for the next pause.

    The plan's journal is closed already and holds once PeerDB has answered 200; after a failure the old one stays.
    """


@dataclass(frozen=True, slots=True)
class Drop:
    """Record ``operation`` if ``first``, then send TERMINATING with ``flags``."""

    flags: DropSpec
    operation: Operation
    first: bool


@dataclass(frozen=True, slots=True)
class Release:
    """Remove our finalizer.

    With ``hand_over``, first overwrite the owner tag with "released", if it is ours (tried once). The plan's note
    becomes an Event, a Warning with ``warns``. ``dropped``: our drop has done its work.
    """

    hand_over: bool
    warns: bool = False
    dropped: bool = False


Command = Pause | Resume | SendUpdate | Drop
"""The actions that the journal records."""

Action = Observe | Confirm | Precheck | Adopt | Disarm | Release | Command


@dataclass(frozen=True, slots=True)
class Decision:
    """One step: the action, the verdict, the requeue, and the journal as judged (before the action adds to it).

    ``verdict`` None keeps the last one. ``accept_tables``: the spec's table list is accepted as the mirror's.
    ``compared``: desired and live config were compared, and ``blocked`` is what came of it. ``note`` is what the log
    says of an action that changes no verdict. ``goal``: fingerprint of the config that a stop is begun for.
    """

    action: Action | None
    verdict: Verdict | None
    requeue: Requeue
    journal: Journal = field(default_factory=Journal)
    accept_tables: bool = False
    blocked: Blocked | None = None
    compared: bool = False
    rule: str = ""
    note: str = ""
    goal: str = ""

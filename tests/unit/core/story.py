"""A Mirror looked at again and again, as a process would: remembers, plans, acts at once, writes status when it is due.

Owns no simulation of PeerDB: a test says what each look shows. Keeps what tests count, the commands and the writes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from peerdb_operator.api.status import MirrorStatus, read_status
from peerdb_operator.core.case import Situation
from peerdb_operator.core.config import LiveConfig
from peerdb_operator.core.desired import Desired
from peerdb_operator.core.journal import Journal, Operation
from peerdb_operator.core.ledger import read_journal
from peerdb_operator.core.limits import Limits
from peerdb_operator.core.memory import Memory, Precheck, remember, stands_equal
from peerdb_operator.core.observed import ConfigGap, Look, Owner, Seen, State, Unreadable
from peerdb_operator.core.plan import plan
from peerdb_operator.core.plan_types import (
    Action,
    Disarm,
    LookFully,
    LookTwice,
    Pause,
    Plan,
    Resume,
    SendEdit,
    TakeOver,
    Validate,
)
from peerdb_operator.core.status import Report, Urgency, next_status, urgency
from tests.unit.core.builders import CREATED, LIMITS, NOBODYS, NOW, OURS

PHASE_QUIET = 2.0
PROGRESS_GAP = 30.0
COMMANDS = (Pause, Resume, SendEdit, Disarm)


@dataclass
class Story:
    """One Mirror and one process. ``accepts``: whether PeerDB's 200 to an edit arrives."""

    mirror: Desired
    owner: Owner = OURS
    accepts: bool = True
    limits: Limits = LIMITS
    now: float = NOW
    has_finalizer: bool = True
    memory: Memory = field(default_factory=Memory)
    status: MirrorStatus = field(default_factory=MirrorStatus)
    journal: Journal = field(default_factory=Journal)
    commands: list[Action] = field(default_factory=list)
    writes: list[MirrorStatus] = field(default_factory=list)
    metadata_writes: int = 0
    written_at: float = 0.0

    def sees(self, state: State, config: LiveConfig | Unreadable | ConfigGap, *, after: float = 1.0) -> Plan:
        """One pass with full looks, ``after`` so many seconds."""
        return self.meets(Seen(str(state), CREATED, NOW, config, self.owner), after=after)

    def meets(self, look: Look, *, after: float = 1.0) -> Plan:
        """One pass with any look; a second look within the pass shows the same."""
        self.now += after
        planned = self._plan_after(look)
        while isinstance(planned.action, LookFully | LookTwice | Validate | TakeOver):
            planned = self._prepare(planned.action, look)
            look = replace(look, owner=self.owner) if isinstance(look, Seen) else look
        self._act(planned)
        return planned

    def wishes(self, mirror: Desired) -> None:
        """The user edits the spec."""
        self.mirror = replace(mirror, generation=self.mirror.generation + 1)

    def restarts(self) -> None:
        """A new process takes over: it knows what the API server knows."""
        self.status = read_status(self.status.as_wire())
        self.journal, self.memory = read_journal(self.status), Memory()

    def begins_to_count(self) -> None:
        """Forget the commands and writes so far."""
        self.commands.clear()
        self.writes.clear()
        self.metadata_writes = 0

    @property
    def names(self) -> list[str]:
        """The commands sent, by name."""
        return [type(command).__name__ for command in self.commands]

    @property
    def reason(self) -> str:
        """Why Ready is what it is, as users read it."""
        return next((each.reason for each in self.status.conditions if each.type == "Ready"), "")

    def _plan_after(self, look: Look, *, confirmed_by: Seen | None = None) -> Plan:
        shown = replace(look, at=self.now)
        self.memory, self.seen = remember(
            self.memory, shown, wants_running=self.mirror.wants_running, gap=self.limits.absence_gap, now=self.now
        )
        if confirmed_by is not None:
            self.memory = replace(self.memory, confirmed=stands_equal(confirmed_by, shown))
        planned = plan(self.mirror, self.seen, self.memory, self.journal, self._situation(), self.limits, self.now)
        if planned.compared:
            held = planned.withheld
            known = None if held is None else (self.mirror.generation, held.reason, held.message)
            self.memory = replace(self.memory, withheld=known)
        return planned

    def _situation(self) -> Situation:
        return Situation(
            tables_accepted=self.status.tables is not None,
            has_finalizer=self.has_finalizer,
            observed_generation=self.status.observed_generation,
            state=self.status.state or "",
            state_since=self.status.state_since,
            reason=self.reason,
        )

    def _prepare(self, action: Action, look: Look) -> Plan:
        assert isinstance(look, Seen)
        match action:
            case Validate(key=key):
                self.memory = replace(self.memory, precheck=Precheck(key, self.now))
            case TakeOver():
                self.metadata_writes += 0 if self.has_finalizer else 1
                self.has_finalizer, self.owner = True, OURS
                look = replace(look, owner=OURS)
            case LookTwice(after=after):
                self.now += after
                return self._plan_after(look, confirmed_by=look)
            case _:
                raise AssertionError("this look was meant to be a full one")
        return self._plan_after(look)

    def _act(self, planned: Plan) -> None:
        action = planned.action
        self.journal = planned.journal
        if isinstance(action, COMMANDS):
            self.commands.append(action)
        match action:
            case Pause(operation=operation) | Resume(operation=operation):
                self._record(operation)
                eaten = self.memory.pausing_seen and operation is None
                self.memory = replace(self.memory, sent_at=self.now, pausing_seen=eaten)
            case SendEdit(operation=operation):
                self._record(operation)
                self._write(planned)
                self._record(replace(operation, accepted=self.accepts))
                self.memory = replace(self.memory, precheck=None, streak=None)
            case _:
                pass
        self._write(planned)

    def _record(self, operation: Operation | None) -> None:
        if operation is not None:
            self.journal = replace(self.journal, operation=operation)

    def _write(self, planned: Plan) -> None:
        report = Report(planned.verdict, self.journal, planned.accept_tables)
        following = next_status(self.status, self.mirror, self.seen, self.memory, report, self.now)
        need = urgency(self.status, following, told=planned.verdict is not None)
        due = {
            Urgency.NOTHING: False,
            Urgency.PROGRESS: self.now - self.written_at >= PROGRESS_GAP,
            Urgency.PHASE: self.now - self.memory.word_since >= PHASE_QUIET,
            Urgency.NOW: True,
        }
        if due[need]:
            self.status, self.written_at = read_status(following.as_wire()), self.now
            self.writes.append(self.status)


def a_settled_story(mirror: Desired, config: LiveConfig) -> Story:
    """A Mirror of ours that is as wished, counted from here."""
    story = Story(mirror)
    story.sees(State.RUNNING if mirror.wants_running else State.PAUSED, config)
    story.begins_to_count()
    return story


def a_fresh_story(mirror: Desired) -> Story:
    """A Mirror that has just been created, for a mirror of nobody."""
    return Story(mirror, owner=NOBODYS, has_finalizer=False)

"""A Mirror looked at again and again, as a process would: remembers, plans, acts at once, writes status when it is due.

Owns no simulation of PeerDB: a test says what each look shows. Keeps what tests count, the commands and the writes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from peerdb_operator.api.status import MirrorStatus, Operation, read_status
from peerdb_operator.mirror.rules.conditions import StatusUpdate, Urgency, next_status, urgency
from peerdb_operator.mirror.rules.decide import decide
from peerdb_operator.mirror.rules.decision import (
    Action,
    Adopt,
    Confirm,
    Decision,
    Disarm,
    Observe,
    Pause,
    Precheck,
    Resume,
    SendUpdate,
)
from peerdb_operator.mirror.rules.desired import Desired
from peerdb_operator.mirror.rules.history import History, PrecheckResult, record_reading, same_paused_config
from peerdb_operator.mirror.rules.journal import Journal
from peerdb_operator.mirror.rules.limits import Limits
from peerdb_operator.mirror.rules.observation import ConfigGap, Found, Owner, Reading, State, Unreadable
from peerdb_operator.mirror.rules.state import MirrorObject, MirrorState
from peerdb_operator.peerdb.models import MirrorConfig
from tests.unit.core.builders import CREATED, LIMITS, NOBODYS, NOW, OURS, an_object

PHASE_QUIET = 2.0
PROGRESS_GAP = 30.0
COMMANDS = (Pause, Resume, SendUpdate, Disarm)


@dataclass
class EventRecorder:
    """One Mirror and one process. ``accepts``: whether PeerDB's 200 to an edit arrives."""

    mirror: Desired
    owner: Owner = OURS
    accepts: bool = True
    limits: Limits = LIMITS
    now: float = NOW
    has_finalizer: bool = True
    history: History = field(default_factory=History)
    status: MirrorStatus = field(default_factory=MirrorStatus)
    journal: Journal = field(default_factory=Journal)
    commands: list[Action] = field(default_factory=list)
    writes: list[MirrorStatus] = field(default_factory=list)
    metadata_writes: int = 0
    written_at: float = 0.0

    def sees(self, state: State, config: MirrorConfig | Unreadable | ConfigGap, *, after: float = 1.0) -> Decision:
        """One pass with full looks, ``after`` so many seconds."""
        return self.meets(Found(str(state), CREATED, NOW, config, self.owner), after=after)

    def meets(self, look: Reading, *, after: float = 1.0) -> Decision:
        """One pass with any look; a second look within the pass shows the same."""
        self.now += after
        decision = self._plan_after(look)
        while isinstance(decision.action, Observe | Confirm | Precheck | Adopt):
            decision = self._prepare(decision.action, look)
            look = replace(look, owner=self.owner) if isinstance(look, Found) else look
        self._act(decision)
        return decision

    def wishes(self, mirror: Desired) -> None:
        """The user edits the spec."""
        self.mirror = replace(mirror, generation=self.mirror.generation + 1)

    def restarts(self) -> None:
        """A new process takes over: it knows what the API server knows."""
        self.status = read_status(self.status.as_wire())
        self.journal, self.history = Journal.of(self.status), History()

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

    def _plan_after(self, look: Reading, *, confirmed_by: Found | None = None) -> Decision:
        shown = replace(look, at=self.now)
        self.history, self.seen = record_reading(
            self.history, shown, wants_running=self.mirror.wants_running, gap=self.limits.absence_gap, now=self.now
        )
        if confirmed_by is not None:
            self.history = replace(self.history, confirmed=same_paused_config(confirmed_by, shown))
        state = MirrorState(self._view(), self.mirror, self.seen, self.history, self.journal)
        decision = decide(state, self.limits, self.now)
        if decision.compared:
            held = decision.blocked
            known = None if held is None else (self.mirror.generation, held.reason, held.message)
            self.history = replace(self.history, blocked=known)
        return decision

    def _view(self) -> MirrorObject:
        status = self.status
        view = an_object(has_finalizer=self.has_finalizer)
        reason = next((each for each in status.conditions if each.type == "Ready"), None)
        assert (reason.reason if reason else "") == self.reason
        return replace(view, status=status)

    def _prepare(self, action: Action, look: Reading) -> Decision:
        assert isinstance(look, Found)
        match action:
            case Precheck(key=key):
                self.history = replace(self.history, precheck=PrecheckResult(key, self.now))
            case Adopt():
                self.metadata_writes += 0 if self.has_finalizer else 1
                self.has_finalizer, self.owner = True, OURS
                look = replace(look, owner=OURS)
            case Confirm(after=after):
                self.now += after
                return self._plan_after(look, confirmed_by=look)
            case _:
                raise AssertionError("this look was meant to be a full one")
        return self._plan_after(look)

    def _act(self, decision: Decision) -> None:
        action = decision.action
        self.journal = decision.journal
        if isinstance(action, COMMANDS):
            self.commands.append(action)
        match action:
            case Pause(operation=operation) | Resume(operation=operation):
                self._record(operation)
                eaten = self.history.pausing_seen and operation is None
                self.history = replace(self.history, sent_at=self.now, pausing_seen=eaten)
            case SendUpdate(operation=operation):
                self._record(operation)
                self._write(decision)
                self._record(replace(operation, accepted=self.accepts))
                self.history = replace(self.history, precheck=None, streak=None)
            case _:
                pass
        self._write(decision)

    def _record(self, operation: Operation | None) -> None:
        if operation is not None:
            self.journal = replace(self.journal, operation=operation)

    def _write(self, decision: Decision) -> None:
        report = StatusUpdate(decision.verdict, self.journal, decision.accept_tables)
        following = next_status(self.status, self.mirror, self.seen, self.history, report, self.now)
        need = urgency(self.status, following, reported=decision.verdict is not None)
        due = {
            Urgency.NOTHING: False,
            Urgency.PROGRESS: self.now - self.written_at >= PROGRESS_GAP,
            Urgency.PHASE: self.now - self.history.word_since >= PHASE_QUIET,
            Urgency.NOW: True,
        }
        if due[need]:
            self.status, self.written_at = read_status(following.as_wire()), self.now
            self.writes.append(self.status)


def a_settled_story(mirror: Desired, config: MirrorConfig) -> EventRecorder:
    """A Mirror of ours that is as wished, counted from here."""
    story = EventRecorder(mirror)
    story.sees(State.RUNNING if mirror.wants_running else State.PAUSED, config)
    story.begins_to_count()
    return story


def a_fresh_story(mirror: Desired) -> EventRecorder:
    """A Mirror that has just been created, for a mirror of nobody."""
    return EventRecorder(mirror, owner=NOBODYS, has_finalizer=False)

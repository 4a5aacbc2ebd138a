"""One planning case: everything a rule may look at, and the small helpers that rules share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from peerdb_operator.core.change import Withheld
from peerdb_operator.core.config import LiveConfig
from peerdb_operator.core.desired import Desired
from peerdb_operator.core.edit import Edit
from peerdb_operator.core.journal import Journal, Operation, Step
from peerdb_operator.core.limits import Limits
from peerdb_operator.core.memory import Memory
from peerdb_operator.core.observed import Observation, OwnerKind, Seen, State
from peerdb_operator.core.plan_types import Action, Plan, Wait
from peerdb_operator.core.reasons import Reason
from peerdb_operator.core.verdict import Verdict, stalled


@dataclass(frozen=True, slots=True)
class Situation:
    """What Kubernetes says beside the spec.

    ``older_claim``: namespace/name of an older live Mirror for the same PeerDB mirror. ``tables_accepted``: a list has
    been accepted before (``status.tables`` exists). ``state``/``state_since``: as last written to status.
    """

    frozen: bool = False
    older_claim: str | None = None
    tables_accepted: bool = False
    has_finalizer: bool = True
    observed_generation: int = -1
    state: str = ""
    state_since: float | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """The input of every rule; ``journal`` and ``change`` are filled in on the way down the list."""

    desired: Desired
    observation: Observation
    memory: Memory
    journal: Journal
    situation: Situation
    limits: Limits
    now: float
    change: Edit | Withheld | None = None
    compared: bool = field(default=False)

    @property
    def seen(self) -> Seen:
        """The observation once earlier rules have handled Absent and Unknown."""
        assert isinstance(self.observation, Seen)  # noqa: S101 - the order of the rules guarantees it; a test holds the order
        return self.observation

    @property
    def state(self) -> State:
        """The state seen."""
        return self.seen.state

    @property
    def is_full(self) -> bool:
        """Whether this look carries the owner tag and an answer about the config."""
        return self.seen.owner.kind is not OwnerKind.NOT_ASKED

    @property
    def config(self) -> LiveConfig | None:
        """The live config, if it was read."""
        config = self.seen.config
        return config if isinstance(config, LiveConfig) else None

    @property
    def has_settled(self) -> bool:
        """Whether this generation has had a settled verdict."""
        return self.journal.bounds.settled == self.desired.generation

    @property
    def stopped_too_long(self) -> bool:
        """Whether the mirror should run and has shown nothing but PAUSED for the whole patience."""
        since = self.memory.stopped_since
        return since is not None and self.now - since >= self.limits.paused_patience

    def in_state_since(self) -> float:
        """When the present state began: as written in status if that speaks of it, else as seen by this process."""
        situation = self.situation
        if situation.state_since is not None and situation.state.upper() == self.seen.word:
            return min(situation.state_since, self.memory.word_since)
        return self.memory.word_since

    def operation(self, step: Step, *, before: str = "", after: str = "") -> Operation:
        """A new journal entry of this moment."""
        ident = f"{step.lower()}-{self.desired.generation}-{int(self.now * 1000)}"
        return Operation(ident, step, sent_at=self.now, created_at=self.seen.created_at, before=before, after=after)

    def with_journal(self, journal: Journal) -> Case:
        """The same case with the journal as judged."""
        return replace(self, journal=journal)

    def plan(
        self,
        rule: str,
        wait: Wait,
        verdict: Verdict | None = None,
        action: Action | None = None,
        *,
        accept: bool = False,
    ) -> Plan:
        """A plan of this case.

        A withheld difference outranks the verdict of a step on the way, never that of a pass that waits for doubt.
        """
        withheld = self.change if isinstance(self.change, Withheld) else None
        told = verdict
        if withheld is not None and withheld.reason is not Reason.CONFIG_UNREADABLE and verdict is not None:
            told = stalled(withheld.reason, withheld.message)
        return Plan(action, told, wait, self.journal, accept, withheld, self.compared, rule)


def growing(age: float, limits: Limits) -> float:
    """The wait between looks in a transition: short at first, growing with its age to the tick."""
    return min(limits.tick, max(limits.look_first, age / 5.0))

"""The state of one Mirror: everything a rule may read, and the small helpers that rules share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from peerdb_operator.api.constants import (
    ANNOTATION_RECONCILE,
    ANNOTATION_REQUESTED_AT,
    FINALIZER,
    RECONCILE_DISABLED,
)
from peerdb_operator.api.naming import default_mirror_name
from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import MirrorStatus, Operation, Step, read_status
from peerdb_operator.api.times import parse_time
from peerdb_operator.mirror.rules.change import Blocked
from peerdb_operator.mirror.rules.conditions import BROKEN, ON_THE_WAY, SETTLED, Verdict, blocked, stalled
from peerdb_operator.mirror.rules.decision import Action, Decision
from peerdb_operator.mirror.rules.desired import Desired
from peerdb_operator.mirror.rules.history import History, patience_is_over
from peerdb_operator.mirror.rules.journal import Journal
from peerdb_operator.mirror.rules.limits import Limits
from peerdb_operator.mirror.rules.observation import ConfigGap, Found, Observation, Owner, OwnerKind, State, Unreadable
from peerdb_operator.peerdb.models import ConfigUpdate, MirrorConfig
from peerdb_operator.ports import Requeue


@dataclass(frozen=True, slots=True)
class MirrorObject:
    """One version of one Mirror, without its spec."""

    uid: str
    namespace: str
    name: str
    version: int
    generation: int
    created_at: float
    deleted_at: float | None
    finalizers: tuple[str, ...]
    frozen: bool
    requested_at: str | None
    unknown_reconcile: str | None
    """A value of the annotation ``peerdb.io/reconcile`` that means nothing."""
    mirror: str
    status: MirrorStatus

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> MirrorObject:
        """Read the object as Kubernetes sends it; O(1) in the number of its tables."""
        meta = body["metadata"]
        annotations = meta.get("annotations") or {}
        deleted, reconcile = meta.get("deletionTimestamp"), annotations.get(ANNOTATION_RECONCILE)
        return cls(
            uid=meta["uid"],
            namespace=meta["namespace"],
            name=meta["name"],
            version=int(meta["resourceVersion"]),
            generation=int(meta.get("generation", 0)),
            created_at=parse_time(meta["creationTimestamp"]),
            deleted_at=None if deleted is None else parse_time(deleted),
            finalizers=tuple(meta.get("finalizers") or ()),
            frozen=reconcile == RECONCILE_DISABLED,
            requested_at=annotations.get(ANNOTATION_REQUESTED_AT),
            unknown_reconcile=None if reconcile == RECONCILE_DISABLED else reconcile,
            mirror=_mirror_name(meta["name"], body.get("spec")),
            status=read_status(body.get("status")),
        )

    @property
    def key(self) -> str:
        """namespace/name."""
        return f"{self.namespace}/{self.name}"

    @property
    def has_finalizer(self) -> bool:
        """Whether our finalizer holds the object."""
        return FINALIZER in self.finalizers

    @property
    def intent(self) -> tuple[int, float | None, bool]:
        """What a command follows: the generation, whether the object is being deleted, whether it is frozen."""
        return (self.generation, self.deleted_at, self.frozen)

    def needs_reconcile(self, older: MirrorObject) -> bool:
        """Whether a newer version says something besides its status that needs work."""
        mine = (self.intent, self.has_finalizer, self.requested_at, self.unknown_reconcile)
        return mine != (older.intent, older.has_finalizer, older.requested_at, older.unknown_reconcile)

    def equivalent_to(self, older: MirrorObject) -> bool:
        """Whether a reconcile would find the same in a newer version, and write the same."""
        mine = (self.finalizers, self.status)
        return mine == (older.finalizers, older.status) and not self.needs_reconcile(older)


def _mirror_name(name: str, spec: object) -> str:
    given = spec.get("mirrorName") if isinstance(spec, Mapping) else None
    return given if isinstance(given, str) and given else (default_mirror_name(name) or "")


@dataclass(frozen=True, slots=True)
class Claims:
    """Who else has a say in the PeerDB mirror, and what holds or ends a drop.

    ``older``, ``successor``: namespace/name of another live Mirror for the same PeerDB mirror: an older one, any one.
    ``drop_wait``: seconds until this operator may drop the next mirror. The facts about CRD and namespace are read
    for a deletion only; None is a read of Kubernetes that failed.
    """

    older: str | None = None
    successor: str | None = None
    crd_terminating: bool | None = False
    namespace_terminating: bool | None = False
    drops_with_namespace: bool = False
    drop_wait: float = 0.0


@dataclass(frozen=True, slots=True)
class MirrorState:
    """Everything that a decision about one Mirror may read.

    ``stops``: the mirror should run and is PAUSED, or is being paused by us. ``peerdb_reliable``: PeerDB has answered
    enough calls in a row.
    """

    view: MirrorObject
    desired: Desired
    observation: Observation
    history: History
    journal: Journal
    claims: Claims = Claims()
    stops: bool = False
    peerdb_reliable: bool = True


@dataclass(frozen=True, slots=True)
class Case:
    """The input of every rule: one state, and ``change`` and ``queued`` as filled in on the way down the list.

    ``queued``: the journal as it was before it was closed over an edit that may wait in PeerDB's queue, and that the
    pause which follows may apply.
    """

    mirror_state: MirrorState
    limits: Limits
    now: float
    change: ConfigUpdate | Blocked | None = None
    compared: bool = False
    queued: Journal | None = None

    @property
    def view(self) -> MirrorObject:
        """The object."""
        return self.mirror_state.view

    @property
    def desired(self) -> Desired:
        """What the spec asks for."""
        return self.mirror_state.desired

    @property
    def observation(self) -> Observation:
        """The newest observation."""
        return self.mirror_state.observation

    @property
    def history(self) -> History:
        """What earlier observations taught."""
        return self.mirror_state.history

    @property
    def journal(self) -> Journal:
        """The journal as judged so far."""
        return self.mirror_state.journal

    @property
    def claims(self) -> Claims:
        """Who else has a say."""
        return self.mirror_state.claims

    @property
    def seen(self) -> Found:
        """The observation once earlier rules have handled Absent and Unknown."""
        assert isinstance(self.observation, Found)  # noqa: S101 - the order of the rules guarantees it; a test holds the order
        return self.observation

    @property
    def state(self) -> State:
        """The state seen."""
        return self.seen.state

    @property
    def is_another(self) -> bool:
        """Whether PeerDB has another mirror under this name than the one that status speaks of."""
        if isinstance(self.observation, Found):
            return self.view.status.created_at not in {None, self.observation.created_at}
        return self.history.replaced

    @property
    def is_full(self) -> bool:
        """Whether this observation carries the owner tag and an answer about the config."""
        return self.seen.owner.kind is not OwnerKind.NOT_ASKED and self.seen.config is not ConfigGap.NOT_ASKED

    @property
    def owner(self) -> Owner:
        """The owner tag of this observation, or the last one read of this mirror; never enough for a write."""
        known = self.history.owner
        if self.seen.owner.kind is OwnerKind.NOT_ASKED and known is not None and known[0] == self.seen.created_at:
            return known[1]
        return self.seen.owner

    @property
    def config(self) -> MirrorConfig | None:
        """The live config, if it was read."""
        config = self.seen.config
        return config if isinstance(config, MirrorConfig) else None

    @property
    def why_unreadable(self) -> str:
        """What came instead of the live config; empty if it was read or not asked for."""
        cause = self.seen.config
        if not isinstance(cause, Unreadable):
            return ""
        return f"{cause.message} (are its workers up?)" if cause.reason is Reason.PEERDB_ERROR else cause.message

    @property
    def has_settled(self) -> bool:
        """Whether this generation has had a settled verdict."""
        return self.journal.bounds.settled == self.desired.generation

    @property
    def paused_too_long(self) -> bool:
        """Whether the mirror should run and has shown nothing but PAUSED for the whole patience."""
        stopped = self.desired.wants_running and self.state is State.PAUSED
        return stopped and patience_is_over(self.history, self.limits, self.now)

    @property
    def is_pending(self) -> bool:
        """Whether this generation has not been evaluated yet."""
        return self.view.status.observed_generation != self.desired.generation

    def known_refusal(self) -> Verdict | None:
        """What an earlier comparison of this generation found, which stays true while the mirror is on its way."""
        known = self.history.blocked
        if known is None or known[0] != self.desired.generation or known[1] is Reason.CONFIG_UNREADABLE:
            return None
        return blocked(known[1], known[2], pending=self.is_pending)

    def in_state_since(self) -> float:
        """When the present state began: as this process saw it begin, else as status says if that speaks of it."""
        status, history = self.view.status, self.history
        written = status.state_since if (status.state or "").upper() == self.seen.word else None
        if written is None or history.previous_word is not None:
            return history.word_since
        return min(written, history.word_since)

    def operation(self, step: Step, *, from_: str | None = None, to: str | None = None) -> Operation:
        """A new operation of this moment.

        Its id names the version of the object, not the time: while no write of the object succeeds, a command that is
        planned again and again bears one id. A write makes a new version, so two operations in status never share one.
        """
        ident = f"{step.lower()}-{self.desired.generation}-{self.view.version}"
        return Operation(
            ident,
            step,
            sent_at=self.now,
            created_at=self.seen.created_at,
            from_=from_,
            to=to,
            generation=self.desired.generation,
        )

    def with_journal(self, journal: Journal) -> Case:
        """The same case with the journal as judged."""
        return replace(self, mirror_state=replace(self.mirror_state, journal=journal))

    def decide(
        self,
        rule: str,
        requeue: Requeue,
        verdict: Verdict | None = None,
        action: Action | None = None,
        *,
        accept: bool = False,
        note: str = "",
    ) -> Decision:
        """The decision of this case.

        A blocked difference outranks the verdict on a step under way and on a settled mirror, but not that the mirror
        is broken. A spec that cannot be applied does so before anything is compared, too.
        """
        held = self.change if isinstance(self.change, Blocked) else None
        reported = verdict
        broken = verdict is not None and verdict.reason in BROKEN
        if held is not None and held.reason is not Reason.CONFIG_UNREADABLE and not broken:
            reported = blocked(held.reason, held.message, pending=self.is_pending)
        elif self.desired.invalid and verdict is not None and verdict.reason in SETTLED | ON_THE_WAY:
            reported = stalled(Reason.INVALID_SPEC, self.desired.invalid)
        return Decision(
            action, reported, requeue, self.journal, accept, held, self.compared, rule, note, self.history.goal
        )


def growing_requeue(age: float, limits: Limits) -> float:
    """The wait between observations in a transition: short at first, growing with its age to the tick."""
    return min(limits.tick, max(limits.requeue_first, age / 5.0))


Rule = Callable[[Case], Decision | Case | None]
"""A rule answers with a decision (it matched), with a changed case (go on with that), or with None (go on)."""

"""Builders for the values that decisions are made of: each gives a plain, settled example; keywords say what differs.

Owns examples, no expectations. ``a_case`` puts them together; ``decision_of`` and ``deletion_of`` decide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from peerdb_operator.api.constants import FINALIZER
from peerdb_operator.api.mirror import AddedTables, RunState, SnapshotSpec, TableSpec
from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import Bounds, Condition, ConditionStatus, MirrorStatus, Operation, Step, TablesStatus
from peerdb_operator.mirror.rules.decide import decide
from peerdb_operator.mirror.rules.decision import Decision
from peerdb_operator.mirror.rules.desired import Desired, mapping_of
from peerdb_operator.mirror.rules.history import History, PrecheckResult, Streak
from peerdb_operator.mirror.rules.journal import Journal
from peerdb_operator.mirror.rules.limits import Limits
from peerdb_operator.mirror.rules.observation import (
    Absent,
    ConfigGap,
    Found,
    Observation,
    Owner,
    OwnerKind,
    State,
    Unknown,
    Unreadable,
)
from peerdb_operator.mirror.rules.state import Case, Claims, MirrorObject, MirrorState
from peerdb_operator.peerdb.models import ConfigUpdate, MirrorConfig, TableMapping

T = TypeVar("T")

NOW = 1_790_000_000.0
LONG_AGO = NOW - 3600.0
CREATED = "2026-08-21T10:00:00.123456Z"
RECREATED = "2026-08-22T11:00:00.654321Z"
GENERATION = 3
NO_WORKERS = Unreadable(Reason.PEERDB_ERROR, "PeerDB failed inside: no poller seen")
OURS = Owner(OwnerKind.OURS, "cluster/data/orders/uid")
OTHERS = Owner(OwnerKind.OTHER, "elsewhere/data/orders/uid")
NOBODYS = Owner(OwnerKind.NONE)
RELEASED = Owner(OwnerKind.RELEASED, "released")
UNASKED = Owner(OwnerKind.NOT_ASKED)
LIMITS = Limits()


def made(kind: Callable[..., T], defaults: Mapping[str, object], fields: Mapping[str, object]) -> T:
    """A value with these defaults; a field it does not have raises ``TypeError``."""
    return kind(**{**defaults, **fields})


def a_wish(source: str = "public.orders", destination: str = "", **fields: object) -> TableSpec:
    """A table of a spec; the destination defaults to the table's own name."""
    names = {"source": source, "destination": destination or source.partition(".")[2] or source}
    return made(TableSpec, names, fields)


def a_mapping(source: str = "public.orders", destination: str = "", **fields: object) -> TableMapping:
    """A live table; the destination defaults to the table's own name."""
    names = {"source": source, "destination": destination or source.partition(".")[2] or source}
    return made(TableMapping, names, fields)


def a_mirror(*tables: str | TableSpec, runs: bool = True, skip_snapshot: bool = False, **fields: object) -> Desired:
    """The wish of a Mirror: ``public.intent`` alone unless tables are named, Running unless told otherwise."""
    wishes = tuple(a_wish(table) if isinstance(table, str) else table for table in tables or ("public.orders",))
    defaults: dict[str, object] = {
        "mirror": "orders",
        "generation": GENERATION,
        "state": RunState.RUNNING if runs else RunState.PAUSED,
        "tables": wishes,
        "snapshot": SnapshotSpec(added_tables=AddedTables.SKIP if skip_snapshot else AddedTables.SNAPSHOT),
    }
    return made(Desired, defaults, fields)


def a_config(*tables: str | TableMapping, **settings: object) -> MirrorConfig:
    """A live config: ``public.intent`` alone unless tables are named."""
    mappings = tuple(a_mapping(table) if isinstance(table, str) else table for table in tables or ("public.orders",))
    return made(MirrorConfig, {"tables": mappings, "batch_size": 0, "idle_timeout": 0}, settings)


def an_empty_config() -> MirrorConfig:
    """The config of a mirror that has lost all its tables."""
    return MirrorConfig((), 0, 0)


def a_look(
    state: State | str = State.RUNNING, config: MirrorConfig | Unreadable | ConfigGap | None = None, **fields: object
) -> Found:
    """A full look at a mirror of ours that runs with ``public.intent``."""
    shown = a_config() if config is None else config
    defaults = {"word": str(state), "config": shown, "created_at": CREATED, "at": NOW, "owner": OURS}
    return made(Found, defaults, fields)


def a_light_look(state: State | str = State.RUNNING, **fields: object) -> Found:
    """A look without config and owner tag."""
    return a_look(state, ConfigGap.NOT_ASKED, **{"owner": UNASKED, **fields})


def an_owner_look(state: State | str = State.RUNNING, **fields: object) -> Found:
    """A look at state and owner tag alone."""
    return replace(a_light_look(state, **fields), owner=OURS)


def a_blind_look(state: State | str = State.RUNNING, **fields: object) -> Found:
    """A full look at a mirror whose config cannot be read."""
    return a_look(state, NO_WORKERS, **fields)


def an_outage(reason: Reason = Reason.PEERDB_UNAVAILABLE, **fields: object) -> Unknown:
    return made(Unknown, {"reason": reason, "message": "PeerDB does not answer", "at": NOW}, fields)


def an_absence() -> Absent:
    """Proof that the mirror does not exist."""
    return Absent(NOW)


def an_operation(step: Step = Step.EDIT, *, age: float = 1.0, **fields: object) -> Operation:
    """A command that was sent ``age`` seconds ago."""
    defaults = {
        "id": f"{step}-1",
        "step": step,
        "sent_at": NOW - age,
        "created_at": CREATED,
        "generation": GENERATION,
    }
    return made(Operation, defaults, fields)


def an_edit_of(before: MirrorConfig, after: MirrorConfig, *, accepted: bool = True, **fields: object) -> Operation:
    """An edit in flight between two configs."""
    prints = {"from_": before.fingerprint, "to": after.fingerprint}
    return made(an_operation, {"step": Step.EDIT, "accepted": accepted, **prints}, fields)


def settled_bounds(**fields: object) -> Bounds:
    """The bounds of a generation that has come to rest."""
    return made(Bounds, {"generation": GENERATION, "settled": GENERATION}, fields)


def an_object(
    *, version: int = 1, frozen: bool = False, deleted_at: float | None = None, has_finalizer: bool = True,
    tables_accepted: bool = True, mirror_created_at: str | None = None,
    observed_generation: int = GENERATION, state: str = "Running", state_since: float | None = LONG_AGO,
    reason: str = Reason.RUNNING,
) -> MirrorObject:  # fmt: skip
    """An adopted, settled Mirror as its status tells it."""
    ready = Condition(
        type="Ready", status=ConditionStatus.TRUE, reason=reason or "Unset", message="", last_transition_time=LONG_AGO
    )  # fmt: skip
    status = MirrorStatus(
        observed_generation=observed_generation, created_at=mirror_created_at, state=state, state_since=state_since,
        conditions=[ready] if reason else [], tables=TablesStatus() if tables_accepted else None,
    )  # fmt: skip
    return MirrorObject(
        uid="uid", namespace="data", name="orders", version=version, generation=GENERATION, created_at=LONG_AGO,
        frozen=frozen, deleted_at=deleted_at, finalizers=(FINALIZER,) if has_finalizer else (),
        requested_at=None, unknown_reconcile=None, mirror="orders",
        status=status,
    )  # fmt: skip


def a_history(look: Observation | None = None, **fields: object) -> History:
    """What a process remembers that has seen the present state for an hour."""
    defaults: dict[str, object] = {}
    if isinstance(look, Found):
        defaults = {"word": look.word, "word_since": LONG_AGO, "owner": (CREATED, OURS)}
    return made(History, defaults, fields)


def a_streak(state: State, config: MirrorConfig, *, lasts: float, count: int = 2) -> Streak:
    """Equal looks in a row, the newest just now."""
    return Streak(str(state), config.fingerprint, since=NOW - lasts, last=NOW, count=count)


def a_case(
    mirror: Desired | None = None,
    look: Observation | None = None,
    *,
    operation: Operation | None = None,
    bounds: Bounds | None = None,
    history: Mapping[str, object] | None = None,
    situation: Mapping[str, Any] | None = None,
    claims: Claims | None = None,
    **fields: object,
) -> Case:
    """A planning case: a settled Mirror, running as wished, nothing in flight.

    ``history`` and ``situation`` name only what differs from ``a_history`` and ``an_object``.
    """
    seen = a_look() if look is None else look
    about = dict(situation or {})
    known = claims or Claims(older=about.pop("older_claim", None))
    stops, reliable = about.pop("stops", False), about.pop("peerdb_reliable", True)
    state = MirrorState(
        view=an_object(**about),
        desired=a_mirror() if mirror is None else mirror,
        observation=seen,
        history=a_history(seen, **(history or {})),
        journal=Journal(operation, settled_bounds() if bounds is None else bounds),
        claims=known,
        stops=stops,
        peerdb_reliable=reliable,
    )
    return made(Case, {"mirror_state": state, "limits": LIMITS, "now": NOW}, fields)


def a_passed_precheck(key: str, *, age: float = 1.0) -> PrecheckResult:
    return PrecheckResult(key, NOW - age)


def decision_of(case: Case) -> Decision:
    return decide(case.mirror_state, case.limits, case.now)


@dataclass(frozen=True, slots=True)
class Deletion:
    """Since when an object is being deleted, and what Kubernetes says about it."""

    deleted_at: float
    claims: Claims

    def of(self, case: Case) -> Case:
        """The case of an object that is being deleted."""
        state = case.mirror_state
        view = replace(state.view, deleted_at=self.deleted_at)
        return replace(case, mirror_state=replace(state, view=view, claims=self.claims))


def a_deletion(*, deleted_at: float = NOW - 1.0, **claims: object) -> Deletion:
    """A deletion a second ago, for no reason but itself."""
    return Deletion(deleted_at, made(Claims, {}, claims))


def deletion_of(case: Case, deletion: Deletion | None = None) -> Decision:
    """What is decided of a case whose object is being deleted."""
    return decision_of((deletion or a_deletion()).of(case))


def reason_of(decision: Decision) -> Reason | None:
    """The reason a plan tells, None when it keeps the last verdict."""
    return None if decision.verdict is None else decision.verdict.reason


def edit_to(mirror: Desired, config: MirrorConfig) -> ConfigUpdate:
    """The whole difference as one edit, unchecked."""
    live = {table.source for table in config.tables}
    wished = {wish.source for wish in mirror.tables or ()}
    return ConfigUpdate(
        additions=tuple(mapping_of(wish) for wish in mirror.tables or () if wish.source not in live),
        removals=tuple(table for table in config.tables if table.source not in wished),
    )

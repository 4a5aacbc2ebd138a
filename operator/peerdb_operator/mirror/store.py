"""The cache of Mirrors: the newest version of each object, compact, and what this process remembers besides.

Owns the version that a reconcile starts from, and the claims on PeerDB mirrors. Does no I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from peerdb_operator.api.mirror import DeletionPolicy, RunState, mirror_name_of, parse_spec
from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import MirrorStatus, Step
from peerdb_operator.errors import InvalidSpec, KubeConflict
from peerdb_operator.mirror.rules.conditions import ON_THE_WAY
from peerdb_operator.mirror.rules.desired import Desired, desired_from
from peerdb_operator.mirror.rules.flow import answer_to
from peerdb_operator.mirror.rules.history import History
from peerdb_operator.mirror.rules.journal import Journal
from peerdb_operator.mirror.rules.observation import OwnerKind, State
from peerdb_operator.mirror.rules.state import MirrorObject
from peerdb_operator.peerdb.client import name_in_copies
from peerdb_operator.peerdb.redaction import secret_values, without
from peerdb_operator.ports import Pool
from peerdb_operator.telemetry.transition import Subject


@dataclass(slots=True)
class CachedMirror:
    """A Mirror and what this process knows about it. Changed by one reconcile at a time, and by the event handler."""

    view: MirrorObject
    raw_spec: Mapping[str, Any] | None
    history: History = field(default_factory=History)
    journal: Journal | None = None
    """The newest journal; None when another writer wrote the one in status."""
    error: tuple[str, float] | None = None
    peerdb_created_at: str = ""
    observed_at: float = 0.0
    """When the newest observation of a reconcile began."""
    sample_at: float = 0.0
    written_at: float = 0.0
    commanded_at: float = 0.0
    refused_since: float | None = None
    """Since when PeerDB answers reads but takes no command."""
    parted: bool = False
    """Whether the one try to hand the mirror over was made, and its Event recorded."""
    status_write_failing: bool = False
    """Whether the newest write to the object failed: Kubernetes is away, or refuses."""
    journal_overrides: dict[str, Journal] = field(default_factory=dict)
    """Operations by id that status may contain although they were never sent, and the journals that are true instead.

    A write of ours carries its base version, so it can land only while that is the newest: of the writes before the
    newest known version only the one that it contains is of interest.
    """
    pool: Pool = Pool.NORMAL
    """Of the running reconcile, as the queue was answered right before it."""
    busy: bool = False
    known: bool = True
    secrets: frozenset[str] = frozenset()
    """Values of secret settings that the live mirror has, or had while this process knew it."""
    sources: frozenset[str] = frozenset()
    """The live tables, written as PeerDB writes them in the names of copies."""
    base: MirrorObject = field(init=False)
    """The base version of the running reconcile: the newest when it began, or the one that it wrote itself."""
    writing: MirrorStatus | None = None
    """The status on its way to the API server: a watch may deliver it before the answer comes."""
    _desired: Desired | InvalidSpec | None = None
    _last_good: Desired | None = None
    _retains: bool = False
    _state: RunState | None = None
    """The run state of the newest spec, readable or not; that of the spec before if it names none that exists."""

    def __post_init__(self) -> None:
        self.base = self.view

    def wish(self) -> Desired | InvalidSpec:
        """The parsed spec of the present generation; parsing it releases the raw one."""
        if self.raw_spec is not None:
            self._desired, self.raw_spec = self._parse(self.raw_spec), None
        assert self._desired is not None  # noqa: S101 - a cached Mirror begins with a raw spec, and so does every generation
        return self._desired

    def followed(self) -> Desired | InvalidSpec:
        """What a reconcile works towards; ``InvalidSpec`` if nothing of the object can be followed."""
        if self.view.deleted_at is not None:
            return self.desired_for_deletion()
        desired = self.wish()
        return self.desired_run_state() or desired if isinstance(desired, InvalidSpec) else desired

    def desired_for_deletion(self) -> Desired:
        """For a deletion, which an unreadable spec must not block: the last readable one, or leave the mirror alone."""
        desired = self.wish()
        if not isinstance(desired, InvalidSpec):
            return desired
        state = self._state or RunState.PAUSED
        alone = Desired(self.view.mirror, self.view.generation, state, deletion_policy=DeletionPolicy.RETAIN)
        known = alone if self._last_good is None else replace(self._last_good, state=state)
        return replace(known, deletion_policy=DeletionPolicy.RETAIN) if self._retains else known

    def desired_run_state(self) -> Desired | None:
        """What is followed of a spec that cannot be applied: its run state, for a mirror that is ours already.

        A mirror that was paused for an edit of the spec before must not stay paused for ever.
        """
        desired, mirror = self.wish(), self.view.status.mirror_name
        if not isinstance(desired, InvalidSpec) or self._state is None or not mirror or not self.view.has_finalizer:
            return None
        return Desired(mirror, self.view.generation, self._state, invalid=desired.message)

    def hidden_values(self) -> frozenset[str]:
        """Values that no message may repeat: the secrets among the settings of the spec and of the live mirror."""
        return self.secrets | secret_values(dict(self.desired_for_deletion().settings))

    def without_secrets(self, text: str) -> str:
        """A text of PeerDB without ``hidden_values``."""
        return without(text, self.hidden_values())

    def shown_error(self) -> tuple[str, float] | None:
        """``error`` as it may be shown."""
        return None if self.error is None else (self.without_secrets(self.error[0]), self.error[1])

    def current_journal(self) -> Journal:
        """The journal: this process's own, or what status carries, which is its own from now on."""
        self.journal = self._known_journal()
        return self.journal

    def _known_journal(self) -> Journal:
        """The same without a change: a reconcile must still see that another writer wrote the journal meanwhile."""
        if self.journal is not None:
            return self.journal
        read = Journal.of(self.view.status)
        return read if read.operation is None else self.journal_overrides.get(read.operation.id, read)

    @property
    def must_resume(self) -> bool:
        """Whether the mirror should run and stops, or has stopped, until a reconcile of ours edits or resumes it."""
        operation, owner, history = self._known_journal().operation, self.history.owner, self.history
        if (
            self.view.frozen
            or not self.view.has_finalizer
            or (owner is not None and owner[1].kind is not OwnerKind.OURS)
        ):
            return False
        pausing = operation is not None and operation.step is Step.PAUSE
        # A new process has the state from status, in ``paused_since``, until it has observed the mirror itself.
        stopped = history.word in {State.PAUSING, State.PAUSED} or (
            history.word is None and history.paused_since is not None
        )
        return self.desired_for_deletion().wants_running and (pausing or stopped)

    @property
    def subject(self) -> Subject:
        """What telemetry calls the object."""
        view = self.view
        return Subject(view.namespace, view.name, view.uid, view.generation, view.version, view.mirror)

    @property
    def is_looked_at(self) -> bool:
        """Whether its reconciles ask PeerDB at all."""
        if self.view.frozen:
            return False
        return not isinstance(self.followed(), InvalidSpec)

    @property
    def intent_holds(self) -> bool:
        """Whether the intent of the object is still that of the running reconcile's base."""
        return self.known and self.view.intent == self.base.intent

    def require_intent(self) -> None:
        """Raise ``KubeConflict`` if a command of the running reconcile would follow an intent that is given up."""
        if not self.intent_holds:
            raise KubeConflict(f"{self.view.key} has changed during its reconcile")

    def require_base(self) -> None:
        """Raise ``KubeConflict``, as the API server would, if the object is not at the base version any more."""
        if self.view.version != self.base.version:
            raise KubeConflict(f"{self.view.key} has changed during its reconcile")

    def _parse(self, raw: Mapping[str, Any]) -> Desired | InvalidSpec:
        try:
            spec = parse_spec(raw)
            desired = desired_from(spec, mirror_name_of(self.view.name, spec), self.view.generation)
        except InvalidSpec as error:
            self._retains = raw.get("deletionPolicy") == DeletionPolicy.RETAIN
            given = str(raw.get("state", RunState.RUNNING))
            self._state = RunState(given) if given in set(RunState) else self._state
            return error
        self._last_good, self._state = desired, desired.state
        return desired


def recalled(view: MirrorObject) -> History:
    """What a new process takes from the status: which mirror it is about, and what is proven of it.

    Also since when the mirror has been PAUSED although it should run. For that the status must report on this
    generation, or on a step that is only taken for a mirror that is to run.
    """
    status = view.status
    known = History(created_at=status.created_at or "")
    if status.created_at and status.flow is not None and status.flow.verdict == Reason.MIRROR_ORPHANED:
        state = (status.state or "").upper()
        known = replace(known, orphaned=True, orphaned_word=state, sent_at=status.flow.since)
    if status.flow is not None and status.flow.verdict == Reason.RUNNING and status.last_error is not None:
        known = replace(known, batch_end=answer_to(status.last_error.time))
    if status.state != "Paused" or (
        status.observed_generation != view.generation and status.ready_reason not in ON_THE_WAY
    ):
        return known
    return replace(known, paused_since=status.state_since)


class MirrorStore:
    """The Mirrors by uid, by namespace and name, and by the PeerDB mirror they claim."""

    def __init__(self, forget: Callable[[str], object] | None = None) -> None:
        """``forget``: forgets the object with this uid, since a newer one bears its name."""
        self._forget = forget or self.remove
        self._entries: dict[str, CachedMirror] = {}
        self._uids: dict[str, str] = {}
        self._claims: dict[str, set[str]] = {}
        self._copied_as: dict[str, set[str]] = {}

    def __iter__(self) -> Iterator[CachedMirror]:
        return iter(list(self._entries.values()))

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, uid: str) -> CachedMirror | None:
        """The cached Mirror with this uid."""
        return self._entries.get(uid)

    def claimants(self, mirror: str) -> list[CachedMirror]:
        """All Mirrors for one PeerDB mirror."""
        return [self._entries[uid] for uid in sorted(self._claims.get(mirror, ()))]

    def copied_as(self, name: str) -> list[CachedMirror]:
        """All Mirrors whose PeerDB mirror is called so within the names of its copies."""
        return [self._entries[uid] for uid in sorted(self._copied_as.get(name, ()))]

    def update_from_watch(self, body: Mapping[str, Any]) -> bool:
        """Update from a version of an object; True when it needs a reconcile."""
        meta = body["metadata"]
        entry = self._entries.get(meta["uid"])
        if entry is not None and int(meta["resourceVersion"]) <= entry.view.version:
            return False  # also each write of ours, which its answer has shown before
        view = MirrorObject.of(body)
        if entry is None:
            return self._add(view, body)
        older = entry.view
        self._renew(entry, view, body)
        if view.requested_at != older.requested_at:
            entry.sample_at = 0.0
        if view.status in (older.status, entry.writing):
            return view.needs_reconcile(older)
        _follow_journal(entry, older)
        return True

    def restore(self, body: Mapping[str, Any], instead_of: int) -> bool:
        """Take what the API server has in the place of version ``instead_of``, which is higher; True if it was taken.

        Versions of an object go back only when the API server's data is restored from a backup. Whatever was read since
        ``instead_of`` counts as always.
        """
        view = MirrorObject.of(body)
        entry = self._entries.get(view.uid)
        if entry is None or entry.view.version != instead_of:
            return self.update_from_watch(body)
        older = entry.view
        self._renew(entry, view, body)
        entry.raw_spec = _spec(body)  # one generation may name two specs, before the backup and after it
        entry.history = replace(entry.history, blocked=None, precheck=None)
        entry.sample_at = 0.0
        _follow_journal(entry, older)
        return True

    def update_from_write(self, entry: CachedMirror, body: Mapping[str, Any]) -> None:
        """Take the answer to a write of ours as the newest version; what we remember stays."""
        view = MirrorObject.of(body)
        if view.version >= entry.view.version:
            self._renew(entry, view, body)
        entry.base = view

    def remove(self, uid: str) -> CachedMirror | None:
        """Forget an object."""
        entry = self._entries.pop(uid, None)
        if entry is not None:
            entry.known = False
            self._unclaim(entry.view)
            if self._uids.get(entry.view.key) == uid:
                del self._uids[entry.view.key]
        return entry

    def older_claim(self, entry: CachedMirror) -> str | None:
        """namespace/name of an older live Mirror for the same PeerDB mirror."""
        mine = _rank(entry.view)
        for other in self.claimants(entry.view.mirror):
            if other.view.deleted_at is None and _rank(other.view) < mine:
                return other.view.key
        return None

    def successor(self, entry: CachedMirror) -> str | None:
        """namespace/name of another live Mirror for the same PeerDB mirror."""
        for other in self.claimants(entry.view.mirror):
            if other is not entry and other.view.deleted_at is None:
                return other.view.key
        return None

    def _add(self, view: MirrorObject, body: Mapping[str, Any]) -> bool:
        namesake = self._entries.get(self._uids.get(view.key, ""))
        if namesake is not None and namesake.view.version >= view.version:
            return False  # an old read of an object whose name another one bears by now
        if namesake is not None:
            self._forget(namesake.view.uid)
        self._entries[view.uid] = CachedMirror(
            view,
            _spec(body),
            history=recalled(view),
            error=_known_error(view),
            peerdb_created_at=view.status.created_at or "",
        )
        self._uids[view.key] = view.uid
        self._claim(view)
        return True

    def _renew(self, entry: CachedMirror, view: MirrorObject, body: Mapping[str, Any]) -> None:
        """Put a newer version in the place of the older one."""
        older, entry.view = entry.view, view
        operation, error = view.status.operation, _known_error(view)
        if error is not None and (entry.error is None or error[1] > entry.error[1]):
            entry.error = error  # another process has read it in the log and written it
        entry.journal_overrides = {
            known: entry.journal_overrides[known]
            for known in entry.journal_overrides
            if operation and known == operation.id
        }
        if view.generation != older.generation:
            entry.raw_spec = _spec(body)
        if view.mirror != older.mirror and entry.known:
            self._unclaim(older)
            self._claim(view)

    def _claim(self, view: MirrorObject) -> None:
        for index, name in self._indexes(view):
            index.setdefault(name, set()).add(view.uid)

    def _unclaim(self, view: MirrorObject) -> None:
        for index, name in self._indexes(view):
            uids = index.get(name, set())
            uids.discard(view.uid)
            if not uids:
                index.pop(name, None)

    def _indexes(self, view: MirrorObject) -> tuple[tuple[dict[str, set[str]], str], ...]:
        return ((self._claims, view.mirror), (self._copied_as, name_in_copies(view.mirror)))


def _follow_journal(entry: CachedMirror, older: MirrorObject) -> None:
    """Follow the journal in status if another writer wrote it.

    A status that was wiped altogether proves nothing: what this process knows stays.
    """
    was, now = older.status, entry.view.status
    if now.ready is not None and (now.operation, now.bounds) != (was.operation, was.bounds):
        entry.journal = None


def _rank(view: MirrorObject) -> tuple[float, str]:
    """The order of claims on a mirror without an owner tag."""
    return (view.created_at, view.uid)


def _spec(body: Mapping[str, Any]) -> Mapping[str, Any]:
    spec = body.get("spec")
    return spec if isinstance(spec, Mapping) else {}


def _known_error(view: MirrorObject) -> tuple[str, float] | None:
    known = view.status.last_error
    return None if known is None else (known.message, known.time)

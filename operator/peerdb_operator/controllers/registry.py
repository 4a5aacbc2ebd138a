"""All Mirrors that the watched namespaces hold, as compact projections, and what is remembered of each.

Owns the view of Kubernetes and the claims of Mirrors on PeerDB mirrors. Does no I/O. An older version of an object
never replaces a newer one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from peerdb_operator.api.constants import ANNOTATION_RECONCILE, ANNOTATION_REQUESTED_AT, FINALIZER
from peerdb_operator.api.mirror import DeletionPolicy, mirror_name_of, parse_spec
from peerdb_operator.api.naming import default_mirror_name
from peerdb_operator.api.status import MirrorStatus, read_status
from peerdb_operator.api.times import parse_time
from peerdb_operator.core.desired import Desired, desired_from
from peerdb_operator.core.journal import Journal
from peerdb_operator.core.ledger import read_journal
from peerdb_operator.core.memory import Memory
from peerdb_operator.errors import InvalidSpec

DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class View:
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
    mirror: str
    status: MirrorStatus

    @property
    def key(self) -> str:
        """namespace/name."""
        return f"{self.namespace}/{self.name}"

    @property
    def has_finalizer(self) -> bool:
        """Whether our finalizer holds the object."""
        return FINALIZER in self.finalizers

    def asks_for_a_pass(self, older: View) -> bool:
        """Whether a newer version says something that our own writes do not explain."""
        mine = (self.generation, self.deleted_at, self.has_finalizer, self.frozen, self.requested_at, self.status)
        return mine != (
            older.generation,
            older.deleted_at,
            older.has_finalizer,
            older.frozen,
            older.requested_at,
            older.status,
        )


@dataclass(slots=True)
class Entry:
    """A Mirror and what this process knows about it. Changed by one pass at a time, and by the event handler."""

    view: View
    raw_spec: Mapping[str, Any] | None
    memory: Memory = field(default_factory=Memory)
    journal: Journal | None = None
    error: tuple[str, float] | None = None
    peerdb_created_at: str = ""
    sample_at: float = 0.0
    written_at: float = 0.0
    commanded_at: float = 0.0
    busy: bool = False
    sources: frozenset[str] = frozenset()
    told: tuple[str, str] | None = None
    _wish: tuple[int, Desired | InvalidSpec] | None = None
    _last_good: Desired | None = None

    def wish(self) -> Desired | InvalidSpec:
        """The parsed spec of the present generation; the raw one is let go once it is parsed."""
        if self._wish is None or self._wish[0] != self.view.generation or self.raw_spec is not None:
            self._wish = (self.view.generation, self._parse(self.raw_spec or {}))
            self.raw_spec = None
        return self._wish[1]

    def parting_wish(self) -> Desired:
        """For a deletion, which an unreadable spec must not block: the last readable one, or leave the mirror alone."""
        wish = self.wish()
        if not isinstance(wish, InvalidSpec):
            return wish
        return self._last_good or Desired(self.view.mirror, self.view.generation, deletion_policy=DeletionPolicy.RETAIN)

    def current_journal(self) -> Journal:
        """The journal: this process's own, or what status carries."""
        if self.journal is None:
            self.journal = read_journal(self.view.status)
        return self.journal

    def _parse(self, raw: Mapping[str, Any]) -> Desired | InvalidSpec:
        try:
            spec = parse_spec(raw)
            wish = desired_from(spec, mirror_name_of(self.view.name, spec), self.view.generation)
        except InvalidSpec as error:
            return error
        self._last_good = wish
        return wish


class Registry:
    """The Mirrors by uid."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._claims: dict[str, set[str]] = {}

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, uid: str) -> Entry | None:
        """The entry of one object."""
        return self._entries.get(uid)

    def claimants(self, mirror: str) -> list[Entry]:
        """All Mirrors for one PeerDB mirror."""
        return [self._entries[uid] for uid in sorted(self._claims.get(mirror, ()))]

    def take_in(self, body: Mapping[str, Any]) -> bool:
        """Project a version of an object; True when it asks for a pass."""
        view = project(body)
        entry = self._entries.get(view.uid)
        if entry is None:
            self._entries[view.uid] = Entry(view, _spec(body), error=_known_error(view))
            self._claims.setdefault(view.mirror, set()).add(view.uid)
            return True
        if view.version <= entry.view.version:
            return False
        older, entry.view = entry.view, view
        if view.generation != older.generation:
            entry.raw_spec = _spec(body)
        if (view.status.operation, view.status.bounds) != (older.status.operation, older.status.bounds):
            entry.journal = None
        return view.asks_for_a_pass(older)

    def wrote(self, entry: Entry, body: Mapping[str, Any]) -> None:
        """Take the answer to a write of ours as the newest version; what we remember stays."""
        view = project(body)
        if view.version >= entry.view.version:
            if view.generation != entry.view.generation:
                entry.raw_spec = _spec(body)
            entry.view = view

    def remove(self, uid: str) -> Entry | None:
        """Forget an object."""
        entry = self._entries.pop(uid, None)
        if entry is not None:
            claims = self._claims.get(entry.view.mirror, set())
            claims.discard(uid)
            if not claims:
                self._claims.pop(entry.view.mirror, None)
        return entry

    def older_claim(self, entry: Entry) -> str | None:
        """namespace/name of an older live Mirror for the same PeerDB mirror."""
        mine = (entry.view.created_at, entry.view.uid)
        for other in self.claimants(entry.view.mirror):
            if other.view.deleted_at is None and (other.view.created_at, other.view.uid) < mine:
                return other.view.key
        return None

    def heir(self, entry: Entry) -> str | None:
        """namespace/name of another live Mirror for the same PeerDB mirror."""
        for other in self.claimants(entry.view.mirror):
            if other is not entry and other.view.deleted_at is None:
                return other.view.key
        return None


def project(body: Mapping[str, Any]) -> View:
    """The projection of an object; O(1) in the number of its tables."""
    meta = body["metadata"]
    annotations = meta.get("annotations") or {}
    deleted = meta.get("deletionTimestamp")
    return View(
        uid=meta["uid"],
        namespace=meta["namespace"],
        name=meta["name"],
        version=int(meta["resourceVersion"]),
        generation=int(meta.get("generation", 0)),
        created_at=parse_time(meta["creationTimestamp"]),
        deleted_at=None if deleted is None else parse_time(deleted),
        finalizers=tuple(meta.get("finalizers") or ()),
        frozen=annotations.get(ANNOTATION_RECONCILE) == DISABLED,
        requested_at=annotations.get(ANNOTATION_REQUESTED_AT),
        mirror=_mirror_name(meta["name"], body.get("spec")),
        status=read_status(body.get("status")),
    )


def _mirror_name(name: str, spec: object) -> str:
    given = spec.get("mirrorName") if isinstance(spec, Mapping) else None
    return given if isinstance(given, str) and given else (default_mirror_name(name) or "")


def _spec(body: Mapping[str, Any]) -> Mapping[str, Any]:
    spec = body.get("spec")
    return spec if isinstance(spec, Mapping) else {}


def _known_error(view: View) -> tuple[str, float] | None:
    known = view.status.last_error
    return None if known is None else (known.message, known.time)

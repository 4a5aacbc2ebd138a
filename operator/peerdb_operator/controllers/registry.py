"""All Mirrors that the watched namespaces hold, and their claims on PeerDB mirrors.

Owns the view of Kubernetes: an older version of an object never replaces a newer one, unless the API server itself has
gone back (``restore``), and a journal that somebody else has written replaces ours. Does no I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from peerdb_operator.clients.peerdb import name_in_copies
from peerdb_operator.controllers.entry import Entry, View, project


class Registry:
    """The Mirrors by uid, by namespace and name, and by the PeerDB mirror they claim."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._uids: dict[str, str] = {}
        self._claims: dict[str, set[str]] = {}
        self._copied_as: dict[str, set[str]] = {}

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

    def copied_as(self, name: str) -> list[Entry]:
        """All Mirrors whose PeerDB mirror is called so within the names of its copies."""
        return [self._entries[uid] for uid in sorted(self._copied_as.get(name, ()))]

    def take_in(self, body: Mapping[str, Any]) -> bool:
        """Project a version of an object; True when it asks for a pass."""
        view = project(body)
        entry = self._entries.get(view.uid)
        if entry is None:
            return self._add(view, body)
        if view.version <= entry.view.version:
            return False
        older = entry.view
        self._renew(entry, view, body)
        if view.requested_at != older.requested_at:
            entry.sample_at = 0.0
        if view.status in (older.status, entry.writing):
            return view.asks_for_a_pass(older)
        _follow_journal(entry, older)
        return True

    def restore(self, body: Mapping[str, Any], instead_of: int) -> bool:
        """Take what the API server has in the place of version ``instead_of``, which is higher; True if it was taken.

        Versions of an object go back only when the API server's data is restored from a backup. Whatever was read since
        ``instead_of`` counts as always.
        """
        view = project(body)
        entry = self._entries.get(view.uid)
        if entry is None or entry.view.version != instead_of:
            return self.take_in(body)
        older = entry.view
        self._renew(entry, view, body)
        entry.raw_spec = _spec(body)  # one generation may stand for two specs, before the backup and after it
        entry.memory = replace(entry.memory, withheld=None, precheck=None)
        entry.sample_at = 0.0
        _follow_journal(entry, older)
        return True

    def wrote(self, entry: Entry, body: Mapping[str, Any]) -> None:
        """Take the answer to a write of ours as the newest version; what we remember stays."""
        view = project(body)
        if view.version >= entry.view.version:
            self._renew(entry, view, body)
        entry.basis = view

    def remove(self, uid: str) -> Entry | None:
        """Forget an object."""
        entry = self._entries.pop(uid, None)
        if entry is not None:
            entry.known = False
            self._unclaim(entry.view)
            if self._uids.get(entry.view.key) == uid:
                del self._uids[entry.view.key]
        return entry

    def older_claim(self, entry: Entry) -> str | None:
        """namespace/name of an older live Mirror for the same PeerDB mirror."""
        mine = _rank(entry.view)
        for other in self.claimants(entry.view.mirror):
            if other.view.deleted_at is None and _rank(other.view) < mine:
                return other.view.key
        return None

    def heir(self, entry: Entry) -> str | None:
        """namespace/name of another live Mirror for the same PeerDB mirror."""
        for other in self.claimants(entry.view.mirror):
            if other is not entry and other.view.deleted_at is None:
                return other.view.key
        return None

    def _add(self, view: View, body: Mapping[str, Any]) -> bool:
        namesake = self._entries.get(self._uids.get(view.key, ""))
        if namesake is not None and namesake.view.version >= view.version:
            return False  # an old read of an object whose name another one bears by now
        if namesake is not None:
            self.remove(namesake.view.uid)
        self._entries[view.uid] = Entry(view, _spec(body), error=_known_error(view))
        self._uids[view.key] = view.uid
        self._claim(view)
        return True

    def _renew(self, entry: Entry, view: View, body: Mapping[str, Any]) -> None:
        """Put a newer version in the place of the older one."""
        older, entry.view = entry.view, view
        operation = view.status.operation
        entry.unsent = {known: entry.unsent[known] for known in entry.unsent if operation and known == operation.id}
        if view.generation != older.generation:
            entry.raw_spec = _spec(body)
        if view.mirror != older.mirror and entry.known:
            self._unclaim(older)
            self._claim(view)

    def _claim(self, view: View) -> None:
        for index, name in self._indexes(view):
            index.setdefault(name, set()).add(view.uid)

    def _unclaim(self, view: View) -> None:
        for index, name in self._indexes(view):
            uids = index.get(name, set())
            uids.discard(view.uid)
            if not uids:
                index.pop(name, None)

    def _indexes(self, view: View) -> tuple[tuple[dict[str, set[str]], str], ...]:
        return ((self._claims, view.mirror), (self._copied_as, name_in_copies(view.mirror)))


def _follow_journal(entry: Entry, older: View) -> None:
    """Let the journal in status count if somebody else wrote it.

    A status that was wiped altogether tells nothing: what this process knows stays.
    """
    was, now = older.status, entry.view.status
    if now.ready is not None and (now.operation, now.bounds) != (was.operation, was.bounds):
        entry.journal = None


def _rank(view: View) -> tuple[float, str]:
    """What orders the claims on a mirror that nobody owns."""
    return (view.created_at, view.uid)


def _spec(body: Mapping[str, Any]) -> Mapping[str, Any]:
    spec = body.get("spec")
    return spec if isinstance(spec, Mapping) else {}


def _known_error(view: View) -> tuple[str, float] | None:
    known = view.status.last_error
    return None if known is None else (known.message, known.time)

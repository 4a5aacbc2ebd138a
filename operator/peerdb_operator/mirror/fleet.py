"""What one tick of the fleet observer means for each Mirror.

Owns the comparison of PeerDB's list with what passes saw last, and which log row belongs to which mirror. A difference
only wakes an object: decisions rest on a look of their own pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from peerdb_operator.api.times import parse_time
from peerdb_operator.mirror.rules.conditions import AWAY
from peerdb_operator.mirror.rules.limits import Limits
from peerdb_operator.mirror.store import CachedMirror, MirrorStore
from peerdb_operator.peerdb.client import ListedMirror, LogRow
from peerdb_operator.ports import FleetPoll

CLONE = "clone_"
RUN_ID = re.compile(r"_[0-9a-f]{8}_[0-9a-f]{4}_[0-9a-f]{4}_[0-9a-f]{4}_[0-9a-f]{12}$")
ROUNDING_MS = 1
"""By how much two forms of one createdAt may differ; no mirror is dropped and created within it."""
ERROR_LENGTH = 500


class FleetReader:
    """Turns ticks into wake-ups."""

    def __init__(self, registry: MirrorStore, limits: Limits) -> None:
        self._registry = registry
        self._limits = limits
        self._marked: set[str] = set()
        self._blinded: set[str] = set()
        """For whom a failed tick, not a look of their own, has begun the outage."""
        self.answered_at = float("-inf")
        """When the newest list was asked for that PeerDB has answered."""

    def mark(self, uids: Iterable[str]) -> None:
        """Wake these at the next tick, whatever it shows."""
        self._marked.update(uids)

    def update_from_watch(self, look: FleetPoll, now: float) -> list[str]:
        """The uids to wake after one tick."""
        woken, self._marked = self._marked, set()
        woken.update(self._errors(look.log_rows, now))
        if look.mirrors is None:
            woken.update(self._outage(look, now))
        else:
            self.answered_at = look.began_at
            rows = {row.name: row for row in look.mirrors}
            for entry in self._awake():
                if look.began_at <= entry.commanded_at:
                    continue
                row = rows.get(entry.view.mirror)
                self._forget_outage(entry)
                if look.began_at >= entry.observed_at and row is not None and _is_another(entry, row):
                    entry.history, entry.sample_at = replace(entry.history, replaced=True), 0.0
                    woken.add(entry.view.uid)
                elif _surprises(entry, row):
                    woken.add(entry.view.uid)
            self._blinded.clear()
        return sorted(woken)

    def _awake(self) -> list[CachedMirror]:
        """Whose passes look at PeerDB, and are not doing so at this moment."""
        return [entry for entry in self._registry if not entry.busy and entry.is_looked_at]

    def _forget_outage(self, entry: CachedMirror) -> None:
        """An outage that nobody was told of, and that no look of the Mirror's own has met, ends without a trace."""
        if entry.view.uid in self._blinded and not _has_told(entry, long=False):
            entry.history = replace(entry.history, unknown_since=None)

    def _outage(self, look: FleetPoll, now: float) -> list[str]:
        """PeerDB cannot be asked: everybody's clock of the outage starts, and who has not told it in time is woken."""
        if look.error is None:
            return []
        late = []
        for entry in self._awake():
            if entry.history.unknown_since is None:
                entry.history = replace(entry.history, unknown_since=now, streak=None, not_found_since=None)
                self._blinded.add(entry.view.uid)
            lasts = now - (entry.history.unknown_since or now)
            if lasts >= self._limits.outage_quiet and not _has_told(entry, long=lasts >= self._limits.outage_unknown):
                late.append(entry.view.uid)
        return late

    def _errors(self, rows: Iterable[LogRow], now: float) -> list[str]:
        woken = []
        window = self._limits.error_window
        for row in rows:
            # A clock of PeerDB's that is ahead of ours must not make an error the newest for ever.
            at = min(row.time, now)
            for entry in self._owners(row.mirror_name):
                fresh = entry.error is not None and now - entry.error[1] < window
                if entry.error is None or at >= entry.error[1]:
                    entry.error = (" ".join(entry.without_secrets(row.message).split())[:ERROR_LENGTH], at)
                if not fresh and now - at < window:
                    woken.append(entry.view.uid)
        return woken

    def _owners(self, name: str) -> list[CachedMirror]:
        """The Mirrors whose own log this row is: named like the mirror, or like a copy of one of its tables."""
        exact = self._registry.claimants(name)
        if exact or not name.startswith(CLONE) or not RUN_ID.search(name):
            return exact
        body = RUN_ID.sub("", name.removeprefix(CLONE))
        cuts = [place for place, letter in enumerate(body) if letter == "_"]
        return [
            entry for cut in cuts for entry in self._registry.copied_as(body[:cut]) if body[cut + 1 :] in entry.sources
        ]


def _surprises(entry: CachedMirror, row: ListedMirror | None) -> bool:
    """Whether the list shows something else than the newest look of a pass."""
    if entry.history.unknown_since is not None:
        return True
    if row is None:
        return entry.view.status.state != "Missing"
    return row.state != entry.history.word


def _is_another(entry: CachedMirror, row: ListedMirror) -> bool:
    """Whether the list shows another mirror under the name than the one seen last."""
    known = _milliseconds(entry.peerdb_created_at)
    return known is not None and abs(row.created_at_ms - known) > ROUNDING_MS


def _milliseconds(created_at: str) -> int | None:
    """A createdAt as the list has it: microseconds cut off; None for a text that is no time."""
    try:
        return round(parse_time(created_at) * 1e6) // 1000
    except ValueError:
        return None


def _has_told(entry: CachedMirror, *, long: bool) -> bool:
    conditions = {condition.type: condition for condition in entry.view.status.conditions}
    synced, ready = conditions.get("Synced"), conditions.get("Ready")
    if synced is None or ready is None or synced.reason not in AWAY:
        return False
    return not long or ready.status.value == "Unknown"

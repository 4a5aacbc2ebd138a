"""``mirrors/cdc/batches``: what a mirror has carried over, and what it is about to.

As recorded: newest first; the batch under way is there with ``endTime`` null; a batch that is synced and not yet in the
destination has rows, an ``endLsn`` and no ``endTime``. An unknown name is 200 and empty. ``afterId`` alone is empty,
with ``beforeId`` -1 it gives the oldest after it, newest first; ``ascending`` turns a page round. Batches survive the
mirror (PeerDB v0.37 flow/cmd/mirror_status.go CDCBatches).

They are made up when they are asked for, or when something changes for the mirror: no timer runs for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from tests.harness.peerdb.catalog import rfc3339
from tests.harness.peerdb.values import Reply, json_reply

MOST_AT_ONCE = 200
ROWS = 5
LSN = 142_944_144


@dataclass(slots=True)
class Batch:
    """One batch; ``end`` None: not in the destination yet. A batch that was never synced has no rows."""

    id: int
    start: float
    end: float | None = None
    rows: int = 0


@dataclass(slots=True)
class Flow:
    """The batches under one name, oldest first; ``at`` is up to when they are made up."""

    at: float
    batches: list[Batch] = field(default_factory=list)


class Batches:
    """The batches of all mirrors. ``flows`` says whether rows come and go, ``stuck`` whether they stay in between."""

    def __init__(
        self, now: Callable[[], float], seconds: Callable[[], float], flows: Callable[[str], bool],
        stuck: Callable[[str], bool],
    ) -> None:  # fmt: skip
        self._now, self._seconds, self._is_flowing, self._is_stuck = now, seconds, flows, stuck
        self._by_name: dict[str, Flow] = {}

    def begin(self, name: str) -> None:
        """A mirror of this name is there from now on."""
        self.catch_up(name)
        self._by_name.setdefault(name, Flow(self._now())).at = self._now()

    def forget(self, name: str) -> None:
        """The statistics go with the mirror."""
        self._by_name.pop(name, None)

    def catch_up(self, name: str) -> None:
        """Make up what has ended since the last time, as things stand until now."""
        flow, now, period = self._by_name.get(name), self._now(), self._seconds()
        if flow is None:
            return
        if self._is_flowing(name):
            flow.at = max(flow.at, now - MOST_AT_ONCE * period)
            while flow.at + period <= now:
                flow.at += period
                self._end(flow, flow.at - period, None if self._is_stuck(name) else flow.at, ROWS)
        else:
            flow.at = now

    def catch_up_all(self) -> None:
        """The same for every mirror."""
        for name in self._by_name:
            self.catch_up(name)

    def finish(self, name: str, rows: int = 1) -> None:
        """Some rows have just come through."""
        self.catch_up(name)
        flow = self._by_name.setdefault(name, Flow(self._now()))
        self._end(flow, flow.at, self._now(), rows)
        flow.at = self._now()

    def _end(self, flow: Flow, start: float, end: float | None, rows: int) -> None:
        if end is not None:
            for batch in flow.batches:
                batch.end = end if batch.end is None else batch.end
        flow.batches.append(Batch(len(flow.batches) + 1, start, end, rows))

    def newest_end(self, name: str) -> float | None:
        """When the newest batch that ended did so."""
        self.catch_up(name)
        flow = self._by_name.get(name)
        return None if flow is None else max((one.end for one in flow.batches if one.end is not None), default=None)

    def handle(self, message: Mapping[str, object]) -> Reply:
        """Answer one request."""
        name = str(message.get("flowJobName", ""))
        self.catch_up(name)
        numbers = {key: cast("int", message.get(key, 0)) for key in ("limit", "beforeId", "afterId")}
        known = self._all(name)
        shown = _page(known, numbers["limit"], numbers["beforeId"], numbers["afterId"])
        ascending = bool(message.get("ascending"))
        if ascending:
            shown = shown[::-1]
        beside = [one for one in known if shown and (one.id < shown[0].id if ascending else one.id > shown[0].id)]
        page = len(beside) // numbers["limit"] + 1 if numbers["limit"] else 0
        return json_reply({"cdcBatches": [_wire(one) for one in shown], "total": len(known), "page": page})

    def _all(self, name: str) -> list[Batch]:
        flow = self._by_name.get(name)
        if flow is None:
            return []
        under_way = [Batch(len(flow.batches) + 1, flow.at)] if self._is_flowing(name) else []
        return [*flow.batches, *under_way]


def _page(known: list[Batch], limit: int, before: int, after: int) -> list[Batch]:
    if before == -1 and after not in {0, -1}:
        return [one for one in known if one.id > after][:limit][::-1]
    if after not in {0, -1}:
        return []
    older = [one for one in known if before in {0, -1} or one.id < before]
    return older[::-1][:limit]


def _wire(batch: Batch) -> Mapping[str, object]:
    return {
        "startLsn": "0",
        "endLsn": str(LSN + 14_888 * batch.id) if batch.rows else "0",
        "numRows": str(batch.rows),
        "startTime": rfc3339(batch.start),
        "endTime": None if batch.end is None else rfc3339(batch.end),
        "batchId": str(batch.id),
    }

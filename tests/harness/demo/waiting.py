"""Waiting until a step has converged, with the live table before one's eyes, or saying why it has not.

Owns the polling, the time-out, and the report of a step that failed. What a step expects is the affair of ``walk`` and
``real``.
"""

import json
import time
from collections.abc import Callable
from typing import Any

from tests.harness.demo.cluster import RESOURCE, Cluster
from tests.harness.demo.live import LiveTable
from tests.harness.demo.screen import Screen
from tests.harness.operator_process import RunningOperator

POLL_SECONDS = 0.4
RECHECK_SECONDS = 1.0
LOG_LINES = 15

Check = Callable[[], str | None]
"""None when what is expected holds, else what is there instead."""


class NotConvergedError(Exception):
    """A step did not come true in time; the message is a report for the person at the terminal."""


class Watcher:
    """Shows the Mirrors and waits for what a step expects."""

    def __init__(self, cluster: Cluster, operator: RunningOperator, screen: Screen, seconds: float) -> None:
        """``seconds`` is how long one step may take."""
        self.cluster = cluster
        self._operator = operator
        self._screen = screen
        self._seconds = seconds
        self._table = LiveTable(self._wide, screen)

    def step(self, title: str, why: str) -> None:
        """A new step begins."""
        self._screen.step(title, why)
        self._table.begin()

    def poll(self) -> bool:
        """Show what has changed; returns whether something has."""
        return self._table.poll()

    def until(self, expected: str, *checks: Check) -> None:
        """Wait until all checks hold together. Raises NotConvergedError with everything one needs to see why."""
        began = checked = time.monotonic()
        missing: str | None = "nothing was looked at yet"
        with self._screen.waiting(f"waiting: {expected} (at most {self._seconds:.0f} s)"):
            while missing is not None:
                now = time.monotonic()
                if self.poll() or now - checked >= RECHECK_SECONDS:
                    missing, checked = _first(checks), now
                if missing is not None:
                    self._give_up_on(expected, missing, now - began)
                    time.sleep(POLL_SECONDS)
        self.poll()
        self._screen.good(f"{expected} ({time.monotonic() - began:.1f} s)")

    def mirror(self, name: str) -> dict[str, Any] | None:
        """The object as the API server has it; None when there is none."""
        found = self.cluster.kubectl("get", RESOURCE, name, "--ignore-not-found", "--output=json").stdout
        return json.loads(found) if found.strip() else None

    def shows(self, name: str, reason: str, *, synced: str = "True", tables: str | None = None) -> Check:
        """A check: the status speaks of the newest spec, Ready=True for this reason, Synced and tables as given."""

        def check() -> str | None:
            found = self.mirror(name)
            if found is None:
                return f"there is no Mirror {name}"
            wanted = [found["metadata"]["generation"], "True", reason, synced]
            seen = [*_seen(found)]
            summary = found.get("status", {}).get("tables", {}).get("summary")
            if tables is not None:
                wanted, seen = [*wanted, tables], [*seen, summary]
            return (
                None
                if wanted == seen
                else f"{name}: generation, Ready, reason, Synced, tables are {seen}, not {wanted}"
            )

        return check

    def gone(self, name: str) -> Check:
        """A check: the object is gone."""
        return lambda: None if self.mirror(name) is None else f"the Mirror {name} is still there"

    def _wide(self) -> str:
        return self.cluster.kubectl("get", RESOURCE, "--output=wide").stdout

    def _give_up_on(self, expected: str, missing: str, waited: float) -> None:
        if waited >= self._seconds:
            raise NotConvergedError(self._report(f"expected: {expected}; after {waited:.0f} s: {missing}"))
        if not self._operator.running():
            raise NotConvergedError(self._report(f"expected: {expected}; but the operator has ended"))

    def _report(self, sentence: str) -> str:
        items = json.loads(self.cluster.kubectl("get", RESOURCE, "--output=json", check=False).stdout or "{}")
        told = [line for item in items.get("items", []) for line in _conditions(item)]
        log = self._operator.lines()[-LOG_LINES:] or ["(nothing)"]
        return "\n".join([f"Not converged. {sentence}", *told, "The operator's last log lines:", *log])


def _first(checks: tuple[Check, ...]) -> str | None:
    return next((missing for missing in (check() for check in checks) if missing is not None), None)


def _seen(found: dict[str, Any]) -> list[Any]:
    status = found.get("status", {})
    conditions = {one["type"]: one for one in status.get("conditions", [])}
    ready, synced = conditions.get("Ready", {}), conditions.get("Synced", {})
    return [status.get("observedGeneration"), ready.get("status"), ready.get("reason"), synced.get("status")]


def _conditions(item: dict[str, Any]) -> list[str]:
    metadata, status = item["metadata"], item.get("status", {})
    state = status.get("state", "nothing")
    head = f"Conditions of {metadata['name']} (generation {metadata['generation']}, PeerDB says {state}):"
    told = [
        f"  {one['type']}={one['status']} {one['reason']} (generation {one['observedGeneration']}): {one['message']}"
        for one in status.get("conditions", [])
    ]
    return [head, *(told or ["  (none)"])]

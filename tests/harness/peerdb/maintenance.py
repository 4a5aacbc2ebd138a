"""PeerDB's own maintenance run: it pauses every running mirror, again and again, and resumes what it paused.

Follows PeerDB v0.37 flow/activities/maintenance_activity.go PauseMirrorIfRunning: a pause is sent every 10 s until the
mirror is PAUSED, so a queued update turns one of them into an edit.
"""

from __future__ import annotations

from tests.harness.peerdb.mirror import StateSignal
from tests.harness.peerdb.values import Status
from tests.harness.peerdb.workflow import Machine

EVERY = 10.0


class MaintenanceRun:
    """One run; ``begin`` to ``end``."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.on = False
        self.paused: set[str] = set()

    def begin(self) -> None:
        """Start pausing mirrors."""
        self.on = True
        self.paused = set()
        self._pause()

    def _pause(self) -> None:
        if not self.on:
            return
        for mirror in self.machine.world.mirrors.values():
            if mirror.row is not None and mirror.row.status is Status.RUNNING:
                self.paused.add(mirror.name)
                self.machine.store(mirror, StateSignal(Status.PAUSED))
        self.machine.world.after(EVERY, self._pause)

    def end(self) -> None:
        """Resume what was paused here."""
        self.on = False
        for name in sorted(self.paused):
            mirror = self.machine.world.mirrors.get(name)
            if mirror is not None and mirror.row is not None and mirror.row.status is Status.PAUSED:
                self.machine.store(mirror, StateSignal(Status.RUNNING))

"""The simulator on a manual clock, its durations in the hands of a recording.

Every phase of a workflow is held until the recording says that it ended; which phase follows is the simulator's affair
alone. A change that only the databases explain (a copy that went through, or that failed) is a hand in the databases.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from random import Random

from tests.harness.peerdb.config import Config
from tests.harness.peerdb.engine import Engine
from tests.harness.peerdb.events import StateChanged
from tests.harness.peerdb.knobs import Knobs
from tests.harness.peerdb.mirror import Phase, StateSignal, Timer
from tests.harness.peerdb.spans import Span
from tests.harness.peerdb.values import Status
from tests.harness.replay.recording import ABSENT, DELETED

EPOCH = 1_800_000_000.0
UI_PASSWORD = "the password of the replay"

QUICK = frozenset({Span.LAG, Span.BOOT, Span.CLOSE})
HELD = frozenset(Span) - QUICK
TYPICAL: Mapping[str, float] = {
    "t_lag": 0.01, "t_boot": 0.0, "t_close": 0.03, "t_react": 0.1, "t_stop": 6.0, "t_resume": 0.1, "t_prepare": 0.03,
    "t_add": 4.5, "t_add_without_copy": 1.7, "t_remove": 0.3, "t_write": 0.03, "t_drop": 0.3, "t_flash": 0.3,
    "t_setup": 1.0, "t_snapshot": 4.5, "t_resync_drop": 1.5, "t_swap": 0.08, "t_validate": 0.1, "t_sync_drop": 0.2,
    "t_recreate": 0.05, "t_retag": 0.02, "t_retry": 20.0,
}  # fmt: skip
UNSEEN = frozenset({Span.PREPARE.value, Span.RESUME.value})
"""Spans whose end need not show in the row."""

COPYING = frozenset({Phase.SETUP, Phase.SNAPSHOT, Phase.ADDING})
MANY = 60
DELIVERY = 0.011


class Stage:
    """An engine with its timers held, and what a replay does to it."""

    def __init__(self, choose: Callable[[str, str, tuple[str, ...]], str]) -> None:
        knobs = Knobs().patched(TYPICAL)
        self.engine = Engine(now=EPOCH, rng=Random(0), knobs=knobs)
        self.world = self.engine.world
        self.world.hold = HELD
        self.world.choose = choose
        self.world.peers = {"src": "POSTGRES", "dst": "POSTGRES"}
        self.in_maintenance = False

    # -- looking -------------------------------------------------------------------------------------------------

    def state(self, name: str) -> str:
        """The row's state, ``DELETED`` without a row."""
        status = self.engine.state(name)
        return DELETED if status is None else status.name

    def trace(self, name: str, after: int) -> list[StateChanged]:
        """The changes of a mirror's row since event ``after``."""
        return [one for one in self.engine.log.after(after) if isinstance(one, StateChanged) and one.mirror == name]

    def held(self, name: str) -> list[Timer]:
        """What is held for a mirror, in the order in which it would usually come."""
        return sorted(timer for timer in self.world.held if timer.mirror == name)

    # -- time ----------------------------------------------------------------------------------------------------

    def pass_to(self, at: float) -> None:
        """Let the clock go to ``at`` seconds of the scenario; nothing that is held moves."""
        self.engine.run_until(EPOCH + at)

    def fire_next(self, name: str) -> bool:
        """Let the next held thing of a mirror happen; False when nothing is held."""
        held = self.held(name)
        if not held:
            return False
        timer = held[0]
        if timer.span == Span.RETRY.value:
            self.engine.repair(name)
            self.engine.turn(stuck_addition=False, stuck_removal=False, stuck_drop=False)
        self.world.fire(timer)
        self.settle()
        return True

    def settle(self) -> None:
        """Let signals that are on their way arrive."""
        if any(one.workflow is not None and one.workflow.inbox for one in self.world.mirrors.values()):
            self.engine.run_until(self.engine.now + DELIVERY)

    def let_pass(self, name: str, state: str) -> None:
        """Let happen what typically is over by now, up to ``state``."""
        over = self.held(name)[0].due if self.held(name) else math.inf
        while over <= self.engine.now and self.state(name) != state:
            self.fire_next(name)
            held = self.held(name)
            over += held[0].due - self.engine.now if held else math.inf

    def let_panic(self, name: str) -> None:
        """The copy of an addition to an emptied mirror ends in a panic that no row shows."""
        held = self.held(name)
        if held and held[0].due <= self.engine.now and self._will_panic(name):
            self.fire_next(name)

    def _will_panic(self, name: str) -> bool:
        mirror = self.engine.mirror(name)
        workflow = None if mirror is None else mirror.workflow
        return workflow is not None and workflow.emptied and workflow.phase is Phase.ADDING

    def fire_unseen(self, name: str) -> bool:
        """Let the next held thing happen if it need not show in the row."""
        held = self.held(name)
        return bool(held) and (held[0].span in UNSEEN or self._will_panic(name)) and self.fire_next(name)

    def step_to(self, name: str, state: str) -> bool:
        """Drive a mirror to its next change of state; whether that is ``state``."""
        self.settle()
        start = self.engine.log.last
        self._fate(name, state)
        for _ in range(MANY):
            if not self._push(name, state):
                return False
            changes = self.trace(name, start)
            if changes:
                return (changes[0].new or DELETED) == state
        return False

    def drive_to(self, name: str, state: str) -> bool:
        """Drive a mirror until its row shows ``state``, through whatever lies between; whether it came to that."""
        state = DELETED if state == ABSENT else state
        self.settle()
        for _ in range(MANY):
            if self.state(name) == state:
                return True
            self._fate(name, state)
            if not self._push(name, state):
                return False
        return False

    def _push(self, name: str, state: str) -> bool:
        return self.fire_next(name) or self._maintenance_moves(name, state)

    def _fate(self, name: str, state: str) -> None:
        """A copy that ends FAILED does so because of what it met in the databases."""
        mirror = self.engine.mirror(name)
        workflow = None if mirror is None else mirror.workflow
        if workflow is not None and workflow.leave is None and workflow.phase in COPYING:
            workflow.doomed = state == Status.FAILED.name

    def _maintenance_moves(self, name: str, state: str) -> bool:
        """PeerDB's own maintenance pauses every mirror, again and again, and resumes it afterwards."""
        mirror = self.engine.mirror(name)
        if mirror is None or mirror.workflow is None:
            return False
        wanted = None
        if self.in_maintenance and self.state(name) == "RUNNING" and state in {"PAUSING", "PAUSED"}:
            wanted = Status.PAUSED
        elif (
            not self.in_maintenance and self.state(name) == "PAUSED" and state == "RUNNING" and self.was_in_maintenance
        ):
            wanted = Status.RUNNING
        if wanted is None:
            return False
        self.engine.machine.store(mirror, StateSignal(wanted))
        self.settle()
        return True

    was_in_maintenance = False

    def maintain(self, *, on: bool) -> None:
        """PeerDB's maintenance begins or ends."""
        self.was_in_maintenance = self.was_in_maintenance or on
        self.in_maintenance = on
        self.engine.turn(maintenance=on)

    # -- putting -------------------------------------------------------------------------------------------------

    def create(self, name: str, config: Config) -> None:
        """A mirror comes into being (or its row is started anew) as by ``flows/cdc/create``."""
        kinds = self.world.peers
        self.engine.create_mirror(
            name, config, source_type=kinds.get(config.source_name, "POSTGRES"),
            destination_type=kinds.get(config.destination_name, "POSTGRES"),
        )  # fmt: skip

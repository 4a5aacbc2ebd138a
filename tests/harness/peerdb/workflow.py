"""A mirror's workflow: which signals it reads in which phase, how it pauses, resumes and leaves.

Follows PeerDB v0.37 flow/workflows/cdc_flow.go (handlePaused, the CDC loop) and flow/model/signals.go. Applying a
config update is in ``edits``, the first copy in ``copies``, drops and resyncs in ``drops``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.harness.peerdb.mirror import Goal, Mirror, Phase, Signal, StateSignal, Update, Workflow
from tests.harness.peerdb.spans import Span
from tests.harness.peerdb.values import Status
from tests.harness.peerdb.world import World

RUN_LOOP = frozenset({Phase.CDC, Phase.STOPPING})


class Machine:
    """The verbs of a workflow that its phases share; ``edits``, ``copies`` and ``drops`` hang in the rest."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.begin_update: Callable[[Mirror, Workflow, Update], None] = _not_wired
        self.continue_update: Callable[[Mirror, Workflow], None] = _not_wired
        self.enter_leave: Callable[[Mirror, Workflow, StateSignal], None] = _not_wired

    # -- signals -------------------------------------------------------------------------------------------------

    def store(self, mirror: Mirror, signal: Signal) -> None:
        """Temporal has the signal; the workflow gets it a little later, in order."""
        world, workflow = self.world, mirror.workflow
        if workflow is None:
            return
        world.signal(mirror.name, "stored", signal)
        if world.knobs.lose_next_signals:
            world.set_knobs(world.knobs.patched({"lose_next_signals": world.knobs.lose_next_signals - 1}))
            world.signal(mirror.name, "lost", signal)
            return
        workflow.inbox.append(signal)
        world.after(Span.LAG, partial(self._deliver, mirror, workflow), mirror=mirror.name)

    def _deliver(self, mirror: Mirror, workflow: Workflow) -> None:
        world = self.world
        if world.now < workflow.not_before and not workflow.closed:
            wait = workflow.not_before - world.now
            world.after(wait, partial(self._deliver, mirror, workflow), mirror=mirror.name)
            return
        self.receive(mirror, workflow, workflow.inbox.popleft())

    def receive(self, mirror: Mirror, workflow: Workflow, signal: Signal) -> None:
        """The workflow has the signal: it reads it, or leaves it unread in its channel."""
        if workflow.closed or mirror.workflow is not workflow:
            self.world.signal(mirror.name, "lost", signal)
        elif workflow.phase is Phase.WEDGED:
            self.world.signal(mirror.name, "ignored", signal)
        elif isinstance(signal, Update):
            self._receive_update(mirror, workflow, signal)
        else:
            self._receive_state(mirror, workflow, signal)

    def _receive_update(self, mirror: Mirror, workflow: Workflow, update: Update) -> None:
        world = self.world
        world.signal(mirror.name, "received", update)
        if workflow.phase in RUN_LOOP:
            self._queue(mirror, workflow, update)
        elif workflow.phase is Phase.PAUSED:
            self.begin_update(mirror, workflow, update)
        elif workflow.phase is Phase.RESUMING:
            if world.choose(mirror.name, "update race", ("queue", "lose")) == "queue":
                self._queue(mirror, workflow, update)
            else:
                world.signal(mirror.name, "lost", update)
        else:
            workflow.unread.append(update)

    def _queue(self, mirror: Mirror, workflow: Workflow, update: Update) -> None:
        if workflow.pending is not None:
            self.world.signal(mirror.name, "overwritten", workflow.pending)
        workflow.pending = update
        self.world.signal(mirror.name, "queued", update)

    def _receive_state(self, mirror: Mirror, workflow: Workflow, signal: StateSignal) -> None:
        self.world.signal(mirror.name, "received", signal)
        leaving = signal.requested in {Status.TERMINATING, Status.RESYNC}
        match workflow.phase:
            case Phase.CDC | Phase.STOPPING:
                self._running(mirror, workflow, signal, leaving=leaving)
            case Phase.PAUSED if signal.requested == Status.RUNNING:
                self.resume(mirror, workflow, signal)
            case Phase.PAUSED | Phase.SETUP | Phase.SNAPSHOT if leaving:
                self.leave_soon(mirror, workflow, signal)
            case Phase.ADDING | Phase.REMOVING if leaving:
                self.flash(mirror, workflow, signal)
            case Phase.PREPARING if leaving and workflow.leave is None:
                workflow.leave = signal
            case Phase.RESUMING if leaving:
                self._race_at_boundary(mirror, workflow, signal)
            case Phase.LEAVING | Phase.FLASH if leaving:
                self._race_while_leaving(mirror, workflow, signal)
            case Phase.RESYNC_DROP if signal.requested == Status.TERMINATING:
                workflow.leave = signal
            case Phase.SWAPPING if signal.requested == Status.TERMINATING:
                self.leave_soon(mirror, workflow, signal)
            case _:
                self.world.signal(mirror.name, "ignored", signal)

    def _running(self, mirror: Mirror, workflow: Workflow, signal: StateSignal, *, leaving: bool) -> None:
        if leaving:
            workflow.goal = Goal.TERMINATE if signal.requested == Status.TERMINATING else Goal.RESYNC
            workflow.leave = signal
            if workflow.phase is Phase.CDC:
                workflow.phase = Phase.STOPPING
                self.then(mirror, workflow, Span.STOP, self.stopped)
        elif signal.requested == Status.PAUSED and workflow.phase is Phase.CDC:
            workflow.goal = Goal.PAUSE
            workflow.phase = Phase.STOPPING
            self.then(mirror, workflow, Span.REACT, self._show_pausing)
        else:
            self.world.signal(mirror.name, "ignored", signal)

    def _race_at_boundary(self, mirror: Mirror, workflow: Workflow, signal: StateSignal) -> None:
        if self.world.choose(mirror.name, "state race", ("lose", "keep")) == "keep":
            workflow.carried.append(signal)
        else:
            self.world.signal(mirror.name, "lost", signal)

    def _race_while_leaving(self, mirror: Mirror, workflow: Workflow, signal: StateSignal) -> None:
        if self.world.choose(mirror.name, "leave race", ("lose", "take")) == "take":
            workflow.leave = signal
        else:
            self.world.signal(mirror.name, "lost", signal)

    # -- steps ---------------------------------------------------------------------------------------------------

    def then(
        self, mirror: Mirror, workflow: Workflow, wait: Span | float, step: Callable[[Mirror, Workflow], None],
    ) -> None:  # fmt: skip
        """The one thing that this workflow does next; it replaces what was planned before."""
        self.world.cancel(workflow.timer)
        workflow.timer = self.world.after(wait, partial(self._step, mirror, workflow, step), mirror=mirror.name)

    def _step(self, mirror: Mirror, workflow: Workflow, step: Callable[[Mirror, Workflow], None]) -> None:
        if mirror.workflow is workflow and not workflow.closed:
            step(mirror, workflow)

    def _show_pausing(self, mirror: Mirror, workflow: Workflow) -> None:
        self.world.set_status(mirror, Status.PAUSING)
        self.then(mirror, workflow, Span.STOP, self.stopped)

    def stopped(self, mirror: Mirror, workflow: Workflow) -> None:
        if workflow.leave is not None:
            self.enter_leave(mirror, workflow, workflow.leave)
            return
        workflow.phase = Phase.PAUSED
        workflow.goal = Goal.NONE
        self.world.set_status(mirror, Status.PAUSED)
        if workflow.pending is not None:
            update, workflow.pending = workflow.pending, None
            self.begin_update(mirror, workflow, update)

    def resume(self, mirror: Mirror, workflow: Workflow, signal: StateSignal | None = None) -> None:
        """From PAUSED towards RUNNING, without a change."""
        if signal is not None:
            self.world.signal(mirror.name, "applied", signal)
        workflow.phase = Phase.RESUMING
        self.then(mirror, workflow, Span.RESUME, self.run)

    def run(self, mirror: Mirror, workflow: Workflow) -> None:
        """A new run starts in RUNNING; what the old one left unread is gone."""
        self.boundary(mirror, workflow)
        workflow.phase = Phase.CDC
        workflow.goal = Goal.NONE
        workflow.timer = None
        workflow.not_before = self.world.now + self.world.draw(Span.BOOT)
        self.world.set_status(mirror, Status.RUNNING)
        while workflow.carried:
            workflow.inbox.appendleft(workflow.carried.pop())
            self.world.after(Span.LAG, partial(self._deliver, mirror, workflow), mirror=mirror.name)

    def boundary(self, mirror: Mirror, workflow: Workflow) -> None:
        """The workflow replaces itself by a fresh run: signals delivered but not read are discarded."""
        for signal in workflow.unread:
            self.world.signal(mirror.name, "lost", signal)
        workflow.unread.clear()

    def leave_soon(self, mirror: Mirror, workflow: Workflow, signal: StateSignal) -> None:
        """A drop or resync is accepted; the row shows it a moment later."""
        workflow.leave = signal
        workflow.phase = Phase.LEAVING
        self.then(mirror, workflow, Span.REACT, self._leave)

    def flash(self, mirror: Mirror, workflow: Workflow, signal: StateSignal) -> None:
        """A drop or resync breaks off a table change: FAILED for a moment."""
        workflow.leave = signal
        workflow.phase = Phase.LEAVING
        self.then(mirror, workflow, Span.REACT, self._show_failed)

    def _show_failed(self, mirror: Mirror, workflow: Workflow) -> None:
        workflow.phase = Phase.FLASH
        self.world.set_status(mirror, Status.FAILED)
        self.then(mirror, workflow, Span.FLASH, self._leave)

    def _leave(self, mirror: Mirror, workflow: Workflow) -> None:
        if workflow.leave is not None:
            self.enter_leave(mirror, workflow, workflow.leave)


def _not_wired(*_: object) -> None:
    msg = "the machine's parts are joined in engine.py"
    raise AssertionError(msg)

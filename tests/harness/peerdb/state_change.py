"""``POST mirrors/state_change``: edits, pauses, resumes, drops and resyncs, in PeerDB's own order of work.

The handler decides with the row's status and answers 200 to whatever it has stored or ignored (PeerDB v0.37
flow/cmd/handler.go FlowStateChange): maintenance, then the mirror, then the update signal, then the requested state.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import cast

from tests.harness.peerdb.drops import Drops, SyncDrop
from tests.harness.peerdb.mirror import Mirror, Row, Signal, StateSignal, payload_size, update_from
from tests.harness.peerdb.spans import Span
from tests.harness.peerdb.validation import Validator
from tests.harness.peerdb.values import (
    EMPTY,
    UNDER_MAINTENANCE,
    Answer,
    Deferred,
    Reply,
    Status,
    error,
    json_reply,
    status_word,
)
from tests.harness.peerdb.workflow import Machine

IGNORE_UPDATES = frozenset({Status.TERMINATING, Status.TERMINATED, Status.COMPLETED, Status.FAILED})
GONE = frozenset({Status.TERMINATING, Status.TERMINATED})
AT_REST = frozenset({Status.COMPLETED, Status.FAILED})

BLOB_LIMIT = 2 * 1024 * 1024
TEMPORAL_PATIENCE = 10.0

Message = Mapping[str, object]


class StateChange:
    """The handler of ``mirrors/state_change``."""

    def __init__(self, machine: Machine, drops: Drops, validator: Validator) -> None:
        self.machine = machine
        self.drops = drops
        self.validator = validator
        self.world = machine.world

    def handle(self, message: Message) -> Answer:
        """Answer one request; what it signals is delivered later."""
        world = self.world
        if world.under_maintenance:
            return error(14, UNDER_MAINTENANCE)
        name = str(message.get("flowJobName", ""))
        mirror = world.mirrors.get(name)
        if mirror is None or mirror.row is None:
            return self.not_found(name)
        row = mirror.row
        wanted = cast("Message", message.get("flowConfigUpdate", {})).get("cdcFlowConfigUpdate")
        if wanted is not None and row.is_cdc and row.status not in IGNORE_UPDATES:
            trouble = self._signal_update(mirror, cast("Message", wanted))
            if trouble is not None:
                return trouble
        requested = cast("int", message.get("requestedFlowState", 0))
        if requested == row.status:
            return self.success()
        return self._act(mirror, row, requested, message)

    def success(self) -> Reply:
        """The 200 of the release that the knobs ask for."""
        return EMPTY if self.world.knobs.reply_shape == "empty" else json_reply({"ok": True, "errorMessage": ""})

    def not_found(self, name: str) -> Reply:
        """The "no such mirror" of the release that the knobs ask for."""
        if self.world.knobs.not_found_shape == "404":
            return error(5, f"flow {name} not found")
        return error(2, f"unable to get workflowID for flow job {name}: no rows in result set")

    # -- signals -------------------------------------------------------------------------------------------------

    def _signal_update(self, mirror: Mirror, raw: Message) -> Answer | None:
        if payload_size(raw) > BLOB_LIMIT:
            return error(13, "unable to signal workflow update: Blob data size exceeds limit.")
        trouble = self._signal(mirror, update_from(raw), "unable to signal workflow update")
        if trouble is None:
            self.world.say(mirror.name, "Flow config update signaled")
        return trouble

    def _signal(self, mirror: Mirror, signal: Signal, prefix: str) -> Answer | None:
        workflow = mirror.workflow
        if self.world.knobs.temporal_down:
            return self._after_patience(error(13, f"{prefix}: context deadline exceeded"))
        if workflow is None or workflow.closed:
            return error(13, f"{prefix}: workflow execution already completed")
        self.machine.store(mirror, signal)
        return None

    def _after_patience(self, reply: Reply) -> Deferred:
        deferred = Deferred(due=self.world.now + TEMPORAL_PATIENCE)
        self.world.after(TEMPORAL_PATIENCE, partial(deferred.resolve, reply), work=False)
        return deferred

    # -- requested states ----------------------------------------------------------------------------------------

    def _act(self, mirror: Mirror, row: Row, requested: int, message: Message) -> Answer:
        match requested:
            case Status.PAUSED:
                return self._when(row.status is Status.RUNNING, mirror, requested, "Mirror pause signaled")
            case Status.RUNNING:
                return self._when(row.status is Status.PAUSED, mirror, requested, "Mirror resume signaled")
            case Status.TERMINATING | Status.TERMINATED:
                return self._terminate(mirror, row, requested, message)
            case Status.RESYNC:
                return self._resync(mirror, row, message)
            case _:
                current = row.status.wire
                text = f"illegal state change requested: {status_word(requested)}, current state is: {current}"
                return error(3, text)

    def _when(self, applies: bool, mirror: Mirror, requested: int, line: str) -> Answer:
        if not applies:
            return self.success()
        return self._send(mirror, StateSignal(requested), line)

    def _send(self, mirror: Mirror, signal: StateSignal, line: str) -> Answer:
        trouble = self._signal(mirror, signal, "unable to signal workflow")
        if trouble is not None:
            return trouble
        self.world.say(mirror.name, line)
        return self.success()

    def _terminate(self, mirror: Mirror, row: Row, requested: int, message: Message) -> Answer:
        if row.status in GONE:
            return self.success()
        signal = self._leave_signal(requested, message)
        if row.status not in AT_REST:
            return self._send(mirror, signal, "Mirror termination signaled")
        if self.world.knobs.temporal_down:
            return self._after_patience(error(13, f"unable to wait for {mirror.name}-peerflow to close: "
                                                  "context deadline exceeded"))  # fmt: skip
        deferred = Deferred()
        SyncDrop(self.drops, mirror, deferred, signal, self.success, recreate=False).begin()
        return deferred

    def _leave_signal(self, requested: int, message: Message) -> StateSignal:
        update = cast("Message", cast("Message", message.get("flowConfigUpdate", {})).get("cdcFlowConfigUpdate", {}))
        return StateSignal(
            requested,
            drop_stats=bool(message.get("dropMirrorStats", False)),
            skip_destination=bool(message.get("skipDestinationDrop", False)),
            overrides=update_from(update).snapshot if requested == Status.RESYNC else {},
        )

    def _resync(self, mirror: Mirror, row: Row, message: Message) -> Answer:
        if not row.is_cdc:
            text = "resync is only supported for CDC mirrors"
            return error(13 if row.status in AT_REST else 3, text)
        deferred = Deferred()
        signal = self._leave_signal(Status.RESYNC, message)
        step = partial(self._validated, mirror, row, row.status, signal, deferred)
        timer = self.world.after(Span.VALIDATE, step, mirror=mirror.name, work=False)
        deferred.due = timer.due if row.status not in AT_REST else None
        return deferred

    def _validated(self, mirror: Mirror, row: Row, status: Status, signal: StateSignal, deferred: Deferred) -> None:
        if deferred.aborted:
            return
        refused = self.validator.refusal_of_resync(row)
        if refused is not None:
            deferred.resolve(refused)
        elif status in AT_REST and not self.world.knobs.temporal_down:
            SyncDrop(self.drops, mirror, deferred, signal, self.success, recreate=True).begin()
        else:
            answer = self._send(mirror, signal, "Mirror resync signaled")
            if isinstance(answer, Deferred):
                deferred.due = answer.due
                answer.on_reply.append(deferred.resolve)
            else:
                deferred.resolve(answer)

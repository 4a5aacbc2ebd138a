"""What a trace shows of an edit: its beginning, the passes that matter, and what they do.

Owns which passes are worth a span: most only look, and a copy may take days. Leaves when an edit is over to
``edit_timers`` and spans to ``tracing``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import Operation
from peerdb_operator.mirror.job import Work
from peerdb_operator.mirror.rules.decision import Command, Decision
from peerdb_operator.mirror.rules.state import MirrorObject
from peerdb_operator.mirror.store import CachedMirror
from peerdb_operator.telemetry.trace import Attributes, Tracer

DELETED = "Deleted"
"""The outcome of an edit whose Mirror is deleted; what follows is a drop."""

GENERATION = "k8s.mirror.generation"


@contextmanager
def traced_pass(tracer: Tracer, entry: CachedMirror) -> Iterator[None]:
    """A pass as a part of the edit under way: shown if it acts, or leaves another status behind than it has found."""
    cause = _hands_off(entry.view)
    if cause is not None:
        entry.timer.end_trace(cause)
    if entry.timer.trace is None:
        yield
        return
    before = _gist(entry)
    with tracer.sampled_step("mirror.pass", entry.timer.trace) as step:
        yield
        step.set_attributes({"peerdb_operator.reason": entry.view.status.ready_reason})
        if _gist(entry) != before:
            tracer.sample()


def trace_edit(tracer: Tracer, work: Work, decision: Decision) -> None:
    """Begin the tree of an edit with the decision that begins it, or that this process takes it over with."""
    timer, view, generation = work.entry.timer, work.entry.view, work.desired.generation
    if timer.trace is not None and timer.generation != generation:
        timer.trace.add_event("spec changed", {GENERATION: generation})
    timer.generation = generation
    if timer.edit_since is None or timer.trace is not None or work.desired.invalid or _hands_off(view) is not None:
        return
    attributes: Attributes = {
        "k8s.namespace.name": view.namespace,
        "k8s.mirror.name": view.name,
        "k8s.mirror.uid": view.uid,
        GENERATION: generation,
        "peerdb_operator.mirror": work.desired.mirror,
        **_operation_id(work, decision),
    }
    timer.trace = tracer.begin("mirror.edit", attributes)


def traced_act(tracer: Tracer, work: Work, decision: Decision) -> AbstractContextManager[object]:
    """The action of a pass; one that is tried again after it failed is no reason to show the pass."""
    if decision.action is None:
        return nullcontext()
    action = type(decision.action).__name__
    if not work.entry.repeats(action):
        tracer.sample()
    attributes: Attributes = {
        "peerdb_operator.action": action,
        "peerdb_operator.rule": decision.rule,
        **_operation_id(work, decision),
    }
    return tracer.step("mirror.act", attributes, work.entry.timer.trace)


def _gist(entry: CachedMirror) -> tuple[object, ...]:
    """What changes with a pass that matters."""
    status = entry.view.status
    return (status.state, status.ready_reason, entry.failing, entry.kube_failing)


def _hands_off(view: MirrorObject) -> str | None:
    """Why nobody works towards the spec any more, which is the outcome of its edit."""
    if view.deleted_at is not None:
        return DELETED
    return Reason.RECONCILE_DISABLED.value if view.frozen else None


def _operation_id(work: Work, decision: Decision) -> Attributes:
    """The journal's entry, by which the traces of two processes that share an edit are found."""
    operation: Operation | None = None
    if isinstance(decision.action, Command):
        operation = decision.action.operation
    operation = operation or work.journal.operation
    return {} if operation is None else {"peerdb_operator.operation_id": operation.id}

"""What a trace shows of an edit: its beginning, the passes that matter, and what they do.

Owns which passes are worth a span: most only look, and a copy may take days. Leaves when an edit is over to
``stopwatch`` and spans to ``tracing``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from peerdb_operator.controllers.entry import Entry, View
from peerdb_operator.controllers.job import Job
from peerdb_operator.controllers.report import ready_reason
from peerdb_operator.core.journal import Operation
from peerdb_operator.core.plan_types import Command, Plan
from peerdb_operator.core.reasons import Reason
from peerdb_operator.tracing import Attributes, Tracer

DELETED = "Deleted"
"""The outcome of an edit whose Mirror is deleted; what follows is a drop."""

GENERATION = "k8s.mirror.generation"


@contextmanager
def traced_pass(tracer: Tracer, entry: Entry) -> Iterator[None]:
    """A pass as a part of the edit under way: shown if it acts, or leaves another status behind than it has found."""
    cause = _hands_off(entry.view)
    if cause is not None:
        entry.course.end_trace(cause)
    if entry.course.trace is None:
        yield
        return
    before = _gist(entry)
    with tracer.glance("mirror.pass", entry.course.trace) as step:
        yield
        step.note({"peerdb_operator.reason": ready_reason(entry.view.status)})
        if _gist(entry) != before:
            tracer.keep()


def trace_edit(tracer: Tracer, job: Job, planned: Plan) -> None:
    """Begin the tree of an edit with the decision that begins it, or that this process takes it over with."""
    course, view, generation = job.entry.course, job.entry.view, job.desired.generation
    if course.trace is not None and course.generation != generation:
        course.trace.tell("spec changed", {GENERATION: generation})
    course.generation = generation
    if course.edit_since is None or course.trace is not None or job.desired.invalid or _hands_off(view) is not None:
        return
    attributes: Attributes = {
        "k8s.namespace.name": view.namespace,
        "k8s.mirror.name": view.name,
        "k8s.mirror.uid": view.uid,
        GENERATION: generation,
        "peerdb_operator.mirror": job.desired.mirror,
        **_operation_id(job, planned),
    }
    course.trace = tracer.begin("mirror.edit", attributes)


def traced_act(tracer: Tracer, job: Job, planned: Plan) -> AbstractContextManager[object]:
    """The action of a pass; one that is tried again after it failed is no reason to show the pass."""
    if planned.action is None:
        return nullcontext()
    action = type(planned.action).__name__
    if not job.entry.repeats(action):
        tracer.keep()
    attributes: Attributes = {
        "peerdb_operator.action": action,
        "peerdb_operator.rule": planned.rule,
        **_operation_id(job, planned),
    }
    return tracer.step("mirror.act", attributes, job.entry.course.trace)


def _gist(entry: Entry) -> tuple[object, ...]:
    """What changes with a pass that matters."""
    status = entry.view.status
    return (status.state, ready_reason(status), entry.failing, entry.kube_failing)


def _hands_off(view: View) -> str | None:
    """Why nobody works towards the spec any more, which is the outcome of its edit."""
    if view.deleted_at is not None:
        return DELETED
    return Reason.RECONCILE_DISABLED.value if view.frozen else None


def _operation_id(job: Job, planned: Plan) -> Attributes:
    """The journal's entry, by which the traces of two processes that share an edit are found."""
    operation: Operation | None = None
    if isinstance(planned.action, Command):
        operation = planned.action.operation
    operation = operation or job.journal.operation
    return {} if operation is None else {"peerdb_operator.operation_id": operation.id}

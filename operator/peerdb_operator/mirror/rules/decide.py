"""The decision: an ordered list of rules, the first that matches wins. Pure, total, deterministic; one action at most.

Rules 1 to 7 decide whether this mirror may be worked on at all (``gates``, ``phases``), rule 8 settles what is in
flight (``in_flight``), rules 9 to 14 choose the next step (``steps``), of which ``patience`` has what follows from two
minutes in PAUSED. A deletion has its own list of the same kind (``finalize``).
"""

from __future__ import annotations

from dataclasses import replace

from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import Bounds
from peerdb_operator.mirror.rules import finalize, gates, in_flight, patience, phases, steps
from peerdb_operator.mirror.rules.conditions import ConditionChange, verdict
from peerdb_operator.mirror.rules.decision import Decision, Pause
from peerdb_operator.mirror.rules.journal import Journal, after_settling, for_generation
from peerdb_operator.mirror.rules.limits import Limits
from peerdb_operator.mirror.rules.observation import Found
from peerdb_operator.mirror.rules.state import Case, MirrorState, Rule

RULES: tuple[Rule, ...] = (
    gates.frozen,
    gates.unknown,
    gates.unknown_state,
    gates.absent,
    gates.older_claim,
    gates.unread_owner,
    gates.other_owner,
    gates.unsupported,
    gates.first_contact,
    steps.quiet,
    phases.failed,
    phases.terminated,
    phases.completed,
    phases.in_transition,
    phases.orphaned,
    patience.resume_after_patience,
    steps.observe_fully,
    in_flight.in_flight,
    steps.compare,
    in_flight.wait_out,
    steps.paused_as_desired,
    steps.pause_as_desired,
    patience.wait_for_answers,
    steps.pause_to_edit,
    steps.wait_for_config,
    steps.edit,
    steps.resume,
    steps.settled,
)


def decide(state: MirrorState, limits: Limits, now: float) -> Decision:
    """The next step for a Mirror. No side effects."""
    case = Case(state, limits, now)
    if case.view.deleted_at is not None:
        return follow(finalize.DELETION, case)
    bounds = state.journal.bounds
    fresh = for_generation(bounds, state.desired.generation)
    if fresh is not bounds:
        case = case.with_journal(replace(state.journal, bounds=fresh))
    if case.is_another:
        return _settle(_for_another(case))
    decision = _settle(follow(RULES, case))
    if decision.verdict is None and decision.action is None and decision.journal.bounds == fresh:
        # A reconcile without a verdict must not mark the generation as evaluated: the old bounds stay until one has it.
        return replace(decision, journal=replace(decision.journal, bounds=bounds))
    return decision


def follow(rules: tuple[Rule, ...], case: Case) -> Decision:
    """Walk the rules in order; the last one always matches."""
    for rule in rules:
        answer = rule(case)
        if isinstance(answer, Decision):
            return _keep_queued(case, answer)
        if isinstance(answer, Case):
            case = answer
    msg = "the last rule matches every case"
    raise AssertionError(msg)


def _for_another(case: Case) -> Decision:
    """The plan for a mirror that has taken the place of the one in status: nothing that was said of that one holds.

    A command that was sent to the new mirror stays in flight.
    """
    if isinstance(case.observation, Found):
        operation = case.journal.operation
        ours = operation is not None and operation.created_at == case.observation.created_at
        case = case.with_journal(Journal(operation if ours else None, Bounds(generation=case.desired.generation)))
    decision = follow(RULES, case)
    reported = decision.verdict or verdict(
        Reason.SETTING_UP,
        f'another mirror named "{case.desired.mirror}" has taken the place in PeerDB of the one that this Mirror '
        "managed; it is judged as at first contact",
    )
    return replace(
        decision,
        verdict=reported.with_ready(ConditionChange.UNKNOWN) if reported.ready is ConditionChange.KEEP else reported,
    )


def _keep_queued(case: Case, decision: Decision) -> Decision:
    """An edit that may wait in PeerDB's queue stays in flight until the decision is the pause that may apply it.

    A precheck may take minutes, and may forbid the pause.
    """
    if case.queued is None or isinstance(decision.action, Pause):
        return decision
    return replace(decision, journal=case.queued)


def _settle(decision: Decision) -> Decision:
    if decision.verdict is None or not decision.verdict.settled:
        return decision
    journal = decision.journal
    return replace(decision, journal=replace(journal, bounds=after_settling(journal.bounds)))

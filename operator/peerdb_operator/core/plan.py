"""The planner: an ordered list of rules, the first that matches wins. Pure, total, deterministic; one action at most.

Rules 1 to 7 decide whether this mirror may be worked on at all (``rules_doubt``, ``rules_claim``, ``rules_phase``),
rule 8 settles what is in flight (``rules_flight``), rules 9 to 14 choose the next step (``rules_step``). Deletion has
its own list (``deletion``, ``drop``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from peerdb_operator.core import rules_claim, rules_doubt, rules_flight, rules_phase, rules_step
from peerdb_operator.core.bounds import after_settling, for_generation
from peerdb_operator.core.case import Case, Situation
from peerdb_operator.core.desired import Desired
from peerdb_operator.core.journal import Journal
from peerdb_operator.core.limits import Limits
from peerdb_operator.core.memory import Memory
from peerdb_operator.core.observed import Observation
from peerdb_operator.core.plan_types import Plan

Rule = Callable[[Case], Plan | Case | None]
"""A rule answers with a plan (it matched), with a changed case (go on with that), or with None (go on)."""

RULES: tuple[Rule, ...] = (
    rules_doubt.frozen,
    rules_doubt.unknown,
    rules_doubt.unknown_word,
    rules_doubt.absent,
    rules_claim.older_claim,
    rules_claim.unread_owner,
    rules_claim.other_owner,
    rules_claim.unsupported,
    rules_claim.first_contact,
    rules_step.quiet,
    rules_phase.failed,
    rules_phase.terminated,
    rules_phase.completed,
    rules_phase.in_transition,
    rules_phase.orphaned,
    rules_step.look_fully,
    rules_flight.in_flight,
    rules_step.compare,
    rules_flight.wait_out,
    rules_step.paused_as_wished,
    rules_step.pause_as_wished,
    rules_step.pause_to_edit,
    rules_step.resume_after_patience,
    rules_step.wait_for_config,
    rules_step.edit,
    rules_step.resume,
    rules_step.settled,
)


def plan(
    desired: Desired,
    observation: Observation,
    memory: Memory,
    journal: Journal,
    situation: Situation,
    limits: Limits,
    now: float,
) -> Plan:
    """The next step for a Mirror that is not being deleted. No side effects."""
    fresh = for_generation(journal.bounds, desired.generation)
    case = Case(desired, observation, memory, replace(journal, bounds=fresh), situation, limits, now)
    planned = follow(RULES, case)
    if planned.verdict is None and planned.action is None and planned.journal.bounds == fresh:
        # A pass that has nothing to tell must not look as if it had: the old generation's bounds stay until one does.
        return replace(planned, journal=replace(planned.journal, bounds=journal.bounds))
    return planned


def follow(rules: tuple[Rule, ...], case: Case) -> Plan:
    """Walk the rules in order; the last one always matches."""
    for rule in rules:
        answer = rule(case)
        if isinstance(answer, Plan):
            return _settle(answer)
        if isinstance(answer, Case):
            case = answer
    msg = "the last rule matches every case"
    raise AssertionError(msg)


def _settle(planned: Plan) -> Plan:
    if planned.verdict is None or not planned.verdict.settled:
        return planned
    journal = planned.journal
    return replace(planned, journal=replace(journal, bounds=after_settling(journal.bounds)))

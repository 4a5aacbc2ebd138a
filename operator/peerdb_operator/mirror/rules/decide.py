"""The planner: an ordered list of rules, the first that matches wins. Pure, total, deterministic; one action at most.

Rules 1 to 7 decide whether this mirror may be worked on at all (``rules_doubt``, ``rules_claim``, ``rules_phase``),
rule 8 settles what is in flight (``rules_flight``), rules 9 to 14 choose the next step (``rules_step``). Deletion has
its own list (``deletion``, ``drop``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from peerdb_operator.mirror.rules import gates, in_flight, phases, steps
from peerdb_operator.mirror.rules.bounds import after_settling, for_generation
from peerdb_operator.mirror.rules.decision import Decision
from peerdb_operator.mirror.rules.desired import Desired
from peerdb_operator.mirror.rules.history import History
from peerdb_operator.mirror.rules.journal import Journal
from peerdb_operator.mirror.rules.limits import Limits
from peerdb_operator.mirror.rules.observation import Observation
from peerdb_operator.mirror.rules.state import Case, Situation

Rule = Callable[[Case], Decision | Case | None]
"""A rule answers with a plan (it matched), with a changed case (go on with that), or with None (go on)."""

RULES: tuple[Rule, ...] = (
    gates.frozen,
    gates.unknown,
    gates.unknown_word,
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
    steps.observe_fully,
    in_flight.in_flight,
    steps.compare,
    in_flight.wait_out,
    steps.paused_as_wished,
    steps.pause_as_wished,
    steps.pause_to_edit,
    steps.resume_after_patience,
    steps.wait_for_config,
    steps.edit,
    steps.resume,
    steps.settled,
)


def plan(
    desired: Desired,
    observation: Observation,
    history: History,
    journal: Journal,
    situation: Situation,
    limits: Limits,
    now: float,
) -> Decision:
    """The next step for a Mirror that is not being deleted. No side effects."""
    fresh = for_generation(journal.bounds, desired.generation)
    case = Case(desired, observation, history, replace(journal, bounds=fresh), situation, limits, now)
    decision = follow(RULES, case)
    if decision.verdict is None and decision.action is None and decision.journal.bounds == fresh:
        # A pass that has nothing to tell must not look as if it had: the old generation's bounds stay until one does.
        return replace(decision, journal=replace(decision.journal, bounds=journal.bounds))
    return decision


def follow(rules: tuple[Rule, ...], case: Case) -> Decision:
    """Walk the rules in order; the last one always matches."""
    for rule in rules:
        answer = rule(case)
        if isinstance(answer, Decision):
            return _settle(answer)
        if isinstance(answer, Case):
            case = answer
    msg = "the last rule matches every case"
    raise AssertionError(msg)


def _settle(decision: Decision) -> Decision:
    if decision.verdict is None or not decision.verdict.settled:
        return decision
    journal = decision.journal
    return replace(decision, journal=replace(journal, bounds=after_settling(journal.bounds)))

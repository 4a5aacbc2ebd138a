"""The seeded defects: one or more for each rule of planner, deletion and journal, and for each invariant.

Each is a small slip that a tired author could make. ``guards`` names the rule or the invariant that it breaks.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Defect:
    """Replace ``old`` (which stands exactly once in ``file``) by ``new``."""

    guards: str
    name: str
    file: str
    old: str
    new: str


DOUBT, CLAIM, PHASE = "core/rules_doubt.py", "core/rules_claim.py", "core/rules_phase.py"
FLIGHT, STEP, JOURNAL = "core/rules_flight.py", "core/rules_step.py", "core/journal.py"
DELETION, DROP, CHANGE = "core/deletion.py", "core/drop.py", "core/change.py"
BOUNDS, MEMORY, STATUS, ACT = "core/bounds.py", "core/memory.py", "core/status.py", "controllers/act.py"

DEFECTS: tuple[Defect, ...] = (
    Defect("rule 1", "frozen objects are worked on", DOUBT, "if not case.situation.frozen:", "if True:"),
    Defect(
        "rule 2",
        "a single failed look becomes a verdict",
        DOUBT,
        "    if lasts < case.limits.outage_quiet:\n        soon",
        "    if lasts < 0:\n        soon",
    ),
    Defect("rule 2", "an unknown word is acted on", DOUBT, "case.state is not State.OTHER", "True"),
    Defect("rule 3, I6", "one 404 is absence", MEMORY, "if look.at - since >= gap:", "if True:"),
    Defect(
        "rule 3",
        "an absent mirror keeps its journal",
        DOUBT,
        "closed = case.with_journal(Journal(None, case.journal.bounds))",
        "closed = case",
    ),
    Defect(
        "rule 4",
        "a younger Mirror works on the mirror of an older",
        CLAIM,
        "if case.situation.older_claim is None:",
        "if True:",
    ),
    Defect(
        "rule 4, I4",
        "a mirror of another owner is touched",
        CLAIM,
        "if case.owner.kind is not OwnerKind.OTHER:",
        "if True:",
    ),
    Defect(
        "rule 5",
        "a missing tag is believed at once",
        CLAIM,
        "return since + case.limits.doubt_gap - case.seen.at",
        "return 0.0",
    ),
    Defect(
        "rule 5",
        "taking over removes tables",
        CLAIM,
        "    if not diff.takes_away:\n        return None",
        "    return None",
    ),
    Defect(
        "rule 5",
        "a first list of tables is taken without judgement",
        STEP,
        "if not case.situation.tables_accepted and",
        "if False and",
    ),
    Defect("rule 6", "a flash of FAILED counts", PHASE, "    if doubt > 0:", "    if doubt > 99:"),
    Defect(
        "rule 6",
        "a completed mirror is not compared",
        PHASE,
        "if next_change(case.desired, case.config, edit_bytes=case.limits.edit_bytes) is None:",
        "if True:",
    ),
    Defect(
        "rule 7", "a table removal is not waited for", PHASE, "        State.MODIFYING: Reason.REMOVING_TABLES,\n", ""
    ),
    Defect(
        "rule 7",
        "a phase without progress is never told",
        PHASE,
        "case.now - since < allowed",
        "case.now - since < allowed * 1000",
    ),
    Defect(
        "rule 8",
        "another mirror of the same name inherits the journal",
        FLIGHT,
        "operation.created_at != case.seen.created_at or",
        "",
    ),
    Defect(
        "rule 8, I10",
        "no resume while an edit is unproven",
        FLIGHT,
        "if edits and case.stopped_too_long and",
        "if False and",
    ),
    Defect(
        "rule 8",
        "an unwanted edit stays armed",
        FLIGHT,
        "if still_goal or (case.desired.wants_running and isinstance(change, Edit)):",
        "if True:",
    ),
    Defect(
        "rule 9",
        "a remapped table is ignored",
        CHANGE,
        "    if not diff.remapped:\n        return None\n    tables",
        "    return None\n    tables",
    ),
    Defect("rule 9, I2", "an addition goes onto a destination in use", CHANGE, "    if fed:\n", "    if False:\n"),
    Defect("rule 9, I2", "two additions share a destination", CHANGE, "    if twice:\n", "    if False:\n"),
    Defect(
        "rule 9, I2",
        "every live table is removed in one request",
        CHANGE,
        "removable = () if replaces_all else diff.removed",
        "removable = diff.removed",
    ),
    Defect(
        "rule 9, I2",
        "an empty mirror is added to",
        CHANGE,
        "    if config.tables or not diff.added:\n",
        "    if True:\n",
    ),
    Defect(
        "rule 9",
        "a removal is sent though its addition is withheld",
        CHANGE,
        "        if refusal is not None:\n            return refusal",
        "        if refusal is not None:\n            return _cut(config, TableDiff((), diff.removed, ()), settings, edit_bytes) if diff.removed else refusal",
    ),
    Defect(
        "rule 9",
        "the size of an update has no limit",
        CHANGE,
        "        if size > budget:\n            break",
        "        if False:\n            break",
    ),
    Defect(
        "rule 10, I5",
        "a mirror wished paused is edited",
        STEP,
        '    if case.desired.wants_running or case.state is not State.PAUSED:\n        return None\n    return case.plan("paused"',
        '    if case.desired.wants_running or case.state is not State.PAUSED or isinstance(case.change, Edit):\n        return None\n    return case.plan("paused"',
    ),
    Defect(
        "rule 10",
        "a mirror wished paused keeps running",
        STEP,
        "    if case.desired.wants_running:\n        return None\n    return _pause(",
        "    if True:\n        return None\n    return _pause(",
    ),
    Defect(
        "rule 11",
        "additions are not checked before the pause",
        STEP,
        "    if not _prechecked(case, case.change):\n        return _validate(case, case.change, PRECHECK_RUNNING)\n",
        "",
    ),
    Defect("rule 12, I1", "an edit rests on one look at PAUSED", STEP, "if not case.memory.confirmed:", "if False:"),
    Defect(
        "rule 12",
        "additions are not checked in a stop that others made",
        STEP,
        "    if not _prechecked(case, change):\n        return _validate(case, change, PRECHECK_PAUSED)\n",
        "",
    ),
    Defect(
        "rule 13, I10",
        "a long stop is not ended",
        STEP,
        "    if not case.stopped_too_long:\n        return None\n",
        "    return None\n",
    ),
    Defect(
        "rule 13",
        "an unreadable config keeps a mirror paused",
        STEP,
        "if case.now - since >= case.limits.unreadable_patience:",
        "if False:",
    ),
    Defect(
        "rule 13",
        "a withheld change keeps a mirror paused",
        STEP,
        '    if case.state is not State.PAUSED:\n        return None\n    return _resume(case, "resume"',
        '    if case.state is not State.PAUSED or isinstance(case.change, Withheld):\n        return None\n    return _resume(case, "resume"',
    ),
    Defect(
        "rule 14, I7",
        "a settled mirror is paused now and then",
        STEP,
        '    return case.plan("settled", Wait',
        '    return _pause(case, "settled", "") if case.now % 7 < 1 else case.plan("settled", Wait',
    ),
    Defect(
        "journal, I3",
        "a command in flight is not waited for",
        JOURNAL,
        "return Finding.RESEND if now - sent_at >= limits.resend else Finding.WAIT",
        "return Finding.RESEND",
    ),
    Defect(
        "journal, I8",
        "any RUNNING proves an edit",
        JOURNAL,
        "    if config.fingerprint == operation.after:\n        return Finding.EFFECTIVE\n    patience",
        "    if True:\n        return Finding.EFFECTIVE\n    patience",
    ),
    Defect(
        "journal",
        "an edit that never arrived is waited for without end",
        JOURNAL,
        "return Finding.NOT_EFFECTIVE if steady and age >= limits.forget else Finding.WAIT",
        "return Finding.WAIT",
    ),
    Defect(
        "journal",
        "a pause that an armed update ate is waited out",
        JOURNAL,
        "if seen.state is State.RUNNING and memory.pausing_seen:",
        "if False:",
    ),
    Defect(
        "journal",
        "an edit is sent before it is recorded",
        ACT,
        "        await write_ahead(job, plan, recorded)\n        self._require_orders(job, not_sent)\n",
        "",
    ),
    Defect(
        "bounds",
        "attempts do not count",
        BOUNDS,
        "attempts = bounds.attempts + 1 if bounds.goal == goal else 1",
        "attempts = 1",
    ),
    Defect("bounds", "corrections do not count", BOUNDS, "if bounds.settled != bounds.generation:", "if True:"),
    Defect(
        "deletion, I4",
        "a drop needs no owner tag",
        DELETION,
        "    if kind is OwnerKind.OURS:\n        return None\n    if kind is OwnerKind.NONE and",
        "    if True:\n        return None\n    if kind is OwnerKind.NONE and",
    ),
    Defect(
        "deletion", "Retain drops", DELETION, "if case.desired.deletion_policy is DeletionPolicy.RETAIN:", "if False:"
    ),
    Defect(
        "deletion",
        "a namespace on its way out drops its mirrors",
        DELETION,
        "if farewell.namespace_terminating and not farewell.drops_with_namespace:",
        "if False:",
    ),
    Defect(
        "deletion",
        "a CRD on its way out drops its mirrors",
        DELETION,
        "    if farewell.crd_terminating:\n",
        "    if False:\n",
    ),
    Defect(
        "deletion", "a mirror is dropped under another Mirror", DELETION, "if farewell.heir is not None:", "if False:"
    ),
    Defect(
        "deletion, I6",
        "an unread namespace is taken for a live one",
        DELETION,
        "if farewell.crd_terminating is None or farewell.namespace_terminating is None:",
        "if False:",
    ),
    Defect(
        "deletion, I6",
        "a Mirror goes when PeerDB does not answer",
        DELETION,
        '    if look.reason is Reason.MIRROR_NOT_FOUND:\n        return case.plan("one 404"',
        '    if look.reason is not Reason.MIRROR_NOT_FOUND:\n        return case.plan("gone", Wait(None), action=Release(hand_over=False))\n    if look.reason is Reason.MIRROR_NOT_FOUND:\n        return case.plan("one 404"',
    ),
    Defect(
        "deletion",
        "a release leaves a mirror stopped by us",
        DELETION,
        "    held = _held(case, look)\n",
        "    held = None\n",
    ),
    Defect(
        "deletion",
        "a release waits without end",
        DELETION,
        "< case.limits.release_patience:",
        "< case.limits.release_patience * 1000:",
    ),
    Defect(
        "deletion",
        "a drop follows a resume at once",
        DROP,
        "operation.step not in {Step.EDIT, Step.RESUME} or",
        "True or",
    ),
    Defect("deletion", "a lost drop is not repeated", DROP, "    if abs(age) < period:", "    if True:"),
    Defect("deletion", "the brake does not hold", DROP, "if farewell.brake_wait <= 0:", "if True:"),
    Defect(
        "I9",
        "Ready speaks of a generation that was not evaluated",
        STATUS,
        "speaks_of = before.observed_generation if truth is Truth.KEEP and before is not None else generation",
        "speaks_of = generation",
    ),
    Defect(
        "I9",
        "Reconciling and Stalled stand together",
        "core/verdict.py",
        "_STALLED = _Row(_F, _F, stalled=_T)",
        "_STALLED = _Row(_F, _F, reconciling=_T, stalled=_T)",
    ),
    Defect(
        "I7",
        "a status is written though nothing changed",
        STATUS,
        "if previous == following or not following.conditions:\n        return Urgency.NOTHING",
        "if not following.conditions:\n        return Urgency.NOTHING",
    ),
)

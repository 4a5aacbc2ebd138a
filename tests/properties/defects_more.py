"""More seeded defects: of doubt and waiting, of what must survive a restart, and of writers that are out of date."""

from tests.properties.defect import Defect

DOUBT, CLAIM, PHASE = "core/rules_doubt.py", "core/rules_claim.py", "core/rules_phase.py"
FLIGHT, STEP, JOURNAL = "core/rules_flight.py", "core/rules_step.py", "core/journal.py"
DELETION, DROP, CHANGE, LIMITS = "core/deletion.py", "core/drop.py", "core/change.py", "core/limits.py"
BOUNDS, MEMORY, STATUS, LEDGER = "core/bounds.py", "core/memory.py", "core/status.py", "core/ledger.py"
ACT, ENTRY, REPORT = "controllers/act.py", "controllers/entry.py", "controllers/report.py"
ANNOUNCE, OBSERVED = "controllers/announce.py", "core/observed.py"

PLANNER: tuple[Defect, ...] = (
    Defect(
        "rule 2, I6",
        "every failed look is an absence",
        "controllers/look.py",
        "            return Sight(unknown(error, began))",
        "            return Sight(Gone(began, began))",
    ),
    Defect(
        "rule 4",
        "a generation is judged before the owner is read",
        CLAIM,
        "if case.has_settled or case.owner.kind is not OwnerKind.NOT_ASKED:",
        "if True:",
    ),
    Defect(
        "rule 5",
        "the tag comes without a finalizer",
        ACT,
        "        if not entry.view.has_finalizer:",
        "        if False:",
    ),
    Defect(
        "rule 5",
        "a mirror is taken over although PeerDB treats a column specially that the list lacks",
        "core/desired.py",
        "if not all(entry.is_plain for entry in entries)",
        "if False",
    ),
    Defect(
        "rule 6",
        "a mirror without a workflow is asked without end",
        PHASE,
        "if not case.memory.orphaned or due <= 0 or (operation is not None and operation.sent_at > told_at):",
        "if True:",
    ),
    Defect(
        "rule 6, I8",
        "an edit of another process is forgotten for a workflow that was gone before it",
        PHASE,
        "if not case.memory.orphaned or due <= 0 or (operation is not None and operation.sent_at > told_at):",
        "if not case.memory.orphaned or due <= 0:",
    ),
    Defect(
        "rule 7",
        "PAUSING is not waited for",
        PHASE,
        "        State.PAUSING: Reason.PAUSING,\n    }\n    if",
        "    }\n    if",
    ),
    Defect(
        "rule 8, I3",
        "an open command is forgotten",
        FLIGHT,
        "        case Finding.WAIT:\n            return _wait(case, operation)",
        "        case Finding.WAIT:\n            return close(case)",
    ),
    Defect(
        "rule 8",
        "a command that nobody asks for any more is forgotten",
        FLIGHT,
        "return None if asked else _wait(case, operation)",
        "return None",
    ),
    Defect(
        "rule 9, I2",
        "a destination is freed and filled in one request",
        CHANGE,
        "addable = [wish for wish in diff.added if wish.source not in freed]",
        "addable = list(diff.added)",
    ),
    Defect(
        "rule 11",
        "no mirror is paused for an edit",
        STEP,
        "if case.state is not State.RUNNING or not isinstance(case.change, Edit):",
        "if True:",
    ),
    Defect(
        "rule 12, I1",
        "the two looks may show different configs",
        MEMORY,
        "        and before.config.fingerprint == after.config.fingerprint\n",
        "",
    ),
    Defect(
        "rule 12, I1", "the two looks are one moment", LIMITS, "confirm_gap: float = 0.5", "confirm_gap: float = 0.0"
    ),
    Defect("I10", "patience has no end", LIMITS, "paused_patience: float = 2 * MINUTE", "paused_patience: float = 9e9"),
    Defect(
        "rule 14",
        "errors of a running mirror are not told",
        STEP,
        "    if error is not None and case.now - error[1] < case.limits.error_window:\n        return verdict(",
        "    if False:\n        return verdict(",
    ),
    Defect("rule 14, I9", "a light look settles a new generation", STEP, "or case.is_pending or", "or"),
)

MEMORY_OF_COMMANDS: tuple[Defect, ...] = (
    Defect(
        "journal",
        "PAUSED is judged by one look",
        JOURNAL,
        "if streak is None or streak.count < TWICE or age < limits.proof_after:",
        "if streak is None:",
    ),
    Defect(
        "journal",
        "a lost edit is waited for without end",
        JOURNAL,
        "patience = limits.proof_after if operation.accepted else limits.forget",
        "patience = 9e9",
    ),
    Defect(
        "journal, I3",
        "an edit is given up at once",
        JOURNAL,
        "patience = limits.proof_after if operation.accepted else limits.forget",
        "patience = 0.0",
    ),
    Defect(
        "journal, I8",
        "an unproven edit is not counted",
        FLIGHT,
        "if unproven is not None and unproven.step is Step.EDIT and (unproven.accepted or long_stop):",
        "if unproven is None:",
    ),
    Defect(
        "journal",
        "a successor does not read the journal",
        LEDGER,
        "    if status is None:\n        return None\n    try:",
        "    if True:\n        return None\n    try:",
    ),
    Defect("journal", "an acceptance does not survive", LEDGER, "accepted=status.accepted,", "accepted=False,"),
    Defect(
        "journal, I8",
        "a drop is sent before it is recorded",
        ACT,
        "            await self._announcer.announce_drop(job, what, write_ahead)\n",
        "",
    ),
    Defect(
        "journal, I3",
        "an edit rests on a look of long ago",
        ANNOUNCE,
        "if what.holds is not None and not await what.holds(job):",
        "if False:",
    ),
    Defect(
        "journal",
        "an edit counts from its plan, not from its answer",
        ACT,
        "        sent = _sent_again(job, recorded, replace(action.operation, accepted=failure is None))",
        "        sent = replace(recorded, operation=replace(action.operation, accepted=failure is None))",
    ),
    Defect(
        "journal, I10",
        "what was never sent is believed to be in flight",
        ANNOUNCE,
        "            entry.unsent[what.operation.id] = what.otherwise\n            raise",
        "            raise",
    ),
    Defect(
        "deletion",
        "a drop takes the mirror from another that claims it meanwhile",
        ANNOUNCE,
        "        self.surroundings.require_no_heir(entry)",
        "        pass",
    ),
    Defect(
        "rule 4, I10",
        "a younger owner leaves its mirror paused",
        CLAIM,
        "if case.situation.older_claim is None or case.owner.kind is OwnerKind.OURS:",
        "if case.situation.older_claim is None:",
    ),
    Defect(
        "rule 11",
        "a mirror is stopped for an edit that cannot be written down",
        ACT,
        "        if announced and operation is not None:",
        "        if False:",
    ),
    Defect(
        "journal, I3",
        "an edit is sent over the journal of another process",
        ANNOUNCE,
        "if written is None or written.id != what.operation.id:",
        "if False:",
    ),
    Defect(
        "deletion",
        "a drop that was not sent forgets the pause before it",
        ACT,
        "            what = Announcement(plan, action.operation, recorded, job.journal, self._lookout.still_owned)",
        "            unmarked = replace(recorded, operation=None)\n"
        "            what = Announcement(plan, action.operation, recorded, unmarked, self._lookout.still_owned)",
    ),
    Defect(
        "section 2, I4",
        "a command rests on what was seen long ago",
        OBSERVED,
        "return look.at >= replied_at and now - look.heard_at <= holds",
        "return look.at >= replied_at",
    ),
    Defect(
        "section 2, I4",
        "a command rests on what was seen before the reply to the last one",
        OBSERVED,
        "return look.at >= replied_at and now",
        "return now",
    ),
    Defect(
        "section 2, I4",
        "commands are sent whatever was seen",
        "controllers/lookout.py",
        "        if not ours or not self.is_fresh(job):",
        "        if False:",
    ),
    Defect(
        "section 2, I4",
        "the owner of the mirror before counts for the one that took its place",
        "controllers/look.py",
        "        if shown == created_at and abs(status.heard_at - at) <= TOGETHER:",
        "        if abs(status.heard_at - at) <= TOGETHER:",
    ),
    Defect(
        "rule 13, I10",
        "a mirror stands still for an invalid spec",
        "controllers/mirror.py",
        "        followed = entry.run_state_wish()",
        "        followed = None",
    ),
    Defect(
        "journal",
        "a status is written over a newer one",
        REPORT,
        '                metadata = {**body.get("metadata", {}), "resourceVersion": str(entry.basis.version)}',
        '                metadata = dict(body.get("metadata", {}))',
    ),
    Defect(
        "journal",
        "a status of somebody else is written over after a conflict",
        REPORT,
        "if not entry.known or not entry.view.reads_as(entry.basis):",
        "if not entry.known:",
    ),
    Defect(
        "I5",
        "a command follows orders that were withdrawn",
        ENTRY,
        "        if not self.known or self.view.orders != self.basis.orders:",
        "        if not self.known:",
    ),
    Defect("bounds", "an edit is tried without end", BOUNDS, "if not 0.0 < waits <= limits.retry_longest:", "if True:"),
    Defect("bounds", "an old generation binds the new one", BOUNDS, "if bounds.generation == generation:", "if True:"),
    Defect(
        "I9",
        "a transition time moves without a transition",
        STATUS,
        "before.last_transition_time if same and before is not None else now // 1",
        "now // 1",
    ),
    Defect(
        "I9",
        "an outage is taken for an evaluation",
        STATUS,
        "evaluated = told is not None and told.reason not in UNEVALUATED",
        "evaluated = told is not None",
    ),
)

DELETIONS: tuple[Defect, ...] = (
    Defect(
        "deletion",
        "a frozen object is dropped",
        DELETION,
        "    if not case.situation.frozen:\n        return None\n    if (cause := release_cause",
        "    if True:\n        return None\n    if (cause := release_cause",
    ),
    Defect(
        "deletion, I6",
        "a tag that was not read is nobody's",
        DELETION,
        '    return None if case.is_full else case.plan("look fully", Wait(0.0), action=LookFully())\n\n\ndef not_ours',
        "    return None\n\n\ndef not_ours",
    ),
    Defect(
        "deletion",
        "the drop of an earlier mirror counts for this one",
        DELETION,
        "return not isinstance(case.observation, Seen) or operation.created_at == case.seen.created_at",
        "return True",
    ),
    Defect(
        "deletion, I4",
        "a release resumes what is being dropped",
        DELETION,
        "    if drop_sent(case):\n        return _let_go",
        "    if False:\n        return _let_go",
    ),
    Defect(
        "deletion",
        "the rate limit on drops does not count",
        "controllers/drop_rate_limiter.py",
        "self._tokens = max(0.0, self._tokens - 1.0)",
        "pass",
    ),
    Defect(
        "deletion",
        "a held drop keeps its namespace Terminating",
        "controllers/held_drops.py",
        "        if not held:",
        "        if True:",
    ),
    Defect(
        "deletion",
        "a restart forgets the drops that are done",
        "controllers/surroundings.py",
        "        if len(sent) < len(going):",
        "        if False:",
    ),
    Defect(
        "deletion",
        "a repeated drop has other flags",
        DROP,
        "Drop(DropFlags.decode(operation.after), operation, first=False)",
        "Drop(DropFlags(statistics=True), operation, first=False)",
    ),
    Defect(
        "deletion, I6",
        "one 404 ends a drop",
        MEMORY,
        "return limits.dropped_gap if drop_sent else limits.absence_gap",
        "return 0.0",
    ),
    Defect(
        "deletion",
        "the tag stays when a mirror is let go",
        DELETION,
        "hands_over = case.desired.deletion_policy is DeletionPolicy.RETAIN or farewell.heir is not None",
        "hands_over = False",
    ),
)

DEFECTS = PLANNER + MEMORY_OF_COMMANDS + DELETIONS

"""More seeded defects: of doubt and waiting, of what must survive a restart, and of writers that are out of date."""

from tests.properties.defect import Defect

DOUBT, CLAIM, PHASE = "mirror/rules/gates.py", "mirror/rules/gates.py", "mirror/rules/phases.py"
FLIGHT, STEP, JOURNAL = "mirror/rules/in_flight.py", "mirror/rules/steps.py", "mirror/rules/journal.py"
DELETION, DROP, CHANGE, LIMITS = (
    "mirror/rules/finalize.py",
    "mirror/rules/finalize.py",
    "mirror/rules/change.py",
    "mirror/rules/limits.py",
)
BOUNDS, MEMORY, STATUS, LEDGER = (
    "mirror/rules/journal.py",
    "mirror/rules/history.py",
    "mirror/rules/conditions.py",
    "mirror/rules/journal.py",
)
ACT, ENTRY, REPORT = "mirror/execute.py", "mirror/store.py", "mirror/report.py"
ANNOUNCE, OBSERVED = "mirror/execute.py", "mirror/rules/observation.py"
PATIENCE, LOOK = "mirror/rules/patience.py", "mirror/observe.py"

PLANNER: tuple[Defect, ...] = (
    Defect(
        "rule 2, I6",
        "every failed look is an absence",
        "mirror/observe.py",
        "            return Observed(unknown(error, began))",
        "            return Observed(NotFound(began, began))",
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
        "mirror/rules/desired.py",
        "if not all(entry.is_plain for entry in entries)",
        "if False",
    ),
    Defect(
        "rule 6",
        "a mirror without a workflow is asked without end",
        PHASE,
        "if not case.history.orphaned or due <= 0 or (operation is not None and operation.sent_at > told_at):",
        "if True:",
    ),
    Defect(
        "rule 6, I8",
        "an edit of another process is forgotten for a workflow that was gone before it",
        PHASE,
        "if not case.history.orphaned or due <= 0 or (operation is not None and operation.sent_at > told_at):",
        "if not case.history.orphaned or due <= 0:",
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
        "addable = [table for table in diff.added if table.source not in freed]",
        "addable = list(diff.added)",
    ),
    Defect(
        "rule 11",
        "no mirror is paused for an edit",
        STEP,
        "if case.state is not State.RUNNING or not isinstance(case.change, ConfigUpdate):",
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
        "errors of a running mirror are not reported",
        STEP,
        "    if error is not None and case.now - error[1] < case.limits.error_window:\n        return verdict(",
        "    if False:\n        return verdict(",
    ),
    Defect("rule 14, I9", "a light look settles a new generation", STEP, "or case.is_pending or", "or"),
)

TWO_MINUTES: tuple[Defect, ...] = (
    Defect(
        "rule 13, I10",
        "patience starts anew on a failed read",
        MEMORY,
        "unknown_since=since, streak=None,",
        "unknown_since=since, streak=None, paused_since=None,",
    ),
    Defect(
        "rule 13, I10",
        "patience starts anew with the process",
        ENTRY,
        "    return replace(known, paused_since=status.state_since)",
        "    return known",
    ),
    Defect(
        "rule 13, I10",
        "the last resume needs a config",
        PATIENCE,
        "if not case.paused_too_long or case.seen.owner.kind is not OwnerKind.OURS:",
        "if not case.paused_too_long or case.config is None or case.seen.owner.kind is not OwnerKind.OURS:",
    ),
    Defect(
        "rule 13, I4",
        "the last resume needs no owner",
        PATIENCE,
        "if not case.paused_too_long or case.seen.owner.kind is not OwnerKind.OURS:",
        "if not case.paused_too_long:",
    ),
    Defect(
        "rule 13, I10",
        "a resume that failed is repeated as late as one that was taken",
        JOURNAL,
        "return limits.resume_retry if history.outcome_unknown else limits.resend",
        "return limits.resend",
    ),
    Defect(
        "rule 13, I10",
        "a stopped mirror is asked for less and less often",
        DOUBT,
        "if case.mirror_state.stops and seen.reason is not Reason.MAINTENANCE:",
        "if False:",
    ),
    Defect(
        "rule 13",
        "a failed read ends the look at a stopped mirror",
        LOOK,
        "if not self._how.repeats or late or tries <= 0 or not _is_momentary(error):",
        "if True:",
    ),
    Defect(
        "rule 13, I4",
        "a failed resume is repeated without end on one observation",
        ACT,
        "            if not self._lookout.is_fresh(work, again=True):\n                break\n",
        "",
    ),
    Defect(
        "rule 13",
        "an edit begins again while PeerDB does not answer",
        PATIENCE,
        "return tried and not case.mirror_state.peerdb_reliable",
        "return False",
    ),
    Defect("rule 13", "an edit begins when no time is left", STEP, "or time_left(case) < takes:", "or False:"),
    Defect(
        "deletion, I10",
        "a release waits for an edit that got lost",
        DELETION,
        "(case.config is None or case.state is State.PAUSED) and age",
        "case.config is None and age",
    ),
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
        "known = None if operation is None or operation.step is Step.OTHER else operation",
        "known = None",
    ),
    Defect(
        "journal",
        "an acceptance does not survive",
        LEDGER,
        "return cls(known, status.bounds or Bounds())",
        "return cls(known and replace(known, accepted=False), status.bounds or Bounds())",
    ),
    Defect(
        "journal, I8",
        "a drop is sent before it is recorded",
        ACT,
        "            await self._announcer.announce_drop(work, what, write_ahead)\n",
        "",
    ),
    Defect(
        "journal, I3",
        "an edit rests on a look of long ago",
        ANNOUNCE,
        "if what.holds is not None and not await what.holds(work):",
        "if False:",
    ),
    Defect(
        "journal",
        "an edit counts from its plan, not from its answer",
        ACT,
        "        sent = _sent_again(work, recorded, replace(action.operation, accepted=failure is None))",
        "        sent = replace(recorded, operation=replace(action.operation, accepted=failure is None))",
    ),
    Defect(
        "journal, I10",
        "what was never sent is believed to be in flight",
        ANNOUNCE,
        "            entry.journal_overrides[what.operation.id] = what.otherwise\n            raise",
        "            raise",
    ),
    Defect(
        "deletion",
        "a drop takes the mirror from another that claims it meanwhile",
        ANNOUNCE,
        "        self.claim_reader.require_no_successor(entry)",
        "        pass",
    ),
    Defect(
        "rule 4, I10",
        "a younger owner leaves its mirror paused",
        CLAIM,
        "if case.claims.older is None or case.owner.kind is OwnerKind.OURS:",
        "if case.claims.older is None:",
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
        "journal, I10",
        "a command that was not sent is believed once a new version shows it",
        "mirror/store.py",
        "if operation and known == operation.id",
        "if False",
    ),
    Defect(
        "deletion",
        "a drop that was not sent forgets the pause before it",
        ACT,
        "            what = PendingCommand(plan, action.operation, recorded, work.journal, self._may_still_drop)",
        "            unmarked = replace(recorded, operation=None)\n"
        "            what = PendingCommand(plan, action.operation, recorded, unmarked, self._may_still_drop)",
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
        "mirror/lookout.py",
        "        if not ours or not self.is_fresh(work, again=again):",
        "        if False:",
    ),
    Defect(
        "section 2, I4",
        "the owner of the mirror before counts for the one that took its place",
        "mirror/observe.py",
        "        if shown == self._how.created_at and abs(status.heard_at - at) <= together:",
        "        if abs(status.heard_at - at) <= together:",
    ),
    Defect(
        "rule 13, I10",
        "a mirror stands still for an invalid spec",
        "mirror/controller.py",
        "        followed = entry.desired_run_state()",
        "        followed = None",
    ),
    Defect(
        "journal",
        "a status is written over a newer one",
        REPORT,
        '                metadata = {**body.get("metadata", {}), "resourceVersion": str(entry.base.version)}',
        '                metadata = dict(body.get("metadata", {}))',
    ),
    Defect(
        "journal",
        "a status of somebody else is written over after a conflict",
        REPORT,
        "if not entry.known or not entry.view.equivalent_to(entry.base):",
        "if not entry.known:",
    ),
    Defect(
        "I5",
        "a command follows intent that were withdrawn",
        ENTRY,
        "        if not self.known or self.view.intent != self.base.intent:",
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
        "evaluated = reported is not None and reported.reason not in UNEVALUATED",
        "evaluated = reported is not None",
    ),
)

ANOTHER_MIRROR: tuple[Defect, ...] = (
    Defect(
        "section 2",
        "a mirror created anew is taken for the old one",
        "mirror/rules/state.py",
        "return self.view.status.created_at not in {None, self.observation.created_at}",
        "return False",
    ),
    Defect(
        "section 2",
        "a light look confirms the verdict on a mirror that is not ours",
        STEP,
        '    if case.owner.kind is not OwnerKind.OURS:\n        return None\n    return case.plan("quiet"',
        '    return case.plan("quiet"',
    ),
    Defect(
        "section 2",
        "what was learned of a mirror holds for the next one of its name",
        MEMORY,
        'if history.created_at not in {"", seen.created_at}:',
        "if False:",
    ),
    Defect(
        "section 2, rule 5",
        "the list accepted for a mirror holds for one that somebody else owns",
        STATUS,
        "if another and report.verdict is not None and report.verdict.reason in REFUSED:",
        "if False:",
    ),
    Defect(
        "section 3",
        "tables replicate in a mirror that is gone",
        STATUS,
        "        case Absent():\n            return _none_replicates(known)",
        "        case Absent():\n            return known",
    ),
)

PROVEN: tuple[Defect, ...] = (
    Defect(
        "rule 6",
        "a missing workflow is forgotten by the next process",
        "mirror/store.py",
        "known = replace(known, orphaned=True, orphaned_word=word, sent_at=status.flow.since)",
        "pass",
    ),
    Defect(
        "rule 6",
        "a command that failed proves that there is a workflow",
        ACT,
        "        elif failure is None:\n            work.entry.history = replace(history, orphaned=False",
        "        else:\n            work.entry.history = replace(history, orphaned=False",
    ),
    Defect(
        "rule 7",
        "a copy that stands still is on its way for the next process",
        PHASE,
        "        return _known_standstill(case)",
        "        return None",
    ),
)

DELETIONS: tuple[Defect, ...] = (
    Defect(
        "deletion",
        "a frozen object is dropped",
        DELETION,
        "    if not case.view.frozen:\n        return None\n    if (cause := release_cause",
        "    if True:\n        return None\n    if (cause := release_cause",
    ),
    Defect(
        "deletion, I6",
        "a tag that was not read is nobody's",
        DELETION,
        '    return None if case.is_full else case.plan("look fully", Wait(0.0), action=Observe())\n\n\ndef not_ours',
        "    return None\n\n\ndef not_ours",
    ),
    Defect(
        "deletion",
        "the drop of an earlier mirror counts for this one",
        DELETION,
        "return not isinstance(case.observation, Found) or operation.created_at == case.seen.created_at",
        "return True",
    ),
    Defect(
        "deletion, I4",
        "a release resumes what is being dropped",
        DELETION,
        "    if drop_sent(case):\n        return _release_now",
        "    if False:\n        return _release_now",
    ),
    Defect(
        "deletion",
        "the rate limit on drops does not count",
        "mirror/drop_rate_limiter.py",
        "self._tokens = max(0.0, self._tokens - 1.0)",
        "pass",
    ),
    Defect(
        "deletion",
        "a held drop keeps its namespace Terminating",
        "mirror/held_drops.py",
        "        if not held:",
        "        if True:",
    ),
    Defect(
        "deletion",
        "a restart forgets the drops that are done",
        "mirror/claims.py",
        "        if len(sent) < len(going):",
        "        if False:",
    ),
    Defect(
        "deletion",
        "a repeated drop has other flags",
        DROP,
        'Drop(DropFlags.decode(operation.to or ""), operation, first=False)',
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
        "hands_over = case.desired.deletion_policy is DeletionPolicy.RETAIN or case.claims.successor is not None",
        "hands_over = False",
    ),
)

DEFECTS = PLANNER + TWO_MINUTES + MEMORY_OF_COMMANDS + ANOTHER_MIRROR + PROVEN + DELETIONS

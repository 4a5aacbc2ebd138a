"""Rules for what cannot be known or may not be touched: frozen objects, PeerDB away, unknown states, absence."""

from __future__ import annotations

from dataclasses import replace

from peerdb_operator.api.reasons import Reason
from peerdb_operator.mirror.rules.change import describe_conflict, diff_tables
from peerdb_operator.mirror.rules.conditions import ConditionChange, away, verdict
from peerdb_operator.mirror.rules.decision import Adopt, Decision, Observe
from peerdb_operator.mirror.rules.journal import Journal
from peerdb_operator.mirror.rules.observation import Absent, Found, OwnerKind, State, Unknown
from peerdb_operator.mirror.rules.state import Case
from peerdb_operator.ports import Requeue

RETRY_FIRST = 1.0
RETRY_LONGEST = 30.0
SLOW_RETRY = 30.0


def frozen(case: Case) -> Decision | None:
    """The object says hands off: nothing is asked, nothing is sent."""
    if not case.view.frozen:
        return None
    message = (
        'the annotation peerdb.io/reconcile is "disabled"; remove it to let the operator work on this Mirror again'
    )
    return case.decide("frozen", Requeue(None), verdict(Reason.RECONCILE_DISABLED, message))


def unknown(case: Case) -> Decision | None:
    """PeerDB cannot be asked: nothing is done, the last verdict stays for a while."""
    seen = case.observation
    if not isinstance(seen, Unknown):
        return None
    if seen.reason is Reason.MIRROR_NOT_FOUND:
        return case.decide("one 404", Requeue(case.limits.absence_gap))
    if seen.reason is Reason.UNSUPPORTED_PEERDB:
        return case.decide("old PeerDB", Requeue(case.limits.requeue_slow), verdict(seen.reason, seen.message))
    wait = Requeue(SLOW_RETRY) if seen.slow else Requeue(RETRY_FIRST, backoff=seen.reason, cap=RETRY_LONGEST)
    if case.mirror_state.stops and seen.reason is not Reason.MAINTENANCE:
        wait = Requeue(case.limits.resume_retry, backoff=seen.reason, cap=case.limits.resume_retry)
    lasts = case.now - (case.history.unknown_since if case.history.unknown_since is not None else case.now)
    if lasts < case.limits.outage_quiet:
        soon = case.limits.outage_quiet - lasts
        return case.decide(
            "unknown", replace(wait, after=min(wait.after or soon, soon), cap=min(wait.cap, max(soon, RETRY_FIRST)))
        )
    reported = away(seen.reason, seen.message, long=case.is_pending or lasts >= case.limits.outage_unknown)
    return case.decide("unknown", wait, reported)


def unknown_state(case: Case) -> Decision | None:
    """PeerDB reports a state that we do not know: wait, and report it when it lasts."""
    if not isinstance(case.observation, Found) or case.state is not State.OTHER:
        return None
    wait = Requeue(case.limits.tick)
    lasts = case.now - case.history.word_since
    if lasts < case.limits.outage_quiet:
        return case.decide("unknown state", wait)
    message = (
        f"PeerDB reports the state {case.seen.word!r}, which this operator does not know; "
        "nothing is sent until it shows a known one"
    )
    reported = away(Reason.UNEXPECTED_REPLY, message, long=case.is_pending or lasts >= case.limits.outage_unknown)
    return case.decide("unknown state", wait, reported)


def absent(case: Case) -> Decision | None:
    """No such mirror: what was in flight is moot."""
    if not isinstance(case.observation, Absent):
        return None
    message = (
        f'PeerDB has no mirror named "{case.desired.mirror}"; create it in PeerDB, or correct spec.mirrorName in a new '
        "Mirror. It is picked up when it appears"
    )
    closed = case.with_journal(Journal(None, case.journal.bounds))
    return closed.decide("absent", Requeue(case.limits.requeue_slow), verdict(Reason.MIRROR_NOT_FOUND, message))


def older_claim(case: Case) -> Decision | None:
    """Another Mirror claimed this PeerDB mirror first, and the mirror does not say that it is ours.

    Ages order first contact only. Clocks of API servers differ and creationTimestamp has whole seconds: a newcomer that
    seems older must not stop the work on a mirror that is PAUSED for an edit, which the owner tag keeps it from.
    """
    if case.claims.older is None or case.owner.kind is OwnerKind.OURS:
        return None
    if case.owner.kind is OwnerKind.NOT_ASKED:
        return case.decide("whose claim is it", Requeue(0.0), action=Observe())
    message = (
        f'the Mirror {case.claims.older} is older and manages the PeerDB mirror "{case.desired.mirror}"; '
        "delete one of the two (deleting the older hands the mirror over, it is not dropped)"
    )
    return case.decide("older claim", Requeue(case.limits.requeue_slow), verdict(Reason.NAME_CONFLICT, message))


def unread_owner(case: Case) -> Decision | None:
    """No condition speaks of a generation's mirror before its owner is known."""
    if case.has_settled or case.owner.kind is not OwnerKind.NOT_ASKED:
        return None
    return case.decide("whose is it", Requeue(0.0), action=Observe())


def other_owner(case: Case) -> Decision | None:
    """The owner tag names another owner."""
    if case.owner.kind is not OwnerKind.OTHER:
        return None
    message = (
        f'the PeerDB mirror "{case.desired.mirror}" belongs to {case.owner.value} (its tag peerdb.io/owner); '
        'if that owner is gone, set the tag to "released" in PeerDB'
    )
    closed = case.with_journal(Journal(None, case.journal.bounds))
    return closed.decide("other owner", Requeue(case.limits.requeue_slow), verdict(Reason.MIRROR_NOT_OWNED, message))


def unsupported(case: Case) -> Decision | None:
    """Query-replication mirrors know neither table lists nor edits."""
    if case.seen.supported:
        return None
    message = f'"{case.desired.mirror}" is a query-replication mirror; this operator manages CDC mirrors only'
    return case.decide("unsupported", Requeue(case.limits.requeue_slow), verdict(Reason.UNSUPPORTED_MIRROR, message))


def first_contact(case: Case) -> Decision | None:
    """An untagged or released mirror is taken over only if that takes nothing away from it."""
    kind = case.seen.owner.kind
    if kind is OwnerKind.OURS:
        return None if case.view.has_finalizer else _adopt(case, "adopt again")
    if kind is OwnerKind.NOT_ASKED or not case.state.comparable:
        return None
    if kind is OwnerKind.NONE and (doubt := untagged_wait(case)) > 0:
        return case.decide("no owner once", Requeue(doubt))
    if case.desired.tables is not None and (refusal := _would_take_away(case)) is not None:
        return refusal
    return _adopt(case, "take over")


def _adopt(case: Case, rule: str) -> Decision:
    if case.desired.invalid:
        return case.decide(rule, Requeue(case.limits.requeue_slow), verdict(Reason.INVALID_SPEC, case.desired.invalid))
    note = f'the PeerDB mirror "{case.desired.mirror}" is ours from now on: finalizer and owner tag are written'
    return case.decide(rule, Requeue(0.0), action=Adopt(), note=note)


def untagged_wait(case: Case) -> float:
    """Seconds until the missing tag may be believed (a resync of a completed mirror shows none for a moment)."""
    untagged = case.history.untagged
    since = untagged[1] if untagged is not None else case.now
    return since + case.limits.confirmation_gap - case.seen.at


def _would_take_away(case: Case) -> Decision | None:
    if case.config is None:
        message = (
            f"PeerDB does not show the mirror's tables: {case.why_unreadable}; "
            "it is taken over once they can be compared"
        )
        reported = verdict(Reason.CONFIG_UNREADABLE, message).with_ready(ConditionChange.UNKNOWN)
        return case.decide(
            "adopt blind", Requeue(case.limits.requeue_first, Reason.CONFIG_UNREADABLE, case.limits.tick), reported
        )
    diff = diff_tables(case.desired, case.config)
    if not diff.takes_away:
        return None
    return case.decide(
        "adoption conflict",
        Requeue(case.limits.requeue_slow),
        verdict(Reason.ADOPTION_CONFLICT, conflict_message(case)),
    )


def conflict_message(case: Case) -> str:
    """Why the spec's list is not accepted for this mirror."""
    diff = diff_tables(case.desired, case.config) if case.config is not None else None
    reported = describe_conflict(diff) if diff is not None else ""
    return (
        f'spec.tables would {reported} in the existing PeerDB mirror "{case.desired.mirror}"; '
        "list its live tables as they are first (additions are fine), then change them"
    )

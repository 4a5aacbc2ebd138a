"""Rules for whose mirror it is: other Mirrors, other owners, first contact."""

from __future__ import annotations

from peerdb_operator.core.case import Case
from peerdb_operator.core.change import describe_conflict, diff_tables
from peerdb_operator.core.journal import Journal
from peerdb_operator.core.observed import OwnerKind
from peerdb_operator.core.plan_types import LookFully, Plan, TakeOver, Wait
from peerdb_operator.core.reasons import Reason
from peerdb_operator.core.verdict import Truth, verdict


def older_claim(case: Case) -> Plan | None:
    """Another Mirror claimed this PeerDB mirror first, and the mirror does not say that it is ours.

    Ages order first contact only. Clocks of API servers differ and creation is told in whole seconds: a newcomer that
    looks older must not stop the work on a mirror that stands paused for an edit, which the owner tag keeps it from.
    """
    if case.situation.older_claim is None or case.owner.kind is OwnerKind.OURS:
        return None
    if case.owner.kind is OwnerKind.NOT_ASKED:
        return case.plan("whose claim is it", Wait(0.0), action=LookFully())
    message = (
        f'the Mirror {case.situation.older_claim} is older and manages the PeerDB mirror "{case.desired.mirror}"; '
        "delete one of the two (deleting the older hands the mirror over, it is not dropped)"
    )
    return case.plan("older claim", Wait(case.limits.slow_look), verdict(Reason.NAME_CONFLICT, message))


def unread_owner(case: Case) -> Plan | None:
    """Nothing is told of a generation's mirror before it is known whose it is."""
    if case.has_settled or case.owner.kind is not OwnerKind.NOT_ASKED:
        return None
    return case.plan("whose is it", Wait(0.0), action=LookFully())


def other_owner(case: Case) -> Plan | None:
    """The owner tag names somebody else."""
    if case.owner.kind is not OwnerKind.OTHER:
        return None
    message = (
        f'the PeerDB mirror "{case.desired.mirror}" belongs to {case.owner.value} (its tag peerdb.io/owner); '
        'if that owner is gone, set the tag to "released" in PeerDB'
    )
    closed = case.with_journal(Journal(None, case.journal.bounds))
    return closed.plan("other owner", Wait(case.limits.slow_look), verdict(Reason.MIRROR_NOT_OWNED, message))


def unsupported(case: Case) -> Plan | None:
    """Query-replication mirrors know neither table lists nor edits."""
    if case.seen.supported:
        return None
    message = f'"{case.desired.mirror}" is a query-replication mirror; this operator manages CDC mirrors only'
    return case.plan("unsupported", Wait(case.limits.slow_look), verdict(Reason.UNSUPPORTED_MIRROR, message))


def first_contact(case: Case) -> Plan | None:
    """An untagged or released mirror is taken over only if that takes nothing away from it."""
    kind = case.seen.owner.kind
    if kind is OwnerKind.OURS:
        return None if case.situation.has_finalizer else _take_over(case, "adopt again")
    if kind is OwnerKind.NOT_ASKED or not case.state.comparable:
        return None
    if kind is OwnerKind.NONE and (doubt := unowned_doubt(case)) > 0:
        return case.plan("no owner once", Wait(doubt))
    if case.desired.tables is not None and (refusal := _would_take_away(case)) is not None:
        return refusal
    return _take_over(case, "take over")


def _take_over(case: Case, rule: str) -> Plan:
    if case.desired.invalid:
        return case.plan(rule, Wait(case.limits.slow_look), verdict(Reason.INVALID_SPEC, case.desired.invalid))
    note = f'the PeerDB mirror "{case.desired.mirror}" is ours from now on: finalizer and owner tag are written'
    return case.plan(rule, Wait(0.0), action=TakeOver(), note=note)


def unowned_doubt(case: Case) -> float:
    """Seconds until the missing tag may be believed (a resync of a completed mirror shows none for a moment)."""
    unowned = case.memory.unowned
    since = unowned[1] if unowned is not None else case.now
    return since + case.limits.doubt_gap - case.seen.at


def _would_take_away(case: Case) -> Plan | None:
    if case.config is None:
        message = (
            f"PeerDB does not show the mirror's tables: {case.why_unreadable}; "
            "it is taken over once they can be compared"
        )
        told = verdict(Reason.CONFIG_UNREADABLE, message).with_ready(Truth.UNKNOWN)
        return case.plan("adopt blind", Wait(case.limits.look_first, Reason.CONFIG_UNREADABLE, case.limits.tick), told)
    diff = diff_tables(case.desired, case.config)
    if not diff.takes_away:
        return None
    return case.plan(
        "adoption conflict", Wait(case.limits.slow_look), verdict(Reason.ADOPTION_CONFLICT, conflict_message(case))
    )


def conflict_message(case: Case) -> str:
    """Why the spec's list is not accepted for this mirror."""
    diff = diff_tables(case.desired, case.config) if case.config is not None else None
    told = describe_conflict(diff) if diff is not None else ""
    return (
        f'spec.tables would {told} in the existing PeerDB mirror "{case.desired.mirror}"; '
        "list its live tables as they are first (additions are fine), then change them"
    )

"""Rules for what cannot be known or may not be touched: frozen objects, PeerDB away, unknown words, absence."""

from __future__ import annotations

from dataclasses import replace

from peerdb_operator.core.case import Case
from peerdb_operator.core.journal import Journal
from peerdb_operator.core.observed import Absent, Seen, State, Unknown
from peerdb_operator.core.plan_types import Plan, Wait
from peerdb_operator.core.reasons import Reason
from peerdb_operator.core.verdict import away, verdict

RETRY_FIRST = 1.0
RETRY_LONGEST = 30.0
SLOW_RETRY = 30.0


def frozen(case: Case) -> Plan | None:
    """The object says hands off: nothing is asked, nothing is sent."""
    if not case.situation.frozen:
        return None
    message = (
        'the annotation peerdb.io/reconcile is "disabled"; remove it to let the operator work on this Mirror again'
    )
    return case.plan("frozen", Wait(None), verdict(Reason.RECONCILE_DISABLED, message))


def unknown(case: Case) -> Plan | None:
    """PeerDB cannot be asked: nothing is done, the last verdict stays for a while."""
    look = case.observation
    if not isinstance(look, Unknown):
        return None
    if look.reason is Reason.MIRROR_NOT_FOUND:
        return case.plan("one 404", Wait(case.limits.absence_gap))
    if look.reason is Reason.UNSUPPORTED_PEERDB:
        return case.plan("old PeerDB", Wait(case.limits.slow_look), verdict(look.reason, look.message))
    wait = Wait(SLOW_RETRY) if look.slow else Wait(RETRY_FIRST, backoff=look.reason, cap=RETRY_LONGEST)
    lasts = case.now - (case.memory.unknown_since if case.memory.unknown_since is not None else case.now)
    if lasts < case.limits.outage_quiet:
        soon = case.limits.outage_quiet - lasts
        return case.plan(
            "unknown", replace(wait, after=min(wait.after or soon, soon), cap=min(wait.cap, max(soon, RETRY_FIRST)))
        )
    told = away(look.reason, look.message, long=case.is_pending or lasts >= case.limits.outage_unknown)
    return case.plan("unknown", wait, told)


def unknown_word(case: Case) -> Plan | None:
    """PeerDB uses a word we do not know: wait, and say so when it lasts."""
    if not isinstance(case.observation, Seen) or case.state is not State.OTHER:
        return None
    wait = Wait(case.limits.tick)
    lasts = case.now - case.memory.word_since
    if lasts < case.limits.outage_quiet:
        return case.plan("unknown word", wait)
    message = (
        f"PeerDB reports the state {case.seen.word!r}, which this operator does not know; "
        "nothing is sent until it shows a known one"
    )
    told = away(Reason.UNEXPECTED_REPLY, message, long=case.is_pending or lasts >= case.limits.outage_unknown)
    return case.plan("unknown word", wait, told)


def absent(case: Case) -> Plan | None:
    """No such mirror: what was in flight is moot."""
    if not isinstance(case.observation, Absent):
        return None
    message = (
        f'PeerDB has no mirror named "{case.desired.mirror}"; create it in PeerDB, or correct spec.mirrorName in a new '
        "Mirror. It is picked up when it appears"
    )
    closed = case.with_journal(Journal(None, case.journal.bounds))
    return closed.plan("absent", Wait(case.limits.slow_look), verdict(Reason.MIRROR_NOT_FOUND, message))

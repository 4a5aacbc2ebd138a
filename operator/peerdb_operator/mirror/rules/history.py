"""What this process remembers of earlier observations of one mirror.

Nothing here survives a restart and nothing has to: every rule that needs two observations starts counting again, which
only makes us slower. What must survive lives in the journal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from peerdb_operator.api.reasons import Reason
from peerdb_operator.mirror.rules.limits import Limits
from peerdb_operator.mirror.rules.observation import (
    Absent,
    ConfigGap,
    Found,
    NotFound,
    Observation,
    Owner,
    OwnerKind,
    Reading,
    State,
    Unknown,
    Unreadable,
)
from peerdb_operator.peerdb.models import MirrorConfig, Progress


@dataclass(frozen=True, slots=True)
class Streak:
    """Observations in a row, none failed, that all showed this state and this config."""

    word: str
    fingerprint: str
    since: float
    last: float
    count: int


@dataclass(frozen=True, slots=True)
class PrecheckResult:
    """The newest answer of PeerDB to one set of additions.

    ``reason`` is None when they passed; ``retry_at``: when a failure is asked again.
    """

    key: str
    at: float
    reason: Reason | None = None
    message: str = ""
    retry_at: float = 0.0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """Everything remembered of one mirror. Times are seconds since the epoch."""

    created_at: str = ""
    """PeerDB's createdAt of the mirror that was seen; "" for none. Another mirror of the same name starts afresh."""
    replaced: bool = False
    """Whether the fleet list has shown another mirror since the newest observation."""
    word: str | None = None
    previous_word: str | None = None
    word_since: float = 0.0
    streak: Streak | None = None
    paused_since: float | None = None
    """Since when every successful observation showed PAUSED while the spec asked for Running."""
    goal: str = ""
    """Fingerprint of the config that the newest stop of ours is made for."""
    not_found_since: float | None = None
    changed_since_full: bool = False
    """Whether the state has changed, or the mirror was another or none, since the newest full observation."""
    paused_for: float = 0.0
    """How long the newest stop of a mirror that should run had lasted when it ended; 0 while one lasts."""
    broken_since: float | None = None
    """Since when every observation showed FAILED, or every one TERMINATED."""
    owner: tuple[str, Owner] | None = None
    """PeerDB's createdAt of the mirror whose tag was read last, and that tag."""
    untagged: tuple[str, float] | None = None
    """PeerDB's createdAt of the untagged mirror, and since when every tag reading was empty."""
    unreadable_since: float | None = None
    unknown_since: float | None = None
    progress: Progress | None = None
    progress_at: float | None = None
    pausing_seen: bool = False
    """Whether PAUSING was seen since the newest pause of ours."""
    sent_at: float = 0.0
    """When the newest pause, resume or drop of this process was sent; 0 when none was."""
    confirmed: bool = False
    """Whether two observations of this very reconcile showed PAUSED with equal config."""
    precheck: PrecheckResult | None = None
    blocked: tuple[int, Reason, str] | None = None
    """Generation, reason and message of the newest finding that the spec cannot be applied."""
    release_since: float | None = None
    """When this process first saw that the finalizer is to be released."""
    outcome_unknown: str = ""
    """What went wrong with our newest command, if it may have arrived all the same."""
    orphaned: bool = False
    """Whether PeerDB has answered a command with "already completed": there is no workflow behind the row."""
    orphaned_word: str = ""
    """The state that PeerDB showed then; "" if it is ``word``. Another state proves that there is a workflow."""
    error: tuple[str, float] | None = None
    """Newest error line of the mirror's own log, and its time by PeerDB's clock."""
    batch_end: float | None = None
    """The latest time, by PeerDB's clock, at which a batch of the mirror is known to have ended."""
    batches_read_at: float = 0.0
    """When the mirror's batches were asked for last."""


def with_changes(history: History, **changes: object) -> History:
    """The history with these fields; the same object if it has them: copying thirty fields for nothing costs most."""
    if all(getattr(history, name) == value for name, value in changes.items()):
        return history
    return replace(history, **changes)  # type: ignore[arg-type]  # by name, as replace itself takes them


def record_reading(
    history: History, reading: Reading, *, wants_running: bool, gap: float, now: float
) -> tuple[History, Observation]:
    """Add one reading; return the new memory and what may be concluded. No side effects.

    ``gap``: seconds between two 404s that prove absence.
    """
    history = with_changes(history, confirmed=False)
    match reading:
        case Unknown():
            since = history.unknown_since if history.unknown_since is not None else now
            # A failed read breaks every run of readings that a conclusion could use.
            broken = replace(
                history, unknown_since=since, streak=None, not_found_since=None, broken_since=None, untagged=None
            )
            return broken, reading
        case NotFound():
            since = (
                history.not_found_since if history.not_found_since is not None else max(reading.at, reading.heard_at)
            )
            fresh = replace(_without_mirror(history), not_found_since=since)
            if reading.at - since >= gap:
                return fresh, Absent(reading.at)
            fresh = replace(
                fresh,
                created_at=history.created_at,
                paused_since=history.paused_since,
                goal=history.goal,
                orphaned=history.orphaned,
                orphaned_word=_orphaned_word(history),
                batch_end=history.batch_end,
            )
            return fresh, Unknown(
                Reason.MIRROR_NOT_FOUND,
                "PeerDB says that the mirror does not exist; asking again to be sure",
                reading.at,
            )
        case Found():
            return _record_found(history, reading, wants_running=wants_running, now=now), reading
        case _ as never:
            assert_never(never)


def _record_found(history: History, seen: Found, *, wants_running: bool, now: float) -> History:
    if history.created_at not in {"", seen.created_at}:
        history = _without_mirror(history)
    state = seen.state
    changed = seen.word != history.word
    doubtful = state in {State.FAILED, State.TERMINATED}
    stopped = state is State.PAUSED and wants_running
    progress, progress_at = _progress(history, seen, now)
    orphaned = history.orphaned and _orphaned_word(history) == seen.word
    return replace(
        history,
        created_at=seen.created_at,
        replaced=False,
        word=seen.word,
        previous_word=history.word if changed else history.previous_word,
        word_since=now if changed else history.word_since,
        streak=_streak(history.streak, seen),
        changed_since_full=_moved(history, seen, changed=changed),
        paused_since=_stopped_since(history, seen, holds=stopped),
        paused_for=_stopped_for(history, state, now),
        not_found_since=None,
        broken_since=_since(None if changed else history.broken_since, holds=doubtful, at=seen.at),
        owner=history.owner if seen.owner.kind is OwnerKind.NOT_ASKED else (seen.created_at, seen.owner),
        untagged=_unowned(history.untagged, seen),
        unreadable_since=_unreadable(history.unreadable_since, seen, now),
        unknown_since=None,
        progress=progress,
        progress_at=progress_at,
        pausing_seen=history.pausing_seen or state is State.PAUSING,
        orphaned=orphaned,
        orphaned_word=seen.word if orphaned else "",
        error=None if history.error is not None and seen.is_younger_than(history.error[1]) else history.error,
    )


def record_batch_end(history: History, end: float | None, *, asked_at: float) -> History:
    """Add one read of the mirror's batches; ``end`` None: none has ended, or PeerDB did not say. No side effects."""
    ends = [one for one in (history.batch_end, end) if one is not None]
    return replace(history, batch_end=max(ends, default=None), batches_read_at=asked_at)


def _without_mirror(history: History) -> History:
    """What stays of a memory when its mirror is gone, or another one has taken its place."""
    return History(
        changed_since_full=True,
        sent_at=history.sent_at,
        release_since=history.release_since,
        error=history.error,
        batches_read_at=history.batches_read_at,
    )


def _orphaned_word(history: History) -> str:
    return (history.orphaned_word or history.word or "") if history.orphaned else ""


def patience_is_over(history: History, limits: Limits, now: float) -> bool:
    """Whether a mirror that should run has been PAUSED for the whole patience, as far as is known; no side effects."""
    return history.paused_since is not None and now - history.paused_since >= limits.paused_patience


def same_paused_config(before: Reading, after: Reading) -> bool:
    """Whether two readings show one mirror of one owner PAUSED with the same config; no side effects."""
    return (
        same_owner(before, after)
        and isinstance(before, Found)
        and isinstance(after, Found)
        and before.state is State.PAUSED
        and after.state is State.PAUSED
        and isinstance(before.config, MirrorConfig)
        and isinstance(after.config, MirrorConfig)
        and before.config.fingerprint == after.config.fingerprint
    )


def same_owner(before: Reading, after: Reading) -> bool:
    """Whether two readings show one mirror under the same tag, in whatever state; no side effects."""
    if not isinstance(before, Found) or not isinstance(after, Found):
        return False
    return (before.created_at, before.owner) == (after.created_at, after.owner)


def absence_gap(limits: Limits, *, drop_sent: bool) -> float:
    """How far apart two 404s must be to prove absence."""
    return limits.dropped_gap if drop_sent else limits.absence_gap


def _since(since: float | None, *, holds: bool, at: float) -> float | None:
    if not holds:
        return None
    return at if since is None else since


def _stopped_since(history: History, seen: Found, *, holds: bool) -> float | None:
    """Counted from the request, since a late answer shows how the mirror was."""
    since = _since(history.paused_since, holds=holds, at=seen.at)
    return None if since is None else min(since, seen.at)


def _moved(history: History, seen: Found, *, changed: bool) -> bool:
    if seen.owner.kind is not OwnerKind.NOT_ASKED and seen.config is not ConfigGap.NOT_ASKED:
        return False
    return history.changed_since_full or (changed and history.word is not None)


def _stopped_for(history: History, state: State, now: float) -> float:
    if state is State.PAUSED:
        return 0.0
    return history.paused_for if history.paused_since is None else now - history.paused_since


def _streak(streak: Streak | None, seen: Found) -> Streak | None:
    if not isinstance(seen.config, MirrorConfig):
        # A light reading says nothing about the config: it does not lengthen a run, nor break one of the same state.
        return (
            streak if seen.config is ConfigGap.NOT_ASKED and streak is not None and streak.word == seen.word else None
        )
    print_ = seen.config.fingerprint
    if streak is not None and (streak.word, streak.fingerprint) == (seen.word, print_):
        return replace(streak, last=seen.at, count=streak.count + 1)
    return Streak(seen.word, print_, since=seen.at, last=seen.at, count=1)


def _unowned(untagged: tuple[str, float] | None, seen: Found) -> tuple[str, float] | None:
    if seen.owner.kind is OwnerKind.NOT_ASKED:
        return untagged if untagged is not None and untagged[0] == seen.created_at else None
    if seen.owner.kind is not OwnerKind.NONE:
        return None
    if untagged is not None and untagged[0] == seen.created_at:
        return untagged
    return (seen.created_at, seen.at)


def _unreadable(since: float | None, seen: Found, now: float) -> float | None:
    if seen.config is ConfigGap.NOT_ASKED:
        return since
    return _since(since, holds=isinstance(seen.config, Unreadable), at=now)


def _progress(history: History, seen: Found, now: float) -> tuple[Progress | None, float | None]:
    if seen.state is not State.SNAPSHOT:
        return None, None
    if history.progress_at is None:
        return seen.progress, now
    if history.progress is None:
        return seen.progress, history.progress_at
    if seen.progress is not None and seen.progress != history.progress:
        return seen.progress, now
    return history.progress, history.progress_at

"""Planning cases of every kind, consistent or not: what a process may meet after restarts, hands and faults.

Owns generation only. The values come from small sets whose members collide, so that rules meet each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hypothesis import strategies as st

from peerdb_operator.api.mirror import DeletionPolicy, DestinationMetadata, DropSpec, Statistics
from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import REFUSALS, Bounds, Correction, Operation, Step
from peerdb_operator.mirror.rules.change import precheck_key
from peerdb_operator.mirror.rules.conditions import AWAY
from peerdb_operator.mirror.rules.desired import Desired
from peerdb_operator.mirror.rules.history import History, PrecheckResult, Streak
from peerdb_operator.mirror.rules.journal import Journal
from peerdb_operator.mirror.rules.observation import Absent, ConfigGap, Found, Observation, State, Unknown
from peerdb_operator.mirror.rules.state import Case, Claims, MirrorObject, MirrorState
from peerdb_operator.peerdb.models import MirrorConfig, Progress
from tests.unit.core.builders import (
    CREATED,
    GENERATION,
    LIMITS,
    NO_WORKERS,
    NOBODYS,
    NOW,
    OTHERS,
    OURS,
    RECREATED,
    RELEASED,
    UNASKED,
    Deletion,
    a_config,
    a_deletion,
    a_mapping,
    a_mirror,
    a_wish,
    an_empty_config,
    an_object,
    edit_to,
)

CONFIGS = [
    an_empty_config(),
    a_config("public.a"),
    a_config("public.a", "public.b"),
    a_config("public.a", "public.c", batch_size=7),
    a_config(a_mapping("public.a", "t"), a_mapping("public.b", "t")),
]
TABLES = [
    None,
    (a_wish("public.a"),),
    *[(a_wish("public.a"), a_wish("public.b"))] * 3,
    (a_wish("public.b"),),
    (a_wish("public.b", "a"),),
    (a_wish("public.a", "elsewhere"), a_wish("public.c")),
]
T = TypeVar("T")
AGES = st.sampled_from([-9999.0, -1.0, 0.0, 0.5, 4.0, 5.0, 14.0, 16.0, 29.0, 31.0, 60.0, 119.0, 121.0, 700.0, 99_999.0])
TIMES = AGES.map(lambda age: NOW - age)
MAYBE_TIMES = st.none() | TIMES
GENERATIONS = st.sampled_from([GENERATION, GENERATION, GENERATION, GENERATION - 1, -1])
WORDS = st.sampled_from([*map(str, State), "ODD", *["RUNNING", "PAUSED"] * 8])
RARELY = st.integers(0, 19).map(lambda number: number == 7)  # a plain choice would be made far more often
CREATIONS = st.sampled_from([*[CREATED] * 9, RECREATED])
OWNERS = st.sampled_from([*[OURS] * 12, UNASKED, NOBODYS, RELEASED, OTHERS])
FINGERPRINTS = st.sampled_from(["", *(config.fingerprint for config in CONFIGS)])
UNKNOWN = sorted(AWAY | {Reason.MIRROR_NOT_FOUND, Reason.UNSUPPORTED_PEERDB})
REASONS = st.sampled_from(list(Reason))
ERRORS = st.none() | st.tuples(st.just("broken"), TIMES)


def mirrors() -> st.SearchStrategy[Desired]:
    return st.builds(
        lambda tables, **fields: a_mirror(tables=tables, **fields),
        tables=st.sampled_from(TABLES),
        runs=st.booleans(),
        batch_size=st.sampled_from([None, None, 7]),
        skip_snapshot=st.booleans(),
        deletion_policy=st.sampled_from(DeletionPolicy),
        drop=st.builds(
            DropSpec,
            statistics=st.sampled_from(Statistics),
            destination_metadata=st.sampled_from(DestinationMetadata),
        ),
    )


def seen_looks() -> st.SearchStrategy[Found]:
    """Looks at a mirror that exists, full ones above all."""
    return st.builds(
        Found,
        word=WORDS,
        created_at=CREATIONS,
        at=st.just(NOW),
        config=st.sampled_from([*CONFIGS * 2, *[CONFIGS[1]] * 6, *ConfigGap, NO_WORKERS]),
        owner=OWNERS,
        progress=st.none() | st.builds(Progress, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)),
        supported=RARELY.map(lambda strange: not strange),
    )


@st.composite
def looks(draw: st.DrawFn) -> Observation:
    if draw(RARELY):
        return Absent(NOW)
    if draw(RARELY):
        return Unknown(draw(st.sampled_from(UNKNOWN)), "why", NOW, slow=draw(st.booleans()))
    return draw(seen_looks())


def built(kind: Callable[..., T], **parts: st.SearchStrategy[object]) -> st.SearchStrategy[T]:
    """A model of the API: its signature has the names of the wire, so nothing can be inferred from it."""
    return st.fixed_dictionaries(parts).map(lambda fields: kind(**fields))


def operations() -> st.SearchStrategy[Operation | None]:
    """Commands in flight of every age, or none."""
    operation = built(
        Operation,
        id=st.just("id"),
        step=st.sampled_from([step for step in Step if step is not Step.OTHER]),
        sent_at=TIMES,
        created_at=CREATIONS,
        from_=FINGERPRINTS,
        to=FINGERPRINTS,
        accepted=st.booleans(),
        generation=st.none() | GENERATIONS,
    )
    return st.sampled_from([True, False]).flatmap(lambda flies: operation if flies else st.none())


def bounds() -> st.SearchStrategy[Bounds]:
    """Counters as an operator, or a hand, may have left them."""
    return built(
        Bounds,
        generation=GENERATIONS,
        goal=FINGERPRINTS,
        attempts=st.integers(0, 4),
        not_before=MAYBE_TIMES,
        corrections=st.lists(st.builds(Correction, FINGERPRINTS, TIMES), max_size=4).map(tuple),
        settled=st.none() | GENERATIONS,
        refused=st.none() | st.sampled_from(REFUSALS),
    )


@st.composite
def histories(draw: st.DrawFn, mirror: Desired, look: Observation) -> History:
    """What a process may remember; the state it remembers is mostly the one it sees."""
    live = look.config if isinstance(look, Found) and isinstance(look.config, MirrorConfig) else CONFIGS[1]
    key = precheck_key(edit_to(mirror, live), mirror)
    precheck = PrecheckResult(
        draw(st.sampled_from([key, key, key, "other"])),
        draw(TIMES),
        draw(st.sampled_from([None, None, None, *Reason])) if draw(st.booleans()) else None,
        "why",
        draw(TIMES),
    )
    streak = st.builds(Streak, WORDS, FINGERPRINTS, TIMES, TIMES, st.integers(1, 3))
    return History(
        word=look.word if isinstance(look, Found) else draw(st.none() | WORDS),
        previous_word=draw(st.none() | WORDS),
        word_since=draw(TIMES),
        streak=draw(st.none() | streak),
        paused_since=draw(MAYBE_TIMES),
        changed_since_full=draw(st.booleans()),
        paused_for=draw(st.sampled_from([0.0, 10.0, 130.0])),
        broken_since=draw(MAYBE_TIMES),
        owner=draw(st.none() | st.tuples(CREATIONS, OWNERS)),
        untagged=draw(st.none() | st.tuples(CREATIONS, TIMES)),
        unreadable_since=draw(MAYBE_TIMES),
        unknown_since=draw(MAYBE_TIMES),
        progress_at=draw(MAYBE_TIMES),
        pausing_seen=draw(st.booleans()),
        sent_at=draw(st.just(0.0) | TIMES),
        confirmed=draw(st.booleans()),
        precheck=precheck,
        blocked=draw(st.none() | st.tuples(GENERATIONS, REASONS, st.just("why"))),
        release_since=draw(MAYBE_TIMES),
        orphaned=draw(st.booleans()),
        error=draw(ERRORS),
    )


def views() -> st.SearchStrategy[MirrorObject]:
    return st.builds(
        an_object,
        frozen=RARELY,
        tables_accepted=RARELY.map(lambda first: not first),
        has_finalizer=RARELY.map(lambda lost: not lost),
        observed_generation=GENERATIONS,
        state=st.sampled_from(["", "Running", "Paused", "Setup", "Missing"]),
        state_since=MAYBE_TIMES,
        reason=st.just("") | REASONS,
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    mirror, look = draw(mirrors()), draw(looks())
    state = MirrorState(
        view=draw(views()),
        desired=mirror,
        observation=look,
        history=draw(histories(mirror, look)),
        journal=Journal(draw(operations()), draw(bounds())),
        claims=Claims(older=draw(RARELY.map(lambda claimed: "data/older" if claimed else None))),
        stops=draw(st.booleans()),
        peerdb_reliable=draw(st.booleans()),
    )
    return Case(state, LIMITS, NOW)


def deletions() -> st.SearchStrategy[Deletion]:
    """Deletions for every cause, and with none known."""
    flag = st.sampled_from([*[False] * 8, True, None])
    return st.builds(
        a_deletion,
        deleted_at=TIMES,
        successor=RARELY.map(lambda inherits: "data/heir" if inherits else None),
        crd_terminating=flag,
        namespace_terminating=flag,
        drops_with_namespace=st.booleans(),
        drop_wait=st.sampled_from([0.0, 0.0, 60.0]),
    )

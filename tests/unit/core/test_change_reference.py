"""Whatever the live list and the wish: edits converge or are withheld, and none of them can hurt a mirror.

A reference of the one invariant that PeerDB does not enforce: it skips, wedges or loses updates that break it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from peerdb_operator.api.mirror import AddedTables, SnapshotSpec
from peerdb_operator.mirror.rules.change import Blocked, diff_tables, next_change, settings_edit, wire_size
from peerdb_operator.mirror.rules.desired import Desired
from peerdb_operator.peerdb.models import ConfigUpdate, MirrorConfig
from tests.unit.core.builders import a_mapping, a_mirror, a_wish

SOURCES = [f"public.s{number}" for number in range(7)]
DESTINATIONS = [f"d{number}" for number in range(5)]
EXCLUDES = st.sampled_from([None, (), ("x",), ("y" * 300,)])
MOST_CYCLES = 30


@st.composite
def live_configs(draw: st.DrawFn) -> MirrorConfig:
    """Up to five live tables, destinations shared at will."""
    sources = draw(st.lists(st.sampled_from(SOURCES), unique=True, max_size=5))
    tables = tuple(
        a_mapping(source, draw(st.sampled_from(DESTINATIONS)), exclude=draw(EXCLUDES) or ()) for source in sources
    )
    env = draw(st.dictionaries(st.sampled_from("AB"), st.sampled_from(["1", "2"])))
    return MirrorConfig(tables, draw(st.integers(0, 2)), draw(st.integers(0, 2)), env=env)


@st.composite
def wishes(draw: st.DrawFn) -> Desired:
    """Up to six wished tables, or none, or no list at all."""
    sources = draw(st.none() | st.lists(st.sampled_from(SOURCES), unique=True, max_size=6))
    tables = None
    if sources is not None:
        tables = tuple(
            a_wish(
                source,
                draw(st.sampled_from(DESTINATIONS)),
                exclude=draw(EXCLUDES),
            )
            for source in sources
        )
    env = draw(st.dictionaries(st.sampled_from("AB"), st.sampled_from(["1", "v" * 500])))
    return a_mirror(
        tables=tables,
        batch_size=draw(st.sampled_from([None, 1, 2])),
        settings=tuple(sorted(env.items())),
        snapshot=SnapshotSpec(
            tables_in_parallel=draw(st.sampled_from([None, 3])), added_tables=draw(st.sampled_from(AddedTables))
        ),
    )


@st.composite
def kept_wishes(draw: st.DrawFn) -> tuple[Desired, MirrorConfig]:
    """A wish that keeps some live tables as they are: the everyday edit, which random lists seldom hit."""
    live, mirror = draw(live_configs()), draw(wishes())
    kept = [table for table in live.tables if draw(st.booleans())]
    names = {table.source for table in live.tables}
    additions = [wish for wish in mirror.tables or () if wish.source not in names]
    tables = (*(a_wish(table.source, table.destination) for table in kept), *additions)
    return replace(mirror, tables=tables, snapshot=SnapshotSpec(added_tables=mirror.snapshot.added_tables)), live


CASES = st.tuples(wishes(), live_configs()) | kept_wishes()
SIZES = st.sampled_from([450, 900, 512 * 1024])


def assert_harmless(edit: ConfigUpdate, live: MirrorConfig) -> None:
    """PeerDB applies such an edit as a whole and comes out alive."""
    sources = {table.source for table in live.tables}
    feeding = {table.destination for table in live.tables}
    adding = [wish.source for wish in edit.additions]
    onto = Counter(wish.destination for wish in edit.additions)
    removing = {table.source for table in edit.removals}
    assert edit != ConfigUpdate()
    assert not set(adding) & removing, "adds and removes one source"
    assert not set(adding) & sources, "adds a live source"
    assert len(adding) == len(set(adding)), "adds a source twice"
    assert not set(onto) & feeding, "adds onto a live destination"
    assert all(count == 1 for count in onto.values()), "adds two sources onto one destination"
    assert removing <= sources, "removes what is not there"
    assert all(live.by_source[table.source] == table for table in edit.removals), "removes with another mapping"
    assert not sources or sources - removing, "removes every live table"
    assert sources or not adding, "adds to an empty list"


def assert_fits(edit: ConfigUpdate, edit_bytes: int) -> None:
    """The tables of an edit fit into one request."""
    assert sum(map(wire_size, (*edit.additions, *edit.removals))) <= edit_bytes


def outcome(mirror: Desired, live: MirrorConfig, edit_bytes: int) -> tuple[MirrorConfig, Blocked | None]:
    """Apply edits until none comes, checking each; the config and the refusal at the end."""
    for _ in range(MOST_CYCLES):
        change = next_change(mirror, live, edit_bytes=edit_bytes)
        if not isinstance(change, ConfigUpdate):
            return live, change
        assert_harmless(change, live)
        assert_fits(change, edit_bytes)
        following = change.applied_to(live)
        assert following.fingerprint != live.fingerprint, "an edit that changes nothing can never be proven"
        live = following
    raise AssertionError("the edits never come to an end")


@settings(deadline=None)
@given(CASES, SIZES)
def test_edits_are_harmless_and_reach_the_wish_unless_they_are_withheld(
    case: tuple[Desired, MirrorConfig], edit_bytes: int
) -> None:
    mirror, live = case
    reached, refusal = outcome(mirror, live, edit_bytes)
    if refusal is not None:
        assert reached == live, "a difference is held as a whole or not at all"
        return
    diff = diff_tables(mirror, reached)
    assert not diff.added
    assert not diff.takes_away
    assert settings_edit(mirror, reached) == ConfigUpdate()


@settings(deadline=None)
@given(kept_wishes(), SIZES)
def test_no_table_is_lost_on_the_way_when_the_wish_and_the_mirror_share_it(
    case: tuple[Desired, MirrorConfig], edit_bytes: int
) -> None:
    mirror, live = case
    wished = {wish.source for wish in mirror.tables or ()}
    shared = wished & set(live.by_source)
    for _ in range(MOST_CYCLES):
        change = next_change(mirror, live, edit_bytes=edit_bytes)
        if not isinstance(change, ConfigUpdate):
            break
        live = change.applied_to(live)
        assert shared <= set(live.by_source)

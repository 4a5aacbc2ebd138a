"""Which edit comes next, and what may never be sent: every way in which PeerDB skips, loses or wedges an update."""

from __future__ import annotations

from dataclasses import replace

import pytest

from peerdb_operator.api.mirror import TableSpec
from peerdb_operator.api.reasons import Reason
from peerdb_operator.mirror.rules.change import Blocked, describe_conflict, diff_tables, next_change, wire_size
from peerdb_operator.mirror.rules.desired import Desired
from peerdb_operator.peerdb.models import ConfigUpdate, MirrorConfig
from tests.unit.core.builders import a_config, a_mapping, a_mirror, a_wish, an_empty_config

ROOMY = 512 * 1024


def the_edit(mirror: Desired, config: MirrorConfig, edit_bytes: int = ROOMY) -> ConfigUpdate:
    change = next_change(mirror, config, edit_bytes=edit_bytes)
    assert isinstance(change, ConfigUpdate), change
    return change


def the_refusal(mirror: Desired, config: MirrorConfig, edit_bytes: int = ROOMY) -> Blocked:
    change = next_change(mirror, config, edit_bytes=edit_bytes)
    assert isinstance(change, Blocked), change
    return change


def added(edit: ConfigUpdate) -> list[str]:
    return [wish.source for wish in edit.additions]


def removed(edit: ConfigUpdate) -> list[str]:
    return [table.source for table in edit.removals]


def test_tables_are_left_alone_when_the_spec_has_no_list() -> None:
    mirror = a_mirror(tables=None)
    assert next_change(mirror, a_config("public.a"), edit_bytes=ROOMY) is None
    assert not diff_tables(mirror, a_config("public.a")).takes_away


def test_one_edit_carries_additions_removals_and_settings() -> None:
    edit = the_edit(a_mirror("public.a", "public.c", batch_size=7), a_config("public.a", "public.b"))
    assert (added(edit), removed(edit), edit.batch_size) == (["public.c"], ["public.b"], 7)


def test_nothing_is_added_when_the_mirror_is_empty() -> None:
    refusal = the_refusal(a_mirror("public.a"), an_empty_config())
    assert refusal.reason is Reason.MIRROR_EMPTY
    assert "public.a" in refusal.message


def test_a_desired_state_and_a_config_are_compared_once() -> None:
    mirror, live = a_mirror("public.a", "public.b"), a_config("public.a")
    edit = the_edit(mirror, live)
    assert the_edit(mirror, live) is edit
    assert diff_tables(mirror, live) is diff_tables(mirror, live)
    assert edit.applied_to(live) is edit.applied_to(live)


def test_another_desired_state_or_another_limit_is_compared_anew() -> None:
    mirror, live = a_mirror("public.a", "public.b"), a_config("public.a")
    assert diff_tables(mirror, live).added
    assert not diff_tables(a_mirror("public.a"), live).added
    assert diff_tables(mirror, live).added
    assert the_edit(mirror, live).additions
    assert the_refusal(mirror, live, edit_bytes=10).reason is Reason.EDIT_TOO_LARGE


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        (a_wish("public.a", "elsewhere"), "destination"),
        (a_wish("public.a", exclude=("x",)), "exclude"),
    ],
)
def test_the_whole_difference_waits_when_a_live_table_is_mapped_anew(wish: TableSpec, field: str) -> None:
    refusal = the_refusal(a_mirror(wish, "public.new"), a_config("public.a"))
    assert refusal.reason is Reason.TABLE_CHANGE_REJECTED
    assert f"public.a ({field})" in refusal.message


def test_two_added_tables_never_share_a_destination() -> None:
    refusal = the_refusal(a_mirror("public.a", a_wish("public.b", "t"), a_wish("public.c", "t")), a_config("public.a"))
    assert refusal.reason is Reason.DESTINATION_IN_USE
    assert "t;" in refusal.message


def test_a_live_table_keeps_its_destination_to_itself() -> None:
    refusal = the_refusal(a_mirror("public.a", a_wish("public.b", "a")), a_config("public.a"))
    assert refusal.reason is Reason.DESTINATION_IN_USE
    assert "public.b onto a, fed by public.a" in refusal.message


def test_tables_that_share_a_destination_already_may_go_on_sharing_it() -> None:
    shared = (a_wish("public.a", "t"), a_wish("public.b", "t"))
    live = a_config(a_mapping("public.a", "t"), a_mapping("public.b", "t"))
    assert next_change(a_mirror(*shared), live, edit_bytes=ROOMY) is None


def test_a_destination_with_the_rows_of_a_removed_table_is_refused_when_additions_are_copied() -> None:
    refusal = the_refusal(a_mirror("public.a", a_wish("public.new", "b")), a_config("public.a", "public.b"))
    assert refusal.reason is Reason.DESTINATION_IN_USE
    assert "b still holds the rows of public.b" in refusal.message


def test_a_freed_destination_takes_two_cycles_when_additions_are_not_copied() -> None:
    mirror = a_mirror("public.a", a_wish("public.new", "b"), skip_snapshot=True)
    live = a_config("public.a", "public.b")
    first = the_edit(mirror, live)
    assert (added(first), removed(first)) == ([], ["public.b"])
    second = the_edit(mirror, first.applied_to(live))
    assert (added(second), removed(second)) == (["public.new"], [])


def test_an_edit_says_whether_added_tables_are_copied_only_if_it_adds_any() -> None:
    live = a_config("public.a", "public.b")
    assert the_edit(a_mirror("public.a", "public.c", skip_snapshot=True), live).skip_snapshot
    assert not the_edit(a_mirror("public.a", "public.c"), live).skip_snapshot
    assert not the_edit(a_mirror("public.a", skip_snapshot=True), live).skip_snapshot


@pytest.mark.parametrize("skip", [True, False])
def test_the_only_table_is_never_replaced_onto_its_own_destination(*, skip: bool) -> None:
    refusal = the_refusal(a_mirror(a_wish("public.new", "a"), skip_snapshot=skip), a_config("public.a"))
    assert refusal.reason is Reason.TABLE_CHANGE_REJECTED
    assert "public.new onto a" in refusal.message


def test_the_last_table_is_never_removed_whatever_the_wish() -> None:
    assert the_refusal(a_mirror(tables=()), a_config("public.a")).reason is Reason.TABLE_CHANGE_REJECTED


def test_replacing_all_tables_adds_first_and_removes_in_a_second_cycle() -> None:
    mirror, live = a_mirror("public.new"), a_config("public.a", "public.b")
    first = the_edit(mirror, live)
    assert (added(first), removed(first)) == (["public.new"], [])
    second = the_edit(mirror, first.applied_to(live))
    assert (added(second), removed(second)) == ([], ["public.a", "public.b"])


def test_replacing_all_tables_takes_three_cycles_when_one_takes_a_freed_destination_over() -> None:
    mirror = a_mirror("public.new", a_wish("public.heir", "a"), skip_snapshot=True)
    live = a_config("public.a")
    steps = []
    while isinstance(change := next_change(mirror, live, edit_bytes=ROOMY), ConfigUpdate):
        steps.append((added(change), removed(change)))
        live = change.applied_to(live)
    assert steps == [(["public.new"], []), ([], ["public.a"]), (["public.heir"], [])]


def test_an_update_over_the_size_is_split_one_cycle_each() -> None:
    mirror = a_mirror("public.a", *(f"public.t{number}" for number in range(5)))
    live = a_config("public.a", "public.old")
    steps = []
    while isinstance(change := next_change(mirror, live, edit_bytes=800), ConfigUpdate):
        steps.append((added(change), removed(change)))
        live = change.applied_to(live)
    assert steps == [
        (["public.t0", "public.t1"], []),
        (["public.t2", "public.t3"], []),
        (["public.t4"], ["public.old"]),
    ]


def test_settings_go_first_when_they_leave_no_room_for_tables() -> None:
    mirror = a_mirror("public.a", "public.b", settings=(("KEY", "v" * 700),))
    first = the_edit(mirror, a_config("public.a"), edit_bytes=800)
    assert (added(first), first.env) == ([], {"KEY": "v" * 700})
    second = the_edit(mirror, first.applied_to(a_config("public.a")), edit_bytes=800)
    assert added(second) == ["public.b"]


def test_an_addition_is_refused_when_its_mapping_alone_is_over_the_size() -> None:
    large = a_wish("public.b", exclude=tuple(f"column{number}" for number in range(100)))
    refusal = the_refusal(a_mirror("public.a", large), a_config("public.a"), edit_bytes=1024)
    assert refusal.reason is Reason.EDIT_TOO_LARGE
    assert "public.b alone is larger than 1 KiB" in refusal.message


def test_an_addition_that_just_fits_goes_out() -> None:
    wish = a_wish("public.b")
    size = wire_size(a_mapping("public.b"))
    assert added(the_edit(a_mirror("public.a", wish), a_config("public.a"), edit_bytes=size)) == ["public.b"]


def test_a_removal_is_refused_when_its_mapping_alone_is_over_the_size() -> None:
    large = a_mapping("public.b", exclude=tuple(f"column{number}" for number in range(100)))
    refusal = the_refusal(a_mirror("public.a"), a_config("public.a", large), edit_bytes=1024)
    assert refusal.reason is Reason.EDIT_TOO_LARGE


def test_a_conflict_is_told_in_words() -> None:
    mirror = a_mirror(a_wish("public.a", "elsewhere"), "public.new")
    diff = diff_tables(mirror, a_config("public.a", "public.b"))
    assert describe_conflict(diff) == "remove public.b and change the mapping of public.a (destination)"
    assert describe_conflict(replace(diff, removed=())) == "change the mapping of public.a (destination)"
    assert describe_conflict(replace(diff, remapped=())) == "remove public.b"
    assert describe_conflict(diff_tables(a_mirror("public.a", "public.new"), a_config("public.a"))) == ""

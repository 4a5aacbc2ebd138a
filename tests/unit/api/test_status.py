"""Reading whatever is left of a status, and writing one."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerdb_operator.api.reasons import Reason
from peerdb_operator.api.status import (
    Bounds,
    Condition,
    ConditionStatus,
    Correction,
    LastError,
    MirrorStatus,
    Operation,
    Step,
    TablesStatus,
    read_status,
)
from tests.unit.api.test_mirror import JSON

WHOLE = MirrorStatus(
    observed_generation=7,
    mirror_name="orders_cdc",
    state="Pausing",
    state_since=1_767_225_600,
    tables=TablesStatus(desired=5, replicating=4, adding=1, removing=0, summary="4/5", pending=["public.invoices"]),
    operation=Operation(
        id="op-1",
        step=Step.EDIT,
        from_="aa",
        to="bb",
        sent_at=1_767_225_600.123456,
        accepted=True,
        created_at="2025-12-31T00:00:00.000001Z",
    ),
    bounds=Bounds(
        generation=7,
        goal="bb",
        attempts=1,
        not_before=1_767_226_200.5,
        corrections=(Correction(difference="cc", time=1_767_225_000.25),),
        settled=6,
        refused=Reason.EDIT_NOT_APPLIED,
    ),
    last_error=LastError(message="slot is gone", time=1_767_225_500),
    conditions=[
        Condition(
            type="Ready",
            status=ConditionStatus.UNKNOWN,
            reason="Editing",
            message="adding public.invoices",
            last_transition_time=1_767_225_600,
            observed_generation=7,
        )
    ],
)

_LEAVES: dict[str, list[str] | None] = {
    "observedGeneration": None,
    "mirrorName": None,
    "state": None,
    "stateSince": None,
    "tables": ["desired", "replicating", "adding", "removing", "summary", "pending"],
    "operation": ["id", "step", "from", "to", "sentAt", "accepted", "createdAt"],
    "bounds": ["generation", "goal", "attempts", "notBefore", "corrections", "settled", "refused"],
    "lastError": ["message", "time"],
}


def test_a_status_is_the_same_when_it_is_written_and_read() -> None:
    assert read_status(WHOLE.as_wire()) == WHOLE


def test_a_status_is_written_in_wire_names_and_utc_when_it_is_dumped() -> None:
    wire = WHOLE.as_wire()
    assert wire["stateSince"] == "2026-01-01T00:00:00Z"
    assert wire["operation"] == {
        "id": "op-1",
        "step": "Edit",
        "from": "aa",
        "to": "bb",
        "sentAt": "2026-01-01T00:00:00.123456Z",
        "accepted": True,
        "createdAt": "2025-12-31T00:00:00.000001Z",
    }
    assert wire["conditions"][0]["lastTransitionTime"] == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize("raw", [None, {}, [], 5, "x", True, {"observedGeneration": None}])
def test_nothing_is_known_when_there_is_no_status(raw: object) -> None:
    assert read_status(raw) == MirrorStatus()
    assert MirrorStatus().observed_generation == -1


@pytest.mark.parametrize("field", [name for name, leaves in _LEAVES.items() if leaves is None])
def test_only_the_broken_field_is_dropped_when_it_does_not_parse(field: str) -> None:
    whole = WHOLE.as_wire()
    expected = {key: value for key, value in whole.items() if key != field}
    assert read_status({**whole, field: {"broken": []}}) == read_status(expected)


@pytest.mark.parametrize("part", ["tables", "operation", "bounds", "lastError", "conditions"])
@pytest.mark.parametrize("broken", [5, "x", True])
def test_only_the_broken_part_is_dropped_when_it_is_no_object(part: str, broken: object) -> None:
    whole = WHOLE.as_wire()
    expected = {key: value for key, value in whole.items() if key != part}
    assert read_status({**whole, part: broken}) == read_status(expected)


@pytest.mark.parametrize("field", ["id", "sentAt", "createdAt"])
@pytest.mark.parametrize("broken", [None, True, [], {}, "x" * 300])
def test_the_operation_is_dropped_when_something_it_needs_is_broken(field: str, broken: object) -> None:
    whole = WHOLE.as_wire()
    read = read_status({**whole, "operation": {**whole["operation"], field: broken}})
    assert read == WHOLE.model_copy(update={"operation": None})


@pytest.mark.parametrize("field", ["id", "step", "sentAt", "createdAt"])
def test_the_operation_is_dropped_when_something_it_needs_is_missing(field: str) -> None:
    whole = WHOLE.as_wire()
    operation = {key: value for key, value in whole["operation"].items() if key != field}
    assert read_status({**whole, "operation": operation}).operation is None


def test_the_operation_is_kept_when_something_it_can_do_without_is_broken() -> None:
    whole = WHOLE.as_wire()
    read = read_status({**whole, "operation": {**whole["operation"], "from": 5, "accepted": "perhaps"}})
    assert WHOLE.operation is not None
    assert read.operation == replace(WHOLE.operation, from_=None, accepted=False)


def test_only_broken_items_are_dropped_when_a_list_has_some() -> None:
    whole = WHOLE.as_wire()
    ready = whole["conditions"][0]
    broken = [5, {**ready, "status": "Maybe"}, ready, {"type": "Synced"}, {**ready, "lastTransitionTime": "yesterday"}]
    assert read_status({**whole, "conditions": broken}) == WHOLE


def test_a_time_is_dropped_when_it_has_no_zone_or_no_meaning() -> None:
    for wrong in ("2026-01-01T00:00:00", "now", "", "9999-99-99T00:00:00Z"):
        assert read_status({"stateSince": wrong}).state_since is None


def test_a_time_is_cut_to_the_second_that_people_see_when_somebody_wrote_a_fraction() -> None:
    assert read_status({"stateSince": "2026-01-01T00:00:00.9Z"}) == read_status({"stateSince": "2026-01-01T00:00:00Z"})


def _with_junk(value: object, path: tuple[str | int, ...], junk: object) -> object:
    if not path:
        return junk
    if isinstance(value, dict):
        return {**value, path[0]: _with_junk(value.get(path[0]), path[1:], junk)}
    return [_with_junk(item, path[1:], junk) for item in value] if isinstance(value, list) else junk


def _broken_somewhere(whole: dict[str, object]) -> st.SearchStrategy[object]:
    paths: list[tuple[str | int, ...]] = [(key,) for key in whole]
    paths += [(key, leaf) for key, leaves in _LEAVES.items() for leaf in leaves or []]
    paths += [("conditions", 0, leaf) for leaf in WHOLE.as_wire()["conditions"][0]]
    return st.builds(lambda path, junk: _with_junk(whole, path, junk), st.sampled_from(paths), JSON)


@given(JSON | _broken_somewhere(WHOLE.as_wire()))
def test_reading_never_fails_when_the_status_is_arbitrary(raw: object) -> None:
    read = read_status(raw)
    assert isinstance(read, MirrorStatus)
    assert read_status(read.as_wire()) == read

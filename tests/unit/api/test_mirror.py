"""Reading a spec: what is accepted, what is refused, and in which words."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peerdb_operator.api.mirror import (
    AddedTables,
    DeletionPolicy,
    DestinationMetadata,
    Engine,
    MirrorSpec,
    RunState,
    SnapshotSpec,
    Statistics,
    mirror_name_of,
    parse_spec,
)
from peerdb_operator.errors import InvalidSpec
from tests.unit.api.bad_specs import BAD_SPECS
from tests.unit.api.cases import BAD_NAMES, GOOD_NAMES, GOOD_SPECS, BadSpec, GoodSpec, a_table

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(), below, max_size=4),
    max_leaves=12,
)
FIELDS = [field.alias for field in MirrorSpec.model_fields.values()]


@pytest.mark.parametrize("case", BAD_SPECS, ids=lambda case: case.name)
def test_a_spec_is_refused_with_the_field_and_the_reason_when_it_breaks_one_rule(case: BadSpec) -> None:
    with pytest.raises(InvalidSpec) as caught:
        parse_spec(case.spec)
    assert caught.value.field.startswith(case.field)
    assert case.operator in str(caught.value)
    assert caught.value.more == 0


@pytest.mark.parametrize("case", GOOD_SPECS, ids=lambda case: case.name)
def test_a_spec_is_read_without_loss_when_it_breaks_no_rule(case: GoodSpec) -> None:
    read = parse_spec(case.spec).model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
    assert read == case.spec


def test_the_words_say_what_to_write_when_the_schema_is_missing() -> None:
    spec = {"tables": [a_table(), a_table(source="public.b"), a_table(source="public.c"), a_table(source="orders")]}
    with pytest.raises(InvalidSpec) as caught:
        parse_spec(spec)
    assert str(caught.value) == (
        'spec.tables[3].source: must be schema.table with exactly one dot, got "orders"; '
        "write the schema too, and nothing before it"
    )


def test_further_problems_are_counted_when_there_are_several() -> None:
    with pytest.raises(InvalidSpec) as caught:
        parse_spec({"state": "Stopped", "batchSize": 0, "idleTimeoutSeconds": 0})
    assert str(caught.value).endswith('got "Stopped" (and 2 more problems)')
    assert caught.value.more == 2


def test_a_setting_is_never_quoted_when_it_is_wrong() -> None:
    for wrong in ({"A": ["hunter2"]}, {"A": "hunter2" * 200}, {"hunter2 ": "hunter2"}):
        with pytest.raises(InvalidSpec) as caught:
            parse_spec({"settings": wrong})
        assert "hunter2" not in caught.value.problem


def test_defaults_are_the_documented_ones_when_nothing_is_set() -> None:
    spec = parse_spec({"drop": {}, "snapshot": {}})
    assert spec.state is RunState.RUNNING
    assert spec.deletion_policy is DeletionPolicy.DROP
    assert spec.tables is None
    assert spec.drop is not None
    assert spec.drop.statistics is Statistics.KEEP
    assert spec.drop.destination_metadata is DestinationMetadata.DELETE
    assert spec.snapshot == SnapshotSpec(added_tables=AddedTables.SNAPSHOT)


def test_a_field_is_ignored_when_this_version_does_not_know_it() -> None:
    assert parse_spec({"resync": {"id": "1"}, "tables": [a_table(future=1)]}).tables is not None


@pytest.mark.parametrize("raw", [None, [], "Running", 5])
def test_the_whole_spec_is_named_when_it_is_no_object(raw: Mapping[str, object]) -> None:
    with pytest.raises(InvalidSpec) as caught:
        parse_spec(raw)
    assert caught.value.field == "spec"
    assert "must be an object" in caught.value.problem


@given(st.dictionaries(st.sampled_from(FIELDS), JSON) | JSON)
def test_reading_fails_with_invalid_spec_only_when_the_input_is_arbitrary(raw: Mapping[str, object]) -> None:
    try:
        read: MirrorSpec | InvalidSpec = parse_spec(raw)
    except InvalidSpec as refused:
        read = refused
    assert isinstance(read, MirrorSpec) or (read.field.startswith("spec") and read.problem)


@pytest.mark.parametrize(("metadata_name", "mirror_name"), GOOD_NAMES.items())
def test_the_mirror_name_is_derived_when_the_spec_has_none(metadata_name: str, mirror_name: str) -> None:
    assert mirror_name_of(metadata_name, MirrorSpec()) == mirror_name


@pytest.mark.parametrize("metadata_name", BAD_NAMES)
def test_the_object_name_is_refused_when_it_maps_to_no_legal_mirror_name(metadata_name: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        mirror_name_of(metadata_name, MirrorSpec())
    assert caught.value.field == "metadata.name"
    assert f'"{metadata_name}" does not map to a legal mirror name' in caught.value.problem


@pytest.mark.parametrize("metadata_name", [*GOOD_NAMES, *BAD_NAMES])
def test_the_given_mirror_name_wins_when_there_is_one(metadata_name: str) -> None:
    assert mirror_name_of(metadata_name, MirrorSpec(mirror_name="given")) == "given"


def test_engines_have_peerdb_words_when_they_are_listed() -> None:
    assert {engine.value: engine.wire for engine in Engine} == {
        "ReplacingMergeTree": "CH_ENGINE_REPLACING_MERGE_TREE",
        "MergeTree": "CH_ENGINE_MERGE_TREE",
        "NullEngine": "CH_ENGINE_NULL",
        "ReplicatedReplacingMergeTree": "CH_ENGINE_REPLICATED_REPLACING_MERGE_TREE",
        "ReplicatedMergeTree": "CH_ENGINE_REPLICATED_MERGE_TREE",
        "CoalescingMergeTree": "CH_ENGINE_COALESCING_MERGE_TREE",
    }

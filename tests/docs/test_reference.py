"""The reference page is what the code makes of it, and its generator refuses what it does not understand."""

import re

import pytest

from peerdb_operator.api.kinds import Mirror
from peerdb_operator.api.reasons import WarningReason
from peerdb_operator.mirror.execute import DROPPED, RELEASED_OBJECT
from peerdb_operator.telemetry.events import RECOVERED, REPEAT_SECONDS
from peerdb_operator.telemetry.transition import Milestone
from tests.docs.pages import DOCS
from tests.harness.crdgen import root_schema
from tests.harness.docs.__main__ import render
from tests.harness.docs.fields import Help, objects, read_help, spec_sections, validation
from tests.harness.docs.table import plain, table

A_FIELD = {"type": "string", "description": "What it is called. Required. Changes: never."}


def test_the_page_is_fresh() -> None:
    assert render() == (DOCS / "reference.md").read_text(encoding="utf-8")


def test_every_field_of_the_crd_has_a_row() -> None:
    page = render()
    schema = root_schema(Mirror)["properties"]
    found = [*objects("spec", schema["spec"]), *objects("status", schema["status"])]

    for path, schema in found:
        _, _, section = page.partition(f"### `{path}`\n")
        body = section.partition("\n### ")[0]
        assert [name for name in schema["properties"] if f"\n| `{name}` |" not in body] == []


def test_nothing_is_left_to_be_filled_in() -> None:
    assert "@" not in render()


@pytest.mark.parametrize(
    ("description", "reported"),
    [
        ("Rows in one partition.", Help("Rows in one partition.")),
        ("Most rows. Unit: rows. Default: 7. Changes: never.", Help("Most rows.", "rows", "7", "never")),
        ("Its name. Required. Changes: never.", Help("Its name.", "", "required", "never")),
        ("Tables. Unit: tables. Set by the operator.", Help("Tables.", "tables")),
        (
            "First. Second, e.g. `a`. Default: none. Changes: later.",
            Help("First. Second, e.g. `a`.", "", "none", "later"),
        ),
    ],
)
def test_a_help_text_is_taken_apart(description: str, reported: Help) -> None:
    assert read_help(description) == reported


def test_a_field_is_refused_when_help_text_and_schema_differ_about_whether_it_is_required() -> None:
    schema = {"type": "object", "description": "It.", "properties": {"name": A_FIELD}}

    with pytest.raises(ValueError, match="name: the help text and the schema differ"):
        list(spec_sections(schema))
    assert list(spec_sections({**schema, "required": ["name"]}))


def test_a_list_says_how_it_is_merged_and_what_each_item_may_be() -> None:
    items = {"type": "string", "minLength": 1, "maxLength": 8}
    reported = list(validation({"type": "array", "maxItems": 3, "x-kubernetes-list-type": "set", "items": items}))

    assert reported == ["at most 3 items", "each: 1 to 8 characters", "no item twice"]


def test_a_table_keeps_its_cells_when_they_hold_what_ends_one() -> None:
    assert table(("a", "b"), [("`x|y`", "two\nlines")]).splitlines()[2] == r"| `x\|y` | two lines |"


def test_a_table_is_refused_when_a_row_has_too_few_cells() -> None:
    with pytest.raises(ValueError, match="1 cells under 2 headings"):
        table(("a", "b"), [("x",)])


def test_an_angle_bracket_is_escaped_only_outside_code() -> None:
    assert plain("a <b> and `<c>`") == "a &lt;b&gt; and `<c>`"


def test_every_reason_of_an_event_is_told() -> None:
    _, _, section = render().partition("\n## Events\n")
    reported = set(re.findall(r"^\| `(\w+)` \|", section.partition("\n## ")[0], re.MULTILINE))

    ends, warnings = {DROPPED, RELEASED_OBJECT}, {reason.value for reason in WarningReason}
    assert reported == {turn.value for turn in Milestone} | {RECOVERED} | ends | warnings
    assert f"once in {REPEAT_SECONDS / 60:.0f} minutes" in section

"""From models to CRDs: what is translated and what is refused."""

from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, create_model

from peerdb_operator.api.schema import SERVER_DEFAULT, Rule, described, observed, rules_schema
from tests.harness.crdgen import UnsupportedModel, structural_schema

Schema = dict[str, Any]

Name = Annotated[str, Field(max_length=8)]
Number = Annotated[int, Field(ge=0, le=9)]


class Colour(StrEnum):
    """A choice."""

    RED = "Red"
    BLUE = "Blue"


class Loop(BaseModel):
    """A model that contains itself."""

    below: Annotated["Loop | None", observed("Another one.")] = None


def properties_of(**fields: tuple[object, object]) -> Schema:
    """The schemas of properties, given as annotation and default, of a model that is made for them."""
    definitions: Any = fields
    found: Schema = structural_schema(create_model("Made", **definitions))["properties"]
    return found


def schema_of(annotation: object, default: object = ..., **extra: bool) -> Schema:
    """The schema of one described property."""
    described_so = Annotated[annotation, Field(description="Text.", json_schema_extra=dict(extra) or None)]  # type: ignore[valid-type]  # a type that is a value
    found: Schema = properties_of(value=(described_so, default))["value"]
    return found


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (Name, {"type": "string", "maxLength": 8}),
        (Name | None, {"type": "string", "maxLength": 8}),
        (
            Annotated[str, Field(min_length=1, max_length=8, pattern="^a")],
            {"type": "string", "minLength": 1, "maxLength": 8, "pattern": "^a"},
        ),
        (Number, {"type": "integer", "format": "int32", "minimum": 0, "maximum": 9}),
        (
            Annotated[int, Field(ge=-1, le=2**31)],
            {"type": "integer", "format": "int64", "minimum": -1, "maximum": 2**31},
        ),
        (bool, {"type": "boolean"}),
        (Colour, {"type": "string", "enum": ["Red", "Blue"]}),
        (Colour | None, {"type": "string", "enum": ["Red", "Blue"]}),
        (Literal["Red", "Blue"], {"type": "string", "enum": ["Red", "Blue"]}),
        (Literal["Red"], {"type": "string", "enum": ["Red"]}),
    ],
    ids=str,
)
def test_a_type_is_translated_when_a_crd_can_say_it(annotation: object, expected: Schema) -> None:
    assert schema_of(annotation) == {**expected, "description": "Text."}


def test_the_keys_of_a_map_become_a_rule_when_they_have_a_pattern() -> None:
    keyed = Annotated[dict[Annotated[str, Field(pattern="^[a-z]$")], Name], Field(max_length=2)]
    assert schema_of(keyed) == {
        "type": "object",
        "description": "Text.",
        "maxProperties": 2,
        "additionalProperties": {"type": "string", "maxLength": 8},
        "x-kubernetes-validations": [
            {
                "rule": '!self.exists(key, !key.matches("^[a-z]$"))',
                "message": "every key must match ^[a-z]$",
                "messageExpression": (
                    '\'key "\' + self.filter(key, !key.matches("^[a-z]$"))[0] + "\\" must match ^[a-z]$"'
                ),
            }
        ],
    }


def test_rules_of_field_and_model_are_kept_when_they_are_declared() -> None:
    class Ruled(BaseModel):
        """A model with a rule."""

        model_config = ConfigDict(json_schema_extra=rules_schema(Rule("self.a != 'x'", "not x", "'no ' + self.a")))
        a: Annotated[Name, described("A.", changes="never", rules=[Rule("self == oldSelf", "fixed")])]

    schema = structural_schema(Ruled)
    assert schema["x-kubernetes-validations"] == [
        {"rule": "self.a != 'x'", "message": "not x", "messageExpression": "'no ' + self.a"}
    ]
    assert schema["properties"]["a"]["x-kubernetes-validations"] == [{"rule": "self == oldSelf", "message": "fixed"}]


def test_a_description_says_unit_default_and_mutability_when_it_is_of_a_spec() -> None:
    a = Annotated[Number, described("How long.", unit="seconds", unset="nothing", changes="never")]
    b = Annotated[Number, described("How many.", changes="at any time")]
    properties = properties_of(a=(a, 0), b=(b, ...))
    assert properties["a"]["description"] == "How long. Unit: seconds. Default: nothing. Changes: never."
    assert properties["b"]["description"] == "How many. Required. Changes: at any time."


def test_a_default_is_left_to_the_operator_when_it_is_not_declared_as_the_servers() -> None:
    assert "default" not in schema_of(Colour, Colour.RED)
    assert schema_of(Colour, Colour.RED, **{SERVER_DEFAULT: True})["default"] == "Red"


@pytest.mark.parametrize(
    ("annotation", "problem"),
    [
        (float, "type number"),
        (Any, "type None"),
        (Name | Number, "a union of types"),
        (Name | Number | None, "a union of types"),
        (None, "type null"),
        (str, "needs maxLength"),
        (int, "needs minimum"),
        (Annotated[int, Field(ge=1)], "needs maximum"),
        (Annotated[int, Field(gt=1, le=5)], "exclusiveMinimum is not supported"),
        (Annotated[int, Field(ge=0, le=9, multiple_of=2)], "multipleOf is not supported"),
        (bytes, "format binary"),
        (dict[str, Name], "needs maxProperties"),
        (Annotated[dict[str, Name], Field(max_length=2)], "one pattern for its keys"),
        (Annotated[list[Name], Field(max_length=2)], "a list needs x-kubernetes-list-type"),
        (list[Name], "needs maxItems"),
        (tuple[Name, Name], "prefixItems is not supported"),
        (Annotated[set[Name], Field(max_length=2)], "uniqueItems is not supported"),
        (Loop, "Loop contains itself"),
    ],
    ids=str,
)
def test_a_type_is_refused_with_its_place_when_a_crd_cannot_say_it(annotation: object, problem: str) -> None:
    with pytest.raises(UnsupportedModel) as caught:
        schema_of(annotation)
    assert str(caught.value).startswith("Made.value")
    assert problem in str(caught.value)


def test_a_key_is_refused_when_the_generator_does_not_know_it() -> None:
    with pytest.raises(UnsupportedModel, match=r"^Made\.value: a string with x-kubernetes-tomorrow is not supported$"):
        schema_of(Name, **{"x-kubernetes-tomorrow": True})

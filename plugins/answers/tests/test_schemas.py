"""Schemas of types: strict, without a reference at the root, with names and descriptions."""

from __future__ import annotations

import dataclasses
from typing import Annotated, NotRequired, TypedDict

import msgspec
import pydantic
import pytest

from polyglot_answers.schemas import schema_of


class Street(msgspec.Struct):
    name: str


class City(msgspec.Struct):
    """A city of the world."""

    name: Annotated[str, msgspec.Meta(description="In English.")]
    people: int
    streets: list[Street]
    mayor: str | None = None
    tags: list[str] = []


@dataclasses.dataclass
class Town:
    name: str
    people: int = 0


class Village(TypedDict):
    name: str
    people: NotRequired[int]


class Hamlet(pydantic.BaseModel):
    name: str
    people: int | None = None


KINDS = {"struct": City, "dataclass": Town, "typed dict": Village, "pydantic": Hamlet, "list": list[City], "int": int}


def objects(schema):
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for value in schema.values():
            yield from objects(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from objects(value)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_schemas_are_strict(kind):
    """The root is an object, not a reference, and every object requires all of its members and no others."""
    made = schema_of(kind)
    assert made.schema["type"] == "object"
    assert "$ref" not in made.schema
    for each in objects(made.schema):
        assert each["required"] == list(each["properties"])
        assert each["additionalProperties"] is False
    assert made.wrapped == {"list": "items", "int": "value"}.get(next(name for name in KINDS if KINDS[name] is kind))


def test_names_and_descriptions_are_kept():
    """The name of the type, its docstring, and the descriptions of members are in the schema."""
    made = schema_of(City)
    assert (made.name, made.description) == ("City", "A city of the world.")
    assert made.schema["properties"]["name"]["description"] == "In English."
    assert schema_of(list[City]).name == "City_list"
    assert schema_of(Town).description is None


def test_members_with_a_default_accept_null():
    """Strict schemas have no optional members, so null stands for the default."""
    made = schema_of(City)
    value = {"name": "Oslo", "people": 1, "streets": [], "mayor": None, "tags": None}
    assert made.without_absent(value) == {"name": "Oslo", "people": 1, "streets": [], "mayor": None}
    assert schema_of(list[City]).without_absent({"items": [value]})["items"] == [made.without_absent(value)]
    assert {"type": "null"} in made.schema["properties"]["tags"]["anyOf"]
    assert {"type": "null"} in made.schema["properties"]["mayor"]["anyOf"]


def test_a_type_without_a_schema():
    """The error names the type."""
    with pytest.raises(TypeError, match="object"):
        schema_of(object())

"""JSON requests, access to JSON of unknown shape, and facts."""

from __future__ import annotations

import types
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Literal

import msgspec
import pytest

from polyglot_core._authoring import json_access
from polyglot_core._authoring.facts import import_optional, read_facts
from polyglot_core._authoring.json_requests import json_request, merged
from polyglot_core._values.connection import Connection
from polyglot_core._values.secret import Secret
from polyglot_core._wire.sse import SSEFramer
from polyglot_core.errors import ConfigError, RequestError


@pytest.mark.parametrize(
    ("framing", "accept"),
    [("sse", "text/event-stream"), ("ndjson", "application/x-ndjson"), (SSEFramer, "text/event-stream")],
)
def test_accept_header_matches_the_framing(framing, accept):
    """Check the ``accept`` header of streams and of JSON responses, and that further headers are added."""
    more = {"framing": framing, "headers": {"x-garden": "1"}, "complete_on": "end"}
    stream, plain = (json_request("http://a", {"b": 1}, stream=stream, **more) for stream in (True, False))
    assert stream.body == plain.body == b'{"b":1}'
    assert stream.headers == {"content-type": "application/json", "accept": accept, "x-garden": "1"}
    assert (stream.framing, stream.complete_on) == (framing, "end")
    assert (plain.framing, plain.headers["accept"]) == ("whole", "application/json")


def test_extra_fields_are_merged_into_a_body():
    """Merge objects field by field, append named lists, and replace everything else."""
    body = {"tools": [1], "stop": ["a"], "settings": {"a": 1, "b": 2}, "n": 1}
    extra = {"tools": (2,), "stop": ["b"], "settings": {"b": 3}, "n": {"x": 1}, "new": [1]}
    assert merged(body, extra) == {
        "tools": [1, 2],
        "stop": ["b"],
        "settings": {"a": 1, "b": 3},
        "n": {"x": 1},
        "new": [1],
    }
    assert merged(body, extra, lists=("stop",))["stop"] == ["a", "b"]
    assert body["tools"] == [1]


def test_extra_fields_are_merged_at_every_depth():
    """Merge nested objects and append nested lists; change neither argument."""
    body = {"config": {"thinking": {"level": "low"}, "stop": ["a"], "tools": [1]}, "x": None}
    extra = {"config": {"thinking": {"shown": False}, "stop": [], "tools": [2]}, "x": {"y": 1}}
    expected = {"config": {"thinking": {"level": "low", "shown": False}, "stop": [], "tools": [1, 2]}, "x": {"y": 1}}
    assert merged(body, extra) == expected
    assert merged(merged(body, {}), extra) == expected
    assert (body["config"]["thinking"], extra["config"]["tools"]) == ({"level": "low"}, [2])
    assert merged({"a": {"b": 1}}, {"a": None}) == {"a": None}


def test_numbers_and_mappings_of_other_kinds_are_written_as_json():
    """In the body of a request, as a number and as an object."""
    body = {"a": Fraction(1, 2), "b": types.MappingProxyType({"c": 1})}
    assert json_request("http://a", body, stream=False).body == b'{"a":0.5,"b":{"c":1}}'


def test_body_may_have_texts_and_decimals_of_other_classes():
    """Texts are written as their characters, whatever their class shows; decimals are written as numbers."""

    class Markup(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "markup"

    body = {Markup("a"): Markup("é"), "b": [Markup("c")], "d": Decimal("0.50"), "e": Fraction(1, 4)}
    assert json_request("http://a", body, stream=False).body == '{"a":"é","b":["c"],"d":0.50,"e":0.25}'.encode()
    assert json_access.text(types.MappingProxyType(body)) == '{"a":"é","b":["c"],"d":0.50,"e":0.25}'


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a\ud800", r"body\['a'\]\['b'\] has a lone surrogate"),
        (object(), r"body\['a'\]\['b'\] is of type object"),
        (Secret("test-key"), r"body\['a'\]\['b'\] is of type Secret"),
        ({None: 1}, "has a name of type NoneType"),
    ],
    ids=["surrogate", "object", "secret", "name"],
)
def test_body_that_is_no_json(value, expected):
    """It is the user's error, with the place, and not the driver's."""
    with pytest.raises(RequestError, match=expected) as caught:
        json_request("http://a", {"a": {"b": value}}, stream=False)
    assert "test-key" not in str(caught.value)


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("a.b", 1),
        ("a", {"b": 1}),
        ("l.1.c", 2),
        ("l.2", None),
        ("l.x", None),
        ("a.b.c", None),
        ("z", None),
        ("a.0", None),
    ],
)
def test_get_follows_a_path(place, found):
    """Follow paths through objects and lists; None if there is no value."""
    assert json_access.get({"a": {"b": 1}, "l": [0, {"c": 2}]}, place) == found


@pytest.mark.parametrize(("value", "found"), [(0, 0), (5.0, 5), (5.5, None), (True, None), ("5", None), (None, None)])
def test_number_is_a_whole_number(value, found):
    """Check that a value that is not a whole number is skipped, and the next path is read."""
    assert json_access.number({"a": {"b": value}}, "a.b") == found
    assert json_access.number({"a": {"b": value}, "c": 7}, "a.b", "c") == (7 if found is None else found)


def test_objects_of_a_list():
    """Check that items and values that are not objects are skipped."""
    assert json_access.objects([{"a": 1}, 2, None, {}]) == [{"a": 1}, {}]
    assert json_access.objects({"a": 1}) == json_access.objects(None) == []


@pytest.mark.parametrize(("value", "text"), [(None, ""), ("{", "{"), ({"a": [1]}, '{"a":[1]}'), ({}, "{}")])
def test_text_of_a_value(value, text):
    """Check that a string is returned unchanged."""
    assert json_access.text(value) == text


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000, "no"])
def test_parse_never_raises(text):
    """Check that invalid JSON is None, or `otherwise`."""
    assert json_access.parse(text) is None
    assert json_access.parse(text, "instead") == "instead"
    assert json_access.parse(b"[1]") == [1]


class Row(msgspec.Struct):
    """Facts of a garden."""

    path: str = "/"
    thinking: Literal["a", "b"] = "a"


def test_facts_override_defaults():
    """Check the order: facts of the connection, then `defaults`, then those of the struct."""
    connection = Connection(name="garden", driver="d", facts={"path": "/mine"})
    assert read_facts(connection, Row, {"path": "/usual", "thinking": "b"}) == Row("/mine", "b")
    assert read_facts(connection, Row) == Row("/mine", "a")


@pytest.mark.parametrize("facts", [{"pat": "/"}, {"thinking": "c"}, {"path": 5}])
def test_invalid_facts_are_a_config_error(facts):
    """Check that the error names the connection and lists the facts."""
    with pytest.raises(ConfigError, match=r"facts of connection 'garden' cannot.*facts are path, thinking\.") as caught:
        read_facts(Connection(name="garden", driver="d", facts=facts), Row)
    assert (caught.value.connection, caught.value.phase) == ("garden", "configure")


def test_unknown_fact_is_named():
    """Check an unknown fact, which msgspec alone would ignore."""
    with pytest.raises(
        ConfigError, match=r"there is no fact 'pat' \(did you mean 'path'\?\)\. The facts are path, thinking\."
    ):
        read_facts(Connection(name="garden", driver="d", facts={"path": "/", "pat": "/"}), Row)


def test_optional_library_is_imported():
    """Import modules; a missing one is a ConfigError of the connection."""
    connection = Connection(name="garden", driver="d")
    assert import_optional(connection, "json", "math", what="needs two")[0].loads("1") == 1
    with pytest.raises(ConfigError, match=r"Connection 'garden' needs a spade\."):
        import_optional(connection, "json", "polyglot_spade", what="needs a spade")


# Lists of models

PATHS = {
    "id": ("id", "name"),
    "name": ("title",),
    "created": ("made.at",),
    "context_tokens": ("limits.0", "most"),
    "output_tokens": ("out",),
}


@pytest.mark.parametrize(
    ("row", "field", "expected"),
    [
        ({}, "id", "a"),
        ({"id": "", "name": "b"}, "id", "b"),
        ({"title": "A"}, "name", "A"),
        ({"title": ["A"]}, "name", None),
        ({"made": {"at": "2026-03-04T05:06:07Z"}}, "created", datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)),
        ({"made": {"at": 1772600767}}, "created", datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)),
        ({"made": {"at": 1772600767.5}}, "created", datetime(2026, 3, 4, 5, 6, 7, 500000, tzinfo=UTC)),
        ({"made": {"at": "yesterday"}}, "created", None),
        ({"made": {"at": 10**30}}, "created", None),
        ({"limits": [8, 9]}, "context_tokens", 8),
        ({"limits": [0], "most": 9}, "context_tokens", 9),
        ({"limits": [8.0]}, "context_tokens", 8),
        ({"limits": ["8"]}, "context_tokens", 8),
        ({"limits": [True]}, "context_tokens", None),
        ({"limits": "many", "most": {}}, "context_tokens", None),
        ({"out": None}, "output_tokens", None),
    ],
    ids=str,
)
def test_fields_of_a_model(row, field, expected):
    """The first value that is neither empty nor 0 counts. What cannot be read is None, and stays in `raw`."""
    row = {"id": "a", **row}
    (model,) = json_access.models([row], PATHS)
    assert getattr(model, field) == expected
    assert model.raw is row


@pytest.mark.parametrize(
    "listed",
    [
        None,
        {},
        "a",
        5,
        [None],
        ["a"],
        [["a"]],
        [{}],
        [{"id": "a"}, {"title": "b"}],
        [{"id": ""}],
        [{"id": 7}],
        [{"id": []}],
    ],
    ids=str,
)
def test_what_is_no_list_of_models(listed):
    """It is never read as a shorter list."""
    with pytest.raises(msgspec.DecodeError, match="no list of models with ids"):
        json_access.models(listed, PATHS)


def test_an_empty_list_of_models():
    """It is a list."""
    assert json_access.models([], PATHS) == []


def test_request_without_a_body_is_a_get_request():
    """A body that is None is none; an empty one is a body."""
    wire = json_request("http://a", None, stream=False, headers={"x-garden": "1"})
    assert (wire.method, wire.body, wire.framing, wire.headers["x-garden"]) == ("GET", b"", "whole", "1")
    assert (json_request("http://a", {}, stream=False).method, json_request("http://a", {}, stream=False).body) == (
        "POST",
        b"{}",
    )

"""JSON on the wire: requests that carry it, and looking at values of which nobody promised the shape."""

from __future__ import annotations

from typing import Literal

import msgspec
import pytest

from polyglot_core._authoring import json_access
from polyglot_core._authoring.facts import import_optional, read_facts
from polyglot_core._authoring.json_requests import json_request, merged
from polyglot_core._values.connection import Connection
from polyglot_core._wire.sse import SSEFramer
from polyglot_core.errors import ConfigError


@pytest.mark.parametrize(
    ("framing", "accept"),
    [("sse", "text/event-stream"), ("ndjson", "application/x-ndjson"), (SSEFramer, "text/event-stream")],
)
def test_a_request_asks_for_what_its_framing_reads(framing, accept):
    """A stream in the framing given, a plain answer as JSON; further headers and facts are added."""
    more = {"framing": framing, "headers": {"x-garden": "1"}, "complete_on": "end"}
    stream, plain = (json_request("http://a", {"b": 1}, stream=stream, **more) for stream in (True, False))
    assert stream.body == plain.body == b'{"b":1}'
    assert stream.headers == {"content-type": "application/json", "accept": accept, "x-garden": "1"}
    assert (stream.framing, stream.complete_on) == (framing, "end")
    assert (plain.framing, plain.headers["accept"]) == ("whole", "application/json")


def test_extra_fields_are_laid_over_a_body():
    """Objects field by field; named lists behind what is there; everything else instead of it."""
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
def test_what_stands_at_a_place(place, found):
    """Through objects and lists; None wherever there is nothing."""
    assert json_access.get({"a": {"b": 1}, "l": [0, {"c": 2}]}, place) == found


@pytest.mark.parametrize(("value", "found"), [(0, 0), (5.0, 5), (5.5, None), (True, None), ("5", None), (None, None)])
def test_a_count_is_a_whole_number(value, found):
    """What is none counts as unknown, and then the next place is looked at."""
    assert json_access.number({"a": {"b": value}}, "a.b") == found
    assert json_access.number({"a": {"b": value}, "c": 7}, "a.b", "c") == (7 if found is None else found)


def test_objects_of_a_list_and_of_anything_else():
    """Whatever is no object is passed over."""
    assert json_access.objects([{"a": 1}, 2, None, {}]) == [{"a": 1}, {}]
    assert json_access.objects({"a": 1}) == json_access.objects(None) == []


@pytest.mark.parametrize(("value", "text"), [(None, ""), ("{", "{"), ({"a": [1]}, '{"a":[1]}'), ({}, "{}")])
def test_the_json_text_of_a_value(value, text):
    """A text is taken for one already."""
    assert json_access.text(value) == text


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000, "no"])
def test_what_is_no_json_is_something_else(text):
    """None, or what was asked for instead; it never raises."""
    assert json_access.parse(text) is None
    assert json_access.parse(text, "instead") == "instead"
    assert json_access.parse(b"[1]") == [1]


class Row(msgspec.Struct):
    """Columns of a garden."""

    path: str = "/"
    thinking: Literal["a", "b"] = "a"


def test_columns_are_read_over_defaults():
    """The connection's facts go before, then the defaults, then the struct's."""
    connection = Connection(name="garden", driver="d", facts={"path": "/mine"})
    assert read_facts(connection, Row, {"path": "/usual", "thinking": "b"}) == Row("/mine", "b")
    assert read_facts(connection, Row) == Row("/mine", "a")


@pytest.mark.parametrize("facts", [{"pat": "/"}, {"thinking": "c"}, {"path": 5}])
def test_facts_that_are_no_columns_are_an_error(facts):
    """It names the connection and lists the columns."""
    with pytest.raises(ConfigError, match=r"facts of connection 'garden' cannot.*facts are path, thinking\.") as caught:
        read_facts(Connection(name="garden", driver="d", facts=facts), Row)
    assert (caught.value.connection, caught.value.phase) == ("garden", "configure")


def test_a_column_that_there_is_not_is_named():
    """Also where the struct itself would pass over what it does not know."""
    with pytest.raises(ConfigError, match=r"there is no fact 'pat'\. The facts are path, thinking\."):
        read_facts(Connection(name="garden", driver="d", facts={"path": "/", "pat": "/"}), Row)


def test_a_library_is_imported_when_it_is_needed():
    """One that is not installed is an error of the connection that needs it."""
    connection = Connection(name="garden", driver="d")
    assert import_optional(connection, "json", "math", what="needs two")[0].loads("1") == 1
    with pytest.raises(ConfigError, match=r"Connection 'garden' needs a spade\."):
        import_optional(connection, "json", "polyglot_spade", what="needs a spade")

"""Every object that is split into paths and values is written unchanged."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyglot_google.json_pieces import JSONPieces

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(st.text(min_size=1, max_size=6), inner, min_size=1, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(min_size=1, max_size=6), VALUES)


def leaves(value, path="$"):
    """Return paths and values, in the order of the text."""
    if isinstance(value, dict):
        for name, inner in value.items():
            quoted = name.replace("\\", "\\\\").replace("'", "\\'")
            yield from leaves(inner, f"{path}.{name}" if name.isalnum() else f"{path}['{quoted}']")
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{place}]")
    else:
        yield path, value


def written(arguments, cut=None):
    """Return the text written from the pieces of `arguments`, each string split at `cut`."""
    text = JSONPieces()
    pieces = []
    for path, value in leaves(arguments):
        if not isinstance(value, str):
            pieces.append(text.add(path, value))
        elif cut is None:
            pieces.append(text.add(path, value, continues=False))
        else:
            pieces += [text.add(path, value[:cut], continues=True), text.add(path, value[cut:], continues=False)]
    return "".join([*pieces, text.close()])


@given(OBJECTS)
@settings(max_examples=40, deadline=None)
def test_any_object_is_written(arguments):
    """Nested, with any names, with strings whole or in two pieces."""
    expected = arguments or None
    for cut in (None, 0, 2):
        assert (json.loads(written(arguments, cut)) if expected else written(arguments)) == (expected or "")


def test_open_string_is_closed():
    """By the next value, and by the end of the tool call."""
    text = JSONPieces()
    pieces = [text.add("$.a", "x", continues=True), text.add("$.b", 1), text.add("$.c", "y", continues=True)]
    assert json.loads("".join([*pieces, text.close()])) == {"a": "x", "b": 1, "c": "y"}


def test_empty_object_has_no_text():
    """An object without values has none."""
    assert JSONPieces().close() == ""


@pytest.mark.parametrize("path", ["", "$", "a", "$.", "$a", "$.a[", "$.a[x]", "$.a..b", "$['a", ".a", "$.a b]"])
def test_invalid_path_is_an_error(path):
    """It is not written at a wrong path."""
    with pytest.raises(msgspec.DecodeError, match="no path"):
        JSONPieces().add(path, 1)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (["$.a.x", "$.b"], "$.a.y"),
        (["$.a[0].x", "$.b"], "$.a[1].x"),
        (["$.a[0]"], "$.a[2]"),
        (["$.a[0]", "$.a[1]"], "$.a[0]"),
        ([], "$.a[1]"),
        (["$.a.x"], "$.a[1]"),
        (["$.a[0]"], "$.a.x"),
    ],
)
def test_closed_object_cannot_be_reopened(first, then):
    """Emitted text cannot be withdrawn, so values out of order are an error."""
    text = JSONPieces()
    for path in first:
        text.add(path, 1)
    with pytest.raises(msgspec.DecodeError):
        text.add(then, 2)

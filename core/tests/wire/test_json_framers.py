"""Lines of JSON, and elements of a JSON array, in any split."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyglot_core._wire.json_framers import JSONArrayFramer, NDJSONFramer
from polyglot_core.errors import Malformed, Truncated

VALUES = st.lists(
    st.dictionaries(
        st.text(max_size=5),
        st.recursive(
            st.text(alphabet='a"\\{}[], \n', max_size=8) | st.integers() | st.none(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
            max_leaves=6,
        ),
        max_size=4,
    ),
    max_size=5,
)


def framed(framer, body, size):
    """Return the payloads of `body`, fed in pieces of `size` bytes."""
    chunks = [chunk for place in range(0, len(body), size) for chunk in framer.feed(body[place : place + size])]
    return [chunk.data for chunk in [*chunks, *framer.finish()]]


@given(values=VALUES, size=st.integers(1, 50))
def test_each_object_of_an_array_is_a_chunk(values, size):
    """Check that each object is a chunk once it is complete, whatever its strings contain."""
    body = b"[" + b",\r\n".join(map(msgspec.json.encode, values)) + b"]"
    assert [msgspec.json.decode(data) for data in framed(JSONArrayFramer(), body, size)] == values


@given(values=VALUES, size=st.integers(1, 50), last=st.sampled_from([b"", b"\n", b"\r\n\r\n"]))
def test_each_line_is_a_chunk(values, size, last):
    """Check that blank lines are skipped, and that the last line needs no line end."""
    body = b"\n\n".join(map(msgspec.json.encode, values)) + last
    assert [msgspec.json.decode(data) for data in framed(NDJSONFramer(), body, size)] == values


def test_single_object_instead_of_an_array():
    """Check that a body that is one object is one chunk: providers send errors in this form."""
    assert framed(JSONArrayFramer(), b' {"error": {"code": 5}}\n', 3) == [b'{"error": {"code": 5}}']


@pytest.mark.parametrize("size", [1, 4, 100])
def test_incomplete_element_is_returned_last(size):
    """Check that the rest of an incomplete element is a chunk, so that the attempt finds it unreadable."""
    assert framed(JSONArrayFramer(), b'[{"a": 1},{"b": "x', size) == [b'{"a": 1}', b'{"b": "x']


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_backslash_outside_a_string_escapes_nothing(size):
    """Check that the end of an invalid element does not depend on how the body is split."""
    assert framed(JSONArrayFramer(), rb'[{\"a": "}"}, {"b": 1}]', size) == [rb'{\"a": "}"}', b'{"b": 1}']


def test_empty_read_keeps_the_escape():
    """Check that a backslash at the end of a read escapes the next byte, across an empty read."""
    framer = JSONArrayFramer()
    chunks = [chunk for piece in (b'[{"a": "\\', b"", b'"}"}]') for chunk in framer.feed(piece)]
    assert [chunk.data for chunk in chunks] == [rb'{"a": "\"}"}']


@pytest.mark.parametrize("end", [b"", b"1", b"-", b"1.", b"1e", b'"', b'"\\', b'"\\u00', b'"\\ud83d', b"tru", b"["])
def test_response_cut_at_any_byte_is_truncated(toy, end):
    """Cut a JSON response in a number, a literal, a string or an escape: it is Truncated."""
    attempt = toy.attempt(framing="whole", headers={"content-type": "application/json"})
    with pytest.raises(Truncated):
        toy.read(attempt, b'[["Citation",{"payload":{"a":' + end)


@pytest.mark.parametrize("wrong", [b"#", b"1#", b"-#", b"1e#", b'"\\u00#"', b"tru#", b"[#"])
def test_response_with_invalid_json_is_malformed(toy, wrong):
    """Check that JSON that is invalid before its end is Malformed, not Truncated."""
    attempt = toy.attempt(framing="whole", headers={"content-type": "application/json"})
    with pytest.raises(Malformed):
        toy.read(attempt, b'[["Citation",{"payload":{"a":' + wrong + b"}}]]")

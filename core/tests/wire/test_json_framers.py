"""Lines of JSON and elements of a JSON array, in any split."""

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
    """The payloads of `body`, when it comes in pieces of `size` bytes."""
    chunks = [chunk for place in range(0, len(body), size) for chunk in framer.feed(body[place : place + size])]
    return [chunk.data for chunk in [*chunks, *framer.finish()]]


@given(values=VALUES, size=st.integers(1, 50))
def test_the_elements_of_an_array(values, size):
    """Each object of the array is a chunk as soon as it is complete, whatever its texts hold."""
    body = b"[" + b",\r\n".join(map(msgspec.json.encode, values)) + b"]"
    assert [msgspec.json.decode(data) for data in framed(JSONArrayFramer(), body, size)] == values


@given(values=VALUES, size=st.integers(1, 50), last=st.sampled_from([b"", b"\n", b"\r\n\r\n"]))
def test_lines_of_json(values, size, last):
    """Each line is a chunk; blank lines are none, and the last line needs no end."""
    body = b"\n\n".join(map(msgspec.json.encode, values)) + last
    assert [msgspec.json.decode(data) for data in framed(NDJSONFramer(), body, size)] == values


def test_one_object_alone():
    """A body that is one object is that object: it is how an error comes."""
    assert framed(JSONArrayFramer(), b' {"error": {"code": 5}}\n', 3) == [b'{"error": {"code": 5}}']


@pytest.mark.parametrize("size", [1, 4, 100])
def test_an_element_that_breaks_off(size):
    """What is left of a cut element is handed out last, so that the session finds that it cannot be read."""
    assert framed(JSONArrayFramer(), b'[{"a": 1},{"b": "x', size) == [b'{"a": 1}', b'{"b": "x']


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_backslash_outside_of_a_string_escapes_nothing(size):
    """Whatever is wrong with an element, where it ends does not depend on how it comes."""
    assert framed(JSONArrayFramer(), rb'[{\"a": "}"}, {"b": 1}]', size) == [rb'{\"a": "}"}', b'{"b": 1}']


def test_a_read_of_nothing_changes_nothing():
    """A backslash at the end of a read escapes the first byte that comes, and not an empty read."""
    framer = JSONArrayFramer()
    chunks = [chunk for piece in (b'[{"a": "\\', b"", b'"}"}]') for chunk in framer.feed(piece)]
    assert [chunk.data for chunk in chunks] == [rb'{"a": "\"}"}']


@pytest.mark.parametrize("end", [b"", b"1", b"-", b"1.", b"1e", b'"', b'"\\', b'"\\u00', b'"\\ud83d', b"tru", b"["])
def test_a_plain_answer_that_breaks_off_anywhere_is_truncated(toy, end):
    """Also in a number, a word, a text or an escape."""
    attempt = toy.attempt(framing="whole", headers={"content-type": "application/json"})
    with pytest.raises(Truncated):
        toy.read(attempt, b'[["Citation",{"payload":{"a":' + end)


@pytest.mark.parametrize("wrong", [b"#", b"1#", b"-#", b"1e#", b'"\\u00#"', b"tru#", b"[#"])
def test_a_plain_answer_that_is_wrong_is_malformed(toy, wrong):
    """What is no JSON before its end is not taken for cut."""
    attempt = toy.attempt(framing="whole", headers={"content-type": "application/json"})
    with pytest.raises(Malformed):
        toy.read(attempt, b'[["Citation",{"payload":{"a":' + wrong + b"}}]]")

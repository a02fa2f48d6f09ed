"""The incremental reader against other parsers: on every prefix of many documents."""

from __future__ import annotations

import copy
import json
import math

import jiter
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyglot_answers.json_reader import NOTHING, JSONFault, JSONReader

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def shown(text, size=1):
    """Return copies of the value after each piece."""
    reader, values = JSONReader(), []
    for start in range(0, len(text), size):
        reader.feed(text[start : start + size])
        values.append(copy.deepcopy(reader.value))
    return reader, values


def oracle(prefix):
    try:
        return jiter.from_json(prefix.encode(), partial_mode="trailing-strings")
    except ValueError:
        return NOTHING


def check_every_prefix(document, ascii_only, indent):
    """Check that the value after each character is the oracle's, and at the end that of the standard library."""
    text = json.dumps(document, ensure_ascii=ascii_only, indent=indent)
    reader = JSONReader()
    for end, character in enumerate(text, 1):
        reader.feed(character)
        expected = oracle(text[:end])
        if expected is not NOTHING:
            assert reader.value == expected, text[:end]
    assert reader.close() == json.loads(text)


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS, st.booleans(), st.sampled_from([None, 1, 3]))
def test_every_prefix_is_read_as_by_the_oracle(document, ascii_only, indent):
    """After each character the value is the one that the oracle reads, and at the end that of the standard library."""
    check_every_prefix(document, ascii_only, indent)


@pytest.mark.thorough
@pytest.mark.parametrize("part", range(10))
@settings(max_examples=1_000, deadline=None)
@given(document=DOCUMENTS, ascii_only=st.booleans(), indent=st.sampled_from([None, 1, 3]))
def test_every_prefix_of_ten_thousand_documents(part, document, ascii_only, indent):
    """The same, with a thousand documents in each part."""
    check_every_prefix(document, ascii_only, indent)


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS, st.integers(1, 40))
def test_pieces_of_any_size_give_the_same_value(document, size):
    """The value does not depend on where the text is cut."""
    text = json.dumps(document)
    assert shown(text, size)[0].close() == json.loads(text)


@settings(max_examples=500, deadline=None)
@given(st.text(st.sampled_from('{}[]",:\\\\u0123dD8ftruenl-+.eE \\n\\x01aé'), max_size=30))
def test_any_text_gives_a_value_or_a_fault(text):
    """What the standard library rejects is a fault, and what it reads is the same value."""
    try:
        expected = json.loads(text, parse_constant=pytest.fail)
    except (ValueError, pytest.fail.Exception):
        expected = NOTHING
    try:
        found = shown(text)[0].close()
    except JSONFault as fault:
        assert 0 <= fault.position <= len(text)
        found = NOTHING
    if "\\ud" not in text.lower():  # halves of surrogate pairs, which the standard library accepts
        assert found == expected


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 0), ("[1,]", 3), ("{,", 1), ('{"a" 1}', 5), ("[1 2]", 3), ("tru", 3), ("trux", 3), ("01", 2), ("1.", 2),
        ('"\x01"', 1), ('"\\x"', 2), ('"\\u12g4"', 5), ('"\\ud800"', 7), ('"\\udc00"', 6), ("{}x", 2), ("]", 0),
        ("NaN", 0), ("'a'", 0), ('{"a":1]', 6), ("[}", 1),
    ],
)  # fmt: skip
def test_faults_have_a_position(text, position):
    """What is not JSON is reported with its position; what was read before stays."""
    with pytest.raises(JSONFault) as caught:
        shown(text)[0].close()
    assert caught.value.position == position


def test_elements_are_collected_when_they_close():
    """The elements of the list at a path are collected as soon as each is complete."""
    reader = JSONReader(("items",))
    seen = []
    for character in '{"other": [1], "items": [{"a": [2]}, 3, "x", [4], null], "items2": [5]}':
        reader.feed(character)
        seen.append(len(reader.closed))
    assert reader.closed == [{"a": [2]}, 3, "x", [4], None]
    assert seen.index(1) == len('{"other": [1], "items": [{"a": [2]}') - 1


def test_value_grows_in_place():
    """The value is one object from its first character on."""
    reader = JSONReader()
    reader.feed('{"a": [')
    value = reader.value
    reader.feed('1, "long')
    assert value == {"a": [1, "long"]}
    reader.feed('er"]}')
    assert value is reader.close()
    assert value == {"a": [1, "longer"]}


def test_deep_nesting_is_a_fault():
    """Nesting is bounded, without a foreign exception."""
    with pytest.raises(JSONFault, match="nested"):
        JSONReader().feed("[" * 5000)


def test_infinite_numbers_are_read_as_the_standard_library_reads_them():
    """A number beyond the range of a float is infinite; one of many digits does not raise a foreign exception."""
    assert math.isinf(shown("1e999")[0].close())
    assert math.isinf(shown("9" * 5000)[0].close())

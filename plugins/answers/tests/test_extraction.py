"""JSON out of prose and fences."""

from __future__ import annotations

import pytest

from polyglot_answers.extraction import json_in
from polyglot_answers.json_reader import JSONFault

FOUND = {
    "the whole text": (' {"a": 1}\n', {"a": 1}),
    "a number": ("12", 12),
    "a fence": ('Here:\n```json\n{"a": 1}\n```\nDone.', {"a": 1}),
    "a fence without a language": ("```\n[1]\n```", [1]),
    "the second fence": ('```python\nx = {}\n```\n```json\n{"b": 2}\n```', {"b": 2}),
    "prose": ('The city is {"name": "Oslo"}, I think.', {"name": "Oslo"}),
    "prose with braces": ('In {braces} there is [1, {"a": "}"}] here', [1, {"a": "}"}]),
}


@pytest.mark.parametrize(("text", "value"), FOUND.values(), ids=FOUND)
def test_json_is_found(text, value):
    """The whole text comes first, then a fence, then braces."""
    assert json_in(text) == value


@pytest.mark.parametrize("text", ["", "no JSON", '{"a": 1', "```json\n{'a': 1}\n```", "[1,]", "{" * 5000])
def test_nothing_is_repaired(text):
    """What is not JSON is a fault with its position."""
    with pytest.raises(JSONFault) as caught:
        json_in(text)
    assert 0 <= caught.value.position <= len(text)

"""Usage that is summed, and responses to and from dicts."""

from __future__ import annotations

import json

import pytest

from polyglot_core import InferenceResponse, RequestError, Usage
from polyglot_core._values.parts import Image, RawPart, Reasoning, Text, ToolCall
from polyglot_core._values.response import Choice, Media


def test_usage_is_summed():
    """Counts are added; an unknown count is that of the other, and the total needs both counts."""
    one = Usage(input_tokens=3, output_tokens=4, reasoning_tokens=1, raw={"a": 1})
    other = Usage(input_tokens=10, cache_read_tokens=2)
    assert one + other == Usage(input_tokens=13, output_tokens=4, reasoning_tokens=1, cache_read_tokens=2)
    assert (one.total_tokens, other.total_tokens) == (7, None)
    with pytest.raises(TypeError):
        one + 1


def test_a_response_goes_through_json():
    """`from_dict` restores what `to_dict` returned, by way of JSON."""
    parts = (
        Reasoning(text="Hm.", signature="s", extra={"a": [1]}),
        Text("Hi", extra={"citations": []}),
        Image(data=b"\x00\xff", mime_type="image/png"),
        RawPart({"type": "x"}),
        ToolCall(name="f", id="1", arguments_raw="{}", complete=True),
    )
    choice = Choice(index=0, content="Hi", parts=parts, media=(Media(mime_type="image/png", data=b"\x00\xff"),))
    response = InferenceResponse(
        outcome="finished", choices=(choice,), usage=Usage(input_tokens=1), details={"a": {"b": 1}}, notes=("odd",)
    )
    assert InferenceResponse.from_dict(json.loads(json.dumps(response.to_dict()))) == response
    with pytest.raises(RequestError, match=r"to_dict is invalid"):
        InferenceResponse.from_dict({"outcome": "over"})

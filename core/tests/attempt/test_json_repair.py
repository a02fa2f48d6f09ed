"""JSON with a known defect is repaired; any other defect is `Malformed`, and never a crash."""

from __future__ import annotations

import itertools
import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyglot_core._attempt.filters.json_repair import repaired
from polyglot_core._values.events import (
    Citation,
    End,
    Finish,
    Logprobs,
    Ping,
    ReasoningDelta,
    RefusalDelta,
    ServerToolEvent,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from polyglot_core._values.response import Outcome
from polyglot_core.errors import Malformed
from polyglot_core.plugin import hookimpl

HIGH, LOW, BOTH, ALONE = "\ud83d", "\ude00", "\N{GRINNING FACE}", "\N{REPLACEMENT CHARACTER}"
STOP = Finish("stop", "stop")


def read(toy, *events, **wire):
    """Return the partials and the response of a stream of these events, one in each chunk."""
    attempt = toy.attempt(**wire)
    partials = toy.read(attempt, *(toy.say(event) for event in events))
    return partials, attempt.response


def test_split_character_is_joined(toy):
    """Two halves in two pieces of text are one character, emitted with the second half."""
    partials, response = read(toy, TextDelta("a" + HIGH), TextDelta(LOW + "b"), STOP)
    assert [partial.content_delta for partial in partials] == ["a", BOTH + "b", ""]
    assert response.content == f"a{BOTH}b"


def test_raw_bytes_are_not_repaired(toy):
    """The repaired text is decoded; `raw` remains what was received."""
    attempt = toy.attempt()
    (partial,) = attempt.feed(toy.say(TextDelta("a" + HIGH)), 0.0)
    assert partial.raw == toy.body(TextDelta("a" + HIGH))
    assert rb"\ud83d" in partial.raw


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([HIGH, "x"], ALONE + "x"),
        ([HIGH], ALONE),
        ([LOW], ALONE),
        ([LOW + HIGH], ALONE * 2),
        ([HIGH + "x" + LOW], f"{ALONE}x{ALONE}"),
        ([HIGH + HIGH, LOW], ALONE + BOTH),
        ([HIGH, HIGH + "x"], f"{ALONE * 2}x"),
        ([HIGH, "", LOW], BOTH),
        (["a", HIGH, LOW + HIGH, LOW + HIGH, LOW], f"a{BOTH * 3}"),
        ([HIGH, BOTH], ALONE + BOTH),
        (["\ud800", "\udc00"], "\U00010000"),
        (["\udbff", "\udfff"], "\U0010ffff"),
    ],
)
def test_lone_half_is_a_replacement_character(toy, texts, expected):
    """A half is joined with the next text of its choice; if that begins with something else, nothing is lost."""
    partials, response = read(toy, *map(TextDelta, texts), STOP)
    assert response.content == "".join(partial.content_delta for partial in partials) == expected
    assert response.outcome is Outcome.FINISHED


@pytest.mark.parametrize("last", [End(), STOP])
def test_half_at_the_end_is_flushed(toy, last):
    """Text held back is emitted when no more of it can follow."""
    _, response = read(toy, TextDelta("a" + HIGH), last)
    assert response.content == "a" + ALONE


def test_halves_are_held_by_choice(toy):
    """Halves in the texts of two choices are not mixed, and the finish of one does not flush the other."""
    _, response = read(
        toy,
        TextDelta(HIGH, 0),
        TextDelta(HIGH, 1),
        TextDelta("x", 0),
        Finish("stop", "stop", 0),
        TextDelta(LOW, 1),
        Finish("stop", "stop", 1),
    )
    assert [choice.content for choice in response.choices] == [ALONE + "x", BOTH]


def test_halves_are_joined_across_blocks(toy):
    """A half at the end of a text is a cut character, also where the rest begins another block."""
    _, response = read(toy, TextDelta(HIGH, block=0), TextDelta(LOW, block=1), STOP)
    assert response.content == BOTH


def test_halves_are_held_by_kind_of_text(toy):
    """Reasoning, refusal and text between two halves do not separate them: each kind of text is joined by itself."""
    _, response = read(
        toy,
        ReasoningDelta("t" + HIGH, signature="s", id="i"),
        TextDelta(HIGH),
        RefusalDelta(HIGH),
        RefusalDelta(LOW),
        ReasoningDelta(LOW),
        TextDelta(LOW),
        STOP,
    )
    assert (response.content, response.reasoning_content, response.refusal) == (BOTH, f"t{BOTH}", BOTH)
    assert [(block.signature, block.id) for block in response.choices[0].reasoning] == [("s", "i")]


def test_split_character_in_arguments(toy):
    """Halves in the arguments of a tool call are joined, even with another tool call in between."""
    _, response = read(
        toy,
        ToolCallDelta(0, "1", "f", '{"a":"' + HIGH),
        ToolCallDelta(1, "2", "g", "{}"),
        ToolCallDelta(0, arguments=LOW + '"}'),
        Finish("tool_calls", "tool_calls"),
    )
    assert [call.arguments for call in response.tool_calls] == [{"a": BOTH}, {}]
    assert response.tool_calls[0].name == "f"


@pytest.mark.parametrize(
    "second", [ToolCallDelta(None, "2", "g", LOW), ToolCallDelta(None, "2", "g", LOW, complete=True)]
)
def test_halves_are_not_joined_across_tool_calls(toy, second):
    """A half at the end of the arguments remains in its tool call, and its text does not parse."""
    _, response = read(toy, ToolCallDelta(None, "1", "f", '{"a":' + HIGH), second, STOP)
    assert [call.arguments_raw for call in response.tool_calls] == ['{"a":' + ALONE, ALONE]
    assert not any(call.ready for call in response.tool_calls)


def test_half_before_a_repeated_tool_call(toy):
    """A last piece that repeats the arguments only marks them as complete; the half before it is kept."""
    pieces = [ToolCallDelta(0, "1", "f", '{"a":' + HIGH), ToolCallDelta(0, arguments="{}", complete=True)]
    _, response = read(toy, *pieces, STOP)
    assert response.tool_calls[0].arguments_raw == '{"a":' + ALONE


@pytest.mark.parametrize(
    "arguments",
    [
        r'{"a":"\ud83d"}',
        r'{"a":"\ude00"}',
        '{"a":NaN}',
        '{"a":1e999}',
        "[" * 100_000,
        '{"a":' * 100_000,
        "9" * 5000,
        "[]",
        "{",
    ],
)
def test_arguments_that_are_not_a_json_object(toy, arguments):
    """Arguments are kept as received; those that cannot be parsed are None, and the tool call is not ready."""
    _, response = read(toy, ToolCallDelta(0, "1", "f", arguments, complete=True), STOP)
    (call,) = response.tool_calls
    assert (call.arguments_raw, call.arguments, call.ready, call.complete) == (arguments, None, False, True)


def test_halves_escaped_twice(toy):
    """Arguments are JSON in JSON: the two escapes of a character may be in two pieces, and are joined by parsing."""
    _, response = read(toy, ToolCallDelta(0, "1", "f", r'{"a":"\ud83d'), ToolCallDelta(0, arguments=r'\ude00"}'), STOP)
    assert response.tool_calls[0].arguments == {"a": BOTH}


@pytest.mark.parametrize(
    ("event", "of"),
    [
        (Citation({"title": HIGH, "of": [{"x" + LOW: "y" + HIGH}]}), lambda choice: choice.citations[0]),
        (ServerToolEvent("t", {"title": HIGH, "of": [{"x" + LOW: "y" + HIGH}]}), lambda choice: choice.server_tools[0]),
    ],
)
def test_no_marks_in_objects(toy, event, of):
    """The provider's objects contain no halves at any depth, and can be encoded."""
    _, response = read(toy, TextDelta("a"), event, STOP)
    found = of(response.choices[0])
    assert (found["title"], found["of"]) == (ALONE, [{"x" + ALONE: "y" + ALONE}])
    assert msgspec.json.decode(msgspec.json.encode(response.to_dict()))


def test_halves_joined_by_a_driver(toy):
    """Halves that a driver keeps and returns in one text are a character as well."""

    class Keeping(toy.Driver):
        @hookimpl
        def decode_chunk(self, state, chunk):
            events = super().decode_chunk(chunk)
            state["kept"] = state.get("kept", "") + "".join(getattr(event, "text", "") for event in events)
            return [TextDelta(state["kept"]), STOP] if STOP in events else [Ping()]

    attempt = toy.attempt(module=Keeping())
    toy.read(attempt, toy.say(TextDelta("a" + HIGH)), toy.say(TextDelta(LOW)), toy.say(STOP))
    assert attempt.response.content == "a" + BOTH


def test_nan_and_infinity_are_null(toy):
    """Log probabilities of minus infinity, as Python's json writes them, do not break the stream."""
    odd = Logprobs({"logprobs": [-0.5, math.nan, math.inf, -math.inf]})
    _, response = read(toy, TextDelta("a"), odd, TextDelta("b"), STOP)
    assert response.content == "ab"
    assert response.choices[0].logprobs == ({"logprobs": [-0.5, None, None, None]},)


def test_number_out_of_range_is_null(toy):
    """A number that no double can hold is null, and the rest of the chunk is read."""
    attempt = toy.attempt()
    toy.read(attempt, b'data: [["TextDelta",{"text":"a"}],["Citation",{"payload":{"n":-1e999}}]]\n\n', toy.say(STOP))
    assert attempt.response.content == "a"
    assert attempt.response.choices[0].citations == ({"n": None},)


@pytest.mark.parametrize("digits", [20, 400, 4300, 5000])
def test_token_count_out_of_range_is_none(toy, digits):
    """A token count beyond 64 bits is None; the provider's own object keeps it if it can be parsed."""
    attempt = toy.attempt()
    report = b'data: [["UsageReport",{"payload":{"in":%b,"out":3}}]]\n\n' % (b"9" * digits)
    partials = toy.read(attempt, toy.say(TextDelta("a")), report, toy.say(STOP))
    usage = attempt.response.usage
    assert (usage.input_tokens, usage.output_tokens) == (None, 3)
    assert usage.raw["in"] == (int("9" * digits) if digits <= 4300 else None)
    assert partials[-1].usage.input_tokens is None


def test_largest_token_count(toy):
    """Counts that fit 64 bits are not changed."""
    _, response = read(toy, TextDelta("a"), UsageReport({"in": 2**63 - 1, "out": 0}), STOP)
    assert (response.usage.input_tokens, response.usage.output_tokens) == (2**63 - 1, 0)


@pytest.mark.parametrize("kind", ["sse", "whole"])
@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 100_000, b"NaN,", b'["\xff\\ud83d"]'])
def test_other_defects_are_malformed(toy, kind, text):
    """Endless nesting, a cut text and invalid UTF-8 outside of a text are `Malformed`, with the content so far."""
    attempt = toy.attempt(framing=kind, headers={})
    body = text + b"}" if kind == "whole" else toy.say(TextDelta("a")) + b"data: " + text + b"}\n\n" + toy.done
    with pytest.raises(Malformed) as caught:
        toy.read(attempt, body)
    assert caught.value.partial.content == ("" if kind == "whole" else "a")
    assert str(caught.value).isprintable()


def test_whole_body_is_repaired(toy):
    """A body that is not streamed is repaired, too, and a half at its end does not make it look cut."""
    attempt = toy.attempt(framing="whole", headers={"content-type": "application/json"})
    toy.read(attempt, toy.body(TextDelta("a" + HIGH), STOP))
    assert (attempt.response.content, attempt.response.outcome) == ("a" + ALONE, Outcome.FINISHED)


def test_whole_body_is_decoded_again_with_a_new_state(toy):
    """What a driver kept of a whole body before decoding failed is dropped."""

    class Counting(toy.Driver):
        @hookimpl
        def decode_chunk(self, state, chunk):
            state["seen"] = state.get("seen", 0) + 1
            return [TextDelta(f"seen {state['seen']}"), *super().decode_chunk(chunk)]

    attempt = toy.attempt(module=Counting(), framing="whole", headers={})
    toy.read(attempt, toy.body(Logprobs({"p": math.nan}), STOP))
    assert attempt.response.content == "seen 1"


@pytest.mark.parametrize("framing", ["whole", "ndjson"])
def test_byte_order_mark_is_dropped(toy, framing):
    """A mark before the text, as some editors and gateways write it, is skipped."""
    attempt = toy.attempt(framing=framing, headers={"content-type": "application/json"})
    toy.read(attempt, b"\xef\xbb\xbf" + toy.body(TextDelta("a"), STOP))
    assert attempt.response.content == "a"


def test_think_tags_with_halves(toy):
    """Thinking between tags is extracted from texts with halves in them."""
    pieces = ["<thi", "nk>a" + HIGH, LOW + "b</thi", "nk>" + HIGH, LOW]
    _, response = read(toy, *map(TextDelta, pieces), STOP, think_tags=("<think>", "</think>"))
    assert (response.reasoning_content, response.content) == (f"a{BOTH}b", BOTH)


def test_no_repair_after_the_end(toy):
    """A chunk after the end is ignored, whatever it contains."""
    _, response = read(toy, TextDelta("a"), End(), TextDelta(HIGH))
    assert response.content == "a"


def test_pings_between_two_halves(toy):
    """A ping does not end a text."""
    _, response = read(toy, TextDelta(HIGH), Ping(), TextDelta(LOW), STOP)
    assert response.content == BOTH


@pytest.mark.parametrize(
    "sound",
    [
        b"",
        b"{}",
        rb'{"a":"\ud83d\ude00"}',
        rb'"\\ud83d"',
        b'"NaN"',
        rb'"\"NaN"',
        b"-1.5e308",
        b"123456789012345678901",
        b"N",
        b"In",
        b"-",
    ],
)
def test_valid_json_is_not_changed(sound):
    """Strings are not taken for numbers, escaped backslashes not for escapes; unknown defects are not touched."""
    assert repaired(sound) is None


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(), max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values)
def test_python_json_is_repaired(value):
    """Any text of Python's json, with halves, NaN and infinities, is valid JSON once repaired."""
    data = json.dumps(value).encode()
    msgspec.json.decode(repaired(data) or data)


@given(st.text(st.characters(), max_size=12), st.lists(st.integers(0, 12), max_size=3))
def test_any_split_of_any_text(toy, text, places):
    """Text split between any two UTF-16 units has the same content as in one piece."""
    units = text.encode("utf-16-le", "surrogatepass")
    cuts = [0, *sorted(2 * min(place, len(units) // 2) for place in places), len(units)]
    pieces = [units[start:end].decode("utf-16-le", "surrogatepass") for start, end in itertools.pairwise(cuts)]
    _, response = read(toy, *map(TextDelta, pieces), STOP)
    assert response.content == units.decode("utf-16-le", "replace")


@pytest.mark.parametrize("kind", ["sse", "whole"])
@pytest.mark.parametrize("broken", [b"\xff", b"\xc3", b"\xe2\x82", b"\xed\xa0\x80", b"\xf0\x9f\x98"])
def test_invalid_utf8_is_replaced(toy, kind, broken):
    """Within a string, invalid UTF-8 becomes U+FFFD, as in any event stream, and the response continues."""
    said = toy.body(TextDelta("a?b"), STOP).replace(b"?", broken)
    attempt = toy.attempt(framing=kind, headers={})
    toy.read(attempt, said if kind == "whole" else b"data: " + said + b"\n\n" + toy.done)
    assert attempt.response.content == f"a{broken.decode('utf-8', 'replace')}b"
    assert attempt.response.outcome is Outcome.FINISHED

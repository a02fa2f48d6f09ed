"""JSON that is wrong in a way that is known is put right; what else is wrong is `Malformed`, and never a crash."""

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
    """The partials and the response of a stream of these events, one a chunk."""
    attempt = toy.attempt(**wire)
    partials = toy.read(attempt, *(toy.say(event) for event in events))
    return partials, attempt.response


def test_a_character_that_is_cut_in_two_comes_out_whole(toy):
    """Two halves in two pieces of text are one character, which comes with the second half."""
    partials, response = read(toy, TextDelta("a" + HIGH), TextDelta(LOW + "b"), STOP)
    assert [partial.content_delta for partial in partials] == ["a", BOTH + "b", ""]
    assert response.content == f"a{BOTH}b"


def test_the_raw_bytes_stay_as_they_came(toy):
    """What is put right is what is decoded; `raw` is what came."""
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
def test_a_half_that_stays_alone_is_a_replacement_character(toy, texts, expected):
    """A half is joined with the next text of its choice, and nothing is lost where that does not begin with the other."""
    partials, response = read(toy, *map(TextDelta, texts), STOP)
    assert response.content == "".join(partial.content_delta for partial in partials) == expected
    assert response.outcome is Outcome.FINISHED


@pytest.mark.parametrize("last", [End(), STOP])
def test_a_half_at_the_end_is_told_before_the_end(toy, last):
    """What is held back comes out when nothing more of the text can follow."""
    _, response = read(toy, TextDelta("a" + HIGH), last)
    assert response.content == "a" + ALONE


def test_each_choice_has_halves_of_its_own(toy):
    """Halves in the texts of two choices are not mixed, and the finish of one does not let go the other's."""
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


def test_a_new_block_does_not_go_on_with_the_text_of_the_last(toy):
    """A half at the end of a block is told at its end, before the next one begins."""
    _, response = read(toy, TextDelta(HIGH, block=0), TextDelta(LOW, block=1), STOP)
    assert response.content == ALONE * 2


def test_text_and_thinking_are_told_apart(toy):
    """Thinking, refusal and text between two halves do not part them: each kind of text is joined for itself."""
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


def test_arguments_that_are_cut_in_a_character_can_be_parsed(toy):
    """Halves in the arguments of a call are joined, also where another call comes between."""
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
def test_a_new_call_does_not_go_on_with_the_last(toy, second):
    """A half at the end of a call's arguments stays with that call, and is a text that does not parse."""
    _, response = read(toy, ToolCallDelta(None, "1", "f", '{"a":' + HIGH), second, STOP)
    assert [call.arguments_raw for call in response.tool_calls] == ['{"a":' + ALONE, ALONE]
    assert not any(call.ready for call in response.tool_calls)


def test_a_call_that_is_repeated_whole_keeps_what_had_come(toy):
    """A last piece that repeats the arguments says only that they are whole; the half before it is not lost with it."""
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
def test_arguments_that_are_no_json_object_say_so(toy, arguments):
    """Arguments are kept as they came; those that cannot be parsed are None, and the call is not ready."""
    _, response = read(toy, ToolCallDelta(0, "1", "f", arguments, complete=True), STOP)
    (call,) = response.tool_calls
    assert (call.arguments_raw, call.arguments, call.ready, call.complete) == (arguments, None, False, True)


def test_halves_that_are_escaped_twice_parse_as_one_character(toy):
    """Arguments are JSON in JSON: the two escapes of a character may come in two pieces, and are joined by parsing."""
    _, response = read(toy, ToolCallDelta(0, "1", "f", r'{"a":"\ud83d'), ToolCallDelta(0, arguments=r'\ude00"}'), STOP)
    assert response.tool_calls[0].arguments == {"a": BOTH}


@pytest.mark.parametrize(
    ("event", "of"),
    [
        (Citation({"title": HIGH, "of": [{"x" + LOW: "y" + HIGH}]}), lambda choice: choice.citations[0]),
        (ServerToolEvent("t", {"title": HIGH, "of": [{"x" + LOW: "y" + HIGH}]}), lambda choice: choice.server_tools[0]),
    ],
)
def test_no_mark_is_left_in_what_is_handed_on(toy, event, of):
    """Objects of the provider's are free of halves at any depth, and can be encoded."""
    _, response = read(toy, TextDelta("a"), event, STOP)
    found = of(response.choices[0])
    assert (found["title"], found["of"]) == (ALONE, [{"x" + ALONE: "y" + ALONE}])
    assert msgspec.json.decode(msgspec.json.encode(response.to_dict()))


def test_a_driver_may_put_two_halves_together(toy):
    """Halves that a driver keeps and hands on in one text are a character as well."""

    class Keeping(toy.Driver):
        @hookimpl
        def decode_chunk(self, state, chunk):
            events = super().decode_chunk(chunk)
            state["kept"] = state.get("kept", "") + "".join(getattr(event, "text", "") for event in events)
            return [TextDelta(state["kept"]), STOP] if STOP in events else [Ping()]

    attempt = toy.attempt(module=Keeping())
    toy.read(attempt, toy.say(TextDelta("a" + HIGH)), toy.say(TextDelta(LOW)), toy.say(STOP))
    assert attempt.response.content == "a" + BOTH


def test_numbers_that_json_does_not_know_are_null(toy):
    """Log probabilities of minus infinity, as Python's json writes them, do not break the stream."""
    odd = Logprobs({"logprobs": [-0.5, math.nan, math.inf, -math.inf]})
    _, response = read(toy, TextDelta("a"), odd, TextDelta("b"), STOP)
    assert response.content == "ab"
    assert response.choices[0].logprobs == ({"logprobs": [-0.5, None, None, None]},)


def test_a_number_beyond_all_range_is_null(toy):
    """A number that no double can hold is null where it stands, and the rest of the chunk is read."""
    attempt = toy.attempt()
    toy.read(attempt, b'data: [["TextDelta",{"text":"a"}],["Citation",{"payload":{"n":-1e999}}]]\n\n', toy.say(STOP))
    assert attempt.response.content == "a"
    assert attempt.response.choices[0].citations == ({"n": None},)


@pytest.mark.parametrize("digits", [20, 400, 4300, 5000])
def test_a_count_that_nobody_means_is_unknown(toy, digits):
    """A count of tokens that no 64 bits hold is unknown; the provider's own object keeps it as far as it can be read."""
    attempt = toy.attempt()
    report = b'data: [["UsageReport",{"payload":{"in":%b,"out":3}}]]\n\n' % (b"9" * digits)
    partials = toy.read(attempt, toy.say(TextDelta("a")), report, toy.say(STOP))
    usage = attempt.response.usage
    assert (usage.input_tokens, usage.output_tokens) == (None, 3)
    assert usage.raw["in"] == (int("9" * digits) if digits <= 4300 else None)
    assert partials[-1].usage.input_tokens is None


def test_the_largest_count_that_fits_stays(toy):
    """Counts that fit 64 bits are left alone."""
    _, response = read(toy, TextDelta("a"), UsageReport({"in": 2**63 - 1, "out": 0}), STOP)
    assert (response.usage.input_tokens, response.usage.output_tokens) == (2**63 - 1, 0)


@pytest.mark.parametrize("kind", ["sse", "whole"])
@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 100_000, b"NaN,", b'["\xff\\ud83d"]'])
def test_what_cannot_be_put_right_is_malformed(toy, kind, text):
    """Nesting without end, a text without its end and bytes that are no UTF-8 are errors of ours, with what came."""
    attempt = toy.attempt(framing=kind, headers={})
    body = text + b"}" if kind == "whole" else toy.say(TextDelta("a")) + b"data: " + text + b"}\n\n" + toy.done
    with pytest.raises(Malformed) as caught:
        toy.read(attempt, body)
    assert caught.value.partial.content == ("" if kind == "whole" else "a")
    assert str(caught.value).isprintable()


def test_a_whole_answer_is_put_right_too(toy):
    """A plain answer is read like a stream, and a half at its end does not make it look cut."""
    attempt = toy.attempt(framing="whole", headers={"content-type": "application/json"})
    toy.read(attempt, toy.body(TextDelta("a" + HIGH), STOP))
    assert (attempt.response.content, attempt.response.outcome) == ("a" + ALONE, Outcome.FINISHED)


def test_a_plain_answer_is_read_again_from_the_beginning(toy):
    """What a driver has noted before it found that it could not read the answer is forgotten."""

    class Counting(toy.Driver):
        @hookimpl
        def decode_chunk(self, state, chunk):
            state["seen"] = state.get("seen", 0) + 1
            return [TextDelta(f"seen {state['seen']}"), *super().decode_chunk(chunk)]

    attempt = toy.attempt(module=Counting(), framing="whole", headers={})
    toy.read(attempt, toy.body(Logprobs({"p": math.nan}), STOP))
    assert attempt.response.content == "seen 1"


@pytest.mark.parametrize("framing", ["whole", "ndjson"])
def test_a_byte_order_mark_is_no_part_of_the_answer(toy, framing):
    """A mark before the text, as some editors and gateways put it, is passed over."""
    attempt = toy.attempt(framing=framing, headers={"content-type": "application/json"})
    toy.read(attempt, b"\xef\xbb\xbf" + toy.body(TextDelta("a"), STOP))
    assert attempt.response.content == "a"


def test_think_tags_and_halves_do_not_get_into_each_others_way(toy):
    """Thinking between tags is taken out of texts with halves in them."""
    pieces = ["<thi", "nk>a" + HIGH, LOW + "b</thi", "nk>" + HIGH, LOW]
    _, response = read(toy, *map(TextDelta, pieces), STOP, think_tags=("<think>", "</think>"))
    assert (response.reasoning_content, response.content) == (f"a{BOTH}b", BOTH)


def test_a_chunk_after_the_end_is_not_read_again(toy):
    """What follows the end is ignored, whatever it holds."""
    _, response = read(toy, TextDelta("a"), End(), TextDelta(HIGH))
    assert response.content == "a"


def test_pings_pass_between_two_halves(toy):
    """A ping is no end of a text."""
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
def test_what_is_not_known_to_be_wrong_is_left_alone(sound):
    """Texts are not taken for numbers, escaped backslashes not for escapes; what cannot be helped is not touched."""
    assert repaired(sound) is None


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(), max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values)
def test_whatever_python_writes_can_be_read(value):
    """Any text of Python's json, with halves and numbers that are none, is JSON once it is put right."""
    data = json.dumps(value).encode()
    msgspec.json.decode(repaired(data) or data)


@given(st.text(st.characters(), max_size=12), st.lists(st.integers(0, 12), max_size=3))
def test_any_text_in_any_pieces_is_read_as_it_was_meant(toy, text, places):
    """Text cut between any two UTF-16 units comes out as if it had come in one piece."""
    units = text.encode("utf-16-le", "surrogatepass")
    cuts = [0, *sorted(2 * min(place, len(units) // 2) for place in places), len(units)]
    pieces = [units[start:end].decode("utf-16-le", "surrogatepass") for start, end in itertools.pairwise(cuts)]
    _, response = read(toy, *map(TextDelta, pieces), STOP)
    assert response.content == units.decode("utf-16-le", "replace")


@pytest.mark.parametrize("kind", ["sse", "whole"])
@pytest.mark.parametrize("broken", [b"\xff", b"\xc3", b"\xe2\x82", b"\xed\xa0\x80", b"\xf0\x9f\x98"])
def test_bytes_that_are_no_text_are_replaced(toy, kind, broken):
    """Within a text, what is no UTF-8 is U+FFFD, as in any event stream; the answer goes on."""
    said = toy.body(TextDelta("a?b"), STOP).replace(b"?", broken)
    attempt = toy.attempt(framing=kind, headers={})
    toy.read(attempt, said if kind == "whole" else b"data: " + said + b"\n\n" + toy.done)
    assert attempt.response.content == f"a{broken.decode('utf-8', 'replace')}b"
    assert attempt.response.outcome is Outcome.FINISHED

"""Tool calls in every form observed on the wire, and the result of each."""

from __future__ import annotations

from time import process_time

import pytest

from polyglot_core._attempt.assembler import Assembler
from polyglot_core._values.limits import Limits
from polyglot_core._values.response import FinishReason
from polyglot_core.plugin import Finish, TextDelta, ToolCallDelta, Usage

SUM, SUM_ARGUMENTS = ("1", "sum", '{"a": 1}'), '{"a": 1}'
TWO = [("1", "sum", '{"a": 1}'), ("2", "mul", '{"b": 2}')]


def call(index=None, id_=None, name=None, arguments="", *, complete=False, choice=0):
    return ToolCallDelta(index, id_, name, arguments, complete, choice)


def assembled(*chunks, **how):
    assembler = Assembler(lambda payload: Usage(raw=payload), **how)
    partials = [partial for events in chunks for partial in assembler.absorb(events, b"raw")]
    return assembler, partials + assembler.closing()


def each(*events):
    """Return a chunk for each event."""
    return [[event] for event in events]


CASES = {
    "one call in pieces": (
        each(call(0, "1", "sum"), call(0, arguments='{"a"'), call(0, arguments=": 1}")),
        [SUM],
    ),
    "two calls after each other": (
        each(call(0, "1", "sum"), call(0, arguments='{"a": 1}'), call(1, "2", "mul"), call(1, arguments='{"b": 2}')),
        TWO,
    ),
    "interleaved calls": (
        each(
            call(0, "1", "sum"),
            call(1, "2", "mul"),
            call(0, arguments='{"a": '),
            call(1, arguments='{"b": '),
            call(0, arguments="1}"),
            call(1, arguments="2}"),
        ),
        TWO,
    ),
    "calls that begin in reverse order": (
        each(call(1, "1", "sum", '{"a": 1}'), call(0, "2", "mul", '{"b": 2}')),
        TWO,  # in order of first appearance
    ),
    "every call has index 0": (
        each(call(0, "1", "sum"), call(0, arguments='{"a": 1}'), call(0, "2", "mul"), call(0, arguments='{"b": 2}')),
        TWO,
    ),
    "every call has index 0, whole": (
        each(call(0, "1", "sum", '{"a": 1}'), call(0, "2", "mul", '{"b": 2}')),
        TWO,
    ),
    "every call has index 0, in one chunk": (
        [[call(0, "1", "sum", '{"a": 1}'), call(0, "2", "mul", '{"b": 2}')]],
        TWO,
    ),
    "index 0 for all, and pieces that name an old id": (
        each(
            call(0, "1", "sum"),
            call(0, "2", "mul"),
            call(0, "1", arguments='{"a": 1}'),
            call(0, "2", arguments='{"b": 2}'),
        ),
        TWO,
    ),
    "no index": (
        each(
            call(id_="1", name="sum"), call(arguments='{"a": 1}'), call(id_="2", name="mul"), call(arguments='{"b": 2}')
        ),
        TWO,
    ),
    "no index, interleaved by id": (
        each(
            call(id_="1", name="sum"),
            call(id_="2", name="mul"),
            call(id_="1", arguments='{"a": 1}'),
            call(id_="2", arguments='{"b": 2}'),
        ),
        TWO,
    ),
    "no index and no id": (
        each(call(name="sum"), call(arguments='{"a": 1}'), call(name="mul", arguments='{"b": 2}')),
        [(None, "sum", '{"a": 1}'), (None, "mul", '{"b": 2}')],
    ),
    "the id on every piece": (
        each(call(0, "1", "sum", '{"a"'), call(0, "1", "sum", ": "), call(0, "1", "sum", "1}")),
        [SUM],
    ),
    "the id on every piece, no index": (
        each(call(id_="1", name="sum", arguments='{"a"'), call(id_="1", name="sum", arguments=": 1}")),
        [SUM],
    ),
    "the id changes, no new name": (
        each(call(0, "1", "sum", '{"a"'), call(0, "x", arguments=": "), call(0, "y", arguments="1}")),
        [SUM],
    ),
    "an empty id later": (
        each(call(0, "1", "sum"), call(0, "", "", '{"a": 1}')),
        [SUM],
    ),
    "a late id": (
        each(call(0, name="sum"), call(0, arguments='{"a": '), call(0, "1", arguments="1}")),
        [SUM],
    ),
    "a late id, no index": (
        each(call(name="sum"), call(id_="1", arguments='{"a": 1}')),
        [SUM],
    ),
    "a late name": (
        each(call(0, "1"), call(0, arguments='{"a": 1}'), call(0, name="sum")),
        [SUM],
    ),
    "a whole call in one chunk": (
        each(call(id_="1", name="sum", arguments='{"a": 1}', complete=True)),
        [SUM],
    ),
    "two whole calls of one name, without ids": (
        each(
            call(name="sum", arguments='{"a": 1}', complete=True), call(name="sum", arguments='{"a": 1}', complete=True)
        ),
        [(None, "sum", '{"a": 1}')] * 2,
    ),
    "two whole calls in one chunk": (
        [
            [
                call(id_="1", name="sum", arguments='{"a": 1}', complete=True),
                call(id_="2", name="mul", arguments='{"b": 2}', complete=True),
            ]
        ],
        TWO,
    ),
    "pieces, then the whole call again": (
        each(call(0, "1", "sum", '{"a"'), call(0, arguments=": 1}"), call(0, "1", "sum", '{"a": 1}', complete=True)),
        [SUM],
    ),
    "the head, then the whole call": (
        each(call(0, "1"), call(0, "1", "sum", '{"a": 1}', complete=True)),
        [SUM],
    ),
    "pieces, then the whole call by id alone": (
        each(call(0, "1", "sum", '{"a": 1}'), call(None, "1", "sum", '{"a": 1}', complete=True)),
        [SUM],
    ),
    "a placeholder before": (
        each(call(0), call(0, "1", "sum", '{"a": 1}')),
        [SUM],
    ),
    "a placeholder alone": (each(call(0), call()), []),
    "a piece with arguments alone": (each(call(0, arguments="{}")), [(None, "", "{}")]),
    "the name in pieces": (
        each(call(0, "1", "s"), call(0, name="um"), call(0, arguments='{"a": 1}')),
        [SUM],
    ),
    "the name in pieces, with the id": (
        each(call(0, "1", "s"), call(0, "1", "um"), call(0, "1", arguments='{"a": 1}')),
        [SUM],
    ),
    "the name in pieces, no index": (
        each(call(None, "1", "s"), call(name="um"), call(arguments='{"a": 1}')),
        [SUM],
    ),
    "the name as it is so far": (
        each(call(0, "1", "s"), call(0, "1", "su"), call(0, name="sum"), call(0, arguments='{"a": 1}')),
        [SUM],
    ),
    "the name as it is so far, with the arguments": (
        each(call(0, "1", "s"), call(0, "1", "sum", '{"a": 1}')),
        [SUM],
    ),
    "one index and one id, whole": (
        each(call(0, "1", "sum", '{"a": 1}'), call(0, "1", "mul", '{"b": 2}')),
        [SUM, ("1", "mul", '{"b": 2}')],
    ),
    "one index and one id, one name": (
        each(call(0, "sum", "sum", '{"a": 1}'), call(0, "sum", "sum", '{"a": 2}')),
        [("sum", "sum", '{"a": 1}'), ("sum", "sum", '{"a": 2}')],
    ),
    "one index and one id, in pieces": (
        each(
            call(0, "1", "sum", '{"a"'),
            call(0, arguments=": 1}"),
            call(0, "1", "mul", '{"b"'),
            call(0, arguments=": 2}"),
        ),
        [SUM, ("1", "mul", '{"b": 2}')],
    ),
    "one index and no id, whole": (
        each(call(0, "", "sum", '{"a": 1}'), call(0, "", "mul", '{"b": 2}')),
        [(None, "sum", '{"a": 1}'), (None, "mul", '{"b": 2}')],
    ),
    "one index, without arguments": (
        each(call(0, "", "sum", "{}"), call(0, "", "mul", "{}")),
        [(None, "sum", "{}"), (None, "mul", "{}")],
    ),
    "arguments once more at the end": (
        each(call(0, "1", "sum", '{"a"'), call(0, arguments=": 1}"), call(0, "1", "sum", '{"a": 1}')),
        [SUM],
    ),
    "arguments once more, with other spaces": (
        each(call(0, "1", "sum", '{"a": 1}'), call(0, "1", "sum", '{"a":1}')),
        [SUM],
    ),
    "empty arguments first": (
        each(call(0, "1", "sum", "{}"), call(0, arguments='{"a": '), call(0, arguments="1}")),
        [SUM],
    ),
    "empty arguments first, as null": (
        each(call(0, "1", "sum", "null"), call(0, arguments='{"a": 1}')),
        [SUM],
    ),
    "empty arguments first, no index": (
        each(call(None, "1", "sum", "{}"), call(arguments='{"a": 1}')),
        [SUM],
    ),
    "empty arguments, then the end of the call": (
        each(call(0, "1", "sum", "{}"), call(0, complete=True), call(1, "2", "mul", "{}"), call(1, complete=True)),
        [("1", "sum", "{}"), ("2", "mul", "{}")],
    ),
    "empty arguments twice": (
        each(call(0, "1", "sum", "{}"), call(0, "1", "sum", "{}")),
        [("1", "sum", "{}")],
    ),
    "an object in a string of the arguments": (
        each(call(0, "1", "sum", '{"a": "'), call(0, arguments='{"b'), call(0, arguments='"}')),
        [("1", "sum", '{"a": "{"b"}')],
    ),
    "an object in the arguments": (
        each(call(0, "1", "sum", '{"a": '), call(0, arguments='{"b": 1}'), call(0, arguments="}")),
        [("1", "sum", '{"a": {"b": 1}}')],
    ),
    "another index on each piece": (
        each(call(0, "1", "sum", '{"a"'), call(1, "1", arguments=": "), call(2, "1", arguments="1}")),
        [SUM],
    ),
    "indexes with gaps": (
        each(call(3, "1", "sum", '{"a": 1}'), call(7, "2", "mul", '{"b": 2}')),
        TWO,
    ),
    "a call in the chunk of the finish": (
        [[call(0, "1", "sum", '{"a": 1}'), Finish("tool_calls", "tool_calls")]],
        [SUM],
    ),
    "a call beside text": ([[TextDelta("I add."), call(0, "1", "sum", '{"a": 1}')]], [SUM]),
}


@pytest.mark.parametrize("name", CASES)
def test_tool_calls_are_assembled(name):
    """However a server numbers the pieces, the tool calls are complete and in order of first appearance."""
    chunks, expected = CASES[name]
    assembler, partials = assembled(*chunks)
    calls = assembler.choices()[0].tool_calls
    assert [(call.id, call.name, call.arguments_raw) for call in calls] == expected
    assert all(call.complete for call in calls)
    assert partials[-1].tool_calls == calls


@pytest.mark.parametrize("name", CASES)
def test_tool_calls_of_partials_never_change(name):
    """A partial has the tool calls of its time, whenever and in whatever order it is read."""
    chunks, _ = CASES[name]
    assembler = Assembler(lambda payload: Usage(raw=payload))
    kept = [(partial, partial.tool_calls) for events in chunks for partial in assembler.absorb(events, b"raw")]
    assembler.closing()
    for partial, then in reversed(kept):
        assert partial.tool_calls == then
    for partial, then in kept:
        assert partial.tool_calls == then


def test_reading_partials_has_no_effect():
    """Reading the tool calls while they grow does not change the result."""
    chunks, _ = CASES["interleaved calls"]
    assembler, partials = assembled(*chunks)
    assert [call.arguments_raw for call in partials[3].tool_calls] == ['{"a": ', '{"b": ']
    assert [call.arguments_raw for call in assembler.choices()[0].tool_calls] == ['{"a": 1}', '{"b": 2}']


@pytest.mark.parametrize(
    ("raw", "parsed"),
    [
        ("", {}),
        ("  ", {}),
        ("null", {}),
        ("{}", {}),
        ('{"a": [1, {"b": null}]}', {"a": [1, {"b": None}]}),
        ('{"a": "grüße"}', {"a": "grüße"}),
    ],
)
def test_arguments_are_parsed(raw, parsed):
    """Arguments are a dict; empty text and null are the empty one."""
    assembler, _ = assembled(*each(call(0, "1", "sum", raw)))
    (made,) = assembler.choices()[0].tool_calls
    assert (made.arguments, made.arguments_raw, made.ready) == (parsed, raw, True)


@pytest.mark.parametrize(
    "raw", ['{"a": ', "[1]", '"text"', "3", "{'a': 1}", '{"a": "\\ud8"}', "[" * 5000, '{"a": 1}{}']
)
def test_invalid_arguments_are_never_ready(raw):
    """Arguments that are not a JSON object are kept as received, and the tool call is not ready."""
    assembler, _ = assembled(*each(call(0, "1", "sum", raw)))
    (made,) = assembler.choices()[0].tool_calls
    assert (made.arguments, made.arguments_raw, made.ready) == (None, raw, False)


def test_streaming_tool_call_is_not_ready():
    """A tool call whose arguments happen to parse is not ready before it is complete."""
    assembler, partials = assembled(*each(call(0, "1", "sum", "{}")))
    assert [made.ready for made in partials[0].tool_calls] == [False]
    assert [made.ready for made in partials[-1].tool_calls] == [True]


def test_cut_tool_call_is_not_complete():
    """A tool call within which the stream broke off never becomes complete."""
    assembler = Assembler(lambda payload: Usage(raw=payload))
    assembler.absorb([call(0, "1", "sum", '{"a": ')], b"")
    (made,) = assembler.choices()[0].tool_calls
    assert not made.complete
    assert not made.ready


def test_whole_tool_call_is_complete_at_once():
    """A tool call in one piece is ready before the stream has ended."""
    _, partials = assembled(*each(call(id_="1", name="sum", arguments="{}", complete=True), TextDelta("more")))
    assert partials[0].tool_calls[0].ready


def test_placeholder_makes_no_partial():
    """A piece that names nothing changes nothing, so nothing is emitted for it."""
    assembler = Assembler(lambda payload: Usage(raw=payload))
    assert not assembler.absorb([call(0)], b"")


def test_piece_with_nothing_new_makes_no_partial():
    """A piece of a known tool call that contains nothing new emits nothing."""
    assembler = Assembler(lambda payload: Usage(raw=payload))
    assembler.absorb([call(0, "1", "sum", "{}")], b"")
    assert not assembler.absorb([call(0, "1", "sum", "")], b"")


@pytest.mark.parametrize(
    ("reason", "calls", "expected"),
    [
        ("stop", True, FinishReason.TOOL_CALLS),
        ("stop", False, FinishReason.STOP),
        ("tool_calls", True, FinishReason.TOOL_CALLS),
        ("tool_calls", False, FinishReason.TOOL_CALLS),
        ("length", True, FinishReason.LENGTH),
        ("content_filter", True, FinishReason.CONTENT_FILTER),
        ("refusal", True, FinishReason.REFUSAL),
        ("error", True, FinishReason.ERROR),
        ("other", True, FinishReason.OTHER),
        ("unknown", True, FinishReason.UNKNOWN),
        ("something new", False, FinishReason.OTHER),
    ],
)
def test_stop_with_tool_calls(reason, calls, expected):
    """A stop with tool calls is `tool_calls`; every other reason is kept, and so is the raw word."""
    pieces = [call(0, "1", "sum", "{}")] if calls else [TextDelta("Hi")]
    assembler, partials = assembled(*each(*pieces, Finish(reason, "their word")))
    choice = assembler.choices()[0]
    assert (choice.finish_reason, choice.finish_reason_raw) == (expected, "their word")
    assert partials[-1].finish_reason is expected


def test_tool_calls_of_several_choices():
    """Interleaved tool calls belong to their own choice, even with the same index and id."""
    assembler, _ = assembled(
        *each(
            call(0, "1", "sum", '{"a"', choice=0),
            call(0, "1", "mul", '{"b"', choice=1),
            call(0, arguments=": 1}", choice=0),
            call(0, arguments=": 2}", choice=1),
        )
    )
    assert [choice.tool_calls[0].arguments for choice in assembler.choices()] == [{"a": 1}, {"b": 2}]


def test_ten_thousand_pieces_are_joined():
    """A tool call of many pieces is complete, whether it is read in between or not."""
    assembler = Assembler(lambda payload: Usage(raw=payload))
    assembler.absorb([call(0, "1", "write", '{"text": "')], b"")
    for number in range(10_000):
        (partial,) = assembler.absorb([call(0, arguments="x")], b"")
        if number % 100 == 0:
            assert len(partial.tool_calls[0].arguments_raw) == number + len('{"text": "') + 1
    assembler.absorb([call(0, arguments='"}')], b"")
    assert assembler.choices()[0].tool_calls[0].arguments == {"text": "x" * 10_000}


@pytest.mark.parametrize(
    "event",
    [call(0, arguments='{"a": 1}'), call(1, arguments='{"a": 1}'), call(1, "2", arguments='{"a": 1}')],
    ids=["known index", "new index", "new index and id"],
)
def test_tool_call_without_a_name_is_never_ready(event):
    """Arguments that belong to no name cannot be run."""
    assembler, _ = assembled(*each(call(0, "1", "", ""), event))
    assert not any(made.ready for made in assembler.choices()[0].tool_calls)


def _seconds(chunks):
    """Return the CPU time that chunks take: the least of three runs."""
    times = []
    for _ in range(3):
        start = process_time()
        assembled(*chunks, limits=Limits(tool_calls=10**6))
        times.append(process_time() - start)
    return min(times)


LONG = {
    "many calls": lambda count: each(*(call(number, f"c{number}", "sum", '{"a": 1}') for number in range(count))),
    "many calls under one index": lambda count: each(
        *(call(0, f"c{number}", f"sum{number}", '{"a": 1}') for number in range(count))
    ),
    "many calls under one index and id": lambda count: each(
        *(call(0, "c", "sum", f'{{"a": {number}}}') for number in range(count))
    ),
    "many pieces": lambda count: each(call(0, "c", "sum", '{"a": "'), *(call(0, arguments="x{") for _ in range(count))),
    "many pieces of a name": lambda count: each(call(0, "c", "s"), *(call(0, name="um") for _ in range(count))),
    "many empty arguments": lambda count: each(*(call(0, "c", "sum", "{}") for _ in range(count))),
    "many pieces that begin an object": lambda count: each(
        call(0, "c", "sum", '{"a": "'), *(call(0, arguments='{"b": ') for _ in range(count))
    ),
}


@pytest.mark.parametrize("name", LONG)
def test_twice_the_pieces_take_twice_the_time(name):
    """Tool calls are matched in time linear in their pieces."""
    chunks = LONG[name]
    _seconds(chunks(100))
    assert _seconds(chunks(4_000)) < 12 * _seconds(chunks(1_000)) + 0.05

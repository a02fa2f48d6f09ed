"""The assembler: events in, partials and the complete response out."""

from __future__ import annotations

import itertools
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyglot_core._attempt.assembler import Assembler
from polyglot_core._values.parts import RawPart, Reasoning, Text
from polyglot_core._values.response import FinishReason, Media
from polyglot_core.plugin import (
    Citation,
    Finish,
    Logprobs,
    MediaDelta,
    Ping,
    ReasoningDelta,
    RefusalDelta,
    ResponseStarted,
    ServerToolEvent,
    TextDelta,
    ToolCallDelta,
    Usage,
    UsageReport,
    finish_of,
)


def read_usage(payload):
    return Usage(input_tokens=payload.get("in"), output_tokens=payload.get("out"), raw=payload)


def assembler_of(*chunks, **how):
    """Return an assembler that has taken chunks of events, and the partials that it returned."""
    assembler = Assembler(read_usage, **how)
    return assembler, [partial for events in chunks for partial in assembler.absorb(events, b"raw")]


def each(*events):
    return [[event] for event in events]


def test_text_accumulates():
    """Partials contain the new text and all text so far; the response contains the whole."""
    assembler, partials = assembler_of(*each(TextDelta("a"), TextDelta("b"), TextDelta("c")))
    assert [(partial.content_delta, partial.content) for partial in partials] == [("a", "a"), ("b", "ab"), ("c", "abc")]
    assert assembler.choices()[0].content == "abc"


def test_several_deltas_make_one_partial():
    """One chunk makes one partial for each choice, with everything new in it."""
    _, (partial,) = assembler_of([TextDelta("a"), ReasoningDelta("r"), TextDelta("b"), RefusalDelta("no")])
    assert (partial.content_delta, partial.reasoning_delta, partial.refusal_delta) == ("ab", "r", "no")
    assert partial.raw == b"raw"


def test_each_choice_of_a_chunk_makes_a_partial():
    """One chunk with pieces of two choices makes two partials, each with its own text."""
    _, partials = assembler_of([TextDelta("a", 0), TextDelta("x", 1)], [TextDelta("y", 1)])
    assert [(partial.choice, partial.content) for partial in partials] == [(0, "a"), (1, "x"), (1, "xy")]


@pytest.mark.parametrize(
    "event",
    [
        TextDelta(""),
        RefusalDelta(""),
        ReasoningDelta(""),
        ToolCallDelta(0),
        Finish("stop", "stop"),
        UsageReport({"in": 1}),
        ResponseStarted("id", "model"),
        Ping(),
    ],
)
def test_invisible_events_make_no_partial(event):
    """Empty deltas, names, usage, pings and the finish itself emit nothing."""
    _, partials = assembler_of([event])
    assert not partials


def test_hot_path_returns_the_same_partials():
    """`text` returns the same partial for a piece of text as `absorb`."""
    slow, quick = Assembler(read_usage), Assembler(read_usage)
    for event in (TextDelta("a"), TextDelta("b"), TextDelta(""), TextDelta("x", 1), TextDelta("c")):
        expected = slow.absorb([event], b"raw")
        got = quick.text(event, b"raw")
        got = got if isinstance(got, list) else [got]
        assert [partial.to_dict() for partial in got] == [partial.to_dict() for partial in expected]
    assert quick.choices() == slow.choices()


def test_empty_text_begins_a_choice():
    """An empty text emits nothing, but its choice has begun and needs a finish."""
    assembler, _ = assembler_of(*each(TextDelta("", 0), TextDelta("", 1), Finish("stop", "stop", 0)))
    assert not assembler.all_finished
    assert [choice.index for choice in assembler.choices()] == [0, 1]


@pytest.mark.parametrize(("finishes", "all_finished"), [((), False), ((0,), False), ((1,), False), ((1, 0), True)])
def test_all_choices_must_finish(finishes, all_finished):
    """The response is finished when every choice that has begun is."""
    assembler, _ = assembler_of(
        *each(TextDelta("a", 0), TextDelta("b", 1), *(Finish("stop", "stop", choice) for choice in finishes))
    )
    assert assembler.all_finished is all_finished


def test_no_choice_is_not_finished():
    """Before any choice has begun, nothing is finished."""
    assert not Assembler(read_usage).all_finished


# Closing


def test_closing_partials():
    """Each choice gets one closing partial, by index, with its reason and nothing else; the last has the usage."""
    assembler, _ = assembler_of(
        *each(
            TextDelta("b", 1),
            TextDelta("a", 0),
            Finish("length", "max", 1),
            Finish("stop", "stop", 0),
            UsageReport({"in": 1, "out": 2}),
        )
    )
    first, last = assembler.closing()
    assert (first.choice, first.finish_reason, first.usage) == (0, FinishReason.STOP, None)
    assert (last.choice, last.finish_reason) == (1, FinishReason.LENGTH)
    assert (last.usage.input_tokens, last.usage.output_tokens) == (1, 2)
    for partial, content in ((first, "a"), (last, "b")):
        assert (partial.content_delta, partial.raw, partial.content) == ("", b"", content)


def test_empty_response_closes_choice_0():
    """A response in which no choice has begun gets one closing partial of choice 0, of unknown reason."""
    assembler = Assembler(read_usage)
    (partial,) = assembler.closing()
    assert (partial.choice, partial.finish_reason, partial.usage) == (0, FinishReason.UNKNOWN, None)


def test_finish_reason_on_closing_partial_only():
    """Only the closing partial has a finish reason."""
    _, partials = assembler_of([TextDelta("a"), Finish("stop", "stop")], [TextDelta("b")])
    assert [partial.finish_reason for partial in partials] == [None, None]


def test_text_after_finish():
    """Text between a finish and the end belongs to the response."""
    assembler, partials = assembler_of(*each(TextDelta("a"), Finish("stop", "stop"), TextDelta("b")))
    assert partials[-1].content == "ab"
    assert assembler.choices()[0].finish_reason is FinishReason.STOP


@pytest.mark.parametrize(("counts", "expected"), [("first", ("stop", "one")), ("last", ("length", "two"))])
def test_which_finish_counts(counts, expected):
    """Of several finishes the first counts, or the last if the dialect is declared so."""
    assembler, _ = assembler_of(
        *each(TextDelta("a"), Finish("stop", "one"), Finish("length", "two")), finish_counts=counts
    )
    choice = assembler.choices()[0]
    assert (choice.finish_reason, choice.finish_reason_raw) == expected


def test_choice_without_finish():
    """A choice that broke off has no reason; one that was closed without a finish has `unknown`."""
    assembler, _ = assembler_of(*each(TextDelta("a")))
    assert assembler.choices()[0].finish_reason is None
    assembler.closing()
    assert assembler.choices()[0].finish_reason is FinishReason.UNKNOWN


# Content besides text


def test_reasoning_is_separate_from_content():
    """Reasoning and text are separate, in the partials and in the response."""
    assembler, partials = assembler_of(
        *each(ReasoningDelta("hm"), TextDelta("Hi"), ReasoningDelta(" so"), TextDelta("!"))
    )
    assert [(partial.content, partial.reasoning_content) for partial in partials] == [
        ("", "hm"),
        ("Hi", "hm"),
        ("Hi", "hm so"),
        ("Hi!", "hm so"),
    ]
    choice = assembler.choices()[0]
    assert (choice.content, choice.reasoning_content) == ("Hi!", "hm so")


def test_reasoning_blocks():
    """Each block of reasoning keeps its text, its signature and its encrypted data."""
    assembler, partials = assembler_of(
        *each(
            ReasoningDelta("a", block=0),
            ReasoningDelta("x", block=2),
            ReasoningDelta("b", block=0),
            ReasoningDelta(signature="sig", block=0),
            ReasoningDelta(redacted="secret", block=1),
        )
    )
    assert assembler.choices()[0].reasoning == (
        Reasoning(text="ab", signature="sig"),
        Reasoning(redacted="secret"),
        Reasoning(text="x"),
    )
    assert len(partials) == 5


def test_extra_fields_of_reasoning():
    """Further fields are kept by block; the first value of each counts."""
    said = [
        ReasoningDelta("a", extra={"type": "text", "format": "v1"}),
        ReasoningDelta("b", extra={"type": "other", "own": 1}),
        ReasoningDelta("c", block=1),
    ]
    assembler, _ = assembler_of(said)
    (choice,) = assembler.choices()
    assert [block.extra for block in choice.reasoning] == [{"type": "text", "format": "v1", "own": 1}, {}]
    assert choice.parts == choice.reasoning


def test_refusal_is_separate_from_content():
    """A refusal is not text."""
    assembler, partials = assembler_of(*each(RefusalDelta("I "), RefusalDelta("cannot."), Finish("stop", "stop")))
    choice = assembler.choices()[0]
    assert (choice.content, choice.refusal) == ("", "I cannot.")
    assert [partial.refusal_delta for partial in partials] == ["I ", "cannot."]


def test_no_refusal_is_none():
    """Without a refusal the field is None, not an empty text."""
    assembler, _ = assembler_of([TextDelta("a")])
    assert assembler.choices()[0].refusal is None


def test_citations_logprobs_and_server_tools():
    """Objects that the provider sends besides text are kept in order, and each makes a partial."""
    assembler, partials = assembler_of(
        *each(
            Citation({"url": "a"}),
            Logprobs({"content": [1]}),
            ServerToolEvent("search", {"query": "q"}),
            Citation({"url": "b"}),
            Logprobs({"content": [2]}),
            ServerToolEvent("search", {"found": 3}),
        )
    )
    choice = assembler.choices()[0]
    assert choice.citations == ({"url": "a"}, {"url": "b"})
    assert choice.logprobs == ({"content": [1]}, {"content": [2]})
    assert choice.server_tools == ({"type": "search", "query": "q"}, {"type": "search", "found": 3})
    assert len(partials) == 6
    assert not any(partial.content_delta for partial in partials)


def test_server_tool_is_not_a_tool_call():
    """A stop after the provider's own tool remains a stop."""
    assembler, _ = assembler_of(*each(ServerToolEvent("search", {}), Finish("stop", "stop")))
    assert assembler.choices()[0].finish_reason is FinishReason.STOP


def test_media_are_joined_by_block_and_type():
    """Pieces of one block and type make one file."""
    assembler, _ = assembler_of(
        *each(
            MediaDelta("image/png", b"a"),
            MediaDelta("image/png", b"b"),
            MediaDelta("audio/wav", b"c"),
            MediaDelta("audio/wav", b"d", block=1),
        )
    )
    assert assembler.choices()[0].media == (
        Media(mime_type="image/png", data=b"ab"),
        Media(mime_type="audio/wav", data=b"c"),
        Media(mime_type="audio/wav", data=b"d"),
    )


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([ResponseStarted("1", "m"), ResponseStarted("2", "n")], ("1", "m")),
        ([ResponseStarted("", "m"), ResponseStarted("2", "n")], ("2", "m")),
        ([ResponseStarted(None, None), ResponseStarted(None, "n")], (None, "n")),
        ([ResponseStarted("1", "m"), ResponseStarted(None, "n", replaces=True)], ("1", "n")),
        ([ResponseStarted(None, "n", replaces=True), ResponseStarted("1", "m")], ("1", "n")),
        ([ResponseStarted("1", "m"), ResponseStarted("", "", replaces=True)], ("1", "m")),
        ([], (None, None)),
    ],
)
def test_first_id_and_model_count(events, expected):
    """Id and model are the first ones that are not empty, unless others replace them."""
    assembler, _ = assembler_of(events)
    assert (assembler.response_id, assembler.model) == expected


@pytest.mark.parametrize(
    ("word", "notes"), [("pause_turn", 0), ("Pause-Turn", 0), ("compaction", 0), ("other", 0), ("new", 1)]
)
def test_only_an_unknown_finish_reason_is_noted(word, notes):
    """Some known words have the reason `other`."""
    assembler, _ = assembler_of([finish_of(word)])
    (last,) = assembler.closing()
    assert (last.finish_reason, len(assembler.notes)) == ("other", notes)


def test_an_event_without_a_payload_takes_the_position_of_its_block():
    """It is no activity itself."""
    whole = ServerToolEvent("search", {"query": "q"}, block=0, replay=True)
    assembler, _ = assembler_of(*each(ServerToolEvent("search", {}), TextDelta("a", block=1), whole))
    (choice,) = assembler.choices()
    assert choice.server_tools == ({"type": "search", "query": "q"},)
    assert choice.parts == (RawPart({"query": "q"}), Text("a"))


# Usage


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([], None),
        ([UsageReport({"in": 0})], (0, None)),
        ([UsageReport({"in": 1, "out": 2}), UsageReport({"out": 3})], (None, 3)),
        ([UsageReport({"in": 1, "out": 2}), UsageReport({"out": 3}, merge=True)], (1, 3)),
        ([UsageReport({"out": 3}, merge=True)], (None, 3)),
        ([UsageReport({"in": 5}), UsageReport({"in": 5})], (5, None)),
    ],
)
def test_last_usage_report_counts(reports, expected):
    """The last report replaces the one before, or is merged into it if it is marked so; none are added up."""
    assembler, _ = assembler_of(*each(TextDelta("a"), *reports))
    usage = assembler.usage
    assert (None if usage is None else (usage.input_tokens, usage.output_tokens)) == expected


def test_usage_of_partials():
    """A partial before the report has no usage, one after it has the counts, and neither ever changes."""
    _, partials = assembler_of(
        *each(TextDelta("a"), UsageReport({"in": 1}), TextDelta("b"), UsageReport({"in": 2}), TextDelta("c"))
    )
    shown = [partial.usage and partial.usage.input_tokens for partial in partials]
    assert shown == [None, 1, 2]


def test_usage_of_a_late_choice():
    """A choice that begins after a report has its usage."""
    _, partials = assembler_of(*each(TextDelta("a"), UsageReport({"in": 1}), TextDelta("b", 1)))
    assert partials[-1].usage.input_tokens == 1


def test_raw_usage_is_kept():
    """The provider's usage object is kept as a whole."""
    assembler, _ = assembler_of([UsageReport({"in": 1, "odd": {"x": [1]}})])
    assert assembler.usage.raw == {"in": 1, "odd": {"x": [1]}}


def test_usage_is_read_lazily():
    """The driver reads a report once, when the usage is first used."""
    asked = []
    assembler = Assembler(lambda payload: asked.append(payload) or Usage(raw=payload))
    (partial,) = assembler.absorb([UsageReport({"in": 1}), TextDelta("a")], b"")
    assert not asked
    assert partial.usage is partial.usage is assembler.usage
    assert len(asked) == 1


# Partials that are kept


def test_partials_never_change():
    """A partial always has the content, reasoning, tool calls and usage of its time, in any order of reading."""
    events = [
        TextDelta("a"),
        ReasoningDelta("r"),
        ToolCallDelta(0, "1", "sum", "{"),
        UsageReport({"in": 1}),
        TextDelta("b"),
        ToolCallDelta(0, arguments="}"),
        UsageReport({"in": 2}),
        ReasoningDelta("s"),
        TextDelta("c"),
        Finish("stop", "stop"),
    ]
    assembler = Assembler(read_usage)
    kept = [(partial, partial.to_dict()) for event in events for partial in assembler.absorb([event], b"")]
    kept += [(partial, partial.to_dict()) for partial in assembler.closing()]
    for order in (kept, list(reversed(kept)), kept[::2] + kept[1::2]):
        for partial, then in order:
            assert partial.to_dict() == then


@given(
    st.lists(
        st.one_of(
            st.builds(TextDelta, st.sampled_from(["", "a", "bc"]), st.integers(0, 2)),
            st.builds(ReasoningDelta, st.sampled_from(["", "r"]), choice=st.integers(0, 2)),
            st.builds(
                ToolCallDelta, st.sampled_from([None, 0, 1]), st.sampled_from([None, "1", "2"]), arguments=st.just("x")
            ),
            st.builds(UsageReport, st.just({"in": 1}), st.booleans()),
        ),
        max_size=30,
    )
)
def test_deltas_add_up(events):
    """For every choice, the deltas joined are the content of its last partial and of the response."""
    assembler, partials = assembler_of(*each(*events))
    for index, group in itertools.groupby(
        sorted(partials, key=lambda partial: partial.choice), key=lambda partial: partial.choice
    ):
        members = list(group)
        assert "".join(partial.content_delta for partial in members) == members[-1].content
        assert "".join(partial.reasoning_delta for partial in members) == members[-1].reasoning_content
        (choice,) = [choice for choice in assembler.choices() if choice.index == index]
        assert choice.content == members[-1].content
        assert choice.tool_calls == members[-1].tool_calls


def test_memory_of_ten_thousand_partials():
    """A list of all partials of a long stream costs its own entries, not a copy of the text for each."""
    assembler = Assembler(read_usage)
    tracemalloc.start()
    try:
        kept = [partial for _ in range(10_000) for partial in assembler.absorb([TextDelta("word " * 10)], b"")]
        assert len(kept[-1].content) == 500_000
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 8_000_000  # a copy of the text for each would be 2.5 GB


def test_raw_bytes_of_partials():
    """`raw` is the chunk that the partial was made of; the closing one has none."""
    assembler = Assembler(read_usage)
    (partial,) = assembler.absorb([TextDelta("a")], b"bytes")
    assert partial.raw == b"bytes"
    assert assembler.closing()[0].raw == b""


def test_repr_of_partials():
    """The repr is short and contains what is new; two partials are never equal."""
    assembler = Assembler(read_usage)
    (one,) = assembler.absorb([TextDelta("a")], b"x" * 1000)
    (two,) = Assembler(read_usage).absorb([TextDelta("a")], b"x" * 1000)
    assert repr(one) == "PartialInferenceResponse(content_delta='a')"
    assert one != two
    (closing,) = assembler.closing()
    assert "finish_reason=<FinishReason.UNKNOWN" in repr(closing)


def test_partial_to_dict():
    """`to_dict` returns plain values, without the raw bytes."""
    assembler, partials = assembler_of(
        [TextDelta("a"), ToolCallDelta(0, "1", "sum", "{}"), UsageReport({"in": 1}), Finish("stop", "stop")]
    )
    (closing,) = assembler.closing()
    assert partials[0].to_dict()["finish_reason"] is None
    shown = closing.to_dict()
    assert shown["content"] == "a"
    assert shown["finish_reason"] == "tool_calls"
    assert type(shown["finish_reason"]) is str
    assert shown["tool_calls"] == [
        {
            "type": "tool_call",
            "name": "sum",
            "id": "1",
            "arguments_raw": "{}",
            "complete": True,
            "signature": None,
            "extra": {},
        }
    ]
    assert shown["usage"]["input_tokens"] == 1
    assert "raw" not in shown


def test_replayed_server_tool_is_a_part():
    """An object that the provider wants back is a part of the next turn; a mere report is not."""
    call, report = ServerToolEvent("search", {"query": "q"}, replay=True), ServerToolEvent("search", {"found": 3})
    assembler, _ = assembler_of(*each(TextDelta("a"), call, report, TextDelta("b")))
    assert assembler.choices()[0].parts == (Text("a"), RawPart({"query": "q"}), Text("b"))


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ([], None),
        ([TextDelta("a"), TextDelta("b")], "ab"),
        ([TextDelta("a", 1)], None),
        ([TextDelta("a"), TextDelta("b", 1)], None),
        ([TextDelta("a"), ReasoningDelta("r")], None),
        ([TextDelta("a"), ToolCallDelta(0, "1", "f")], None),
        ([TextDelta("a"), RefusalDelta("no")], None),
        ([TextDelta("a"), Finish("stop", "stop")], None),
    ],
)
def test_only_plain_text_can_be_resumed(events, text):
    """A response can be continued if it is the text of one choice and nothing else, and has no finish."""
    assembler, _ = assembler_of(*each(*events))
    assert assembler.resumable_text() == text

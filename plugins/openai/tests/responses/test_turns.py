"""A response goes back as the items that it consisted of."""

from __future__ import annotations

import itertools
import json

import pytest

from polyglot_core.plugin import Citation, Message, RawPart, Reasoning, Text, ToolCall

MODES = ["streamed", "plain", "last"]


def text(words, **fields):
    return {"type": "output_text", "text": words, "annotations": [], **fields}


def message(number, *parts, **fields):
    item = {"type": "message", "id": f"msg_{number}", "role": "assistant", "status": "completed"}
    return item | {"content": list(parts)} | fields


def call(number, **fields):
    item = {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}", "name": "weather"}
    return item | {"arguments": '{"city":"Oslo"}', "status": "completed"} | fields


def reasoning(number, *summary, **fields):
    parts = [{"type": "summary_text", "text": words} for words in summary]
    return {"type": "reasoning", "id": f"rs_{number}", "summary": parts} | fields


def own(kind, **fields):
    return {"type": kind, "id": f"{kind}_1", "status": "completed", **fields}


HELLO = message(1, text("Hello there"))
CITED = {"type": "url_citation", "url": "https://a.test/", "title": "A", "start_index": 0, "end_index": 5}
COMMANDS = {"commands": ["ls"], "timeout_ms": None}

ITEMS = {
    "a message": [HELLO],
    "a message with a phase": [message(1, text("Looking."), phase="commentary")],
    "a message with sources": [message(1, text("Hello", annotations=[CITED]))],
    "a message with log probabilities": [message(1, text("Hi", logprobs=[{"token": "Hi", "logprob": -0.1}]))],
    "a message of several parts": [message(1, text("One."), text("Two."))],
    "a message without content": [message(1)],
    "a message with an empty text": [message(1, text(""))],
    "a refusal": [message(1, {"type": "refusal", "refusal": "I cannot."})],
    "a text before a refusal": [message(1, text("Well."), {"type": "refusal", "refusal": "I cannot."})],
    "a refusal before a text": [message(1, {"type": "refusal", "refusal": "I cannot."}, text("Sorry."))],
    "a part of tomorrow": [message(1, text("One."), {"type": "hologram", "data": "x"}, text("Two."))],
    "only a part of tomorrow": [message(1, {"type": "output_audio", "data": "eA==", "transcript": "x"})],
    "a message with a field of tomorrow": [message(1, text("Hi", mood="glad"), tone={"warm": True})],
    "two messages": [message(1, text("Looking."), phase="commentary"), message(2, text("Done."), phase="final_answer")],
    "two messages without ids": [{"type": "message", "role": "assistant", "content": [text(t)]} for t in ("A.", "B.")],
    "two equal messages": [message(1, text("Hi.")), message(2, text("Hi."))],
    "thinking": [reasoning(1, "First.", "Then."), HELLO],
    "encrypted thinking": [reasoning(1, "First.", "Then.", encrypted_content="cipher"), HELLO],
    "hidden thinking": [reasoning(1), HELLO],
    "thinking with a status": [reasoning(1, "First.", "Then.", status="completed", format="v1"), HELLO],
    "thinking in clear": [reasoning(1, content=[{"type": "reasoning_text", "text": "Hm."}]), HELLO],
    "thinking and its summary": [reasoning(1, "Sum.", content=[{"type": "reasoning_text", "text": "Hm."}]), HELLO],
    "thinking twice": [reasoning(1, "First."), reasoning(2, "Then."), HELLO],
    "thinking with one id": [reasoning(1, "First."), reasoning(1, "Then."), HELLO],
    "hidden thinking with one id": [reasoning(1), reasoning(1), HELLO],
    "thinking between tools": [reasoning(1, "Hm."), own("web_search_call"), reasoning(2), HELLO],
    "a function call": [call(1)],
    "a function call in a namespace": [call(1, namespace="town", created_by={"type": "agent"})],
    "parallel calls": [reasoning(1), call(1), call(2, arguments="{}"), call(3, name="clock", arguments="{}")],
    "text, a call, text": [message(1, text("First.")), call(1), message(2, text("Last."))],
    "a custom call": [own("custom_tool_call", call_id="call_1", name="sh", input="ls -l")],
    "a custom call of JSON": [own("custom_tool_call", call_id="call_1", name="sh", input='{"a": 1}')],
    "a web search": [own("web_search_call", action={"type": "search", "query": "q"}), HELLO],
    "a file search": [own("file_search_call", queries=["q"], results=[{"file_id": "f", "text": "x"}]), HELLO],
    "code": [own("code_interpreter_call", code="1+1", container_id="c", outputs=None), HELLO],
    "an image": [own("image_generation_call", result="iVBORw0KGgo=", output_format="png"), HELLO],
    "an image without its bytes": [own("image_generation_call", result=None)],
    "a computer call": [reasoning(1), own("computer_call", call_id="c", actions=[{"type": "screenshot"}])],
    "a shell call": [reasoning(1), own("shell_call", call_id="c", action=COMMANDS)],
    "a shell call of the provider": [
        own("shell_call", call_id="c", action=COMMANDS),
        own("shell_call_output", call_id="c", output=[{"stdout": "x"}]),
        HELLO,
    ],
    "a local shell call": [own("local_shell_call", call_id="c", action=COMMANDS)],
    "a patch": [own("apply_patch_call", call_id="c", operation={"type": "delete_file", "path": "a"})],
    "tools of a server": [own("mcp_list_tools", server_label="s", tools=[{"name": "t"}]), HELLO],
    "a call of a server": [own("mcp_call", server_label="s", name="t", arguments="{}", output="4"), HELLO],
    "an approval request": [own("mcp_approval_request", server_label="s", name="t", arguments="{}")],
    "a tool search": [own("tool_search_call", execution="server", call_id=None), own("tool_search_output"), HELLO],
    "compaction": [own("compaction", encrypted_content="small"), HELLO],
    "an item of tomorrow": [own("dream", scenes=[{"of": "sheep"}]), HELLO],
    "items of tomorrow": [own("dream", at=1), {"type": "dream", "at": 2}, {"type": "dream"}, HELLO],
    "an item without a type": [{"id": "x_1", "odd": True}, HELLO],
}
"""Every kind of item, in the company in which it comes."""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("items", ITEMS.values(), ids=ITEMS)
def test_items_go_back_as_they_were_received(responses, items, mode):
    """Item for item, in order; also after the turn was stored as JSON."""
    turn = responses.received(mode, *items).message
    stored = Message.from_dict(json.loads(json.dumps(turn.to_dict())))
    assert responses.sent(turn) == responses.sent(stored) == items


@pytest.mark.parametrize("items", ITEMS.values(), ids=ITEMS)
def test_streamed_and_plain_turns_are_equal(responses, items):
    """All fields of the choice, and all details, are."""
    streamed, plain, last = (responses.received(mode, *items, service_tier="flex") for mode in MODES)
    assert streamed.choices == plain.choices == last.choices
    assert streamed.details == plain.details == {"service_tier": "flex", "status": "completed"}


PAIRS = list(itertools.permutations(["thinking", "a function call", "a web search", "an image", "compaction"], 2))


@pytest.mark.parametrize("pair", PAIRS, ids=" after ".join)
def test_the_order_of_items_is_kept(responses, pair):
    """Whatever the items are."""
    later, earlier = (ITEMS[name][0] for name in pair)
    turn = responses.received("streamed", earlier, HELLO, later, message(2, text("Bye"))).message
    assert responses.sent(turn) == [earlier, HELLO, later, message(2, text("Bye"))]


def test_interleaved_items_keep_their_order(responses):
    """Items that begin before others are complete are sent back in the order in which they began."""
    search, code = own("web_search_call"), own("code_interpreter_call", code="1")
    added = [
        responses.event("output_item.added", output_index=index, item={**item, "status": "in_progress"})
        for index, item in enumerate((search, code))
    ]
    done = [responses.event("output_item.done", output_index=at, item=item) for at, item in ((1, code), (0, search))]
    seen = responses.streamed(*added, *done, responses.event("completed", response=responses.object(search, code)))
    assert responses.sent(seen.response.message) == [search, code]


def test_thinking_that_only_the_last_response_has_precedes_its_item(responses):
    """The text was streamed before."""
    delta = responses.event("output_text.delta", output_index=1, item_id="msg_1", content_index=0, delta="Hello there")
    items = [reasoning(1), reasoning(2), HELLO, reasoning(3), message(2, text("Bye"))]
    seen = responses.streamed(delta, responses.event("completed", response=responses.object(*items)))
    assert responses.sent(seen.response.message) == items


def test_a_turn_is_sent_in_the_middle_of_a_conversation(responses):
    """Between the messages of the user, with the result of its call."""
    turn = responses.received("plain", reasoning(1), call(1)).message
    said = responses.sent("Weather?", turn, Message.tool_result("call_1", "rain"), "And now?")
    assert [item["type"] for item in said] == [
        "message",
        "reasoning",
        "function_call",
        "function_call_output",
        "message",
    ]


def test_result_of_a_custom_call_has_its_own_type(responses):
    """The request need not repeat the tool."""
    turn = responses.received("plain", *ITEMS["a custom call"]).message
    said = responses.sent(turn, Message.tool_result("call_1", "a.txt"))
    assert said[1] == {"type": "custom_tool_call_output", "call_id": "call_1", "output": "a.txt"}


def test_broken_arguments_go_back_as_an_object(responses):
    """The API refuses others."""
    turn = responses.received("plain", call(1, arguments='{"city')).message
    assert json.loads(responses.sent(turn)[0]["arguments"]) == {"INVALID_JSON": '{"city'}


def test_a_turn_of_another_provider_is_reduced(responses):
    """Its thinking, signatures and fields have no meaning here."""
    parts = (
        Reasoning(text="Hm.", id="x", signature="s"),
        Text("Hello", extra={"index": 1}),
        ToolCall(name="weather", id="c1", arguments_raw="{}", signature="s", extra={"caller": {}}),
    )
    said = responses.sent(Message(role="assistant", content=parts, provider="anthropic"))
    assert said == [
        {"type": "message", "role": "assistant", "content": "Hello"},
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
    ]


# What is not stored, and what was interrupted


def test_encrypted_thinking_is_sent_without_storage(responses):
    """All of its parts are, not only the first one."""
    items = [reasoning(1, "First.", "Then.", encrypted_content="cipher"), call(1)]
    assert responses.sent(responses.received("plain", *items).message, extra={"store": False}) == items


def test_items_without_their_thinking_have_no_ids(responses):
    """The provider refuses an item that it knows without the thinking that belongs to it."""
    turn = responses.received("plain", reasoning(1, "First."), call(1), message(2, text("Hi."))).message
    said = responses.sent(turn, extra={"store": False})
    assert [(item["type"], "id" in item) for item in said] == [("function_call", False), ("message", False)]


def interrupted(responses, *events):
    seen = responses.streamed(*events)
    assert seen.error is not None
    return seen.error.partial.message


@pytest.mark.parametrize("name", ["thinking", "a web search", "a function call", "a message", "a custom call"])
def test_whole_items_of_an_interrupted_turn_are_sent(responses, name):
    """What was not complete is left out, and the thinking before it too."""
    first, second = ITEMS[name], [reasoning(8), call(9)]
    events = responses.events(*first, *second)[:-3]
    assert responses.sent(interrupted(responses, *events), "Go on") == [*first, *responses.sent("Go on")]


def test_begun_text_is_sent_without_the_thinking_before_it(responses):
    """The item that has to follow the thinking is not whole; the text has no id."""
    events = responses.events(reasoning(1), message(2, text("Hello there"), phase="final_answer"))[:-3]
    plain = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hel"}]}
    assert responses.sent(interrupted(responses, *events)) == [plain | {"phase": "final_answer"}]


@pytest.mark.parametrize(("answered", "count"), [(False, 0), (True, 3)])
def test_call_of_an_interrupted_turn_needs_its_output(responses, answered, count):
    """Without it the provider refuses the conversation."""
    items = [reasoning(1), own("shell_call", call_id="c", action=COMMANDS)]
    turn = interrupted(responses, *responses.events(*items)[:-1])
    output = [Message(role="tool", content=[RawPart({"type": "shell_call_output", "call_id": "c", "output": []})])]
    assert len(responses.sent(turn, *(output if answered else ["Go on"]))) == (count or 1)


# Calls that the user responds to


TO_ANSWER = ["a computer call", "a shell call", "a local shell call", "a patch", "an approval request", "a custom call"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", TO_ANSWER)
def test_calls_to_respond_to_are_the_finish_reason(responses, name, mode):
    """The provider waits for their outputs."""
    response = responses.received(mode, *ITEMS[name])
    assert (response.finish_reason, response.finish_reason_raw) == ("tool_calls", "completed")


@pytest.mark.parametrize(
    "name", ["a shell call of the provider", "a tool search", "a web search", "an item of tomorrow"]
)
def test_calls_of_the_provider_are_not_the_finish_reason(responses, name):
    """It ran them itself."""
    assert responses.received("streamed", *ITEMS[name]).finish_reason == "stop"


@pytest.mark.parametrize("role", ["tool", "user"])
def test_outputs_are_items_in_the_dialects_own_format(responses, role):
    """Of every kind, in a message of either role."""
    outputs = [
        {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot", "file_id": "f"}},
        {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True},
    ]
    assert responses.sent(Message(role=role, content=[RawPart(each) for each in outputs])) == outputs
    assert responses.sent({"role": "user", "content": outputs}) == outputs


# Sources


@pytest.mark.parametrize("mode", MODES)
def test_sources_name_the_text_that_they_support(responses, mode):
    """The part of the turn, and the offsets if both are given."""
    sources = [CITED, {"type": "file_citation", "file_id": "f", "index": 3}, CITED | {"start_index": "2"}]
    items = [message(1, text("One.")), message(2, text("Two.", annotations=sources))]
    choice = responses.received(mode, *items).choices[0]
    assert [(cited.part, cited.start, cited.end) for cited in choice.cited] == [(1, 0, 5), (1, None, None), (1, 2, 5)]
    assert choice.citations == tuple(sources)


def test_sources_in_events_are_not_repeated(responses):
    """They name their part by its number."""
    item = message(1, text("One."), text("Two.", annotations=[CITED]))
    events = responses.events(item)
    place = {"output_index": 0, "item_id": "msg_1", "content_index": 1}
    events.insert(-2, responses.event("output_text.annotation.added", annotation=CITED, **place))
    seen = responses.streamed(*events)
    assert [event for event in seen.events if isinstance(event, Citation)] == [Citation(CITED, block=1, start=0, end=5)]
    assert [(cited.part, cited.start) for cited in seen.response.choices[0].cited] == [(1, 0)]


def test_sources_that_only_the_last_response_has(responses):
    """They are emitted once, with the text that they support."""
    first, last = message(1, text("Hello")), message(1, text("Hello", annotations=[CITED]))
    seen = responses.streamed(*responses.events(first, last=responses.object(last)))
    assert [(cited.part, cited.start) for cited in seen.response.choices[0].cited] == [(0, 0)]

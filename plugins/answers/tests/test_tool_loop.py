"""The loop of a model and its tools, over real sockets: sync, asyncio and trio, in several dialects."""

from __future__ import annotations

import gc
import threading
import time
from typing import TYPE_CHECKING

import anyio
import msgspec
import pytest

from polyglot_answers.conversation import Conversation, pending_calls
from polyglot_answers.functions import FunctionTool, tool_of
from polyglot_answers.tool_loop import TooManyTurns, run_tools
from polyglot_core import (
    AsyncInference,
    Inference,
    Message,
    PartialInferenceResponse,
    PolyglotError,
    RawTool,
    RequestError,
    StreamError,
    Tool,
    ToolCall,
    ToolResult,
    TransportError,
)
from polyglot_simulator import Cut, Pace, Reply, Reset, Simulator, Stall, Status
from polyglot_simulator import ToolCall as Call

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.http

STYLES = ("sync", "asyncio", "trio")
DRIVERS = (
    "openai", "openai-responses", "azure-openai", "anthropic", "gemini", "vertex", "mistral", "cohere", "ollama", "bedrock",
)  # fmt: skip
each_style = pytest.mark.parametrize("style", STYLES)
each_driver = pytest.mark.parametrize("driver", DRIVERS)
some_drivers = pytest.mark.parametrize("driver", ["openai", "anthropic", "gemini"])


def weather(city: str, unit: str = "c") -> dict[str, str]:
    """Return the weather in a city."""
    return {"city": city, "unit": unit}


def broken() -> None:
    """Fail."""
    raise ValueError("no luck")


TWO_CALLS = Reply(text="Let me see.", tool_calls=[Call("weather", {"city": "Oslo"}), Call("weather", {"city": "Rome"})])
ONE_CALL = Reply(tool_calls=[Call("weather", {"city": "Oslo"})])


def play(style, simulator, messages="Weather?", *, driver="openai", use=None, **arguments):
    """Run a loop in a style, and return its run, its steps, and the error that ended it.

    `use` is called with each step; it may raise, which leaves the loop's block.
    """
    steps, error = [], None
    arguments = {"tools": [weather, broken]} | arguments
    connection = simulator.connection_for(driver)

    def take(step):
        steps.append(step)
        if use is not None:
            use(step)

    async def main():
        nonlocal error
        async with AsyncInference.from_connection(connection) as inference:
            run = run_tools(inference, messages, **arguments)
            try:
                async with run:
                    async for step in run:
                        take(step)
            except (PolyglotError, Leave) as raised:
                error = raised
            return run

    if style != "sync":
        return anyio.run(main, backend=style), steps, error
    with Inference.from_connection(connection) as inference:
        run = run_tools(inference, messages, **arguments)
        try:
            with run:
                for step in run:
                    take(step)
        except (PolyglotError, Leave) as raised:
            error = raised
        return run, steps, error


class Leave(Exception):
    """Leaves the block of a loop."""


def of(kind, steps):
    return [step for step in steps if isinstance(step, kind)]


def roles(messages):
    return [message.role for message in messages]


def results(messages):
    return [(part.text, part.error) for message in messages for part in message.parts if isinstance(part, ToolResult)]


@each_driver
@each_style
def test_the_loop_runs_tools_until_the_model_is_done(style, driver):
    """Partials, tool calls when they are complete, results in order; the turns, responses and tokens are readable."""
    with Simulator([TWO_CALLS, "It rains."]) as simulator:
        run, steps, error = play(style, simulator, driver=driver)
    assert error is None
    assert "".join(step.content_delta for step in of(PartialInferenceResponse, steps)) == "Let me see.It rains."
    assert [call.arguments for call in of(ToolCall, steps)] == [{"city": "Oslo"}, {"city": "Rome"}]
    assert all(call.complete for call in of(ToolCall, steps))
    found = [msgspec.json.decode(result.text) for result in of(ToolResult, steps)]
    assert found == [{"city": "Oslo", "unit": "c"}, {"city": "Rome", "unit": "c"}]
    order = [type(step) for step in steps if not isinstance(step, PartialInferenceResponse)]
    assert order == [ToolCall, ToolCall, ToolResult, ToolResult]
    assert roles(run.messages) == ["user", "assistant", "tool", "tool", "assistant"]
    assert [call.id for call in of(ToolCall, steps)] == [result.id for result in of(ToolResult, steps)]
    assert [response.content for response in run.responses] == ["Let me see.", "It rains."]
    assert run.usage == run.conversation.usage
    assert run.usage.total_tokens == sum(response.usage.total_tokens for response in run.responses)
    assert len(simulator.requests) == 2


@each_style
def test_the_texts_and_the_response_of_a_loop(style):
    """`text` yields the pieces of text of all turns, and `response` is the last one, as often as it is called."""
    with Simulator([TWO_CALLS, "It rains."]) as simulator:
        connection = simulator.connection
        if style == "sync":
            run = run_tools(Inference.from_connection(connection), "Weather?", tools=[weather])
            text, response = "".join(run.text()), run.response()
            assert run.response() is response
        else:

            async def main():
                async with AsyncInference.from_connection(connection) as inference:
                    run = run_tools(inference, "Weather?", tools=[weather])
                    text = "".join([piece async for piece in run.text()])
                    response = await run.response()
                    assert await run.response() is response
                    return text, response

            text, response = anyio.run(main, backend=style)
    assert text == "Let me see.It rains."
    assert response.content == "It rains."


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([Call("broken")], [("ValueError: no luck", True)]),
        ([Call("nothing")], [("There is no tool 'nothing'. The tools are: weather, broken.", True)]),
        (
            [Call("weather", {"town": "Oslo"})],
            [("The arguments do not fit the tool 'weather': Object contains unknown field `town`.", True)],
        ),
        (
            [Call("broken"), Call("weather", {"city": "Oslo"})],
            [("ValueError: no luck", True), ('{"city":"Oslo","unit":"c"}', False)],
        ),
    ],
    ids=["raises", "unknown", "does not fit", "one of two"],
)
@some_drivers
@each_style
def test_the_model_gets_what_went_wrong(style, driver, calls, expected):
    """A tool that fails, an unknown tool and wrong arguments are results, and the loop continues."""
    with Simulator([Reply(tool_calls=calls), "Sorry."]) as simulator:
        run, _, error = play(style, simulator, driver=driver)
    assert error is None
    assert results(run.messages) == expected
    assert run.responses[-1].content == "Sorry."


@pytest.mark.parametrize("driver", ["openai", "anthropic"])
@each_style
def test_broken_arguments_are_a_result(style, driver):
    """Arguments that are no JSON object do not end the loop."""
    with Simulator([Reply(tool_calls=[Call("weather", '{"city": "Os')]), "Sorry."]) as simulator:
        run, _, error = play(style, simulator, driver=driver)
    assert error is None
    ((text, failed),) = results(run.messages)
    assert failed
    assert "not a JSON object" in text


# Decisions before tool calls


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (None, '{"city":"Oslo","unit":"c"}'),
        (True, '{"city":"Oslo","unit":"c"}'),
        (False, "The user did not allow this tool call."),
        ("Ask for a town first.", "Ask for a town first."),
        ({"city": "Bergen", "unit": "f"}, '{"city":"Bergen","unit":"f"}'),
        ({"town": "Bergen"}, "The arguments do not fit the tool 'weather': Object contains unknown field `town`."),
        (ToolCall(name="broken", id="other"), "ValueError: no luck"),
    ],
    ids=["none", "true", "false", "text", "arguments", "wrong arguments", "another call"],
)
@each_style
def test_a_hook_decides_before_each_tool_call(style, verdict, expected):
    """It approves, refuses, refuses with a text, changes the arguments, or replaces the tool call; the id stays."""
    seen = []

    def before(call):
        seen.append(call)
        return verdict

    async def before_later(call):
        await anyio.sleep(0)
        return before(call)

    for hook in [before] if style == "sync" else [before, before_later]:
        seen.clear()
        with Simulator([ONE_CALL, "Well."]) as simulator:
            run, steps, error = play(style, simulator, before=hook)
        assert error is None
        ((text, _),) = results(run.messages)
        assert text == expected
        assert seen == of(ToolCall, steps)
        assert (of(ToolResult, steps)[0].id, of(ToolResult, steps)[0].name) == (seen[0].id, seen[0].name)
        assert run.responses[-1].content == "Well."
        assert run.messages[1].parts[-1].arguments == {"city": "Oslo"}  # the response is sent back as it was received


@pytest.mark.parametrize(
    "verdict", [5, [], {"a": object()}, {1: 2}], ids=["number", "list", "an object", "a number for a name"]
)
@each_style
def test_a_verdict_of_another_kind_is_an_error(style, verdict):
    """No tool is run then; the conversation ends with the tool calls."""
    with Simulator([ONE_CALL, "Well."]) as simulator:
        run, _, error = play(style, simulator, before=lambda _: verdict)
    if verdict == {1: 2}:  # an int is a name in JSON
        assert "do not fit" in results(run.messages)[0][0]
        return
    assert isinstance(error, RequestError)
    assert "'weather'" in str(error)
    assert len(run.conversation.pending) == 1


def test_a_sync_loop_does_not_await():
    """A coroutine function as hook, or as a tool, is an error of a sync loop."""

    async def later(*_: str) -> str:
        """Wait."""
        return ""

    async def tool() -> str:
        """Wait."""
        return ""

    with Simulator([ONE_CALL, "Well."]) as simulator:
        run, _, error = play("sync", simulator, before=later)
        assert isinstance(error, RequestError)
        assert "coroutine" in str(error)
        with pytest.raises(RequestError, match="'tool' is an async function"):
            play("sync", simulator, tools=[tool])
    assert len(run.conversation.pending) == 1


@each_style
def test_all_tool_calls_are_decided_before_one_is_run(style):
    """If the hook raises at the second one, the first has not been run; a further loop over the turns runs both."""
    ran = []

    def counted(city: str) -> str:
        """Count."""
        ran.append(city)
        return city

    def before(call):
        if call.arguments["city"] == "Rome":
            raise Leave

    calls = Reply(tool_calls=[Call("counted", {"city": "Oslo"}), Call("counted", {"city": "Rome"})])
    with Simulator([calls, "Well."]) as simulator:
        run, _, error = play(style, simulator, tools=[counted], before=before)
        assert isinstance(error, Leave)
        assert ran == []
        assert [call.arguments for call in pending_calls(run.messages)] == [{"city": "Oslo"}, {"city": "Rome"}]
        run, _, error = play(style, simulator, run.conversation, tools=[counted])
    assert error is None
    assert sorted(ran) == ["Oslo", "Rome"]
    assert roles(run.messages) == ["user", "assistant", "tool", "tool", "assistant"]


# Limits, tools that are only sent, choices


@some_drivers
@each_style
def test_the_limit_of_turns_is_an_error(style, driver):
    """The last response is in its partial, its tool calls are not run, and a further loop continues with them."""
    with Simulator([ONE_CALL, ONE_CALL, ONE_CALL, "Done."]) as simulator:
        run, steps, error = play(style, simulator, driver=driver, max_turns=2)
        assert isinstance(error, TooManyTurns)
        assert "max_turns" in str(error)
        assert error.partial == run.responses[-1]
        assert len(of(ToolResult, steps)) == 1
        assert roles(run.messages) == ["user", "assistant", "tool", "assistant"]
        assert len(run.conversation.pending) == 1
        assert len(simulator.requests) == 2
        run, steps, error = play(style, simulator, run.conversation, driver=driver, max_turns=2)
    assert error is None
    assert isinstance(steps[0], ToolResult)
    assert run.responses[-1].content == "Done."
    assert roles(run.messages) == ["user", *["assistant", "tool"] * 3, "assistant"]


@each_style
def test_a_limit_of_one_turn(style):
    """A response without tool calls within the limit is no error; `response` raises the error of the limit again."""
    with Simulator(["Done.", ONE_CALL]) as simulator:
        run, _, error = play(style, simulator, max_turns=1)
        assert (error, run.responses[-1].content) == (None, "Done.")
        run, _, error = play(style, simulator, max_turns=1)
        assert isinstance(error, TooManyTurns)
        if style == "sync":
            with pytest.raises(TooManyTurns):
                run.response()


@pytest.mark.parametrize(
    "limits", [{"max_turns": 0}, {"max_turns": True}, {"max_turns": "2"}, {"max_turns": 1.5}], ids=repr
)
@each_style
def test_limits_are_checked_at_once(style, limits):
    """Nothing is sent."""
    with Simulator("Well.") as simulator:
        with pytest.raises(RequestError, match=next(iter(limits))):
            play(style, simulator, **limits)
        assert simulator.requests == []


@pytest.mark.parametrize(
    "tools",
    ["weather", weather, 5, None, tool_of(weather), FunctionTool.of(weather)],
    ids=lambda tools: type(tools).__name__,
)
def test_tools_are_a_list(tools):
    """A single tool, a text and other values are refused."""
    with Simulator("Well.") as simulator, pytest.raises(RequestError, match="list of functions or tools"):
        play("sync", simulator, tools=tools)


def test_what_is_no_tool_is_refused():
    """In a list by `create`, in a dict by the loop."""
    with Simulator("Well.") as simulator:
        _, _, error = play("sync", simulator, tools=["weather"])
        assert isinstance(error, RequestError)
        with pytest.raises(RequestError, match="'function' is no function"):
            play("sync", simulator, tools={"type": "function"})


@pytest.mark.parametrize(
    "tool",
    [
        Tool("ask_user", "Ask the user."),
        {"type": "function", "function": {"name": "ask_user"}},
        RawTool(
            {"type": "function", "function": {"name": "ask_user", "parameters": {"type": "object", "properties": {}}}}
        ),
    ],
    ids=["Tool", "dict", "RawTool"],
)
@each_style
def test_a_tool_without_a_function_ends_the_loop(style, tool):
    """Tools with functions are run, the others are pending; with their results a further loop continues."""
    calls = Reply(tool_calls=[Call("ask_user"), Call("weather", {"city": "Oslo"})])
    with Simulator([calls, "Well."]) as simulator:
        run, steps, error = play(style, simulator, tools=[weather, tool])
        assert error is None
        assert len(of(ToolResult, steps)) == 1
        (pending,) = run.conversation.pending
        assert pending.name == "ask_user"
        assert len(simulator.requests) == 1
        again, steps, _ = play(style, simulator, run.conversation, tools=[weather, tool])
        assert (steps, again.responses, len(simulator.requests)) == ([], [], 1)
        run.conversation.append(Message.tool_result(pending, "In Oslo."))
        run, _, error = play(style, simulator, run.conversation, tools=[weather, tool])
    assert error is None
    assert run.responses[-1].content == "Well."


def test_a_loop_that_sends_nothing_has_no_response():
    """Its error names the tools whose results are missing."""
    conversation = Conversation(
        messages=["Hi.", Message(role="assistant", content=(ToolCall(name="ask", id="1", complete=True),))]
    )
    with Simulator("Well.") as simulator:
        run = run_tools(Inference.from_connection(simulator.connection), conversation, tools=[Tool("ask")])
        with pytest.raises(RequestError, match="tool calls of ask"):
            run.response()


@pytest.mark.parametrize(
    "choice", ["required", "weather", {"type": "function", "function": {"name": "weather"}}], ids=str
)
@each_style
def test_a_forced_tool_call_is_forced_once(style, choice):
    """The first request has the choice, and later ones do not: else the loop would not end."""
    with Simulator([ONE_CALL, "Well."]) as simulator:
        _, _, error = play(style, simulator, tool_choice=choice)
    assert error is None
    assert [bool(request.body.get("tool_choice")) for request in simulator.requests] == [True, False]


def test_other_choices_and_arguments_hold_for_every_request():
    """Arguments of `create` go into each request."""
    with Simulator([ONE_CALL, "Well."]) as simulator:
        play("sync", simulator, tool_choice="auto", options={"temperature": 0.5}, parallel_tool_calls=False)
    for request in simulator.requests:
        assert (request.body["tool_choice"], request.body["temperature"]) == ("auto", 0.5)
        assert request.body["parallel_tool_calls"] is False


def test_a_dict_of_functions_names_tools():
    """The names of the dict are those of the tools."""
    with Simulator([Reply(tool_calls=[Call("forecast", {"city": "Oslo"})]), "Well."]) as simulator:
        run, _, _ = play("sync", simulator, tools={"forecast": weather})
    assert results(run.messages) == [('{"city":"Oslo","unit":"c"}', False)]


@each_style
def test_a_loop_over_a_conversation_has_its_system_prompt_and_cache_marks(style):
    """Each request is marked at the end of the system prompt, of the tools and of the turns, also at results of tools."""
    conversation = Conversation(system="Be brief.", messages=["Hi."], cache=True)
    with Simulator([TWO_CALLS, "Well."]) as simulator:
        run, _, error = play(style, simulator, conversation, driver="anthropic")
        bodies = [request.body for request in simulator.requests]
    assert error is None
    assert run.conversation is conversation
    for body, last in zip(bodies, ("text", "tool_result"), strict=True):
        assert body["system"][-1]["cache_control"]
        assert [bool(tool.get("cache_control")) for tool in body["tools"]] == [False, True]
        blocks = [block for message in body["messages"] for block in message["content"] if isinstance(block, dict)]
        assert [block["type"] for block in blocks if "cache_control" in block] == [last]
    assert roles(conversation.messages) == ["user", "assistant", "tool", "tool", "assistant"]


# Errors and interruptions


@some_drivers
@each_style
def test_an_error_before_content_leaves_the_turns(style, driver):
    """The turns before the failed request stay, and a further loop over them sends it anew."""
    with Simulator([ONE_CALL, "Well."], faults=[None, Status(400)]) as simulator:
        run, steps, error = play(style, simulator, driver=driver)
        assert error is not None
        assert error.status == 400
        assert roles(run.messages) == ["user", "assistant", "tool"]
        assert len(of(ToolResult, steps)) == 1
        run, _, error = play(style, simulator, run.conversation, driver=driver)
    assert error is None
    assert roles(run.messages) == ["user", "assistant", "tool", "assistant"]


@some_drivers
@each_style
def test_an_error_within_a_response_passes_with_its_partial(style, driver):
    """What was received is in the error and in the turns, marked; a further loop replaces it."""
    text = "Well, it rains a little in Oslo today."
    with Simulator([ONE_CALL, text, text], faults=[None, Reset(after_events=5)]) as simulator:
        run, _, error = play(style, simulator, driver=driver)
        assert isinstance(error, TransportError)
        assert error.partial.content
        assert text.startswith(error.partial.content)
        assert roles(run.messages) == ["user", "assistant", "tool", "assistant"]
        assert (run.messages[-1].complete, run.messages[-1].text) == (False, error.partial.content)
        assert len(run.responses) == 1
        run, _, error = play(style, simulator, run.conversation, driver=driver)
    assert error is None
    assert roles(run.messages) == ["user", "assistant", "tool", "assistant"]
    assert (run.messages[-1].complete, run.messages[-1].text) == (True, text)


@each_style
def test_an_interrupted_response_runs_no_tools(style):
    """Tool calls that were whole before the response was interrupted are not run, whatever `on_truncated` is."""
    with Simulator(TWO_CALLS, fault=Reset(after_events=-2)) as simulator:
        run, steps, error = play(style, simulator, driver="anthropic")
    assert isinstance(error, TransportError)
    assert of(ToolCall, steps)
    assert of(ToolResult, steps) == []
    assert not run.messages[-1].complete
    with Simulator(TWO_CALLS, fault=Cut(after_events=-2)) as simulator:
        run, steps, error = play(style, simulator, driver="anthropic", on_truncated="mark")
    assert error is None
    assert of(ToolResult, steps) == []
    assert run.responses[-1].outcome == "truncated"


@each_style
def test_errors_are_raised_again(style):
    """Repeated reads raise the same error, and send nothing."""
    with Simulator("Well.", fault=Status(400)) as simulator:
        if style == "sync":
            run = run_tools(Inference.from_connection(simulator.connection), "Hi.", tools=[weather])
            errors = []
            for read in (run.__next__, run.response):
                with pytest.raises(PolyglotError) as raised:
                    read()
                errors.append(raised.value)
        else:

            async def main():
                async with AsyncInference.from_connection(simulator.connection) as inference:
                    run = run_tools(inference, "Hi.", tools=[weather])
                    found = []
                    for read in (run.__anext__, run.response):
                        with pytest.raises(PolyglotError) as raised:
                            await read()
                        found.append(raised.value)
                    return found

            errors = anyio.run(main, backend=style)
        assert errors[0] is errors[1]
        assert len(simulator.requests) == 1


@some_drivers
@each_style
def test_leaving_early_closes_the_connection(style, driver):
    """A loop that is left within a response keeps the content received, and its request is closed."""

    def use(step):
        if isinstance(step, PartialInferenceResponse) and step.content_delta:
            raise Leave

    text = " ".join(["word"] * 200)
    with Simulator(text, pace=Pace(tokens_per_second=100)) as simulator:
        run, _, error = play(style, simulator, driver=driver, use=use)
        assert isinstance(error, Leave)
        assert simulator.requests[0].wait_closed()
        assert roles(run.messages) == ["user", "assistant"]
        assert not run.messages[-1].complete
        assert run.responses[-1].outcome == "cancelled"


@each_style
def test_leaving_between_tools_keeps_the_results_so_far(style):
    """The tool calls without a result are pending, and a further loop runs only these."""
    ran = []

    def counted(city: str) -> str:
        """Count."""
        ran.append(city)
        return city

    def use(step):
        if isinstance(step, ToolResult):
            raise Leave

    calls = Reply(tool_calls=[Call("counted", {"city": "Oslo"}), Call("counted", {"city": "Rome"})])
    with Simulator([calls, "Well."]) as simulator:
        run, _, error = play(style, simulator, tools=[counted], use=use)
        assert isinstance(error, Leave)
        assert len(run.conversation.pending) == (1 if style == "sync" else 0)
        run, _, error = play(style, simulator, run.conversation, tools=[counted])
    assert error is None
    assert sorted(ran) == ["Oslo", "Rome"]
    assert [text for text, _ in results(run.messages)] == ["Oslo", "Rome"]


INTERRUPTED = "This tool call was interrupted before it had a result. It may have had effects."


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@each_style
def test_an_interruption_in_a_tool_passes(style, kind):
    """It passes without a group around it, and no threads are left. What has begun has a result and is not run again."""
    looked, runs = threading.Event(), []

    def looks(city: str) -> str:
        """Return at once."""
        looked.set()
        return city

    def interrupts() -> str:
        """Have an effect, and interrupt."""
        runs.append("interrupts")
        raise kind

    async def interrupts_later() -> str:
        """Interrupt as a task."""
        while not looked.is_set():
            await anyio.sleep(0.005)
        return interrupts()

    tool = interrupts if style == "sync" else interrupts_later
    calls = Reply(tool_calls=[Call("looks", {"city": "Oslo"}), Call(tool.__name__), Call("looks", {"city": "Rome"})])
    conversation = Conversation(messages=["Hi."])
    with Simulator([calls, "Well."]) as simulator:
        before = threads()
        with pytest.raises(kind):
            play(style, simulator, conversation, tools=[looks, tool])
        assert threads_end(before)
        assert style != "sync" or [call.arguments for call in conversation.pending] == [{"city": "Rome"}]
        _, _, error = play(style, simulator, conversation, tools=[looks, tool])
    assert error is None
    assert sorted(results(conversation.messages)) == [("Oslo", False), ("Rome", False), (INTERRUPTED, True)]
    assert runs == ["interrupts"]


def threads():
    return {
        thread for thread in threading.enumerate() if not thread.name.startswith(("Trio thread", "polyglot-watchdog"))
    }


class Waiting:
    """Tools and a hook that wait, and state when they have begun and ended."""

    def __init__(self):
        self.begun = threading.Event()
        self.ended = []

    async def wait(self, name):
        try:
            self.begun.set()
            await anyio.sleep_forever()
        finally:
            self.ended.append(name)

    async def sleeps(self) -> None:
        """Wait as a task."""
        await self.wait("tool")

    async def asks(self, _) -> None:
        """Wait as a hook."""
        await self.wait("hook")

    def naps(self) -> str:
        """Wait in a thread."""
        self.begun.set()
        time.sleep(0.2)
        self.ended.append("sync tool")
        return ""


FAULTS = {"headers": Stall(before_headers=True), "stream": Stall(after_events=4)}
ENDED = {"tool": ["tool"] * 2, "sync tool": ["sync tool"] * 2, "hook": ["hook"]}


def threads_end(before):
    """Return True if no thread is left but these; idle threads of anyio end soon after their loop."""
    for _ in range(100):
        if threads() <= before:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("where", ["headers", "stream", "tool", "sync tool", "hook"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancelled_loop_leaves_nothing(backend, where):
    """Cancelled anywhere: tasks have ended, connections are closed, no thread of ours runs, and turns stay readable."""
    waiting = Waiting()
    calls = [Call("naps" if where == "sync tool" else "sleeps")] * 2
    script = "Well, it rains a little." if where == "stream" else Reply(tool_calls=calls)
    conversation = Conversation(messages=["Hi."])
    arguments = {"tools": [waiting.sleeps, waiting.naps], "before": waiting.asks if where == "hook" else None}

    async def loop(inference):
        async with run_tools(inference, conversation, **arguments) as run:
            async for step in run:
                if where == "stream" and step.content_delta:
                    waiting.begun.set()

    async def main():
        inference = AsyncInference.from_connection(simulator.connection)
        async with inference, anyio.create_task_group() as tasks:
            tasks.start_soon(loop, inference)
            while not (waiting.begun.is_set() or (where == "headers" and simulator.requests)):
                await anyio.sleep(0.005)
            await anyio.sleep(0.02)
            tasks.cancel_scope.cancel()

    with Simulator(script, fault=FAULTS.get(where)) as simulator:
        before = threads()
        anyio.run(main, backend=backend)
        assert simulator.requests[0].wait_closed()
        assert threads_end(before)
    gc.collect()
    assert waiting.ended == ENDED.get(where, [])
    received = [] if where == "headers" else ["assistant", *["tool"] * (2 if "tool" in where else 0)]
    assert roles(conversation.messages) == ["user", *received]
    assert all(message.complete for message in conversation.messages) is (where != "stream")
    assert len(conversation.pending) == (2 if where == "hook" else 0)
    if where == "tool":
        assert results(conversation.messages) == [(INTERRUPTED, True)] * 2


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_tools_of_an_async_loop_run_side_by_side_up_to_a_limit(backend):
    """Async functions and sync functions: so many at the same time, and results in the order of the tool calls."""
    running, most, lock = 0, 0, threading.Lock()

    def count(change):
        nonlocal running, most
        with lock:
            running += change
            most = max(most, running)

    async def sleeps(number: int) -> int:
        """Sleep."""
        count(1)
        await anyio.sleep(0.02 * (6 - number))
        count(-1)
        return number

    def naps(number: int) -> int:
        """Sleep in a thread."""
        count(1)
        time.sleep(0.02 * (6 - number))
        count(-1)
        return number

    for name in ("sleeps", "naps"):
        for limit in (1, 3):
            most = 0
            calls = Reply(tool_calls=[Call(name, {"number": number}) for number in range(6)])
            with Simulator([calls, "Well."]) as simulator:
                run, steps, _ = play(backend, simulator, tools=[sleeps, naps], max_parallel=limit)
            assert most == limit
            assert [result.text for result in of(ToolResult, steps)] == list("012345")
            assert [text for text, _ in results(run.messages)] == list("012345")
    with Simulator("Well.") as simulator, pytest.raises(RequestError, match="max_parallel"):
        play(backend, simulator, max_parallel=0)


@pytest.mark.parametrize("backend", ["asyncio"])
def test_a_tool_that_cancels_itself_ends_the_loop(backend):
    """A function that raises the cancellation of another task passes it on; nothing is made a result of it."""
    import asyncio

    async def cancels() -> None:
        """Wait for a task that is cancelled."""
        task = asyncio.ensure_future(asyncio.sleep(10))
        await asyncio.sleep(0)
        task.cancel()
        await task

    conversation = Conversation(messages=["Hi."])
    calls = Reply(tool_calls=[Call("cancels"), Call("weather", {"city": "Oslo"})])
    with Simulator([calls, "Well."]) as simulator, pytest.raises(asyncio.CancelledError):
        play(backend, simulator, conversation, tools=[cancels, weather])
    assert results(conversation.messages)[0] == (INTERRUPTED, True)


def test_a_loop_of_ones_own():
    """What the loop does is a few lines over `create` and `run`."""
    from polyglot_answers.functions import registry_of, run

    registry = registry_of([weather])
    turns: list = ["Weather?"]
    with Simulator([ONE_CALL, "It rains."]) as simulator:
        inference = Inference.from_connection(simulator.connection)
        while True:
            response = inference.create(turns, tools=[each.tool for each in registry.values()]).response()
            turns.append(response.message)
            if not response.tool_calls:
                break
            turns += [run(call, registry) for call in response.tool_calls]
    assert response.content == "It rains."


def test_nothing_is_sent_before_the_loop_is_iterated():
    """Closing it at once is possible, and iterating it afterwards yields nothing."""
    with Simulator("Well.") as simulator:
        run = run_tools(Inference.from_connection(simulator.connection), "Hi.", tools=[weather])
        run.close()
        steps: Iterator = iter(run)
        assert list(steps) == []
        with pytest.raises(RequestError, match="it was closed"):
            run.response()
        assert simulator.requests == []
    assert run.messages == [Message(role="user", content="Hi.")]


def test_messages_of_every_kind_begin_a_loop():
    """A text, a message, a dict, a list of them; the caller's list is not changed."""
    given = [{"role": "system", "content": "Be brief."}, "Hi."]
    for messages in ("Hi.", Message(role="user", content="Hi."), {"role": "user", "content": "Hi."}, given):
        with Simulator("Well.") as simulator:
            run, _, error = play("sync", simulator, messages)
        assert error is None
        assert run.messages[-2].text == "Hi."
    assert len(given) == 2
    with Simulator("Well.") as simulator:
        _, _, error = play("sync", simulator, [])
        assert isinstance(error, RequestError)
        with pytest.raises(RequestError):
            play("sync", simulator, 5)


def test_a_stream_error_is_a_polyglot_error():
    """The error of the limit belongs to the same tree as all others."""
    assert issubclass(TooManyTurns, PolyglotError)
    assert not issubclass(TooManyTurns, StreamError)

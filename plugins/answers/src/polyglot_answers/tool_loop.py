"""A loop of a model and its tools: request, run the tool calls, send the results, until the model needs no more.

What follows what is decided in `_Loop`, which does no I/O. `ToolRun` and `AsyncToolRun` read the streams and run the
tools.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self, overload

import msgspec
from msgspec.structs import replace

from polyglot_answers.conversation import AsyncConversationStream, Conversation, ConversationStream, Turn
from polyglot_answers.functions import CompleteCalls, Functions, FunctionTool, Registry, arun, registry_of, run
from polyglot_answers.texts import AsyncTexts, Texts
from polyglot_core import (
    AsyncInference,
    Inference,
    Message,
    PartialInferenceResponse,
    RawTool,
    Tool,
    ToolCall,
    ToolResult,
    Usage,
)
from polyglot_core.errors import PolyglotError, RequestError

if TYPE_CHECKING:
    from polyglot_core import InferenceResponse

__all__ = ["AsyncToolRun", "BeforeCall", "Step", "TooManyTurns", "ToolRun", "Tools", "Verdict", "run_tools"]

Verdict = bool | str | Mapping[str, Any] | ToolCall | None
"""What is to be done with a tool call: None or True runs it, False refuses it, and a text refuses it with that text for
the model. A dict runs it with these arguments, and a `ToolCall` is run in its place.
"""

BeforeCall = Callable[[ToolCall], Verdict | Awaitable[Verdict]]
"""Decides about a tool call before it is run. In an async loop it may be a coroutine function."""

Step = PartialInferenceResponse | ToolCall | ToolResult
"""What a loop yields: partials of each response, a tool call when it is complete, and the result of each tool."""

Tools = Functions | Sequence[Callable[..., Any] | FunctionTool | Tool | RawTool | Mapping[str, Any]]
"""Functions, which the loop runs, and tools without a function, which it only sends."""

_REFUSED = "The user did not allow this tool call."
_INTERRUPTED = "This tool call was interrupted before it had a result. It may have had effects."


class TooManyTurns(PolyglotError):
    """The model still calls tools after the last response that `max_turns` allows. `partial` is that response.

    Its tool calls are not run. The conversation ends with them, so that a loop over it runs them and continues.
    """


class _Decided(NamedTuple):
    """A tool call to run, or the message that refuses it."""

    call: ToolCall
    refusal: Message | None


class _Loop:
    """What has been received, and what follows; without I/O.

    Attributes:
        conversation: The turns, and the tokens used.
        registry: The functions.
        responses: The responses so far.
        steps: Steps that are not yielded yet.
        calls: Tool calls that are not run yet.
        finished: True if no further request follows.
        error: The error that ended the loop.
    """

    def __init__(self, conversation: Conversation, tools: Tools, max_turns: int, arguments: Mapping[str, Any]) -> None:
        sent, self.registry = _sorted(tools)
        self.conversation = conversation
        self.responses: list[InferenceResponse] = []
        self.steps: deque[Step] = deque()
        self.finished = False
        self.error: Exception | None = None
        self._sent_only = {_name_of(tool) for tool in sent} - self.registry.keys()
        self._arguments = {**arguments, "tools": sent}
        self._max_turns = _at_least_one("max_turns", max_turns)
        self._complete = CompleteCalls()
        self.calls = [] if conversation.ends_cut else self._runnable(conversation.pending)
        self.finished = bool(conversation.pending) and not self.calls and not conversation.ends_cut

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the next request. A `tool_choice` that forces a tool call holds for the first one."""
        self._complete = CompleteCalls()
        choice = self._arguments.get("tool_choice")  # a text or a dict
        forced = bool(self.responses) and choice not in (None, "auto", "none")
        return {name: value for name, value in self._arguments.items() if not (forced and name == "tool_choice")}

    def see(self, partial: PartialInferenceResponse) -> None:
        """Yield a partial, and the tool calls that are complete with it."""
        self.steps.append(partial)
        self.steps.extend(self._complete.of(partial))

    def take(self, response: InferenceResponse) -> None:
        """Take a response, which belongs to the conversation already, and determine the tool calls to run.

        Raises:
            TooManyTurns: There are some, and it was the last response.
        """
        self.responses.append(response)
        calls = self._runnable(self.conversation.pending) if response.message.complete else []
        self.finished = not calls
        if calls and len(self.responses) >= self._max_turns:
            self.error = TooManyTurns(
                f"The model calls tools after {self._max_turns} responses, which is the limit; raise max_turns, or run "
                "a further loop over the conversation, which continues with these tool calls.",
                connection=response.connection,
                model=response.model,
                partial=response,
            )
            raise self.error
        self.calls = calls

    def decided(self, call: ToolCall, verdict: object) -> _Decided:
        """Return what a verdict makes of a tool call.

        Raises:
            RequestError: It is no verdict.
        """
        if verdict is None or verdict is True:
            return _Decided(call, None)
        if verdict is False or isinstance(verdict, str):
            return _Decided(call, Message.tool_result(call, verdict or _REFUSED, error=True))
        if isinstance(verdict, ToolCall):
            return _Decided(replace(verdict, id=call.id, complete=True), None)
        if isinstance(verdict, Mapping):
            return _Decided(replace(call, arguments_raw=_json_of(verdict, call), complete=True), None)
        if inspect.iscoroutine(verdict):
            verdict.close()
        msg = (
            f"before returned {type(verdict).__name__} for the tool call {call.name!r}; it returns None, True, False, "
            "a text, a dict of arguments or a ToolCall."
        )
        raise RequestError(msg, phase="encode")

    def take_results(self, results: Iterable[tuple[ToolCall, Message]]) -> None:
        """Append the results of tool calls, which are then run."""
        for call, message in results:
            self.calls = [other for other in self.calls if other is not call]
            # the model waits for the result of its own tool call, whichever was run in its place
            found = [
                replace(part, id=call.id, name=call.name) for part in message.parts if isinstance(part, ToolResult)
            ]
            self.conversation.append(replace(message, content=tuple(found)))
            self.steps.extend(found)
        self.finished = not self.calls and bool(self.conversation.pending)

    def close(self) -> None:
        """Drop what is not yielded yet; no further request follows."""
        self.finished = True
        self.steps.clear()

    def _runnable(self, calls: Iterable[ToolCall]) -> list[ToolCall]:
        """Return the tool calls without those of tools that are only sent: their results are the caller's matter."""
        return [call for call in calls if call.name not in self._sent_only]


def _interrupted(call: ToolCall) -> Message:
    """Return the result of a tool call that has begun and not ended: it is not run a second time."""
    return Message.tool_result(call, _INTERRUPTED, error=True)


def _json_of(arguments: Mapping[str, Any], call: ToolCall) -> str:
    try:
        return msgspec.json.encode(dict(arguments)).decode()
    except (TypeError, ValueError) as error:
        msg = f"before returned arguments for the tool call {call.name!r} that are no JSON object: {error}."
        raise RequestError(msg, phase="encode") from error


class _Run:
    """What both loops offer without waiting."""

    def __init__(self, loop: _Loop, before: BeforeCall | None) -> None:
        self._loop = loop
        self._before = before

    @property
    def conversation(self) -> Conversation:
        """Return the conversation so far: the turns that are complete, and the tokens used."""
        return self._loop.conversation

    @property
    def messages(self) -> list[Message]:
        """Return the turns so far."""
        return self._loop.conversation.messages

    @property
    def responses(self) -> list[InferenceResponse]:
        """Return the responses so far, one for each turn of the model."""
        return self._loop.responses

    @property
    def usage(self) -> Usage:
        """Return the sum of the token counts of the responses of this loop."""
        usage = Usage()
        for response in self._loop.responses:
            usage += response.usage or Usage()
        return usage

    def _verdict(self, call: ToolCall) -> Any:
        return None if self._before is None or call.name not in self._loop.registry else self._before(call)

    def _last(self) -> InferenceResponse:
        if self._loop.error is not None:
            raise self._loop.error.with_traceback(None)
        if not self._loop.responses:
            names = ", ".join(sorted({call.name for call in self._loop.conversation.pending}))
            why = (
                f"the conversation ends with tool calls of {names}, which have no function"
                if names
                else "it was closed"
            )
            raise RequestError(f"The loop has sent no request: {why}.", phase="encode")
        return self._loop.responses[-1]


class ToolRun(_Run):
    """A loop of a model and its tools, sync. Iterate it for its steps; see `Step`.

    Tools run one after the other, in the thread that iterates. Use ``with`` to close the connection however the block
    is left.

    Attributes:
        conversation: The turns so far, with the results of tools, and the tokens used.
        responses: The responses so far, one for each turn of the model.
    """

    def __init__(self, inference: Inference, loop: _Loop, before: BeforeCall | None) -> None:
        super().__init__(loop, before)
        self._inference = inference
        self._stream: ConversationStream | None = None
        self._partials: Iterator[PartialInferenceResponse] = iter(())
        self._decided: list[_Decided] = []

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Step:
        """Return the next step.

        Raises:
            PolyglotError: A call failed. The conversation has the turns before it, and the content received.
            TooManyTurns: The model still calls tools after the last response.
        """
        loop = self._loop
        while not loop.steps:
            if loop.error is not None:
                raise loop.error.with_traceback(None)
            if loop.finished:
                raise StopIteration
            self._advance()
        return loop.steps.popleft()

    def text(self) -> Iterator[str]:
        """Return an iterator of the pieces of visible text of all turns."""
        return Texts(self)

    def response(self) -> InferenceResponse:
        """Run the loop to its end, and return the last response.

        Raises:
            PolyglotError: As iteration does. Repeated calls raise the same error.
        """
        for _ in self:
            pass
        return self._last()

    def close(self) -> None:
        """End the loop and close its connection. The content received so far belongs to the conversation."""
        stream, self._stream = self._stream, None
        self._loop.close()
        if stream is not None:
            stream.close()
            self._loop.responses.append(stream.response())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _advance(self) -> None:
        """Read the next partial, or run the next tool, or send the next request."""
        loop = self._loop
        if loop.calls:
            self._run_next()
        elif self._stream is None:
            self._stream = loop.conversation.stream(self._inference, **loop.arguments())
            self._partials = iter(self._stream)
        else:
            try:
                partial = next(self._partials, None)
            except PolyglotError as error:
                loop.error = error
                raise
            if partial is not None:
                loop.see(partial)
            else:
                stream, self._stream = self._stream, None
                loop.take(stream.response())

    def _run_next(self) -> None:
        """Run a tool call; before the first one of a response, all of them are decided."""
        loop = self._loop
        if not self._decided:
            self._decided = [loop.decided(call, self._verdict(call)) for call in loop.calls]
        call, refusal = self._decided.pop(0)
        result = refusal or _interrupted(call)  # unless it ends
        try:
            result = refusal or run(call, loop.registry)
        finally:
            loop.take_results([(loop.calls[0], result)])


class AsyncToolRun(_Run):
    """A loop of a model and its tools, async. Iterate it for its steps; see `Step`.

    The tool calls of one response run side by side: async functions as tasks, sync functions in worker threads. Their
    results follow when all have ended, in the order of the tool calls. Use ``async with`` to close the connection
    however the block is left.

    Attributes:
        conversation: The turns so far, with the results of tools, and the tokens used.
        responses: The responses so far, one for each turn of the model.
    """

    def __init__(self, inference: AsyncInference, loop: _Loop, before: BeforeCall | None, max_parallel: int) -> None:
        super().__init__(loop, before)
        self._inference = inference
        self._max_parallel = max_parallel
        self._stream: AsyncConversationStream | None = None
        self._partials: AsyncIterator[PartialInferenceResponse] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Step:
        """Return the next step.

        Raises:
            PolyglotError: A call failed. The conversation has the turns before it, and the content received.
            TooManyTurns: The model still calls tools after the last response.
        """
        loop = self._loop
        while not loop.steps:
            if loop.error is not None:
                raise loop.error.with_traceback(None)
            if loop.finished:
                raise StopAsyncIteration
            await self._advance()
        return loop.steps.popleft()

    def text(self) -> AsyncIterator[str]:
        """Return an iterator of the pieces of visible text of all turns."""
        return AsyncTexts(self)

    async def response(self) -> InferenceResponse:
        """Run the loop to its end, and return the last response.

        Raises:
            PolyglotError: As iteration does. Repeated calls raise the same error.
        """
        async for _ in self:
            pass
        return self._last()

    async def close(self) -> None:
        """End the loop and close its connection. The content received so far belongs to the conversation."""
        stream, self._stream = self._stream, None
        self._loop.close()
        if stream is not None:
            await stream.close()
            self._loop.responses.append(await stream.response())

    async def aclose(self) -> None:
        """Close the loop; the name that `contextlib.aclosing` uses."""
        await self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _advance(self) -> None:
        """Read the next partial, or run the tools of a response, or send the next request."""
        loop = self._loop
        if loop.calls:
            await self._run_all()
        elif self._stream is None or self._partials is None:
            self._stream = loop.conversation.stream(self._inference, **loop.arguments())
            self._partials = aiter(self._stream)
        else:
            try:
                partial = await anext(self._partials, None)
            except PolyglotError as error:
                loop.error = error
                raise
            if partial is not None:
                loop.see(partial)
            else:
                stream, self._stream = self._stream, None
                loop.take(await stream.response())

    async def _run_all(self) -> None:
        """Run the tool calls of a response. If one of them raises, those that have begun have a result."""
        loop = self._loop
        decided = [loop.decided(call, await self._awaited_verdict(call)) for call in loop.calls]
        results: list[Message | None] = [each.refusal for each in decided]
        try:
            await _fill(results, [each.call for each in decided], loop.registry, self._max_parallel)
        finally:
            pairs = zip(list(loop.calls), results, strict=True)
            loop.take_results([(call, result) for call, result in pairs if result is not None])

    async def _awaited_verdict(self, call: ToolCall) -> Any:
        verdict = self._verdict(call)
        return await verdict if inspect.isawaitable(verdict) else verdict


async def _fill(results: list[Message | None], calls: list[ToolCall], registry: Registry, max_parallel: int) -> None:
    """Run the tool calls that have no result yet, at most so many at once, and put their results in their places.

    Raises:
        BaseException: What a function raised that is no `Exception`, such as `KeyboardInterrupt`; without a group.
    """
    import anyio  # noqa: PLC0415 (sync programs do not need it)

    limit = anyio.Semaphore(max_parallel)
    cancelled = anyio.get_cancelled_exc_class()
    ended: list[BaseException] = []  # functions that ended as though they were cancelled, or were
    raised: list[BaseException] = []

    async def fill(index: int) -> None:
        async with limit:
            try:
                results[index] = _interrupted(calls[index])  # unless it ends
                results[index] = await arun(calls[index], registry)
            except cancelled as error:
                ended.append(error)
                raise
            except BaseException as error:  # noqa: BLE001 (raised below: from a task, asyncio would stop its loop with it)
                raised.append(error)
                tasks.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as tasks:
            for index, result in enumerate(results):
                if result is None:
                    tasks.start_soon(fill, index)
    finally:
        if raised:
            raise raised[0]
    if ended:  # the group was not cancelled: it was the function's own cancellation
        raise ended[0]


@overload
def run_tools(
    inference: Inference,
    messages: Conversation | Turn | Sequence[Turn],
    *,
    tools: Tools,
    max_turns: int = 10,
    before: Callable[[ToolCall], Verdict] | None = None,
    max_parallel: int = 10,
    **arguments: Any,
) -> ToolRun: ...


@overload
def run_tools(
    inference: AsyncInference,
    messages: Conversation | Turn | Sequence[Turn],
    *,
    tools: Tools,
    max_turns: int = 10,
    before: BeforeCall | None = None,
    max_parallel: int = 10,
    **arguments: Any,
) -> AsyncToolRun: ...


def run_tools(
    inference: Inference | AsyncInference,
    messages: Conversation | Turn | Sequence[Turn],
    *,
    tools: Tools,
    max_turns: int = 10,
    before: BeforeCall | None = None,
    max_parallel: int = 10,
    **arguments: Any,
) -> ToolRun | AsyncToolRun:
    """Return a loop that requests a response, runs its tool calls and sends the results, until there are none.

    Every request is streamed, and nothing is sent before the loop is iterated. If the conversation ends with tool calls
    that have no result, the loop begins with these. It ends, without an error, with a response

    - that has no tool calls,
    - that calls a tool without a function: `conversation.pending` has these tool calls, and their results are appended
      to the conversation by the caller,
    - or whose outcome is not ``finished``, with ``on_truncated="mark"``.

    Args:
        inference: Where requests are sent. With an `AsyncInference` the loop is async.
        messages: The turns so far; or a `Conversation`, to which the turns of the loop are appended.
        tools: Functions, which are run (see `tool_of`); and `Tool`, `RawTool` or dicts, which are only sent. A dict of
            functions gives them names.
        max_turns: How many responses are requested at most.
        before: Called with each tool call that is to be run, before any tool call of its response is; see `Verdict`.
        max_parallel: How many tools of an async loop run at the same time.
        arguments: Further arguments of `create`. A `tool_choice` that forces a tool call holds for the first request.

    Raises:
        RequestError: A function cannot be a tool, or is async and the inference is not; or a limit is less than 1.
    """
    conversation = messages if isinstance(messages, Conversation) else Conversation(messages=messages)  # type: ignore[arg-type]  # it reads them
    loop = _Loop(conversation, tools, max_turns, arguments)
    if isinstance(inference, AsyncInference):
        return AsyncToolRun(inference, loop, before, _at_least_one("max_parallel", max_parallel))
    for name, function in loop.registry.items():
        if function.is_async:
            raise RequestError(
                f"The tool {name!r} is an async function, which an AsyncInference can run.", phase="encode"
            )
    return ToolRun(inference, loop, before)


def _sorted(tools: Tools | object) -> tuple[list[Any], Registry]:
    """Return the tools to send, and the functions to run."""
    if isinstance(tools, (str, bytes, Tool, RawTool, FunctionTool)) or not isinstance(tools, Iterable):
        raise RequestError(f"tools must be a list of functions or tools, not {type(tools).__name__}.", phase="encode")
    if isinstance(tools, Mapping):
        registry = registry_of(tools)
        return [each.tool for each in registry.values()], registry
    given = [FunctionTool.of(each) if callable(each) else each for each in tools]
    registry = registry_of([each for each in given if isinstance(each, FunctionTool)])
    return [each.tool if isinstance(each, FunctionTool) else each for each in given], registry


def _name_of(tool: Tool | RawTool | Mapping[str, Any]) -> str:
    return getattr(RawTool(tool) if isinstance(tool, Mapping) else tool, "name", "")  # create reports anything else


def _at_least_one(field: str, number: int | object) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise RequestError(f"{field} is a whole number from 1, not {number!r:.80}.", phase="encode")
    return number

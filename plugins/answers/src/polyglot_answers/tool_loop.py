"""A loop of a model and its tools: request, run the tool calls, send the results, until the model needs no more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import anyio

from polyglot_answers.functions import Registry, arun, registry_of, run, tool_of
from polyglot_core import Message, ToolCall
from polyglot_core.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from polyglot_core import AsyncInference, Inference, InferenceResponse, PartialInferenceResponse, RawTool, Tool

__all__ = ["AsyncToolRun", "BeforeCall", "ToolRun", "arun_tools", "run_tools"]

BeforeCall = Callable[[ToolCall], "bool | str | ToolCall | None"]
"""Decides about a tool call before it is run: None or True runs it, False refuses it, a text refuses it with that text,
and a `ToolCall` is run in its place."""

_REFUSED = "The user did not allow this tool call."


class _Turns:
    """The conversation of a loop, and what follows in it; without I/O.

    Attributes:
        messages: All turns so far.
        responses: The responses so far.
        finished: True if the model has answered without tool calls, or the limit of turns is reached.
    """

    def __init__(self, messages: Iterable[Any], functions: Registry, max_turns: int) -> None:
        self.messages: list[Any] = list(messages)
        self.responses: list[InferenceResponse] = []
        self.finished = False
        self._functions = functions
        self._left = max_turns

    def take(self, response: InferenceResponse) -> tuple[ToolCall, ...]:
        """Take a response; return the tool calls to run. Without any, the loop is over."""
        self.responses.append(response)
        self.messages.append(response.message)
        self._left -= 1
        calls = tuple(call for call in response.tool_calls if call.complete)
        self.finished = not calls or self._left <= 0
        return () if self.finished else calls

    def decide(self, call: ToolCall, before: BeforeCall | None) -> tuple[ToolCall, Message | None]:
        """Return the tool call to run, or the message that refuses it."""
        verdict = None if before is None else before(call)
        if isinstance(verdict, ToolCall):
            return verdict, None
        if verdict is False or isinstance(verdict, str):
            return call, Message.tool_result(call, verdict or _REFUSED, error=True)
        return call, None


def _arguments(tools: Iterable[Callable[..., Any] | Tool | RawTool | Mapping[str, Any]]) -> tuple[list[Any], Registry]:
    """Return the tools to send, and the functions to run."""
    given = list(tools)
    functions = [tool for tool in given if callable(tool)]
    registry = registry_of(functions)
    return [tool_of(tool) if callable(tool) else tool for tool in given], registry


class ToolRun:
    """A loop of a model and its tools, sync. Iterate it for the partials of all its turns.

    Attributes:
        messages: All turns so far, to continue the conversation with.
        responses: The responses so far, one for each turn of the model.
    """

    def __init__(
        self,
        inference: Inference,
        messages: Iterable[Any],
        tools: Iterable[Any],
        max_turns: int,
        before: BeforeCall | None,
        arguments: Mapping[str, Any],
    ) -> None:
        sent, functions = _arguments(tools)
        self._turns = _Turns(messages, functions, max_turns)
        self._inference = inference
        self._functions = functions
        self._before = before
        self._arguments = {**arguments, "tools": sent}
        self._partials = self._run()

    @property
    def messages(self) -> Sequence[Any]:
        """Return all turns so far."""
        return self._turns.messages

    @property
    def responses(self) -> Sequence[InferenceResponse]:
        """Return the responses so far."""
        return self._turns.responses

    def __iter__(self) -> Iterator[PartialInferenceResponse]:
        return self._partials

    def response(self) -> InferenceResponse:
        """Run the loop to its end, and return the last response.

        Raises:
            PolyglotError: A call failed.
        """
        for _ in self._partials:
            pass
        return self._turns.responses[-1]

    def _run(self) -> Iterator[PartialInferenceResponse]:
        turns = self._turns
        while not turns.finished:
            with self._inference.create(turns.messages, **self._arguments).stream() as stream:
                yield from stream
                calls = turns.take(stream.response())
            for call in calls:
                chosen, refusal = turns.decide(call, self._before)
                turns.messages.append(refusal or run(chosen, self._functions))


class AsyncToolRun:
    """A loop of a model and its tools, async. Iterate it for the partials of all its turns.

    Attributes:
        messages: All turns so far, to continue the conversation with.
        responses: The responses so far, one for each turn of the model.
    """

    def __init__(
        self,
        inference: AsyncInference,
        messages: Iterable[Any],
        tools: Iterable[Any],
        max_turns: int,
        before: BeforeCall | None,
        arguments: Mapping[str, Any],
    ) -> None:
        sent, functions = _arguments(tools)
        self._turns = _Turns(messages, functions, max_turns)
        self._inference = inference
        self._functions = functions
        self._before = before
        self._arguments = {**arguments, "tools": sent}
        self._partials = self._run()

    @property
    def messages(self) -> Sequence[Any]:
        """Return all turns so far."""
        return self._turns.messages

    @property
    def responses(self) -> Sequence[InferenceResponse]:
        """Return the responses so far."""
        return self._turns.responses

    def __aiter__(self) -> AsyncIterator[PartialInferenceResponse]:
        return self._partials

    async def response(self) -> InferenceResponse:
        """Run the loop to its end, and return the last response.

        Raises:
            PolyglotError: A call failed.
        """
        async for _ in self._partials:
            pass
        return self._turns.responses[-1]

    async def _run(self) -> AsyncIterator[PartialInferenceResponse]:
        turns = self._turns
        while not turns.finished:
            async with self._inference.create(turns.messages, **self._arguments).stream() as stream:
                async for partial in stream:
                    yield partial
                calls = turns.take(await stream.response())
            turns.messages += await self._results(calls)

    async def _results(self, calls: Sequence[ToolCall]) -> list[Message]:
        """Run the tool calls of a turn side by side; return the messages with their results, in order."""
        decided = [self._turns.decide(call, self._before) for call in calls]
        results: list[Message | None] = [refusal for _, refusal in decided]

        async def fill(index: int, call: ToolCall) -> None:
            results[index] = await arun(call, self._functions)

        async with anyio.create_task_group() as tasks:
            for index, (call, refusal) in enumerate(decided):
                if refusal is None:
                    tasks.start_soon(fill, index, call)
        return [result for result in results if result is not None]


def run_tools(
    inference: Inference,
    messages: str | Message | Iterable[Any],
    *,
    tools: Iterable[Any],
    max_turns: int = 10,
    before: BeforeCall | None = None,
    **arguments: Any,
) -> ToolRun:
    """Return a loop that requests a response, runs its tool calls, and sends the results, until there are none.

    Args:
        inference: Where requests are sent.
        messages: The conversation so far, as `create` takes it.
        tools: Functions, which are run, and `Tool` objects or provider-run tools, which are only sent.
        max_turns: How many responses are requested at most; the tool calls of the last one are not run.
        before: Called with each tool call before it is run; see `BeforeCall`.
        arguments: Further arguments of `create`.

    Raises:
        RequestError: A function cannot be a tool, or `max_turns` is less than 1.
    """
    return ToolRun(inference, _turns_of(messages), tools, _checked(max_turns), before, arguments)


def arun_tools(
    inference: AsyncInference,
    messages: str | Message | Iterable[Any],
    *,
    tools: Iterable[Any],
    max_turns: int = 10,
    before: BeforeCall | None = None,
    **arguments: Any,
) -> AsyncToolRun:
    """Return the loop of `run_tools`, async. The tool calls of one turn are run side by side."""
    return AsyncToolRun(inference, _turns_of(messages), tools, _checked(max_turns), before, arguments)


def _turns_of(messages: str | Message | Iterable[Any]) -> list[Any]:
    return [messages] if isinstance(messages, (str, Message, dict)) else list(messages)


def _checked(max_turns: int) -> int:
    if max_turns < 1:
        raise RequestError(f"max_turns is a number of responses, at least 1, not {max_turns!r}.", phase="encode")
    return max_turns

"""The own clients of Anthropic, Mistral, Cohere and Ollama."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from .client import KEY, TURNS, Call, Client, Finish, Text, Thought, Used
from .openai_clients import OpenAI

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .client import Decoded

__all__ = ["Anthropic", "Cohere", "Mistral", "Ollama"]


class Anthropic(Client):
    """Anthropic's."""

    words = ("end_turn", "tool_use", "max_tokens")
    refusals = OpenAI.refusals  # both clients are made by one generator
    inside = "APIStatusError"

    def __init__(self, root: str) -> None:
        import anthropic

        self.errors = anthropic
        self.client = anthropic.Anthropic(base_url=root, api_key=KEY, max_retries=0)
        self.request = {"model": "m", "max_tokens": 99, "messages": TURNS}

    def plain(self) -> Iterator[Decoded]:
        yield from self._message(self.client.messages.create(**self.request))

    def streamed(self) -> Iterator[Decoded]:
        """Yield the pieces of text and thinking, and the tool calls as assembled by the client."""
        with self.client.messages.stream(**self.request) as events:
            for event in events:
                if event.type == "text":
                    yield Text(event.text)
                elif event.type == "thinking":
                    yield Thought(event.thinking)
            said = self._message(events.get_final_message())
            yield from (heard for heard in said if type(heard) not in {Text, Thought})

    def _message(self, message: Any) -> Iterator[Decoded]:
        for index, block in enumerate(message.content):
            if block.type == "text":
                yield Text(block.text)
            elif block.type == "thinking":
                yield Thought(block.thinking)
            elif block.type == "tool_use":
                yield Call(index, block.name, json.dumps(block.input))
        yield Finish(message.stop_reason)
        usage = message.usage
        cached = usage.cache_read_input_tokens
        prompt = usage.input_tokens + cached + usage.cache_creation_input_tokens
        yield Used(prompt, usage.output_tokens, cached, usage.output_tokens_details.thinking_tokens)


class Mistral(Client):
    """Mistral's."""

    words = ("stop", "tool_calls", "length")
    refusals: ClassVar[dict[int | None, str]] = {422: "HTTPValidationError", None: "SDKError"}
    inside = "ResponseValidationError"

    def __init__(self, root: str) -> None:
        from mistralai.client import Mistral as Official
        from mistralai.client import errors

        self.errors = errors
        self.sdk = Official(api_key=KEY, server_url=f"{root}/mistral")
        self.client = self.sdk.__enter__()

    def close(self) -> None:
        self.sdk.__exit__(None, None, None)

    def plain(self) -> Iterator[Decoded]:
        completion = self.client.chat.complete(model="m", messages=TURNS)
        yield from self._choices(completion.choices, "message")
        yield self._used(completion.usage)

    def streamed(self) -> Iterator[Decoded]:
        with self.client.chat.stream(model="m", messages=TURNS) as events:
            for event in events:
                yield from self._choices(event.data.choices, "delta")
                if event.data.usage:
                    yield self._used(event.data.usage)

    def _choices(self, choices: Any, where: str) -> Iterator[Decoded]:
        for choice in choices:
            said = getattr(choice, where)
            yield from self._content(said.content)
            for call in said.tool_calls or ():
                yield Call(call.index, call.function.name, call.function.arguments)
            if choice.finish_reason:
                yield Finish(choice.finish_reason)

    def _content(self, content: Any) -> Iterator[Decoded]:
        for part in [] if not content or isinstance(content, str) else content:
            if part.type == "thinking":
                yield from (Thought(inner.text) for inner in part.thinking)
            else:
                yield Text(part.text)
        if isinstance(content, str):
            yield Text(content)

    def _used(self, usage: Any) -> Used:
        more = usage.additional_properties
        cached, reasoning = more["prompt_tokens_details"], more["completion_tokens_details"]
        counts = usage.prompt_tokens, usage.completion_tokens
        return Used(*counts, cached["cached_tokens"], reasoning["reasoning_tokens"])


class Cohere(Client):
    """Cohere's, in its second version."""

    words = ("COMPLETE", "TOOL_CALL", "MAX_TOKENS")
    refusals: ClassVar[dict[int | None, str]] = {
        400: "BadRequestError",
        401: "UnauthorizedError",
        404: "NotFoundError",
        422: "UnprocessableEntityError",
        429: "TooManyRequestsError",
        None: "InternalServerError",
    }
    inside = "ERROR"

    def __init__(self, root: str) -> None:
        import cohere
        import httpx

        self.errors = cohere
        self.http = httpx.Client()
        self.client = cohere.ClientV2(base_url=root, api_key=KEY, httpx_client=self.http)
        self.request = {"model": "m", "messages": TURNS, "request_options": {"max_retries": 0}}

    def close(self) -> None:
        self.http.close()

    def plain(self) -> Iterator[Decoded]:
        answer = self.client.chat(**self.request)
        for part in answer.message.content or ():
            yield Thought(part.thinking) if part.type == "thinking" else Text(part.text)
        for index, call in enumerate(answer.message.tool_calls or ()):
            yield Call(index, call.function.name, call.function.arguments)
        yield Finish(answer.finish_reason)
        yield self._used(answer.usage)

    def streamed(self) -> Iterator[Decoded]:
        for event in self.client.chat_stream(**self.request):
            if event.type == "content-delta":
                part = event.delta.message.content
                yield Text(part.text) if part.thinking is None else Thought(part.thinking)
            elif event.type.startswith("tool-call-") and event.type != "tool-call-end":
                function = event.delta.message.tool_calls.function
                yield Call(event.index, getattr(function, "name", None), function.arguments)
            elif event.type == "message-end":
                yield Finish(event.delta.finish_reason)
                if event.delta.usage.tokens:
                    yield self._used(event.delta.usage)

    def _used(self, usage: Any) -> Used:
        counts = usage.tokens
        return Used(counts.input_tokens, counts.output_tokens, usage.cached_tokens, counts.reasoning_tokens)


class Ollama(Client):
    """Ollama's."""

    words = ("stop", "stop", "length")
    refusals: ClassVar[dict[int | None, str]] = {None: "ResponseError"}
    inside = "ResponseError"

    def __init__(self, root: str) -> None:
        import ollama

        self.errors = ollama
        self.client = ollama.Client(host=root, headers={"authorization": f"Bearer {KEY}"})

    def plain(self) -> Iterator[Decoded]:
        yield from self._lines([self.client.chat(model="m", messages=TURNS)])

    def streamed(self) -> Iterator[Decoded]:
        yield from self._lines(self.client.chat(model="m", messages=TURNS, stream=True))

    def _lines(self, lines: Iterable[Any]) -> Iterator[Decoded]:
        calls = 0
        for line in lines:
            yield Thought(line.message.thinking or "")
            yield Text(line.message.content or "")
            for call in line.message.tool_calls or ():
                yield Call(calls, call.function.name, json.dumps(dict(call.function.arguments)))
                calls += 1
            if line.done:
                yield Finish(line.done_reason)
                yield Used(line.prompt_eval_count, line.eval_count)

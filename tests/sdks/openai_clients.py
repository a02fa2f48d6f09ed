"""OpenAI's own client, on its three APIs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .client import KEY, PROMPT, TURNS, Call, Client, Finish, Text, Thought, Used

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .client import Decoded

__all__ = ["AzureOpenAI", "OpenAI", "OpenAIResponses"]


class OpenAI(Client):
    """OpenAI's, on chat completions."""

    words = ("stop", "tool_calls", "length")
    refusals: ClassVar[dict[int | None, str]] = {
        400: "BadRequestError",
        401: "AuthenticationError",
        404: "NotFoundError",
        422: "UnprocessableEntityError",
        429: "RateLimitError",
        None: "InternalServerError",
    }
    inside = "APIError"

    def __init__(self, root: str) -> None:
        import openai

        self.errors = openai
        self.client = openai.OpenAI(base_url=f"{root}/v1", api_key=KEY, max_retries=0)

    def plain(self) -> Iterator[Decoded]:
        completion = self.client.chat.completions.create(model="m", messages=TURNS)
        yield from self._choices(completion.choices, "message")
        yield self._used(completion.usage)

    def streamed(self) -> Iterator[Decoded]:
        options = {"include_usage": True}
        with self.client.chat.completions.create(
            model="m", messages=TURNS, stream=True, stream_options=options
        ) as all_:
            for chunk in all_:
                yield from self._choices(chunk.choices, "delta")
                if chunk.usage:
                    yield self._used(chunk.usage)

    def _choices(self, choices: Any, where: str) -> Iterator[Decoded]:
        for choice in choices:
            said = getattr(choice, where)
            yield Thought(getattr(said, "reasoning_content", None) or "")
            yield Text(said.content or "")
            for index, call in enumerate(said.tool_calls or ()):
                yield Call(getattr(call, "index", index), call.function.name, call.function.arguments)
            if choice.finish_reason:
                yield Finish(choice.finish_reason)

    def _used(self, usage: Any) -> Used:
        cached, reasoning = usage.prompt_tokens_details, usage.completion_tokens_details
        return Used(usage.prompt_tokens, usage.completion_tokens, cached.cached_tokens, reasoning.reasoning_tokens)


class AzureOpenAI(OpenAI):
    """OpenAI's, at a deployment of Azure."""

    def __init__(self, root: str) -> None:
        import openai

        self.errors = openai
        self.client = openai.AzureOpenAI(azure_endpoint=root, api_version="2024-10-21", api_key=KEY, max_retries=0)


class OpenAIResponses(OpenAI):
    """OpenAI's, on responses."""

    words = ("completed", "completed", "max_output_tokens")

    def plain(self) -> Iterator[Decoded]:
        yield from self._response(self.client.responses.create(model="m", input=PROMPT))

    def streamed(self) -> Iterator[Decoded]:
        """Yield the pieces, and from the response at the end only what no piece contains."""
        with self.client.responses.create(model="m", input=PROMPT, stream=True) as events:
            for event in events:
                if event.type == "response.output_text.delta":
                    yield Text(event.delta)
                elif event.type == "response.reasoning_summary_text.delta":
                    yield Thought(event.delta)
                elif event.type == "response.output_item.added" and event.item.type == "function_call":
                    yield Call(event.output_index, event.item.name, "")
                elif event.type == "response.function_call_arguments.delta":
                    yield Call(event.output_index, None, event.delta)
                elif event.type in {"response.completed", "response.incomplete"}:
                    yield from (heard for heard in self._response(event.response) if type(heard) in {Finish, Used})

    def _response(self, response: Any) -> Iterator[Decoded]:
        yield Text(response.output_text)
        for index, item in enumerate(response.output):
            if item.type == "reasoning":
                yield from (Thought(part.text) for part in item.summary)
            elif item.type == "function_call":
                yield Call(index, item.name, item.arguments)
        yield Finish(response.incomplete_details.reason if response.incomplete_details else response.status)
        cached, reasoning = response.usage.input_tokens_details, response.usage.output_tokens_details
        counts = response.usage.input_tokens, response.usage.output_tokens
        yield Used(*counts, cached.cached_tokens, reasoning.reasoning_tokens)

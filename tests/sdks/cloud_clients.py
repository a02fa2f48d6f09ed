"""The own clients of Google and of Amazon."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any, ClassVar

from .client import KEY, PROMPT, Call, Client, Finish, Text, Thought, Used

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .client import Decoded

__all__ = ["Bedrock", "Gemini", "Vertex"]


class Gemini(Client):
    """Google's, on the Gemini API."""

    words = ("STOP", "STOP", "MAX_TOKENS")
    refusals: ClassVar[dict[int | None, str]] = {500: "ServerError", None: "ClientError"}
    inside = "ServerError"

    def __init__(self, root: str) -> None:
        self._make(http_options={"base_url": root})

    def _make(self, **settings: Any) -> None:
        from google import genai
        from google.genai import errors

        self.errors = errors
        self.client = genai.Client(api_key=KEY, **settings)

    def plain(self) -> Iterator[Decoded]:
        yield from self._chunks([self.client.models.generate_content(model="m", contents=PROMPT)])

    def streamed(self) -> Iterator[Decoded]:
        yield from self._chunks(self.client.models.generate_content_stream(model="m", contents=PROMPT))

    def _chunks(self, chunks: Iterable[Any]) -> Iterator[Decoded]:
        calls = 0
        for chunk in chunks:
            (candidate,) = chunk.candidates
            for part in candidate.content.parts:
                if part.function_call:
                    yield Call(calls, part.function_call.name, json.dumps(part.function_call.args))
                    calls += 1
                else:
                    yield Thought(part.text) if part.thought else Text(part.text)
            if candidate.finish_reason:
                yield Finish(candidate.finish_reason.value)
            if usage := chunk.usage_metadata:
                thought = usage.thoughts_token_count or 0
                output = usage.candidates_token_count + thought
                yield Used(usage.prompt_token_count, output, usage.cached_content_token_count or 0, thought)

    def status(self, error: Any) -> int:
        return error.code


class Vertex(Gemini):
    """Google's, on Vertex AI with a key."""

    def __init__(self, root: str) -> None:
        self._make(vertexai=True, http_options={"base_url": root})


class Bedrock(Client):
    """Amazon's, on Converse and ConverseStream. It sends keys over TLS alone, so here it signs."""

    key = None
    words = ("end_turn", "tool_use", "max_tokens")
    refusals: ClassVar[dict[int | None, str]] = {
        404: "ResourceNotFoundException",
        429: "ThrottlingException",
        500: "InternalServerException",
        None: "ValidationException",
    }
    inside = "EventStreamError"

    def __init__(self, root: str) -> None:
        import boto3
        from botocore import exceptions
        from botocore.config import Config

        once = Config(retries={"total_max_attempts": 1})
        session = boto3.Session(aws_access_key_id="test", aws_secret_access_key=KEY, region_name="us-east-1")
        self.client = session.client("bedrock-runtime", endpoint_url=root, config=once)
        self.errors = exceptions
        self.request = {"modelId": "garden.leaf-v1:0", "messages": [{"role": "user", "content": [{"text": PROMPT}]}]}

    def error_class(self, name: str) -> type[Exception]:
        return getattr(self.client.exceptions, name, None) or super().error_class(name)

    def plain(self) -> Iterator[Decoded]:
        answer = self.client.converse(**self.request)
        for index, block in enumerate(answer["output"]["message"]["content"]):
            if "toolUse" in block:
                yield Call(index, block["toolUse"]["name"], json.dumps(block["toolUse"]["input"]))
            elif "text" in block:
                yield Text(block["text"])
            else:
                yield Thought(block["reasoningContent"]["reasoningText"]["text"])
        yield Finish(answer["stopReason"])
        yield self._used(answer["usage"])

    def streamed(self) -> Iterator[Decoded]:
        with closing(self.client.converse_stream(**self.request)["stream"]) as events:
            for event in events:
                ((kind, said),) = event.items()
                yield from self._event(kind, said)

    def _event(self, kind: str, said: Any) -> Iterator[Decoded]:
        if kind == "contentBlockStart":
            yield Call(said["contentBlockIndex"], said["start"]["toolUse"]["name"], "")
        elif kind == "contentBlockDelta":
            yield self._piece(said["delta"], said["contentBlockIndex"])
        elif kind == "messageStop":
            yield Finish(said["stopReason"])
        elif kind == "metadata":
            yield self._used(said["usage"])

    def _piece(self, delta: Any, index: int) -> Decoded:
        if "toolUse" in delta:
            return Call(index, None, delta["toolUse"]["input"])
        return Text(delta["text"]) if "text" in delta else Thought(delta["reasoningContent"].get("text", ""))

    def _used(self, usage: Any) -> Used:
        cached = usage["cacheReadInputTokens"]
        return Used(usage["inputTokens"] + cached, usage["outputTokens"], cached)

    def status(self, error: Any) -> int:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]

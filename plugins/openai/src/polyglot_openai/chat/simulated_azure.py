"""Azure OpenAI's chat completions: those of OpenAI at a deployment, with the results of its content filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from polyglot_simulator.dialect import (
    Access,
    OpenAIChat,
    OpenAIEmbeddings,
    Send,
    openai_models,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from polyglot_simulator.dialect import Turn


__all__ = ["ACCESS", "MODELS", "ROUTES", "AzureChat"]

_FILTERED = {"hate": {"filtered": False, "severity": "safe"}, "violence": {"filtered": False, "severity": "safe"}}


class AzureChat(OpenAIChat):
    """The dialect of ``POST /openai/deployments/NAME/chat/completions?api-version=DATE``."""

    def stream(self, turn: Turn) -> Iterator[Send]:
        """Yield a chunk with the filter results of the prompt, without id and choices, then the stream of OpenAI."""
        prompt = [{"prompt_index": 0, "content_filter_results": _FILTERED}]
        first = {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": prompt}
        yield Send(b"data: %b\n\n" % msgspec.json.encode(first))
        yield from super().stream(turn)

    def whole(self, turn: Turn) -> bytes:
        """Return the completion of OpenAI, with the filter results of the prompt and of each choice."""
        body: dict[str, Any] = msgspec.json.decode(super().whole(turn))
        body["prompt_filter_results"] = [{"prompt_index": 0, "content_filter_results": _FILTERED}]
        body["choices"] = [{**choice, "content_filter_results": _FILTERED} for choice in body["choices"]]
        return msgspec.json.encode(body)


MODELS = {r"/openai/models\?(?:.*&)?api-version=[^&]+(?:&.*)?": openai_models}
ROUTES = {
    r"/openai/deployments/(?P<model>[^/?]+)/chat/completions\?(?:.*&)?api-version=[^&]+(?:&.*)?": AzureChat(),
    r"/openai/deployments/(?P<model>[^/?]+)/embeddings\?(?:.*&)?api-version=[^&]+(?:&.*)?": OpenAIEmbeddings(),
}
"""The deployment is the model, whatever the body contains. Without ``api-version`` the path is unknown."""
ACCESS = {"azure-openai": Access("", "api-key", "")}

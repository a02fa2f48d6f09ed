"""The dialects that the simulator speaks, by the path that they are asked on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from polyglot_simulator.anthropic_messages import AnthropicMessages
from polyglot_simulator.azure_chat import PATH as AZURE_PATH
from polyglot_simulator.azure_chat import AzureChat
from polyglot_simulator.bedrock_converse import PATH as BEDROCK_PATH
from polyglot_simulator.bedrock_converse import BedrockConverse
from polyglot_simulator.cohere_chat import CohereChat
from polyglot_simulator.gemini_generate import ARRAY_PATH, PATH, GeminiArray, GeminiGenerate
from polyglot_simulator.mistral_chat import MistralChat
from polyglot_simulator.ollama_chat import OllamaChat
from polyglot_simulator.openai_chat import OpenAIChat
from polyglot_simulator.openai_responses import OpenAIResponses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from polyglot_simulator.dialect import Dialect

__all__ = ["ACCESS", "DEFAULT_DIALECT", "DIALECTS", "PATTERNS", "Access", "Route", "route"]

DEFAULT_DIALECT: Dialect = OpenAIChat()
"""Answers what no dialect is named for, as an unknown path."""

DIALECTS: Mapping[str, Dialect] = {
    "/v1/chat/completions": DEFAULT_DIALECT,
    "/v1/responses": OpenAIResponses(),
    "/v1/messages": AnthropicMessages(),
    "/api/chat": OllamaChat(),
    "/v2/chat": CohereChat(),
    "/mistral/v1/chat/completions": MistralChat(),  # which is OpenAI's path too, so it has a place of its own
}


PATTERNS: Mapping[str, Dialect] = {
    AZURE_PATH: AzureChat(),
    PATH: GeminiGenerate(),
    ARRAY_PATH: GeminiArray(),
    BEDROCK_PATH: BedrockConverse(),
}
"""Dialects by a pattern of path, question mark and query, where these say what bodies say elsewhere. The first counts.

What a named group matches stands in the body under the name of the group.
"""


class Route(NamedTuple):
    """Where a request goes.

    Attributes:
        dialect: The dialect of its path.
        fields: What the path says, for the body.
    """

    dialect: Dialect
    fields: Mapping[str, Any]


def route(path: str, query: str) -> Route | None:
    """Where a request goes; None is nowhere."""
    if path in DIALECTS:
        return Route(DIALECTS[path], {})
    for pattern, dialect in PATTERNS.items():
        if match := re.fullmatch(pattern, f"{path}?{query}"):
            return Route(dialect, {name: unquote(text) for name, text in match.groupdict().items() if text is not None})
    return None


class Access(NamedTuple):
    """How a driver reaches its dialect.

    Attributes:
        base: Path that the driver adds its own to.
        auth_header: Header that carries the key.
        auth_scheme: Word before the key; empty for none.
    """

    base: str = "/v1"
    auth_header: str = "authorization"
    auth_scheme: str = "Bearer"


ACCESS: Mapping[str, Access] = {
    "openai": Access(),
    "azure-openai": Access("", "api-key", ""),
    "openai-responses": Access(),
    "gemini": Access("/v1beta", "x-goog-api-key", ""),
    "vertex": Access("/v1", "x-goog-api-key", ""),
    "anthropic": Access("/v1", "x-api-key", ""),
    "ollama": Access(""),
    "cohere": Access("/v2"),
    "mistral": Access("/mistral/v1"),
    "bedrock": Access(""),
}
"""By driver."""

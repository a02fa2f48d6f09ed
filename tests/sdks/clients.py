"""The official clients, each behind a small adapter with one common interface.

An adapter imports its client when it is made: the modules can be read where no client is installed.
"""

from __future__ import annotations

from .cloud_clients import Bedrock, Gemini, Vertex
from .openai_clients import AzureOpenAI, OpenAI, OpenAIResponses
from .other_clients import Anthropic, Cohere, Mistral, Ollama

__all__ = ["CLIENTS"]

CLIENTS = (OpenAI, AzureOpenAI, OpenAIResponses, Anthropic, Gemini, Vertex, Mistral, Cohere, Ollama, Bedrock)

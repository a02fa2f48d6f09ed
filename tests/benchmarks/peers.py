"""The providers' own clients, for ``--peers``: those that are installed, sync, reading the text of a stream."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

from bodies import Body
from clients import FLOOR, Client, connection_for

__all__ = ["peers_for"]


class Peer(Client):
    """A provider's own client.

    Args:
        name: Name of its package.
        body: The stream.
        texts: Returns the texts of a new stream.
    """

    def __init__(self, name: str, body: Body, texts: Callable[[], Iterator[str | None]]) -> None:
        super().__init__(name, FLOOR, body, is_async=False)
        self._texts = texts

    def read(self, take: Callable[[str], object] | None = None) -> None:
        pieces: list[str] = []
        take = take or pieces.append
        for text in self._texts():
            if text:
                take(text)


def peers_for(body: Body, server: str, ca: str | None) -> list[Client]:
    """Return the clients that can read a stream of a dialect."""
    if ca is not None or body.driver not in _PEERS:
        return []
    package, make = _PEERS[body.driver]
    if importlib.util.find_spec(package) is None:
        return []
    base_url = str(connection_for(body.driver, server).base_url)
    return [Peer(package.partition(".")[0], body, make(base_url))]


def _chat(base_url: str) -> Callable[[], Iterator[str | None]]:
    import openai

    client: Any = openai.OpenAI(base_url=base_url, api_key="benchmark")

    def texts() -> Iterator[str | None]:
        messages = [{"role": "user", "content": "Hello"}]
        for chunk in client.chat.completions.create(model="m", messages=messages, stream=True):
            yield chunk.choices[0].delta.content if chunk.choices else None

    return texts


def _responses(base_url: str) -> Callable[[], Iterator[str | None]]:
    import openai

    client: Any = openai.OpenAI(base_url=base_url, api_key="benchmark")

    def texts() -> Iterator[str | None]:
        for event in client.responses.create(model="m", input="Hello", stream=True):
            yield event.delta if event.type == "response.output_text.delta" else None

    return texts


def _messages(base_url: str) -> Callable[[], Iterator[str | None]]:
    import anthropic

    client: Any = anthropic.Anthropic(base_url=base_url.removesuffix("/v1"), api_key="benchmark")

    def texts() -> Iterator[str | None]:
        messages = [{"role": "user", "content": "Hello"}]
        for event in client.messages.create(model="m", max_tokens=64, messages=messages, stream=True):
            yield event.delta.text if event.type == "content_block_delta" and event.delta.type == "text_delta" else None

    return texts


def _gemini(base_url: str) -> Callable[[], Iterator[str | None]]:
    from google import genai

    server = base_url.removesuffix("/v1beta")
    client: Any = genai.Client(api_key="benchmark", http_options={"base_url": server})

    def texts() -> Iterator[str | None]:
        for chunk in client.models.generate_content_stream(model="m", contents="Hello"):
            yield chunk.text

    return texts


_PEERS: dict[str, tuple[str, Callable[[str], Callable[[], Iterator[str | None]]]]] = {
    "openai": ("openai", _chat),
    "openai-responses": ("openai", _responses),
    "anthropic": ("anthropic", _messages),
    "gemini": ("google", _gemini),
}

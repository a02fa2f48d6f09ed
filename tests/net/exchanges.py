"""Replays recorded exchanges over a loopback socket, sync and async, and records what a caller gets.

Each exchange is replayed twice in each style, as it was recorded (streamed or plain): once for its partials and its
response, once for its events, for which a stream is always requested.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from polyglot_core import AsyncInference, Inference, Retries

from ..conformance.corpus import Exchange, read
from ..conformance.endpoints import DRIVERS, connection_to
from ..conformance.replaying import HEADER, replaying
from .records import Key, Record
from .values import error_of, kinds_of, partials_of, response_of, shortened

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["STYLES", "exchange_records", "paths", "record_exchanges"]

STYLES = ("sync", "async")

NEAREST = {
    "anthropic-complete": "anthropic-messages",
    "bedrock-invoke": "bedrock-converse-stream",
    "cohere-v1-chat": "cohere-v2-chat",
    "gemini-interactions": "gemini-generate",
    "huggingface": "openai-chat",
    "ollama-generate": "ollama-chat",
    "openai-assistants": "openai-responses",
    "openai-audio": "openai-chat",
    "openai-completions": "openai-chat",
    "sagemaker-invoke": "openai-chat",
}
"""Dialects without a driver: the one whose driver reads their exchanges, for the error that this gives."""


def paths(corpus: Path) -> list[str]:
    """Return the paths of all exchanges, expected or not, in order."""
    return sorted(path.relative_to(corpus).as_posix() for path in corpus.glob("*/*/*.json"))


def record_exchanges(corpus: Path, named: Sequence[str], style: str) -> list[Record]:
    """Replay the exchanges at these paths in one style."""
    return exchange_records([_exchange(corpus, path) for path in named], style)


def _exchange(corpus: Path, path: str) -> Exchange:
    dialect = path.split("/")[1]
    return read(corpus, path, dialect if dialect in DRIVERS else NEAREST[dialect])


def exchange_records(exchanges: Sequence[Exchange], style: str) -> list[Record]:
    """Replay exchanges in one style."""
    with replaying(exchanges, "as it came") as base_url:
        if style == "async":
            return asyncio.run(_replay_async(exchanges, base_url))
        return [_replay(exchange, base_url) for exchange in exchanges]


class _Reading:
    """What has been read of one exchange."""

    def __init__(self) -> None:
        self.partials: list[Any] = []
        self.events: list[Any] = []
        self.response: Any = None
        self.error: Exception | None = None
        self.error_of_events: Exception | None = None

    def record(self, exchange: Exchange, style: str) -> Record:
        """Return the record."""
        failed = getattr(self.error, "partial", None)
        parts = {
            "response": response_of(self.response or failed),
            "error": error_of(self.error),
            "partials": partials_of(self.partials),
            "error_of_events": error_of(self.error_of_events),
        }
        facts = {name: facts for name, (facts, _) in parts.items()}
        facts["events"] = kinds_of(self.events)
        facts["raised"] = self.error is not None
        texts = [text for _, texts in parts.values() for text in texts]
        return Record(Key("exchange", exchange.dialect, exchange.path, style), shortened(facts), texts)


def _replay(exchange: Exchange, base_url: str) -> Record:
    found = _Reading()
    inference = Inference.from_connection(_connection(exchange, base_url))
    pending = inference.create("Hello", stream=exchange.streamed)
    try:
        if not exchange.streamed:
            found.response = pending.response()
        for partial in pending.stream():
            found.partials.append(partial)
        found.response = pending.response()
    except Exception as error:  # noqa: BLE001 (an error of any class is recorded)
        found.error = error
    try:
        for event in inference.create("Hello", stream=True).stream().events():
            found.events.append(event)
    except Exception as error:  # noqa: BLE001 (as above)
        found.error_of_events = error
    return found.record(exchange, "sync")


async def _replay_async(exchanges: Sequence[Exchange], base_url: str) -> list[Record]:
    return [await _replay_one_async(exchange, base_url) for exchange in exchanges]


async def _replay_one_async(exchange: Exchange, base_url: str) -> Record:
    found = _Reading()
    inference = AsyncInference.from_connection(_connection(exchange, base_url))
    pending = inference.create("Hello", stream=exchange.streamed)
    try:
        if not exchange.streamed:
            found.response = await pending.response()
        async for partial in pending.stream():
            found.partials.append(partial)
        found.response = await pending.response()
    except Exception as error:  # noqa: BLE001 (as above)
        found.error = error
    try:
        async for event in inference.create("Hello", stream=True).stream().events():
            found.events.append(event)
    except Exception as error:  # noqa: BLE001 (as above)
        found.error_of_events = error
    return found.record(exchange, "async")


def _connection(exchange: Exchange, base_url: str) -> Any:
    connection = connection_to(exchange.dialect, exchange.provider, base_url)
    return connection.with_changes(headers={HEADER: exchange.path}, retries=Retries(max_retries=0))

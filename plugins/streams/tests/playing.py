"""Reads a transformed stream in three styles, over real sockets: sync, asyncio and trio."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import pytest

from polyglot_core import AsyncInference, Inference, InferenceResponse
from polyglot_streams import AsyncStream, Stream

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["STYLES", "Played", "each_style", "play", "text_of"]

STYLES = ("sync", "asyncio", "trio")
each_style = pytest.mark.parametrize("style", STYLES)


class Played(NamedTuple):
    """What a reader got: items, the error that ended them, the response or the error in its place, and the stream."""

    items: list[Any]
    error: BaseException | None
    response: Any
    stopped: str | None


def text_of(items):
    """Return the text of partials."""
    return "".join(item.content_delta for item in items)


def play(
    style: str, simulator: Any, transform: Callable[[Any], Any], use: Callable[[Any], object] = lambda item: None
) -> Played:
    """Read what `transform` makes of a stream to its end, and call `use` with each item; it may raise."""
    connection = simulator.connection

    if style == "sync":
        items, error = [], None
        stream: Stream[Any] = transform(Inference.from_connection(connection).stream("Hello."))
        try:
            for item in stream:
                items.append(item)
                use(item)
        except Exception as failure:  # noqa: BLE001 (it is looked at by the test)
            error = failure
            stream.close()
        return Played(items, error, _response_of(stream), stream.stopped)

    async def main() -> Played:
        items, error = [], None
        async with AsyncInference.from_connection(connection) as inference:
            stream: AsyncStream[Any] = transform(inference.stream("Hello."))
            try:
                async for item in stream:
                    items.append(item)
                    use(item)
            except Exception as failure:  # noqa: BLE001 (it is looked at by the test)
                error = failure
                await stream.close()
            try:
                response: InferenceResponse | BaseException = await stream.response()
            except Exception as failure:  # noqa: BLE001 (it is looked at by the test)
                response = failure
            return Played(items, error, response, stream.stopped)

    try:
        return anyio.run(main, backend=style)
    finally:
        gc.collect()


def _response_of(stream: Stream[Any]) -> InferenceResponse | BaseException:
    try:
        return stream.response()
    except Exception as failure:  # noqa: BLE001 (it is looked at by the test)
        return failure

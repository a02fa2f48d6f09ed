"""One small call over each connection, to see whether it works. All are made at once, eight at a time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from polyglot_core import AsyncInference, PolyglotError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Trial", "try_all"]

_AT_ONCE = 8
_SECONDS = 30.0  # of one call
_TOKENS = 16  # at most; some APIs reject fewer
_PROMPT = "Reply with the word: yes"


class Trial(NamedTuple):
    """A call over a connection.

    Attributes:
        connection: Its name.
        error: Why it failed; empty if it did not.
        model: Model that generated the response.
        first: Seconds to the first content; None if there was none.
        seconds: Seconds of the whole call.
        tokens: Tokens that it used; None if the provider has not reported any.
    """

    connection: str
    error: str
    model: str | None = None
    first: float | None = None
    seconds: float = 0.0
    tokens: int | None = None


def try_all(names: Sequence[str], config: str | None, on_end: Callable[[Trial], object]) -> list[Trial]:
    """Make a call over each connection, and return them in the order of the names.

    Args:
        names: Names of connections.
        config: Path of the configuration file; None is the default one.
        on_end: Called with each call when it has ended.
    """

    async def run() -> list[Trial]:
        places = asyncio.Semaphore(_AT_ONCE)

        async def one(name: str) -> Trial:
            async with places:
                trial = await _try(name, config)
            on_end(trial)
            return trial

        return list(await asyncio.gather(*map(one, names)))

    return asyncio.run(run())


async def _try(name: str, config: str | None) -> Trial:
    begun = time.perf_counter()
    limits: dict[str, Any] = {"timeouts": {"total": _SECONDS}, "retries": {"max_retries": 0}, "fallbacks": []}
    try:
        inference = AsyncInference.using(name, config=config, **limits)
        pending = inference.create(_PROMPT, options={"max_tokens": _TOKENS}, stream=True, unsupported="drop")
        response = await pending.response()
    except PolyglotError as error:
        return Trial(name, f"{type(error).__name__}: {error}", seconds=time.perf_counter() - begun)
    tokens = None if response.usage is None else response.usage.total_tokens
    return Trial(name, "", response.model, response.timing.first_event, time.perf_counter() - begun, tokens)

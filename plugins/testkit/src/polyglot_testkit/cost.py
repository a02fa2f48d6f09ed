"""The time that `decode_chunk` takes for a chunk, beside the reference driver. It is reported and fails nothing."""

from __future__ import annotations

import functools
import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from polyglot_core import testing
from polyglot_core.plugin import Connection, InferenceRequest, Message
from polyglot_testkit import reference
from polyglot_testkit.hook_calls import chunks_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from polyglot_core.plugin import Chunk
    from polyglot_testkit.check import Exam

__all__ = ["Cost", "cost_per_chunk"]

_CHUNKS = 2000
_ROUNDS = 5


class Cost(NamedTuple):
    """The time of decoding, in microseconds per chunk.

    Attributes:
        driver: Time of the examined driver, on its streams.
        reference: Time of the reference driver, on a stream of text.
    """

    driver: float
    reference: float


def cost_per_chunk(exam: Exam) -> Cost | None:
    """Return the time of decoding a chunk: the fastest of a few rounds. None without a recorded stream."""
    streams = [chunks for recording in exam.streams() if (chunks := chunks_of(exam, recording))]
    if not streams:
        return None
    rounds = max(1, _CHUNKS // sum(map(len, streams)))
    try:
        return Cost(_time(exam.driver.decoder, streams * rounds), _reference_time())
    except (Exception, SystemExit):  # noqa: BLE001 (a driver that raises is reported by the checks)
        return None


def _time(decoder: Callable[[dict[str, Any]], Callable[[Chunk], object]], streams: Sequence[Sequence[Chunk]]) -> float:
    """Return the microseconds per chunk of the fastest round."""
    count = sum(map(len, streams))
    return min(_round(decoder, streams) for _ in range(_ROUNDS)) / count * 1e6


def _round(decoder: Callable[[dict[str, Any]], Callable[[Chunk], object]], streams: Sequence[Sequence[Chunk]]) -> float:
    start = time.perf_counter()
    for chunks in streams:
        decode = decoder({})
        for chunk in chunks:
            decode(chunk)
    return time.perf_counter() - start


@functools.cache
def _reference_time() -> float:
    driver = testing.bind(reference, Connection(name="reference", driver="reference", model="m-1"))
    request = InferenceRequest(model="m-1", messages=(Message(role="user", content="Hello"),), stream=True)
    events = [json.dumps({"id": "r-1", "model": "m-1", "text": f"word {number} "}) for number in range(_CHUNKS)]
    body = "".join(f"data: {event}\n\n" for event in events).encode()
    return _time(driver.decoder, [testing.chunks(driver.encode(request), body)])

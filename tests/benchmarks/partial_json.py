"""How long it takes to read a JSON response of growing length at every delta, beside the ways of other clients.

From the checkout's folder, in an environment with core, the openai driver, polyglot-answers, openai, pydantic-ai-slim
and instructor::

    python tests/benchmarks/partial_json.py [--rounds N] [--limit SECONDS]

A list of cities arrives in deltas of four characters, and the data so far is read at each. Each client reads the same
bytes in its own way, as its users call it; only its socket is replaced by a list of bytes:

- Polyglot: `partial.data` of each partial, and `stream.elements()` beside it.
- openai: `parsed` of each ``content.delta`` of `client.chat.completions.stream`. It parses the text so far.
- pydantic-ai: each output of `agent.run_stream`, by `stream_output(debounce_by=None)`. It parses the text so far and
  validates the result.
- instructor: each object of `client.create_partial`. It parses the text so far and builds a model of it.

A cell that takes more than the limit is ended; one that takes more than ten seconds is measured once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from importlib import metadata
from statistics import median
from time import process_time
from types import SimpleNamespace
from typing import Any

import msgspec
from in_process import _CONNECTION, _REQUEST, _Bytes, _driver
from measuring import print_facts

from polyglot_answers.formats import format_of
from polyglot_core import InferenceStream
from polyglot_core._engine.call import Call, Target
from polyglot_core._engine.call_options import CallOptions
from polyglot_core._engine.observers import CallRecord
from polyglot_core._engine.pump import pump
from polyglot_core._values.formats import FormatUse
from polyglot_core.plugin import DataFormat, Timeouts

SIZES = (25, 50, 100, 200)  # kB
_DELTA = 4  # characters
_ONCE = 10.0  # CPU seconds from which a cell is measured once
_MESSAGES = [{"role": "user", "content": "Hello."}]
_PACKAGES = ("openai", "pydantic-ai-slim", "instructor", "pydantic", "jiter")


class City(msgspec.Struct):
    """A city."""

    name: str
    people: int


def text_of(size: int) -> str:
    """Return the JSON text of a list of cities of about `size` kB."""
    cities = [{"name": f"City number {number}", "people": number} for number in range(size * 1000 // 45)]
    return json.dumps({"items": cities})


def deltas(text: str) -> Iterator[str]:
    """Yield the text in pieces."""
    return (text[start : start + _DELTA] for start in range(0, len(text), _DELTA))


def events_of(text: str) -> list[bytes]:
    """Return the response as an OpenAI-compatible server sends it."""
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choices = [
        {"index": 0, "delta": {"content": piece}, "logprobs": None, "finish_reason": None} for piece in deltas(text)
    ]
    choices.append({"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"})
    bodies = [json.dumps({**chunk, "choices": [choice]}) for choice in choices]
    return [*(f"data: {body}\n\n".encode() for body in bodies), b"data: [DONE]\n\n"]


def _format() -> DataFormat[Any]:
    found = format_of(list[City])
    if found is None:
        raise SystemExit("polyglot-answers is not installed in this environment.")
    return found


def stream_of(events: list[bytes]) -> InferenceStream[Any]:
    """Return a stream whose socket is a list of bytes."""
    use = FormatUse(_format(), "native")
    call = Call([Target(_CONNECTION, _driver(), _REQUEST, use)], CallOptions(Timeouts()), CallRecord([]))
    pool = SimpleNamespace(send=lambda _wire, _timeouts, clocks, *_: _Bytes(events, clocks))
    pools: Any = SimpleNamespace(prepare=lambda *_: None, pool=lambda *_: pool)
    return InferenceStream(pump(call, pools))


def ours(text: str) -> Callable[[], int]:
    """Read `partial.data` of each partial."""
    events = events_of(text)

    def work() -> int:
        seen = 0
        for each in stream_of(events):
            seen = len(each.data or ())
        return seen

    return work


def our_elements(text: str) -> Callable[[], int]:
    """Read the validated elements."""
    events = events_of(text)
    return lambda: sum(1 for _ in stream_of(events).elements())


def cities_model() -> Any:
    """Return the pydantic model of the list, which the peers are asked for."""
    from pydantic import BaseModel

    model: Any = type("City", (BaseModel,), {"__annotations__": {"name": str, "people": int}})
    return type("Cities", (BaseModel,), {"__annotations__": {"items": list[model]}})


def openai_client(kind: str, text: str) -> Any:
    """Return openai's client, by the name of its class, whose socket is a list of bytes."""
    import httpx2
    import openai

    class Body(httpx2.SyncByteStream, httpx2.AsyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            return iter(events)

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for event in events:
                yield event

    def respond(_: object) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=Body())

    events = events_of(text)
    transport = httpx2.MockTransport(respond)
    http = httpx2.Client(transport=transport) if kind == "OpenAI" else httpx2.AsyncClient(transport=transport)
    return getattr(openai, kind)(api_key="none", base_url="http://127.0.0.1:1/v1", http_client=http)


def openai_way(text: str) -> Callable[[], int]:
    """Read `parsed` of each event of openai's stream."""
    client, model = openai_client("OpenAI", text), cities_model()

    def work() -> int:
        seen = 0
        with client.chat.completions.stream(model="m", messages=_MESSAGES, response_format=model) as stream:
            for event in stream:
                if event.type == "content.delta":
                    seen = len((event.parsed or {}).get("items", ()))
        return seen

    return work


def pydantic_ai_way(text: str) -> Callable[[], int]:
    """Read each output of pydantic-ai's stream, without its debouncing."""
    from pydantic_ai import Agent, NativeOutput
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    provider = OpenAIProvider(openai_client=openai_client("AsyncOpenAI", text))
    agent: Any = Agent(OpenAIChatModel("m", provider=provider), output_type=NativeOutput(cities_model()))

    async def read() -> int:
        seen = 0
        async with agent.run_stream("Hello.") as result:
            async for output in result.stream_output(debounce_by=None):
                seen = len(output.items)
        return seen

    return lambda: asyncio.run(read())


def instructor_way(text: str) -> Callable[[], int]:
    """Read each object of instructor's `create_partial`."""
    import instructor

    client = instructor.from_openai(openai_client("OpenAI", text), mode=instructor.Mode.JSON_SCHEMA)
    model = cities_model()

    def work() -> int:
        seen = 0
        for cities in client.create_partial(model="m", messages=_MESSAGES, response_model=model):
            seen = len(cities.items or ())
        return seen

    return work


WAYS = {
    "polyglot, partial.data": ours,
    "polyglot, elements()": our_elements,
    "openai": openai_way,
    "pydantic-ai": pydantic_ai_way,
    "instructor": instructor_way,
}


class _OverLimitError(BaseException):
    """A work has used its CPU seconds. No client handles it."""


def _end_work(*_: object) -> None:
    raise _OverLimitError


def seconds(work: Callable[[], int], wanted: int, limit: float) -> float | None:
    """Return the CPU seconds of a work, and check its result. Return None if it takes more than `limit`."""
    signal.signal(signal.SIGPROF, _end_work)
    begun = process_time()
    try:
        signal.setitimer(signal.ITIMER_PROF, limit)
        seen = work()
    except _OverLimitError:
        return None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    taken = process_time() - begun
    if seen != wanted:
        raise AssertionError(f"{seen} elements, not {wanted}")
    return taken


def cell(way: Callable[[str], Callable[[], int]], size: int, rounds: int, limit: float) -> str:
    """Measure a way with a size, and return the median as it is printed."""
    text = text_of(size)
    work, wanted = way(text), len(json.loads(text)["items"])
    times: list[float] = []
    while len(times) < rounds and (not times or times[0] <= _ONCE):
        taken = seconds(work, wanted, limit)
        if taken is None:
            return f"> {limit:.0f}"
        times.append(taken)
    return f"{median(times):.2f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--limit", type=float, default=120.0, help="CPU seconds of a cell; default: %(default)s")
    asked = parser.parse_args()
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in _PACKAGES)
    print_facts(f"{asked.rounds} rounds, medians; deltas of {_DELTA} characters", versions)
    for way in WAYS.values():
        cell(way, 1, 1, asked.limit)  # imports
    print(f"\n  {'CPU seconds for kB of JSON':<28}" + "".join(f"{size:>9}" for size in SIZES))
    for name, way in WAYS.items():
        print(f"  {name:<28}", end="", flush=True)
        for size in SIZES:
            print(f"{cell(way, size, asked.rounds, asked.limit):>9}", end="", flush=True)
        print()


if __name__ == "__main__":
    main()

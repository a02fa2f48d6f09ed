"""What a streamed chunk costs over a loopback socket, beside an HTTP client alone with the least decoding.

From the checkout's folder, in an environment with core and the openai driver::

    python tests/benchmarks/loopback.py [--rounds N] [--chunks N]

A server in a process of its own writes precomputed bytes as fast as the socket takes them, one HTTP chunk an event. The
CPU time of the client's process is counted, all threads of it. ``POLYGLOT_HTTP`` chooses the HTTP library of both sides
of the comparison.
"""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import Callable
from typing import Any

from generated import Generated, LeastDecoder
from measuring import arguments, in_turns, print_facts, print_table, row, take_turns
from replay import chunked, replaying

from polyglot_core import AsyncInference, Connection, Inference

PLAIN, OURS = "HTTP client, least decoding", "Polyglot"
_BODY = b'{"model":"m","messages":[{"role":"user","content":"Hello"}],"stream":true}'
_HEADERS = {"content-type": "application/json", "accept": "text/event-stream"}
_Work = Callable[[], None]


def sync_works(base_url: str, http: Any, text: str) -> dict[str, _Work]:
    """One stream each, over connections that are kept."""
    client = http.Client()
    inference = Inference.from_connection(_connection(base_url))

    def plain() -> None:
        decoder = LeastDecoder()
        with client.stream("POST", f"{base_url}/chat/completions", content=_BODY, headers=_HEADERS) as response:
            for data in response.iter_raw():
                decoder.feed(data)
        _check(decoder.pieces, text)

    def ours() -> None:
        stream = inference.create("Hello", stream=True).stream()
        _check([partial.content_delta for partial in stream], text)

    return {PLAIN: plain, OURS: ours}


def async_works(base_url: str, http: Any, text: str, runner: asyncio.Runner) -> dict[str, _Work]:
    """The same in an event loop."""
    client = http.AsyncClient()
    inference = AsyncInference.from_connection(_connection(base_url))

    async def plain() -> None:
        decoder = LeastDecoder()
        async with client.stream("POST", f"{base_url}/chat/completions", content=_BODY, headers=_HEADERS) as response:
            async for data in response.aiter_raw():
                decoder.feed(data)
        _check(decoder.pieces, text)

    async def ours() -> None:
        stream = inference.create("Hello", stream=True).stream()
        _check([partial.content_delta async for partial in stream], text)

    return {PLAIN: lambda: runner.run(plain()), OURS: lambda: runner.run(ours())}


def _connection(base_url: str) -> Connection:
    return Connection(name="benchmark", driver="openai", model="m", base_url=base_url, api_key="test-key")


def _check(pieces: list[str], text: str) -> None:
    if "".join(pieces) != text:
        raise AssertionError("what came is not what was sent")


def main() -> None:
    """Measure and print."""
    asked = arguments(__doc__.partition("\n")[0], rounds=15)
    http = importlib.import_module(os.environ.get("POLYGLOT_HTTP", "httpx"))
    body = Generated(asked.chunks)
    print_facts(in_turns(asked), f"{http.__name__} {http.__version__}; ratio: to the HTTP client, round by round")
    with replaying(chunked(body.events)) as base_url:
        works = sync_works(base_url, http, body.text)
        _print("sync", take_turns(works, body.chunks, asked.rounds))
    with replaying(chunked(body.events)) as base_url, asyncio.Runner() as runner:
        works = async_works(base_url, http, body.text, runner)
        _print("async", take_turns(works, body.chunks, asked.rounds))


def _print(title: str, times: dict[str, list[float]]) -> None:
    print_table(title, [row(times, name, PLAIN) for name in times])


if __name__ == "__main__":
    main()

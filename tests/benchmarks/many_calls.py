"""Two hundred prompts, eight at a time, to a provider that accepts five requests a second, by several means.

From the checkout's folder, in an environment with core, the openai driver, the simulator and polyglot-batch::

    python tests/benchmarks/many_calls.py [--prompts 200] [--workers 8] [--per-second 5]

The provider counts requests in a sliding window of a second, and rejects others with 429 and a ``Retry-After``. A row
shows how many responses were right, the seconds, the requests that were sent, and how many of them were rejected.
OpenAI's own client has a row if it is installed.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from polyglot_batch import map as map_calls
from polyglot_core import Inference, PolyglotError, Rate, Retries
from polyglot_simulator import RawReply, Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

TOO_MANY = b'{"error": {"message": "Rate limit reached", "type": "rate_limit_error"}}'


class Provider:
    """Accepts a number of requests in each second, and replies with their prompts."""

    def __init__(self, per_second: int) -> None:
        self.per_second = per_second
        self.sent = self.rejected = 0
        self._window: deque[float] = deque()
        self._lock = threading.Lock()

    def __call__(self, request: object) -> str | RawReply:
        """Return the reply to a request."""
        now = time.monotonic()
        with self._lock:
            self.sent += 1
            while self._window and self._window[0] <= now - 1:
                self._window.popleft()
            if len(self._window) >= self.per_second:
                self.rejected += 1
                headers = [("content-type", "application/json"), ("retry-after", "1")]
                return RawReply(status=429, headers=headers, writes=[TOO_MANY], end="length")
            self._window.append(now)
        return f"echo {request.body['messages'][-1]['content']}"  # type: ignore[attr-defined]


class Row(NamedTuple):
    """What one of the means has achieved."""

    name: str
    right: int
    seconds: float
    sent: int
    rejected: int


def in_pool(ask: Callable[[str], str | None], prompts: Iterable[str], workers: int) -> dict[str, str | None]:
    """Return the answers to prompts that are asked by a pool of threads."""
    with ThreadPoolExecutor(workers) as pool:
        return dict(pool.map(lambda prompt: (prompt, ask(prompt)), prompts))


def by_polyglot(simulator: Simulator, prompts: list[str], workers: int, **fields: object) -> dict[str, str | None]:
    """Return the answers of calls in a pool of threads, as of a program without the package."""
    inference = Inference.from_connection(simulator.connection.with_changes(**fields))

    def ask(prompt: str) -> str | None:
        try:
            return inference.create(prompt).text()
        except PolyglotError:
            return None

    return in_pool(ask, prompts, workers)


def by_map(simulator: Simulator, prompts: list[str], workers: int, **fields: object) -> dict[str, str | None]:
    """Return the answers of `map`."""
    inference = Inference.from_connection(simulator.connection.with_changes(**fields))
    results = map_calls(inference, prompts, concurrency=workers, progress=False)
    return {result.prompt: result.response and result.response.content for result in results}


def by_openai(simulator: Simulator, prompts: list[str], workers: int) -> dict[str, str | None]:
    """Return the answers of OpenAI's client, with as many retries as it takes."""
    from openai import OpenAI, OpenAIError

    client = OpenAI(base_url=simulator.base_url, api_key="test-key", max_retries=20)

    def ask(prompt: str) -> str | None:
        try:
            made = client.chat.completions.create(model="m", messages=[{"role": "user", "content": prompt}])
        except OpenAIError:
            return None
        return made.choices[0].message.content

    return in_pool(ask, prompts, workers)


def main() -> None:
    """Run all means one after the other, and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, usual in (("prompts", 200), ("workers", 8), ("per-second", 5)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    options = parser.parse_args()
    usual, many = Retries(), Retries(max_retries=20)
    stated = Rate(requests_per_minute=60 * options.per_second)
    means: dict[str, Callable[..., dict[str, str | None]]] = {
        "polyglot, as it is": lambda *of: by_polyglot(*of, retries=usual),
        "polyglot, retries=20": lambda *of: by_polyglot(*of, retries=many),
        "polyglot, rate stated": lambda *of: by_polyglot(*of, retries=usual, rate=stated),
        "polyglot, rate={}": lambda *of: by_polyglot(*of, retries=many, rate=Rate()),
        "map, rate stated": lambda *of: by_map(*of, retries=usual, rate=stated),
        "openai, max_retries=20": by_openai,
    }
    print(f"{options.prompts} prompts, {options.workers} at a time, {options.per_second} a second allowed")
    print(f"{'':24}{'right':>7}{'seconds':>9}{'sent':>7}{'rejected':>10}")
    for name, ask in means.items():
        try:
            row = measured(name, ask, options)
        except ImportError as missing:
            print(f"{name:24}{missing}")
            continue
        print(f"{row.name:24}{row.right:>7}{row.seconds:>9.1f}{row.sent:>7}{row.rejected:>10}")
        sys.stdout.flush()


def measured(name: str, ask: Callable[..., dict[str, str | None]], options: argparse.Namespace) -> Row:
    """Run one of the means with a provider of its own."""
    provider, prompts = Provider(options.per_second), [f"prompt {number}" for number in range(options.prompts)]
    with Simulator(provider) as simulator:
        begun = time.monotonic()
        answers = ask(simulator, prompts, options.workers)
        seconds = time.monotonic() - begun
    right = sum(answers[prompt] == f"echo {prompt}" for prompt in prompts)
    return Row(name, right, seconds, provider.sent, provider.rejected)


if __name__ == "__main__":
    main()

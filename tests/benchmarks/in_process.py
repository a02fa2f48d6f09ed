"""How fast bytes are decoded to partials, without a socket, beside a minimal loop.

From the checkout's folder, in an environment with core and the openai driver::

    python tests/benchmarks/in_process.py [--rounds N] [--chunks N]

The least: split at blank lines, decode a small struct, make a small partial. It knows one framing and one dialect, no
endings, no clocks and no tool calls. Ours: a session alone, and the iterator that users loop over, whose socket is
replaced by a list of bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from time import perf_counter
from types import SimpleNamespace
from typing import Any

from generated import Generated, least_partials
from measuring import arguments, in_turns, print_facts, print_table, row, take_turns

from polyglot_core import Connection, PartialInferenceResponse
from polyglot_core._attempt.attempt import Attempt
from polyglot_core._attempt.clocks import Clocks
from polyglot_core._drivers import discovery
from polyglot_core._drivers.bound import BoundDriver
from polyglot_core._engine.call import Call, Target
from polyglot_core._engine.call_options import CallOptions
from polyglot_core._engine.observers import CallRecord
from polyglot_core._engine.pump import pump
from polyglot_core.plugin import InferenceRequest, Message, Timeouts

LEAST = "least: split, decode, partial"
_CONNECTION = Connection(name="benchmark", driver="openai", model="m", base_url="http://127.0.0.1:1/v1")
_REQUEST = InferenceRequest(model="m", messages=(Message(role="user", content="Hello"),), stream=True)
_HEADERS = {"content-type": "text/event-stream"}


def bound_driver() -> BoundDriver:
    """Return the driver, bound to a connection."""
    driver = discovery.load_driver("openai")
    if driver is None:
        raise SystemExit("The openai driver is not installed in this environment.")
    return driver.bind(_CONNECTION)


def session_partials(driver: BoundDriver, reads: Iterable[bytes]) -> Iterator[PartialInferenceResponse]:
    """Frame, decode and assemble."""
    attempt = Attempt(driver.encode(_REQUEST), driver, Clocks(Timeouts(), 0.0))
    attempt.begin(200, _HEADERS)
    take = attempt.take
    for data in reads:
        for chunk in attempt.frame(data):
            taken = take(chunk, 0.0)
            if type(taken) is PartialInferenceResponse:
                yield taken
            else:
                yield from taken
    yield from attempt.finish(0.0)


class _Bytes:
    """An exchange whose body is a list of bytes; the clocks are set as by one that reads a socket."""

    status = 200
    transport = "memory"

    def __init__(self, reads: Iterable[bytes], clocks: Clocks, headers: dict[str, str]) -> None:
        self.headers = headers
        self._next = partial(next, iter(reads), b"")
        self._clocks = clocks

    def read(self) -> bytes:
        self._clocks.asked = perf_counter()
        data = self._next()
        self._clocks.waited = perf_counter()
        return data

    def abort(self) -> None:
        """There is nothing to shut down."""

    drain = close = abort


def pump_partials(
    driver: BoundDriver,
    reads: Iterable[bytes],
    record: CallRecord | None = None,
    *,
    connection: Connection = _CONNECTION,
    headers: dict[str, str] = _HEADERS,
) -> Iterator[PartialInferenceResponse]:
    """What a loop over a stream goes through, but for the HTTP client."""
    run = Call([Target(connection, driver, _REQUEST)], CallOptions(Timeouts()), record or CallRecord([]))
    pool = SimpleNamespace(send=lambda _wire, _timeouts, clocks, *_: _Bytes(reads, clocks, headers))
    pools: Any = SimpleNamespace(prepare=lambda *_: None, pool=lambda *_: pool)
    return pump(run, pools)


def drained(partials: Callable[[list[bytes]], Iterable[Any]], reads: list[bytes], text: str) -> Callable[[], None]:
    """Work that takes the new text of every partial, and checks at the end that nothing is missing."""

    def work() -> None:
        pieces: list[str] = []
        last = None
        for last in partials(reads):
            pieces.append(last.content_delta)
        if last is None or "".join(pieces) != text or last.content != text or last.usage is None:
            raise AssertionError("the partials are not the stream")

    return work


def main() -> None:
    """Measure and print."""
    asked = arguments(__doc__.partition("\n")[0], rounds=15)
    body = Generated(asked.chunks)
    driver = bound_driver()
    ours = {"attempt": partial(session_partials, driver), "stream, without HTTP": partial(pump_partials, driver)}
    print_facts(
        in_turns(asked),
        f"{len(b''.join(body.events)) // body.chunks} bytes a chunk; ratio: to the least, round by round",
    )
    for name, reads in body.reads().items():
        loops: dict[str, Callable[[list[bytes]], Iterable[Any]]] = {LEAST: least_partials, **ours}
        works = {loop: drained(partials, reads, body.text) for loop, partials in loops.items()}
        times = take_turns(works, body.chunks, asked.rounds)
        print_table(name, [row(times, loop, LEAST) for loop in loops])


if __name__ == "__main__":
    main()

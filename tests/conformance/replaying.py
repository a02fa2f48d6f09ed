"""Replays every exchange in one way: sync or async over a socket, or in process; split as recorded, whole, or in bytes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

from polyglot_core import AsyncInference, Inference, InferenceResponse, PartialInferenceResponse, Retries
from polyglot_core._attempt.attempt import Attempt
from polyglot_core._attempt.clocks import Clocks
from polyglot_core._drivers import discovery
from polyglot_core.plugin import InferenceRequest, Message, Timeouts
from polyglot_simulator.recorded_request import RecordedRequest
from polyglot_simulator.response import SimulatedResponse as Reply
from polyglot_simulator.routes import DEFAULT_DIALECT
from polyglot_simulator.server import Server
from polyglot_simulator.steps import Send

from .corpus import Exchange
from .endpoints import DRIVERS, connection_to

Style = Literal["sync", "async", "in-process"]
Cut = Literal["as it came", "whole", "bytes"]
Progress = Callable[[int], object]


class Way(NamedTuple):
    """How an exchange is replayed.

    Attributes:
        style: The sync or the async API over a loopback socket, or a session that is fed without one.
        cut: How the body is cut: a write a recorded piece, one write, or a write a byte.
    """

    style: Style
    cut: Cut

    def __str__(self) -> str:
        return f"{self.style}, {self.cut}"


class Answer(NamedTuple):
    """The result of an exchange.

    Attributes:
        response: The response, or what there was of it when it failed.
        error: What it failed with: a `PolyglotError`, or whatever else got out.
        said: The text of the first choice as the partials had it.
    """

    response: InferenceResponse | None
    error: Exception | None
    said: str = ""

    def comparable(self) -> dict[str, Any]:
        """Return everything that must be equal in all ways: all but the times."""
        fields = {} if self.response is None else self.response.to_dict()
        fields.pop("timing", None)
        fields.pop("transport", None)
        fields.pop("connection", None)
        error = self.error
        facts = ("message", "status", "code", "request_id", "retryable", "retry_after", "phase")
        return {
            **fields,
            "said": self.said,
            "error": None if error is None else [type(error).__name__, *(_told(error, fact) for fact in facts)],
        }


def replay_all(exchanges: Sequence[Exchange], way: Way, progress: Progress = lambda _done: None) -> dict[str, Answer]:
    """Return the results of all exchanges by path; `progress` is called after each with the number done."""
    if way.style == "in-process":
        return dict(_counted(((exchange.path, _in_process(exchange)) for exchange in exchanges), progress))
    with replaying(exchanges, way.cut) as base_url:
        if way.style == "async":
            return asyncio.run(_ask_async(exchanges, base_url, progress))
        return dict(_counted(((each.path, _ask(each, base_url)) for each in exchanges), progress))


def _counted(answers: Iterable[tuple[str, Answer]], progress: Progress) -> Iterable[tuple[str, Answer]]:
    for number, answer in enumerate(answers, start=1):
        yield answer
        progress(number)


# Over a socket. A header names the exchange: some dialects put the model into the path, and the server
# accepts every path, because each dialect has its own.

HEADER = "x-exchange"


@contextmanager
def replaying(exchanges: Sequence[Exchange], cut: Cut) -> Iterator[str]:
    """Serve the recorded responses, each to requests with its path in `HEADER`, and yield the base URL."""
    by_path = {exchange.path: exchange for exchange in exchanges}

    def answer(request: RecordedRequest) -> Reply:
        return _reply(by_path[request.headers[HEADER]], cut)

    server = Server(("127.0.0.1", 0), answer, _refuse)
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.stop()


def _refuse(reason: str) -> Reply:
    return Reply(dialect=DEFAULT_DIALECT, status=400, body=(Send(reason.encode()),))


def _reply(exchange: Exchange, cut: Cut) -> Reply:
    body = exchange.body
    cuts = {"as it came": exchange.pieces, "whole": lambda: [body], "bytes": lambda: [bytes((byte,)) for byte in body]}
    return Reply(
        dialect=DEFAULT_DIALECT,  # for faults alone, of which there are none
        streamed=True,
        status=exchange.status,
        headers=exchange.headers,
        body=tuple(Send(data) for data in cuts[cut]()),
        body_length="chunked",
    )


# Each exchange has an inference of its own; all of them share the process's HTTP connections.


def _ask(exchange: Exchange, base_url: str) -> Answer:
    connection = connection_to(exchange.dialect, exchange.provider, base_url)
    inference = Inference.from_connection(
        connection.with_changes(headers={HEADER: exchange.path}, retries=Retries(max_retries=0))
    )
    pending = inference.create("Hello", stream=exchange.streamed)
    said: list[str] = []
    try:
        if exchange.streamed:
            for partial in pending.stream():
                said.append(_first_choice(partial))
        response = pending.response()
    except Exception as error:  # noqa: BLE001 (what gets out is what is to be seen)
        return _failed(error, said)
    return Answer(response, None, "".join(said) if exchange.streamed else response.content)


async def _ask_async(exchanges: Sequence[Exchange], base_url: str, progress: Progress) -> dict[str, Answer]:
    answers = {}
    for exchange in exchanges:
        answers[exchange.path] = await _ask_one_async(exchange, base_url)
        progress(len(answers))
    return answers


async def _ask_one_async(exchange: Exchange, base_url: str) -> Answer:
    connection = connection_to(exchange.dialect, exchange.provider, base_url)
    inference = AsyncInference.from_connection(
        connection.with_changes(headers={HEADER: exchange.path}, retries=Retries(max_retries=0))
    )
    pending = inference.create("Hello", stream=exchange.streamed)
    said: list[str] = []
    try:
        if exchange.streamed:
            async for partial in pending.stream():
                said.append(_first_choice(partial))
        response = await pending.response()
    except Exception as error:  # noqa: BLE001 (as above)
        return _failed(error, said)
    return Answer(response, None, "".join(said) if exchange.streamed else response.content)


def _first_choice(partial: PartialInferenceResponse) -> str:
    return partial.content_delta if partial.choice == 0 else ""


def _told(error: Exception, fact: str) -> Any:
    """Return a fact of an error; the message without the port, which differs from server to server."""
    value = getattr(error, fact, None)
    return _PORT.sub("", value) if isinstance(value, str) else value


_PORT = re.compile(r"(?<=http://127\.0\.0\.1):[0-9]+")


def _failed(error: Exception, said: list[str]) -> Answer:
    return Answer(getattr(error, "partial", None), error, "".join(said))


# Without a socket: a session fed one byte after the other


_NOWHERE = "http://127.0.0.1:1"


def _in_process(exchange: Exchange) -> Answer:
    attempt = _attempt(exchange)
    said: list[str] = []
    try:
        attempt.begin(exchange.status, dict(exchange.headers))
        for at in range(len(exchange.body)):
            for partial in attempt.feed(exchange.body[at : at + 1], 0.0):
                said.append(_first_choice(partial))
        for partial in attempt.finish(0.0):
            said.append(_first_choice(partial))
    except Exception as error:  # noqa: BLE001 (as above)
        return _failed(error, said)
    return Answer(attempt.response, None, "".join(said))


def _attempt(exchange: Exchange) -> Attempt:
    driver = discovery.load_driver(DRIVERS[exchange.dialect])
    assert driver is not None, f"the driver of {exchange.dialect} is not installed"
    bound = driver.bind(connection_to(exchange.dialect, exchange.provider, _NOWHERE))
    turn = Message(role="user", content="Hello")
    request = InferenceRequest(model="recorded-model", messages=(turn,), stream=exchange.streamed)
    return Attempt(bound.encode(request), bound, Clocks(Timeouts(), 0.0), "recorded")

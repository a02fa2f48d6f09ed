"""Replay recorded exchanges, without a socket: a layer in place of the transport, under the same engine."""

from __future__ import annotations

import itertools
import os
import threading
from collections import deque
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from polyglot_core import AsyncInference, Connection, Inference
from polyglot_core.errors import ConfigError, RequestError
from polyglot_testkit.capture import AsyncBeneath, Beneath
from polyglot_testkit.exchanges import Exchange, RecordedRequest
from polyglot_testkit.matching import MATCHED, differences, identity, is_exact
from polyglot_testkit.recorder import InferenceT, layered
from polyglot_testkit.redaction import Redactor, secrets_in
from polyglot_testkit.replies import open_replayed, open_replayed_async
from polyglot_testkit.sources import exchanges_in

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from polyglot_core.plugin import (
        AsyncReply,
        AsyncTransport,
        HTTPRequest,
        Opening,
        Reply,
        SyncTransport,
        TransportLayer,
    )
    from polyglot_testkit.matching import Matched

__all__ = ["Replay", "ReplayMismatch"]


class ReplayMismatch(RequestError):
    """A request is not the recorded one. The message shows where they differ."""


class Replay:
    """Recorded exchanges in place of a provider. Safe to share between threads and event loops.

    Each request receives the response of the first exchange that matches it and was not replayed yet, so that retries
    and follow-up requests find theirs in order.

    Args:
        source: A file or a folder, as of `recordings`, or exchanges.
        pace: Factor of the recorded times: 1 for the pace of the recording, 0 for at once.
        match: What has to be equal: ``method``, ``path``, ``body``, or none of them.
        ignore: Fields of the body that may differ, as in ``stream_options.include_usage``; ``*`` stands for any index.
        repeat: True if an exchange may be replayed several times.
        fields: Fields of `connection` over those of the recording, such as ``driver``, ``model`` or ``base_url``.

    Attributes:
        exchanges: The exchanges, in order.

    Raises:
        RecordingError: The source cannot be read.
        ConfigError: An argument is wrong.
    """

    name = "replay"
    under: str | TransportLayer | None = None  # it is never used

    def __init__(
        self,
        source: str | os.PathLike[str] | Sequence[Exchange],
        *,
        pace: float = 0.0,
        match: Collection[Matched] = MATCHED,
        ignore: Collection[str] = (),
        repeat: bool = False,
        **fields: Any,  # noqa: ANN401 (those of a connection)
    ) -> None:
        _check(pace, match)
        self.exchanges: list[Exchange] = (
            exchanges_in(source) if isinstance(source, (str, os.PathLike)) else list(source)
        )
        self._pace = pace
        self._match, self._ignore = tuple(match), tuple(ignore)
        self._repeat = repeat
        self._fields = fields
        self._left = dict.fromkeys(range(len(self.exchanges)))  # in order
        self._lock = threading.Lock()  # guards what is left
        self._alike: dict[tuple[object, ...], deque[int]] = {}  # exchanges whose requests have one identity
        self._others: dict[int, None] = {}  # those that have to be compared
        for number, exchange in enumerate(self.exchanges):
            if exchange.request is not None and is_exact(exchange.request, self._ignore):
                self._alike.setdefault(identity(exchange.request, self._match), deque()).append(number)
            else:
                self._others[number] = None

    @property
    def remaining(self) -> list[Exchange]:
        """Return the exchanges that were not replayed yet, in order."""
        with self._lock:
            return [self.exchanges[number] for number in self._left]

    @property
    def connection(self) -> Connection:
        """Return a connection like the recorded one. It sends nothing, and has a key without meaning.

        If exchanges are of several connections, the others are its fallbacks.

        Raises:
            ConfigError: The recording names no driver, and none was given; or a field is wrong.
        """
        found: list[dict[str, Any]] = []
        for exchange in self.exchanges:
            facts = {name: exchange.connection[name] for name in _FIELDS if exchange.connection.get(name)}
            if facts not in found:
                found.append(facts)
        first, *others = [self._connection(facts) for facts in found or [{}]]
        return first.with_changes(fallbacks=others) if others else first

    def _connection(self, facts: dict[str, Any]) -> Connection:
        fields = facts | self._fields
        if "driver" not in fields:
            raise ConfigError("The recording names no driver; pass one, as in driver='NAME'.", phase="configure")
        if all(exchange.request is None for exchange in self.exchanges):
            fields = {"base_url": "https://replay.invalid/v1"} | fields
        # The key is removed from what is sent before that is compared, so it has to be a text that occurs nowhere else.
        usual: dict[str, Any] = {
            "name": "replay",
            "model": "replay",
            "api_key": f"replay-{token_hex(16)}",
            "allow_http": True,
        }
        chosen: dict[str, Any] = {**usual, **fields, "transport": self}
        return Connection(**chosen)

    def inference(self) -> Inference:
        """Return an inference over `connection`."""
        return Inference.from_connection(self.connection)

    def async_inference(self) -> AsyncInference:
        """Return an async inference over `connection`."""
        return AsyncInference.from_connection(self.connection)

    def attach(self, inference: InferenceT) -> InferenceT:
        """Return an inference like another one, whose requests receive the recorded responses."""
        return layered(inference, lambda _: self)

    def wrap(self, _: str, below: Callable[[], tuple[str, SyncTransport]], /) -> _Replaying:
        """Return the transport for threads."""
        return _Replaying(self, below)

    def wrap_async(self, _: str, below: Callable[[], tuple[str, AsyncTransport]], /) -> _AsyncReplaying:
        """Return the transport for an event loop."""
        return _AsyncReplaying(self, below)

    def take(self, request: HTTPRequest) -> tuple[Exchange, float]:
        """Return the exchange for a request, and the factor of its times.

        Raises:
            ReplayMismatch: No exchange that is left matches.
        """
        redactor = Redactor(secrets_in(request))
        sent = RecordedRequest(method=request.method, url=redactor.text(request.url), body=redactor.body(request.body))
        with self._lock:
            alike = self._alike.get(identity(sent, self._match), deque())
            first = alike[0] if alike else len(self.exchanges)
            before = itertools.takewhile(lambda number: number < first, self._others)
            number = next((number for number in before if not self._differences(number, sent)), first)
            if number < len(self.exchanges):
                if not self._repeat:
                    del self._left[number]
                    if number == first:
                        alike.popleft()
                    else:
                        del self._others[number]
                return self.exchanges[number], self._pace
            found = [self._differences(number, sent) for number in self._left]
        raise _mismatch(min(found, key=len, default=None), len(self.exchanges))

    def _differences(self, number: int, sent: RecordedRequest) -> list[str]:
        recorded = self.exchanges[number].request
        return [] if recorded is None else differences(recorded, sent, self._match, self._ignore)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.exchanges)} exchanges, {len(self._left)} left)"


_FIELDS = ("name", "driver", "model", "base_url", "options", "facts", "data_mode")


def _check(pace: object, match: Collection[str]) -> None:
    if not isinstance(pace, (int, float)) or not 0 <= pace < float("inf"):
        raise ConfigError(f"pace is {pace!r}, and should be a number from 0 on.", phase="configure")
    if unknown := [word for word in match if word not in MATCHED]:
        known = ", ".join(MATCHED)
        raise ConfigError(f"match has {unknown[0]!r}; known are {known}.", phase="configure")


def _mismatch(nearest: list[str] | None, count: int) -> ReplayMismatch:
    if nearest is None:
        what = (
            f"The recording has {count} exchange{'s' * (count != 1)}, and all were replayed; this is one request more."
        )
        return ReplayMismatch(f"{what} Pass repeat=True to replay them several times.", phase="connect")
    lines = "".join(f"\n  {difference}" for difference in nearest)
    return ReplayMismatch(f"The request is not the recorded one:{lines}", phase="connect")


class _Replaying(Beneath):
    """The transport of a replay, for threads. The one beneath is never made."""

    def __init__(self, replay: Replay, below: Callable[[], tuple[str, SyncTransport]]) -> None:
        super().__init__(below)
        self._replay = replay

    def open(self, request: HTTPRequest, opening: Opening, /) -> Reply:
        """Return the recorded response."""
        exchange, pace = self._replay.take(request)
        return open_replayed(exchange, self._replay.name, opening, pace)


class _AsyncReplaying(AsyncBeneath):
    """The transport of a replay, for one event loop."""

    def __init__(self, replay: Replay, below: Callable[[], tuple[str, AsyncTransport]]) -> None:
        super().__init__(below)
        self._replay = replay

    async def open(self, request: HTTPRequest, opening: Opening, /) -> AsyncReply:
        """Return the recorded response."""
        exchange, pace = self._replay.take(request)
        return await open_replayed_async(exchange, self._replay.name, opening, pace)

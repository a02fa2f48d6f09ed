"""Record the exchanges of an inference: a layer over its transport, which writes a file for each, without keys."""

from __future__ import annotations

import atexit
import itertools
import logging
import os
import threading
import weakref
from collections import deque
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec.structs import replace

from polyglot_core import AsyncInference, Inference
from polyglot_core.errors import ConfigError
from polyglot_testkit.capture import AsyncBeneath, AsyncCapturedReply, Beneath, Capture, CapturedReply, off_loop
from polyglot_testkit.exchanges import Exchange, Read, dump
from polyglot_testkit.private_files import make_folder, write_private
from polyglot_testkit.redaction import Redactor, names_key, secrets_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Self

    from polyglot_core import Connection
    from polyglot_core.plugin import (
        AsyncReply,
        AsyncTransport,
        HTTPRequest,
        Opening,
        Reply,
        Secret,
        SyncTransport,
        TransportLayer,
    )

__all__ = ["InferenceT", "Recorder", "layered", "recorded", "without_keys"]

_log = logging.getLogger("polyglot_testkit")

InferenceT = TypeVar("InferenceT", Inference, AsyncInference)

REQUEST_HEADERS = ("accept", "content-type", "user-agent", "*-version", "*-beta")
"""The request headers that are written; a star stands for any characters."""

RESPONSE_HEADERS = (
    "content-type", "date", "retry-after*", "x-should-retry", "*ratelimit*", "*rate-limit*", "*request-id",
    "*requestid", "*request_id", "*processing-ms", "*-model", "*-model-id", "*-region", "*-version",
)  # fmt: skip
"""The response headers that are written."""


def recorded(
    inference: InferenceT,
    folder: str | os.PathLike[str],
    *,
    request_headers: Iterable[str] = (),
    response_headers: Iterable[str] = (),
    secrets: Iterable[Secret | str] = (),
) -> InferenceT:
    """Return an inference like another one, whose exchanges are written to a folder.

    Args:
        inference: The inference. Its connections, transports, client and observers stay.
        folder: The folder, which is created if needed. Each exchange becomes a file.
        request_headers: Names of further request headers to write, in lower case; ``*`` stands for any characters.
        response_headers: Names of further response headers to write.
        secrets: Further texts to remove, besides the keys of the requests.

    Raises:
        ConfigError: It is the name of a file, which `Recorder` writes.
        OSError: The folder cannot be created.
    """
    if Path(folder).suffix == ".jsonl" and not Path(folder).is_dir():
        msg = f"{folder} is the name of a file, and recorded() takes a folder; use Recorder for a file, and close it."
        raise ConfigError(msg, phase="configure")
    more = {"request_headers": request_headers, "response_headers": response_headers}
    return Recorder(folder, secrets=secrets, **more).attach(inference)


class Recorder:
    """Writes exchanges, to a file for each in a folder, or to one file. Safe to share between threads and event loops.

    A file of the folder is written when its exchange ends, and has a name that sorts by the time of the request. A
    single file, whose name ends with ``.jsonl``, is written by `close`, with the exchanges in order.

    Args:
        target: The folder or the file.
        request_headers: As of `recorded`.
        response_headers: As of `recorded`.
        secrets: As of `recorded`.

    Attributes:
        target: The folder or the file.
        count: Number of exchanges that were recorded.

    Raises:
        OSError: The folder cannot be created.
    """

    def __init__(
        self,
        target: str | os.PathLike[str],
        *,
        request_headers: Iterable[str] = (),
        response_headers: Iterable[str] = (),
        secrets: Iterable[Secret | str] = (),
    ) -> None:
        self.target = Path(target).absolute()  # the working directory may change before everything is written
        self.count = 0
        self._single = self.target.suffix == ".jsonl" and not self.target.is_dir()
        self._allowed = (*REQUEST_HEADERS, *request_headers), (*RESPONSE_HEADERS, *response_headers)
        self._secrets = tuple(secrets)
        self._kept: list[tuple[int, bytes]] = []
        self._written = 0  # exchanges that the single file has
        self._open: dict[int, tuple[int, Capture, _RecordingLayer]] = {}  # by number; single operations need no lock
        self._lost: deque[int] = deque()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()  # guards the exchanges that are kept, the count and the failure
        self._failure: Exception | None = None
        self._process = os.getpid()
        make_folder(self.target.parent if self._single else self.target)
        _recorders.add(self)

    def attach(self, inference: InferenceT) -> InferenceT:
        """Return an inference like another one, whose exchanges are recorded; also those of its fallbacks."""
        return layered(inference, lambda connection: _RecordingLayer(self, connection))

    def close(self) -> None:
        """Write what is left: a single file, and exchanges that have not ended, which are ``cut``.

        Raises:
            OSError: A file could not be written, now or before.
        """
        for number in list(self._open):
            self.end(number)
        with self._lock:
            if len(self._kept) > self._written:
                exchanges = [content for _, content in sorted(self._kept, key=lambda kept: kept[0])]
                write_private(self.target, dump([]) + b"".join(exchanges))
                self._written = len(self._kept)
            failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.target)!r})"

    def begin(self, capture: Capture, layer: _RecordingLayer) -> int:
        """Return the number of an exchange that begins. Write those whose replies were dropped without being closed."""
        while self._lost:
            try:
                self.end(self._lost.popleft())
            except IndexError:  # another thread was faster
                break
        number = next(self._numbers)
        self._open[number] = os.getpid(), capture, layer
        return number

    def lose(self, number: int) -> None:
        """Note that the reply of an exchange was collected; from a finalizer, so that nothing else happens."""
        self._lost.append(number)

    def end(self, number: int) -> None:
        """Write an exchange that has ended, or that ends now. A failure is logged, and raised by `close`."""
        process, capture, layer = self._open.pop(number, (0, None, None))
        if capture is not None and layer is not None and process == os.getpid():  # after a fork, its parent writes it
            capture.close()
            self._write(number, capture, layer)

    def _write(self, number: int, capture: Capture, layer: _RecordingLayer) -> None:
        try:
            content = self._content(capture, layer)
            if self._single:
                content = content.partition(b"\n")[2]
            else:
                name = f"{capture.at:%Y%m%dT%H%M%S.%f}-{os.getpid()}-{number:06}.jsonl"
                write_private(self.target / name, content)
        except Exception as error:  # noqa: BLE001 (it must not end the call)
            _log.error("An exchange could not be recorded in %s: %s", self.target, error)
            with self._lock:
                self._failure = self._failure or error
            return
        with self._lock:
            self.count += 1
            if self._single:
                self._kept.append((number, content))

    def _content(self, capture: Capture, layer: _RecordingLayer) -> bytes:
        redactor = Redactor([*self._secrets, *layer.secrets, *secrets_in(capture.request)])
        exchange = without_keys(capture.exchange(), redactor, *self._allowed)
        return dump([replace(exchange, connection=layer.facts(redactor))])

    def close_at_exit(self) -> None:
        """Close the recorder, in the process that made it. A failure has been logged, or is now."""
        if self._process == os.getpid():
            try:
                self.close()
            except OSError as error:
                _log.error("The recording %s could not be written: %s", self.target, error)


_recorders: weakref.WeakSet[Recorder] = weakref.WeakSet()


def _close_all() -> None:
    for recorder in list(_recorders):
        recorder.close_at_exit()


atexit.register(_close_all)


def layered(inference: InferenceT, layer_over: Callable[[Connection], TransportLayer]) -> InferenceT:
    """Return an inference like another one, with a layer over the transport of each of its connections."""
    first = inference.connection
    fallbacks = [other.with_changes(transport=layer_over(other)) for other in first.fallbacks]
    return inference.with_changes(transport=layer_over(first), fallbacks=fallbacks)


def without_keys(
    exchange: Exchange,
    redactor: Redactor,
    request_headers: Iterable[str] = REQUEST_HEADERS,
    response_headers: Iterable[str] = RESPONSE_HEADERS,
) -> Exchange:
    """Return an exchange without keys, and with the headers of the allow lists."""
    request, reads = exchange.request, exchange.reads
    if request is not None:
        request = replace(
            request,
            url=redactor.text(request.url),
            headers=redactor.headers(_allowed(request.headers, request_headers)),
            body=redactor.body(request.body),
        )
    pieces = redactor.pieces([read.data for read in reads])
    return replace(
        exchange,
        request=request,
        headers=redactor.headers(_allowed(exchange.headers, response_headers)),
        reads=tuple(Read(data, read.seconds) for data, read in zip(pieces, reads, strict=True)),
    )


def _allowed(headers: Mapping[str, str], patterns: Iterable[str]) -> dict[str, str]:
    wanted = tuple(patterns)
    return {
        name.lower(): value
        for name, value in headers.items()
        if not names_key(name) and any(fnmatchcase(name.lower(), pattern) for pattern in wanted)
    }


class _RecordingLayer:
    """The layer over the transport of one connection."""

    name = "recorder"

    def __init__(self, recorder: Recorder, connection: Connection) -> None:
        self.under = connection.transport
        self.secrets: tuple[Secret, ...] = () if connection.secret is None else (connection.secret,)
        self._recorder = recorder
        self._facts = {
            "name": connection.name,
            "driver": connection.driver,
            "model": connection.model,
            "base_url": connection.base_url,
            "options": connection.options,
            "facts": connection.facts,
            "data_mode": connection.data_mode,
        }

    def facts(self, redactor: Redactor) -> dict[str, Any]:
        """Return what a replay needs of the connection, without keys and without what is empty."""
        facts = {name: value for name, value in self._facts.items() if value}
        text = msgspec.json.encode(_without_named(facts), enc_hook=repr)
        return msgspec.json.decode(redactor.body(text), type=dict[str, Any])

    def wrap(self, _: str, below: Callable[[], tuple[str, SyncTransport]], /) -> _Recording:
        """Return a transport that records, for threads."""
        return _Recording(self._recorder, self, below)

    def wrap_async(self, _: str, below: Callable[[], tuple[str, AsyncTransport]], /) -> _AsyncRecording:
        """Return a transport that records, for an event loop."""
        return _AsyncRecording(self._recorder, self, below)

    def __repr__(self) -> str:
        return f"<layer of {self._recorder!r}>"


def _without_named(value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    """Return a value without the texts in mappings that stand under the name of a key."""
    if isinstance(value, dict):
        return {
            name: "***" if isinstance(item, str) and names_key(str(name), field=True) else _without_named(item)
            for name, item in value.items()
        }
    return [_without_named(item) for item in value] if isinstance(value, (list, tuple)) else value


class _Recording(Beneath):
    """A transport that records, for threads."""

    def __init__(
        self, recorder: Recorder, layer: _RecordingLayer, below: Callable[[], tuple[str, SyncTransport]]
    ) -> None:
        super().__init__(below)
        self._recorder = recorder
        self._layer = layer

    def open(self, request: HTTPRequest, opening: Opening, /) -> Reply:
        """Send a request by the transport beneath, and record the exchange."""
        name, transport = self.beneath
        recorder, capture = self._recorder, Capture(request)
        number = recorder.begin(capture, self._layer)
        try:
            reply = transport.open(request, opening)
        except BaseException as error:
            capture.break_with(error)
            recorder.end(number)
            raise
        capture.respond(reply, name)
        return CapturedReply(reply, capture, lambda _: recorder.end(number), lambda _: recorder.lose(number))


class _AsyncRecording(AsyncBeneath):
    """A transport that records, for one event loop."""

    def __init__(
        self, recorder: Recorder, layer: _RecordingLayer, below: Callable[[], tuple[str, AsyncTransport]]
    ) -> None:
        super().__init__(below)
        self._recorder = recorder
        self._layer = layer

    async def open(self, request: HTTPRequest, opening: Opening, /) -> AsyncReply:
        """Send a request by the transport beneath, and record the exchange."""
        name, transport = self.beneath
        recorder, capture = self._recorder, Capture(request)
        number = recorder.begin(capture, self._layer)
        try:
            reply = await transport.open(request, opening)
        except BaseException as error:
            capture.break_with(error)
            if isinstance(error, Exception):
                await off_loop(recorder.end, number)
            else:
                recorder.end(number)
            raise
        capture.respond(reply, name)
        return AsyncCapturedReply(reply, capture, lambda _: recorder.end(number), lambda _: recorder.lose(number))

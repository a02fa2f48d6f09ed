"""The file format of recordings: JSON lines. A file has exchanges, in the order of their requests.

The first line names the format and its version. Each exchange is a line with ``request``, one with ``response``, one
for each read of the body, and one with ``end``. `docs/recording.md` describes the fields.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from polyglot_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Ending", "Exchange", "Read", "RecordedRequest", "RecordingError", "dump", "load"]

VERSION = 1

Ending = Literal["complete", "eof", "cut", "error"]
"""How a response ended: ``complete``; ``eof``, the body ended, and the response is an error or truncated; ``cut``, the
client closed it before its end; ``error``, the connection broke or there was none."""


class RecordingError(ConfigError):
    """A file cannot be read as a recording. The message names the file, the line and the fault."""


class RecordedRequest(Struct, frozen=True, kw_only=True):
    """A request, without keys.

    Attributes:
        method: HTTP method.
        url: The URL.
        headers: The headers of the allow list, names in lower case.
        body: The body.
    """

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Read(Struct, frozen=True):
    """The bytes that one read of the body returned.

    Attributes:
        data: The bytes.
        seconds: Seconds since the request was handed to the transport.
    """

    data: bytes
    seconds: float = 0.0


class Exchange(Struct, frozen=True, kw_only=True):
    """A request, and the response to it.

    Attributes:
        request: The request; None if it is not known, as in a bare file of server-sent events.
        connection: Name, driver, model, base URL, options and facts of the connection that sent it.
        at: When it was sent: date and time in UTC, in ISO 8601.
        status: HTTP status; None if no response was received.
        headers: The response headers of the allow list, names in lower case.
        seconds: Seconds until the headers were received.
        transport: Name of the transport that received the response.
        reads: The reads of the body, in order.
        end: How the response ended.
        error: Name of the class of the exception, if the end is ``error``.
        ended: Seconds until the end.
    """

    request: RecordedRequest | None = None
    connection: Mapping[str, Any] = {}
    at: str = ""
    status: int | None = None
    headers: Mapping[str, str] = {}
    seconds: float = 0.0
    transport: str = ""
    reads: tuple[Read, ...] = ()
    end: Ending = "complete"
    error: str | None = None
    ended: float = 0.0

    @property
    def body(self) -> bytes:
        """Return the bytes of the body."""
        return b"".join(read.data for read in self.reads)

    @property
    def streamed(self) -> bool:
        """Return whether the response is a stream, by its request and its media type."""
        asked = {} if self.request is None else _top_level(self.request.body)
        if "stream" in asked:
            return bool(asked["stream"])
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        return kind in _STREAMS or self.body.lstrip()[:6].startswith((b"data:", b"event:", b"id:", b":"))


_STREAMS = frozenset({
    "application/jsonl", "application/stream+json", "application/vnd.amazon.eventstream", "application/x-ndjson",
    "text/event-stream",
})  # fmt: skip


def _top_level(body: bytes) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


class _Request(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request. Bytes are JSON or text where they are that, else base64."""

    method: str
    url: str
    headers: dict[str, str] = {}
    json: msgspec.Raw | UnsetType = UNSET
    data: str | UnsetType = UNSET
    base64: str | UnsetType = UNSET


class _Response(Struct, frozen=True, kw_only=True, omit_defaults=True):
    status: int
    headers: dict[str, str] = {}


class _Line(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Any line but the first: the fields that are set tell which."""

    request: _Request | UnsetType | None = UNSET
    response: _Response | UnsetType = UNSET
    data: str | UnsetType = UNSET
    base64: str | UnsetType = UNSET
    end: Ending | UnsetType = UNSET
    error: str | None = None
    seconds: float = 0.0
    at: str = ""
    transport: str = ""
    connection: dict[str, Any] = {}


class _Head(Struct, frozen=True):
    polyglot: Literal["recording"]
    version: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Line).decode
_decode_head = msgspec.json.Decoder(_Head).decode


def dump(exchanges: Iterable[Exchange]) -> bytes:
    """Return the content of a file with these exchanges."""
    lines = [_encode({"polyglot": "recording", "version": VERSION})]
    for exchange in exchanges:
        lines += (_encode(line) for line in _lines(exchange))
    return b"\n".join([*lines, b""])


def _lines(exchange: Exchange) -> Iterator[_Line]:
    asked = exchange.request
    request = None
    if asked is not None:
        given: Any = _as_fields(asked.body, allow_json=True) if asked.body else {}
        request = _Request(method=asked.method, url=asked.url, headers=dict(asked.headers), **given)
    yield _Line(request=request, at=exchange.at, connection=dict(exchange.connection))
    if exchange.status is not None:
        response = _Response(status=exchange.status, headers=dict(exchange.headers))
        yield _Line(response=response, seconds=round(exchange.seconds, 6), transport=exchange.transport)
    for read in exchange.reads:
        fields: Any = _as_fields(read.data)
        yield _Line(seconds=round(read.seconds, 6), **fields)
    yield _Line(end=exchange.end, error=exchange.error, seconds=round(exchange.ended, 6))


def _as_fields(data: bytes, *, allow_json: bool = False) -> dict[str, Any]:
    """Return the field of a line that has these bytes, and from which they are read without a difference."""
    if allow_json and b"\n" not in data and b"\r" not in data:
        try:
            msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            pass
        else:
            return {"json": msgspec.Raw(data)}
    try:
        return {"data": data.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def load(content: bytes, name: str) -> list[Exchange]:
    """Return the exchanges of a file. One without an end has the end ``cut``.

    Args:
        content: The content of the file.
        name: Name of the file, for messages.

    Raises:
        RecordingError: It is not a recording, or one of a later version, or a line cannot be read.
    """
    first, *rest = content.split(b"\n")
    try:
        head = _decode_head(first)
    except (msgspec.MsgspecError, UnicodeError) as error:
        msg = f'{name} is not a recording: its first line should be {{"polyglot":"recording","version":{VERSION}}}.'
        raise RecordingError(msg, phase="configure") from error
    if head.version > VERSION:
        msg = (
            f"{name} is a recording of version {head.version}; this polyglot-testkit reads up to {VERSION}. Update it."
        )
        raise RecordingError(msg, phase="configure")
    exchanges: list[Exchange] = []
    open_one: _Open | None = None
    for number, text in enumerate(rest, 2):
        if not text.strip():
            continue
        line = _read(text, name, number)
        if line.request is not UNSET:
            if open_one is not None:
                exchanges.append(open_one.exchange())
            open_one = _Open(line)
        elif open_one is None:
            raise RecordingError(f"{name}, line {number}: no line with a request precedes it.", phase="configure")
        elif open_one.add(line):
            exchanges.append(open_one.exchange())
            open_one = None
    return exchanges if open_one is None else [*exchanges, open_one.exchange()]


def _read(text: bytes, name: str, number: int) -> _Line:
    try:
        line = _decode(text)
        for holder in (line, line.request):
            if isinstance(holder, (_Line, _Request)):
                _data(holder)
    except (msgspec.MsgspecError, binascii.Error, UnicodeError) as error:
        raise RecordingError(f"{name}, line {number} cannot be read: {error}.", phase="configure") from error
    return line


def _data(line: _Line | _Request) -> bytes | None:
    """Return the bytes of a line or of a request; None if it has none."""
    if isinstance(line, _Request) and isinstance(line.json, msgspec.Raw):
        return bytes(line.json)
    if isinstance(line.data, str):
        return line.data.encode()
    return base64.b64decode(line.base64, validate=True) if isinstance(line.base64, str) else None


class _Open:
    """An exchange whose lines are being read."""

    def __init__(self, line: _Line) -> None:
        self._line = line
        self._response: _Line | None = None
        self._end = _Line(end="cut")
        self._reads: list[Read] = []

    def add(self, line: _Line) -> bool:
        """Add a line. Return True if it is the last one."""
        if line.end is not UNSET:
            self._end = line
            return True
        if line.response is not UNSET:
            self._response = line
        elif (data := _data(line)) is not None:
            self._reads.append(Read(data, line.seconds))
        return False

    def exchange(self) -> Exchange:
        """Return the exchange of the lines so far."""
        asked, head, answered = self._line.request, self._response, None
        if isinstance(asked, _Request):
            body = _data(asked) or b""
            request = RecordedRequest(method=asked.method, url=asked.url, headers=asked.headers, body=body)
        else:
            request = None
        if head is not None and isinstance(head.response, _Response):
            answered = head.response
        last = self._reads[-1].seconds if self._reads else 0.0
        return Exchange(
            request=request,
            connection=self._line.connection,
            at=self._line.at,
            status=None if answered is None else answered.status,
            headers={} if answered is None else answered.headers,
            seconds=0.0 if head is None else head.seconds,
            transport="" if head is None else head.transport,
            reads=tuple(self._reads),
            end=self._end.end if self._end.end is not UNSET else "cut",
            error=self._end.error,
            ended=max(self._end.seconds, last),
        )

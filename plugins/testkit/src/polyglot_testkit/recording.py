"""Recorded responses, and their replay through a real attempt, without a socket."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace as replace_fields

from polyglot_core import testing
from polyglot_core.errors import LimitExceeded
from polyglot_core.plugin import InferenceRequest, Message
from polyglot_core.testing import Replay
from polyglot_testkit.exchanges import RecordingError
from polyglot_testkit.sources import exchanges_in

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from polyglot_core.plugin import WireRequest
    from polyglot_core.testing import BoundDriver

__all__ = ["Recording", "Replay", "chunks", "cuts", "recordings", "replay", "request_of", "response_fields"]


class Recording(Struct, frozen=True, kw_only=True):
    """A response as received over the wire, and what is known of it. Only `name` and `body` are required.

    Each field after `headers` makes the exam stricter: it compares what is stated.

    Attributes:
        name: Its name in messages.
        body: The bytes of the body.
        streamed: Whether a stream was requested.
        status: HTTP status.
        headers: Headers with lower-case names; a missing content type is allowed.
        fails: Whether it is an error, by its status or inside a 200.
        code: The provider's code of that error, if it is to be compared.
        same_as: Name of the recording with the same response, streamed instead of plain or the reverse.
        turn: The JSON value with which the response goes back in the next request, if it is to be compared: a message,
            or the list of its blocks or items.
        details: Fields that `response.details` has to have.
        expect: Values that the response has to have, by name: `content`, `reasoning_content`, `refusal`,
            `finish_reason`, `model`, `id`, `tool_calls` (pairs of name and arguments), `usage` (counts by name), and
            for an error `error` (the name of its class), `message` and `retry_after`.
        request: The request that the response was recorded for; by default one with the text "Hello".
        sent: The JSON body that was sent for that request, if the encoding of it is to be compared.
        further: Bodies of the responses to follow-up requests, in order, if `body` is that of the first request.
    """

    name: str
    body: bytes
    streamed: bool = True
    status: int = 200
    headers: Mapping[str, str] = {}
    fails: bool = False
    code: str | None = None
    same_as: str | None = None
    turn: object = None
    details: Mapping[str, object] = {}
    expect: Mapping[str, Any] = {}
    request: InferenceRequest | None = None
    sent: object = None
    further: tuple[bytes, ...] = ()

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], **fields: Any) -> Recording:  # noqa: ANN401 (of a recording)
        """Return the recording of a file with one response; see `recordings`.

        Args:
            path: The file.
            fields: Further fields, such as ``same_as`` or ``code``.

        Raises:
            RecordingError: It cannot be read, or has several responses.
        """
        found = recordings(path)
        if len(found) != 1:
            msg = f"{path} has {len(found)} responses, and one is needed; recordings({str(path)!r}) returns all."
            raise RecordingError(msg, phase="configure")
        return replace_fields(found[0], **fields)


def recordings(path: str | os.PathLike[str]) -> list[Recording]:
    """Return the responses of a file or a folder, in order, each for the exam.

    Args:
        path: A recording (``.jsonl``) or a folder of them; a cassette of VCR (``.yaml``, ``.json``); or the bytes of a
            body of server-sent events (``.sse``). Exchanges without a response, and those that were cut, are left out.

    Raises:
        RecordingError: It cannot be read, or has no exchange.
    """
    return [
        Recording(
            name=f"{Path(path).stem} {number}",
            body=exchange.body,
            streamed=exchange.streamed,
            status=exchange.status,
            headers=exchange.headers,
            fails=exchange.status >= _FIRST_ERROR,
        )
        for number, exchange in enumerate(exchanges_in(path), 1)
        if exchange.status is not None and exchange.end in {"complete", "eof"}
    ]


_FIRST_ERROR = 400  # HTTP statuses from here on are errors


def replay(
    driver: BoundDriver,
    recording: Recording,
    *,
    pieces: Iterable[bytes] | None = None,
    model: str = "exam",
) -> Replay:
    """Feed a recording to a driver, as the engine would.

    Args:
        driver: The driver, bound to a connection.
        recording: The response.
        pieces: The body in the reads in which it is to arrive; all at once if left out.
        model: Model that the request names.
    """
    wire = _asked_for(driver, recording, model)
    body = (recording.body,) if pieces is None else pieces
    further = iter(recording.further)

    def respond(_: WireRequest) -> tuple[bytes, ...]:
        return (next(further, b""),)  # the response to a request too many is empty, so it is truncated

    return testing.replay(driver, wire, body, status=recording.status, headers=recording.headers, respond=respond)


def response_fields(driver: BoundDriver, recording: Recording) -> str | None:
    """Return the response of a recording as JSON text without times; None if the driver cannot decode it."""
    try:
        fields = replay(driver, recording).response.to_dict()
    except (Exception, SystemExit):  # noqa: BLE001 (the checks report it)
        return None
    return msgspec.json.encode({**fields, "timing": None}).decode()


def chunks(driver: BoundDriver, recording: Recording) -> tuple[str, int]:
    """Return the framing that a driver names for a recording, and how many chunks it finds there."""
    wire = _asked_for(driver, recording, "exam")
    name = wire.framing if isinstance(wire.framing, str) else getattr(wire.framing, "__name__", repr(wire.framing))
    try:
        return name, len(testing.chunks(wire, recording.body))
    except LimitExceeded:
        return name, 1


def request_of(recording: Recording, model: str) -> InferenceRequest:
    """Return the request of the recorded response."""
    if recording.request is not None:
        return recording.request
    question = (Message(role="user", content="Hello"),)
    return InferenceRequest(model=model, messages=question, stream=recording.streamed)


def _asked_for(driver: BoundDriver, recording: Recording, model: str) -> WireRequest:
    """Return the encoded request of the recorded response."""
    return driver.encode(request_of(recording, model))


def cuts(body: bytes, size: int) -> list[bytes]:
    """Split the body into pieces of `size` bytes."""
    return [body[place : place + size] for place in range(0, len(body), size)]

"""A driver on the harness: encodes requests and decodes bodies as core does, without a socket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from polyglot_core.plugin import Connection, InferenceRequest, Message
from polyglot_core.testing import bind
from polyglot_testkit.recording import Recording, replay

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from polyglot_core import InferenceResponse, PartialInferenceResponse
    from polyglot_core.errors import PolyglotError
    from polyglot_core.plugin import Event, WireRequest
    from polyglot_core.testing import BoundDriver

__all__ = ["Decoded", "DriverHarness"]

_Turn = str | Message | Mapping[str, Any]


class Decoded(NamedTuple):
    """The result of decoding a body.

    Attributes:
        response: The response, as far as it was received.
        partials: The partials that a caller receives.
        events: The events that they consist of.
        error: The error that the response ended with, or None.
    """

    response: InferenceResponse
    partials: list[PartialInferenceResponse]
    events: list[Event]
    error: PolyglotError | None


class DriverHarness:
    """A driver without a provider: encodes requests, and decodes recorded responses.

    Args:
        module: The driver's module, or the object with its hooks.
        folder: The folder of response bodies, for `decode`: streams, and whole bodies in files that end in ``.json``.
        connection: Fields of the connection that it is bound to; `model` is also the model of the requests.

    Attributes:
        folder: As above.
    """

    def __init__(self, module: object, folder: Path | None = None, **connection: Any) -> None:  # noqa: ANN401 (as documented)
        self._module = module
        self._fields = {"name": "harness", "driver": "harness", "model": "bench-1", "api_key": "test-key", **connection}
        self.folder = folder

    def connect(self, **connection: Any) -> BoundDriver:  # noqa: ANN401 (the fields of a connection)
        """Return the driver, bound to its connection with these fields replaced."""
        fields: dict[str, Any] = {**self._fields, **connection}
        return bind(self._module, Connection(**fields))

    def request(self, messages: _Turn | Sequence[_Turn] = "Hello", **asked: Any) -> InferenceRequest:  # noqa: ANN401 (as documented)
        """Return a request from messages as users write them and fields of `InferenceRequest`."""
        turns = [messages] if isinstance(messages, (str, Message, Mapping)) else messages
        fields: dict[str, Any] = {"model": self._fields["model"], **asked}
        return InferenceRequest(messages=tuple(map(_message, turns)), **fields)

    def encode(
        self,
        messages: _Turn | Sequence[_Turn] = "Hello",
        connection: Mapping[str, Any] | None = None,
        **asked: Any,  # noqa: ANN401 (the fields of a request)
    ) -> WireRequest:
        """Return the encoded request; `connection` has fields of the connection, the rest are the request's.

        Raises:
            PolyglotError: Whatever the driver raises.
        """
        return self.connect(**(connection or {})).encode(self.request(messages, **asked))

    def body(self, *arguments: Any, **asked: Any) -> Any:  # noqa: ANN401 (any JSON value)
        """Return the parsed body of the encoded request. The arguments are those of `encode`."""
        return msgspec.json.decode(self.encode(*arguments, **asked).body)

    def decode(
        self,
        given: bytes | str,
        *,
        stream: bool | None = None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        pieces: Iterable[bytes] | None = None,
    ) -> Decoded:
        """Return the result of decoding a body.

        Args:
            given: The body, or the name of a file in the folder.
            stream: Whether it is a stream; if left out, it is unless the file's name ends in ``.json``.
            status: HTTP status.
            headers: Headers, with lower-case names.
            pieces: The body in the pieces in which it is to arrive; all at once if left out.
        """
        data = (self._folder() / given).read_bytes() if isinstance(given, str) else given
        streamed = stream if stream is not None else not str(given).endswith(".json")
        recording = Recording(name=str(given), body=data, streamed=streamed, status=status, headers=headers or {})
        seen = replay(self.connect(), recording, pieces=pieces)
        return Decoded(seen.response, seen.partials, seen.events, seen.error)

    def _folder(self) -> Path:
        if self.folder is None:
            msg = (
                "This harness has no folder of bodies; give DriverHarness(module, folder) one, or the bytes themselves."
            )
            raise ValueError(msg)
        return self.folder


def _message(turn: _Turn) -> Message:
    if isinstance(turn, Message):
        return turn
    return Message(role="user", content=turn) if isinstance(turn, str) else Message.from_dict(turn)

"""A call that is prepared and not sent. Its response is read as a stream, as a whole, or as text.

The async class is the sync one with ``await``; a test compares them.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

from polyglot_core._client.not_copied import NotCopied
from polyglot_core._engine.callbacks import check_callback
from polyglot_core._values.formats import DataT

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from polyglot_core._client.stream import AsyncInferenceStream, InferenceStream
    from polyglot_core._values.events import Seam
    from polyglot_core._values.request import InferenceRequest
    from polyglot_core._values.response import InferenceResponse

__all__ = ["AsyncPendingInference", "PendingInference"]

_StreamT = TypeVar("_StreamT", bound="InferenceStream | AsyncInferenceStream")


class _Pending(NotCopied, Generic[_StreamT]):
    """One call. The request is sent when `stream`, `response` or `text` is first used, and is sent once.

    Attributes:
        request: The request to the connection. Requests to its fallbacks differ in the model and the options.
    """

    def __init__(self, request: InferenceRequest, start: Callable[[bool], _StreamT]) -> None:
        self.request = request
        self._start = start
        self._stream: _StreamT | None = None
        self._seam_callbacks: list[Callable[[Seam], object]] = []
        self._starting = threading.Lock()

    def stream(self) -> _StreamT:
        """Return the stream of the response; always the same object.

        The request is for a stream, whatever the option `stream` is. After a plain `response()` no request is sent: the
        stream emits the partials of that response.
        """
        return self._started(streamed=True)

    def on_seam(self, callback: Callable[[Seam], object]) -> Self:
        """Call `callback` with a `Seam` when a further request has been decided on, before the wait for it.

        May be called several times: every callback is called, in the order of their registration. What a callback
        raises passes to the caller and ends the call. Returns the pending call.

        Raises:
            RequestError: `callback` is not a function, or is a coroutine function.
        """
        check_callback("on_seam", callback)
        with self._starting:
            if self._stream is None:
                self._seam_callbacks.append(callback)
            else:
                self._stream.on_seam(callback)
        return self

    def __repr__(self) -> str:
        sent = self._stream is not None
        return f"{type(self).__name__}(model={self.request.model!r}, stream={self.request.stream}, sent={sent})"

    def _started(self, *, streamed: bool) -> _StreamT:
        with self._starting:  # two threads may arrive here together; the request is sent once
            if self._stream is None:
                self._stream = self._start(streamed)
                for callback in self._seam_callbacks:
                    self._stream.on_seam(callback)
            return self._stream


class PendingInference(_Pending["InferenceStream[DataT]"], Generic[DataT]):
    """One call. The request is sent when `stream`, `response` or `text` is first used, and is sent once."""

    def response(self) -> InferenceResponse[DataT]:
        """Return the complete response. It is streamed if the option `stream` is set or `stream()` was called before.

        Raises:
            PolyglotError: The call failed or the response is incomplete. Repeated calls raise the same error.
        """
        return self._started(streamed=self.request.stream).response()

    def text(self) -> str:
        """Return the complete visible text.

        Raises:
            PolyglotError: As `response`; and a `StreamError` if a read was interrupted or cancelled before.
        """
        stream = self._started(streamed=self.request.stream)
        return stream._complete_text(stream.response())  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


class AsyncPendingInference(_Pending["AsyncInferenceStream[DataT]"], Generic[DataT]):
    """One call. The request is sent when `stream`, `response` or `text` is first used, and is sent once."""

    async def response(self) -> InferenceResponse[DataT]:
        """Return the complete response. It is streamed if the option `stream` is set or `stream()` was called before.

        Raises:
            PolyglotError: The call failed or the response is incomplete. Repeated calls raise the same error.
        """
        return await self._started(streamed=self.request.stream).response()

    async def text(self) -> str:
        """Return the complete visible text.

        Raises:
            PolyglotError: As `response`; and a `StreamError` if a read was interrupted or cancelled before.
        """
        stream = self._started(streamed=self.request.stream)
        return stream._complete_text(await stream.response())  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

"""One call that has been prepared: its answer is asked for as a stream, as a response or as a text.

The async class is the sync one with ``await``; a test compares them.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

from polyglot_core._client.not_copied import NotCopied
from polyglot_core._client.stream import AsyncInferenceStream, InferenceStream

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from polyglot_core._values.events import Seam
    from polyglot_core._values.request import InferenceRequest
    from polyglot_core._values.response import InferenceResponse

__all__ = ["AsyncPendingInference", "PendingInference"]

_StreamT = TypeVar("_StreamT", bound="InferenceStream | AsyncInferenceStream")


class _Pending(NotCopied, Generic[_StreamT]):
    """One call. Nothing is sent until `stream`, `response` or `text` is called, and nothing is sent twice.

    Attributes:
        request: What is asked of the connection; of its fallbacks the same, but for the model.
    """

    def __init__(self, request: InferenceRequest, start: Callable[[bool], _StreamT]) -> None:
        self.request = request
        self._start = start
        self._stream: _StreamT | None = None
        self._on_seam: Callable[[Seam], object] | None = None
        self._starting = threading.Lock()

    def stream(self) -> _StreamT:
        """The answer as it comes; always the same object.

        The provider is asked to stream whether or not the option was given. After a plain `response()` it hands out
        that answer's partials, and nothing is sent.
        """
        return self._started(streamed=True)

    def on_seam(self, callback: Callable[[Seam], object]) -> Self:
        """Call `callback` with each further request when it is decided on, before the wait. Returns the call."""
        self._on_seam = callback
        return self

    def __repr__(self) -> str:
        sent = self._stream is not None
        return f"{type(self).__name__}(model={self.request.model!r}, stream={self.request.stream}, sent={sent})"

    def _started(self, *, streamed: bool) -> _StreamT:
        with self._starting:  # two threads may ask at once, and the request is sent once
            if self._stream is None:
                self._stream = self._start(streamed)
                if self._on_seam is not None:
                    self._stream.on_seam(self._on_seam)
            return self._stream


class PendingInference(_Pending[InferenceStream]):
    """One call. Nothing is sent until `stream`, `response` or `text` is called, and nothing is sent twice."""

    def response(self) -> InferenceResponse:
        """The complete response: of a stream, if one was asked for or has begun, else of a plain request.

        Raises:
            PolyglotError: The answer did not come, or not whole; repeated calls raise the same error.
        """
        return self._started(streamed=self.request.stream).response()

    def text(self) -> str:
        """The whole visible text. Raises as `response`."""
        return (self.response()).content


class AsyncPendingInference(_Pending[AsyncInferenceStream]):
    """One call. Nothing is sent until `stream`, `response` or `text` is called, and nothing is sent twice."""

    async def response(self) -> InferenceResponse:
        """The complete response: of a stream, if one was asked for or has begun, else of a plain request.

        Raises:
            PolyglotError: The answer did not come, or not whole; repeated calls raise the same error.
        """
        return await self._started(streamed=self.request.stream).response()

    async def text(self) -> str:
        """The whole visible text. Raises as `response`."""
        return (await self.response()).content

"""What ``polyglot stream`` runs: one call, or the calls of a loop with tools, read step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from polyglot_core import PolyglotError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from polyglot_core import InferenceResponse, Message, PendingInference
    from polyglot_core.events import Seam

__all__ = ["Exchange", "OneCall"]


class Exchange(Protocol):
    """One call or several, which are sent while the steps are iterated."""

    def on_seam(self, callback: Callable[[Seam], object]) -> None:
        """Call `callback` before a request is sent again, if the exchange reports that."""

    def steps(self) -> Iterator[Any]:
        """Return the steps: partials, events or results of tools."""

    def close(self) -> None:
        """Close the connection."""

    def response(self, ending: BaseException | None) -> InferenceResponse | None:
        """Return the last response, or what was received of it; None if no request was sent."""

    def turns(self, response: InferenceResponse) -> list[Message]:
        """Return the turns that the exchange adds to the conversation."""


class OneCall:
    """One call.

    Args:
        pending: The call.
        events: Whether its steps are events.
        no_stream: Whether a plain response is requested.
    """

    def __init__(self, pending: PendingInference, *, events: bool, no_stream: bool) -> None:
        self._pending = pending
        self._events = events
        self._no_stream = no_stream

    def on_seam(self, callback: Callable[[Seam], object]) -> None:
        """Call `callback` before a request is sent again."""
        self._pending.on_seam(callback)

    def steps(self) -> Iterator[Any]:
        """Return the partials of the response, or its events. A plain response has one of them."""
        if self._no_stream:
            self._pending.response()
        stream = self._pending.stream()
        return stream.events() if self._events else iter(stream)

    def close(self) -> None:
        """Close the connection."""
        self._pending.stream().close()

    def response(self, ending: BaseException | None) -> InferenceResponse | None:
        """Return the response, or what was received of it; None if no request was sent."""
        return ending.partial if isinstance(ending, PolyglotError) else self._pending.stream().response()

    def turns(self, response: InferenceResponse) -> list[Message]:
        """Return the turn of the model."""
        return [response.message]

"""One of the responses that are compared: its call, and what was received of it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from polyglot_cli.control_sequences import one_line
from polyglot_cli.error_report import exit_code
from polyglot_cli.measures import Measures, measure
from polyglot_core import Outcome, PolyglotError

if TYPE_CHECKING:
    from polyglot_core import AsyncPendingInference, InferenceResponse, PartialInferenceResponse
    from polyglot_core.events import Seam

__all__ = ["Lane"]

_INTERRUPTED = 130


class Lane:
    """One call.

    Attributes:
        name: The connection and the model.
        model: The model that is requested.
        response: The response, or what was received of it; None before the end.
        error: The error that ended the call, if any.
        ended: Whether the call has ended.
        received: The content, in the order in which it was received, as kinds and texts.
    """

    def __init__(self, name: str, model: str | None, pending: AsyncPendingInference) -> None:
        self.name = name
        self.model = model
        self.response: InferenceResponse | None = None
        self.error: PolyglotError | None = None
        self.ended = False
        self.received: list[tuple[str, str]] = []
        self._pending = pending
        self._waiting = ""
        self._since = time.monotonic()

    async def stream(self) -> None:
        """Send the request and receive the response. A cancellation keeps what was received."""
        self._pending.on_seam(self._note_seam)
        stream = self._pending.stream()
        try:
            async for partial in stream:
                self._take(partial)
        except asyncio.CancelledError:
            pass  # Ctrl-C: what was received is shown, and there is nothing else to be done
        except PolyglotError as error:
            self.error = error
        finally:
            await stream.close()
        self.response = self.error.partial if self.error is not None else await stream.response()
        self.ended = True

    def _take(self, partial: PartialInferenceResponse) -> None:
        if partial.choice:
            return
        self._since, self._waiting = time.monotonic(), ""
        if partial.reasoning_delta:
            self.received.append(("reasoning", partial.reasoning_delta))
        if partial.content_delta:
            self.received.append(("text", partial.content_delta))

    def _note_seam(self, seam: Seam) -> None:
        step = f"falling back to {seam.connection}" if seam.how == "fallback" else "retrying"
        self._waiting = one_line(f"{seam.error}, {step}")
        self._since = time.monotonic()

    @property
    def text(self) -> str:
        """Return the visible text received so far."""
        return "".join(text for kind, text in self.received if kind == "text")

    @property
    def state(self) -> str:
        """Return the state of the call in a few words."""
        if self.ended:
            return self.outcome
        seconds = time.monotonic() - self._since
        return f"{self._waiting or 'waiting'}… {seconds:.0f} s" if seconds >= 1 else ""

    @property
    def outcome(self) -> str:
        """Return how the call ended; for an error, its class."""
        if self.error is not None:
            return type(self.error).__name__
        return Outcome.CANCELLED.value if self.response is None else self.response.outcome.value

    @property
    def measures(self) -> Measures:
        """Return what the response has taken."""
        return Measures() if self.response is None else measure(self.response)

    @property
    def exit_code(self) -> int:
        """Return the exit code of this call alone."""
        if self.error is not None:
            return exit_code(self.error)
        finished = self.response is not None and self.response.outcome is Outcome.FINISHED
        return 0 if finished else _INTERRUPTED

    def to_dict(self) -> dict[str, Any]:
        """Return the response and what it has taken, as JSON values."""
        response = self.response
        return {
            "name": self.name,
            "connection": None if response is None else response.connection,
            "model": (response and response.model) or self.model,
            "outcome": self.outcome if self.error is None else "failed" if response is None else response.outcome.value,
            "error": None if self.error is None else {"type": type(self.error).__name__, "message": str(self.error)},
            "finish_reason": response and response.finish_reason,
            "text": self.text,
            "duration": None if response is None else response.timing.duration,
            **self.measures._asdict(),
        }

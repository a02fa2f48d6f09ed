"""Partials that transforms emit: views of a partial that was received, with another delta."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from polyglot_core import PartialInferenceResponse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from polyglot_core import ToolCall, Usage

__all__ = ["Piece", "joined", "nothing_new", "piece_of", "so_far"]

_NOWHERE: Any = None  # a piece has no place in the transcript of its own: it reads that of its origin


class Piece(PartialInferenceResponse[Any], eq=False, gc=False):
    """A partial that was made from one that was received.

    Its deltas are its own. What was received so far is that of its origin, without the end of the text that is not
    emitted yet; before anything was received it is empty.

    Attributes:
        origin: The partial of core; None if nothing was received yet.
        held: Number of characters at the end of the origin's text that are not emitted yet.
    """

    origin: PartialInferenceResponse[Any] | None = None
    held: int = 0

    @property
    def choice(self) -> int:
        """Return the index of the choice that the partial belongs to."""
        return 0 if self.origin is None else self.origin.choice

    @property
    def content(self) -> str:
        """Return the visible text so far."""
        text = "" if self.origin is None else self.origin.content
        return text[: len(text) - self.held] if self.held else text

    @property
    def reasoning_content(self) -> str:
        """Return the reasoning text so far."""
        return "" if self.origin is None else self.origin.reasoning_content

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """Return the tool calls so far."""
        return () if self.origin is None else self.origin.tool_calls

    @property
    def usage(self) -> Usage | None:
        """Return the token counts, or None if the provider has not reported any yet."""
        return None if self.origin is None else self.origin.usage

    @property
    def data(self) -> Any:  # noqa: ANN401 (a JSON value)
        """Return the data of the choice that was received so far, as a JSON value."""
        return None if self.origin is None else self.origin.data

    def arguments(self, index: int = 0) -> Any:  # noqa: ANN401 (a JSON value)
        """Return the arguments of a tool call so far, as a JSON value."""
        return None if self.origin is None else self.origin.arguments(index)


def piece_of(partial: PartialInferenceResponse[Any], text: str, *, held: int = 0, raw: bytes | None = None) -> Piece:
    """Return a piece of a partial: `text` as its new text, and the other content of it.

    Args:
        partial: The partial.
        text: The new text of the piece.
        held: Number of characters at the end of the partial's text that are not emitted yet.
        raw: Bytes of the piece; those of the partial if None.
    """
    origin, before = (partial.origin, partial.held) if isinstance(partial, Piece) else (partial, 0)
    return Piece(
        text,
        partial.raw if raw is None else raw,
        0,
        _NOWHERE,
        reasoning_delta=partial.reasoning_delta,
        refusal_delta=partial.refusal_delta,
        finish_reason=partial.finish_reason,
        seam=partial.seam,
        origin=origin,
        held=held + before,
    )


def nothing_new(partial: PartialInferenceResponse[Any] | None) -> Piece:
    """Return a piece without deltas, after a partial or before anything was received."""
    origin, held = (partial.origin, partial.held) if isinstance(partial, Piece) else (partial, 0)
    return Piece("", b"", 0, _NOWHERE, origin=origin, held=held)


def joined(partials: Sequence[PartialInferenceResponse[Any]]) -> PartialInferenceResponse[Any]:
    """Return one partial with the deltas of several of one choice."""
    last = partials[-1]
    if len(partials) == 1:
        return last
    piece = piece_of(last, "".join(p.content_delta for p in partials), raw=b"".join(p.raw for p in partials))
    piece.reasoning_delta = "".join(p.reasoning_delta for p in partials)
    piece.refusal_delta = "".join(p.refusal_delta for p in partials)
    return piece


def so_far(last: PartialInferenceResponse[Any], refusal: str) -> Piece:
    """Return all that a choice has received as one partial: its last one, with the content so far as its deltas."""
    piece = piece_of(last, last.content, raw=b"")
    piece.reasoning_delta, piece.refusal_delta = last.reasoning_content, refusal
    return piece

"""Errors for a stream that breaks off or cannot be decoded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from polyglot_core._attempt.unexpected_response import nothing_received, quoted
from polyglot_core._values.unreadable import UNREADABLE
from polyglot_core.errors import Malformed, PolyglotError, Truncated

if TYPE_CHECKING:
    from polyglot_core._drivers.bound import BoundDriver
    from polyglot_core._wire.messages import Chunk

__all__ = ["LengthReached", "cut_off", "is_cut", "undecodable"]

_BEGINNINGS = (b"{", b"[", b'"')  # of JSON; data that begins in another way is none, be it cut or not


class LengthReached(Truncated):
    """A response reached its limit of tokens, and the caller wants it to be continued. It never reaches the caller."""


def cut_off(beside: bytes = b"", *, decoded: bool = True, marked: bool = False) -> Truncated:
    """Return the error for a stream that ended before the model was done.

    Args:
        beside: Lines that were received and are no part of the response.
        decoded: Whether any part of the response was received.
        marked: Whether the stream ended with its end-of-stream marker.
    """
    error = nothing_received()
    if marked:
        error = Truncated("The stream ended with its marker, but without a finish reason that proves it complete.")
    elif decoded:
        error = Truncated(
            "The stream ended before the model was done: no finish reason and no end-of-stream marker were received. "
            "The content received so far is kept as a partial response."
        )
    return Truncated(f"{error.message} Lines beside the response: {quoted(beside)}") if beside else error


def undecodable(chunk: Chunk, error: Exception, pieces: int, driver: BoundDriver) -> PolyglotError:
    """Return the error for a chunk that `driver` failed to decode with `error`, after `pieces` pieces of text.

    Errors of our own that a driver raises are kept; any other exception than those for malformed data is its fault.
    """
    if isinstance(error, PolyglotError):
        return error
    if not isinstance(error, UNREADABLE):
        return _not_a_sequence(chunk, driver) or driver.broken("decode_chunk", error)
    where = f"after {pieces} {'piece' if pieces == 1 else 'pieces'} of text"
    return Malformed(f"A chunk of the response, {where}, cannot be read ({error}): {quoted(chunk.data)}")


def _not_a_sequence(chunk: Chunk, driver: BoundDriver) -> PolyglotError | None:
    """Return the error for a driver that returns something else than a sequence for a chunk; None if it does not.

    The chunk is decoded once more, because the hot path keeps nothing of what it cannot use.
    """
    try:
        returned: object = driver.decoder({})(chunk)
    except Exception:  # noqa: BLE001 (the error of the first time is reported)
        return None
    what = f"returned {type(returned).__name__} from decode_chunk instead of a list or another sequence of events"
    return None if isinstance(returned, Sequence) else driver.at_fault(what)


def is_cut(chunk: Chunk, error: Exception) -> bool:
    """Return whether decoding the last chunk failed because the body broke off within it."""
    # msgspec reports missing data as "truncated", and a number that lacks its digits as an error at the last byte
    at_end = ("truncated", f"(byte {len(chunk.data)})")
    if chunk.kind == "part":
        return isinstance(error, UNREADABLE) and chunk.data.lstrip().startswith(_BEGINNINGS)
    return isinstance(error, UNREADABLE) and any(words in str(error) for words in at_end)

"""The rules of every target: only `PolyglotError` is raised, splits change nothing, memory is bounded."""

from __future__ import annotations

import itertools
import random
import zlib
from typing import TYPE_CHECKING

import msgspec

from polyglot_core.errors import PluginError, PolyglotError

from ..properties.hearing import hear

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from polyglot_core._http.inflate import Inflater
    from polyglot_core._wire.messages import Chunk, Framer

    from ..conformance.corpus import Exchange

_FEW = 20  # pieces, after each of which the bytes held by a framer are checked
_SLACK = 64  # bytes that a framer may hold, or return, beyond those received


class Broken(AssertionError):
    """A rule does not hold."""


def pieces_of(data: bytes) -> Iterator[list[bytes]]:
    """Return the data as one piece, as single bytes if it is short, and split twice at offsets derived from the data."""
    yield [data]
    if len(data) <= 256:
        yield [data[place : place + 1] for place in range(len(data))]
    dice = random.Random(zlib.crc32(data))
    for most in (3, 20):
        places = sorted(dice.randrange(len(data) + 1) for _ in range(dice.randrange(1, most)))
        yield [data[start:end] for start, end in itertools.pairwise([0, *places, len(data)])]


def check_framer(make: Callable[[], Framer], data: bytes) -> None:
    """Check that a framer gives the same chunks for any split, and neither holds nor returns more than it received.

    Raises:
        Broken: It does not.
    """
    seen = [_framed(make(), pieces) for pieces in pieces_of(data)]
    for other in seen[1:]:
        if other != seen[0]:
            raise Broken(f"cut differently it gives {other} instead of {seen[0]}")
    chunks, _ = seen[0]
    if sum(len(chunk.raw) for chunk in chunks) > len(data) + _SLACK:
        raise Broken("more comes out than went in")


def _framed(framer: Framer, pieces: list[bytes]) -> tuple[list[Chunk], str | None]:
    chunks: list[Chunk] = []
    came = 0
    try:
        for piece in pieces:
            came += len(piece)
            chunks += framer.feed(piece)
            if len(pieces) <= _FEW and _held(framer) > came + _SLACK:
                raise Broken("it holds more than has come")
        chunks += framer.finish()
    except PolyglotError as error:
        return chunks, f"{type(error).__name__}: {error}"
    return chunks, None


def _held(framer: object) -> int:
    """Return the bytes that a framer holds, in all fields and in nested framers."""
    names = {name for kind in type(framer).__mro__ for name in getattr(kind, "__slots__", ())}
    return sum(_size(getattr(framer, name)) for name in names)


def _size(value: object) -> int:
    if isinstance(value, bytes | bytearray):
        return len(value)
    if isinstance(value, list):
        return sum(map(_size, value))
    return _held(value) if hasattr(value, "feed") else 0


def check_answer(exchange: Exchange, data: bytes) -> None:
    """Check that a body decodes the same for any split, blames no driver, and is serializable as JSON.

    Raises:
        Broken: It does not.
        Exception: Something that is no `PolyglotError` came out.
    """
    seen = [hear(exchange, pieces=pieces) for pieces in pieces_of(data)]
    whole = seen[0]
    for other in seen[1:]:
        if other.told != whole.told:
            raise Broken(f"cut differently it tells {other.told} instead of {whole.told}")
    if isinstance(whole.error, PluginError):
        raise Broken(f"the driver is blamed for what came: {whole.error!r}") from whole.error.__cause__
    if (whole.error is None) != (whole.outcome == "finished"):
        raise Broken(f"it is {whole.outcome} with {whole.error!r}")
    msgspec.json.encode([whole.partials, whole.response])  # what is no text, or no JSON value, cannot be written


def check_inflater(make: Callable[[], Inflater], data: bytes) -> None:
    """Check that an inflater gives the same bytes, or the same error, for any split.

    Raises:
        Broken: It does not.
    """
    seen = [_inflated(make(), pieces) for pieces in pieces_of(data)]
    for other in seen[1:]:
        if other != seen[0]:
            raise Broken(f"cut differently it gives {other!r:.300} instead of {seen[0]!r:.300}")


def _inflated(inflater: Inflater, pieces: list[bytes]) -> bytes | type[PolyglotError]:
    """Return the output; how much precedes an error depends on the split."""
    try:
        decoded = b"".join(inflater.decode(piece) for piece in pieces)
        inflater.finish()
    except PolyglotError as error:
        return type(error)
    return decoded

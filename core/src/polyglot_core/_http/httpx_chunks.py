"""HTTP chunks that an httpx client has received and not passed on: they are taken together.

A server that streams sends a chunk for each event. The client parses a read of 64 KiB into 200 of them, and passes them
on one at a time through five generators, which costs more than all that is done with them. So once it has passed on
one, those that are complete behind it are taken out of its parser's buffer. Nothing is waited for, and nothing odd is
taken: the last chunk, an incomplete one, and one with an extension or with spaces are left to the parser.

This reads attributes that h11 0.16 has. With another version of it, every chunk takes the usual way.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from polyglot_core._http.pooled import h11_connection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from typing import Self

__all__ = ["joined", "joined_async"]

_NEXT = re.compile(rb"\r\n([0-9a-fA-F]{1,7})\r\n")
"""The end of a chunk, and the size of the next; RFC 9112, section 7.1."""

_END = b"\r\n"


def joined(pieces: Iterator[bytes], response: object) -> Iterator[bytes]:
    """Return the pieces of a body, each with those that were received with it. It must not refer to the reply."""
    connection = h11_connection(response, of_client=True)
    return pieces if _buffer_of(connection) is None else _joined(pieces, connection)


def joined_async(pieces: AsyncIterator[bytes], response: object) -> AsyncIterator[bytes]:
    """Return the pieces of a body, as `joined` does."""
    connection = h11_connection(response, of_client=True)
    return pieces if _buffer_of(connection) is None else _Joined(pieces, connection)


def _joined(pieces: Iterator[bytes], connection: object) -> Iterator[bytes]:
    for piece in pieces:
        yield piece + _taken(connection)


class _Joined:
    """What `_joined` is, async. It is no generator, which its event loop would have to close."""

    def __init__(self, pieces: AsyncIterator[bytes], connection: object) -> None:
        self._pieces = pieces
        self._connection = connection

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._pieces) + _taken(self._connection)


def _buffer_of(connection: Any) -> Any:  # noqa: ANN401 (the parser's)
    """Return the buffer of a connection's parser; None if it is not known here."""
    buffer = getattr(getattr(connection, "_h11_state", None), "_receive_buffer", None)
    known = isinstance(getattr(buffer, "_data", None), bytearray) and callable(getattr(buffer, "_extract", None))
    return buffer if known else None


def _taken(connection: Any) -> bytes:  # noqa: ANN401 (the client's)
    """Take the content of the complete chunks in the buffer of a parser that has just passed on the end of a chunk."""
    state = connection._h11_state  # noqa: SLF001
    buffer = state._receive_buffer  # noqa: SLF001
    data = buffer._data  # noqa: SLF001
    if len(data) <= len(_END) or getattr(getattr(state, "_reader", None), "_bytes_to_discard", None) != _END:
        return b""
    pieces, at = [], 0
    while (size := _NEXT.match(data, at)) is not None:
        begin = size.end()
        end = begin + int(size[1], 16)
        if begin == end or end > len(data):
            break
        pieces.append(data[begin:end])
        at = end
    if pieces:
        buffer._extract(at)  # noqa: SLF001
    return b"".join(pieces)

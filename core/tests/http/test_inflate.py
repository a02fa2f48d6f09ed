"""Compressed bodies that are damaged: what stood before the damage is had, and then the damage is told."""

from __future__ import annotations

import gzip
import zlib

import pytest

from polyglot_core._http.inflate import Inflater
from polyglot_core.errors import LimitExceeded, TransportError

LINES = b"".join(b"data: line number %d\n\n" % number for number in range(20_000))


def read(body, size):
    """What comes of a body in reads of so many bytes, and the error that it ends in."""
    inflater, came = Inflater(31, 200), b""
    try:
        for start in range(0, len(body), size):
            came += inflater.decode(body[start : start + size])
        inflater.finish()
    except TransportError as error:
        return came, error
    return came, None


@pytest.mark.parametrize("size", [1, 7, 1000, 1 << 20])
@pytest.mark.parametrize(
    ("body", "text"),
    [
        (gzip.compress(b"one") + b"rubbish", b"one"),
        (gzip.compress(b"one")[:-8] + bytes(8), b"one"),
        (gzip.compress(b"one") + gzip.compress(b"two")[:-8] + bytes(8) + b"more", b"onetwo"),
        (b"rubbish", b""),
    ],
    ids=["bytes behind it", "a wrong checksum", "in the second member", "from the beginning"],
)
def test_text_before_damage_is_returned_first(body, text, size):
    """However a corrupt body is split into reads, its text up to the damage is returned, and then the error is raised."""
    came, error = read(body, size)
    assert came == text
    assert "corrupt" in str(error)
    assert (error.kind, type(error.__cause__)) == ("encoding", zlib.error)


def test_damage_inside_a_read_loses_nothing_before_it():
    """Damage within a read removes nothing that single-byte reads would have returned."""
    packer = zlib.compressobj(wbits=31)
    body = packer.compress(LINES) + packer.flush(zlib.Z_SYNC_FLUSH) + b"\xff" * 5000
    (one, first), (many, second) = read(body, 1 << 20), read(body, 1)
    assert one == many
    assert one.startswith(LINES)
    assert str(first) == str(second)


def test_damage_is_raised_again():
    """Nothing can be read behind damage: every further call raises."""
    inflater = Inflater(31, 200)
    assert inflater.decode(gzip.compress(b"one") + b"rubbish") == b"one"
    for again in (lambda: inflater.decode(gzip.compress(b"two")), inflater.finish, inflater.finish):
        with pytest.raises(TransportError, match="corrupt"):
            again()


def test_damage_without_text_is_raised_at_once():
    """If nothing precedes the damage, the read that received it raises."""
    with pytest.raises(TransportError, match="corrupt"):
        Inflater(31, 200).decode(b"rubbish")


def test_corrupt_bomb_is_a_bomb():
    """The text of a corrupt body counts against the limit like any other."""
    packer = zlib.compressobj(9, wbits=31)
    body = packer.compress(bytes(20 << 20)) + packer.flush(zlib.Z_SYNC_FLUSH) + b"\xff" * 5000
    with pytest.raises(LimitExceeded):
        Inflater(31, 200).decode(body)

"""HTTP chunks that were received together are passed on together; what is odd takes the usual way."""

from __future__ import annotations

import itertools
import threading
from types import SimpleNamespace

import h11
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyglot_core import Inference
from polyglot_core._http import httpx_chunks

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


class Client:
    """What an HTTP client does with a response: one piece of the body for each event of the parser.

    Attributes:
        reads: The reads that have not been made.
    """

    __module__ = "httpcore"  # else it would be a wrapper of the user's

    def __init__(self, reads):
        self.reads = list(reads)
        self._h11_state = h11.Connection(h11.CLIENT)
        self._h11_state.send(h11.Request(method="GET", target="/", headers=[("host", "a")]))
        self._h11_state.send(h11.EndOfMessage())

    def pieces(self):
        while True:
            event = self._h11_state.next_event()
            if event is h11.NEED_DATA:
                self._h11_state.receive_data(self.reads.pop(0) if self.reads else b"")
            elif isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return


def body_of(client, pieces):
    """Return the body as far as it was received, the error that ended it, and what the parser holds then."""
    body, ended = bytearray(), None
    try:
        for piece in pieces:
            body += piece
    except h11.RemoteProtocolError as error:
        ended = str(error)
    return bytes(body), ended, client._h11_state.trailing_data


def both(reads):
    """Return what a body of these reads is, in the usual way and joined; and the number of pieces of each."""
    usual, other = Client(reads), Client(reads)
    counts = [0, 0]

    def counted(index, pieces):
        for piece in pieces:
            counts[index] += 1
            yield piece

    joined = httpx_chunks.joined(other.pieces(), SimpleNamespace(stream=other))
    return body_of(usual, counted(0, usual.pieces())), body_of(other, counted(1, joined)), counts


def chunk(data, extension=b""):
    return b"%x%s\r\n%s\r\n" % (len(data), extension, data)


def cut(data, places):
    """Return data in reads that end at these places."""
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(ends)]


BODIES = st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=30)
PLACES = st.lists(st.integers(0, 3000), max_size=6)


@given(BODIES, PLACES, st.sampled_from([b"", b"x: y\r\n"]))
def test_bodies_are_the_same(pieces, places, trailer):
    """However a response is cut into chunks and reads."""
    wire = HEAD + b"".join(map(chunk, pieces)) + b"0\r\n" + trailer + b"\r\n"
    usual, joined, _ = both(cut(wire, places))
    assert usual == joined == (b"".join(pieces), None, (b"", False))


@given(BODIES, PLACES, st.data())
def test_damaged_bodies_end_the_same(pieces, places, data):
    """A byte is another one, or missing, or the rest is missing: the parser decides, and decides the same."""
    wire = HEAD + b"".join(map(chunk, pieces)) + b"0\r\n\r\n"
    at = data.draw(st.integers(len(HEAD), len(wire) - 1))
    wire = data.draw(
        st.sampled_from(
            [
                wire[:at],
                wire[:at] + wire[at + 1 :],
                wire[:at] + b"\n" + wire[at + 1 :],
                wire[:at] + b"0" + wire[at:],
            ]
        )
    )
    usual, joined, _ = both(cut(wire, places))
    assert usual == joined


@pytest.mark.parametrize(
    "odd", [b"3;name=value\r\nodd\r\n", b"3 \r\nodd\r\n", b"00000003\r\nodd\r\n", b"3\r\nodd\r\n\r\n", b"+3\r\nodd\r\n"]
)
def test_odd_chunks_take_the_usual_way(odd):
    """With an extension, with spaces, with many digits, or malformed."""
    wire = HEAD + chunk(b"one") + chunk(b"two") + odd + chunk(b"four") + b"0\r\n\r\n"
    usual, joined, counts = both([wire])
    assert usual == joined
    assert counts[1] < counts[0]  # those before it are joined nevertheless


def test_received_chunks_are_joined():
    """Those of one read are one piece; the next read begins another."""
    client = Client([HEAD + b"".join(chunk(b"a") for _ in range(50)), chunk(b"b") + b"2\r\nc", b"d\r\n0\r\n\r\n"])
    assert list(httpx_chunks.joined(client.pieces(), SimpleNamespace(stream=client))) == [b"a" * 50, b"b", b"c", b"d"]


def test_nothing_is_waited_for():
    """A piece is passed on before the chunk behind it is complete."""
    client = Client([HEAD + chunk(b"a") + chunk(b"b") + b"5\r\nc"])
    pieces = httpx_chunks.joined(client.pieces(), SimpleNamespace(stream=client))
    assert (next(pieces), client.reads) == (b"ab", [])
    assert next(pieces) == b"c"


@pytest.mark.parametrize("missing", ["_receive_buffer", "_reader"])
def test_another_parser_takes_the_usual_way(missing):
    """Another version of it may keep its bytes elsewhere."""
    client = Client([HEAD + chunk(b"a") + chunk(b"b") + b"0\r\n\r\n"])
    inner = client._h11_state
    client._h11_state = SimpleNamespace(next_event=inner.next_event, receive_data=inner.receive_data)
    if missing == "_reader":
        client._h11_state._receive_buffer = inner._receive_buffer
    assert list(httpx_chunks.joined(client.pieces(), SimpleNamespace(stream=client))) == [b"a", b"b"]


@pytest.mark.http
@pytest.mark.httpx
def test_wrappers_of_the_user_see_every_byte(loopback, http, toy):
    """A client's own transport may count, decrypt or keep what it passes on, one piece ahead."""
    seen = []

    class Stream(httpx.SyncByteStream):
        def __init__(self, stream):
            self._stream = stream

        def __iter__(self):
            waiting = None
            for piece in self._stream:
                seen.append(piece)
                if waiting is not None:
                    yield waiting
                waiting = piece
            yield waiting

        def close(self):
            self._stream.close()

    class Transport(httpx.HTTPTransport):
        def handle_request(self, request):
            response = super().handle_request(request)
            response.stream = Stream(response.stream)
            return response

    server = loopback([b"".join(http.streamed(*toy.story, toy.done))])
    with httpx.Client(transport=Transport()) as client:
        response = Inference.from_connection(server.connection(), client).create("Hi", stream=True).response()
    assert response.content == "Once upon a time"
    assert b"".join(seen) == b"".join((*toy.story, toy.done))


@pytest.mark.http
@pytest.mark.httpx
def test_events_arrive_at_once(flavour, loopback, http, toy):
    """Two events in one packet, and half of the third, are emitted before the rest is sent."""
    head, *events, end = http.streamed(*toy.story, toy.done)
    go_on = threading.Event()
    server = loopback((head + events[0] + events[1] + events[2][:5], go_on, events[2][5:], *events[3:], end))

    async def main():
        stream = flavour.Inference(server.connection()).stream("Hi")
        seen = [await flavour.wait(stream.next()) for _ in range(2)]
        go_on.set()
        return [partial.content_delta for partial in seen], (await flavour.wait(stream.response())).content

    assert flavour.run(main) == (["Once ", "upon "], "Once upon a time")

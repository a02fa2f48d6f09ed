"""Responses of HTTP/1.1, split anywhere; what is refused; and what makes a connection unusable."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyglot_core.errors import LimitExceeded
from polyglot_http1.parsing import BrokenResponseError, ResponseParser

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
SIZED = HEAD + b"Content-Length: 2\r\n\r\nhi"


def parsed(*pieces, end=False):
    """Return a parser that was fed, and the body that it returned."""
    parser = ResponseParser()
    body = b"".join([parser.feed(piece) for piece in pieces])
    if end:
        parser.end()
    return parser, body


@pytest.mark.parametrize(
    ("data", "body", "reusable"),
    [
        (SIZED, b"hi", True),
        (CHUNKED + b"2\r\nhi\r\n0\r\n\r\n", b"hi", True),
        (CHUNKED + b"2\r\nhi\r\n0\r\nX-Trailer: 1\r\n\r\n", b"hi", True),
        (CHUNKED + b"2;a=b\r\nhi\r\n0\r\n\r\n", b"hi", True),
        (HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi", b"hi", False),
        (HEAD + b"Content-Length: 0\r\n\r\n", b"", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi", False),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + SIZED, b"hi", True),
    ],
)
def test_complete_responses(data, body, reusable):
    """The body is the same whole and byte by byte, and so is what follows from its head."""
    for pieces in ([data], [data[i : i + 1] for i in range(len(data))]):
        parser, received = parsed(*pieces)
        assert (received, parser.complete, parser.reusable) == (body, True, reusable)
        assert "link" not in parser.headers


def test_headers_have_lower_case_names_and_are_joined():
    """A name may be repeated, and its value may hold bytes outside ASCII."""
    parser, _ = parsed(HEAD + b"A: b \r\na: \xe9\r\nContent-Length: 0\r\n\r\n")
    assert parser.headers == {"a": "b, é", "content-length": "0"}
    assert parser.status == 200


def test_a_body_without_a_length_ends_with_the_connection():
    """It is complete then, and the connection is not used again."""
    parser, body = parsed(HEAD + b"\r\nall of it", end=True)
    assert (body, parser.complete, parser.reusable) == (b"all of it", True, False)


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",
        HEAD + b"Content-Length: 2, 3\r\n\r\nhi!",
        HEAD + b"Content-Length: +2\r\n\r\nhi",
        HEAD + b"Content-Length: 99999999999999999999999\r\n\r\nhi",
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: identity\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        CHUNKED + b" 2\r\nhi\r\n0\r\n\r\n",
        CHUNKED + b"0x2\r\nhi\r\n0\r\n\r\n",
        CHUNKED + b"-2\r\nhi\r\n0\r\n\r\n",
        CHUNKED + b"2\nhi\n0\n\n",
        CHUNKED + b"FFFFFFFFFFFFFFFFF\r\nhi",
        HEAD + b"A: b\r\n folded\r\nContent-Length: 0\r\n\r\n",
        HEAD + b"A: b\rC: d\r\nContent-Length: 0\r\n\r\n",
        HEAD + b"A: b\nContent-Length: 0\n\n",
        HEAD + b"A : b\r\nContent-Length: 0\r\n\r\n",
        HEAD + b"A: \x00\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"ICE/1.0 200 OK\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"\x16\x03\x01\x02\x00",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 21 + SIZED,
    ],
)
def test_what_is_not_clearly_a_response_is_refused(data):
    """Nothing is guessed: RFC 9112, sections 2.2, 5, 6 and 7. No byte of such a body is returned as content."""
    for pieces in ([data], [data[i : i + 1] for i in range(len(data))]):
        received = []
        parser = ResponseParser()
        with pytest.raises(BrokenResponseError):
            for piece in [*pieces, b""]:
                received.append(parser.feed(piece))
        assert not parser.reusable
        assert b"".join(received) in {b"", b"hi"}  # what was whole before the fault


def test_the_body_before_a_fault_is_returned_first():
    """What was received is not lost, and the fault is raised by the next read, again and again."""
    parser, body = parsed(CHUNKED + b"2\r\nhi\r\nXX\r\n")
    assert body == b"hi"
    for _ in range(2):
        with pytest.raises(BrokenResponseError, match="chunk size"):
            parser.feed(b"more")


@pytest.mark.parametrize("behind", [b"X", b"\n", b"\r", b"\r\n", SIZED, b"HTTP/1.1 200 OK\r\n"])
@pytest.mark.parametrize("apart", [False, True])
def test_what_follows_a_response_spoils_the_connection(behind, apart):
    """It is not parsed as another response."""
    empty = HEAD + b"Content-Length: 0\r\n\r\n"
    for data in (empty + behind,) if not apart else ():
        parser, body = parsed(data)
        assert (body, parser.complete, parser.reusable) == (b"", True, False)
    for response in (SIZED, CHUNKED + b"2\r\nhi\r\n0\r\n\r\n", CHUNKED + b"2\r\nhi\r\n0\r\nT: t\r\n\r\n"):
        parser, body = parsed(response, behind) if apart else parsed(response + behind)
        assert (body, parser.complete, parser.reusable, parser.status) == (b"hi", True, False, 200)
        parser, body = parsed(response[:-2], response[-2:] + behind)
        assert (body, parser.complete, parser.reusable, parser.status) == (b"hi", True, False, 200)


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ((), "without sending a response"),
        ((b"HTTP/1.1 200",), "without sending a response"),
        ((CHUNKED,), "without sending complete message body"),
        ((CHUNKED + b"2\r\nhi\r\n",), "without sending complete message body"),
        ((CHUNKED + b"2\r\nhi\r\n0\r\n",), "without sending complete message body"),
        ((HEAD + b"Content-Length: 3\r\n\r\nhi",), "without sending complete message body"),
    ],
)
def test_a_cut_response_is_no_success(pieces, reason):
    """The end of the connection completes only a body without a length."""
    with pytest.raises(BrokenResponseError, match=reason):
        parsed(*pieces, end=True)


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"A: " + b"b" * 200_000,
        HEAD + b"A: b\r\n" * 30_000,
        b"HTTP/1.1 100 Continue\r\nA: " + b"b" * 200_000,
        CHUNKED + b"2;" + b"e" * 400_000,
        CHUNKED + b"2\r\nhi\r\n0\r\nT: " + b"t" * 400_000,
    ],
)
def test_what_surrounds_a_body_is_bounded(data):
    """Heads, interim responses, chunk extensions and trailers, in reads of any size."""
    for size in (1000, len(data)):
        parser = ResponseParser()
        with pytest.raises(LimitExceeded):
            for start in [*range(0, len(data), size), None]:
                parser.feed(b"" if start is None else data[start : start + size])


def test_many_small_chunks_are_no_surroundings():
    """A response of one-byte chunks may be long."""
    parser, body = parsed(CHUNKED, *[b"1\r\nx\r\n" * 1000] * 100, b"0\r\n\r\n")
    assert (len(body), parser.complete) == (100_000, True)


def test_one_parser_reads_one_response_after_the_other():
    """Nothing of the response before is left."""
    parser, _ = parsed(HEAD + b"A: b\r\nContent-Length: 2\r\n\r\nhi")
    parser.start()
    assert parser.feed(b"HTTP/1.1 404 Not Found\r\nB: c\r\nContent-Length: 2\r\n\r\nno") == b"no"
    assert (parser.status, parser.headers, parser.reusable) == (404, {"b": "c", "content-length": "2"}, True)


@given(body=st.lists(st.binary(min_size=1, max_size=50), max_size=10), cuts=st.lists(st.integers(0, 800), max_size=8))
def test_any_split_gives_the_same_body(body, cuts):
    """The bytes of a response may be split anywhere."""
    data = CHUNKED + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in body) + b"0\r\n\r\n"
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    parser, received = parsed(*[data[a:b] for a, b in itertools.pairwise(places)])
    assert (received, parser.complete, parser.reusable) == (b"".join(body), True, True)


@given(st.binary(max_size=300))
def test_garbage_raises_our_errors_only(data):
    """Whatever is sent, alone or after a head."""
    for prefix in (b"", HEAD, CHUNKED):
        parser = ResponseParser()
        try:
            parser.feed(prefix + data)
            parser.end()
        except (BrokenResponseError, LimitExceeded):
            continue
        assert parser.complete

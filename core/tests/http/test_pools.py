"""What is between a session and the network: encodings, connections, clients, and no key in any error."""

from __future__ import annotations

import gzip
import importlib.util
import os
import pickle
import ssl
import subprocess
import sys
import textwrap
import traceback
import zlib

import httpx
import pytest

from polyglot_core import ConfigError, Inference, PolyglotError, StreamError, TransportError
from polyglot_core._http import httpx_options
from polyglot_core._http.inflate import Inflater, inflater_for
from polyglot_core.errors import LimitExceeded
from polyglot_core.plugin import Finish, TextDelta

pytestmark = pytest.mark.http

STORY = "Once upon a time"


def ask(flavour, server, **fields):
    async def main():
        return await flavour.wait(flavour.Inference(server.connection(**fields)).create("Hi", stream=True).response())

    return flavour.run(main)


def fails(flavour, server, kind=PolyglotError, **fields):
    with pytest.raises(kind) as caught:
        ask(flavour, server, **fields)
    return caught.value


# Encodings


ENCODINGS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZip": gzip.compress,
    "deflate": zlib.compress,
    "identity": bytes,
    "": bytes,
}


def pieces(data, size):
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_compressed_response_is_read(flavour, loopback, http, toy, encoding, size):
    """A response that is compressed, although that was not requested, is read incrementally."""
    body = ENCODINGS[encoding](b"".join(toy.story) + toy.done)
    server = loopback(http.streamed(*pieces(body, size), content_encoding=encoding))
    assert ask(flavour, server).content == STORY
    assert server.asked[0].headers["accept-encoding"] == "identity"


def test_a_compressed_stream_streams(loopback, http, toy):
    """What was flushed into a compressed stream is emitted at once."""
    deflate = zlib.compressobj(wbits=31)
    first = deflate.compress(toy.story[0]) + deflate.flush(zlib.Z_SYNC_FLUSH)
    server = loopback(http.streamed(first, content_encoding="gzip", then=("hang",)))
    with Inference(server.connection()).stream("Hi") as stream:
        assert next(iter(stream)).content == "Once "


@pytest.mark.parametrize("keep", [5, 30, -9, -1])
def test_truncated_compressed_response_is_an_error(flavour, loopback, http, toy, keep):
    """A compressed stream without its end is incomplete."""
    body = gzip.compress(b"".join(toy.story[:3]))
    server = loopback(http.streamed(body[:keep], content_encoding="gzip"))
    assert "is incomplete" in str(fails(flavour, server, TransportError))


def test_corrupt_compressed_response_is_an_error(flavour, loopback, http):
    """A body that is not gzip raises an error that names the reason."""
    server = loopback(http.streamed(b"data: plain\n\n", content_encoding="gzip"))
    error = fails(flavour, server, TransportError)
    assert "body is corrupt" in str(error)
    assert error.phase == "stream"


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "gzip,deflate", "nonsense"])
def test_unknown_encoding_is_an_error(flavour, loopback, http, toy, encoding):
    """An encoding that was not requested and is unknown raises, and the connection is closed."""
    server = loopback(http.streamed(*toy.story, content_encoding=encoding, then=("hang",)))
    error = fails(flavour, server, TransportError)
    assert repr(encoding) in str(error)
    assert not error.retryable
    assert server.gone.wait(4.0)


def test_decompression_bomb_is_stopped(flavour, loopback, http):
    """A small body that inflates beyond the limit is stopped, and is never whole in memory."""
    deflate = zlib.compressobj(9, wbits=31)
    body = b"".join(deflate.compress(bytes(1 << 20)) for _ in range(200)) + deflate.flush()
    assert len(body) < 300_000
    server = loopback(http.streamed(body, content_encoding="gzip"))
    error = fails(flavour, server, LimitExceeded)
    assert "inflates" in str(error)


def test_large_response_is_no_bomb():
    """Text that compresses well, and a little that compresses very well, is accepted."""
    text = b"".join(b"data: %d\n\n" % number for number in range(2_000_000))
    inflater = Inflater(31, 200)
    assert b"".join(inflater.decode(piece) for piece in pieces(gzip.compress(text, 1), 65536)) == text
    inflater.finish()
    small = Inflater(31, 200)
    assert len(small.decode(gzip.compress(bytes(10 << 20)))) == 10 << 20


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_several_gzip_members_are_read(size):
    """A server that ends a member with every flush is read to the end, and trailing zeros are ignored."""
    inflater = Inflater(31, 200)
    body = gzip.compress(b"one ") + gzip.compress(b"two ") + gzip.compress(b"three") + bytes(20)
    assert b"".join(inflater.decode(piece) for piece in pieces(body, size)) == b"one two three"
    inflater.finish()


def test_garbage_behind_gzip_is_an_error():
    """Other bytes behind a member are an error, and so is a member without its end."""
    inflater = Inflater(31, 200)
    assert inflater.decode(gzip.compress(b"one") + b"rubbish") == b"one"
    with pytest.raises(TransportError, match="corrupt"):
        inflater.finish()
    inflater = Inflater(31, 200)
    assert inflater.decode(gzip.compress(b"one") + gzip.compress(b"two")[:10]) == b"one"
    with pytest.raises(TransportError, match="is incomplete"):
        inflater.finish()


def test_empty_compressed_body_is_accepted():
    """An empty body is empty, compressed or not."""
    inflater = inflater_for({"content-encoding": "gzip"}, 200)
    inflater.finish()
    assert inflater_for({}, 200) is None


# Connections


def test_connection_is_reused(flavour, loopback, http, toy):
    """Successive calls use one connection."""
    server = loopback(http.streamed(*toy.story, toy.done))

    async def main():
        inference = flavour.Inference(server.connection())
        for _ in range(5):
            assert await flavour.wait(inference.create("Hi", stream=True).text()) == STORY

    flavour.run(main)
    assert (len(server.asked), server.connections) == (5, 1)


def test_plain_responses_and_errors_keep_the_connection(flavour, loopback, http, toy):
    """A plain response that was read to its end returns its connection to the pool."""
    server = loopback(http.plain(toy.body(TextDelta("a"), Finish("stop", "stop"))))

    async def main():
        inference = flavour.Inference(server.connection())
        for _ in range(3):
            await flavour.wait(inference.create("Hi").response())

    flavour.run(main)
    assert server.connections == 1


def test_body_without_end_is_not_awaited(flavour, loopback, http, toy):
    """After the provider's end mark, a body that does not end costs no time, and its connection is closed."""
    server = loopback(http.streamed(*toy.story, toy.done, then=("hang",)))
    assert ask(flavour, server).outcome == "finished"
    assert server.gone.wait(4.0)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect_is_not_followed(flavour, loopback, http, status):
    """A key is not sent to the target of a redirect, which is never requested."""
    target = loopback(http.plain())
    server = loopback(http.plain(b"", status, location=f"{target.url}/v1"))
    assert target.url in str(fails(flavour, server))
    assert target.asked == []


@pytest.mark.parametrize(
    "answer",
    [
        (b"HTTP/1.1 abc\r\n\r\n",),
        (b"\x00\x01\x02\r\n\r\n",),
        (b"SSH-2.0-OpenSSH\r\n", "close"),
        (b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",),
        (b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort", "close"),
        ("close",),
        ("reset",),
    ],
)
def test_invalid_http_is_a_transport_error(flavour, loopback, answer):
    """Anything that is not HTTP raises `TransportError`, with the client's exception as its cause."""
    error = fails(flavour, loopback(answer), TransportError)
    assert error.__cause__ is not None
    assert "127.0.0.1" in str(error)


# Clients of the user's own


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_own_client_is_used(flavour, loopback, http, toy, library):
    """A client that is passed in is used, follows no redirect, and stays open."""
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    module = importlib.import_module(library)
    target = loopback(http.plain())
    server = loopback(http.streamed(*toy.story, toy.done), http.plain(b"", 302, location=target.url))
    sync = flavour.name == "sync"

    async def main():
        client = (module.Client if sync else module.AsyncClient)(headers={"x-mine": "1"}, follow_redirects=True)
        inference = flavour.Inference(server.connection(), client)
        assert await flavour.wait(inference.create("Hi", stream=True).text()) == STORY
        with pytest.raises(PolyglotError, match="redirects"):
            await flavour.wait(inference.create("Hi", stream=True).text())
        await flavour.wait(inference.close())
        assert not client.is_closed
        await flavour.wait(client.close() if sync else client.aclose())

    flavour.run(main)
    assert target.asked == []


def test_client_without_sockets(flavour, toy, toy_driver):
    """A client whose transport has no sockets, such as a mock, works too."""
    from polyglot_core import Connection

    body = b"".join(toy.story) + toy.done

    def answer(request):
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body)

    transport = httpx.MockTransport(answer)
    connection = Connection(name="here", driver="toy", model="m", base_url="http://localhost")

    async def main():
        client = (httpx.Client if flavour.name == "sync" else httpx.AsyncClient)(transport=transport)
        async with flavour.inside(client):
            return await flavour.wait(flavour.Inference(connection, client).create("Hi", stream=True).text())

    assert flavour.run(main) == STORY


SMOKE = """
    import asyncio, sys
    from polyglot_core import AsyncInference, Connection, Inference, PolyglotError, register

    sys.path.insert(0, {tests!r})
    import conftest

    register(conftest.Toy(), "toy")
    made = Connection(name="here", driver="toy", model="m", base_url=sys.argv[1])
    assert Inference(made).create("Hi", stream=True).text() == "Once upon a time"
    async def main():
        return await AsyncInference(made).create("Hi", stream=True).text()
    assert asyncio.run(main()) == "Once upon a time"
    try:
        list(Inference(made).stream("Hi", timeouts={{"idle": 0.2}}))
    except PolyglotError as error:
        print(type(error).__name__)
    print(*sorted({{"httpx", "httpx2"}} & set(sys.modules)))
"""


def run(script, *arguments, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split()


@pytest.mark.httpx
@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_variable_selects_the_http_library(loopback, http, toy, library):
    """`POLYGLOT_HTTP` chooses the library, and then the other is not imported."""
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    told = http.streamed(*toy.story, toy.done)
    server = loopback(told, told, http.streamed(toy.story[0], then=("hang",)))
    tests = os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120
    # the conftest names no HTTP library, so that only the one that is asked for comes in
    assert run(SMOKE.format(tests=tests), server.url, POLYGLOT_HTTP=library) == ["TimedOut", library]


LATE_IMPORTS = "httpx httpx2 httpcore anyio asyncio ssl importlib_metadata subprocess http.client trio"


def test_importing_core_is_cheap():
    """`import polyglot_core` imports neither an HTTP library nor an event loop nor the metadata reader."""
    found = run(f"import sys, polyglot_core; print(*({LATE_IMPORTS!r}.split() & sys.modules.keys()))")
    assert set(found) <= {"subprocess"}


# Proxies and certificates


def test_proxy_of_the_environment_is_used(flavour, loopback, http, toy, monkeypatch):
    """HTTP_PROXY is used for remote hosts, and this machine is reached directly."""
    proxy = loopback(http.streamed(*toy.story, toy.done))
    server = loopback(http.streamed(toy.say(TextDelta("direct")), toy.done))
    for name, value in {"HTTP_PROXY": proxy.url, "NO_PROXY": "", "no_proxy": ""}.items():
        monkeypatch.setenv(name, value)

    async def main():
        found = []
        for base_url in ("http://somewhere.example/v1", server.url):
            connection = server.connection(base_url=base_url, allow_http=True)
            async with flavour.inside(flavour.Inference(connection)) as inference:
                found.append(await flavour.wait(inference.create("Hi", stream=True).text()))
        return found

    assert flavour.run(main) == [STORY, "direct"]
    assert [asked.path for asked in proxy.asked] == ["http://somewhere.example/v1/answer"]


@pytest.mark.parametrize(
    ("variables", "origin", "expected"),
    [
        ({}, "https://a.example", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://a.example", "http://p:1"),
        ({"https_proxy": "p:1"}, "https://a.example", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, "http://a.example", None),
        ({"ALL_PROXY": "http://p:1"}, "http://a.example", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "b.example"}, "https://a.example", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "b.example,a.example"}, "https://a.example", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".example"}, "https://a.example:8443", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, "https://a.example", None),
    ],
)
def test_proxy_variables(monkeypatch, variables, origin, expected):
    """The usual variables set a proxy for each scheme, and the hosts that bypass it."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = httpx_options.proxy_for(origin)
    assert (found and found.reveal()) == expected


def test_proxy_of_the_connection_is_used(flavour, loopback, http, toy):
    """A connection's own proxy overrides the environment's, and its password is not shown."""
    proxy = loopback(http.streamed(*toy.story, toy.done))
    server = loopback(http.plain())
    named = proxy.url.replace("http://", "http://user:test-key@")
    assert ask(flavour, server, proxy=named).content == STORY
    assert proxy.asked[0].headers["proxy-authorization"].startswith("Basic ")
    proxy.close()
    error = fails(flavour, server, TransportError, proxy=named.replace("/answer", ""))
    assert "test-key" not in str(error)


def test_unreadable_certificates_are_reported(flavour, loopback, http, tmp_path):
    """A certificate file that is missing or empty is named."""
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    server = loopback(http.plain())
    for ca in (tmp_path / "missing.pem", empty):
        error = fails(flavour, server, ConfigError, base_url="https://127.0.0.1:1", ca=str(ca))
        assert str(ca) in str(error)
        assert isinstance(error.__cause__, OSError | ssl.SSLError)


# No key in any error


KEY = "".join(["very", "secret"])  # the parts, so that no line of this file holds the whole


@pytest.fixture
def keyed(loopback, flavour):
    """Makes calls with a key that no frame of a test holds."""

    def call(script, **fields):
        server = loopback(script)
        made = server.connection(
            **{"api_key": KEY, "headers": {"x-other": "a"}, "proxy": fields.pop("proxy", None), **fields}
        )
        inference = flavour.Inference(made)
        del made, fields

        async def main():
            return await flavour.wait(inference.create("Hi", stream=True).response())

        return main

    return call


FAILURES = {
    "reset": ("reset",),
    "no HTTP": (b"\x00\r\n\r\n",),
    "cut": (b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 99\r\n\r\ndata", "close"),
    "status": (b"HTTP/1.1 401 No\r\ncontent-length: 2\r\n\r\nNo",),
    "page": (b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nNo",),
    "truncated": (b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 0\r\n\r\n",),
    "malformed": (b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9\r\n\r\ndata: x\n\n",),
    "encoding": (b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 1\r\n\r\nx",),
    "silence": ("hang",),
}


@pytest.mark.parametrize("how", FAILURES)
def test_no_key_in_any_error(flavour, keyed, how):
    """No key is in an error's text, its pickle, or a traceback that shows every local variable."""
    from polyglot_core import Timeouts

    main = keyed(FAILURES[how], timeouts=Timeouts(first=0.3))
    with pytest.raises(PolyglotError) as caught:
        flavour.run(main)
    error = caught.value
    shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "polyglot_core" in shown
    for text in (str(error), repr(error), repr(error.__dict__), shown):
        assert KEY not in text
    assert KEY.encode() not in pickle.dumps(error)


def test_only_our_errors_are_raised(flavour, loopback):
    """No class of the HTTP library is raised: every error is of the tree, or an interruption."""
    error = fails(flavour, loopback(("reset",)))
    assert type(error).__module__ == "polyglot_core.errors"
    assert not isinstance(error, StreamError)

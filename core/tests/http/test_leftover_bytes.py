"""Bytes behind a complete response: they are never taken as the response to a later call."""

from __future__ import annotations

import importlib
import os
import ssl
import threading
import time

import pytest

from polyglot_core._http import httpx_progress, pooled, pools
from polyglot_core.plugin import Finish, TextDelta

pytestmark = pytest.mark.http

RECORD = 16_384  # bytes of a TLS record; the next one is decrypted only when it is read
READ = 65_536  # bytes that the HTTP client reads at once; asyncio receives more


@pytest.fixture
def library():
    """The HTTP library of this run."""
    return importlib.import_module(os.environ.get("POLYGLOT_HTTP", "httpx"))


@pytest.fixture
def foreign(http, toy):
    """A whole response that was not requested."""
    said = toy.say(TextDelta("STALE")), toy.say(Finish("stop", "stop")), toy.done
    return b"".join(http.streamed(*said))


def streamed(http, toy, text, *, framing, size=0):
    """A response of `size` bytes: a stream, in chunks or with its length."""
    body = b"".join((toy.say(TextDelta(text)), toy.say(Finish("stop", "stop")), toy.done))
    made = _framed(http, body, framing)
    if size:
        body = b":" + b"." * (size - len(made) - 3 - 6) + b"\n\n" + body  # a comment; 6 for longer lengths
        made = _framed(http, body, framing)
        made = _framed(http, b":" + b"." * (size - len(made)) + body[1:], framing)
        assert len(made) == size
    return made


def _framed(http, body, framing):
    if framing == "chunked":
        return b"".join(http.streamed(body))
    return http.head(content_length=len(body)) + body


def plain(http, toy, text):
    return b"".join(http.plain(toy.body(TextDelta(text), Finish("stop", "stop"))))


@pytest.fixture
def asking(flavour, library):
    """Makes two calls, one after the other, and returns their texts; `between` is called between them."""

    def ask(server, *, stream=True, between=lambda: None, own=None, **fields):
        async def main():
            kind = library.Client if flavour.name == "sync" else library.AsyncClient
            client = None if own is None else kind(**own)
            inference = flavour.Inference(server.connection(**fields), client)
            first = await flavour.wait(inference.create("Hi", stream=stream).text())
            between()
            second = await flavour.wait(inference.create("Hi", stream=stream).text())
            await flavour.wait(inference.close())
            if client:
                await flavour.wait(client.close() if flavour.name == "sync" else client.aclose())
            return first, second

        return flavour.run(main)

    return ask


@pytest.mark.parametrize("own", [None, {}], ids=["ours", "theirs"])
@pytest.mark.parametrize("size", [0, READ])
@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_bytes_in_the_same_packet(asking, loopback, http, toy, foreign, framing, size, own):
    """Bytes that a server sends behind its response in the same packet end the connection, wherever they are buffered."""
    first = streamed(http, toy, "one", framing=framing, size=size)
    server = loopback((first + foreign, 0.0), (streamed(http, toy, "two", framing=framing),))
    assert asking(server, own=own, between=server.reached.wait) == ("one", "two")
    assert server.connections == 2


def test_bytes_behind_a_plain_response(asking, loopback, http, toy):
    """A plain response that is followed by another one ends the connection too."""
    server = loopback((plain(http, toy, "one") + plain(http, toy, "STALE"),), (plain(http, toy, "two"),))
    assert asking(server, stream=False) == ("one", "two")
    assert server.connections == 2


def test_bytes_behind_a_response_without_a_body(flavour, loopback, http, toy, foreign):
    """An error status that is followed by a whole response stays an error."""
    server = loopback((b"".join(http.plain(b"", 500)) + foreign,), (streamed(http, toy, "two", framing="length"),))

    async def main():
        inference = flavour.Inference(server.connection())
        error = None
        try:
            await flavour.wait(inference.create("Hi").text())
        except Exception as caught:  # noqa: BLE001 (looked at below)
            error = caught
        return error, await flavour.wait(inference.create("Hi", stream=True).text())

    error, text = flavour.run(main)
    assert (error.status, text) == (500, "two")


@pytest.mark.parametrize("pause", [0.0, 0.002])
def test_bytes_behind_a_late_end_of_body(asking, loopback, http, toy, foreign, pause):
    """The model is done before its body is: bytes behind the drained end of the body are detected too."""
    head, *chunks, end = http.streamed(toy.say(TextDelta("one")), toy.say(Finish("stop", "stop")), toy.done)
    server = loopback((head, *chunks, pause, end + foreign), (streamed(http, toy, "two", framing="chunked"),))
    assert asking(server) == ("one", "two")
    assert server.connections == 2


@pytest.mark.parametrize("own", [None, {}], ids=["ours", "theirs"])
@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_bytes_on_an_idle_connection(asking, loopback, http, toy, foreign, framing, own):
    """Bytes that arrive while no call uses the connection end it."""
    go_on, sent = threading.Event(), threading.Event()
    first = streamed(http, toy, "one", framing=framing)
    server = loopback((first, go_on, foreign, sent), (streamed(http, toy, "two", framing=framing),))

    def between():
        go_on.set()
        time.sleep(0.1)
        sent.set()

    assert asking(server, between=between, own=own) == ("one", "two")
    assert server.connections == 2


@pytest.mark.parametrize("size", [0, RECORD, READ])
@pytest.mark.parametrize("idle", [False, True])
def test_bytes_within_tls(asking, loopback, http, toy, foreign, size, idle):
    """Bytes that the TLS layer holds, decrypted or not, are detected."""
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    go_on = threading.Event()
    first = streamed(http, toy, "one", framing="chunked", size=size)
    script = (first, go_on, foreign) if idle else (first + foreign, 0.0)
    server = loopback(script, (streamed(http, toy, "two", framing="chunked"),), tls=context)

    def between():
        go_on.set()
        time.sleep(0.1)

    with authority.cert_pem.tempfile() as ca:
        assert asking(server, ca=ca, between=between if idle else server.reached.wait) == ("one", "two")
    assert server.connections == 2


def test_bytes_left_by_other_users_of_a_client(flavour, loopback, http, toy, foreign, library):
    """A connection of a user's client on which other code left bytes behind a response is not used."""
    server = loopback((plain(http, toy, "one") + foreign,), (streamed(http, toy, "two", framing="length"),))

    async def main():
        client = (library.Client if flavour.name == "sync" else library.AsyncClient)()
        async with flavour.inside(client):
            await flavour.wait(client.get(server.url))
            return await flavour.wait(flavour.Inference(server.connection(), client).create("Hi", stream=True).text())

    assert flavour.run(main) == "two"
    assert server.connections == 2


def test_bytes_that_arrive_before_the_request_is_written(asking, loopback, http, toy, foreign, monkeypatch):
    """Bytes that arrive after the exchange ended are detected before the next request is written."""
    monkeypatch.setattr("polyglot_core._http.httpx_replies.is_reusable", lambda _: True)
    server = loopback(
        (streamed(http, toy, "one", framing="length") + foreign,), (streamed(http, toy, "two", framing="length"),)
    )
    assert asking(server) == ("one", "two")
    assert server.connections == 2


@pytest.mark.httpx
def test_unverifiable_connection_is_closed(asking, loopback, http, toy, monkeypatch):
    """If a version of the HTTP client keeps its connection elsewhere, each call has a connection of its own."""
    monkeypatch.setattr(pooled, "_WRAPPED", ())
    server = loopback((streamed(http, toy, "one", framing="length"),), (streamed(http, toy, "two", framing="length"),))
    assert asking(server) == ("one", "two")
    assert server.connections == 2


@pytest.mark.httpx
@pytest.mark.parametrize("event", ["send_request_headers.started", "send_request_body.started"])
def test_bytes_that_arrive_while_the_request_is_written(asking, loopback, http, toy, foreign, monkeypatch, event):
    """Until the body is written, bytes on the connection cannot be its response; the request is sent over another one."""
    go_on = threading.Event()
    server = loopback(
        (streamed(http, toy, "one", framing="length"), go_on, foreign), (streamed(http, toy, "two", framing="length"),)
    )
    notice = httpx_progress.HTTPXProgress.notice

    def late(self, reported, info):
        if reported.endswith(event) and not self._opened:
            go_on.set()
            time.sleep(0.1)
        notice(self, reported, info)

    monkeypatch.setattr(httpx_progress.HTTPXProgress, "notice", late)
    assert asking(server) == ("one", "two")
    assert server.connections == 2


@pytest.mark.parametrize("own", [None, {}], ids=["ours", "theirs"])
@pytest.mark.parametrize("tls", [False, True])
def test_clean_connection_is_reused(asking, loopback, http, toy, own, tls):
    """The checks find nothing on a clean connection."""
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = loopback(
        (streamed(http, toy, "one", framing="length", size=READ),),
        (streamed(http, toy, "two", framing="length"),),
        tls=context if tls else None,
    )
    with authority.cert_pem.tempfile() as ca:
        if own is not None and tls:
            own = {"verify": ssl.create_default_context(cafile=ca)}
        assert asking(server, ca=ca, own=own) == ("one", "two")
    assert server.connections == 1


# Who shares connections


def test_connections_are_shared_within_a_key(flavour, loopback, http, toy):
    """Calls with another key, or another secret header, use another connection; the keys stay hidden."""
    server = loopback((streamed(http, toy, "one", framing="length"),))
    keys = [
        {"api_key": "first-key"},
        {"api_key": "second-key"},
        {"api_key": "first-key"},
        {"api_key": "first-key", "headers": {"x-api-key": "third-key"}},
        {"api_key": None},
    ]

    async def main():
        shown = ""
        for fields in keys:
            connection = server.connection(**fields)
            shown += repr(connection.account)
            await flavour.wait(flavour.Inference(connection).create("Hi", stream=True).text())
        return shown

    shown = flavour.run(main)
    assert [asked.connection for asked in server.asked] == [0, 1, 0, 2, 3]
    assert "-key" not in shown.replace("x-api-key", "")


def test_surplus_pools_are_closed(flavour, loopback, http, toy, monkeypatch):
    """If each call has a key of its own, the least recently used pools are closed."""
    monkeypatch.setattr(pools, "_MOST_POOLS", 3)
    server = loopback((streamed(http, toy, "one", framing="length"),))
    keys = ["a", "b", "c", "a", "d", "a", "b"]

    async def main():
        inference = flavour.Inference(server.connection())
        async with flavour.inside(inference):
            for key in keys:
                call = flavour.Inference(server.connection(api_key=key))
                vars(call).update({name: own for name, own in vars(inference).items() if name in {"_pools", "_source"}})
                await flavour.wait(call.create("Hi", stream=True).text())

    flavour.run(main)
    assert [asked.connection for asked in server.asked] == [0, 1, 2, 0, 3, 0, 4]

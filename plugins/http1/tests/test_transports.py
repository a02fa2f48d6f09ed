"""Both transports over real sockets: connections that are used again, that must not be, and that are waited for."""

import asyncio
import contextlib
import gc
import socket
import ssl
import threading
import time

import pytest

from polyglot_core.errors import LimitExceeded, TransportError
from polyglot_http1 import asynchronous, limits, package, sync
from polyglot_http1.parsing import BrokenResponseError
from polyglot_http1.requests import head_of

from .conftest import PATIENCE, Opening, User

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"


def test_a_connection_carries_one_request_after_the_other(flavour, serve):
    """The head names host and length, and nothing of one response is left for the next."""
    server = serve((OK,), (CHUNKED, b"3\r\nall\r\n", LAST))

    async def main():
        async with User(flavour, server.url) as user:
            asked = [await user.ask(path="/v1?a=b c"), await user.ask(body=b"")]
            return asked, user.transport.idle

    assert flavour.run(main) == ([(200, b"hi"), (200, b"all")], 1)
    assert server.connections == 1
    (first, body), (second, _) = server.asked
    assert first.startswith(b"POST /v1?a=b%20c HTTP/1.1\r\nhost: localhost:")
    assert (b"a: b\r\n" in first, b"content-length: 2\r\n" in first, body) == (True, True, b"{}")
    assert b"content-length: 0\r\n" in second


def test_the_end_of_a_body_may_be_late(flavour, serve):
    """It is drained, so that the connection is used again; if it is not there in time, the connection is closed."""
    server = serve((CHUNKED, b"2\r\nhi\r\n", 0.05, LAST), (OK,), (CHUNKED, b"2\r\nhi\r\n", "hang"))

    async def main():
        async with User(flavour, server.url) as user:
            for idle, seconds in ((1, PATIENCE), (1, PATIENCE), (0, 0.05)):
                reply = await user.open()
                assert await flavour.wait(reply.read()) == b"hi"
                await flavour.wait(reply.drain(seconds))
                await user.close(reply)
                assert user.transport.idle == idle

    flavour.run(main)
    assert server.connections == 1
    assert server.gone.wait(PATIENCE)


@pytest.mark.parametrize(
    "script",
    [
        (OK + OK,),
        (OK + b"\r\n",),
        (OK, 0.05, b"X"),
        (OK, 0.05, "close"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",),
        (b"HTTP/1.1 200 OK\r\n\r\nhi", "close"),
        (CHUNKED + b"2\r\nhi\r\n" + LAST + b"X",),
    ],
)
def test_a_connection_with_anything_odd_is_not_used_again(flavour, serve, script):
    """What follows a response never is the next one, whenever it arrives."""
    server = serve(script, (OK.replace(b"hi", b"ho"),))

    async def main():
        async with User(flavour, server.url) as user:
            first = await user.ask()
            await asyncio.sleep(0.2)
            return first, await user.ask()

    assert flavour.run(main) == ((200, b"hi"), (200, b"ho"))
    assert server.connections == 2


@pytest.mark.parametrize("early", [True, False], ids=["with the head", "later"])
def test_an_error_behind_a_body_is_not_waited_for(flavour, serve, early):
    """The body before it is returned, and the next read raises, though the server keeps the connection open."""
    odd = b"2\r\nhi\r\nzz\r\n"
    server = serve((CHUNKED + odd, "hang") if early else (CHUNKED + b"2\r\nho\r\n", 0.05, odd, "hang"))

    async def main():
        async with User(flavour, server.url) as user:
            reply = await user.open()
            body = b""
            with pytest.raises(BrokenResponseError):
                while True:
                    body += await flavour.wait(reply.read())
            await user.close(reply)
            return body

    assert flavour.run(main) == (b"hi" if early else b"hohi")


def test_a_response_that_was_not_read_closes_its_connection(flavour, serve):
    """So does one that core does not want to be used again."""
    server = serve((OK,), (OK,), (OK,))

    async def main():
        async with User(flavour, server.url) as user:
            await user.close(await user.open())
            reply = await user.open()
            await user.read(reply)
            await user.close(reply, reuse=False)
            await user.ask()

    flavour.run(main)
    assert server.connections == 3


@pytest.mark.parametrize(("resend", "sends"), [(True, 2), (False, 1)])
def test_a_stale_connection_is_replaced_once(flavour, serve, resend, sends):
    """A request that the server most likely did not read is sent again, unless that is not wanted."""
    server = serve((OK,), ("close",), (OK,))

    async def main():
        async with User(flavour, server.url) as user:
            await user.ask()
            opening, answer = Opening(resend=resend), None
            with contextlib.suppress(OSError, BrokenResponseError):
                answer = await user.ask(opening)
            await asyncio.sleep(0.05)
            assert user.transport.idle + len(user.transport._stock._slots) == limits.PLACES
            return opening, answer

    opening, answer = flavour.run(main)
    assert (opening.sends, answer) == (sends, (200, b"hi") if resend else None)
    assert len(server.asked) == sends + 1


def test_a_fresh_connection_is_not_replaced(flavour, serve):
    """The server may have read the request."""
    server = serve(("close",))

    async def main():
        async with User(flavour, server.url) as user:
            with pytest.raises((OSError, BrokenResponseError)):
                await user.ask()

    flavour.run(main)
    assert len(server.asked) == 1


def test_what_was_received_before_a_cut_is_returned(flavour, serve):
    """The error comes after it."""
    server = serve((CHUNKED, b"2\r\nhi\r\n", 0.05, "close"))

    async def main():
        async with User(flavour, server.url) as user:
            reply = await user.open()
            assert await flavour.wait(reply.read()) == b"hi"
            with pytest.raises(BrokenResponseError, match="complete message body"):
                await flavour.wait(reply.read())
            await user.close(reply)
            assert user.transport.idle == 0

    flavour.run(main)


def test_a_large_body_is_written_whole(flavour, serve):
    """Also if it does not fit the buffers of a connection."""
    server = serve((OK,))
    body = bytes(range(256)) * 20_000

    async def main():
        async with User(flavour, server.url) as user:
            return [await user.ask(body=body) for _ in range(2)]

    assert flavour.run(main) == [(200, b"hi")] * 2
    assert [received for _, received in server.asked] == [body, body]
    assert server.connections == 1


def test_a_refusal_is_read_while_a_large_body_is_written(flavour, serve):
    """The server reads no more; its connection is not used again."""
    server = serve(("refuse", b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"), (OK,))

    async def main():
        async with User(flavour, server.url) as user:
            return await user.ask(body=b"x" * 30_000_000), await user.ask()

    assert flavour.run(main) == ((413, b"no"), (200, b"hi"))
    assert server.connections == 2


def test_headers_that_are_too_large_are_an_error(flavour, serve):
    """They are not kept in memory for ever."""
    server = serve((b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 100_000, "hang"))

    async def main():
        async with User(flavour, server.url) as user:
            with pytest.raises(LimitExceeded):
                await user.ask()

    flavour.run(main)
    assert server.gone.wait(PATIENCE)


def test_aborting_ends_every_wait(flavour, serve):
    """For the headers and for the body, from another thread; the server sees the end."""
    for script in (("hang",), (CHUNKED, b"2\r\nhi\r\n", "hang")):
        server = serve(script)

        async def main(server=server, head=bool(script[1:])):
            async with User(flavour, server.url) as user:
                opening = Opening()
                threading.Timer(0.2, opening.abort).start()
                with pytest.raises((OSError, BrokenResponseError)):
                    reply = await user.open(opening)
                    assert head
                    assert await flavour.wait(reply.read()) == b"hi"
                    try:
                        await flavour.wait(reply.read())
                    finally:
                        await user.close(reply)

        flavour.run(main)
        assert server.gone.wait(PATIENCE)


def test_an_ended_call_writes_no_request(flavour, serve):
    """It ended while the connection was being opened."""
    server = serve((OK,))

    async def main():
        async with User(flavour, server.url) as user:
            with pytest.raises((OSError, BrokenResponseError)):
                await user.ask(Opening(ended=True))

    flavour.run(main)
    assert server.asked == []


def test_a_collected_reply_closes_its_connection(flavour, serve):
    """And gives its place back."""
    server = serve((CHUNKED, b"2\r\nhi\r\n", "hang"), (OK,))

    async def main():
        async with User(flavour, server.url) as user:
            places = len(user.transport._stock._slots)
            reply = await user.open()
            reply.abort()  # as core's exchange does when it is collected
            del reply
            gc.collect()
            await asyncio.sleep(0.1)
            assert await user.ask() == (200, b"hi")
            assert len(user.transport._stock._slots) == places - 1

    flavour.run(main)
    assert server.gone.wait(PATIENCE)


# Opening connections


def test_errors_of_opening_keep_their_kind(flavour, monkeypatch):
    """Core reports them by their class."""
    free = socket.create_server(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()

    async def main():
        async with User(flavour, f"http://127.0.0.1:{port}") as user:
            with pytest.raises(ConnectionRefusedError):
                await user.ask()
            assert len(user.transport._stock._slots) == limits.PLACES
        async with User(flavour, "http://no-such-host.invalid") as user:
            with pytest.raises(socket.gaierror):
                await user.ask()
            assert len(user.transport._stock._slots) == limits.PLACES

    flavour.run(main)


def test_the_next_address_is_tried(flavour, serve, monkeypatch):
    """One that refuses, and one that never answers, do not keep the others from being used."""
    server = serve((OK,))
    port = int(server.url.rpartition(":")[2])
    full = socket.create_server(("127.0.0.2", port), backlog=0)  # its queue is full, so it answers nobody
    waiting = [socket.socket() for _ in range(3)]
    for each in waiting:
        each.setblocking(False)
        each.connect_ex(("127.0.0.2", port))
    found = [("127.0.0.3", port), ("127.0.0.2", port), ("127.0.0.1", port)]
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", each) for each in found]
    )

    async def main():
        async with User(flavour, server.url) as user:
            return await user.ask()

    try:
        assert flavour.run(main) == (200, b"hi")
    finally:
        for each in (full, *waiting):
            each.close()


def test_opening_has_a_limit_and_an_end(flavour, serve, monkeypatch):
    """Whatever takes long: the resolving of the name, or the handshake of TLS."""
    over = threading.Event()
    server = serve((OK,))

    def slow(*_args, **_kwargs):
        over.wait(PATIENCE)
        return []

    async def main():
        async with User(flavour, server.url) as user:
            monkeypatch.setattr(socket, "getaddrinfo", slow)
            with pytest.raises(TimeoutError):
                await user.ask(Opening(connect=0.1))
            over.set()
            monkeypatch.undo()
        async with User(flavour, server.url.replace("http", "https")) as user:  # the server waits for a request
            started = time.monotonic()
            with pytest.raises(TimeoutError):
                await user.ask(Opening(connect=0.2))
            assert time.monotonic() - started < PATIENCE / 2
            assert len(user.transport._stock._slots) == limits.PLACES

    flavour.run(main)


def test_an_abort_ends_the_opening(serve, monkeypatch):
    """A thread is not kept by a name that is not resolved, nor by a handshake that does not end."""
    over = threading.Event()
    server = serve((OK,))
    for url, patched in ((server.url, True), (server.url.replace("http", "https"), False)):
        if patched:
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(PATIENCE) and [])
        transport, opening, errors = package.TRANSPORT.sync_transport(url, None), Opening(), []

        def ask(transport=transport, opening=opening, errors=errors):
            try:
                transport.open(sync_request(transport), opening)
            except OSError as error:
                errors.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        assert opening.began.wait(PATIENCE)
        opening.abort()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        assert errors
        over.set()
        monkeypatch.undo()


def sync_request(transport):
    """Return any request to the origin of a transport."""
    from polyglot_core.plugin import HTTPRequest

    return HTTPRequest("POST", f"http://{transport._host}:{transport._port}/", {}, b"{}")


# Waiting for a place


def test_calls_beyond_the_places_wait_in_turn(flavour, serve, monkeypatch):
    """The number of connections is bounded, and the longest wait ends first."""
    for module in (sync, asynchronous):
        monkeypatch.setattr(module, "PLACES", 1)
    go = threading.Event()
    server = serve((go, OK))

    async def main():
        async with User(flavour, server.url) as user:
            tasks = []
            for number in range(5):
                if flavour.name == "sync":
                    ask = asyncio.to_thread(lambda number=number: asyncio.run(user.ask(path=f"/{number}")))
                else:
                    ask = user.ask(path=f"/{number}")
                tasks.append(asyncio.create_task(ask))
                async with asyncio.timeout(PATIENCE):
                    while len(user.transport._stock._waiters) < number or not server.asked:
                        await asyncio.sleep(0.005)
            go.set()
            await asyncio.gather(*tasks)

    flavour.run(main)
    assert [head.split(b" ")[1] for head, _ in server.asked] == [b"/%d" % number for number in range(5)]
    assert server.connections == 1


def test_waiting_for_a_place_has_a_limit(flavour, serve, monkeypatch):
    """It is the one for connecting, and its error says what to do; the place is not lost."""
    for module in (sync, asynchronous):
        monkeypatch.setattr(module, "PLACES", 1)
    server = serve((CHUNKED, b"2\r\nhi\r\n", "hang"), (OK,))

    async def main():
        async with User(flavour, server.url) as user:
            reply = await user.open()
            with pytest.raises(TransportError, match="in use") as caught:
                await user.ask(Opening(connect=0.1))
            assert caught.value.kind == "pool"
            await user.close(reply)
            return await user.ask()

    assert flavour.run(main) == (200, b"hi")


def test_cancelled_waits_lose_no_place(serve, monkeypatch):
    """Tasks are cancelled while they wait, also at the moment at which a place is granted."""
    monkeypatch.setattr(asynchronous, "PLACES", 1)
    server = serve((0.02, OK))

    async def main():
        from .conftest import Async

        async with User(Async(), server.url) as user:
            for delay in (0, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05):
                tasks = [asyncio.create_task(user.ask()) for _ in range(4)]
                await asyncio.sleep(delay)
                for task in tasks[1:3]:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                assert await user.ask() == (200, b"hi")

    asyncio.run(main())


# Idle connections


def test_idle_connections_are_closed(flavour, serve):
    """Those that are idle for long enough; and all of them with the transport."""
    server = serve((OK, "hang"))

    async def main():
        async with User(flavour, server.url) as user:
            await user.ask()
            user.transport.close_idle(60.0)
            assert user.transport.idle == 1
            user.transport.close_idle(0.0)
            assert user.transport.idle == 0
            await asyncio.sleep(0)

    flavour.run(main)
    assert server.gone.wait(PATIENCE)


def test_a_retired_transport_keeps_no_connection(flavour, serve):
    """What is in use ends first."""
    server = serve((OK,))

    async def main():
        async with User(flavour, server.url) as user:
            reply = await user.open()
            user.transport.retire()
            assert await user.read(reply) == b"hi"
            await user.close(reply)
            return user.transport.idle

    assert flavour.run(main) == 0


def test_few_idle_connections_are_kept(flavour, serve, monkeypatch):
    """After a burst the others are closed."""
    for module in (sync, asynchronous):
        monkeypatch.setattr(module, "MOST_IDLE", 2)
    server = serve((OK,))

    async def main():
        async with User(flavour, server.url) as user:
            replies = [await user.open() for _ in range(5)]
            for reply in replies:
                await user.read(reply)
                await user.close(reply)
            return user.transport.idle

    assert flavour.run(main) == 2
    assert server.connections == 5


def test_a_slow_reader_stops_the_receiving(serve):
    """Asyncio keeps a bounded number of bytes for it, and none is lost."""
    piece = b"x" * 65_536
    server = serve((CHUNKED, *[b"10000\r\n" + piece + b"\r\n"] * 200, LAST))

    async def main():
        from .conftest import Async

        async with User(Async(), server.url) as user:
            reply = await user.open()
            await asyncio.sleep(0.3)
            (connection,) = user.transport._connections
            kept = connection._kept
            body = await user.read(reply)
            await user.close(reply)
            return kept, len(body)

    kept, size = asyncio.run(main())
    assert size == 200 * len(piece)
    assert 0 < kept < 2_000_000


def test_a_drained_connection_receives_again(serve):
    """Also if its reader was slow, so that the receiving was stopped."""
    piece = b"x" * 65_536
    server = serve((CHUNKED, *[b"10000\r\n" + piece + b"\r\n"] * 5, LAST), (OK,))

    async def main():
        from .conftest import Async

        async with User(Async(), server.url) as user:
            reply = await user.open()
            await asyncio.sleep(0.2)
            await reply.drain(PATIENCE)
            await user.close(reply)
            return user.transport.idle, await user.ask()

    assert asyncio.run(main()) == (1, (200, b"hi"))
    assert server.connections == 1


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Return a context with a certificate for localhost, and the file that trusts it."""
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return context, str(file)


def test_tls(flavour, serve, certificate):
    """Requests, bodies of any size, and connections that are used again, as without it."""
    context, ca = certificate
    server = serve((OK,), (CHUNKED, *[b"1\r\nx\r\n"] * 50, LAST), context=context)

    async def main():
        async with User(flavour, server.url, ca) as user:
            return [await user.ask(body=b"y" * 3_000_000), await user.ask()]

    assert flavour.run(main) == [(200, b"hi"), (200, b"x" * 50)]
    assert server.connections == 1


def test_tls_without_trust(flavour, serve, certificate):
    """An unknown certificate is an error of TLS."""
    context, _ = certificate
    server = serve((OK,), context=context)

    async def main():
        async with User(flavour, server.url) as user:
            with pytest.raises(ssl.SSLCertVerificationError):
                await user.ask()

    flavour.run(main)
    assert server.asked == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a.example/v1", b"GET /v1 HTTP/1.1\r\nhost: a.example\r\n\r\n"),
        ("https://a.example:443/", b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n"),
        ("http://a.example:443", b"GET / HTTP/1.1\r\nhost: a.example:443\r\n\r\n"),
        ("http://[::1]:80/a%20b?c=%2F d", b"GET /a%20b?c=%2F%20d HTTP/1.1\r\nhost: [::1]\r\n\r\n"),
        ("http://a.example/m:x@1/ü", b"GET /m:x@1/%C3%BC HTTP/1.1\r\nhost: a.example\r\n\r\n"),
    ],
)
def test_heads(url, expected):
    """A default port is not named, and what cannot be sent is escaped."""
    assert head_of("GET", url, {}, 0) == expected

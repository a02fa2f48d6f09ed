"""A server that refuses a large body without reading it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from types import SimpleNamespace

import pytest

from polyglot_core import Connection, Retries
from polyglot_core.errors import InvalidRequest
from polyglot_core.plugin import Finish, TextDelta

pytestmark = pytest.mark.http

LARGE = "x" * 30_000_000  # more than the buffers of both ends hold
REFUSAL = b'{"error": {"message": "Too large."}}'


@pytest.fixture(scope="module")
def authority():
    """A certificate authority: the context of its server, and the file of its certificate."""
    trustme = pytest.importorskip("trustme")
    made = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.issue_cert("127.0.0.1").configure_cert(context)
    with made.cert_pem.tempfile() as file:
        yield SimpleNamespace(context=context, file=file)


@pytest.fixture
def refusing(toy_driver, http, toy):
    """Return a function that starts a server which refuses large requests after their head, and returns a connection.

    It reads nothing more of the body, and then closes the connection or leaves it open.
    """
    over = threading.Event()
    listeners = []
    small = b"".join(http.plain(toy.body(TextDelta("one"), Finish("stop", "stop"))))

    def serve(*, closes=False, body=REFUSAL, tls=None):
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        refusal = b"".join(http.plain(body, 413))

        def respond(sock):
            while True:
                size, left = _read_head(sock)
                if size > len(LARGE):
                    sock.sendall(refusal)
                    return
                while left > 0:
                    left -= len(sock.recv(left))
                sock.sendall(small)

        def run():
            with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
                while True:
                    plain, _ = listener.accept()
                    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # closing would drop what waits
                    sock = stack.enter_context(
                        plain if tls is None else tls.context.wrap_socket(plain, server_side=True)
                    )
                    with contextlib.suppress(ConnectionError):
                        respond(sock)
                    if closes:
                        sock.close()
                    else:
                        over.wait(60)

        threading.Thread(target=run, daemon=True).start()
        return Connection(
            name="here",
            driver="toy",
            model="m",
            base_url=f"{'http' if tls is None else 'https'}://127.0.0.1:{listener.getsockname()[1]}/v1",
            api_key="test-key",
            ca=None if tls is None else tls.file,
            retries=Retries(max_retries=0),
        )

    yield serve
    over.set()
    for listener in listeners:
        listener.close()


def _read_head(sock):
    """Read the head of a request; return the size of its body, and how much of that was not read."""
    head = b""
    while b"\r\n\r\n" not in head:
        if not (piece := sock.recv(4096)):
            raise ConnectionResetError
        head += piece
    head, _, beginning = head.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    size = next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:"))
    return size, size - len(beginning)


@pytest.fixture
def refuse(flavour):
    """Makes a call with a large body, after a small one if the connection is to be a kept one; returns its error."""

    def run(connection, *, kept=False):
        async def main():
            inference = flavour.Inference(connection)
            async with flavour.inside(inference):
                if kept:
                    assert await flavour.wait(inference.create("Hi").text()) == "one"
                stream = inference.stream(LARGE, timeouts={"first": 16.0, "total": 16.0})
                with pytest.raises(InvalidRequest, match="Too large") as caught:
                    await flavour.wait(stream.response())
            return caught.value

        return flavour.run(main)

    return run


# A kept connection that stays open is missing: the refusal often did not reach the client in this test, for a reason
# that is not known; where it arrives, it is read.
@pytest.mark.parametrize(
    ("closes", "kept"),
    [(False, False), (True, False), (True, True)],
    ids=["open-new", "closed-new", "closed-kept"],
)
def test_refusal_is_seen_while_the_body_is_written(refuse, refusing, closes, kept):
    """The error of a response that is sent before the body was read is raised, long before a clock runs out."""
    error = refuse(refusing(closes=closes), kept=kept)
    assert (error.status, error.elapsed < 10) == (413, True)


@pytest.mark.parametrize("kept", [False, True], ids=["new", "kept"])
def test_refusal_is_seen_within_tls(refuse, refusing, authority, kept):
    """Where the server closes the connection, its response is read before, over TLS too."""
    error = refuse(refusing(closes=True, tls=authority), kept=kept)
    assert (error.status, error.elapsed < 10) == (413, True)

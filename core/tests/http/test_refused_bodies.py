"""A server that refuses a large body without reading it."""

from __future__ import annotations

import socket
import threading

import pytest

from polyglot_core import Connection, Retries
from polyglot_core.errors import InvalidRequest

pytestmark = pytest.mark.http

LARGE = "x" * 30_000_000  # more than the buffers of both ends hold


@pytest.fixture
def refusing(toy_driver):
    """Return a function that starts a server which refuses requests after their head, and returns a connection."""
    over = threading.Event()
    listeners = []

    def serve(body):
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def run():
            sock, _ = listener.accept()
            with sock:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += sock.recv(1024)
                sock.sendall(
                    b"HTTP/1.1 413 Whatever\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
                    % (len(body), body)
                )
                over.wait(60)

        threading.Thread(target=run, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        return Connection(
            name="here", driver="toy", model="m", base_url=url, api_key="test-key", retries=Retries(max_retries=0)
        )

    yield serve
    over.set()
    for listener in listeners:
        listener.close()


def test_refusal_is_seen_while_the_body_is_written(flavour, refusing):
    """The error of a response that is sent before the body was read is raised, long before a clock runs out."""
    if flavour.name == "asyncio":
        pytest.skip("asyncio drops what was received when a write fails")
    connection = refusing(b'{"error": {"message": "Too large."}}')

    async def main():
        stream = flavour.Inference(connection).stream(LARGE, timeouts={"first": 60.0, "total": 60.0})
        with pytest.raises(InvalidRequest, match="Too large") as caught:
            await flavour.wait(stream.response())
        assert caught.value.status == 413
        assert caught.value.elapsed < 30

    flavour.run(main)

"""A driver that was written for contract 1 works with the present core: each of its hooks, sync and async.

The driver is frozen. A test that fails here is fixed in core.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from polyglot_core import (
    AsyncInference,
    Connection,
    Inference,
    Message,
    RateLimited,
    RequestError,
    Tool,
    register,
)
from polyglot_core._drivers.bound import Driver

FOLDER = Path(__file__).parents[1] / "third_party/contract_one/src/polyglot_contract_one"
FROZEN = {
    "__init__.py": "e5150cc90ac8657e4a3eda0d1e05a54175877c8423181269ff749184caa34197",
    "driver.py": "4d69b9587a5f0764d55b91827371f01ff3e5e1a70c57fdd2bfb39259966eff7e",
    "presets.py": "21b94a10acaf1772eb9e638d6ac9ff6a857c6483929e03bfd4c961bfa494cc8d",
}
"""SHA-256 of the files. It never changes."""

HOOKS = {
    "authorize",
    "decode_chunk",
    "decode_error",
    "encode_prefill",
    "encode_request",
    "encode_resume",
    "extract_usage",
    "list_models",
}
KEY = "test-key-12345"

STORY = [
    {"id": "r-1", "model": "one-1-large"},
    {"thought": "Hm."},
    {"text": "Hel"},
    {"text": "lo"},
    {"call": {"id": "c-1", "name": "weather", "with": '{"city": "Oslo"}'}},
    {"usage": {"read": 4, "written": 2}},
    {"because": "all said"},
]
WHOLE = {
    "id": "r-1",
    "model": "one-1-large",
    "thought": "Hm.",
    "text": "Hello",
    "call": {"id": "c-1", "name": "weather", "with": '{"city": "Oslo"}'},
    "usage": {"read": 4, "written": 2},
    "because": "all said",
}


class Provider(ThreadingHTTPServer):
    """The provider on loopback. It keeps its requests, and sends `replies` in order: a status and a body."""

    daemon_threads = True

    def __init__(self, *replies):
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies = list(replies)
        self.requests = []


class Handler(BaseHTTPRequestHandler):
    """Sends the next reply to any request."""

    def reply(self):
        length = int(self.headers.get("content-length", 0))
        body = json.loads(self.rfile.read(length)) if length else None
        self.server.requests.append((self.path, self.headers["x-key"], body))
        status, kind, data = self.server.replies.pop(0)
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = reply  # noqa: N815 (the names of http.server)

    def log_message(self, *_):
        """Log nothing."""


def streamed(*pieces):
    return 200, "text/event-stream", b"".join(b"data: %s\n\n" % json.dumps(piece).encode() for piece in pieces)


def plain(value, status=200):
    return status, "application/json", json.dumps(value).encode()


@pytest.fixture
def provider():
    """Return a function that starts the provider with replies, and returns it with a connection to it."""
    started = []

    def start(*replies):
        server = Provider(*replies)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        started.append((server, thread))
        url = f"http://127.0.0.1:{server.server_port}/v1"
        facts = {"driver": "contract-one", "auth_header": "x-key", "auth_scheme": "", "model": "one-1"}
        connection = Connection(name="one", base_url=url, api_key=KEY, retries=0, facts={"limit": "longest"}, **facts)
        return server, connection

    yield start
    for server, thread in started:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def driver():
    """Import the driver from its file, and register it."""
    spec = importlib.util.spec_from_file_location("polyglot_contract_one_frozen", FOLDER / "driver.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with register(module, "contract-one"):
        yield module
    del sys.modules[spec.name]


def waited(asynchronous, connection, **arguments):
    """Return the response to a call, made sync or async."""
    if not asynchronous:
        return Inference.from_connection(connection).create(**arguments).response()

    async def wait():
        return await AsyncInference.from_connection(connection).create(**arguments).response()

    return asyncio.run(wait())


@pytest.mark.parametrize("name", FROZEN)
def test_the_driver_is_frozen(name):
    """No file of the driver was edited since it was written."""
    assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == FROZEN[name]


def test_every_hook_is_taken(driver, caplog):
    """The core calls all its hooks, and warns of nothing."""
    assert set(Driver("contract-one", driver).hooks) == HOOKS
    assert caplog.records == []


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "plain"])
def test_response(provider, stream, asynchronous):
    """A response is decoded with its id, thinking, text, tool call, usage and finish."""
    server, connection = provider(streamed(*STORY) if stream else plain(WHOLE))
    arguments = {
        "messages": [Message(role="user", content="Hi")],
        "tools": [Tool("weather", parameters={"type": "object"})],
        "options": {"max_tokens": 50, "temperature": 0.5},
        "extra": {"colour": "red"},
        "stream": stream,
    }
    response = waited(asynchronous, connection, **arguments)
    assert (response.id, response.model, response.content) == ("r-1", "one-1-large", "Hello")
    assert (response.choices[0].reasoning_content, response.finish_reason) == ("Hm.", "tool_calls")
    (call,) = response.tool_calls
    assert (call.id, call.name, call.arguments) == ("c-1", "weather", {"city": "Oslo"})
    assert (response.usage.input_tokens, response.usage.output_tokens) == (4, 2)
    ((path, key, body),) = server.requests
    assert (path, key) == ("/v1/answers", KEY)
    assert body == {
        "engine": "one-1",
        "talk": [{"role": "user", "content": "Hi"}],
        "tools": [{"name": "weather", "parameters": {"type": "object"}}],
        "live": stream,
        "longest": 50,
        "heat": 0.5,
        "colour": "red",
    }


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_error_response(provider, asynchronous):
    """The driver's `decode_error` reads the body; the class is that of the status."""
    _, connection = provider(plain({"wrong": "Too fast.", "kind": "rate"}, 429))
    with pytest.raises(RateLimited, match=r"Too fast\."):
        waited(asynchronous, connection, messages="Hi")


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("resume", "sent", "rest"),
    [
        ("prefill", {"begun": "Hel"}, [{"text": "lo"}]),
        ("provider", {"resume": "r-1"}, [{"text": "lo"}]),
    ],
)
def test_resumed_response(provider, resume, sent, rest, asynchronous):
    """An interrupted response is resumed with the driver's hook, which finds what `decode_chunk` has kept."""
    begun = [{"id": "r-1", "model": "one-1-large"}, {"text": "Hel"}]
    server, connection = provider(streamed(*begun), streamed(*rest, {"because": "all said"}))
    response = waited(
        asynchronous,
        connection.with_changes(retries=1),
        messages="Hi",
        stream=True,
        resume=resume,
        extra={"store": True},
    )
    assert response.content == "Hello"
    second = server.requests[1][2]
    assert {name: second[name] for name in sent} == sent


def test_resume_that_the_driver_rejects(provider):
    """Its `RequestError` is raised before anything is sent."""
    server, connection = provider()
    with pytest.raises(RequestError, match="stored responses only"):
        waited(False, connection, messages="Hi", stream=True, resume="provider")
    assert server.requests == []


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_list_of_models(provider, asynchronous):
    """The pages of the list are read with the driver's hook, and the key is sent."""
    server, connection = provider(plain({"engines": ["one-1"], "next": "one-1"}), plain({"engines": ["one-2"]}))
    if asynchronous:

        async def wait():
            return await AsyncInference.from_connection(connection).models()

        found = asyncio.run(wait())
    else:
        found = Inference.from_connection(connection).models()
    assert [model.id for model in found] == ["one-1", "one-2"]
    assert [(path, key) for path, key, _ in server.requests] == [
        ("/v1/engines", KEY),
        ("/v1/engines?after=one-1", KEY),
    ]

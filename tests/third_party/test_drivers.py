"""Drivers as third parties write them: each is short, passes the exam, and streams over a socket."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import json
import struct
import sys
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.architecture.sizes import code_lines

from polyglot_core import AsyncInference, AuthenticationError, Connection, Inference, ProviderError, Truncated, register
from polyglot_core.plugin import InferenceRequest, Message
from polyglot_testkit import Recording, check_driver

HERE = Path(__file__).parent
TEXT = "Grüne Äpfel 🍏"
KEY = "test-key"


def module_of(name):
    """Import the driver of a package that is not installed."""
    path = HERE / name / "src" / f"polyglot_{name}" / "driver.py"
    spec = importlib.util.spec_from_file_location(f"polyglot_{name}_driver", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # by its name, types are found
    spec.loader.exec_module(module)
    return module


def recorded(name, file, **fields):
    body = (HERE / name / "recordings" / file).read_bytes()
    further = tuple((HERE / name / "recordings" / each).read_bytes() for each in fields.pop("further", ()))
    streamed = fields.pop("streamed", file.endswith(".sse"))
    return Recording(name=file, body=body, further=further, streamed=streamed, **fields)


def frame(payload, event="chunk", kind="event"):
    """Return a binary frame of AWS's."""
    names = {":message-type": kind, f":{kind}-type": event, ":content-type": "application/json"}
    headers = b"".join(
        bytes([len(name)]) + name.encode() + b"\7" + struct.pack(">H", len(text)) + text.encode()
        for name, text in names.items()
    )
    data = json.dumps(payload).encode()
    lengths = struct.pack(">II", 16 + len(headers) + len(data), len(headers))
    body = lengths + struct.pack(">I", zlib.crc32(lengths)) + headers + data
    return body + struct.pack(">I", zlib.crc32(body))


def in_frames(*events):
    """Return events of Anthropic's in frames of Bedrock's."""
    return b"".join(frame({"bytes": base64.b64encode(json.dumps(event).encode()).decode()}) for event in events)


MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-leaf-1"}
MESSAGES_EVENTS = (
    {"type": "message_start", "message": {**MESSAGE, "content": [], "usage": {"input_tokens": 9}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Grüne"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " Äpfel 🍏"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}},
    {"type": "message_stop"},
)
MESSAGES_BODY = {
    **MESSAGE,
    "content": [{"type": "text", "text": TEXT}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 9, "output_tokens": 4},
}
FRAMES = {"content-type": "application/vnd.amazon.eventstream"}


def messages_recordings():
    thrown = in_frames(*MESSAGES_EVENTS[:3]) + frame({"message": "Slow down."}, "throttlingException", "exception")
    refused = {"x-amzn-errortype": "ThrottlingException:"}
    return [
        Recording(name="stream", body=in_frames(*MESSAGES_EVENTS), headers=FRAMES, same_as="plain"),
        Recording(name="plain", body=json.dumps(MESSAGES_BODY).encode(), streamed=False),
        Recording(name="thrown", body=thrown, headers=FRAMES, fails=True, code="throttlingException"),
        Recording(
            name="refused", body=b'{"message": "Slow down."}', status=429, streamed=False, fails=True, headers=refused
        ),
    ]


EXAMS = {
    "tgi": (
        [
            recorded("tgi", "text.sse", same_as="text.json"),
            recorded("tgi", "text.json"),
            recorded("tgi", "length.sse"),
            recorded("tgi", "failed.sse", fails=True, code="generation"),
            recorded("tgi", "refused.json", status=422, fails=True),
        ],
        "tgi",
    ),
    "bedrock_messages": (messages_recordings(), "bedrock-messages"),
    "replicate": (
        [
            recorded("replicate", "created.json", streamed=True, further=["output.sse"], same_as="starting.json"),
            recorded("replicate", "starting.json", further=["processing.json", "succeeded.json"]),
            recorded("replicate", "failed.json", fails=True, code="failed"),
            recorded("replicate", "refused.json", status=401, fails=True),
        ],
        "replicate",
    ),
}


@pytest.mark.parametrize("name", EXAMS)
def test_driver_is_short_and_passes_the_exam(name):
    """Each driver has fewer than 100 lines of code and passes the exam."""
    module = module_of(name)
    assert code_lines(Path(module.__file__)) < 100
    recordings, driver = EXAMS[name]
    made = Connection(name="exam", driver=driver, base_url="https://api.example.com/v1", model="acme/leaf")
    requests = [
        InferenceRequest(model="acme/leaf", messages=(Message(role="user", content="Hello"),), options={"top_p": 0.5})
    ]
    report = check_driver(module, recordings, connection=made, requests=requests)
    assert "a whole recording finishes" in report.passed
    if name == "replicate":
        assert "follow up requests receive the response" in report.passed
        assert "work is cancelled by what identifies it" in report.passed


class Provider(ThreadingHTTPServer):
    """A server that replies to each path with a status, a content type and a body, and notes what it received."""

    daemon_threads = True

    def __init__(self, replies):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.replies = {path: list(each) for path, each in replies(self.url).items()}
        self.received = []


class Handler(BaseHTTPRequestHandler):
    """Replies with the next script of the path, of which the last one is repeated."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"] or 0))
        self.server.received.append((self.command, self.path, dict(self.headers.items()), body))
        replies = self.server.replies[self.path]
        status, kind, body = replies.pop(0) if len(replies) > 1 else replies[0]
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST  # noqa: N815 (the name is the base class's)

    def log_message(self, *_):
        """Log nothing."""


@pytest.fixture
def serve():
    """Start servers that are closed at the end."""
    started = []

    def start(replies):
        server = Provider(replies)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        started.append((server, thread))
        return server

    yield start
    for server, thread in started:
        server.shutdown()
        thread.join()
        server.server_close()


def streamed(connection):
    """Return the response of a stream, which sync and async code receive alike."""

    async def main():
        async with AsyncInference(connection).create("Hello", stream=True).stream() as stream:
            return [partial.content_delta async for partial in stream], await stream.response()

    with Inference(connection).create("Hello", stream=True).stream() as stream:
        deltas, response = [partial.content_delta for partial in stream], stream.response()
    assert asyncio.run(main())[0] == deltas
    return deltas, response


SSE, JSON = "text/event-stream", "application/json"


def test_text_generation_inference(serve):
    """Tokens are streamed; a plain response is equal."""
    body, whole = EXAMS["tgi"][0][0].body, EXAMS["tgi"][0][1].body
    server = serve(lambda _: {"/generate_stream": [(200, SSE, body)], "/generate": [(200, JSON, whole)]})
    with register(module_of("tgi"), "tgi"):
        made = Connection(name="tgi", driver="tgi", base_url=f"{server.url}/", model="leaf")
        deltas, response = streamed(made)
        plain = Inference(made).create("Hello", options={"max_tokens": 5}).response()
    assert deltas == ["Grün", "e", " Äpfel 🍏", ""]
    assert response.content == plain.content == TEXT
    assert (response.usage.input_tokens, response.usage.output_tokens, response.finish_reason) == (9, 4, "stop")
    sent = json.loads(server.received[-1][3])
    assert sent == {"inputs": "user: Hello\nassistant:", "parameters": {"details": True, "max_new_tokens": 5}}


def test_messages_by_bedrock(serve):
    """Both reused drivers work together: Anthropic's messages in Bedrock's frames, with Bedrock's key."""
    path = "/model/claude-leaf-1/invoke"
    server = serve(
        lambda _: {
            f"{path}-with-response-stream": [(200, FRAMES["content-type"], in_frames(*MESSAGES_EVENTS))],
            path: [(200, JSON, json.dumps(MESSAGES_BODY).encode())],
        }
    )
    with register(module_of("bedrock_messages"), "bedrock-messages"):
        made = Connection(name="b", driver="bedrock-messages", base_url=server.url, model="claude-leaf-1", api_key=KEY)
        deltas, response = streamed(made)
        plain = Inference(made).create("Hello").response()
    assert deltas == ["Grüne", " Äpfel 🍏", ""]
    assert response.content == plain.content == TEXT
    assert (response.usage.input_tokens, response.usage.output_tokens, response.id) == (9, 4, "msg_1")
    _, _, headers, body = server.received[-1]
    assert headers["authorization"] == f"Bearer {KEY}"
    sent = json.loads(body)
    assert sent["anthropic_version"] == "bedrock-2023-05-31"
    assert not {"model", "stream"} & set(sent)


def predictions(stream=None, *polled):
    """Return the replies of a server of predictions. `stream` is the body at the URL of the stream."""

    def replies(url):
        urls = {"get": f"{url}/predictions/p1", "cancel": f"{url}/predictions/p1/cancel"}
        created = {"id": "p1", "status": "starting", "urls": urls | ({"stream": f"{url}/files/p1"} if stream else {})}
        states = [(200, JSON, json.dumps({**created, **each}).encode()) for each in polled]
        return {
            "/models/acme/leaf/predictions": [(201, JSON, json.dumps(created).encode())],
            "/files/p1": [(200, SSE, stream or b"")],
            "/predictions/p1": states,
            "/predictions/p1/cancel": [(200, JSON, b"{}")],
        }

    return replies


@pytest.fixture
def replicate(monkeypatch):
    """Register the driver, with pauses that are no longer than a test may take."""
    module = module_of("replicate")
    monkeypatch.setattr(module, "PAUSE", 0.01)
    with register(module, "replicate"):
        yield lambda server: Connection(
            name="r", driver="replicate", base_url=server.url, model="acme/leaf", api_key=KEY, retries=0
        )


def paths(server):
    return [f"{method} {path}" for method, path, _, _ in server.received]


CREATE = "POST /models/acme/leaf/predictions"


def test_prediction_that_is_streamed(serve, replicate):
    """The output is received from the URL in the first response, and nothing is cancelled after its end."""
    server = serve(predictions((HERE / "replicate/recordings/output.sse").read_bytes()))
    deltas, response = streamed(replicate(server))
    assert deltas == ["Grüne", " Äpfel 🍏", ""]
    assert (response.content, response.id, response.failed_attempts) == (TEXT, "p1", ())
    assert paths(server) == [CREATE, "GET /files/p1"] * 2
    assert all(headers["authorization"] == f"Bearer {KEY}" for _, _, headers, _ in server.received)


def test_prediction_that_is_polled(serve, replicate):
    """A plain response is requested until it is there."""
    done = {"status": "succeeded", "output": ["Grüne", " Äpfel 🍏"], "metrics": {"output_token_count": 4}}
    server = serve(predictions(None, {}, {"status": "processing"}, done))
    response = Inference(replicate(server)).create("Hello").response()
    assert (response.content, response.usage.output_tokens) == (TEXT, 4)
    assert paths(server) == [CREATE, *["GET /predictions/p1"] * 3]


def test_prediction_that_is_abandoned(serve, replicate):
    """Leaving the block cancels the prediction, which would be paid for otherwise."""
    body = (HERE / "replicate/recordings/output.sse").read_bytes()
    server = serve(predictions(body[: body.index(b"event: done")]))
    with Inference(replicate(server)).create("Hello", stream=True).stream() as stream:
        assert stream.next().content == "Grüne"
    assert paths(server) == [CREATE, "GET /files/p1", "POST /predictions/p1/cancel"]
    with pytest.raises(Truncated):
        Inference(replicate(server)).create("Hello", stream=True).response()


def test_prediction_that_fails(serve, replicate):
    """The reason of the provider is in the error."""
    server = serve(predictions(None, {"status": "failed", "error": "CUDA out of memory"}))
    with pytest.raises(ProviderError, match="CUDA out of memory"):
        Inference(replicate(server)).create("Hello").response()
    refused = serve(lambda _: {"/models/acme/leaf/predictions": [(401, JSON, b'{"detail": "No."}')]})
    with pytest.raises(AuthenticationError):
        Inference(replicate(refused)).create("Hello").response()

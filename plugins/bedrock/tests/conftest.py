"""Helpers that bind the driver to a connection and decode frames without a socket."""

from __future__ import annotations

import json
import struct
import zlib

import msgspec
import pytest

from polyglot_bedrock import driver, signing
from polyglot_core.plugin import Connection, InferenceRequest, Message
from polyglot_core.testing import bind
from polyglot_testkit import Recording, replay

FRAMES = {"content-type": "application/vnd.amazon.eventstream"}
JSON = {"content-type": "application/json"}


def frame(payload, **headers):
    """Return one binary frame; headers are passed as ``event_type="…"``."""
    block = b"".join(
        bytes([len(name) + 1])
        + b":"
        + name.replace("_", "-").encode()
        + b"\x07"
        + struct.pack(">H", len(text))
        + text.encode()
        for name, text in headers.items()
    )
    data = json.dumps(payload).encode()
    lengths = struct.pack(">II", 16 + len(block) + len(data), len(block))
    body = lengths + struct.pack(">I", zlib.crc32(lengths)) + block + data
    return body + struct.pack(">I", zlib.crc32(body))


def stream(*events):
    """Return frames of (event, payload)."""
    return b"".join(frame(payload, event_type=name, message_type="event") for name, payload in events)


def thrown(name, payload):
    """Return the frame of an exception."""
    return frame(payload, exception_type=name, message_type="exception")


def delta(index, **more):
    return ("contentBlockDelta", {"contentBlockIndex": index, "delta": more, "p": "abc"})


def stop(index):
    return ("contentBlockStop", {"contentBlockIndex": index})


def start(index, **what):
    return ("contentBlockStart", {"contentBlockIndex": index, "start": what})


def plain(*content, reason="end_turn", **usage):
    """Return a whole response."""
    message = {"role": "assistant", "content": list(content)}
    return json.dumps({"output": {"message": message}, "stopReason": reason, "usage": usage, "metrics": {}}).encode()


def connect(**fields):
    settings = {"name": "garden", "driver": "bedrock", "model": "garden.leaf-v1:0", "api_key": "test-key"}
    return bind(driver, Connection(**{**settings, **fields}))


def request(messages="Hello", *, model="garden.leaf-v1:0", **fields):
    turns = (Message(role="user", content=messages),) if isinstance(messages, str) else tuple(messages)
    return InferenceRequest(model=model, messages=turns, **fields)


def recording(name, body, **fields):
    streamed = fields.setdefault("streamed", True)
    return Recording(
        name=name, body=body, headers={**(FRAMES if streamed else JSON), **fields.pop("headers", {})}, **fields
    )


def replay_body(body, *, pieces=None, **fields):
    """Return response, partials and error of a body."""
    return replay(connect(), recording("given", body, **fields), pieces=pieces)


def events(body, **fields):
    return replay(connect(), recording("given", body, **fields)).events


def body_of(*args, connection=(), **fields):
    """Return the body of an encoded request, parsed."""
    return msgspec.json.decode(connect(**dict(connection)).encode(request(*args, **fields)).body)


@pytest.fixture(autouse=True)
def no_credentials_of_this_machine(monkeypatch, tmp_path):
    """Hide the AWS configuration of the machine that the tests run on."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "PROFILE", "BEARER_TOKEN_BEDROCK"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    for name in ("CONFIG_FILE", "SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(f"AWS_{name}", str(tmp_path / name.lower()))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(signing, "_credentials", {})
    return tmp_path


@pytest.fixture
def kit():
    """Return the helpers of this folder's tests."""
    return type("Kit", (), {name: staticmethod(value) for name, value in globals().items() if callable(value)})

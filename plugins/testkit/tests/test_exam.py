"""The exam is passed by a driver that keeps the contract, and notices each way of not keeping it."""

from __future__ import annotations

import types
from pathlib import Path

import msgspec
import pytest

from polyglot_core.plugin import End, Failure, Finish, TextDelta, Usage, WireRequest, hookimpl
from polyglot_testkit import CHECKS, ExamFailed, Recording, check_driver

STREAM = b'data: {"t":"Hel"}\n\ndata: {"t":"lo"}\n\ndata: {"f":"stop"}\n\ndata: {"end":1}\n\n'
RECORDINGS = [
    Recording(name="a stream", body=STREAM, same_as="a plain answer"),
    Recording(name="a plain answer", body=b'{"t":"Hello","f":"stop"}', streamed=False),
    Recording(name="an error", body=b'data: {"e":"busy"}\n\n', fails=True, code="busy"),
    Recording(name="a status", body=b'{"error":{"code":"nope"}}', status=400, fails=True, code="nope"),
]


def _encode(connection, request):
    body = {"model": request.model, "text": request.messages[0].text, "stream": request.stream}
    framing = "sse" if request.stream else "whole"
    return WireRequest(url=f"{connection.base_url}/say", body=msgspec.json.encode(body), framing=framing)


def _decode(chunk):
    said = msgspec.json.decode(chunk.data)
    if not isinstance(said, dict):
        return []
    events = []
    if isinstance(said.get("e"), str):
        events.append(Failure(message="no", code=said["e"]))
    if isinstance(said.get("t"), str):
        events.append(TextDelta(said["t"]))
    if isinstance(said.get("f"), str):
        events.append(Finish("stop", said["f"]))
    if said.get("end"):
        events.append(End())
    return events


def driver(**changes):
    """A module of hooks, some of them replaced."""
    hooks = {"encode_request": _encode, "decode_chunk": _decode, "extract_usage": lambda payload: Usage()} | changes
    module = types.ModuleType("driver")
    for name, hook in hooks.items():
        setattr(module, name, hookimpl(hook))
    return module


def test_a_driver_that_keeps_the_contract_passes_every_check():
    """A sound driver passes, and nothing is left unchecked."""
    report = check_driver(driver(), RECORDINGS)
    assert set(report.passed) == set(CHECKS)
    assert report.skipped == ()


def test_checks_without_recordings_are_said_to_be_skipped():
    """What there is nothing to check for is not called passed."""
    report = check_driver(driver(), [])
    assert "streamed and plain agree" in report.skipped


def _encode_with_key(connection, request):
    wire = _encode(connection, request)
    return msgspec.structs.replace(wire, url=wire.url + "?key=" + connection.secret.reveal())


def _encode_with_file(connection, request):
    Path(__file__).read_bytes()
    return _encode(connection, request)


_count = iter(range(10_000))


def _encode_differently(connection, request):
    wire = _encode(connection, request)
    return msgspec.structs.replace(wire, headers={"x-count": str(next(_count))})


def _encode_streams_otherwise(connection, request):
    wire = _encode(connection, request)
    return msgspec.structs.replace(wire, body=wire.body[:-1] + b',"warm":%d}' % request.stream)


def _decode_by_memory():
    seen = []

    def decode_chunk(chunk):
        seen.append(chunk)
        return [*_decode(chunk), *([TextDelta("!")] if len(seen) % 2 else [])]

    return decode_chunk


def _decode_swallowing_errors(chunk):
    return [event for event in _decode(chunk) if not isinstance(event, Failure)]


def _decode_strictly(chunk):
    said = msgspec.json.decode(chunk.data)
    if set(said) - {"t", "f", "end", "e"}:
        raise ValueError
    return _decode(chunk)


def _decode_plain_otherwise(chunk):
    extra = [TextDelta("?")] if chunk.kind == "whole" else []
    return [*extra, *_decode(chunk)]


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"encode_request": _encode_with_key}, "the key stays out of url and body"),
        ({"encode_request": _encode_with_file}, "encoding is deterministic and touches nothing"),
        ({"encode_request": _encode_differently}, "encoding is deterministic and touches nothing"),
        ({"encode_request": _encode_streams_otherwise}, "stream is only a switch"),
        ({"decode_chunk": _decode_by_memory()}, "any split gives the same answer"),
        ({"decode_chunk": _decode_swallowing_errors}, "errors are provider errors"),
        ({"decode_chunk": _decode_strictly}, "the unknown is ignored"),
        ({"decode_chunk": _decode_plain_otherwise}, "streamed and plain agree"),
        ({"decode_chunk": lambda chunk: [End()]}, "errors are provider errors"),
        ({"decode_chunk": lambda chunk: [TextDelta("x")]}, "a whole recording finishes"),
    ],
)
def test_the_exam_notices(changes, check):
    """Each way of breaking the contract fails the check that is named after it."""
    with pytest.raises(ExamFailed, match=check):
        check_driver(driver(**changes), RECORDINGS)

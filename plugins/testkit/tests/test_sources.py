"""Cassettes of VCR and bare bodies: what is read from them, and what is wrong with others."""

from __future__ import annotations

import base64
import gzip
import json

import pytest
import yaml

from polyglot_core import ConfigError, Truncated
from polyglot_testkit import Recording, RecordingError, Replay, exchanges_in, recordings

KEY = "sk-garden-1234567"
STREAM = (
    b'data: {"choices": [{"index": 0, "delta": {"content": "Hello."}}]}\n\n'
    b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'
    b"data: [DONE]\n\n"
)
PLAIN = {"choices": [{"index": 0, "message": {"role": "assistant", "content": f"Not {KEY}."}, "finish_reason": "stop"}]}
URI = f"https://api.openai.com/v1/chat/completions?api_key={KEY}"


def asked(stream):
    """Return the body of a request."""
    fields = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": stream}
    return json.dumps(fields | ({"stream_options": {"include_usage": True}} if stream else {}))


def cassette(*, binary):
    """Return the interactions of a cassette, as VCR has them."""
    coded = gzip.compress(json.dumps(PLAIN).encode())
    headers = {"Authorization": [f"Bearer {KEY}"], "content-type": ["application/json"]}
    return {
        "version": 1,
        "interactions": [
            {
                "request": {"method": "POST", "uri": URI, "headers": headers, "body": asked(stream=True)},
                "response": {
                    "status": {"code": 200, "message": "OK"},
                    "headers": {"Content-Type": ["text/event-stream"], "Set-Cookie": [f"k={KEY}"]},
                    "body": {"string": STREAM.decode()},
                },
            },
            {
                "request": {"method": "POST", "uri": URI, "headers": headers, "body": asked(stream=False)},
                "response": {
                    "status": {"code": 200, "message": "OK"},
                    "headers": {"Content-Type": ["application/json"], "Content-Encoding": ["gzip"]},
                    "body": {"string": coded} if binary else {"base64_string": base64.b64encode(coded).decode()},
                },
            },
        ],
    }


@pytest.fixture(params=["cassette.yaml", "cassette.yml", "cassette.json"])
def file(request, tmp_path):
    """Return a cassette."""
    path = tmp_path / request.param
    is_json = path.suffix == ".json"
    text = json.dumps(cassette(binary=False)) if is_json else yaml.safe_dump(cassette(binary=True))
    path.write_text(text)
    return path


def test_a_cassette_is_replayed(flavour, file):
    """Its interactions have requests, so that they are compared; the driver is named by the caller."""
    replay = Replay(file, driver="openai", model="m")
    inference = replay.inference() if flavour.backend is None else replay.async_inference()
    assert flavour.response(inference, stream=True).content == "Hello."
    assert flavour.response(inference, stream=False).content == "Not ***."


def test_a_cassette_has_no_key_once_it_is_read(file):
    """It may have been recorded without a filter."""
    found = exchanges_in(file)
    assert [exchange.status for exchange in found] == [200, 200]
    assert KEY not in repr(found)
    assert found[0].headers == {"content-type": "text/event-stream"}
    assert found[0].body == STREAM


def test_a_cassette_is_for_the_exam(file):
    """A recording for each response."""
    streamed, plain = recordings(file)
    assert (streamed.streamed, streamed.body) == (True, STREAM)
    assert (plain.streamed, json.loads(plain.body)["choices"][0]["finish_reason"]) == (False, "stop")


def test_a_bare_body_is_replayed(flavour, tmp_path):
    """To any request; it states no driver."""
    file = tmp_path / "body.sse"
    file.write_bytes(STREAM)
    replay = Replay(file, driver="openai")
    inference = replay.inference() if flavour.backend is None else replay.async_inference()
    assert flavour.response(inference, "Anything.", stream=True).content == "Hello."
    assert Recording.from_file(file).body == STREAM
    with pytest.raises(ConfigError, match="names no driver; pass one"):
        Replay(file).inference()


def test_a_bare_body_that_is_truncated_is(tmp_path):
    """As it would be over a socket."""
    file = tmp_path / "body.sse"
    file.write_bytes(STREAM[:70])
    with pytest.raises(Truncated):
        Replay(file, driver="openai", retries=0).inference().text("Anything.", stream=True)


@pytest.mark.parametrize("name", ["cassette.yaml", "cassette.json"])
@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", "interactions: 5", '{"interactions": [{"request": {}}]}', "a: !!python/object:os.system {}"],
)
def test_what_is_no_cassette_is_named(tmp_path, name, content):
    """Whatever is wrong with it; nothing of it is run."""
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(RecordingError, match=rf"{name} is not a cassette of VCR"):
        exchanges_in(file)

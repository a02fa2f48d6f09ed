"""The check of embeddings finds drivers that are wrong."""

from __future__ import annotations

import json
import socket

import msgspec
import pytest

from polyglot_core.plugin import Connection, Embeddings, Usage, WireRequest, hookimpl, json_request
from polyglot_core.testing import bind
from polyglot_testkit import ExamFailed, check_embeddings
from polyglot_testkit.check import KEY

BODY = json.dumps({"vectors": [[0.5, 1], [1, 0.25]], "of": "a provider"}).encode()
OPTIONS = {"dimensions": "size", "input_type": "kind", "encoding": "how"}


class Sound:
    """A driver whose embeddings are right."""

    @hookimpl
    def encode_request(self, request):
        return WireRequest(url="http://127.0.0.1:9", body=b"")

    @hookimpl
    def decode_chunk(self, chunk):
        return ()

    @hookimpl
    def extract_usage(self, payload):
        return Usage()

    def body(self, request):
        return {"texts": request.texts, **{OPTIONS[name]: value for name, value in request.options.items()}}

    @hookimpl
    def encode_embeddings(self, request):
        return json_request("http://127.0.0.1:9/embed", self.body(request), stream=False)

    @hookimpl
    def decode_embeddings(self, data):
        body = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        vectors = msgspec.json.decode(body.get("vectors", b"null"), type=list[list[float]])
        return Embeddings(vectors=vectors, raw=({"of": "a provider"},))


class DropsOptions(Sound):
    def body(self, request):
        return {"texts": request.texts}


class DropsTexts(Sound):
    def body(self, request):
        return super().body(request) | {"texts": request.texts[:1]}


class Reverses(Sound):
    def body(self, request):
        return super().body(request) | {"texts": request.texts[::-1]}


class SendsTheKey(Sound):
    def body(self, request):
        return super().body(request) | {"key": KEY}


class Differs(Sound):
    count = 0

    def body(self, request):
        self.count += 1
        return super().body(request) | {"number": self.count}


class LooksUp(Sound):
    def body(self, request):
        socket.getaddrinfo("127.0.0.1", 9)
        return super().body(request)


class ReadsAnything(Sound):
    @hookimpl
    def decode_embeddings(self, request, data):
        return Embeddings(vectors=[[1.0]] * len(request.texts))


class RaisesKeyErrors(Sound):
    @hookimpl
    def decode_embeddings(self, data):
        return Embeddings(vectors=msgspec.json.decode(data)["vectors"])


class ReadsNothing(Sound):
    @hookimpl
    def decode_embeddings(self, data):
        return Embeddings(vectors=msgspec.json.decode(data, type=dict[str, list[list[float]]])["others"])


class KeepsNothing(Sound):
    @hookimpl
    def decode_embeddings(self, data):
        body = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        return Embeddings(vectors=msgspec.json.decode(body.get("vectors", b"null"), type=list[list[float]]))


WRONG = {
    DropsOptions: "the option dimensions has no effect",
    DropsTexts: "a text is not in the request",
    Reverses: "the texts are in another order",
    SendsTheKey: "the key is in the request",
    Differs: "different requests for the same texts",
    LooksUp: "encode_embeddings does I/O",
    ReadsAnything: "decode_embeddings reads",
    RaisesKeyErrors: "decode_embeddings reads",
    ReadsNothing: "decode_embeddings",
    KeepsNothing: "the provider's object is not in raw",
}


def checked(driver):
    connection = Connection(name="here", driver="mine", api_key=KEY)
    return check_embeddings(bind(driver(), connection), ["one", "two"], BODY)


def test_sound_driver_passes():
    """It returns what was read."""
    assert checked(Sound).vectors == [[0.5, 1.0], [1.0, 0.25]]


@pytest.mark.parametrize(("driver", "message"), WRONG.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_wrong_driver_fails(driver, message):
    """Each with a sentence that names what is wrong."""
    with pytest.raises(ExamFailed, match=message):
        checked(driver)

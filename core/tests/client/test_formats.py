"""Response formats that a package offers: how core finds them, asks for them, and reads them."""

from __future__ import annotations

import asyncio
import json
import types

import pytest

from polyglot_core import AsyncInference, ConfigError, Inference, Message, RequestError, ResponseFormatError, Tool
from polyglot_core._config.layers import fold, preset_layer
from polyglot_core._values import entry_points, formats
from polyglot_core.plugin import Finish, Preset, TextDelta

TEXT = ["[1, ", "2", "3, 4", "]"]


class Numbers:
    """A format of numbers, whose text is JSON."""

    def prepare(self, request, mode):
        return request if mode == "native" else _with_turn(request, mode)

    def reader(self, mode, path=None):
        return NumbersReader(path)

    def read(self, response, mode):
        try:
            return tuple(json.loads(response.content))
        except ValueError as error:
            raise ResponseFormatError(str(error), response.content, partial=response) from error


class NumbersReader:
    """Reads numbers once a comma or a bracket follows them."""

    def __init__(self, path):
        self.path = path
        self.text = ""
        self.pieces = []
        self.value = None
        self.taken = 0

    def feed(self, text):
        self.pieces.append(text)
        self.text += text
        *whole, _ = self.text.strip("[").replace("]", ",").split(",")
        self.value = [int(number) for number in whole if number.strip()]

    def elements(self):
        new = self.value[self.taken :]
        self.taken = len(self.value)
        return new

    def close(self):
        if not self.text.endswith("]"):
            raise ResponseFormatError("no list", self.text)


def _with_turn(request, mode):
    from msgspec.structs import replace

    return replace(request, messages=(*request.messages, Message(role="user", content=mode)))


class Ints(list):
    """The type that the format is for."""


PACKAGE = types.SimpleNamespace(
    format_of=lambda kind: Numbers() if kind is Ints else None,
    json_in=json.loads,
    tool_of=lambda function: Tool(function.__name__),
)


@pytest.fixture
def package(monkeypatch):
    """Offer a package with the format of numbers."""
    monkeypatch.setattr(entry_points, "_modules", lambda _group, _allowed: [PACKAGE])


@pytest.fixture
def no_package(monkeypatch):
    """Offer no package."""
    monkeypatch.setattr(entry_points, "_modules", lambda _group, _allowed: [])


@pytest.fixture
def numbers(loopback, http, toy, package):
    """A server that responds with numbers."""
    pieces = [toy.say(TextDelta(piece)) for piece in TEXT]
    return loopback(http.streamed(*pieces, toy.say(Finish("stop", "stop")), toy.done))


def test_data_grows_and_is_read_at_the_end(numbers):
    """Partials have the data so far, and the response has the value."""
    stream = Inference(numbers.connection()).stream("Hi", response_format=Ints)
    assert [list(partial.data) for partial in stream] == [[1], [1], [1, 23], [1, 23, 4], [1, 23, 4]]
    response = stream.response()
    assert (response.data, response.mode) == ((1, 23, 4), "native")
    assert response.data is response.data


def test_each_character_is_read_once(numbers):
    """Reading the data again, or of an earlier partial, feeds nothing twice."""
    stream = Inference(numbers.connection()).stream("Hi", response_format=Ints)
    partials = list(stream)
    for partial in (*partials, *reversed(partials)):
        assert partial.data is partials[0].data or partial.data == [1, 23, 4]
    reader = partials[0]._mark.transcript.data.reader
    assert "".join(reader.pieces) == "".join(TEXT)


@pytest.mark.parametrize("style", ["sync", "async"])
def test_elements_are_emitted_as_they_are_complete(numbers, style):
    """An iterator of elements reads the stream; the response is complete after it."""
    if style == "sync":
        stream = Inference(numbers.connection()).stream("Hi", response_format=Ints)
        assert (list(stream.elements()), stream.response().content) == ([1, 23, 4], "".join(TEXT))
        return

    async def main():
        stream = AsyncInference(numbers.connection()).stream("Hi", response_format=Ints)
        return [element async for element in stream.elements()], (await stream.response()).content

    assert asyncio.run(main()) == ([1, 23, 4], "".join(TEXT))


@pytest.mark.parametrize(
    ("given", "wanted"), [({}, "json"), ({"data_mode": "tool"}, "tool")], ids=["connection", "call"]
)
def test_the_mode_reaches_the_format(numbers, given, wanted):
    """The mode of the call is used before that of the connection."""
    inference = Inference(numbers.connection(data_mode="json"))
    response = inference.create("Hi", response_format=Ints, stream=True, **given).response()
    assert json.loads(numbers.asked[-1].body)["messages"][-1]["content"] == wanted
    assert response.mode == wanted


def test_a_preset_has_a_mode():
    """A preset's row states the documented way of its provider, and a connection that is made of it has it."""
    row = Preset(driver="toy", base_url="https://example.com", data_mode="tool")
    assert fold("a", preset_layer(row))["data_mode"] == "tool"


def test_a_mode_without_a_format_is_refused(numbers):
    """A mode says how data is asked for, so a call with one has a format."""
    with pytest.raises(RequestError, match="data_mode='json' is for calls with a response_format"):
        Inference(numbers.connection()).create("Hi", data_mode="json")
    with pytest.raises(ConfigError, match="data_mode of connection 'here'"):
        numbers.connection(data_mode="xml")


def test_a_type_that_no_package_knows_is_refused(numbers):
    """A type without a format is a mistake of the user."""
    with pytest.raises(RequestError, match="response_format must be 'text', 'json', a type"):
        Inference(numbers.connection()).create("Hi", response_format=set)


def test_a_missing_package_is_named(loopback, http, toy, no_package):
    """Without a package, a type, the data of a schema, JSON and a tool of a function name what to install."""
    server = loopback(http.streamed(*toy.story, toy.done))
    inference = Inference(server.connection())
    with pytest.raises(ConfigError, match="requires the package polyglot-answers"):
        inference.create("Hi", response_format=Ints)
    response = inference.create("Hi", response_format={"type": "object"}, stream=True).response()
    for read in (lambda: response.data, response.json, lambda: Tool.from_function(print)):
        with pytest.raises(ConfigError, match="pip install polyglot-answers"):
            read()


def test_functions_of_the_package(package):
    """A tool of a function is made by the package."""

    def look() -> None: ...

    assert Tool.from_function(look) == Tool("look")


def test_copies_have_no_format(numbers):
    """A dict and what is read from it have the fields alone; a response with other fields keeps the format."""
    response = Inference(numbers.connection()).create("Hi", response_format=Ints, stream=True).response()
    assert "data" not in response.to_dict()
    assert response.with_changes(model="x").data == (1, 23, 4)
    with pytest.raises(ResponseFormatError, match="no response_format"):
        _ = type(response).from_dict(response.to_dict()).data


def test_the_allow_list_names_packages(monkeypatch):
    """A package that the allow list does not name is not imported, and the error says so."""
    entry_points._modules.cache_clear()
    monkeypatch.setenv("POLYGLOT_DRIVERS", "openai")
    with pytest.raises(ConfigError, match="name it in POLYGLOT_DRIVERS"):
        formats.format_package("This")
    entry_points._modules.cache_clear()

"""Typed responses over the simulator: every driver, each mode, sync and async, streamed and whole."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Sequence
from typing import Any, TypedDict

import msgspec
import pytest

from polyglot_answers.formats import format_of
from polyglot_core import AsyncInference, Inference, JSONSchema, Tool
from polyglot_core.errors import RequestError, ResponseFormatError, StreamError, Truncated
from polyglot_simulator import Cut, Reply, Reset, Simulator, ToolCall

DRIVERS = ("openai", "openai-responses", "anthropic", "gemini", "mistral", "cohere", "ollama", "bedrock")
CITY = {"name": "Bern", "people": 134_000, "river": "Aare"}


class City(msgspec.Struct):
    """A city of a country."""

    name: str
    people: int
    river: str | None = None


@dataclasses.dataclass
class CityData:
    name: str
    people: int
    river: str | None = None


class CityDict(TypedDict):
    name: str
    people: int
    river: str | None


class Country(msgspec.Struct):
    name: str
    cities: list[City]


class Tree(msgspec.Struct):
    """A type that refers to itself, whose schema has a reference at its root."""

    name: str
    branches: list[Tree] = []


class Model:
    """What a pydantic model looks like from outside."""

    def __init__(self, **fields: object) -> None:
        self.fields = fields

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and other.fields == self.fields

    def __hash__(self) -> int:
        return 0

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        members = {"name": {"type": "string"}, "people": {"type": "integer"}, "river": {"type": "string"}}
        return {"type": "object", "properties": members, "required": list(members)}

    @classmethod
    def model_validate(cls, value: dict[str, object]) -> Model:
        if not isinstance(value.get("people"), int):
            raise ValueError("people should be a number")  # noqa: TRY004 (as pydantic does)
        return cls(**value)


TYPES = {
    "a Struct": (City, City(**CITY)),
    "a dataclass": (CityData, CityData(**CITY)),
    "a TypedDict": (CityDict, CITY),
    "a pydantic model": (Model, Model(**CITY)),
    "a JSONSchema": (JSONSchema({"type": "object"}), CITY),
    "a dict with a schema": ({"type": "object"}, CITY),
    "json": ("json", CITY),
}


def asked(connection, style, streamed, **arguments):
    """Return the response of a call, and the data of its partials."""
    if style == "sync":
        pending = Inference(connection).create("Which city?", **arguments)
        seen = [json.dumps(partial.data) for partial in pending.stream()] if streamed else []
        return pending.response(), seen

    async def main():
        pending = AsyncInference(connection).create("Which city?", **arguments)
        seen = [json.dumps(partial.data) async for partial in pending.stream()] if streamed else []
        return await pending.response(), seen

    return asyncio.run(main())


@pytest.fixture
def simulate():
    """Return a function that starts a simulator with a reply; it is closed at the end."""
    running = []

    def start(reply, *faults):
        simulator = Simulator(reply if isinstance(reply, Reply) else Reply(reply), faults=faults)
        running.append(simulator)
        return simulator.__enter__()

    yield start
    for simulator in running:
        simulator.__exit__(None, None, None)


# Types


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize("style", ["sync", "async"])
@pytest.mark.parametrize(("kind", "wanted"), TYPES.values(), ids=TYPES)
def test_data_is_a_value_of_the_type(simulate, style, streamed, kind, wanted):
    """The data is a validated value, and while it is received it grows as plain JSON."""
    response, seen = asked(simulate(json.dumps(CITY)).connection, style, streamed, response_format=kind)
    assert response.data == wanted
    assert response.data is response.data
    assert response.mode == "native"
    if streamed:
        assert json.loads(seen[-1]) == CITY
        assert len(set(seen)) > 3


@pytest.mark.parametrize("mode", ["native", "tool", "json", "markdown"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_every_driver_in_every_mode(simulate, driver, mode):
    """Each mode gives the same data with every driver; a driver that cannot express one refuses it by name."""
    text = json.dumps(CITY)
    replies = {
        "native": Reply(text),
        "tool": Reply(tool_calls=[ToolCall("City", CITY)]),
        "json": Reply(text),
        "markdown": Reply(f"Here it is:\n```json\n{text}\n```\nAnything else?"),
    }
    connection = simulate(replies[mode]).connection_for(driver)
    if (driver, mode) in REFUSED:
        with pytest.raises(RequestError, match=f"'{driver}' cannot express"):
            asked(connection, "sync", True, response_format=City, data_mode=mode)
        return
    response, seen = asked(connection, "sync", True, response_format=City, data_mode=mode)
    assert response.data == City(**CITY)
    assert response.mode == mode
    assert json.loads(seen[-1]) == CITY


REFUSED = {("ollama", "tool"), ("bedrock", "json"), ("anthropic", "json")}


def test_connection_has_a_mode(simulate):
    """The mode of a call is used instead of that of the connection."""
    connection = simulate(json.dumps(CITY)).connection.with_changes(data_mode="markdown")
    assert asked(connection, "sync", True, response_format=City)[0].mode == "markdown"
    assert asked(connection, "sync", True, response_format=City, data_mode="json")[0].mode == "json"


def test_a_preset_states_the_documented_way(monkeypatch):
    """Where a provider enforces schemas for tools alone, data is asked for by a tool."""
    monkeypatch.setenv("DEEPSEEK_API_KEY", "not-a-key")
    request = Inference.using("deepseek").create("Hi", response_format=City).request
    assert [tool.name for tool in request.tools] == ["City"]
    assert (request.tool_choice, request.response_format) == ("required", None)


def test_a_mode_is_for_a_format(simulate):
    """A mode without a format, and a tool mode beside other tools, are refused before anything is sent."""
    inference = Inference(simulate("Hi").connection)
    with pytest.raises(RequestError, match="data_mode='tool' is for calls with a response_format"):
        inference.create("Hi", data_mode="tool")
    with pytest.raises(RequestError, match="data_mode must be None, 'native'"):
        inference.create("Hi", response_format=City, data_mode="tools")
    with pytest.raises(RequestError, match="cannot have tools"):
        inference.create("Hi", response_format=City, data_mode="tool", tools=[Tool("look")])


@pytest.mark.parametrize(
    "kind", [lambda: None, object(), 5, complex, list[complex]], ids=["function", "object", "number", "complex", "list"]
)
def test_what_is_no_format_is_refused(simulate, kind):
    """What has no JSON Schema is a mistake of the user, by its name."""
    with pytest.raises(RequestError, match="response_format"):
        Inference(simulate("Hi").connection).create("Hi", response_format=kind)


# What does not fit

WRONG = {
    "another type": (Reply('{"name": 5, "people": 3}'), "type", None, "$.name"),
    "a member is missing": (Reply('{"name": "Bern"}'), "type", None, "$"),
    "prose": (Reply("It is Bern."), "json", 0, None),
    "JSON that is cut": (Reply('{"name": "Be'), "json", 12, None),
    "JSON, then prose": (Reply('{"name": "Bern", "people": 3} OK?'), "json", 30, None),
    "nothing": (Reply(""), "json", 0, None),
    "a refusal": (Reply(refusal="I will not."), "refusal", None, None),
    "a filter": (Reply('{"name": "B', finish_reason="content_filter"), "refusal", None, None),
    "the limit of tokens": (Reply('{"name": "B', finish_reason="length"), "cut", None, None),
}


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize(("reply", "cause", "position", "path"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_an_error_with_its_place(simulate, reply, cause, position, path, streamed):
    """The response itself is complete; reading its data raises, with the text and the place."""
    response, _ = asked(simulate(reply).connection, "sync", streamed, response_format=City)
    with pytest.raises(ResponseFormatError) as caught:
        _ = response.data
    error = caught.value
    assert (error.cause, error.position, error.path) == (cause, position, path)
    assert error.text == response.content
    assert error.partial.content == response.content


def test_a_cut_stream_is_truncated(simulate):
    """A stream that was cut raises as ever; of its partial response no data can be read."""
    connection = simulate(json.dumps(CITY), Cut(after_events=3)).connection.with_changes(retries=0)
    with pytest.raises(Truncated) as caught:
        Inference(connection).create("Hi", response_format=City, stream=True).response()
    with pytest.raises(ResponseFormatError, match="incomplete"):
        _ = caught.value.partial.data


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "plain"])
@pytest.mark.parametrize("mode", ["native", "tool", "json", "markdown"])
def test_data_received_until_a_limit(simulate, mode, stream):
    """It is what the last partial had, also if the partials were not read."""
    text = '{"items": [{"name": "Bern", "people": 134000}, {"name": "Ba'
    arguments = {"response_format": list[City], "data_mode": mode, "stream": stream}
    replies = {
        "tool": Reply(tool_calls=[ToolCall("City_list", text)], finish_reason="length"),
        "markdown": Reply(f"Here:\n```json\n{text}", finish_reason="length"),
    }
    simulator = simulate(replies.get(mode, Reply(text, finish_reason="length")))
    response = Inference(simulator.connection).create("Which cities?", **arguments).response()
    assert response.received_data == [{"name": "Bern", "people": 134000}, {"name": "Ba"}]
    with pytest.raises(ResponseFormatError, match="received_data") as caught:
        _ = response.data
    assert caught.value.cause == "cut"
    assert caught.value.partial.received_data == response.received_data


def test_received_data_of_a_response_without_data(simulate):
    """It is None without a format, in a text, and where the model has not called the tool."""
    connection = simulate("Bern").connection
    for arguments in ({}, {"response_format": City}, {"response_format": City, "data_mode": "tool"}):
        assert Inference(connection).create("Which city?", **arguments).response().received_data is None


def test_no_call_of_the_tool(simulate):
    """In the mode ``tool`` a model may respond with text all the same."""
    response, _ = asked(simulate("Bern").connection, "sync", True, response_format=City, data_mode="tool")
    with pytest.raises(ResponseFormatError, match="did not call the tool 'City'") as caught:
        _ = response.data
    assert (caught.value.cause, caught.value.text) == ("none", "Bern")


def test_a_misfit_of_a_pydantic_model(simulate):
    """The message of a model's own check is kept."""
    response, _ = asked(simulate('{"name": "Bern", "people": "many"}').connection, "sync", True, response_format=Model)
    with pytest.raises(ResponseFormatError, match="people should be a number"):
        _ = response.data


def test_a_response_without_a_format(simulate):
    """Without a format only ``json()`` reads data; it takes prose and fences."""
    response, seen = asked(simulate('Sure:\n```json\n{"a": [1]}\n```').connection, "sync", True)
    assert set(seen) == {"null"}
    assert response.mode is None
    assert response.json() == {"a": [1]}
    with pytest.raises(ResponseFormatError, match="no response_format") as caught:
        _ = response.data
    assert caught.value.cause == "none"
    with pytest.raises(ResponseFormatError) as caught:
        asked(simulate("No data.").connection, "sync", True)[0].json()
    assert (caught.value.cause, caught.value.text) == ("json", "No data.")


# Elements

CITIES = [{"name": f"City {number}", "people": number, "river": None} for number in range(5)]


def elements(connection, style, *path, **arguments):
    """Return the elements of a stream, and its response."""
    if style == "sync":
        stream = Inference(connection).stream("Which cities?", **arguments)
        return list(stream.elements(*path)), stream.response()

    async def main():
        stream = AsyncInference(connection).stream("Which cities?", **arguments)
        return [each async for each in stream.elements(*path)], await stream.response()

    return asyncio.run(main())


@pytest.mark.parametrize("style", ["sync", "async"])
@pytest.mark.parametrize("mode", ["native", "tool", "json", "markdown"])
def test_elements_of_a_list(simulate, style, mode):
    """Each element is validated and emitted once it is complete."""
    value = {"items": CITIES}
    text = json.dumps(value)
    replies = {"tool": Reply(tool_calls=[ToolCall("City_list", value)]), "markdown": Reply(f"```json\n{text}\n```")}
    connection = simulate(replies.get(mode, Reply(text))).connection
    found, response = elements(connection, style, response_format=list[City], data_mode=mode)
    assert found == response.data == [City(**city) for city in CITIES]


@pytest.mark.parametrize("style", ["sync", "async"])
def test_elements_of_a_member(simulate, style):
    """A path leads to a list within the value."""
    value = {"name": "Land", "cities": CITIES}
    found, response = elements(simulate(json.dumps(value)).connection, style, "cities", response_format=Country)
    assert found == response.data.cities == [City(**city) for city in CITIES]


def test_elements_arrive_while_the_rest_is_missing(simulate):
    """An element is there before the response has ended."""
    stream = Inference(simulate(json.dumps({"items": CITIES})).connection).stream("Hi", response_format=list[City])
    found = stream.elements()
    assert next(found) == City(**CITIES[0])
    assert stream._pump.call.attempt.outcome is None
    assert len(list(found)) == len(CITIES) - 1


@pytest.mark.parametrize("style", ["sync", "async"])
def test_an_element_that_does_not_fit(simulate, style):
    """The elements before it were emitted; the error has the index."""
    text = json.dumps({"items": [*CITIES[:2], {"name": 5, "people": 1}]})
    with pytest.raises(ResponseFormatError) as caught:
        elements(simulate(text).connection, style, response_format=list[City])
    assert caught.value.path == "$[2].name"
    assert caught.value.text == caught.value.partial.content
    assert text.startswith(caught.value.text)
    assert caught.value.connection == "simulator"


@pytest.mark.parametrize("style", ["sync", "async"])
@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (Reply("No cities."), "json"),
        (Reply('{"items": [{"name": "A", "people": 1}'), "json"),
        (Reply('{"other": 1}'), "type"),
        (Reply(refusal="No."), "refusal"),
        (Reply('{"items": [', finish_reason="length"), "cut"),
    ],
    ids=["prose", "cut JSON", "no list", "refusal", "limit"],
)
def test_elements_of_no_list(simulate, style, reply, cause):
    """At the end of the stream it is an error if the response was no such list."""
    with pytest.raises(ResponseFormatError) as caught:
        elements(simulate(reply).connection, style, response_format=list[City])
    assert caught.value.cause == cause
    assert caught.value.partial is not None


class Renamed(msgspec.Struct, rename="camel"):
    city_list: list[City] | None


class Plain(TypedDict):
    cities: Sequence[City]


@pytest.mark.parametrize(("kind", "member"), [(Renamed, "cityList"), (Plain, "cities")], ids=["renamed", "a sequence"])
def test_elements_are_validated_under_any_annotation(simulate, kind, member):
    """A member may be renamed, optional or another kind of list; its elements are of its type."""
    found, _ = elements(simulate(json.dumps({member: CITIES})).connection, "sync", member, response_format=kind)
    assert found == [City(**city) for city in CITIES]


def test_a_path_that_the_type_does_not_have_is_refused_at_once(simulate):
    """Nothing is sent for it."""
    simulator = simulate("[]")
    with pytest.raises(RequestError, match=r"elements\('citys'\): Country has no member 'citys'; its members are"):
        Inference(simulator.connection).stream("Hi", response_format=Country).elements("citys")
    with pytest.raises(RequestError, match="is no list of elements of one type"):
        Inference(simulator.connection).stream("Hi", response_format=Country).elements("name")
    assert len(simulator.requests) == 0


def test_a_missing_wrapper_is_named(simulate):
    """A list is a member of an object; the error says which member is missing, and which there are."""
    text = json.dumps({"cities": CITIES})
    with pytest.raises(ResponseFormatError, match="without the member 'items', .* its members are 'cities'") as caught:
        Inference(simulate(text).connection).create("Hi", response_format=list[City]).response().data  # noqa: B018
    assert (caught.value.cause, caught.value.partial.content) == ("type", text)


def test_a_bare_list_is_taken(simulate):
    """A model that is not held to the schema may leave out the object around the list."""
    found, response = elements(simulate(json.dumps(CITIES)).connection, "sync", response_format=list[City])
    assert found == response.data == [City(**city) for city in CITIES]


@pytest.mark.parametrize("style", ["sync", "async"])
def test_elements_after_a_restart(simulate, style):
    """A response that is sent anew has its elements from the first on."""
    connection = simulate(json.dumps({"items": CITIES}), Reset(after_events=20, times=1)).connection.with_changes(
        retries=2
    )
    found, response = elements(connection, style, response_format=list[City], resume="restart")
    assert found[-len(CITIES) :] == response.data == [City(**city) for city in CITIES]


def test_elements_beside_another_iterator(simulate):
    """What another iterator has read belongs to the elements too."""
    stream = Inference(simulate(json.dumps({"items": CITIES})).connection).stream("Hi", response_format=list[City])
    found = stream.elements()
    first = next(found)
    stream.response()
    assert [first, *found] == [City(**city) for city in CITIES]


def test_a_list_of_pydantic_models(simulate):
    """A list of models is as good as one model."""
    text = json.dumps({"items": [CITY]})
    found, response = elements(simulate(text).connection, "sync", response_format=list[Model])
    assert found == response.data == [Model(**CITY)]


def test_an_open_object_is_not_asked_for_strictly(simulate):
    """Providers that enforce schemas refuse objects with any members."""
    simulator = simulate('{"a": 1}')
    assert asked(simulator.connection, "sync", True, response_format=dict[str, int])[0].data == {"a": 1}
    assert "strict" not in simulator.requests[-1].body["response_format"]["json_schema"]


def test_elements_need_a_format(simulate):
    """A stream without a format has no elements."""
    with pytest.raises(StreamError, match="response_format"):
        Inference(simulate("Hi").connection).stream("Hi").elements()


# Arguments of tool calls


@pytest.mark.parametrize("driver", DRIVERS)
def test_arguments_grow_while_they_stream(simulate, driver):
    """The arguments of each tool call are plain JSON so far."""
    calls = [ToolCall("look", {"city": "Bern", "days": 3}), ToolCall("look", {"city": "Basel"})]
    connection = simulate(Reply(tool_calls=calls)).connection_for(driver)
    stream = Inference(connection).stream("Hi", tools=[Tool("look")])
    seen = [(json.dumps(partial.arguments()), json.dumps(partial.arguments(1))) for partial in stream]
    assert seen[-1] == (json.dumps({"city": "Bern", "days": 3}), json.dumps({"city": "Basel"}))
    assert ("null" in {second for _, second in seen}) or driver in {"gemini", "mistral"}


# The request


def test_a_schema_is_strict_and_has_no_reference_at_its_root(simulate):
    """A type that refers to itself is sent with an object at the root; name and description are kept."""
    simulator = simulate('{"name": "a", "branches": []}')
    response, _ = asked(simulator.connection, "sync", True, response_format=Tree)
    wanted = simulator.requests[-1].body["response_format"]["json_schema"]
    assert wanted["name"] == "Tree"
    assert wanted["strict"] is True
    assert "refers to itself" in wanted["description"]
    assert wanted["schema"]["type"] == "object"
    assert wanted["schema"]["additionalProperties"] is False
    assert response.data == Tree("a")


def test_formats_of_types_are_made_once():
    """The schema of a type is computed once."""
    assert format_of(City) is format_of(City)

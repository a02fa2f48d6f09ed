"""Generate the table of what drivers support of data, tools and caching: each cell is run with a simulated provider.

A request that a driver rejects by name is ``no``. Otherwise the response, or the body that the provider has received,
must show the capability, or the run raises an error.
"""

from __future__ import annotations

import asyncio
import copy
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from draw_providers import drivers

from polyglot_answers import run_tools
from polyglot_core import AsyncInference, Inference, Message, PolyglotError, RequestError, Text, Tool
from polyglot_simulator import Cut, Reply, Reset, Simulator, ToolCall

if TYPE_CHECKING:
    from collections.abc import Callable

    from polyglot_core import Connection, InferenceResponse

__all__ = ["CAPABILITIES", "DRIVERS", "draw_data", "verdict"]

DRIVERS = tuple(sorted(drivers()))
"""Names of the drivers of the checkout."""


class Capability(NamedTuple):
    """A capability of a driver.

    Attributes:
        name: Its name in the table and in the ids of tests.
        shown: How the table shows it.
        run: Runs it with the driver of a name. Raises `RequestError` if the driver rejects it, and `LookupError` if it
            has no effect.
    """

    name: str
    shown: str
    run: Callable[[str], None]


# Runs


class City(msgspec.Struct):
    """A city."""

    name: str
    people: int
    river: str | None = None


_CITIES = [City("Bern", 134_000, "Aare"), City("Basel", 173_000, "Rhine")]
_LOOK = Tool("look", "Look something up.", {"type": "object", "properties": {"word": {"type": "string"}}})
_PEOPLE = Tool("count", "Count.", {"type": "object", "properties": {"people": {"type": "integer"}}})
_TURN = Message(role="user", content="Hello.")


def _sent(driver: str, reply: Reply, messages: Any = (_TURN,), **arguments: Any) -> tuple[InferenceResponse, Any]:  # noqa: ANN401
    """Return the response to a call, and the body that the provider has received."""
    with Simulator(reply) as simulator:
        inference = Inference.from_connection(simulator.connection_for(driver))
        response = inference.create(messages, **arguments).response()
        return response, simulator.requests[-1].body


def _reply(mode: str, value: object) -> Reply:
    """Return the reply of a model that was asked for a value in a mode."""
    text = msgspec.json.encode(value).decode()
    if mode == "tool":
        return Reply(tool_calls=[ToolCall("City" if "items" not in text else "City_list", text)])
    return Reply(f"Here it is:\n```json\n{text}\n```\n" if mode == "markdown" else text)


def _typed(mode: str) -> Callable[[str], None]:
    """Return a run that checks the data, and that the schema is sent where the mode states."""

    def run(driver: str) -> None:
        (city, *_) = _CITIES
        place = _place(driver, mode)
        for stream in (True, False):
            response, body = _sent(driver, _reply(mode, city), response_format=City, data_mode=mode, stream=stream)
            _check(response.data == city and response.mode == mode, "the data")
            _check(bool(place) and _with(body, "people") == place, "the place of the schema in the request")

    return run


def _place(driver: str, mode: str) -> set[str]:
    """Return the members of a body in which a mode has the schema: those of the prompt, of tools, or of formats."""
    prompt = _with(_sent(driver, Reply("Hello."), "people")[1], "people")
    if mode == "tool":
        return _with(_sent(driver, Reply("Hello."), tools=[_PEOPLE])[1], "people")
    if mode == "native":
        return _with(_sent(driver, Reply("{}"), response_format=_PEOPLE.parameters)[1], "people") - prompt
    if mode == "json":
        _changes("the JSON mode in the request", {"response_format": "json"}, {})(driver)
    return prompt


def _with(body: Any, word: str) -> set[str]:  # noqa: ANN401 (JSON)
    return {name for name, value in body.items() if word in json.dumps(value)}


def _elements(driver: str) -> None:
    with Simulator(_reply("native", {"items": _CITIES})) as simulator:
        inference = Inference.from_connection(simulator.connection_for(driver))
        stream = inference.stream("Hello.", response_format=list[City])
        elements = stream.elements()
        first = next(elements)
        _check([first, *elements] == _CITIES, "the elements")
    asyncio.run(_async_elements(driver))


def _received(driver: str) -> None:
    """Read the data of a response that is cut, by the server and by the network."""
    reply = _reply("native", {"items": _CITIES * 9})
    for fault in (Cut(after_events=40), Reset(after_events=40)):
        with Simulator(reply, fault=fault) as simulator:
            stream = Inference.from_connection(simulator.connection_for(driver)).stream(
                "Hi", response_format=list[City]
            )
            last = partial_response = None
            try:
                for partial in stream:
                    last = copy.deepcopy(partial.data)
            except PolyglotError as error:
                partial_response = error.partial
            _check(bool(last and partial_response and partial_response.received_data == last), "the data until the cut")


async def _async_elements(driver: str) -> None:
    with Simulator(_reply("native", {"items": _CITIES})) as simulator:
        async with AsyncInference.from_connection(simulator.connection_for(driver)) as inference:
            elements = inference.stream("Hello.", response_format=list[City]).elements()
            _check([element async for element in elements] == _CITIES, "the elements")


def _tools(driver: str) -> None:
    reply = Reply(tool_calls=[ToolCall("look", {"word": "lamp"})])
    response, _ = _sent(driver, reply, tools=[_LOOK])
    (call,) = response.tool_calls
    _check(call.ready and call.arguments == {"word": "lamp"}, "the tool call")
    turns = [_TURN, response.message, Message.tool_result(call, "a light")]
    _, body = _sent(driver, Reply("A light."), turns, tools=[_LOOK])
    _check("a light" in json.dumps(body), "the result in the request")


_TURNS = (Reply(tool_calls=[ToolCall("look", {"word": word}) for word in ("lamp", "sun")]), Reply("Two lights."))


def _loop(driver: str) -> None:
    """Run the loop, sync and async, with two tool calls in the first response."""
    for run in (_sync_loop, _async_loop):
        words: list[str] = []
        with Simulator(_TURNS) as simulator:
            content = run(simulator.connection_for(driver), words)
            _check(content == "Two lights." and sorted(words) == ["lamp", "sun"], "the tool calls that were run")
            bodies = [json.dumps(request.body) for request in simulator.requests]
            _check(
                ["lamp is a light" in body and "sun is a light" in body for body in bodies] == [False, True],
                "the results",
            )


def _sync_loop(connection: Connection, words: list[str]) -> str:
    def look(word: str) -> str:
        """Look something up."""
        words.append(word)
        return f"{word} is a light"

    return run_tools(Inference.from_connection(connection), "Hello.", tools=[look]).response().content


def _async_loop(connection: Connection, words: list[str]) -> str:
    async def look(word: str) -> str:
        """Look something up."""
        words.append(word)
        return f"{word} is a light"

    async def run() -> str:
        async with AsyncInference.from_connection(connection) as inference:
            return (await run_tools(inference, "Hello.", tools=[look]).response()).content

    return asyncio.run(run())


def _changes(what: str, given: dict[str, Any], plain: dict[str, Any]) -> Callable[[str], None]:
    """Return a run that compares the bodies of a request with some arguments, and of one without."""

    def run(driver: str) -> None:
        bodies = [_sent(driver, Reply("{}"), **{"tools": [_LOOK]} | each)[1] for each in (given, plain)]
        _check(bodies[0] != bodies[1], what)

    return run


def _choice(choice: str) -> Callable[[str], None]:
    return _changes("the choice in the request", {"tool_choice": choice}, {})


def _mark_in(role: str) -> Callable[[str], None]:
    """Return a run with a mark in a message of a role."""
    turns = [] if role == "user" else [_TURN]
    texts = [[Text("Look:"), Text("Here.", cache=cache)] for cache in (True, False)]
    given, plain = ({"messages": [Message(role=role, content=content), *turns]} for content in texts)
    return _changes("the mark in the request", given, plain)


def _mark_of_tool(driver: str) -> None:
    marked = Tool(_LOOK.name, _LOOK.description, _LOOK.parameters, cache=True)
    _changes("the mark in the request", {"tools": [marked]}, {})(driver)


def _models(driver: str) -> None:
    wanted = ["model-1", "model-2", "model-3"]
    with Simulator(models=wanted) as simulator:
        found = Inference.from_connection(simulator.connection_for(driver)).models()
        _check([model.id for model in found] == wanted, "the models")


def _check(holds: bool, what: str) -> None:  # noqa: FBT001 (a fact)
    if not holds:
        msg = f"{what} is not as it should be"
        raise LookupError(msg)


# The table

CAPABILITIES = {
    capability.name: capability
    for capability in (
        Capability("native", '`data_mode="native"`', _typed("native")),
        Capability("tool", '`data_mode="tool"`', _typed("tool")),
        Capability("json", '`data_mode="json"`', _typed("json")),
        Capability("markdown", '`data_mode="markdown"`', _typed("markdown")),
        Capability("elements", "`stream.elements()`", _elements),
        Capability("received", "`error.partial.received_data`", _received),
        Capability("tools", "tool calls and their results", _tools),
        Capability("loop", "`run_tools`", _loop),
        Capability("tool choice", '`tool_choice="required"`', _choice("required")),
        Capability("tool by name", "`tool_choice` by name", _choice("look")),
        Capability("cache text", "`cache=True` of a text", _mark_in("user")),
        Capability("cache system", "`cache=True` of a system message", _mark_in("system")),
        Capability("cache tool", "`cache=True` of a tool", _mark_of_tool),
        *([Capability("models", "`inference.models()`", _models)] if hasattr(Inference, "models") else []),
    )
}
"""All capabilities, by name."""


def verdict(driver: str, capability: Capability) -> str:
    """Return ``yes``, or ``no`` if the driver rejects the request by its own name.

    Raises:
        LookupError: The capability has no effect, or another one.
        RequestError: The request was rejected for another reason.
    """
    try:
        capability.run(driver)
    except RequestError as error:
        if f"The driver {driver!r} cannot" not in error.message:
            raise
        return "no"
    return "yes"


def draw_data() -> str:
    """Return a table of the capabilities, with a column for each driver."""
    rows = [f"| capability | {' | '.join(f'`{driver}`' for driver in DRIVERS)} |", f"|---|{'---|' * len(DRIVERS)}"]
    for capability in CAPABILITIES.values():
        cells = (verdict(driver, capability) for driver in DRIVERS)
        rows.append(f"| {capability.shown} | {' | '.join(cells)} |")
    return "\n".join(rows)

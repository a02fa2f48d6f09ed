"""Tools from functions: schema, descriptions, and running them."""

from __future__ import annotations

import datetime as dt
import enum
import functools
import logging
import threading
from typing import TYPE_CHECKING, Annotated, Any, Literal

import anyio
import msgspec
import pytest

from polyglot_answers.functions import CompleteCalls, FunctionTool, arun, on_tool_call, registry_of, run, tool_of
from polyglot_core import AsyncInference, Inference, RequestError, Tool, ToolCall
from polyglot_simulator import Reply, Simulator
from polyglot_simulator import ToolCall as Call

if TYPE_CHECKING:
    from nowhere import Missing

STYLES = ("sync", "asyncio", "trio")


def weather(city: str, unit: Literal["c", "f"] = "c", days: Annotated[int, "How many days."] = 1) -> dict[str, object]:  # noqa: D417 (one is described in its annotation)
    """Return the weather in a city.

    It is a forecast.

    Args:
        city: Name of the city,
            in English.
        unit (str): The unit.

    Returns:
        Nothing of use.
    """
    return {"city": city, "unit": unit, "days": days}


async def later(seconds: float) -> float:
    """Wait."""
    await anyio.sleep(0)
    return seconds


def broken() -> None:
    """Fail."""
    raise ValueError("no luck")


def called(name="weather", arguments='{"city": "Oslo"}', **fields):
    return ToolCall(**{"name": name, "id": "1", "arguments_raw": arguments, "complete": True} | fields)


def result_of(style, call, functions):
    """Run a tool call, sync or async, and return its result."""
    message = run(call, functions) if style == "sync" else anyio.run(arun, call, functions, backend=style)
    (result,) = message.parts
    assert (message.role, result.id, result.name) == ("tool", call.id, call.name)
    return result


# Schemas


def test_a_tool_from_a_function():
    """Name, text of the docstring, descriptions of arguments, and a schema in strict form."""
    tool = tool_of(weather)
    assert (tool.name, tool.strict) == ("weather", None)
    assert tool.description == "Return the weather in a city.\n\nIt is a forecast."
    members = tool.parameters["properties"]
    assert members["city"] == {"type": "string", "description": "Name of the city, in English."}
    assert "How many days." in str(members["days"])
    assert "The unit." in str(members["unit"])
    assert tool.parameters["required"] == ["city", "unit", "days"]
    assert tool.parameters["additionalProperties"] is False
    assert tool_of(later, name="pause", description="Pause.", strict=True) == Tool(
        "pause", "Pause.", tool_of(later).parameters, strict=True
    )


class Described:
    """Has a description, as pydantic's fields do."""

    description = "From an object."


class Greeter:
    """Greet somebody."""

    def __init__(self, greeting):
        self.greeting = greeting

    def __call__(self, name: str) -> str:
        """Return a greeting.

        :param name: The name to greet.
        """
        return f"{self.greeting}, {name}!"

    def method(self, name: str, mark: str = "!") -> str:
        """Greet with a mark."""
        return f"{self.greeting}, {name}{mark}"


def decorated(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def with_secret(query: str, secret: str, limit: int = 3) -> str:
    """Search."""
    return f"{query} {secret} {limit}"


@pytest.mark.parametrize(
    ("function", "name", "members", "arguments", "value"),
    [
        pytest.param(Greeter("Hi").method, None, ["name", "mark"], '{"name": "Bo"}', "Hi, Bo!", id="method"),
        pytest.param(Greeter("Hi"), "greet", ["name"], '{"name": "Bo"}', "Hi, Bo!", id="callable object"),
        pytest.param(
            decorated(with_secret),
            None,
            ["query", "secret", "limit"],
            '{"query": "a", "secret": "b"}',
            "a b 3",
            id="decorated",
        ),
        pytest.param(
            functools.partial(with_secret, secret="s"), "search", ["query"], '{"query": "a"}', "a s 3", id="partial"
        ),
        pytest.param(lambda: "x", "constant", [], "", "x", id="lambda"),
        pytest.param(lambda: "x", "constant", [], "null", "x", id="null arguments"),
    ],
)
@pytest.mark.parametrize("style", STYLES)
def test_every_kind_of_callable_is_a_tool(style, function, name, members, arguments, value):
    """Bound arguments are neither in the schema nor replaced by the model."""
    registry = registry_of({name: function} if name else [function])
    ((named, tool),) = registry.items()
    assert list(tool.tool.parameters["properties"])[: len(members)] == members
    assert "secret" not in tool.tool.parameters["properties"] or "secret" in members
    assert result_of(style, called(named, arguments), registry).text == value


def test_descriptions_of_callables():
    """The docstring of the method that runs, of the class behind it, or of the function behind a partial."""
    assert tool_of(Greeter("Hi"), name="greet").description == "Return a greeting."
    assert tool_of(Greeter("Hi"), name="greet").parameters["properties"]["name"]["description"] == "The name to greet."
    assert tool_of(functools.partial(with_secret, secret="s"), name="search").description == "Search."


class Unit(enum.Enum):
    """A unit."""

    C = "c"
    F = "f"


class Place(msgspec.Struct):
    """A place on earth."""

    city: str
    country: str | None = None


def test_types_of_parameters():
    """Values arrive as what the annotations state, and defaults may be of any kind."""
    got = {}

    def everything(
        place: Place,
        places: list[Place],
        unit: Unit,
        day: dt.date,
        note: Annotated[str, Described()],
        count: Annotated[int, msgspec.Meta(ge=1, description="From Meta.")] = 3,
        tags: list[str] = ["x"],  # noqa: B006 (what is tested)
        any_of: str | int | None = None,
        by_name: dict[str, int] | None = None,
    ) -> str:
        """Take everything."""
        got.update(locals())
        return "ok"

    members = tool_of(everything).parameters["properties"]
    assert "From Meta." in str(members["count"])
    assert members["note"]["description"] == "From an object."
    arguments = (
        '{"place": {"city": "Oslo", "country": null}, "places": [{"city": "Rom"}], "unit": "f", "day": "2026-01-02", '
        '"note": "n", "count": null, "tags": null, "any_of": null, "by_name": {"a": 1}}'
    )
    assert not result_of("sync", called("everything", arguments), [everything]).error
    got.pop("got", None)
    assert got == {
        "place": Place("Oslo"), "places": [Place("Rom")], "unit": Unit.F, "day": dt.date(2026, 1, 2),
        "note": "n", "count": 3, "tags": ["x"], "any_of": None, "by_name": {"a": 1},
    }  # fmt: skip


def positional(value: int, /) -> None: ...


def spread(*values: int) -> None: ...


def named_spread(**values: int) -> None: ...


def untyped(first: int, value) -> None: ...


def misspelt(first: int, value: Missing) -> None: ...


def nested(value: list[threading.Lock]) -> None: ...


def of_no_type(first: int, value: object) -> None: ...


def unreadable_result(value: int) -> Missing:
    """Return."""
    return value


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (positional, "'positional'.* parameter 'value' cannot be passed by name"),
        (spread, "'spread'.* parameter 'values' cannot be passed by name"),
        (named_spread, "'named_spread'.* parameter 'values' cannot be passed by name"),
        (untyped, "'untyped'.* parameter 'value' has no annotation"),
        (nested, "'nested'.* the type of its parameter 'value', list.*lock.*, has no JSON Schema; types are"),
        (of_no_type, "'of_no_type'.* its parameter 'value', <class 'object'>, has no JSON Schema"),
        (misspelt, "'misspelt'.* annotation of its parameter 'value' cannot be read: name 'Missing'"),
        (lambda: 1, "name"),
        (functools.partial(untyped, 1), "name"),
        (print, "parameter"),
        ("weather", "'weather' is no function"),
        (None, "None is no function"),
    ],
)
def test_functions_that_cannot_be_tools(function, why):
    """The error has the function and the parameter."""
    with pytest.raises(RequestError, match=why):
        tool_of(function)


def test_only_annotations_of_parameters_are_read():
    """The annotation of the result may be one for type checkers only."""
    assert tool_of(unreadable_result).name == "unreadable_result"


class Open(msgspec.Struct):
    """Accepts any names."""

    inner: dict[str, int]


def test_what_no_strict_schema_can_state():
    """With ``strict=True`` an object of any names is an error with the parameter; without it, it is sent."""

    def first(a: int, by_name: dict[str, int]) -> None: ...

    def second(a: int, holder: list[Open]) -> None: ...

    def third(a: int, anything: Any) -> None: ...

    for function, name in ((first, "by_name"), (second, "holder"), (third, "anything")):
        with pytest.raises(RequestError, match=f"parameter '{name}' accepts members of any name"):
            tool_of(function, strict=True)
    assert tool_of(first).parameters["properties"]["by_name"]["type"] == "object"
    assert tool_of(weather, strict=True).strict is True


def test_names_are_unique():
    """Two functions of one name need a dict."""
    with pytest.raises(RequestError, match="weather"):
        registry_of([weather, weather])
    registry = registry_of({"a": weather, "b": weather, "c": FunctionTool.of(weather)})
    assert [tool.tool.name for tool in registry.values()] == list(registry) == ["a", "b", "c"]
    assert registry_of(registry).keys() == registry.keys()


# Running


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"city": "Oslo"}', {"city": "Oslo", "unit": "c", "days": 1}),
        ('{"city": "Oslo", "unit": null, "days": 3}', {"city": "Oslo", "unit": "c", "days": 3}),
    ],
)
@pytest.mark.parametrize("style", STYLES)
def test_a_tool_call_is_run(style, arguments, expected):
    """The arguments are validated; null stands for a default."""
    result = result_of(style, called(arguments=arguments), [weather])
    assert (result.error, msgspec.json.decode(result.text)) == (False, expected)


def no_value() -> object:
    """Return what JSON does not have."""
    return threading.Lock()


class Picky(msgspec.Struct):
    """Raises an error of its own."""

    value: int

    def __post_init__(self) -> None:
        if self.value < 0:
            raise KeyError(self.value)


def picky(value: Picky) -> int:
    """Take only some."""
    return value.value


def stops() -> None:
    """Raise what ends a loop."""
    raise StopIteration


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (called(name="wether"), "There is no tool 'wether'. The tools are: weather, broken, no_value, picky, stops."),
        (called(name=""), "There is no tool ''."),
        (called(arguments="{"), "not a JSON object: Expecting property name"),
        (called(arguments="[1]"), "not a JSON object: they are of type list"),
        (called(arguments="[" * 100_000), "not a JSON object"),
        (called(complete=False), "incomplete"),
        (called(arguments="{}"), "missing required field `city`"),
        (called(arguments='{"city": 1}'), "do not fit the tool 'weather': Expected `str`, got `int` - at `$.city`"),
        (called(arguments='{"city": "a", "unit": "k"}'), "Invalid enum value 'k'"),
        (called(arguments='{"city": "a", "x": 1}'), "unknown field `x`"),
        (called(name="broken", arguments="{}"), "ValueError: no luck"),
        (called(name="no_value", arguments="{}"), "which is no JSON value"),
        (called(name="picky", arguments='{"value": {"value": -1}}'), "do not fit the tool 'picky'"),
        (called(name="stops", arguments=""), "StopIteration"),
    ],
)
@pytest.mark.parametrize("style", STYLES)
def test_what_is_wrong_becomes_a_result(style, call, text):
    """The model gets what is wrong, in a result with error=True; sync and async."""
    result = result_of(style, call, [weather, broken, no_value, picky, stops])
    assert result.error
    assert text in result.text


@pytest.mark.parametrize("style", STYLES)
def test_an_exception_is_logged(style, caplog):
    """The exception of a function is logged with its traceback; the program can see what only the model got."""
    with caplog.at_level(logging.INFO, "polyglot_answers"):
        result_of(style, called("broken", ""), [broken])
    (record,) = caplog.records
    assert record.getMessage() == "The tool 'broken' raised ValueError."
    assert "no luck" in caplog.text
    assert "Traceback" in caplog.text


async def later_broken() -> None:
    """Fail later."""
    await anyio.sleep(0)
    raise ValueError("no luck")


class AsyncGreeter:
    """Greets later."""

    async def __call__(self, name: str) -> str:
        """Greet."""
        await anyio.sleep(0)
        return f"Hi, {name}!"


def returns_awaitable(seconds: float) -> object:
    """Return a coroutine."""
    return later(seconds)


@pytest.mark.parametrize(
    ("call", "functions", "text"),
    [
        (called("later", '{"seconds": 1.5}'), [later], "1.5"),
        (called("later_broken", ""), [later_broken], "ValueError: no luck"),
        (called("greet", '{"name": "Bo"}'), {"greet": AsyncGreeter()}, "Hi, Bo!"),
        (called("later", '{"seconds": 2}'), {"later": functools.partial(later)}, "2.0"),
        (called("returns_awaitable", '{"seconds": 2}'), [returns_awaitable], "2.0"),
    ],
)
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_async_functions(backend, call, functions, text):
    """`arun` awaits every kind of async function; `run` refuses what it cannot wait for."""
    assert result_of(backend, call, functions).text == text
    with pytest.raises(RequestError, match="arun"):
        run(call, functions)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_sync_functions_do_not_block_the_loop(backend):
    """A sync function runs in another thread, while the loop does other things."""
    begun, go = threading.Event(), threading.Event()

    def waits() -> str:
        """Wait for the loop."""
        begun.set()
        assert go.wait(5)
        return threading.current_thread().name

    async def main():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(release)
            return (await arun(called("waits", ""), [waits])).parts[0]

    async def release():
        while not begun.is_set():
            await anyio.sleep(0.001)
        go.set()

    result = anyio.run(main, backend=backend)
    assert not result.error
    assert result.text != threading.current_thread().name


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_interruptions_pass(style, kind):
    """Exceptions that are no `Exception` are not the model's matter."""

    def interrupts() -> None:
        """Interrupt."""
        raise kind

    async def interrupts_later() -> None:
        """Interrupt."""
        raise kind

    for function in (interrupts, interrupts_later):
        if style == "sync" and function is interrupts_later:
            continue
        with pytest.raises(kind):
            result_of(style, called(function.__name__, ""), [function])


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancellation_passes(backend):
    """A cancelled `arun` raises the cancellation and no result, and the function is cancelled too."""
    ended = []

    async def sleeps() -> None:
        """Sleep."""
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    async def main():
        with anyio.move_on_after(0.01) as scope:
            await arun(called("sleeps", ""), [sleeps])
        return scope.cancelled_caught

    assert anyio.run(main, backend=backend)
    assert ended == [True]


def test_a_function_with_a_tool_of_its_own():
    """A tool with a schema of the caller's is joined to a function, whose arguments are passed as they are."""
    tool = FunctionTool(Tool("any", "Take any.", {"type": "object"}), lambda **given: given)
    result = result_of("sync", called("any", '{"a": 1, "b": null}'), [tool])
    assert msgspec.json.decode(result.text) == {"a": 1, "b": None}


class Model:
    """Looks like a pydantic model."""

    @classmethod
    def model_json_schema(cls):
        return {"type": "object"}

    @classmethod
    def model_validate(cls, value):
        return cls()

    def model_dump(self, mode):
        return {"mode": mode}


def test_a_model_is_a_result():
    """A pydantic model is sent as its JSON value."""
    assert result_of("sync", called("make", ""), {"make": Model}).text == '{"mode":"json"}'


# While they stream


@pytest.mark.parametrize("driver", ["openai", "openai-responses", "anthropic", "gemini", "cohere", "bedrock"])
@pytest.mark.parametrize("style", STYLES)
def test_a_tool_call_is_reported_when_it_is_complete(driver, style):
    """The callback gets each tool call once, complete, in order, before the stream has ended."""
    seen = []
    reply = Reply(text="Well.", tool_calls=[Call("weather", {"city": "Oslo"}), Call("later", {"seconds": 1})])
    with Simulator(reply) as simulator:
        connection = simulator.connection_for(driver)
        tools = [tool_of(weather), tool_of(later)]
        if style == "sync":
            stream = Inference.from_connection(connection).stream("Hi.", tools=tools)
            response = on_tool_call(stream, seen.append).response()
        else:

            async def main():
                async with AsyncInference.from_connection(connection) as inference:
                    return await on_tool_call(inference.stream("Hi.", tools=tools), seen.append).response()

            response = anyio.run(main, backend=style)
    assert seen == list(response.tool_calls)
    assert [call.arguments for call in seen] == [{"city": "Oslo"}, {"seconds": 1}]


def test_a_restarted_response_reports_its_tool_calls_anew():
    """After a seam that keeps nothing, the tool calls are those of the new response."""
    calls = CompleteCalls()
    first = Partial(tool_calls=(called(), called(complete=False)))
    assert calls.of(first) == [called()]
    assert calls.of(first) == []
    assert calls.of(Partial(choice=1, tool_calls=(called("b"),))) == []
    assert calls.of(Partial(seam=Seam(keeps=True), tool_calls=(called(), called("b")))) == [called("b")]
    assert calls.of(Partial(seam=Seam(keeps=False), tool_calls=(called("c"),))) == [called("c")]


class Seam(msgspec.Struct):
    keeps: bool


class Partial(msgspec.Struct, kw_only=True):
    choice: int = 0
    tool_calls: tuple = ()
    seam: Seam | None = None

"""Tools from functions: schema, descriptions, and running them."""

from __future__ import annotations

from typing import Annotated, Literal

import anyio
import msgspec
import pytest

from polyglot_answers.functions import arun, registry_of, run, tool_of
from polyglot_core import RequestError, ToolCall


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


def called(name="weather", arguments='{"city": "Oslo"}'):
    return ToolCall(name=name, id="1", arguments_raw=arguments, complete=True)


def test_a_tool_from_a_function():
    """Name, text before the first section, descriptions of arguments, and a strict schema."""
    tool = tool_of(weather)
    assert (tool.name, tool.strict) == ("weather", True)
    assert tool.description == "Return the weather in a city.\n\nIt is a forecast."
    members = tool.parameters["properties"]
    assert members["city"] == {"type": "string", "description": "Name of the city, in English."}
    assert "How many days." in str(members["days"])
    assert "The unit." in str(members["unit"])
    assert tool.parameters["required"] == ["city", "unit", "days"]
    assert tool_of(later, name="pause").name == "pause"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"city": "Oslo"}', {"city": "Oslo", "unit": "c", "days": 1}),
        ('{"city": "Oslo", "unit": null, "days": 3}', {"city": "Oslo", "unit": "c", "days": 3}),
    ],
)
def test_a_tool_call_is_run(arguments, expected):
    """The arguments are validated; null stands for a default."""
    (result,) = run(called(arguments=arguments), [weather]).parts
    assert (result.error, msgspec.json.decode(result.text)) == (False, expected)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (called(name="wether"), "There is no tool 'wether'. Tools are weather, broken."),
        (called(arguments="{"), "not a JSON object"),
        (called(arguments="{}"), "missing required field `city`"),
        (called(arguments='{"city": 1}'), "Expected `str`, got `int`"),
        (called(arguments='{"city": "a", "unit": "k"}'), "Invalid enum value 'k'"),
        (called(arguments='{"city": "a", "x": 1}'), "unknown field `x`"),
        (called(name="broken", arguments="{}"), "ValueError: no luck"),
    ],
)
def test_what_is_wrong_becomes_a_result(call, said):
    """The model is told what is wrong, in a result with error=True; sync and async."""
    for message in (run(call, [weather, broken]), anyio.run(arun, call, [weather, broken])):
        (result,) = message.parts
        assert result.error
        assert said in result.text


def test_async_functions():
    """`arun` awaits; `run` refuses what it cannot wait for."""
    call = called("later", '{"seconds": 1.5}')
    assert anyio.run(arun, call, [later]).parts[0].text == "1.5"
    with pytest.raises(RequestError, match="arun"):
        run(call, [later])


def positional(value: int, /) -> None: ...


def untyped(value) -> None: ...


def unknown(value: object) -> None: ...


@pytest.mark.parametrize(
    ("function", "why"), [(positional, "by name"), (untyped, "no annotation"), (lambda *a: a, "by name")]
)
def test_functions_that_cannot_be_tools(function, why):
    """The error names the function and the parameter."""
    with pytest.raises(RequestError, match=why):
        tool_of(function)


def test_names_are_unique():
    """Two functions of one name need a dict."""
    with pytest.raises(RequestError, match="weather"):
        registry_of([weather, weather])
    assert registry_of({"a": weather}) == {"a": weather}

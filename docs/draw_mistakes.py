"""Generate the table of wrong requests with the message that each gets."""

from __future__ import annotations

from typing import Any

from polyglot_core import (
    Audio,
    Connection,
    Document,
    Image,
    Inference,
    Message,
    PolyglotError,
    RawTool,
    RequestError,
    Text,
    Tool,
    ToolResult,
)
from polyglot_core._client.inference import driver_for

__all__ = ["MISTAKES", "draw_mistakes", "message_of"]

MISTAKES = (
    # Messages
    'create("")',
    "create([])",
    "create(None)",
    'create(b"Hi")',
    'create({"Hi", "Hello"})',
    'create(turn for turn in ["Hi"])',
    'create([{"content": "Hi"}])',
    'create([{"role": "usr", "content": "Hi"}])',
    'create([Message(role="user", content=5)])',
    'create([{"role": "user", "content": ["Hi", 5]}])',
    'create([{"role": "user", "content": [{"type": "text", "txt": "Hi"}]}])',
    'create([{"role": "user", "content": {"type": "text", "text": "Hi"}}])',
    'create([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}])',
    'create([{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "!", "format": "wav"}}]}])',
    'create([{"role": "assistant", "tool_calls": [{"name": "f"}]}])',
    'create([Message(role="user", content=[Text(5)])])',
    'create([Message(role="user", content=[Text("Hi", cache="1 hour")])])',
    'create([Message(role="user", content=[Image()])])',
    'create([Message(role="user", content=[Image(url="https://example.com/a.png", data=b"…")])])'.replace("…", "x"),
    'create([Message(role="user", content=[Image(data="iVBORw0KGgo=")])])',
    'create([Message(role="user", content=[Image(url="cat.png")])])',
    'create([Message(role="user", content=[Document()])])',
    'create([Message(role="user", content=[Audio(data=b"")])])',
    'create([Message(role="user", content=[Image(data=b"%PDF-1.7")])])',
    'create([Message(role="user", content=[Audio(data=bytes(9))])])',
    'create([{"role": "user", "contnet": "Hi"}])',
    'create([{"role": "user", "content": [{"type": "image_ulr", "image_url": "https://example.com/a.png"}]}])',
    'create("a\\ud800b")',
    'Message.tool_result("1", object())',
    # Names of arguments
    'create(prompt="Hi")',
    'create("Hi", temperature=1)',
    'create("Hi", system="Be brief.")',
    'create("Hi", timeout=30)',
    'create("Hi", base_url="https://example.com")',
    # Options
    'create("Hi", options={"temprature": 1})',
    'create("Hi", options={"temperature": "hot"})',
    'create("Hi", options={"top_p": 1.5})',
    'create("Hi", options={"n": 0})',
    'create("Hi", options={"max_tokens": True})',
    'create("Hi", options={"stop": [5]})',
    'create("Hi", options={"reasoning_effort": "hgh"})',
    'create("Hi", options=["temperature"])',
    'create("Hi", stream="yes")',
    # Tools and formats
    'create("Hi", tools="get_weather")',
    'create("Hi", tools=[{"type": "function"}])',
    'create("Hi", tools=[{"function": {"name": "f", "paramters": {}}}])',
    'create("Hi", tools=[Tool("f"), Tool("f")])',
    'create("Hi", tools=[Tool("")])',
    'create("Hi", tools=[Tool("get weather")])',
    'create("Hi", tools=[Tool("f", parameters="{}")])',
    'create("Hi", tools=[Tool("get_weather")], tool_choice="weather")',
    'create("Hi", tool_choice="required")',
    'create("Hi", parallel_tool_calls="no")',
    'create("Hi", response_format="yaml")',
    # The rest
    'create("Hi", model="")',
    'create("Hi", extra=["top_k"])',
    'create("Hi", extra={"a": {"b": object()}})',
    'create("Hi", extra={"a": float("nan")})',
    'create("Hi", headers={"Content-Length": "5"})',
    'create("Hi", headers={"X-Tenant": "a\\r\\nb"})',
    'create("Hi", headers={"Authorization": "Bearer x"})',
    'create("Hi", unsupported="ignore")',
)
"""Wrong requests, as a user writes them."""

_CONNECTION = Connection(name="openai", driver="openai", model="gpt-5", api_key="test-key")


def draw_mistakes() -> str:
    """Return a table of the wrong requests: the expression, and the message of the error."""
    rows = ["| request | message |", "|---|---|"]
    return "\n".join([*rows, *(f"| `{each}` | {_cell(message_of(each))} |" for each in MISTAKES)])


def message_of(expression: str) -> str:
    """Return the message of the `RequestError` that an expression raises; the request is encoded, and not sent.

    Raises:
        LookupError: It raises none, or another error.
    """
    try:
        made = eval(expression, {**_NAMES})  # noqa: S307 (an expression of this file)
        if not isinstance(made, Message):
            driver_for(_CONNECTION).encode(made.request)
    except RequestError as error:
        return error.message
    except PolyglotError as error:
        msg = f"{expression} raises {type(error).__name__}"
        raise LookupError(msg) from error
    msg = f"{expression} raises no error"
    raise LookupError(msg)


_NAMES: dict[str, Any] = {
    **{kind.__name__: kind for kind in (Audio, Document, Image, Message, RawTool, Text, Tool, ToolResult)},
    "create": Inference.from_connection(_CONNECTION).create,
}


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")

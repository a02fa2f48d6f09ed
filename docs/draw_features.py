"""The features of requests, one at a time: a request with the feature, and the same request without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from polyglot_core._values.options import NAMES
from polyglot_core.plugin import (
    Audio,
    Document,
    Image,
    InferenceRequest,
    JSONSchema,
    Message,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from polyglot_core._values.parts import Part

__all__ = ["FEATURES", "Feature"]


class Feature(NamedTuple):
    """A feature of a request.

    Attributes:
        name: Its name in the tables.
        request: A request with the feature, otherwise equal to `plain`.
        plain: The same request without it.
    """

    name: str
    request: InferenceRequest
    plain: InferenceRequest


_HELLO = Message(role="user", content="Hello.")


def _request(*messages: Message, **fields: Any) -> InferenceRequest:  # noqa: ANN401 (the fields of a request)
    return InferenceRequest(model="", messages=messages or (_HELLO,), **fields)


# Messages


def _turn(role: str) -> Feature:
    return Feature(f"a `{role}` message", _request(Message(role=role, content="Be brief."), _HELLO), _request())


def _messages() -> Iterable[Feature]:
    yield _turn("system")
    yield _turn("developer")
    named = Message(role="user", content="Hello.", name="Ada")
    yield Feature("`name` of a speaker", _request(named), _request())
    more = Message(role="user", content="Hello.", extra={"mood": "glad"})
    yield Feature("`extra` of a message", _request(more), _request())


# Parts. Two texts precede each, because some dialects have a shorter form for a single text.

_TEXTS = (Text("Look:"), Text("Here."))
_BYTES = b"bytes"
_URL = "https://example.com/file"


def _part(name: str, part: Part, without: Part | None = None) -> Feature:
    before = (*_TEXTS,) if without is None else (*_TEXTS, without)
    message = Message(role="user", content=(*_TEXTS, part))
    return Feature(name, _request(message), _request(Message(role="user", content=before)))


def _parts() -> Iterable[Feature]:
    yield _part("`Image` by `url`", Image(url=f"{_URL}.png"))
    yield _part("`Image` as `data`", Image(data=_BYTES, mime_type="image/png"))
    yield _part(
        "`detail` of an image",
        Image(data=_BYTES, mime_type="image/png", detail="low"),
        Image(data=_BYTES, mime_type="image/png"),
    )
    yield _part("`Audio`", Audio(data=_BYTES, mime_type="audio/wav"))
    yield _part("`Document` by `url`", Document(url=f"{_URL}.pdf"))
    yield _part("`Document` as `data`, PDF", Document(data=_BYTES, mime_type="application/pdf"))
    yield _part("`Document` as `data`, text", Document(data=_BYTES, mime_type="text/plain"))
    yield _part("`Document` by `file_id`", Document(file_id="file-1"))
    yield _part("`name` of a document", Document(data=_BYTES, mime_type="application/pdf", name="file.pdf"))
    yield _part("`Text` with `cache=True`", Text("Read this.", cache=True), Text("Read this."))


# Tools

_TOOL = Tool("weather")
_CALL = ToolCall(name="weather", id="call_1", arguments_raw="{}", complete=True)
_RESULT = Text("4 degrees")


def _with_tool(**fields: Any) -> InferenceRequest:  # noqa: ANN401 (the fields of a request)
    return _request(**{"tools": (_TOOL,), **fields})


def _turns(call: ToolCall, *results: ToolResult) -> InferenceRequest:
    messages = [Message(role="tool", content=(result,)) for result in results]
    return _request(_HELLO, Message(role="assistant", content=(Text("I look."), call)), *messages)


def _result(*content: Text | Image | Document, error: bool = False) -> InferenceRequest:
    return _turns(_CALL, ToolResult(id="call_1", content=content, error=error, name="weather"))


def _tools() -> Iterable[Feature]:
    yield Feature("`tools`", _with_tool(), _request())
    yield Feature("`strict=True` of a tool", _with_tool(tools=(Tool("weather", strict=True),)), _with_tool())
    for choice in ("required", "none"):
        yield Feature(f'`tool_choice="{choice}"`', _with_tool(tool_choice=choice), _with_tool())
    yield Feature("`tool_choice` by name", _with_tool(tool_choice="weather"), _with_tool())
    yield Feature("`parallel_tool_calls=False`", _with_tool(parallel_tool_calls=False), _with_tool())
    text_only = Message(role="assistant", content=(Text("I look."),))
    yield Feature("`ToolCall` of an earlier turn", _turns(_CALL), _request(_HELLO, text_only))
    yield Feature("`ToolResult`", _result(_RESULT), _turns(_CALL))
    yield Feature("`ToolResult` with `error=True`", _result(_RESULT, error=True), _result(_RESULT))
    yield Feature(
        "`ToolResult` with an image", _result(_RESULT, Image(data=_BYTES, mime_type="image/png")), _result(_RESULT)
    )
    text = Document(data=_BYTES, mime_type="text/plain")
    yield Feature("`ToolResult` with a document of text", _result(_RESULT, text), _result(_RESULT))


# Formats

_SCHEMA = {"type": "object"}


def _formats() -> Iterable[Feature]:
    yield Feature('`response_format="json"`', _request(response_format="json"), _request())
    shape = JSONSchema(_SCHEMA)
    yield Feature("`response_format` with a schema", _request(response_format=shape), _request())
    named = _request(response_format=JSONSchema(_SCHEMA, "weather", description="The weather."))
    yield Feature("`name` and `description` of a schema", named, _request(response_format=shape))
    strict = _request(response_format=JSONSchema(_SCHEMA, strict=True))
    yield Feature("`strict=True` of a schema", strict, _request(response_format=shape))


# Thinking


def _thought(name: str, thought: Reasoning) -> Feature:
    text = (Text("Hello."),)
    turns = [_request(_HELLO, Message(role="assistant", content=content)) for content in ((thought, *text), text)]
    return Feature(name, *turns)


def _thinking() -> Iterable[Feature]:
    own = Reasoning(text="I think.", signature="signature", id="id_1")
    yield _thought("`Reasoning` with signature and id", own)
    yield _thought("`Reasoning` without", Reasoning(text="I think."))
    yield _thought("`Reasoning` that is encrypted", Reasoning(redacted="encrypted", id="id_1"))
    signed = ToolCall(name="weather", id="call_1", arguments_raw="{}", complete=True, signature="signature")
    yield Feature("`signature` of a tool call", _turns(signed), _turns(_CALL))


# Options

_VALUES: dict[str, tuple[object, ...]] = {
    "max_tokens": (500,),
    "temperature": (0.5,),
    "top_p": (0.5,),
    "top_k": (40,),
    "stop": ("END",),
    "seed": (7,),
    "presence_penalty": (0.5,),
    "frequency_penalty": (0.5,),
    "n": (2,),
    "logprobs": (True,),
    "top_logprobs": (3,),
    "reasoning_effort": ("minimal", "low"),
    "reasoning_budget": (0, 2000),
    "service_tier": ("priority",),
    "user": ("user-1",),
    "metadata": ({"team": "docs"},),
}
"""Values of each option; several if a driver may support one value and not the other."""


def _options() -> Iterable[Feature]:
    for option in NAMES:
        for value in _VALUES[option]:
            shown = f'"{value}"' if isinstance(value, str) else value
            name = f"`{option}`" if len(_VALUES[option]) == 1 else f"`{option}={shown}`"
            yield Feature(name, _request(options={option: value}), _request())


FEATURES: dict[str, tuple[Feature, ...]] = {
    "messages": tuple(_messages()),
    "parts": tuple(_parts()),
    "tools": tuple(_tools()),
    "formats": tuple(_formats()),
    "thinking": tuple(_thinking()),
    "options": tuple(_options()),
}
"""All features, by subject."""
